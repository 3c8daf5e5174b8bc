"""Untrusted text → Markdown that only shows the text.

An answer or a document may contain an image whose address leaks the question, a link that hides its
target, HTML, or Streamlit's markup ($…$, :name:). Every character that can begin one of these is
escaped, so a chunk may end anywhere. Emphasis, lists, tables and code are kept.
"""

from collections.abc import Callable, Sequence

from engine.splitting import sentence_spans

_ESCAPED = str.maketrans({c: "\\" + c for c in "[]<>$:~"} | {"&": "&amp;"})


def answer_markdown(text: str) -> str:
    """For text that a model wrote: lists and emphasis work, links and images show their source."""
    return text.translate(_ESCAPED)


def with_marks(text: str, marks: Sequence[tuple[int, int]], link: Callable[[int], str]) -> str:
    """`answer_markdown` with a linked number after each place (the first of each pair).

    There is no number within a table or code, where its markup would show.
    """
    parts: list[str] = []
    done = 0
    for place, number in marks:
        if not _takes_a_link(text, place):
            continue
        parts.append(f"{answer_markdown(text[done:place])} [\\[{number}\\]]({link(number)})")
        done = place
    return "".join([*parts, answer_markdown(text[done:])])


def _takes_a_link(text: str, place: int) -> bool:
    before = text[:place]
    line = before.rpartition("\n")[2]
    return before.count("`") % 2 == 0 and not line.startswith(("|", "    ", "\t"))


_PLAIN = str.maketrans({c: "\\" + c for c in "\\`*_{}[]<>()#+-.!|$:~"} | {"&": "&amp;"})


def plain_markdown(text: str) -> str:
    """For text of a document: every character is shown literally, and line ends as spaces."""
    return " ".join(text.split()).translate(_PLAIN)


def passage_markdown(text: str, marked: Sequence[tuple[int, int]] = ()) -> str:
    """`plain_markdown` of a passage that keeps its lines: a heading stays on a line of its own.

    A sentence that overlaps one of the spans `marked` is highlighted. Lines that the page's
    layout broke within a sentence are joined.
    """
    parts: list[str] = []
    done = 0
    for start, end in sentence_spans(text):
        sentence = plain_markdown(text[start:end])
        if any(first < end and start < last for first, last in marked):
            sentence = f":blue-background[{sentence}]"
        gap = text[done:start]
        separator = "\n\n" if gap.count("\n") > 1 else "  \n" if "\n" in gap else " "
        parts.append(separator + sentence if parts else sentence)
        done = end
    return "".join(parts)
