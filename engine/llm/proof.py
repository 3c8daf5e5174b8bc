"""Proof: does llama.cpp compute this model correctly here, and how fast?

It runs as a separate process, because llama.cpp can crash:

    python -m engine.llm.proof '{"path": ..., "threads": ..., "trials": [...], ...}'

It prints one line of JSON for each result, as soon as it is known:

- {"reference": ...}: optional code paths off, one thread, the prompt in slices of SLOW_SLICE
  tokens. The probabilities of the next token at some positions are kept.
- {"trial": ...} for each set of switches: the same tokens, computed as the app does: a prompt in
  large slices on all threads, single tokens, a batch of several sequences, and once more with
  flash attention. The probabilities are compared with the reference's.
- {"figures": ...}: the calibration, which is a run of its own.
- {"exactness": ...}: how prompts may be cut, in the same run.
- {"error": ...}: the file is not a model that can be used; says why.

The prompt is a passage followed by the beginning of the same passage. So the next token is known
in advance: a language model continues a text that it has just read.
"""

import json
import sys
import time
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.errors import FirstTokenError, LLMError
from engine.llm import exactness
from engine.llm.calibrate import BATCH, measure
from engine.llm.context import Context, ContextSize, Entry
from engine.llm.model import Model
from engine.llm.switches import Switches
from engine.llm.template import PromptTemplate
from engine.machine import physical_memory
from engine.schema import ChatMessage

PASSAGE = """\
The harbour of Wick was built in two stages. The first basin was finished in 1811 and held about a
hundred boats; the second followed after the storm of August 1848, when forty-one boats were lost
in one night because they could not reach the quay at low tide. An engineer from Edinburgh, who
had measured the currents for three summers, proposed a breakwater of loose stone with a core of
concrete. It cost 62,000 pounds and was destroyed twice by waves that moved blocks of 1,350
tonnes. Fishermen paid a toll of two shillings for every landing, and the toll was raised again
when the railway came. In winter the harbour master lit a lamp of red glass on the north pier, and
the keeper of the lighthouse wrote down the hour, the wind and the number of boats in a book that
is still kept in the library of the town.
"""
AGAIN = 100  # tokens of the passage that the prompt repeats
DECODED = 8  # tokens after the prompt, computed one by one
SLOW_SLICE = 4  # fewer than 8 rows: llama.cpp's tiled kernels are not used
FAST_SLICE = 128  # as the app reads prompts
HEAD, STEPS = 16, 3  # tokens in each sequence before the batched steps, and such steps
READ_SECONDS = 10.0  # after which a slow model reads no further slice

Row = NDArray[np.float64]
Rows = dict[int, Row]
"""Position → log-probabilities of the token after it."""


@dataclass(frozen=True, slots=True)
class Text:
    """tokens: all of them. prompt: how many are read as a prompt. checked: positions at which
    the next token's probabilities are compared."""

    tokens: list[int]
    prompt: int
    checked: frozenset[int]

    @classmethod
    def of(cls, model: Model) -> "Text":
        begin = [model.bos] if model.adds_bos else []
        passage = model.tokenise(PASSAGE)
        tokens = (begin + passage + passage)[: len(begin) + len(passage) + AGAIN + DECODED]
        tokens = tokens[: model.trained_context or None]
        prompt = len(tokens) - DECODED
        checked = {*range(HEAD - 1, HEAD + STEPS), *range(31, prompt, 32)}
        return cls(tokens, prompt, frozenset(checked | set(range(prompt - 1, len(tokens)))))


@dataclass(frozen=True, slots=True)
class Trial:
    """prefill, decode: tokens a second, of one prompt and of one answer, each with the number of
    threads that is quickest. divergence: the mean distance from the reference, in nats.
    continued: the share of known next tokens that the model predicted."""

    prefill: float
    decode: float
    divergence: float
    continued: float


def reference(model: Model, text: Text) -> Rows:
    """The reference result. If the model is slow, it covers only the first positions."""
    with closing(_open(model, text, SLOW_SLICE, sequences=1)) as context:
        rows, slices = _read(context, text, SLOW_SLICE)
        reached = sum(tokens for tokens, _ in slices)
        return rows | _decode(context, text, reached)[0]


def try_out(model: Model, text: Text, known: Rows, threads: int, switches: Switches) -> Trial:
    """Compute the text as the app does, and compare with the reference."""
    with closing(_open(model, text, FAST_SLICE, sequences=1)) as context:
        context.use_threads(threads)
        _read(context, text, FAST_SLICE, FAST_SLICE)  # loads the weights: not timed
        context.trim(0, 0)
        rows, slices = _read(context, text, FAST_SLICE)
        reached = sum(tokens for tokens, _ in slices)
        written, seconds = _decode(context, text, reached)
        again, seconds_alone = Rows(), list[float]()
        if model.keeps_every_token:  # a recurrent state cannot go back
            context.trim(0, reached)
            context.use_threads(1)
            again, seconds_alone = _decode(context, text, reached)
    compared = [*_pairs(known, rows), *_pairs(known, written), *_pairs(known, again)]
    with closing(_open(model, text, BATCH * HEAD, BATCH)) as context:
        context.use_threads(threads)
        compared += [pair for rows in _batched(context, text) for pair in _pairs(known, rows)]
    if switches.flash_attention:
        with closing(_open(model, text, FAST_SLICE, sequences=1, flash=True)) as context:
            context.use_threads(threads)
            rows, slices = _read(context, text, FAST_SLICE)
            fused, _ = _decode(context, text, sum(tokens for tokens, _ in slices))
        compared += [*_pairs(known, rows), *_pairs(known, fused)]
    after = [at for at in written if at + 1 < len(text.tokens)]
    return Trial(
        prefill=max(tokens / seconds for tokens, seconds in slices),
        decode=1 / min(seconds + seconds_alone),
        divergence=float(np.mean([divergence(*pair) for pair in compared])),
        continued=float(np.mean([written[at].argmax() == text.tokens[at + 1] for at in after])),
    )


