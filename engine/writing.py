"""Writing: passages → the text of an answer, and whether they support it."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from engine.checking import check, stated
from engine.llm.repetition import NOTE
from engine.prompting import NOT_SAID
from engine.response import Answer
from engine.retrieving import NOT_FOUND
from engine.schema import NodeWithScore
from engine.synthesis import ResponseSynthesizer, Written


def write(
    synthesizer: ResponseSynthesizer,
    question: str,
    sources: Sequence[NodeWithScore],
    answer: Answer,
    doubtful: bool = False,
) -> None:
    """Let the model write, and check what it wrote. Without streaming, the text is one chunk.

    If the model writes that the text does not say it, the answer has no text, and the note says
    that nothing was found. `doubtful`: the passages are probably not about the question. Then the
    text is kept back until it is complete, and is dropped unless one place of the passages states
    it.
    """
    run = answer.run
    whole: list[str] = []
    stream: Callable[[str], None] = answer.write if answer.streaming else whole.append
    to = _Held(whole.append if doubtful else stream)
    try:
        written = synthesizer.write(question, sources, run, to, answer.begin_last_call)
        dropped = to.refuses or (
            doubtful and not stated(written.text, question, written.read, written.calculation)
        )
    except BaseException:  # an answer that is stopped or fails keeps its text so far
        dropped = doubtful
        raise
    finally:
        to.release()
        if whole and not dropped:
            answer.write("".join(whole))
    if dropped:
        run.note(NOT_FOUND)
        return
    if doubtful:
        answer.found(_stating_first(written, question, sources))
    if written.repeated:
        answer.keep(written.text)
        run.note(NOTE)
    read = filter(None, [*written.read, written.calculation])
    answer.check = check(written.text, question, list(read))
    run.note(answer.check.problem)


def _stating_first(
    written: Written, question: str, sources: Sequence[NodeWithScore]
) -> list[NodeWithScore]:
    """The passages that state an answer before the others; all, if none states it alone."""
    alone = [
        stated(written.text, question, [source.text], written.calculation) for source in sources
    ]
    marked = []
    for source, states in zip(sources, alone if any(alone) else [True] * len(alone), strict=True):
        marked.append(replace(source, scores=replace(source.scores, stated=states)))
    return sorted(marked, key=lambda source: not source.scores.stated)


class _Held:
    """Keeps a text back as long as it may become NOT_SAID, and passes every other text on."""

    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._held: str | None = ""

    def __call__(self, chunk: str) -> None:
        if self._held is None:
            self._write(chunk)
            return
        self._held += chunk
        said = _plain(self._held)
        if not self.refuses and not _REFUSAL.startswith(said):
            self.release()

    @property
    def refuses(self) -> bool:
        """Whether the text is NOT_SAID, perhaps with what is not said, and no further sentence."""
        held = self._held or ""
        return _plain(held).startswith(_REFUSAL) and not _NEXT_SENTENCE.search(held.strip())

    def release(self) -> None:
        if self._held and not self.refuses:
            self._write(self._held)
        if not self.refuses:
            self._held = None


def _plain(text: str) -> str:
    return " ".join(text.lower().split()).strip(" .*\"'")


_REFUSAL = _plain(NOT_SAID)
_NEXT_SENTENCE = re.compile(r"[.!?\n]\s*\S")
