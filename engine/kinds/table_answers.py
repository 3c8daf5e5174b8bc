"""Lists, counts, totals and extremes over the rows of tables: computed, with the rows shown.

The documents that the search finds are asked for their tables. A table answers a question if it
explains every word of it (`querying.py`); otherwise the question is treated as one for a fact.
"""

from collections import Counter
from collections.abc import Sequence
from decimal import Decimal

from engine.kinds.finding import Finder, Treated, sources_of
from engine.kinds.naming import books_in
from engine.kinds.querying import Query, described, query_of
from engine.kinds.recognising import Asked, Kind
from engine.kinds.tables import DETAIL, ENTRY, ITEM, TEXT, TITLE, Row
from engine.kinds.values import Comparable, comparable, value_of
from engine.run import Run

# Documents that are asked for their tables, and rows that are shown
DOCUMENTS, SHOWN = 8, 100
_SORTS = ("rows", "entries", "bars", "pairs", "dots", "list", "outline")


def table_answer(asked: Asked, finder: Finder, run: Run) -> Treated | None:
    """None if no table explains the question."""
    query = best_query(asked.question, finder, run)
    return None if query is None else answer_of(query)


def best_query(question: str, finder: Finder, run: Run) -> Query | None:
    found = finder.passages(question, 50, run)
    sources = [each.source.source_id for each in books_in(question, finder.shelf.books())]
    sources += [each.node.source_id for each in found]
    queries: list[tuple[tuple[float, ...], Query]] = []
    with run.span("tables"):
        for rank, source_id in enumerate(list(dict.fromkeys(sources))[:DOCUMENTS]):
            run.check()
            for table in finder.shelf.tables(source_id):
                query = query_of(question, table)
                if query and not query.unexplained and _asks_something(query):
                    order = (-query.weight, _SORTS.index(table.sort), rank)
                    queries.append((order, query))
    return min(queries, key=lambda each: each[0])[1] if queries else None


def _asks_something(query: Query) -> bool:
    """Whether a query that explains all words asks enough of its table to be meant."""
    exact = any(each.exact for each in query.conditions)
    table = query.table
    if query.operation == "cells" and table.sort == "entries":
        return exact and query.column not in ("", TEXT, ENTRY, TITLE) and bool(query.rows)
    if query.operation == "cells" and exact:
        return table.sort in ("rows", "bars", "pairs", "dots") and bool(query.rows)
    if query.operation == "cells":  # "What does the bakery bake?": all rows
        return not query.conditions and table.sort != "outline" and query.named
    if query.operation in ("list", "count") and not exact:
        return query.named and (not query.conditions or bool(query.rows))
    return query.weight > 0


