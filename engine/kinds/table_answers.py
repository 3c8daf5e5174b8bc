"""Lists, counts, totals and extremes: which table a question asks, and whether it means it.

The documents that the search finds are asked for their tables. A table answers a question if it
explains every word of it (`querying.py`); otherwise the question is treated as one for a fact.
"""

import re

from engine.kinds.computing import answer_of
from engine.kinds.finding import Finder, Treated
from engine.kinds.naming import books_in
from engine.kinds.querying import Query, query_of
from engine.kinds.recognising import Asked
from engine.kinds.tables import ENTRY, TEXT, TITLE, may_have_tables
from engine.kinds.words import terms_of
from engine.run import Run

# Passages whose documents may be asked for their tables, and documents that are
PASSAGES, DOCUMENTS = 50, 8
# Of tables that explain a question equally well, the first sort is taken
_SORTS = ("rows", "entries", "bars", "pairs", "dots", "list", "outline")
_OUTLINE = re.compile(
    r"\b(?:chapters?|sections?|headings?|articles?|parts?|topics?|contents)\b", re.IGNORECASE
)
# "(all rows, the open one too)"
_REMARK = re.compile(r"\s*\([a-z ,;'’]+\)")


def table_answer(asked: Asked, finder: Finder, run: Run) -> Treated | None:
    """None if no table explains the question."""
    query = best_query(asked.question, finder, run)
    return None if query is None else answer_of(query)


def best_query(question: str, finder: Finder, run: Run) -> Query | None:
    """The query that explains the question best, over the tables of the documents found for it."""
    question = _REMARK.sub("", question)
    found = finder.passages(question, PASSAGES, run)
    with run.span("tables"):
        sources = [each.source.source_id for each in books_in(question, finder.shelf.books())]
        outline = bool(_OUTLINE.search(question))
        sources += [each.node.source_id for each in found if outline or may_have_tables(each.node)]
        best: tuple[float, Query] | None = None
        for source_id in list(dict.fromkeys(sources))[:DOCUMENTS]:
            run.check()
            for table in finder.shelf.tables(source_id):
                query = query_of(question, table)
                if query and _explained(query, question) and is_meant(query, question):
                    value = query.weight - 0.01 * _SORTS.index(table.sort)
                    value -= 10 * len(query.unexplained)
                    if best is None or value > best[0]:
                        best = value, query
    return best[1] if best else None


def _explained(query: Query, question: str) -> bool:
    """Whether a query explains all words of a question. It may leave one, which the answer then
    names, if the question names a whole cell and the column that is added or compared."""
    if not query.unexplained:
        return True
    named = set(terms_of(query.column)) & set(terms_of(question))
    exact = any(each.exact for each in query.conditions)
    computed = query.operation in ("sum", "mean", "highest", "lowest")
    return len(set(query.unexplained)) == 1 and computed and bool(named) and exact


def is_meant(query: Query, question: str) -> bool:
    """Whether a query that explains all words asks enough of its table to be meant.

    A condition that names a whole cell, or a comparison, is enough. Words that are only mentioned
    in cells are not, unless the question also names the table or its rows.
    """
    table, rows = query.table, query.rows
    exact = any(each.exact for each in query.conditions)
    mentions = any(not each.exact for each in query.conditions)
    if table.sort == "outline":
        return query.named and bool(_OUTLINE.search(question))
    if table.sort == "entries" and mentions and not query.named:
        return False
    if query.operation == "count" and mentions and not exact and table.sort == "list":
        return False  # items that mention a word are not things of that name
    if query.operation in ("list", "count"):
        return exact or (query.named and bool(rows))
    if query.operation != "cells":
        return bool(rows) and (query.weight > 0 or query.operation == "values")
    if not rows:
        return False
    who = re.match(r"\W*(?:who|whom|whose|when)\b", question, re.IGNORECASE)
    if who and not query.column and len(rows) == len(table.rows):
        return False  # the table has nobody, and no date
    if table.sort == "entries" and (mentions or query.column in ("", TEXT, ENTRY, TITLE)):
        rows_named = bool(set(terms_of(table.name)) & set(terms_of(question)))
        which = re.match(r"\W*(?:which|what)\b", question, re.IGNORECASE)
        return query.named and bool(which) and (rows_named or len(rows) > 1)
    if exact:
        return table.sort != "list"
    if mentions:  # "Who leads the helicopter briefing?"
        asks = re.search(r"\bwh(?:o|en|ere)\b|\bcosts?\b|\bhow\b", question, re.IGNORECASE)
        found = len(rows) == 1 and query.column not in ("", table.columns[0])
        return found and (query.named or bool(asks))
    return query.named  # "What does the bakery bake?": all rows
