"""Hub: facts and files from the Hugging Face hub. Runs in a process of its own.

    python -m engine.models.hub '{"ask": "owner/name"}'             → its revision and files
    python -m engine.models.hub '{"fetch": {...}, "name": "…"}'     → one file, in the hub's cache

Each line of output is JSON: {"stage", "done", "total"} while it works, then {"facts"}, {"path"} or
{"error", "detail"}. The process can be killed at any time: what has arrived is kept beside the
hub's cache and continued. A file enters the cache only when its sha256 is that of the hub's
metadata.
"""

import errno
import hashlib
import json
import os
import re
import shutil
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

import httpx
from huggingface_hub import (
    HfApi,
    constants,
    get_hf_file_metadata,
    hf_hub_download,
    hf_hub_url,
    try_to_load_from_cache,
)
from huggingface_hub import errors as hub_errors
from huggingface_hub.file_download import http_get, repo_folder_name
from huggingface_hub.utils._headers import build_hf_headers

# Bytes that are written at once. With the library's 10 MB, a slow download that is paused would
# lose up to a minute.
CHUNK = 2**18
REPORT_SECONDS = 0.25
RESERVE = 200_000_000  # bytes that stay free on the disk
_READ = 2**22  # bytes hashed at once


class WrongContentError(Exception):
    """What arrived is not what the hub's metadata describes."""


class NoRoomError(Exception):
    pass


def facts(repo: str, revision: str | None = None) -> dict[str, Any]:
    """The repository's revision, licence and files, with sizes in bytes and checksums.

    A file has "sha256", or "git" (the SHA-1 of a git blob) where the hub keeps it in git itself.
    """
    info = HfApi().model_info(repo, revision=revision, files_metadata=True)
    files = [
        {
            "name": each.rfilename,
            "size": each.size,
            "sha256": each.lfs.sha256 if each.lfs else "",
            "git": "" if each.lfs else each.blob_id,
        }
        for each in info.siblings or []
    ]
    licence = info.card_data.get("license") if info.card_data else None
    return {"repo": repo, "revision": info.sha, "licence": licence or "", "files": files}


def fetch(repo: str, revision: str, name: str, size: int, sha256: str, git: str) -> Path:
    """The file in the hub's cache, verified; fetched, or continued, where it is not there."""
    cached = try_to_load_from_cache(repo, name, revision=revision)
    if isinstance(cached, str):
        if _is_right(Path(cached), size, sha256, git):
            return Path(cached)
        Path(cached).resolve().unlink(missing_ok=True)  # damaged since
        Path(cached).unlink(missing_ok=True)
    url = hf_hub_url(repo, name, revision=revision)
    metadata = get_hf_file_metadata(url)
    etag = metadata.etag or ""
    if etag != (sha256 or git) or metadata.size not in (None, size):
        raise WrongContentError(f"{name} is announced as {etag}, {metadata.size} bytes")
    blobs = blobs_folder(repo)
    blobs.mkdir(parents=True, exist_ok=True)
    partial = partial_file(blobs, etag)
    there = partial.stat().st_size if partial.exists() else 0
    if there > size:
        partial.unlink()
        there = 0
    free = shutil.disk_usage(blobs).free
    if free < size - there + RESERVE:
        raise NoRoomError(f"{size - there + RESERVE} {free}")
    with partial.open("ab", buffering=0) as file:
        http_get(
            url,
            file,
            resume_size=there,
            headers=build_hf_headers(),
            expected_size=size,
            tqdm_class=_Progress,
        )
    if not _is_right(partial, size, sha256, git):
        partial.unlink()
        raise WrongContentError(f"{name} has another checksum")
    partial.replace(blobs / etag)
    # finds the blob, and only adds the name by which everybody finds it
    return Path(hf_hub_download(repo, name, revision=revision))


def blobs_folder(repo: str) -> Path:
    """Where the hub's cache has the content of a repository's files, each named by its etag."""
    name = repo_folder_name(repo_id=repo, repo_type="model")
    return Path(constants.HF_HUB_CACHE) / name / "blobs"


def partial_file(blobs: Path, etag: str) -> Path:
    """Where a file is while it arrives. The hub's own library begins again each time."""
    return blobs / f"{etag}.first-token.incomplete"


def _is_right(path: Path, size: int, sha256: str, git: str) -> bool:
    if path.stat().st_size != size:
        return False
    digest = hashlib.sha256() if sha256 else hashlib.sha1(b"blob %d\0" % size)
    said = 0.0
    with path.open("rb") as file:
        while part := file.read(_READ):
            digest.update(part)
            if time.monotonic() - said > REPORT_SECONDS:
                said = time.monotonic()
                _say({"stage": "checking", "done": file.tell(), "total": size})
    return digest.hexdigest() == (sha256 or git)


class _Progress:
    """What `http_get` takes for a progress bar. It says how far it is, also where it is stuck."""

    def __init__(self, *_: object, initial: int = 0, total: int | None = None, **__: object):
        self._done, self._total = initial, total or 0
        self._closed = threading.Event()

    def update(self, more: float | None = 1) -> None:
        self._done += int(more or 0)

    def __enter__(self) -> "_Progress":
        self._closed.clear()
        threading.Thread(target=self._say_it, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closed.set()

    def _say_it(self) -> None:
        while not self._closed.wait(REPORT_SECONDS):
            _say({"stage": "downloading", "done": self._done, "total": self._total})


def kind_of(error: BaseException) -> str:
    """Which of the sentences in `engine.models.asking` an error gets."""
    if isinstance(error, WrongContentError):
        return "wrong"
    if isinstance(error, NoRoomError):
        return "room"
    if isinstance(error, hub_errors.OfflineModeIsEnabled):
        return "offline"
    if isinstance(error, hub_errors.GatedRepoError):
        return "gated"
    if isinstance(error, hub_errors.RepositoryNotFoundError):
        # The hub gives the same answer for a private repository and one that is not there.
        code = error.response.status_code if error.response is not None else 404
        return "refused" if code == 401 else "no repository"
    if isinstance(error, hub_errors.RevisionNotFoundError):
        return "no repository"
    if isinstance(error, hub_errors.EntryNotFoundError):
        return "no file"
    if isinstance(error, hub_errors.HFValidationError):
        return "name"
    if isinstance(error, hub_errors.HfHubHTTPError):
        code = error.response.status_code if error.response is not None else 0
        return {401: "refused", 403: "gated", 404: "no file", 429: "busy"}.get(code, "server")
    if isinstance(error, httpx.HTTPError):
        return "network"
    if isinstance(error, OSError):
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            return "full"
        return "truncated" if "Consistency check" in str(error) else "disk"
    return "unknown"


def _say(what: dict[str, Any]) -> None:
    try:
        print(json.dumps(what), flush=True)
    except BrokenPipeError:  # First Token has ended
        os._exit(1)


def main(request: dict[str, Any]) -> None:
    constants.DOWNLOAD_CHUNK_SIZE = CHUNK
    try:
        if repo := request.get("ask"):
            _say({"facts": facts(repo, request.get("revision"))})
        else:
            _say({"path": str(fetch(**request["fetch"]))})
    except Exception as error:
        traceback.print_exc()  # First Token logs what this process writes there
        response = getattr(error, "response", None)
        detail = f"error {response.status_code}" if response is not None else str(error)
        detail = re.sub(r"\s+", " ", f"{type(error).__name__}: {detail}")[:500]
        _say({"error": kind_of(error), "detail": detail})


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
