"""The passages of a document → its tables: rows of named cells, each with its place. Pure.

Readers write a row of a spreadsheet, a CSV file or a table as one line, "Fare: Adult; Price: 14",
so the rows can be read back from the passages. These structures are tables too:

    rows with a bar         "Signal | Meaning", as in the text of a PDF
    pairs                   "Adult: 14 crowns", three lines and more
    lists                   lines with bullets or numbers
    entries                 "No. 3 - 3 February 2024, Code Blue", and the text below it
    outlines                the headings of a document

A structure needs `FEWEST` rows to be one.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from engine.english import ONES, TENS
from engine.reading.tables import has_header
from engine.schema import Node

FEWEST = 3
ITEM, DETAIL, ENTRY, TITLE, TEXT = "item", "detail", "entry", "title", "text"
HEADING = "heading"  # the column of an outline
PARAGRAPHS = "¶"  # of an entry, while it is read

_NAME = r"[^\s:;|][^:;|\n]{0,59}?"
_FIRST_CELL = re.compile(rf"({_NAME}): \S")
_CELL = re.compile(rf"(?:^|; )({_NAME}): (?=\S)")
_PAIR = re.compile(rf"\s*(?:[-*•‣–+] )?({_NAME}):\s+(\S.*)")
_BULLET = re.compile(r"\s*(?:[-*•‣–+]|\(?\d{1,3}[.)]|[a-z]\))\s+(\S.*)")
_DOTS = re.compile(r"(\s*+\S.{0,59}?)(?>\s*(?:\.{3}|…|\t)[\s.…]*+| {3,}+)(\S.{0,40})")
_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|"
    r"sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)"
)
_ROWS = re.compile(r"(?:rows?|items?|lines?) [\d–]+")  # a heading that readers give to rows
_LONGEST_HEADING = 100  # characters
_LONGEST_PAIR = 200
_RULE = re.compile(r"\s*[=\-_*~]{3,}\s*")


@dataclass(frozen=True, slots=True)
class Piece:
    """A passage, or a part of it: `text` begins where the text begins that no earlier passage has.

    `end`: where it ends; 0 for the end of the passage.
    """

    node: Node
    fresh: int = 0
    end: int = 0

    @property
    def text(self) -> str:
        return self.node.text[self.fresh : self.end or None]


@dataclass(frozen=True, slots=True)
class Row:
    """The cells by the names of their columns; empty cells are missing. `node.text[start:end]`."""

    cells: dict[str, str]
    node: Node
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Table:
    """`name`: the heading above it, or the sheet; `above`: the heading above that one, which is no
    title; empty where there is none."""

    sort: str
    name: str
    source_id: str
    file_name: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    title: str = ""
    above: str = ""

    def column(self, name: str) -> list[str]:
        return [row.cells.get(name, "") for row in self.rows]


@dataclass(slots=True)
class _Line:
    """`piece.node.text[start:end]`; `text` may go on in the next piece."""

    text: str
    piece: Piece
    start: int
    end: int


@dataclass(slots=True)
class _Group:
    """Lines of one structure that follow each other, with the line before them."""

    sort: str
    lines: list[_Line] = field(default_factory=list)
    before: str = ""


def tables_of(pieces: Sequence[Piece]) -> list[Table]:
    """All tables of a document, in order; those that continue on the next page are joined."""
    lines: list[_Line] = []
    for piece in pieces:
        for line in _lines(piece):
            if line.start == piece.fresh and lines and _is_rest(line, lines[-1]):
                lines[-1].text = f"{lines[-1].text.rstrip()} {line.text.strip()}"
            else:
                lines.append(line)
    tables: list[Table] = []
    for group in _groups(lines):
        if table := _table(group):
            if tables and _continues(tables[-1], table):
                tables[-1] = _joined(tables[-1], table)
            else:
                tables.append(table)
    tables = [each for each in tables if len(each.rows) >= FEWEST or each.sort == "rows"]
    return [*tables, *_entries(lines), *_outline(pieces)]


def may_have_tables(node: Node) -> bool:
    """Whether a passage looks as if it had a part of a table. Quick: its document is not read."""
    lines = [line for line in node.text.split("\n") if line.strip()]
    sorts = Counter(_sort(line) for line in lines)
    if sum(sorts.values()) - sorts["text"] > 1 or sorts["rows"]:
        return True
    return any(len(line) <= _LONGEST_HEADING and any(map(str.isdigit, line)) for line in lines)


def _lines(piece: Piece) -> Iterator[_Line]:
    start = piece.fresh
    for line in piece.text.split("\n"):
        yield _Line(line, piece, start, start + len(line))
        start += len(line) + 1


def _is_rest(line: _Line, before: _Line) -> bool:
    """Whether a row of named cells was cut between two passages, and this is its second half."""
    one, other = before.piece.node.metadata, line.piece.node.metadata
    first = _FIRST_CELL.match(before.text)
    if first is None or one.get("heading") != other.get("heading"):
        return False
    return (
        _sort(before.text) in ("rows", "pairs")
        and not line.text.startswith(f"{first[1]}: ")
        and ("; " in line.text or _sort(line.text) == "text")
        and bool(line.text.strip())
    )


def _sort(line: str) -> str:
    """Which structure a line may belong to."""
    if not line.strip():
        return ""
    if len(_CELL.findall(line)) > 1 and _FIRST_CELL.match(line):
        return "rows"
    if " | " in line:
        return "bars"
    if _BULLET.match(line):
        return "list"
    if len(line) > _LONGEST_PAIR:
        return "text"
    if (match := _PAIR.fullmatch(line)) and len(match[1].split()) <= 6:
        return "pairs"
    if _DOTS.fullmatch(line):
        return "dots"
    return "text"


def _groups(lines: Sequence[_Line]) -> Iterator[_Group]:
    """Runs of lines of one sort. Empty lines between them do not end a run."""
    before = ""
    group: _Group | None = None
    for line in lines:
        sort = _sort(line.text)
        if not sort:
            continue
        if sort == "rows" and group and group.sort == "pairs":
            group.sort = sort  # rows whose first ones have one cell
        if sort == "pairs" and group and group.sort == "rows":
            sort = "rows"  # a row with one cell
        if group and group.sort == sort and _fits(group, line):
            group.lines.append(line)
            continue
        if group:
            yield group
        group = None
        if sort != "text":
            group = _Group(sort, [line], before)
        else:
            before = line.text.strip()
    if group:
        yield group


def _fits(group: _Group, line: _Line) -> bool:
    if group.sort == "rows":
        first, other = _CELL.match(group.lines[-1].text), _CELL.match(line.text)
        return bool(first and other and first[1] == other[1])
    if group.sort == "bars":
        return group.lines[-1].text.count(" | ") == line.text.count(" | ")
    return True


def _table(group: _Group) -> Table | None:
    lines = group.lines
    if group.sort == "rows":
        rows = _rows(lines)
    elif group.sort == "bars":
        cells = [[cell.strip() for cell in line.text.split(" | ")] for line in lines]
        header = has_header(cells[:2])
        names = cells[0] if header else [f"column {n}" for n in range(1, len(cells[0]) + 1)]
        rows = [
            _row(dict(zip(names, row, strict=False)), line)
            for row, line in list(zip(cells, lines, strict=True))[header:]
        ]
    else:
        form = {"list": _BULLET, "pairs": _PAIR, "dots": _DOTS}[group.sort]
        rows = []
        for line in lines:
            match = form.fullmatch(line.text)
            assert match is not None
            if group.sort == "list":
                rows.append(_row({ITEM: match[1].strip()}, line))
            else:
                rows.append(_row({ITEM: match[1].strip(), DETAIL: match[2].strip()}, line))
        if group.sort == "list":
            rows = _with_details(rows)
    if len(rows) < 2 and group.sort != "rows":
        return None
    first = lines[0].piece.node
    path = [part for part in _path(first) if not _ROWS.fullmatch(part)]
    before = group.before if len(group.before) <= 60 or group.before.endswith(":") else ""
    if _RULE.fullmatch(before) or before.endswith("."):
        before = ""
    above = dict.fromkeys(filter(None, [*path[-1:], before.rstrip(":")]))
    columns = dict.fromkeys(column for row in rows for column in row.cells)
    return Table(
        group.sort,
        " · ".join(above),
        first.source_id,
        first.file_name,
        tuple(columns),
        tuple(rows),
        path[0] if path else "",
        path[-2] if len(path) > 2 else "",
    )


def _path(node: Node) -> list[str]:
    return [part for part in str(node.metadata.get("heading") or "").split(" › ") if part]


def _row(cells: dict[str, str], line: _Line) -> Row:
    start = line.start + len(line.text) - len(line.text.lstrip())
    end = (
        line.end - len(line.text) + len(line.text.rstrip())
        if line.end - line.start == len(line.text)
        else line.end
    )
    filled = {name: cell for name, cell in cells.items() if cell}
    return Row(filled, line.piece.node, start, end)


def _rows(lines: Sequence[_Line]) -> list[Row]:
    """Rows of named cells. A name that only one row has is a part of the cell before it, such as
    "Opening: nine" in "Shop: Mill; Hours: Opening: nine"."""
    counts = Counter(name for line in lines for name in _CELL.findall(line.text))
    usual = {name for name, count in counts.items() if count > len(lines) * 0.02}
    if len(lines) > 2:
        usual = {name for name in usual if counts[name] > 1} or usual
    rows: list[Row] = []
    for line in lines:
        named: dict[str, re.Match[str]] = {}  # a repeated name belongs to the cell before
        for match in _CELL.finditer(line.text):
            if match[1] in usual:
                named.setdefault(match[1], match)
        ends = [*(match.start() for match in named.values()), len(line.text)][1:]
        cells = {
            name: line.text[match.end() : end].strip()
            for (name, match), end in zip(named.items(), ends, strict=False)
        }
        if not cells:
            continue
        if rows and _goes_on(rows[-1], cells):
            rows[-1] = Row(rows[-1].cells | cells, rows[-1].node, rows[-1].start, rows[-1].end)
        else:
            rows.append(_row(cells, line))
    return rows


def _goes_on(before: Row, cells: dict[str, str]) -> bool:
    """Whether these cells are the rest of a long row: its first cell again, and other columns."""
    (first, value), *rest = cells.items()
    return (
        bool(rest)
        and before.cells.get(first) == value
        and not any(name in before.cells for name, _ in rest)
    )


def _with_details(rows: list[Row]) -> list[Row]:
    """Items such as "Spring clean: Saturday 3 May" in two columns, if nearly all are like that."""
    pairs = [_PAIR.fullmatch(row.cells[ITEM]) for row in rows]
    if sum(pair is not None for pair in pairs) < 0.8 * len(rows):
        return rows
    return [
        Row({ITEM: pair[1], DETAIL: pair[2]} if pair else row.cells, row.node, row.start, row.end)
        for row, pair in zip(rows, pairs, strict=True)
    ]


def _continues(before: Table, table: Table) -> bool:
    return (
        before.sort == table.sort
        and table.sort in ("rows", "bars")
        and before.columns[:1] == table.columns[:1]
        and before.rows[-1].node.metadata.get("page_label")
        == table.rows[0].node.metadata.get("page_label")
        and (before.name == table.name or table.sort == "rows")
        and len({*before.columns} & {*table.columns}) * 2
        >= min(len(before.columns), len(table.columns))
    )


def _joined(before: Table, table: Table) -> Table:
    columns = tuple(dict.fromkeys([*before.columns, *table.columns]))
    return Table(
        before.sort, before.name, before.source_id, before.file_name, columns,
        before.rows + table.rows, before.title, before.above,
    )  # fmt: skip


# Entries: a log, minutes, articles


def _shape(line: str) -> tuple[str, ...]:
    """What headings of one kind have in common: their words, with numbers, months and names away.

    "No. 3 - 3 February 2024, alarm 18:40" and "No. 4 - 24 March 2024, alarm 9:50" have one shape.
    """
    text = re.sub(rf"\b{_MONTH}\b\.?", "M", line.strip().lower())
    text = re.sub(r"\d+(?:[.:,]\d+)*", "0", text)
    return tuple(text.split()[:5])


def _is_heading(lines: Sequence[_Line], place: int) -> bool:
    text = lines[place].text.strip()
    if (
        not 3 <= len(text) <= _LONGEST_HEADING
        or text[-1] in ".;,"
        or not any(map(str.isdigit, text))
    ):
        return False
    if _sort(text) in ("rows", "bars") or _RULE.fullmatch(text):
        return False
    before = lines[place - 1].text.strip() if place else ""
    return (
        not before
        or bool(_RULE.fullmatch(before))
        or lines[place - 1].piece is not lines[place].piece
    )


def _entries(lines: Sequence[_Line]) -> list[Table]:
    headings = [place for place in range(len(lines)) if _is_heading(lines, place)]
    shapes = Counter(_beginning(lines[place].text) for place in headings)
    tables = []
    for shape, count in shapes.items():
        if count < FEWEST or "0" not in "".join(shape):
            continue
        places = [place for place in headings if _beginning(lines[place].text) == shape]
        rows: list[Row] = []
        for place, after in zip(places, [*places[1:], len(lines)], strict=True):
            body = lines[place + 1 : after]
            end = len(body)
            if after == len(lines) and rows:  # the last one is as long as the longest of the others
                end = _after_paragraphs(
                    body, max(row.cells.get(PARAGRAPHS, "").count("¶") for row in rows)
                )
            text = "\n".join(line.text for line in body[:end] if not _RULE.fullmatch(line.text))
            head = lines[place]
            here = [line for line in body[:end] if line.piece is head.piece and line.text.strip()]
            cells = {
                ENTRY: head.text.strip(),
                TEXT: " ".join(text.split()),
                PARAGRAPHS: "¶" * _paragraphs(body[:end]),
            }
            row = _row(cells, head)
            rows.append(Row(row.cells, row.node, row.start, here[-1].end if here else row.end))
        if sum(TEXT in row.cells for row in rows) < FEWEST:
            continue
        rows = [
            Row({**more, **_without(row.cells, PARAGRAPHS)}, row.node, row.start, row.end)
            for row, more in zip(rows, _fields(rows), strict=True)
        ]
        first = rows[0].node
        name = " ".join(word for word in shape if word.isalpha() and word != "M")
        columns = dict.fromkeys(column for row in rows for column in row.cells)
        tables.append(
            Table("entries", name, first.source_id, first.file_name, tuple(columns), tuple(rows),
                  next(iter(_path(first)), ""))
        )  # fmt: skip
    return tables


def _beginning(line: str) -> tuple[str, ...]:
    """A heading's shape as far as its first number, or its first three words if that is first."""
    shape = _shape(line)
    number = next((place for place, word in enumerate(shape) if "0" in word), len(shape))
    return shape[: number + 1 if number else 3]


