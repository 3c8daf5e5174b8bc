"""Document → Nodes: passages of whole sentences, no longer than the embedder reads.

Documents and a way to count tokens go in; Nodes come out, with `node.text ==
document.text[node.start_char:node.end_char]`. Pure: it knows no tokenizer and no file.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from uuid import NAMESPACE_OID, uuid5

from sentencex import segment

from engine.errors import ConfigError
from engine.schema import Document, Node

TokenCounter = Callable[[Sequence[str]], list[int]]
"""Texts → the length of each, in tokens. It is given many at once."""

Span = tuple[int, int]

# Where a line ends: a newline, and the full stops of scripts that put no space after them,
# since the sentence library takes time in the square of what it is given of those.
_LINE_END = re.compile(r"\n|(?<=[。！？｡])(?![。！？｡])[」』”’）)\]]*")
# Text wrapped by hand has lines of 60 to 100 characters; a list's items have mostly fewer.
_WRAPPED_WIDTH = 50
_ITEM_NUMBER = re.compile(r"\s*\(?(?:\d{1,3}|[a-zA-Z]|[ivxIVX]{1,4})[.)]\s*")
_BEFORE_A_NUMBER = re.compile(
    r"\b(?:abs|approx|art|ch|chap|col|eqs?|est|figs?|max|min|nos?|par|pts?|refs?|sec|tabs?|temp|"
    r"vols?)\.\s*$",
    re.IGNORECASE,
)
_WORD = re.compile(r"\S+")
# A passage has at most so many characters a token. English has 5 (SQuAD, bge's tokenizer), and
# no prose comes near 16; but that tokenizer takes any word of over 100 letters for one token.
_CHARACTERS_PER_TOKEN = 16
# Six letters a token: on SQuAD 17 % above the count of bge's tokenizer, and below it for 1.5 %
# of the passages.
_ABOUT_A_TOKEN = re.compile(r"\w{1,6}|[^\w\s]")


def sentence_spans(text: str) -> list[Span]:
    """Where the sentences are, in order: `text[start:end]`, without space around them.

    A newline ends a sentence (a heading, a list item, a row), unless the line was plainly
    wrapped by hand. Abbreviations, initials, decimals and full stops inside quotations do not.
    """
    return [span for start, end in _lines(text) for span in _sentences(text, start, end)]


def estimate_tokens(texts: Sequence[str]) -> list[int]:
    """Token counts without a tokenizer, rather too high than too low."""
    return [len(_ABOUT_A_TOKEN.findall(text)) for text in texts]


@dataclass(frozen=True, slots=True)
class SentenceSplitter:
    """Cuts documents into passages of at most `chunk_size` tokens.

    A sentence that fits is never cut; a longer one is cut between words, a longer word between
    characters. The end of a passage is repeated at the start of the next, in whole sentences of
    at most `chunk_overlap` tokens together. Where a paragraph ends in the second half of a
    passage, the passage ends with it. `count_tokens` should be the embedder's; without it,
    tokens are estimated.

    Raises:
        ConfigError: the overlap is as large as the passage, or a size makes no sense.
    """

    chunk_size: int = 1024
    chunk_overlap: int = 20
    count_tokens: TokenCounter | None = None

    def __post_init__(self) -> None:
        if self.chunk_size < 1:
            raise ConfigError(f"chunk_size is {self.chunk_size}; it must be at least 1 token.")
        if not 0 <= self.chunk_overlap < self.chunk_size:
            raise ConfigError(
                f"chunk_overlap is {self.chunk_overlap}; it must be at least 0, and smaller than "
                f"chunk_size, which is {self.chunk_size}."
            )

    def get_nodes_from_documents(self, documents: Sequence[Document]) -> list[Node]:
        """The passages of each document, in order. Positions run on over a source's documents.

        The same documents give the same ids again.
        """
        nodes: list[Node] = []
        positions: dict[str, int] = {}
        for document in documents:
            for start, end in self._passages(document.text):
                position = positions.get(document.source_id, 0)
                positions[document.source_id] = position + 1
                nodes.append(_node(document, position, start, end))
        return nodes

    def _passages(self, text: str) -> Iterator[Span]:
        pieces = self._pieces(text)
        start = done = 0
        while done < len(pieces):
            end = self._fill(pieces, start)
            if end < len(pieces):
                end = self._at_paragraph(text, pieces, max(start, done), end)
            yield pieces[start].start, pieces[end - 1].end
            done = end
            start = self._overlap(pieces, start, end)

    def _pieces(self, text: str) -> list["_Piece"]:
        """The sentences, with those that do not fit cut up."""
        pieces: list[_Piece] = []
        for piece in self._measure(text, sentence_spans(text)):
            pieces.extend([piece] if piece.size <= self.chunk_size else self._cut(text, piece))
        return pieces

    def _cut(self, text: str, long: "_Piece") -> Iterator["_Piece"]:
        """Its words, or the parts of one word that is too long itself."""
        parts = [match.span() for match in _WORD.finditer(text, long.start, long.end)]
        if len(parts) == 1:
            width = min(self.chunk_size, (long.end - long.start + 1) // 2)
            starts = range(long.start, long.end, width)
            parts = [(start, min(start + width, long.end)) for start in starts]
        for word in self._measure(text, parts):
            if word.size <= self.chunk_size or word.end - word.start == 1:
                yield word
            else:
                yield from self._cut(text, word)

    def _measure(self, text: str, spans: Sequence[Span]) -> list["_Piece"]:
        count = self.count_tokens or estimate_tokens
        tokens = count([text[start:end] for start, end in spans])
        return [
            _Piece(start, end, max(size, (end - start) // _CHARACTERS_PER_TOKEN, 1))
            for (start, end), size in zip(spans, tokens, strict=True)
        ]

    def _fill(self, pieces: Sequence["_Piece"], start: int) -> int:
        """The end of the longest run from `start` that fits; one piece at least."""
        sizes = accumulate(piece.size for piece in pieces[start : start + self.chunk_size])
        return start + max(1, sum(1 for size in sizes if size <= self.chunk_size))

    def _at_paragraph(self, text: str, pieces: Sequence["_Piece"], start: int, end: int) -> int:
        """The last end of a paragraph in the second half of what is new; else `end`."""
        room = self.chunk_size // 2
        for last in range(end, start + 1, -1):
            gap = text[pieces[last - 1].end : pieces[last].start]
            if gap.count("\n") > 1:
                return last
            room -= pieces[last - 1].size
            if room < 0:
                break
        return end

    def _overlap(self, pieces: Sequence["_Piece"], start: int, end: int) -> int:
        """Where the next passage starts: inside this one's end, if the next piece fits too."""
        if end == len(pieces):
            return end
        room = min(self.chunk_overlap, self.chunk_size - pieces[end].size)
        first = end
        while first - 1 > start and pieces[first - 1].size <= room:
            first -= 1
            room -= pieces[first].size
        return first


