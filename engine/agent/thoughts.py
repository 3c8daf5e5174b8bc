"""Thoughts in a stream of text: what stands between <think> and </think>. Pure.

Reasoning models write them so. Pieces come in and go out as they come; a mark split over two
pieces is still found.
"""

from collections.abc import Iterable, Iterator

from engine.agent.task import Thought

_OPEN, _CLOSE = "<think>", "</think>"


def split_thoughts(pieces: Iterable[str]) -> Iterator[str | Thought]:
    """The same text, with the thoughts marked as such and their marks gone."""
    held, thinking = "", False
    for piece in pieces:
        held += piece
        while (mark := _CLOSE if thinking else _OPEN) in held:
            before, _, held = held.partition(mark)
            yield from _part(before, thinking)
            thinking = not thinking
        safe = len(held) - _beginning_of(mark, held)
        yield from _part(held[:safe], thinking)
        held = held[safe:]
    yield from _part(held, thinking)


def _part(text: str, thinking: bool) -> Iterator[str | Thought]:
    if text:
        yield Thought(text) if thinking else text


def _beginning_of(mark: str, text: str) -> int:
    """How many characters at the end of the text may be the beginning of the mark."""
    lengths = range(min(len(mark) - 1, len(text)), 0, -1)
    return next((n for n in lengths if text.endswith(mark[:n])), 0)