def _paragraphs(lines: Sequence[_Line]) -> int:
    return sum(
        bool(line.text.strip()) and (n == 0 or not lines[n - 1].text.strip())
        for n, line in enumerate(lines)
    )


def _after_paragraphs(lines: Sequence[_Line], most: int) -> int:
    return next((n for n in range(len(lines)) if _paragraphs(lines[: n + 1]) > most), len(lines))


_FIELD = re.compile(r"(?:^|[.;,] |\s)([A-Z][\w'’-]*(?: [\w'’-]+){0,2}): ([^.;:\n]{2,60})(?=[.;]|$)")
_COUNTED = re.compile(r"\b([\d,]+|[A-Za-z]+(?:-[a-z]+)?) ([a-z]{3,})\b")


def _fields(rows: Sequence[Row]) -> list[dict[str, str]]:
    """What nearly all entries state in the same way: the parts of their headings, "Leader: Ann",
    and "six members"."""
    fields: list[dict[str, str]] = [{} for _ in rows]
    heads = [re.split(r"\s[-–—]\s|,\s+|;\s+|:\s+", row.cells[ENTRY]) for row in rows]
    parts = min(map(len, heads))
    if parts > 1 and len(rows) >= FEWEST:
        for place in range(parts):
            texts = [head[place].strip() for head in heads]
            words = {text.split()[0].lower() for text in texts if text}
            name = texts[0].split()[0] if len(words) == 1 and len(texts[0].split()) > 1 else ""
            for cells, text in zip(fields, texts, strict=True):
                if name:
                    cells[name.rstrip(".")] = text.partition(" ")[2]
                else:
                    cells[
                        "date"
                        if re.search(rf"\b{_MONTH}\b", text.lower())
                        else TITLE
                        if place == parts - 1
                        else f"part {place + 1}"
                    ] = text
    else:
        for cells, row in zip(fields, rows, strict=True):
            if match := re.search(rf"\d{{1,2}} {_MONTH}\.? \d{{4}}", row.cells[ENTRY], re.I):
                cells["date"] = match[0]
    named = [_said_once(_FIELD.findall(row.cells.get(TEXT, ""))) for row in rows]
    for name in _usual([list(each) for each in named]):
        for cells, each in zip(fields, named, strict=True):
            if name in each:
                cells.setdefault(name, each[name].strip())
    counted = [
        _said_once(
            (noun, number)
            for number, noun in _COUNTED.findall(row.cells.get(TEXT, ""))
            if number[0].isdigit() or _number_word(number)
        )
        for row in rows
    ]
    for noun in _usual([list(each) for each in counted]):
        for cells, each in zip(fields, counted, strict=True):
            if noun in each:
                number = each[noun]
                cells.setdefault(noun, number if number[0].isdigit() else str(_number_word(number)))
    return fields