@dataclass(frozen=True, slots=True)
class _Piece:
    """A sentence, or a part of one too long: `text[start:end]`, of `size` tokens."""

    start: int
    end: int
    size: int


def _node(document: Document, position: int, start: int, end: int) -> Node:
    text = document.text[start:end]
    return Node(
        text=text,
        metadata=document.metadata,
        id_=str(uuid5(NAMESPACE_OID, f"{document.source_id}\n{position}\n{text}")),
        source_id=document.source_id,
        position=position,
        start_char=start,
        end_char=end,
    )


def _lines(text: str) -> Iterator[Span]:
    start = 0
    for match in _LINE_END.finditer(text):
        if not (match.group() == "\n" and _wrapped(text, match.start())):
            yield start, match.end()
            start = match.end()
    yield start, len(text)


def _wrapped(text: str, newline: int) -> bool:
    """Whether the sentence goes on after this newline."""
    width = newline - text.rfind("\n", 0, newline) - 1
    before, after = text[newline - 1 : newline], text[newline + 1 : newline + 2]
    return width >= _WRAPPED_WIDTH and (before.isalpha() or before == ",") and after.islower()


def _sentences(text: str, start: int, end: int) -> Iterator[Span]:
    line = text[start:end].encode("utf-8", "replace").decode()  # it takes no lone surrogates
    if not line.strip():
        return
    parts = segment("en", line)
    if "".join(parts) != line:  # the library promises nothing; positions must hold
        parts = [line]
    for part in _mended(parts):
        if part.strip():
            yield start + len(part) - len(part.lstrip()), start + len(part.rstrip())
        start += len(part)


def _mended(parts: Sequence[str]) -> list[str]:
    """Together what the library parts: "2." and its item, "Vol." and its number."""
    mended: list[str] = []
    for part in parts:
        before = mended[-1] if mended else ""
        if _ITEM_NUMBER.fullmatch(before) or (
            part[:1].isdigit() and _BEFORE_A_NUMBER.search(before)
        ):
            mended[-1] += part
        else:
            mended.append(part)
    return mended
