"""Probe: whether and how fast a GGUF file runs on this machine. The findings are recorded.

llama.cpp can crash on a damaged file, and on a processor for which it was compiled wrongly.
Therefore child processes try the file (`engine.llm.proof`), with more and more of llama.cpp's
optional code turned off until the results are right. The app then uses the same switches.
"""

import json
import logging
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from engine.cores import Cores, Priority
from engine.durable import write_whole
from engine.errors import LLMError
from engine.llm.calibrate import Figures
from engine.llm.slicing import EXACT, Exactness, Slicing
from engine.llm.switches import ALL_ON, ATTEMPTS, Switches, predicted_seconds
from engine.machine import fingerprint, llama_version, processor
from engine.machine import physical_memory as physical_memory
from engine.weights import QUICKEST, has_known_checksum

log = logging.getLogger(__name__)

_COMMAND = (sys.executable, "-m", "engine.llm.proof")
_SECONDS = 300.0  # for one child on a busy machine; one more for every SLOW_BYTES on a slow disk
_SLOW_BYTES = 30e6
_OTHER_MODEL = "Choose another model on the Models page, or set CHAT_MODEL in .env."

_MEASURED = 2  # increased when more is measured, so that it is measured on every machine
# Another way to run the model replaces the usual one if it is faster by this factor, because
# measured rates vary by 10 % on an idle machine. It must win that often in a row.
_QUICKER, _PAIRS = 1.15, 3
# The mean divergence from the reference above which a result is wrong, in nats. With the default
# model, in Q8_0 and Q4_1, extra buffers change nothing on AMD Zen 4, and flash attention gives
# 0.001. Wrong results have 5 and more. The bound allows for kernels that round more coarsely.
WRONG = 0.2
_CONTINUED = 0.75  # of the known next tokens; the default model predicts all of them


@dataclass(frozen=True, slots=True)
class Findings:
    """cache_bytes: of the key-value cache for one token, in f16. switches: what to run the model
    with. prefill, decode: tokens a second, of one prompt and one answer. exactness: what makes
    answers repeat exactly, whatever else is computed."""

    trained_context: int
    cache_bytes: int
    figures: Figures
    switches: Switches = ALL_ON
    prefill: float = 0.0
    decode: float = 0.0
    exactness: Exactness = EXACT

    @property
    def seconds(self) -> float:
        """The predicted time of a typical answer."""
        return predicted_seconds(self.prefill, self.decode)


class DoesNotRunError(LLMError):
    """llama.cpp, as it is compiled, computes the model wrongly or crashes, whatever is turned off.

    `crashed` is the signal that ended it, 0 if the results were wrong.
    """

    def __init__(self, message: str, crashed: int) -> None:
        super().__init__(message)
        self.crashed = crashed


def probe(path: Path, cores: Cores, record: Path, gpu_layers: int = 0) -> Findings:
    """The findings on a model file, from `record` if it has been probed before.

    Raises:
        LLMError: the file is not a chat model that runs here. The message says what to do.
    """
    return probe_fastest([path], cores, record, gpu_layers)[1]


def is_probed(paths: Sequence[Path], cores: Cores, record: Path, gpu_layers: int = 0) -> bool:
    """Whether `probe_fastest` would answer from the record."""
    known = _read_record(record)
    return all(path.is_file() for path in paths) and _key(paths, cores.total, gpu_layers) in known


def probe_fastest(
    paths: Sequence[Path], cores: Cores, record: Path, gpu_layers: int = 0
) -> tuple[Path, Findings]:
    """The file that answers quickest here, of several that answer equally well, and its findings.

    The first is preferred if the difference is small. Files that do not run are left out.

    Raises:
        LLMError: none of them runs here. The message is about the first, and says what to do.
    """
    for path in paths:
        if not path.is_file():
            raise LLMError(f"There is no model file {path}. {_OTHER_MODEL}")
    known, key = _read_record(record), _key(paths, cores.total, gpu_layers)
    if key not in known:
        with cores.take(cores.total, Priority.SEARCH):
            known[key] = _find_out(paths, cores.total, gpu_layers)
        chosen = Path(known[key]["path"])
        known[_key([chosen], cores.total, gpu_layers)] = known[key]
        if len(paths) > 1:
            known.setdefault(QUICKEST, {})[fingerprint()] = chosen.name
        _write_record(record, known)
    found = known[key]
    return Path(found["path"]), Findings(
        found["trained_context"],
        found["cache_bytes"],
        Figures(**found["figures"]),
        Switches(**found["switches"]),
        found["prefill"],
        found["decode"],
        Exactness(**{**found["exactness"], "slicing": Slicing(**found["exactness"]["slicing"])}),
    )