def divergence(known: Row, found: Row) -> float:
    """Kullback-Leibler divergence in nats: 0 for equal rows, infinite if numbers are missing."""
    if not np.isfinite(found).all():
        return float("inf")
    return float((np.exp(known) * (known - found)).sum())


def _pairs(known: Rows, found: Rows) -> list[tuple[Row, Row]]:
    return [(known[at], row) for at, row in found.items() if at in known]


def _open(model: Model, text: Text, batch: int, sequences: int, flash: bool = False) -> Context:
    window = len(text.tokens) if sequences == 1 else HEAD + STEPS
    size = ContextSize(window=window, batch=batch, sequences=sequences)
    return Context(model, size, flash_attention=flash, cache_type="f16")


def _read(
    context: Context, text: Text, size: int, until: int | None = None
) -> tuple[Rows, list[tuple[int, float]]]:
    """Read the prompt. Returns rows, and (tokens, seconds) of each slice."""
    rows: Rows = {}
    slices: list[tuple[int, float]] = []
    end = text.prompt if until is None else min(until, text.prompt)
    began = time.perf_counter()
    for first in range(0, end, size):
        if first >= 4 * HEAD and time.perf_counter() - began > READ_SECONDS:
            break
        positions = range(first, min(first + size, end))
        entries = [Entry(text.tokens[at], at, 0, at in text.checked) for at in positions]
        start = time.perf_counter()
        context.decode(entries)
        slices.append((len(entries), time.perf_counter() - start))
        rows |= {at: _row(context, at - first) for at in positions if at in text.checked}
    return rows, slices


def _decode(context: Context, text: Text, begin: int) -> tuple[Rows, list[float]]:
    """Compute the next DECODED tokens of the text one by one. Returns rows and seconds."""
    rows: Rows = {}
    durations: list[float] = []
    for at in range(begin, min(begin + DECODED, len(text.tokens))):
        start = time.perf_counter()
        context.decode([Entry(text.tokens[at], at, 0, True)])
        durations.append(time.perf_counter() - start)
        rows[at] = _row(context, 0)
    return rows, durations


def _batched(context: Context, text: Text) -> list[Rows]:
    """The same text in BATCH sequences at once. Returns the rows of each step and sequence."""
    entries = [
        Entry(text.tokens[at], at, sequence, at == HEAD - 1)
        for sequence in range(BATCH)
        for at in range(HEAD)
    ]
    context.decode(entries)
    found = [{HEAD - 1: _row(context, (each + 1) * HEAD - 1)} for each in range(BATCH)]
    for at in range(HEAD, HEAD + STEPS):
        context.decode([Entry(text.tokens[at], at, sequence, True) for sequence in range(BATCH)])
        found += [{at: _row(context, sequence)} for sequence in range(BATCH)]
    return found


def _row(context: Context, index: int) -> Row:
    logits = context.logits(index).astype(np.float64)
    shifted = logits - logits.max()
    row: Row = shifted - np.log(np.exp(shifted).sum())
    return row


def main(
    path: str, threads: int, trials: list[dict[str, bool]], calibrate: bool, gpu_layers: int
) -> None:
    """Run the trials, or calibrate with the switches of the first. Prints a line for each part."""
    file, choices = Path(path), [Switches(**each) for each in trials]
    choices[0].apply()  # the trials of one process differ only in extra buffers
    if calibrate:
        switches = choices[0]
        model = Model(file, gpu_layers if switches.gpu else 0, switches.extra_buffers)
        figures = measure(model, threads, physical_memory(), switches.flash_attention)
        _say({"figures": asdict(figures)})
        exact = exactness.measure(model, Text.of(model).tokens, threads)
        _say({"exactness": asdict(exact)})
        return
    model = Model(file, extra_buffers=False)
    if not model.can_write:
        raise LLMError(
            f"{file.name} does not write text: it is not a chat model. Name another file as "
            "CHAT_MODEL in .env."
        )
    PromptTemplate(model).tokens([ChatMessage("user", "Hello")])
    text = Text.of(model)
    known = reference(model, text)
    cache_bytes = model.cache_bytes_per_token()
    _say({"reference": {"trained_context": model.trained_context, "cache_bytes": cache_bytes}})
    for switches in choices:
        model = _reloaded(model, gpu_layers if switches.gpu else 0, switches.extra_buffers)
        found = try_out(model, text, known, threads, switches)
        _say({"trial": asdict(switches), "found": asdict(found)})


def _reloaded(model: Model, gpu_layers: int, extra_buffers: bool) -> Model:
    """The same file with other options, unless these are its options already."""
    if (model.gpu_layers, model.extra_buffers) == (gpu_layers, extra_buffers):
        return model
    model.close()
    return Model(model.path, gpu_layers, extra_buffers)


def _say(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)


def _limit_memory() -> None:
    """Make allocations fail before the machine runs out of memory."""
    with suppress(ImportError, ValueError, OSError):  # some systems have no such limit
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (physical_memory(), physical_memory()))


if __name__ == "__main__":
    _limit_memory()
    try:
        main(**json.loads(sys.argv[1]))
    except FirstTokenError as error:
        _say({"error": str(error)})
