"""What a reader notices of an answer: when the sentence with the answer is there, and how long the
reader waits for text.

    question, answer → where the sentence with the answer ends
    a run, a reading speed → what was read when
"""

from collections.abc import Callable
from dataclasses import dataclass

from engine.embedding import Reranker
from engine.measuring.record import Measurement
from engine.measuring.schedule import Mode
from engine.splitting import sentence_spans

ADULT = 238  # words a minute, reading silently in English: Brysbaert 2019

FindUseful = Callable[[str, str], int]
"""(question, answer) → the number of characters until the sentence with the answer ends; 0 if
that is not known."""


def useful_by(reranker: Callable[[], Reranker]) -> FindUseful:
    """The first sentence that the cross-encoder takes for an answer, or else the likeliest one."""
    known: dict[tuple[str, str], int] = {}

    def find(question: str, text: str) -> int:
        if (question, text) not in known:
            spans = sentence_spans(text)
            scores = reranker().score(question, [text[start:end] for start, end in spans])
            answers = (place for place, score in enumerate(scores) if score > 0)
            best = max(range(len(spans)), key=scores.__getitem__, default=None)
            place = next(answers, best)
            known[question, text] = 0 if place is None else spans[place][1]
        return known[question, text]

    return find


def first_useful(run: Measurement) -> float | None:
    """Seconds until the reader has the sentence with the answer; None if that is not known."""
    if not run.useful:
        return None
    length = 0
    for chunk in run.chunks:
        length += len(chunk.text)
        if length >= run.useful:
            return chunk.received
    return None


@dataclass(frozen=True, slots=True)
class Reading:
    """How somebody reads an answer, in seconds since the question.

    pauses: (from, to) in which the reader waits for text. finished: when the last word is read.
    words: (when it is read, how many words are read then), for each chunk.
    """

    pauses: list[tuple[float, float]]
    finished: float
    words: list[tuple[float, int]]

    @property
    def waited(self) -> float:
        return sum(end - begin for begin, end in self.pauses)

    def read_by(self, moment: float) -> int:
        """The number of words that have been read at a moment."""
        return max((count for when, count in self.words if when <= moment), default=0)


def reading(run: Measurement, mode: Mode, words_a_minute: float) -> Reading:
    """A reader at a steady speed, who waits whenever everything there is has been read.

    Without streaming, everything comes with the last chunk.
    """
    arrivals = [(chunk.received, chunk.text) for chunk in run.chunks]
    if mode is Mode.BLOCKING and arrivals:
        arrivals = [(arrivals[-1][0], run.text)]
    now, text, count = 0.0, "", 0
    pauses: list[tuple[float, float]] = []
    words: list[tuple[float, int]] = []
    for arrival, piece in arrivals:
        if arrival > now:
            joined = bool(pauses) and pauses[-1][1] == now
            pauses = (
                [*pauses[:-1], (pauses[-1][0], arrival)] if joined else [*pauses, (now, arrival)]
            )
            now = arrival
        text += piece
        there = len(text.split())
        for number in range(count + 1, there + 1):
            now += 60 / words_a_minute
            words.append((now, number))
        count = there
    return Reading(pauses, now, words)
