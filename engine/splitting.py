"""Document → Nodes: passages of whole sentences, no longer than the embedder reads.

Documents and a function that counts tokens go in; Nodes come out, with `node.text ==
document.text[node.start_char:node.end_char]`. (Lone surrogates, which a store cannot encode, are
replaced by "?".) Besides the nodes, splitting needs a few megabytes of memory for a text of any
length: lines are read in windows, and tokens are counted in batches.
"""

import re
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from uuid import NAMESPACE_OID, uuid5

from sentencex import segment

from engine.errors import ConfigError
from engine.schema import Document, Node

TokenCounter = Callable[[Sequence[str]], list[int]]
"""Texts → the length of each, in tokens. It is called with many texts at once."""

Span = tuple[int, int]

# A line ends at a newline, and at the full stops of scripts that put no space after them, because
# the sentence library needs quadratic time on text in those scripts.
_LINE_END = re.compile(r"\n|(?<=[。！？｡])(?![。！？｡])[」』”’）)\]]*")
# Text wrapped by hand has lines of 60 to 100 characters; a list's items have mostly fewer.
_WRAPPED_WIDTH = 50
_ITEM_NUMBER = re.compile(r"\s*\(?(?:\d{1,3}|[a-zA-Z]|[ivxIVX]{1,4})[.)]\s*")
_NAMED_CELL = re.compile(r"[^\s:;][^:;\n]{0,60}+: ")
_BEFORE_A_NUMBER = re.compile(
    r"\b(?:abs|approx|art|ch|chap|col|eqs?|est|figs?|max|min|nos?|par|pts?|refs?|sec|tabs?|temp|"
    r"vols?)\.$",
    re.IGNORECASE,
)
# A longer line is read in windows of this many characters, and a longer sentence is cut at a space.
# A window is two to three times as long as the default passage. The time of the sentence library is
# quadratic in the number of quotation marks: 60 ms for a window that has nothing else.
_WINDOW = 10_000
# Texts are passed to the tokenizer in batches of this many characters. It needs up to 200 bytes of
# memory for each character while it counts.
_BATCH = 50_000
_WORD = re.compile(r"\S+")
# The longest passage, in characters per token. English has 5 (SQuAD, bge's tokenizer), and no prose
# has nearly 16. The limit is for words of over 100 letters: each is one token for that tokenizer.
_CHARACTERS_PER_TOKEN = 16
# One token for each six letters. On SQuAD this estimate is 17 % above the count of bge's tokenizer,
# and below it for 1.5 % of the passages.
_ABOUT_A_TOKEN = re.compile(r"\w{1,6}|[^\w\s]")


def sentence_spans(text: str) -> list[Span]:
    """Where the sentences are, in order: `text[start:end]`, without space around them.

    A newline ends a sentence (a heading, a list item, a row), unless the line was plainly
    wrapped by hand. Abbreviations, initials, decimals and full stops inside quotations do not.
    """
    return list(_sentence_spans(text))


# Characters of a line that is a heading; lines that are wrapped by hand are taken for headings only
# if they stand alone
_LONGEST_HEADING = 100
_ROW_OR_ITEM = re.compile(r"[-*•‣–+|] |.* \| |[^:]*: .*; ")


def is_heading(text: str, start: int, end: int) -> bool:
    """Whether a sentence is a short line of its own that does not end, below an empty line."""
    return (
        end - start <= _LONGEST_HEADING
        and text[end - 1] not in '.!…。;,”"'
        and text[end : end + 1] == "\n"
        and (start == 0 or text[start - 2 : start] == "\n\n")
        and not _ROW_OR_ITEM.match(text[start:end])
    )


def statement_spans(text: str) -> list[tuple[int, int, int]]:
    """The sentences, without headings: where the heading directly above one begins, or else the
    sentence itself; where the sentence begins and ends.

    A heading alone answers nothing, but says what is answered: "What tyre pressure is right?"
    """
    spans: list[tuple[int, int, int]] = []
    heading: int | None = None
    for start, end in _sentence_spans(text):
        if heading is None and is_heading(text, start, end):
            heading = start
            continue
        spans.append((start if heading is None else heading, start, end))
        heading = None
    if heading is not None:
        spans.append((heading, heading, len(text.rstrip())))
    return spans


