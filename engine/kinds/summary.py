"""Summaries: of a document, a part of one, several documents, or the whole collection.

Every part is read. For a small model, the summary is extractive: the most central sentences, in
order, quoted. A larger model reads the parts and writes (`tree_summarize`). A table is described by
its columns and its number of rows.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from engine.kinds.by_example import names_all
from engine.kinds.central import EMBEDDED, Sentence, central, how_many
from engine.kinds.finding import Finder, Treated, marked
from engine.kinds.naming import books_named, part_named
from engine.kinds.on_topic import is_statement
from engine.kinds.recognising import EVERYTHING, Asked, Kind
from engine.kinds.shelf import Book, sentences
from engine.kinds.tables import ENTRY, TEXT, Piece, Table
from engine.kinds.words import terms_of
from engine.run import Phase, Run
from engine.schema import NodeWithScore

# Of many documents: sentences of each, and documents, at most. The passages in whose documents a
# part is looked for that a question names without its document.
FEW, SHOWN, LIKELY = 2, 25, 20
# Characters of a line that is a heading, at most: lines that are wrapped by hand are longer. Words
# of a sentence that is quoted, at least.
HEADING, SHORTEST = 50, 5


@dataclass(frozen=True, slots=True)
class Scope:
    """What is to be summarised: these pieces of a document, called `name`."""

    book: Book
    pieces: list[Piece]
    name: str
    whole: bool


def scopes_of(asked: Asked, finder: Finder, run: Run) -> list[Scope]:
    """The documents, or the part of one, that a question names; none if it names none.

    Of more than SHOWN documents, those that were added last, with a note.
    """
    books = finder.shelf.books()
    about = asked["about"]
    if EVERYTHING.fullmatch(about.partition(",")[0]):
        about = about.partition(",")[0]  # "everything in here, what is it all about"
    if (
        EVERYTHING.fullmatch(about)
        or names_all(about)
        or re.fullmatch(r"(?:it|this|that|them)(?: all)?", about, re.I)
    ):
        if len(books) > SHOWN:
            run.note(
                f"This is about the {SHOWN} documents that were added last, of {len(books):,}."
            )
        return [_whole(each, finder) for each in books[:SHOWN]]
    # "chapter 4 of the handbook, the one about avalanches"
    about = _TOPIC_LAST.sub(r"\1\3 of \2", re.sub(r", the one .*$", "", about))
    head, _, tail = about.partition(" of ")
    for phrase, part in ((tail, head), (about, about)):
        named = books_named(phrase, books) if phrase else None
        if named and named.books:
            found = [
                (each, _part(part if phrase is tail else named.rest, each, finder))
                for each in named.books
            ]
            parts = [Scope(book, pieces, name, False) for book, (pieces, name) in found if pieces]
            if parts:
                return parts
            if phrase is tail and len(set(terms_of(part)) - _CALLED) > 1:
                return []  # "the rules for cancelling a booking of the hall": a topic
            if phrase is about or not _names_a_part(part):
                return [_whole(each, finder) for each in named.books]
    found_passages = finder.passages(about, LIKELY, run)
    likely = {each.node.source_id for each in found_passages}
    for book in books:
        pieces, name = _part(about, book, finder) if book.source.source_id in likely else ([], "")
        if pieces:
            return [Scope(book, pieces, name, False)]
    called = _IS_A_DOCUMENT.match(about)
    if called and (wanted := set(terms_of(about[called.end() :]))):
        for each in found_passages:  # "the letter of Ann Lee", which names her
            if wanted <= set(terms_of(each.text)):
                return [
                    _whole(b, finder) for b in books if b.source.source_id == each.node.source_id
                ]
    return []


# "the chapter of the handbook about avalanches", "section 3 in the handbook"
_TOPIC_LAST = re.compile(
    r"^((?:the )?(?:chapter|section|part|paragraph)(?: \w+)?) (?:of|in|from) (.+?)"
    r"((?: (?:about|on|regarding|concerning|called|named) .+)?)$",
    re.IGNORECASE,
)


def _whole(book: Book, finder: Finder) -> Scope:
    return Scope(book, finder.shelf.pieces(book.source.source_id), book.name, True)


def _names_a_part(phrase: str) -> bool:
    return bool(
        re.search(r"\b(?:chapter|section|part|article|page|meeting|item|paragraph)\b", phrase, re.I)
    )


def _part(phrase: str, book: Book, finder: Finder) -> tuple[list[Piece], str]:
    """The pieces of the part of a document that a phrase names, and its name."""
    if not phrase.strip():
        return [], ""
    pieces = finder.shelf.pieces(book.source.source_id)
    if found := part_named(phrase, pieces):
        heading = str(found[0].node.metadata.get("heading") or "").rpartition(" › ")[2]
        if match := re.search(r"page (\d+)", phrase, re.IGNORECASE):
            heading = f"page {match[1]}"
        return found, f"{heading} ({book.name})"
    # an entry, such as a meeting in the minutes: its heading has all words of the phrase
    wanted = set(terms_of(phrase)) - _CALLED
    digits = set(re.findall(r"\d+", phrase))
    for table in finder.shelf.tables(book.source.source_id):
        if table.sort != "entries" or not digits:
            continue
        for row in table.rows:
            if wanted <= set(terms_of(row.cells[ENTRY])) and digits <= set(
                re.findall(r"\d+", row.cells[ENTRY])
            ):
                return _pieces_of(row.node.position, row.start, row.cells.get(TEXT, ""), pieces), (
                    f"{row.cells[ENTRY]} ({book.name})"
                )
    return [], ""


_CALLED = frozenset(terms_of("summary note minute entry section part document file"))
_DOCUMENTS = (
    "letter|e?-?mail|report|reply|answer|complaint|message|memo|article|speech|contract|agreement|"
    "story|minutes|notes?"
)
_IS_A_DOCUMENT = re.compile(rf"(?:the |my |our )?(?:\w+ )?(?:{_DOCUMENTS})\b", re.IGNORECASE)


def _pieces_of(position: int, start: int, text: str, pieces: Sequence[Piece]) -> list[Piece]:
    """The pieces that have this text, from this place on: the first is cut at its beginning."""
    found: list[Piece] = []
    left = len(text)
    for piece in pieces:
        if piece.node.position < position or left <= 0:
            continue
        fresh = start if piece.node.position == position else piece.fresh
        found.append(Piece(piece.node, fresh, min(len(piece.node.text), fresh + left + 150)))
        left -= len(piece.node.text) - fresh
    return found


def extract(scope: Scope, most: int, finder: Finder, run: Run) -> list[Sentence]:
    """The central sentences of a scope, in order. `most`: 0 for as many as its length asks for.

    Reports the parts that have been read.
    """
    found = _statements(scope)
    parts = len(scope.pieces)

    def read(done: int) -> None:
        run.report(Phase.SUMMARISING, done * parts // max(1, min(len(found), EMBEDDED)), parts)

    with run.span("summary"):
        return central(
            found, most or how_many(found), lambda texts: finder.embedding.embed(texts, run, read)
        )


def _statements(scope: Scope) -> list[Sentence]:
    """The sentences of a scope that say something, in blocks below headings."""
    found: list[Sentence] = []
    block, heading, first = 0, "", True
    for piece in scope.pieces:
        begun: int | None = None  # where a sentence begins that its line does not end
        for start, end in sentences(piece):
            text = piece.node.text[start:end]
            in_brackets = text.endswith(")") and _is_heading(piece.node.text, start, end)
            if not is_statement(text) or in_brackets:
                if _is_heading(piece.node.text, start, end):
                    block, heading, first, begun = block + 1, " ".join(text.split()), True, None
                elif len(text) > HEADING:
                    begun = start if begun is None else begun
                continue
            whole = start if begun is None else begun
            begun = None
            if len(text.split()) >= SHORTEST:
                found.append(Sentence(piece.node, whole, end, block, heading, first))
                first = False
    return found


def _is_heading(text: str, start: int, end: int) -> bool:
    """Whether a sentence is a short line of its own that does not go on."""
    line = text[start:end]
    alone = text[:start].endswith("\n") or start == 0
    alone = alone and (text[end:].startswith("\n") or end == len(text))
    short = len(line) <= HEADING and line[-1] not in ",;:?"
    row = re.search(r"\d[:.]\d\d|\S {2,}\S|[€$£]", line)  # "Friday  8:00 - 17:00"
    return alone and short and not row and re.search(r"[^\W\d_]{3}", line) is not None


def tables_in(scope: Scope, finder: Finder) -> list[Table]:
    """The tables of rows in a document, if it has hardly anything else."""
    tables = [
        each for each in finder.shelf.tables(scope.book.source.source_id) if each.sort == "rows"
    ]
    rows = sum(row.end - row.start for table in tables for row in table.rows)
    text = sum(len(piece.node.text) - piece.fresh for piece in scope.pieces)
    return tables if scope.whole and rows > 0.6 * text else []


def described(table: Table) -> str:
    """A table in a sentence: its rows, its columns, and its first column's first cells."""
    columns = ", ".join(table.columns)
    first = list(dict.fromkeys(filter(None, table.column(table.columns[0]))))
    shown = ", ".join(first[:5]) + (f" and {len(first) - 5} more" if len(first) > 5 else "")
    rows = f"{len(table.rows)} row{'s' * (len(table.rows) != 1)}"
    return f"A table of {rows} with the columns {columns}. {table.columns[0]}: {shown}."


