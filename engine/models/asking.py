"""Asking the hub: runs `engine.models.hub` in a child process, and turns errors into sentences."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.config import Config
from engine.errors import Cancelled, WeightsError
from engine.redacting import public_address, redact
from engine.run import Run

log = logging.getLogger(__name__)

OnStage = Callable[[str, int, int], None]
"""Called with "downloading" or "checking", the bytes done, and the total."""

HUB = "https://huggingface.co"

_SENTENCES = {
    "network": "The hub at {hub} could not be reached, or the connection broke. What has arrived "
    "is kept: check the network, and resume.",
    "offline": "The hub is not asked, because HF_HUB_OFFLINE is set. Remove it, and start First "
    "Token again.",
    "refused": "The hub wants to know who asks for {what}, or it is not there: check the name. If "
    "it is right, set HF_TOKEN in .env to a token from huggingface.co/settings/tokens, and start "
    "First Token again.",
    "gated": "The makers of {what} ask you to accept their terms first: do so at {hub}/{repo}, set "
    "HF_TOKEN in .env to your token, and start First Token again.",
    "no repository": "The hub has no model repository {repo}. Check its name: owner/name.",
    "no file": "{repo} has no file {name}. Choose one that it has.",
    "name": "{repo} cannot be the name of a repository. It has the form owner/name.",
    "busy": "The hub has too much to do. Try again in a few minutes.",
    "server": "The hub failed ({detail}). Try again later.",
    "truncated": "The hub sent less or more of {name} than it announced. Resume to try again.",
    "wrong": "What arrived is not {name} as the hub describes it: its checksum differs. It has "
    "been deleted. Download it again, and if that fails too, choose another file.",
    "room": "There is not enough room on the disk: {detail}. Make room, and resume.",
    "full": "The disk is full. What has arrived is kept: make room, and resume.",
    "disk": "The hub's cache could not be written ({detail}). Check the permissions of the folder, "
    "or set HF_HOME to another one.",
    "unknown": "It failed for a reason that is not known ({detail}). The log says more.",
}


@dataclass(frozen=True, slots=True)
class HubFile:
    """A file in a repository. `size` in bytes. `git`: the checksum of a file without sha256."""

    name: str
    size: int
    sha256: str = ""
    git: str = ""


@dataclass(frozen=True, slots=True)
class RepoFacts:
    """What the hub says of a repository. `revision`: a commit, which never changes."""

    repo: str
    revision: str
    licence: str
    files: tuple[HubFile, ...]

    def file(self, name: str) -> HubFile | None:
        return next((each for each in self.files if each.name == name), None)


class HubError(WeightsError):
    """The hub did not give what was asked for. `kind` is a key of the sentences above."""

    def __init__(self, kind: str, sentence: str) -> None:
        super().__init__(sentence)
        self.kind = kind


class Hub:
    """The Hugging Face hub, or the one that HF_ENDPOINT names. Asked only by these two methods."""

    def __init__(self, config: Config) -> None:
        self._config = config

    @property
    def address(self) -> str:
        return self._config.hf_endpoint or HUB

    def facts(self, repo: str, run: Run | None = None) -> RepoFacts:
        """
        Raises:
            HubError: it could not be asked, or has no such repository.
            Cancelled: `run` was cancelled.
        """
        said = self._run({"ask": repo}, repo, "", run or Run(), lambda *_: None)
        files = tuple(HubFile(**{**each, "size": each["size"] or 0}) for each in said["files"])
        return RepoFacts(repo, said["revision"], said["licence"], files)

    def fetch(
        self, facts: RepoFacts, file: HubFile, run: Run, on_stage: OnStage = lambda *_: None
    ) -> Path:
        """The verified file in the hub's cache. What an earlier attempt has fetched is continued.

        Raises:
            HubError: says why, and what to do.
            Cancelled: `run` was cancelled; what has arrived is kept.
        """
        request = {
            "repo": facts.repo,
            "revision": facts.revision,
            "name": file.name,
            "size": file.size,
            "sha256": file.sha256,
            "git": file.git,
        }
        return Path(self._run({"fetch": request}, facts.repo, file.name, run, on_stage))

    def partial_files(self, repo: str, files: Iterable[HubFile]) -> list[Path]:
        """Where these files are while they arrive."""
        from engine.models import hub  # loads the hub's library

        blobs = hub.blobs_folder(repo)
        return [hub.partial_file(blobs, each.sha256 or each.git) for each in files]

    def _run(
        self, request: dict[str, Any], repo: str, name: str, run: Run, on_stage: OnStage
    ) -> Any:
        run.check()
        child = subprocess.Popen(
            [sys.executable, "-m", "engine.models.hub", json.dumps(request)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self._environment(),
            cwd=Path(__file__).parents[2],  # where `engine` is found, whatever our own folder
            text=True,
            errors="replace",
        )
        forget = run.on_cancel(child.kill)
        last: dict[str, Any] = {}
        try:
            assert child.stdout and child.stderr
            for line in child.stdout:
                last = json.loads(line)
                if "stage" in last:
                    on_stage(last["stage"], last["done"], last["total"])
            errors = child.stderr.read()
            child.wait()
        except BaseException:
            child.kill()
            child.wait()
            raise
        finally:
            forget()
            for stream in (child.stdout, child.stderr):
                if stream:
                    stream.close()
        if run.cancelled:
            raise Cancelled
        for result in ("facts", "path"):
            if result in last:
                return last[result]
        kind, detail = last.get("error", "unknown"), redact(str(last.get("detail", "")), self._keys)
        log.warning(
            "The hub: %s, %s (%s) %s", kind, repo, detail, redact(errors, self._keys)[-800:]
        )
        if kind == "room":
            needed, free = map(int, detail.split()[-2:])
            detail = f"{needed / 1e9:.1f} GB are needed, and {free / 1e9:.1f} GB are free"
        if kind not in ("room", "server", "disk", "unknown"):
            detail = ""
        sentence = _SENTENCES.get(kind, _SENTENCES["unknown"]).format(
            hub=public_address(self.address), repo=repo, name=name, what=name or repo, detail=detail
        )
        raise HubError(kind, sentence)

    @property
    def _keys(self) -> list[str]:
        return [self._config.hf_token] if self._config.hf_token else []

    def _environment(self) -> dict[str, str]:
        """Ours, with what .env says of the hub, and without the library's own extras."""
        environment = {name: value for name, value in os.environ.items() if value}
        environment["HF_HUB_DISABLE_TELEMETRY"] = "1"
        if self._config.hf_endpoint:
            environment["HF_ENDPOINT"] = self._config.hf_endpoint
        if self._config.hf_token:
            environment["HF_TOKEN"] = self._config.hf_token
        if self._config.hf_hub_offline:
            environment["HF_HUB_OFFLINE"] = "1"
        return environment