def answer_of(query: Query) -> Treated | None:
    """The answer of a query; None if what it asks cannot be computed from these cells."""
    table, rows = query.table, query.rows
    total = len(table.rows)
    where = f", where {described(query)}" if query.conditions else ""
    if not rows:
        if query.operation in ("list", "count") and all(each.exact for each in query.conditions):
            if any(" in " in each.said or " before " in each.said for each in query.conditions):
                sources = sources_of(table.rows[:1])
                return Treated(
                    Kind.TABLE, f"No row of {table.file_name}{where}", sources, missing=True
                )
        if query.operation != "count":
            return None
        did = f"0 of {total} rows of {table.file_name}, computed"
        return Treated(
            Kind.TABLE, did, sources_of(table.rows[:1]), (f"**0** of {total} rows{where}.\n",)
        )
    unit = ""
    first = ""
    match query.operation:
        case "count":
            first = (
                f"**{len(rows)}** of {total} rows{where}:\n\n"
                if where
                else f"**{len(rows)}** rows:\n\n"
            )
        case "sum" | "mean":
            cells = [row.cells.get(query.column, "") for row in rows]
            values = [value for cell in cells if (value := value_of(cell))]
            if not values:
                return None
            unit = Counter(value.unit for value in values).most_common(1)[0][0]
            number = sum((value.number for value in values), Decimal(0))
            if query.operation == "mean":
                number /= len(values)
            name = "Sum" if query.operation == "sum" else "Average"
            if len(rows) == 1:
                name = query.column
            first = (
                f"{name}{f' of {query.column}' * (len(rows) > 1)}: **{_shown(number)}{f' {unit}' * bool(unit)}**"
                f" ({len(values)} row{'s' * (len(values) != 1)}{where}).\n\n"
            )
        case "highest" | "lowest":
            ranked = _ranked(query, rows)
            if ranked is None:
                return None
            rows = ranked
            cell = rows[0].cells.get(query.column, "")
            first = f"{query.operation.capitalize()} {query.column}{where}: **{cell}** ({_name(rows[0])}).\n\n"
        case "most common" | "least common":
            counts = Counter(filter(None, (row.cells.get(query.column, "") for row in rows)))
            if not counts:
                return None
            ordered = (
                counts.most_common()
                if query.operation == "most common"
                else counts.most_common()[::-1]
            )
            best = ordered[0][1]
            names = [name for name, count in ordered if count == best]
            rows = [row for row in rows if row.cells.get(query.column) in names]
            first = f"{query.operation.capitalize()} {query.column}: **{', '.join(names)}** ({best} of {total} rows).\n\n"
        case "cells":
            if query.column and len(rows) <= 3:
                cells = [
                    f"**{row.cells.get(query.column) or 'empty'}** ({_name(row)})" for row in rows
                ]
                first = f"{query.column}: {', '.join(cells)}\n\n"
            else:
                first = f"{len(rows)} of {total} rows{where}:\n\n"
        case _:
            first = (
                f"{len(rows)} of {total} rows{where}:\n\n" if where else f"All {total} rows:\n\n"
            )
    did = f"{len(rows)} of {total} rows of {table.file_name}, computed"
    return Treated(
        Kind.TABLE, did, sources_of(rows), (first, *lines_of(rows, table.sort, table.columns))
    )


def _ranked(query: Query, rows: Sequence[Row]) -> list[Row] | None:
    """The rows with the highest or the lowest cells, with those that are equal to the last."""
    values = comparable(query.table.column(query.column))
    if values is None:
        return None
    by_row = {id(row): value for row, value in zip(query.table.rows, values, strict=True)}
    known = [row for row in rows if by_row[id(row)] is not None]
    if not known:
        return None
    high = query.operation == "highest"
    ordered = sorted(known, key=lambda row: _key(by_row[id(row)]), reverse=high)
    last = by_row[id(ordered[min(query.most, len(ordered)) - 1])]
    more = [row for row in ordered[query.most :] if by_row[id(row)] == last]
    return [*ordered[: query.most], *more]


def _key(value: Comparable | None) -> Comparable:
    assert value is not None
    return value


def _name(row: Row) -> str:
    """A row in a few words: its first cells."""
    if ENTRY in row.cells:
        return row.cells[ENTRY]
    return ", ".join(list(row.cells.values())[:2])


def _shown(number: Decimal) -> str:
    rounded = round(number, 2)
    text = f"{rounded:,}"
    return text.rstrip("0").rstrip(".") if "." in text and text.endswith(".00") else text


def lines_of(rows: Sequence[Row], sort: str, columns: Sequence[str]) -> list[str]:
    """The rows as lines: a table in Markdown, or a list."""
    shown = rows[:SHOWN]
    if sort in ("list", "outline", "entries"):
        lines = [f"- {_item(row)}\n" for row in shown]
    else:
        used = [column for column in columns if any(column in row.cells for row in shown)]
        lines = [_bar(used), _bar(["---"] * len(used))]
        lines += [_bar([row.cells.get(column, "") for column in used]) for row in shown]
    if len(rows) > SHOWN:
        lines.append(f"\nThe first {SHOWN} of {len(rows):,} are shown.\n")
    return lines


def _item(row: Row) -> str:
    if ENTRY in row.cells:
        text = row.cells.get(TEXT, "")
        return (
            f"{row.cells[ENTRY]}: {text[:120]}{'…' * (len(text) > 120)}"
            if text
            else row.cells[ENTRY]
        )
    if DETAIL in row.cells:
        return f"{row.cells[ITEM]}: {row.cells[DETAIL]}"
    return next(iter(row.cells.values()))


def _bar(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"