def summary_by_code(scopes: Sequence[Scope], finder: Finder, run: Run) -> Treated:
    """The summary for a small model."""
    sources: list[NodeWithScore] = []
    lines: list[str] = []
    several = len(scopes) > 1
    for scope in scopes:
        run.check()
        if several:
            title = f" – {scope.book.title}" if scope.book.title else ""
            lines.append(f"{chr(10) * bool(lines)}**{scope.name}**{title}\n\n")
        elif scope.whole and scope.book.title:
            lines.append(f"**{scope.book.title}**\n\n")
        if tables := tables_in(scope, finder):
            for table in tables:
                lines.append(f"- {described(table)}\n")
                row = table.rows[0]
                sources.append(marked(row.node, [(row.start, row.end)]))
            continue
        chosen = extract(scope, FEW if several else 0, finder, run)
        lines += _quoted(chosen, scope.name)
        for node in dict.fromkeys(sentence.node.id_ for sentence in chosen):
            group = [each for each in chosen if each.node.id_ == node]
            sources.append(marked(group[0].node, [(each.start, each.end) for each in group]))
    return Treated(Kind.SUMMARY, did_of(scopes), sources, tuple(lines))


def _quoted(chosen: Sequence[Sentence], name: str) -> list[str]:
    """Lines: the sentences, each below its heading's name where that changes."""
    lines, before = [], name
    for sentence in chosen:
        heading = (
            sentence.heading if sentence.heading != before and sentence.heading not in name else ""
        )
        before = sentence.heading
        lines.append(f"- {heading}{': ' * bool(heading)}“{sentence.text}”\n")
    return lines


def did_of(scopes: Sequence[Scope]) -> str:
    parts = sum(len(scope.pieces) for scope in scopes)
    name = scopes[0].name if len(scopes) == 1 else f"{len(scopes)} documents"
    return f"Summary of {name}, read in {parts} part{'s' * (parts != 1)}"
