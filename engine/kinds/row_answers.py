"""A question for a fact whose best sentence is a row of a table, or belongs to a list.

A small model that reads "Item: Compost; Price: 6.50; In stock: 42" seldom writes the right cell,
and it leaves out some of several things. So the row is shown, or the list quoted. A question for
several things gets all rows that have the words which it shares with the best one.
"""

import re
from collections.abc import Sequence

from engine.kinds.computing import lines_of, name_of_row
from engine.kinds.finding import Treated, marked, sources_of
from engine.kinds.querying import asked_cell
from engine.kinds.recognising import Kind
from engine.kinds.shelf import Shelf
from engine.kinds.tables import Piece, Row, Table, tables_of
from engine.kinds.words import terms_of
from engine.schema import Node, NodeWithScore
from engine.splitting import is_heading, sentence_spans

# Rows that are shown for a question for several things, and lines of a list that is quoted, at most
ROWS, LINES = 30, 25

# Questions that one row does not answer
OF_SEVERAL = re.compile(
    r"\b(?:total|altogether|average|mean|sum|how often|how many times|(?:the|which|who) \w* ?"
    r"(?:most|least|fewest)|highest|lowest|cheapest|between|difference|compared?)\b",
    re.IGNORECASE,
)


# Wherever they stand, these ask for several things; at its beginning, a question does so, too, that
# a small model answers with one of them
_ALL = re.compile(
    r"\b(?:list|names? (?:all|the|every)|name|names of|every(?:one|body|thing)?|all|"
    r"(?:which|what) (?:(?!is\b|was\b)\w+ )?(?!does\b|has\b|this\b|its\b)\w+[^s\s]s|"
    r"(?:which|what) \w+ are)\b",
    re.IGNORECASE,
)
_ASKS_FOR_SEVERAL = re.compile(
    r"\W*(?:and )?(?:what (?:do|does|must|should|can|is included|are)\b|who\b(?! is\b| was\b))",
    re.IGNORECASE,
)
_SEVERAL_THINGS = re.compile(r"(?:[^,;.:]{1,40}, ){2,}[^,;.]|(?:[^,;.:]{1,60}; ){2,}[^;.]")
_ITEM = re.compile(r"[ \t]*(?:[-*•‣–+]|\(?\d{1,3}[.)]|\(?[a-z]\))[ \t]+\S")


def row_answer(
    question: str, sources: Sequence[NodeWithScore], shelf: Shelf | None = None
) -> Treated | None:
    """The answer from the best evidence of the sources; None if that is no row of a table.

    `shelf`: where the rest of the table is that a passage has a part of.
    """
    found = None if OF_SEVERAL.search(question) else _best_row(sources)
    if found is None:
        return None
    table, row = found
    if shelf and _ALL.search(question) and (several := _rows_alike(question, row, shelf)):
        return several
    column = asked_cell(question, table, row)
    lines = lines_of([row], table.sort, table.columns)
    if cell := row.cells.get(column):
        lines = [f"{column}: **{cell}** ({name_of_row(row)})\n\n", *lines]
    did = f"The row of {table.file_name} that comes closest"
    return Treated(Kind.FACT, did, sources_of([row]), tuple(lines))


def _rows_alike(question: str, best: Row, shelf: Shelf) -> Treated | None:
    """The rows of a table that have all words which the question shares with its best row; None if
    it shares none, or if no other row or too many have them."""
    asked = set(terms_of(question))
    shared = {
        column: terms
        for column, cell in best.cells.items()
        if (terms := asked & set(terms_of(cell)))
    }
    for table in shelf.tables(best.node.source_id) if shared else ():
        if not shared.keys() <= set(table.columns) or table.sort not in ("rows", "bars"):
            continue
        rows = [
            row
            for row in table.rows
            if all(terms <= set(terms_of(row.cells.get(c, ""))) for c, terms in shared.items())
        ]
        if 1 < len(rows) <= ROWS:
            words = ", ".join(f"{column} “{best.cells[column]}”" for column in shared)
            first = f"{len(rows)} of {len(table.rows)} rows have the same words as the closest one"
            did = f"The rows of {table.file_name} that come closest"
            lines = (f"{first} ({words}):\n\n", *lines_of(rows, table.sort, table.columns))
            return Treated(Kind.FACT, did, sources_of(rows), lines)
    return None