def estimate_tokens(texts: Sequence[str]) -> list[int]:
    """Token counts without a tokenizer. They are usually too high."""
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
        """The passages of each document, in order. Positions continue through a source's documents.

        The same documents always get the same ids.
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
        source = self._pieces(text)
        window: list[_Piece] = []  # the passage's pieces, and the first that does not fit
        size = repeated = 0  # tokens in the window; pieces in it that the last passage has too
        while True:
            while len(window) < 2 or size <= self.chunk_size:
                if (piece := next(source, None)) is None:
                    break
                window.append(piece)
                size += piece.size
            if len(window) == repeated:
                return
            end = len(window)
            if size > self.chunk_size and len(window) > 1:
                end -= 1
                end = self._at_paragraph(text, window, repeated, end)
            yield window[0].start, window[end - 1].end
            first = self._overlap(window, end)
            size -= sum(piece.size for piece in window[:first])
            repeated = end - first
            window = window[first:]

    def _pieces(self, text: str) -> Iterator["_Piece"]:
        """The sentences. Those that are longer than a passage are cut."""
        for piece in self._measure(text, _sentence_spans(text)):
            if piece.size <= self.chunk_size:
                yield piece
            else:
                yield from self._cut(text, piece)

    def _cut(self, text: str, long: "_Piece") -> Iterator["_Piece"]:
        """The words of a sentence that is too long, or the parts of a word that is too long."""
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

    def _measure(self, text: str, spans: Iterable[Span]) -> Iterator["_Piece"]:
        count = self.count_tokens or estimate_tokens
        for batch in _batches(spans):
            tokens = count([_storable(text[start:end]) for start, end in batch])
            for (start, end), size in zip(batch, tokens, strict=True):
                yield _Piece(start, end, max(size, (end - start) // _CHARACTERS_PER_TOKEN, 1))

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

    def _overlap(self, pieces: Sequence["_Piece"], end: int) -> int:
        """Where the next passage starts: inside this one's end, if the next piece fits too."""
        if end == len(pieces):
            return end
        room = min(self.chunk_overlap, self.chunk_size - pieces[end].size)
        first = end
        while first > 1 and pieces[first - 1].size <= room:
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
    text = _storable(document.text[start:end])
    metadata = document.metadata
    if lines := metadata.get("lines"):
        within = [
            [max(first, start) - start, min(last, end) - start, *place]
            for first, last, *place in lines
            if first < end and last > start
        ]
        metadata = {**metadata, "lines": within}
    return Node(
        text=text,
        metadata=metadata,
        id_=str(uuid5(NAMESPACE_OID, f"{_storable(document.source_id)}\n{position}\n{text}")),
        source_id=document.source_id,
        position=position,
        start_char=start,
        end_char=end,
    )


def _storable(text: str) -> str:
    """The text that UTF-8 can encode: each lone surrogate is replaced by one "?"."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _batches(spans: Iterable[Span]) -> Iterator[list[Span]]:
    batch: list[Span] = []
    characters = 0
    for start, end in spans:
        batch.append((start, end))
        characters += end - start
        if characters >= _BATCH:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def _sentence_spans(text: str) -> Iterator[Span]:
    for start, end in _lines(text):
        while end - start > _WINDOW:
            window = start + _WINDOW
            spans = list(_sentences(text, start, window))
            if len(spans) > 1:
                yield from spans[:-1]  # the last one may continue after the window
                start = spans[-1][0]
            else:
                space = max(text.rfind(sign, start + _WINDOW // 2, window) for sign in " \t")
                window = window if space < 0 else space
                yield from _sentences(text, start, window)
                start = window
        yield from _sentences(text, start, end)


def _lines(text: str) -> Iterator[Span]:
    start = 0
    for match in _LINE_END.finditer(text):
        if not (match.group() == "\n" and _wrapped(text, match.start())):
            yield start, match.end()
            start = match.end()
    yield start, len(text)


def _wrapped(text: str, newline: int) -> bool:
    """Whether the sentence continues after this newline."""
    first = text.rfind("\n", 0, newline) + 1
    width = newline - first
    named = _NAMED_CELL.match(text, newline + 1)
    if named and text.startswith(named[0], first):  # rows of a table: each has the same names
        return False
    before, after = text[newline - 1 : newline], text[newline + 1 : newline + 2]
    return width >= _WRAPPED_WIDTH and (before.isalpha() or before == ",") and after.islower()


def _sentences(text: str, start: int, end: int) -> Iterator[Span]:
    line = _storable(text[start:end])  # the library takes no lone surrogates
    if not line.strip():
        return
    parts = segment("en", line)
    if "".join(parts) != line:  # the library does not guarantee this, and positions must be right
        parts = [line]
    sentence: list[str] = []
    for part in parts:
        # the library separates "2." from its item, and "Vol." from its number
        alone = len(sentence) == 1 and _ITEM_NUMBER.fullmatch(sentence[0])
        before = sentence[-1][-100:].rstrip()[-20:] if sentence else ""
        number = part[:1].isdigit() and _BEFORE_A_NUMBER.search(before)
        if sentence and not (alone or number):
            start = yield from _trimmed("".join(sentence), start)
            sentence = []
        sentence.append(part)
    yield from _trimmed("".join(sentence), start)


def _trimmed(sentence: str, start: int) -> Generator[Span, None, int]:
    """Its span without the space around it, if there is any text. Returns where the next starts."""
    if sentence.strip():
        yield start + len(sentence) - len(sentence.lstrip()), start + len(sentence.rstrip())
    return start + len(sentence)