def _find_out(paths: Sequence[Path], threads: int, gpu_layers: int) -> dict[str, Any]:
    """Prove each file, choose one, and calibrate it. Returns what the record keeps."""
    proofs: dict[Path, _Proof] = {}
    errors: list[LLMError] = []
    for path in paths:
        try:
            proofs[path] = _prove(path, threads, gpu_layers)
        except LLMError as error:
            errors.append(error)
    if not proofs:
        raise errors[0]
    path = _quickest(
        {path: proof.seconds for path, proof in proofs.items()},
        usual=paths[0],
        again=lambda files: [
            _seconds(path, threads, gpu_layers, [proofs[path].switches])[0] for path in files
        ],
    )
    best = proofs[path]
    child = _run(path, threads, gpu_layers, [best.switches], calibrate=True)
    if not (child.figures and child.exactness):
        raise _does_not_run(path, child)
    if not child.exactness["exact"]:
        log.warning("%s: the words of an answer may depend on what else is computed.", path.name)
    return {
        "path": str(path),
        **best.facts,
        "figures": child.figures,
        "exactness": child.exactness,
        "switches": asdict(best.switches),
        "prefill": best.prefill,
        "decode": best.decode,
    }


Choice = TypeVar("Choice", Path, Switches)


def _quickest(
    seconds: dict[Choice, float], usual: Choice, again: Callable[[list[Choice]], list[float]]
) -> Choice:
    """The choice with the shortest time; the usual one, if that works and loses by little.

    Other programs make measurements longer. So before the usual one is replaced, both are measured
    `again` in turns, and the other must have won by much in every pair.
    """
    best = min(seconds, key=lambda choice: seconds[choice])
    if usual not in seconds or best == usual:
        return best
    if seconds[usual] < _QUICKER * seconds[best]:
        return usual
    times = again([usual, best] * _PAIRS)
    pairs = zip(times[::2], times[1::2], strict=True)
    return best if all(one >= _QUICKER * other for one, other in pairs) else usual


def _seconds(
    path: Path, threads: int, gpu_layers: int, switches: Sequence[Switches]
) -> list[float]:
    """The predicted times of a typical answer, measured once more; infinite after a crash."""
    trials = _run(path, threads, gpu_layers, switches).trials
    times = [predicted_seconds(each["prefill"], each["decode"]) for each in trials]
    return times + [float("inf")] * (len(switches) - len(times))


@dataclass(frozen=True, slots=True)
class _Proof:
    """The switches with which one file is computed correctly and fastest."""

    facts: dict[str, int]
    switches: Switches
    prefill: float
    decode: float

    @property
    def seconds(self) -> float:
        return predicted_seconds(self.prefill, self.decode)


def _prove(path: Path, threads: int, gpu_layers: int) -> _Proof:
    """Try groups of switches until some give right results."""
    known_text = has_known_checksum(path)
    for group in ATTEMPTS:
        waiting = list(group)
        working: dict[Switches, _Proof] = {}
        while waiting:
            child = _run(path, threads, gpu_layers, waiting)
            if not child.facts:
                raise _does_not_run(path, child)  # even with everything turned off
            for switches, found in zip(waiting, child.trials, strict=False):
                continued = found["continued"] >= _CONTINUED or not known_text
                if found["divergence"] <= WRONG and continued:
                    rates = found["prefill"], found["decode"]
                    working[switches] = _Proof(child.facts, switches, *rates)
            # A trial without a result has crashed the child. Those after it have not been run.
            waiting = waiting[len(child.trials) + 1 :]
        if working:
            times = {switches: proof.seconds for switches, proof in working.items()}
            best = _quickest(
                times,
                usual=group[-1],
                again=lambda switches: _seconds(path, threads, gpu_layers, switches),
            )
            return working[best]
    raise _does_not_run(path, child)


# The child process


@dataclass(frozen=True, slots=True)
class _Child:
    """What a child process has printed, and the code with which it ended."""

    code: int
    facts: dict[str, int] = field(default_factory=dict)
    trials: list[dict[str, float]] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    exactness: dict[str, Any] = field(default_factory=dict)
    error: str = ""


