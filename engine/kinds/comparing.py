"""Comparisons of two things or two documents: what is said about each, side by side.

If both are rows of one table, their cells are compared, by code. Otherwise sentences about each are
quoted; a larger model writes the comparison from their passages instead.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from engine.kinds.amounts import compared_amounts
from engine.kinds.computing import lines_of
from engine.kinds.concepts import COMPARATIVES, CONCEPTS, is_of
from engine.kinds.dates import Moment, time_between
from engine.kinds.finding import Finder, Treated, marked, merged, sources_of
from engine.kinds.naming import books_named
from engine.kinds.on_topic import (
    Said,
    in_order,
    sentences_below,
    sentences_on,
    sources_of_sentences,
)
from engine.kinds.querying import called_of, query_of
from engine.kinds.recognising import Asked, Kind
from engine.kinds.summary import Scope, extract
from engine.kinds.table_answers import DOCUMENTS
from engine.kinds.tables import Row, Table, may_have_tables
from engine.kinds.values import Comparable, comparable
from engine.kinds.words import terms_of
from engine.run import Run
from engine.schema import NodeWithScore

# Sentences about each side: of a thing, of a section with its name (and those that are looked
# through for that), of a document
OF_A_THING, OF_A_SECTION, BELOW, OF_A_DOCUMENT = 5, 8, 30, 4


def comparison(asked: Asked, finder: Finder, run: Run) -> Treated | None:
    """None if nothing is found for one of the sides."""
    if found := computed_comparison(asked, finder, run):
        return found
    one, other = _sides(asked)
    lines: list[str] = []
    sources: list[NodeWithScore] = []
    for side, opposite in ((one, other), (other, one)):
        run.check()
        about = _about(side, opposite, asked, finder, run)
        if not about:
            return None
        sources += about
        lines.append(f"{chr(10) * bool(lines)}**{side[0].upper()}{side[1:]}**\n\n")
        for source in about:
            for evidence in sorted(source.evidence, key=lambda each: each.start):
                sentence = " ".join(source.sentence(evidence).split())
                lines.append(f"- “{sentence}” ({source.node.label})\n")
    sources = merged(sources)
    named = f"{one} and {other}"
    if not finder.small:
        return Treated(
            Kind.COMPARISON, f"Comparison of {named}: written from {len(sources)} passages", sources
        )
    return Treated(
        Kind.COMPARISON,
        f"Comparison of {named}: what is said about each, quoted",
        sources,
        tuple(lines),
    )


def computed_comparison(asked: Asked, finder: Finder, run: Run) -> Treated | None:
    """The difference, computed from the rows of a table, or from amounts in sentences; None if
    there are none."""
    one, other = _sides(asked)
    in_table = _in_a_table(asked, one, other, finder, run)
    return in_table or compared_amounts(asked, one, other, finder, run)


def _sides(asked: Asked) -> tuple[str, str]:
    """Both sides; "the one Voss gives" gets the noun of the other."""
    one = re.sub(r"^(?:(?:both|of) )?", "", asked["about"]).strip()
    other = asked["other"].strip()
    noun = re.match(r"(?:the |our |my |a )?([\w-]+)", one)
    if noun and re.match(r"(?:the one|the ones|that|those)\b", other, re.IGNORECASE):
        other = re.sub(r"^(?:the ones?|that|those)\b", f"the {noun[1]}", other, flags=re.IGNORECASE)
    words, tail = (
        re.sub(r"^(?:the|a|an|our|my) ", "", each, flags=re.I).split() for each in (one, other)
    )
    if len(words) == 1 and len(tail) == 2 and words[0].lower() != tail[0].lower():
        one = f"{one} {tail[1]}"  # "the red and the orange rucksack"
    return one, other


def _about(side: str, opposite: str, asked: Asked, finder: Finder, run: Run) -> list[NodeWithScore]:
    """The best sentences about a side, as the evidence of their passages: of a document, below a
    heading that names it, or anywhere."""
    named = books_named(side, finder.shelf.books())
    if len(named.books) == 1 and named.share == 1 and not asked["unit"]:
        book = named.books[0]
        pieces = finder.shelf.pieces(book.source.source_id)
        chosen = extract(Scope(book, pieces, book.name, True), OF_A_DOCUMENT, finder, run)
        return merged([marked(each.node, [(each.start, each.end)]) for each in chosen])
    if not asked["focus"] and not asked["unit"]:
        below = sentences_below(side, finder, run, BELOW)
        below = [each for each in below if not _means_other(each, side, opposite)]
        if len(below) > 1:
            return sources_of_sentences(below[:OF_A_SECTION])
    topic = " ".join(filter(None, [side, asked["focus"], asked["unit"]]))
    kept, found = sentences_on(topic, finder, run, OF_A_THING)
    if not kept and topic != side:
        kept, found = sentences_on(side, finder, run, OF_A_THING)
    return sources_of_sentences(in_order(kept, found))


def _means_other(said: Said, side: str, opposite: str) -> bool:
    """Whether a sentence is about the other side, whose name is longer: "Heron" and "Heron E"."""
    name = re.sub(r"^(?:the|a|an|our|my) ", "", opposite, flags=re.IGNORECASE)
    wanted = set(terms_of(side))
    if not wanted <= set(terms_of(name)) or wanted == set(terms_of(name)):
        return False
    text = f"{said.heading} {said.text}"
    return not wanted <= set(terms_of(re.sub(rf"\b{re.escape(name)}\b", " ", text, flags=re.I)))


# ---- Rows of one table


@dataclass(frozen=True, slots=True)
class _Side:
    """The rows of one side. `columns`: those by which it is named. `value`: the rows' cell in the
    compared column, or the sum of them."""

    name: str
    rows: list[Row]
    columns: frozenset[str] = frozenset()
    value: Comparable | None = None


def _in_a_table(asked: Asked, one: str, other: str, finder: Finder, run: Run) -> Treated | None:
    """Both sides as rows of one table, with the difference of the column that is compared."""
    found = finder.passages(f"{one} {other} {asked['focus']}", 30, run)
    sources = dict.fromkeys(each.node.source_id for each in found if may_have_tables(each.node))
    tables = [table for each in list(sources)[:DOCUMENTS] for table in finder.shelf.tables(each)]
    wanted = set(terms_of(asked.question))
    tables.sort(key=lambda table: -len(wanted & called_of(table)))  # "in 2024": sales_2024.csv
    for table in tables:
        run.check()
        if table.sort not in ("rows", "bars", "pairs", "dots"):
            continue
        sides = [_side(name, table) for name in (one, other)]
        if sides[0] is None or sides[1] is None or sides[0].rows[0] is sides[1].rows[0]:
            continue
        if answer := _compared(asked, table, sides[0], sides[1]):
            return answer
    return None


def _side(name: str, table: Table) -> _Side | None:
    """The rows that a name stands for: all of its words are in their cells."""
    query = query_of(f"What is {name}", table)
    if query is None or query.unexplained or not any(each.exact for each in query.conditions):
        return None
    columns = frozenset(each.column for each in query.conditions)
    return _Side(name, query.rows, columns) if query.rows else None


def _compared(asked: Asked, table: Table, one: _Side, other: _Side) -> Treated | None:
    """None if a side has several rows, and no column of numbers that can be added."""
    word = asked["unit"].lower().removeprefix("much ")
    concepts, more = COMPARATIVES.get(word, ((), True))
    column = _column(asked.question, concepts, table, one, other)
    one, other = (replace(each, value=_value(column, table, each)) for each in (one, other))
    known = one.value is not None and other.value is not None
    if not known and max(len(one.rows), len(other.rows)) > 1:
        return None
    lines = [_difference(asked, column, one, other, more if concepts else None)]
    lines += lines_of([*one.rows, *other.rows], table.sort, table.columns)
    if not known:
        lines += _differences(table, one.rows[0], other.rows[0])
    rows = [*one.rows, *other.rows]
    did = f"{len(rows)} rows of {table.file_name}, compared"
    return Treated(Kind.COMPARISON, did, sources_of(rows), tuple(filter(None, lines)))


def _column(question: str, concepts: Sequence[str], table: Table, one: _Side, other: _Side) -> str:
    """The column that is compared: of the adjective's concept, or the only one that the rest of the
    question names; empty if that is not certain."""
    for concept in concepts:
        for column in table.columns:
            if is_of(column, table, concept):
                return column
    asked = set(terms_of(question))
    of_sides = one.columns | other.columns
    named = {
        column
        for column in table.columns[1:]
        if column not in of_sides and set(terms_of(column)) & asked
    }
    asked -= set(terms_of(f"{one.name} {other.name}"))
    named = named or {
        column
        for concept, known in CONCEPTS.items()
        if known.asks & asked
        for column in table.columns
        if column not in of_sides and is_of(column, table, concept)
    }
    return next(iter(named)) if len(named) == 1 else ""


def _value(column: str, table: Table, side: _Side) -> Comparable | None:
    """What a side is compared by: the one value of its rows, or the sum of a quantity."""
    if not column or (values := comparable(table.column(column))) is None:
        return None
    chosen = {id(row) for row in side.rows}
    pairs = zip(table.rows, values, strict=True)
    found = [value for row, value in pairs if id(row) in chosen and value is not None]
    if len(set(found)) == 1:
        return found[0]
    numbers = [each for each in found if isinstance(each, Decimal)]
    if numbers and len(numbers) == len(found) and is_of(column, table, "quantity"):
        return sum(numbers, Decimal(0))
    return None


def _difference(asked: Asked, column: str, one: _Side, other: _Side, more: bool | None) -> str:
    """The sentence with both values and their difference. `more`: what a question that wants yes or
    no asks of the first side; None if it asks for neither."""
    first, second = one.value, other.value
    greater = False
    if isinstance(first, Moment) and isinstance(second, Moment):
        apart, greater = time_between(first, second), first > second
    elif isinstance(first, Decimal) and isinstance(second, Decimal):
        apart, greater = _shown(abs(first - second)), first > second
    else:
        return ""
    said = f"{column}: {one.name} **{_shown(first)}**, {other.name} **{_shown(second)}**"
    verdict = ""
    if more is not None and _ASKS_YES_NO.match(asked.question):
        verdict = "Yes. " if first != second and greater == more else "No. "
    return f"{verdict}{said}; difference **{apart}**\n\n"


def _differences(table: Table, one: Row, other: Row) -> list[str]:
    """What two rows differ by, in each column of quantities: where no one column is asked for."""
    lines = []
    for column in table.columns[1:]:
        values = comparable(table.column(column)) or []
        by_row = {id(row): value for row, value in zip(table.rows, values, strict=False)}
        first, second = by_row.get(id(one)), by_row.get(id(other))
        if isinstance(first, Decimal) and isinstance(second, Decimal) and first != second:
            lines.append(f"- {column}: difference **{_shown(abs(first - second))}**\n")
    return ["\n", *lines] if lines else []


_ASKS_YES_NO = re.compile(r"\W*(?:is|are|was|were|does|do|did|has|have)\b", re.IGNORECASE)


def _shown(value: Comparable) -> str:
    return f"{value:,}".removesuffix(".00") if isinstance(value, Decimal) else str(value)
