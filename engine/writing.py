"""Writing: passages → the text of an answer, and whether they support it."""

from collections.abc import Callable, Sequence

from engine.checking import check
from engine.llm.repetition import NOTE
from engine.response import Answer
from engine.schema import NodeWithScore
from engine.synthesis import ResponseSynthesizer


def write(
    synthesizer: ResponseSynthesizer,
    question: str,
    sources: Sequence[NodeWithScore],
    answer: Answer,
) -> None:
    """Let the model write, and check what it wrote. Without streaming, the text is one chunk."""
    run = answer.run
    whole: list[str] = []
    to: Callable[[str], None] = answer.write if answer.streaming else whole.append
    try:
        written = synthesizer.write(question, sources, run, to, answer.begin_last_call)
    finally:  # an answer that is stopped or fails keeps its text so far
        if whole:
            answer.write("".join(whole))
    if written.repeated:
        answer.keep(written.text)
        run.note(NOTE)
    answer.check = check(written.text, question, written.read)
    run.note(answer.check.problem)