def _run(
    path: Path,
    threads: int,
    gpu_layers: int,
    trials: Sequence[Switches],
    calibrate: bool = False,
) -> _Child:
    """Run `engine.llm.proof`.

    Raises:
        LLMError: the file is not a model that can be used, or it did not end in time.
    """
    arguments = {
        # not resolved: the hub's cache links to blobs, and a split file is known by its name
        "path": str(path.absolute()),
        "threads": threads,
        "gpu_layers": gpu_layers,
        "trials": [asdict(switches) for switches in trials],
        "calibrate": calibrate,
    }
    limit = _SECONDS + path.stat().st_size / _SLOW_BYTES
    try:
        done = subprocess.run(
            [*_COMMAND, json.dumps(arguments)],
            capture_output=True,
            timeout=limit,
            check=False,
            cwd=Path(__file__).parents[2],
        )
    except subprocess.TimeoutExpired as error:
        raise LLMError(
            f"{path.name} did not finish a short test within {limit:.0f} s. {_OTHER_MODEL}"
        ) from error
    said: list[dict[str, Any]] = []
    for line in done.stdout.decode("utf-8", "replace").splitlines():
        with suppress(ValueError):
            said.append(json.loads(line))
    child = _Child(
        done.returncode,
        facts=next((each["reference"] for each in said if "reference" in each), {}),
        trials=[each["found"] for each in said if "trial" in each],
        figures=next((each["figures"] for each in said if "figures" in each), {}),
        exactness=next((each["exactness"] for each in said if "exactness" in each), {}),
        error=next((each["error"] for each in said if "error" in each), ""),
    )
    if child.error and not child.facts:
        raise LLMError(child.error)
    if done.returncode != 0:
        log.warning(
            "llama.cpp ended with %s while it ran %s: %s",
            _end(done.returncode), arguments, done.stderr.decode("utf-8", "replace")[-2000:],
        )  # fmt: skip
    return child


def _end(code: int) -> str:
    """How a process has ended, in words."""
    with suppress(ValueError):
        if code < 0:
            return signal.Signals(-code).name
    return f"exit status {code}"


def _does_not_run(path: Path, child: _Child) -> LLMError:
    """The error to raise when no switches helped."""
    if child.code == -signal.SIGKILL:
        return LLMError(f"{path.name} needs more memory than this machine has. {_OTHER_MODEL}")
    here = processor()
    what = "its results are wrong"
    if child.error:
        what = f"it reports: {child.error}"
    elif child.code:
        what = f"it ends with {_end(child.code)}"
        if child.code == -signal.SIGILL:
            what += " (an instruction that the processor does not have)"
    message = (
        f"llama.cpp {llama_version()} cannot run {path.name} on this processor ({here.name}; "
        f"instruction sets: {here.instruction_sets}): {what}, also without extra buffers, tiled "
        "kernels and flash attention. "
    )
    if has_known_checksum(path):
        message += "The model file is intact. "
    elif child.code and not child.facts:
        message += f"If other models run here, the file is damaged: {_OTHER_MODEL[0].lower()}"
        message += f"{_OTHER_MODEL[1:]} Otherwise: "
    message += (
        "run `make rebuild` to compile llama.cpp again, or use another compiler (for example "
        "`CC=clang CXX=clang++ make rebuild`), or name a server as OPENAI_BASE_URL in .env."
    )
    return DoesNotRunError(message, max(0, -child.code))


# The record


def _key(paths: Sequence[Path], threads: int, gpu_layers: int) -> str:
    """Everything that the findings depend on: files, machine, build of llama.cpp."""
    parts: list[object] = []
    for path in paths:
        stat = path.stat()
        parts += [path.resolve(), stat.st_size, stat.st_mtime_ns]
    build = llama_version(), fingerprint()
    return "|".join(map(str, (_MEASURED, *parts, *build, threads, gpu_layers)))


def _read_record(record: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        known = json.loads(record.read_text("utf-8"))
        if isinstance(known, dict):
            return known
    return {}


def _write_record(record: Path, known: dict[str, Any]) -> None:
    """Write the record completely or not at all. If that fails, the next start probes again."""
    try:
        record.parent.mkdir(parents=True, exist_ok=True)
        write_whole(record, json.dumps(known, indent=1).encode())
    except OSError:
        log.warning("The findings on the model could not be written to %s.", record, exc_info=True)
