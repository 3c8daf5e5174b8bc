"""A query → its answer: the rows, counted, added or compared, and shown. Pure.

The cells are text with units, and the tables of the reader have at most 20,000 rows, so `Decimal`
and sorting do all of it: a data frame or SQL would first need the columns' types, which is the work
of values.py here.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from decimal import Decimal

from engine.kinds.dates import Moment
from engine.kinds.finding import Treated, sources_of
from engine.kinds.querying import Query
from engine.kinds.recognising import Kind
from engine.kinds.tables import DETAIL, ENTRY, ITEM, TEXT, Row
from engine.kinds.values import (
    MINUTES,
    SECONDS,
    Comparable,
    Value,
    comparable,
    in_one_unit,
    value_of,
)

# Rows that are shown
SHOWN = 100
# Cells that are answers of their own, above their rows
FEW = 3


def answer_of(query: Query) -> Treated | None:
    """The answer; None if what is asked cannot be computed from these cells."""
    rows = query.rows
    if not rows:
        return _of_no_row(query)
    match query.operation:
        case "sum" | "mean":
            return _total(query, rows)
        case "values":
            return _values(query, rows)
        case "highest" | "lowest" if query.group:
            return _best_groups(query, rows)
        case "highest" | "lowest":
            return _extremes(query, rows)
        case "most common" | "least common":
            return _commonest(query, rows)
    total = f"{len(rows)} of {len(query.table.rows)} rows{_where(query)}"
    if query.operation == "count":
        return _computed(query, rows, f"**{len(rows)}**{total.removeprefix(str(len(rows)))}:")
    if query.operation == "cells" and query.column and len(rows) <= FEW:
        cells = (
            f"**{row.cells.get(query.column) or 'empty'}** ({name_of_row(row)})" for row in rows
        )
        first = f"{query.column}: {', '.join(cells)}{_difference(query, rows)}"
        return _computed(query, rows, first)
    return _computed(query, rows, f"{total}:")


def lines_of(rows: Sequence[Row], sort: str, columns: Sequence[str]) -> list[str]:
    """The rows as lines of Markdown: a table, or a list."""
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


def _computed(query: Query, rows: Sequence[Row], first: str) -> Treated:
    """The answer with its rows below it."""
    table = query.table
    did = f"{len(rows)} of {len(table.rows)} rows of {table.file_name}, computed"
    shown = lines_of(rows, table.sort, table.columns)
    for word in dict.fromkeys(query.unexplained):
        first += f". The table does not know “{word}”."
    return Treated(Kind.TABLE, did, sources_of(rows), (f"{first}\n\n", *shown))


def _of_no_row(query: Query) -> Treated | None:
    """A count of nought, or nothing found where a time is asked for that is not in the table."""
    table = query.table
    sources = sources_of(table.rows[:1])
    if query.operation in ("list", "count", "sum") and any(each.dated for each in query.conditions):
        did = f"No row of {table.file_name}{_where(query)}"
        return Treated(Kind.TABLE, did, sources, missing=True)
    if query.operation != "count":
        return None
    did = f"0 of {len(table.rows)} rows of {table.file_name}, computed"
    text = (f"**0** of {len(table.rows)} rows{_where(query)}.\n",)
    return Treated(Kind.TABLE, did, sources, text)


def _total(query: Query, rows: Sequence[Row]) -> Treated | None:
    """The sum or the mean of a column; None if its cells are no numbers, or cannot be added."""
    found = _amounts(query, rows)
    if not found:
        return None
    unit = found[0][1].unit
    number = sum((value.number * _times(row, query) for row, value in found), Decimal(0))
    name = f"{query.times} × {query.column}" if query.times else query.column
    if query.operation == "mean":
        number /= len(found)
        name = f"Average of {name}"
    elif len(found) > 1:
        name = f"Sum of {name}"
    counted = f"{len(found)} row{'s' * (len(found) != 1)}{_where(query)}"
    return _computed(query, rows, f"{name}: **{_shown(number, unit)}** ({counted})")


def _amounts(query: Query, rows: Sequence[Row]) -> list[tuple[Row, Value]]:
    """The rows with a number in the query's column, all in one unit. Empty if there are none, or if
    they cannot be added."""
    found = [(row, value) for row in rows if (value := value_of(row.cells.get(query.column, "")))]
    alike = in_one_unit([value for _, value in found]) or []
    return [(row, value) for (row, _), value in zip(found, alike, strict=False)]


def _times(row: Row, query: Query) -> Decimal:
    value = value_of(row.cells.get(query.times, "")) if query.times else None
    return value.number if value else Decimal(1)


def _difference(query: Query, rows: Sequence[Row]) -> str:
    """What the cells of two rows differ by, where the question asks for it."""
    values = [value_of(row.cells.get(query.column, "")) for row in rows]
    alike = in_one_unit([each for each in values if each])
    if not query.compares or len(rows) != 2 or not alike or len(alike) != 2:
        return ""
    apart = abs(alike[0].number - alike[1].number)
    return f"; difference **{_shown(apart, alike[0].unit)}**"


def _values(query: Query, rows: Sequence[Row]) -> Treated:
    """The different cells of a column, and how often each occurs."""
    counts = Counter(cell for row in rows if (cell := row.cells.get(query.column, "")))
    first = f"**{len(counts)}** different values of {query.column}{_where(query)}:\n\n"
    lines = (f"- {cell} ({count})\n" for cell, count in list(counts.items())[:SHOWN])
    did = f"{len(counts)} values in {len(rows)} rows of {query.table.file_name}, computed"
    return Treated(Kind.TABLE, did, sources_of(rows), (first, *lines))


def _extremes(query: Query, rows: Sequence[Row]) -> Treated | None:
    """The rows with the highest or the lowest cells, with those that are equal to the last."""
    values = comparable(query.table.column(query.column))
    if values is None:
        return None
    by_row = {id(row): value for row, value in zip(query.table.rows, values, strict=True)}
    known: list[tuple[Comparable, Row]] = [
        (value, row) for row in rows if (value := by_row[id(row)]) is not None
    ]
    if not known:
        return None
    known.sort(key=lambda each: each[0], reverse=query.operation == "highest")
    last = known[: query.most][-1][0]
    chosen = [
        row for place, (value, row) in enumerate(known) if place < query.most or value == last
    ]
    best = f"**{chosen[0].cells[query.column]}** ({name_of_row(chosen[0])})"
    word = query.operation.capitalize()
    if isinstance(last, Moment):
        word = "Latest" if query.operation == "highest" else "Earliest"
    return _computed(query, chosen, f"{word} {query.column}{_where(query)}: {best}")


def _best_groups(query: Query, rows: Sequence[Row]) -> Treated | None:
    """The cells of a column whose rows have the highest or the lowest sums."""
    found = _amounts(query, rows)
    if not found:
        return None
    unit = found[0][1].unit
    sums: defaultdict[str, Decimal] = defaultdict(Decimal)
    for row, value in found:
        sums[row.cells.get(query.group, "")] += value.number
    ordered = sorted(sums.items(), key=lambda each: each[1], reverse=query.operation == "highest")
    best, number = ordered[0]
    name = f"{query.operation.capitalize()} sum of {query.column}{_where(query)}"
    table = [_bar([query.group, query.column]), _bar(["---", "---"])]
    table += [_bar([group, _shown(total, unit)]) for group, total in ordered[:SHOWN]]
    did = f"{len(rows)} rows of {query.table.file_name}, added by {query.group}"
    sources = sources_of([row for row in rows if row.cells.get(query.group) == best])
    first = f"{name}: **{best}** ({_shown(number, unit)})\n\n"
    return Treated(Kind.TABLE, did, sources, (first, *table))


def _commonest(query: Query, rows: Sequence[Row]) -> Treated | None:
    """The cells of a column that occur most, or least, often."""
    counts = Counter(cell for row in rows if (cell := row.cells.get(query.column, "")))
    if not counts:
        return None
    often = max(counts.values()) if query.operation == "most common" else min(counts.values())
    names = [name for name, count in counts.items() if count == often]
    chosen = [row for row in rows if row.cells.get(query.column) in names]
    name = f"{query.operation.capitalize()} {query.column}{_where(query)}"
    return _computed(query, chosen, f"{name}: **{', '.join(names)}** ({often} of {len(rows)} rows)")


def _where(query: Query) -> str:
    return f", where {query.conditions_said}" if query.conditions else ""


def name_of_row(row: Row) -> str:
    """A row in a few words: its first cell, with the first one in letters if that is a number."""
    cells = [cell for name, cell in row.cells.items() if name != TEXT]
    if ENTRY in row.cells or not any(map(str.isdigit, cells[0])):
        return row.cells.get(ENTRY, cells[0])
    letters = (cell for cell in cells[1:] if not any(map(str.isdigit, cell)))
    return ", ".join([cells[0], *list(letters)[:1]])


def _shown(number: Decimal, unit: str) -> str:
    """A number with its unit; a duration in the parts of its column; a very large or very small
    number in powers of ten."""
    if unit in (MINUTES, SECONDS):
        whole = round(abs(number))
        first, last = divmod(whole, 60)
        text = (
            f"{first}:{last:02}" if unit == MINUTES else f"{first // 60}:{first % 60:02}:{last:02}"
        )
        return "-" * (number < 0) + text
    plain = not number or Decimal("0.005") <= abs(number) < 10**15
    text = f"{round(number, 2):,}".removesuffix(".00") if plain else f"{number:.3G}"
    return f"{text} {unit}".rstrip()


def _item(row: Row) -> str:
    if ENTRY in row.cells:
        text = row.cells.get(TEXT, "")
        return f"{row.cells[ENTRY]}: {text[:120]}{'…' * (len(text) > 120)}".removesuffix(": ")
    if DETAIL in row.cells:
        return f"{row.cells[ITEM]}: {row.cells[DETAIL]}"
    return next(iter(row.cells.values()))


def _bar(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |\n"