def _said_once(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """The values of the names that occur once: of several it is not known which is meant."""
    found = list(pairs)
    counts = Counter(name for name, _ in found)
    return {name: value for name, value in found if counts[name] == 1}


def _without(cells: dict[str, str], name: str) -> dict[str, str]:
    return {key: cell for key, cell in cells.items() if key != name}


def _usual(names: Sequence[Iterable[str]]) -> list[str]:
    counts = Counter(name for each in names for name in set(each))
    return [name for name, count in counts.items() if count >= max(FEWEST, 0.7 * len(names))]


def _number_word(word: str) -> int | None:
    """ "twenty-one" → 21."""
    tens, _, ones = word.lower().partition("-")
    if tens in ONES and not ones:
        return ONES.index(tens)
    if tens in TENS and (not ones or ones in ONES[1:10]):
        return 20 + 10 * TENS.index(tens) + (ONES.index(ones) if ones else 0)
    return None


# Outlines


def _outline(pieces: Sequence[Piece]) -> list[Table]:
    """The headings below the title, each with the beginning of its text."""
    rows = []
    for heading, group in groupby(
        pieces, lambda each: str(each.node.metadata.get("heading") or "")
    ):
        first = next(group)
        name = heading.rpartition(" › ")[2]
        if " › " in heading and not re.fullmatch(r"(?:rows?|items?|lines?) [\d–]+", name):
            rows.append(
                Row(
                    {HEADING: name},
                    first.node,
                    first.fresh,
                    min(len(first.node.text), first.fresh + len(name)),
                )
            )
    if len(rows) < FEWEST:
        return []
    node = rows[0].node
    title = str(node.metadata.get("heading") or "").partition(" › ")[0]
    return [
        Table("outline", "headings", node.source_id, node.file_name, (HEADING,), tuple(rows), title)
    ]