def list_answer(question: str, sources: Sequence[NodeWithScore]) -> Treated | None:
    """The best sentence, quoted, if it lists things and the question may ask for several; of a list
    of lines, all of them with the line above."""
    if not sources or not sources[0].evidence:
        return None
    wants_all = bool(_ALL.search(question))
    if not wants_all and not _ASKS_FOR_SEVERAL.match(question):
        return None
    best, node = sources[0].evidence[0], sources[0].node
    spans = _lines_of_list(node, best.start)
    if not spans and _SEVERAL_THINGS.search(node.text[best.start : best.end]):
        spans = [(best.start, best.end)]
    if not spans and wants_all:
        spans = _list_nearby(question, node, best.start)
    if not spans:
        return None
    quoted = [" ".join(node.text[start:end].split()) for start, end in spans]
    source = marked(node, spans, sources[0].score)
    if len(quoted) == 1:
        did = "The sentence that comes closest, quoted"
        return Treated(Kind.FACT, did, [source], (f"“{quoted[0]}”\n",))
    lines = [f"- “{_ITEM_SIGN.sub('', each)}”\n" for each in quoted[1:]]
    did = "The list that comes closest, quoted"
    return Treated(Kind.FACT, did, [source], (f"“{quoted[0]}”\n\n", *lines))


_ITEM_SIGN = re.compile(r"^[-*•‣–+]\s+")


def _lines_of_list(node: Node, start: int) -> list[tuple[int, int]]:
    """The line that introduces a list and the lines of the list, if this sentence is in one of
    them; empty if it is in no list."""
    text = node.text
    places: list[tuple[int, int]] = []
    begin = 0
    for line in text.splitlines(keepends=True):
        places.append((begin, begin + len(line.rstrip())))
        begin += len(line)
    here = next((n for n, (first, last) in enumerate(places) if first <= start < last), None)
    if here is None:
        return []
    items = [bool(_ITEM.match(text[first:last])) for first, last in places]
    introduces = text[: places[here][1]].endswith(":")
    first = here + 1 if introduces else here
    while first > 0 and not introduces and items[first - 1]:
        first -= 1
    last = first
    plain = introduces and first < len(places) and not items[first]  # lines without bullets
    while last < len(places) and (text[slice(*places[last])].strip() if plain else items[last]):
        last += 1
    if last - first < 2 or last - first > LINES:
        return []
    lead = [places[first - 1]] if first and text[: places[first - 1][1]].endswith(":") else []
    return [*lead, *places[first:last]] if lead else []


def _list_nearby(question: str, node: Node, start: int) -> list[tuple[int, int]]:
    """The sentence of the same passage that lists things and has a word of the question that the
    best one does not have."""
    asked = set(terms_of(question))
    spans = [span for span in sentence_spans(node.text) if not is_heading(node.text, *span)]
    best = {t for first, last in spans if first == start for t in terms_of(node.text[first:last])}
    lists = [
        (len(shared), (first, last))
        for first, last in spans
        if _SEVERAL_THINGS.search(node.text[first:last])
        and (shared := (asked & set(terms_of(node.text[first:last]))) - best)
    ]
    return [max(lists)[1]] if lists else []


def _best_row(sources: Sequence[NodeWithScore]) -> tuple[Table, Row] | None:
    if not sources or not sources[0].evidence:
        return None
    best, node = sources[0].evidence[0], sources[0].node
    for table in tables_of([Piece(node)]):
        if table.sort not in ("rows", "bars") or len(table.columns) < 2:
            continue
        for row in table.rows:
            if row.start < best.end and best.start < row.end:
                return table, row
    return None
