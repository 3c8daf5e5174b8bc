"""A question for a fact whose best sentence is a row of a table, or lists several things.

A small model that reads "Item: Compost; Price: 6.50; In stock: 42" seldom writes the right cell,
and it leaves out some of several things. So the row is shown, or the sentence quoted.
"""

import re
from collections.abc import Sequence

from engine.kinds.computing import lines_of, name_of_row
from engine.kinds.finding import Treated, marked, sources_of
from engine.kinds.querying import asked_cell
from engine.kinds.recognising import Kind
from engine.kinds.tables import Piece, Row, Table, tables_of
from engine.schema import NodeWithScore

# Questions that one row does not answer
_OF_SEVERAL = re.compile(
    r"\b(?:total|altogether|average|mean|sum|how often|how many times|(?:the|which|who) \w* ?"
    r"(?:most|least|fewest)|highest|lowest|cheapest|between|difference|compared?)\b",
    re.IGNORECASE,
)


def row_answer(question: str, sources: Sequence[NodeWithScore]) -> Treated | None:
    """The answer from the best evidence of the sources; None if that is no row of a table."""
    found = None if _OF_SEVERAL.search(question) else _best_row(sources)
    if found is None:
        return None
    table, row = found
    column = asked_cell(question, table, row)
    lines = lines_of([row], table.sort, table.columns)
    if cell := row.cells.get(column):
        lines = [f"{column}: **{cell}** ({name_of_row(row)})\n\n", *lines]
    did = f"The row of {table.file_name} that comes closest"
    return Treated(Kind.FACT, did, sources_of([row]), tuple(lines))


_SEVERAL_THINGS = re.compile(r"(?:[^,;.:]{1,40}, ){2,}[^,;.]|(?:[^,;.:]{1,60}; ){2,}[^;.]")
_ASKS_FOR_SEVERAL = re.compile(
    r"\W*(?:and )?(?:what (?:do|does|must|should|can|is included|are)\b|"
    r"who\b(?! is\b| was\b)|list\b|name\b|"
    r"(?:which|what) (?:\w+ )?(?!is\b|was\b|does\b|has\b|this\b|its\b)\w+[^s\s]s\b)",
    re.IGNORECASE,
)


def list_answer(question: str, sources: Sequence[NodeWithScore]) -> Treated | None:
    """The best sentence, quoted, if it lists things and the question may ask for several."""
    if not sources or not sources[0].evidence or not _ASKS_FOR_SEVERAL.match(question):
        return None
    best, node = sources[0].evidence[0], sources[0].node
    quoted = " ".join(node.text[best.start : best.end].split())
    if not _SEVERAL_THINGS.search(quoted):
        return None
    source = marked(node, [(best.start, best.end)], sources[0].score)
    did = "The sentence that comes closest, quoted"
    return Treated(Kind.FACT, did, [source], (f"“{quoted}”\n",))


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
