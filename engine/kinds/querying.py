"""A question → a query over the rows of a table: rules, no model. Pure.

A query has conditions on columns, and an operation on the rows that meet them. A question fits a
table if every word of it is explained: by an operation ("how many", "cheapest"), by the name of the
table or of a column, or by the cells that a condition compares. A question with words that nothing
explains asks for something that is not in the table.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import PurePath

from engine.kinds.concepts import CONCEPTS, SUPERLATIVES, is_of, words_for
from engine.kinds.conditions import (
    Condition,
    Orders,
    Words,
    comparisons,
    dates,
    empty_cells,
    equal_numbers,
    unit_fits,
)
from engine.kinds.named_cells import mentioned_in_text, named_cells, yes_no_cells
from engine.kinds.tables import ENTRY, TEXT, TITLE, Row, Table
from engine.kinds.words import in_digits, related, terms_of, words_of


@dataclass(frozen=True, slots=True)
class Query:
    """What a question asks of a table.

    operation: cells, list, count; values (the different cells of a column); sum, mean; lowest,
        highest; most common, least common
    column: what is added, compared or asked for    times: what it is multiplied by in a sum
    group: the column by whose cells rows are added before they are compared
    most: the number of rows of the lowest or highest
    unexplained: words of the question that have no part in it
    weight: how much of the question the table explains
    named: whether the question has a word that names the table or its rows
    compares: whether it asks how much more, or for the difference
    """

    table: Table
    operation: str
    column: str = ""
    times: str = ""
    group: str = ""
    most: int = 1
    conditions: tuple[Condition, ...] = ()
    unexplained: tuple[str, ...] = ()
    weight: float = 0.0
    named: bool = False
    compares: bool = False

    @property
    def rows(self) -> list[Row]:
        return [
            row
            for place, row in enumerate(self.table.rows)
            if all(each.test(place) for each in self.conditions)
        ]

    @property
    def conditions_said(self) -> str:
        return " and ".join(each.said for each in self.conditions)


def query_of(question: str, table: Table) -> Query | None:
    """The query that a question makes of a table; None if it asks nothing of it."""
    reading = _Reading(question, table)
    words, names, orders = reading.words, reading.names, reading.orders

    # 1. Conditions with words of their own, the operation, conditions that name cells
    conditions = [
        *empty_cells(words, table, names),
        *comparisons(words, table, names, orders),
        *dates(words, table, names, orders),
    ]
    query = _operation(reading)
    if query is None:
        return None
    several = query.operation in ("list", "count", "sum", "mean")
    named = named_cells(words, table, {each.column for each in conditions}, several)
    if named is None:
        return None
    conditions += named
    words.explain(term for each in conditions for term in each.terms)

    # 2. What the names of the table and of its columns explain
    words.explain(reading.called)
    for name, terms in names.items():
        if name == query.column or _meets(terms, reading.asked):
            words.explain(terms)
    for column in (query.column, query.times, *(each.column for each in conditions)):
        words.explain(words_for(column, table) if column else ())
    conditions += equal_numbers(words, table, names, orders, {each.column for each in conditions})
    conditions += yes_no_cells(words, table, names, conditions)
    if query.operation == "cells":
        column = query.column or reading.asked_column({each.column for each in conditions})
        query = replace(query, column=column)
        words.explain([*words_for(column, table), *names[column]] if column else ())

    # 3. Words that are somewhere in the cells; "the two walks", where there are two
    whole = words.left
    said = words.take(r"\b(?:the|all|both|these) (?P<count>\d{1,2})\b")
    mentioned = mentioned_in_text(words, table)
    tests = [each.test for each in (*conditions, *mentioned)]
    count = sum(all(test(place) for test in tests) for place in range(len(table.rows)))
    if said and int(said["count"]) != count:  # the number says something else
        words.left = whole
        mentioned = mentioned_in_text(words, table)
    conditions += mentioned
    words.explain(term for each in conditions for term in each.terms)

    weight = sum(2.0 if each.exact else 0.5 for each in conditions)
    weight += len(reading.called & reading.asked)
    weight += sum(bool(terms & reading.asked) for terms in names.values())
    return replace(
        query,
        conditions=tuple(conditions),
        unexplained=tuple(words.unexplained()),
        weight=weight,
        named=_meets(reading.called, reading.asked),
        compares=_COMPARES.search(question) is not None,
    )


def asked_cell(question: str, table: Table, row: Row) -> str:
    """The column whose cell in this row a question asks for; empty if it cannot be told."""
    reading = _Reading(question, table)
    known = {
        column
        for column, cell in row.cells.items()
        if (terms := set(terms_of(cell))) and terms <= reading.asked
    }
    free = [column for column in row.cells if column not in known]
    return reading.named(free, reading.question) or reading.asked_column(known)


_COMPARES = re.compile(
    r"\bhow (?:much|many)(?: \w+)? (?:more|less|fewer|\w+er)\b|\bdifference\b|\bby how\b",
    re.IGNORECASE,
)


def called_of(table: Table) -> frozenset[str]:
    """The words that name a table or its rows: of its file, its headings and its first column."""
    names = [PurePath(table.file_name).stem, table.name, table.above, table.title, table.columns[0]]
    return frozenset(terms_of(" ".join(names)))


def _meets(terms: Iterable[str], others: Iterable[str]) -> bool:
    return any(one == other or related(one, other) for one in terms for other in others)


class _Reading:
    """A question that is read as a query over one table."""

    def __init__(self, question: str, table: Table) -> None:
        self.question = in_digits(question)
        self.words = Words(self.question)
        self.table = table
        self.asked = set(terms_of(self.question))
        self.names = {column: frozenset(terms_of(column)) for column in table.columns}
        self.called = called_of(table)
        self.orders = Orders(table)

    def named(self, columns: Iterable[str], text: str | set[str]) -> str:
        """Of these columns, the one whose name has the largest share of its words in a text."""
        there = set(terms_of(text)) if isinstance(text, str) else text
        shares = [(len(self.names[c] & there) / max(1, len(self.names[c])), c) for c in columns]
        shares = [each for each in shares if each[0] > 0]
        return max(shares, key=lambda each: each[0])[1] if shares else ""

    def of_concept(self, columns: Iterable[str], concept: str) -> list[str]:
        return [column for column in columns if is_of(column, self.table, concept)]

    @property
    def ordered(self) -> list[str]:
        return [column for column in self.table.columns if self.orders[column] is not None]

    @property
    def numeric(self) -> list[str]:
        return [column for column in self.table.columns if self.orders.numbers(column) is not None]

    @property
    def counted(self) -> list[str]:
        """The columns of whole numbers that can be added: units, seats, residents."""
        found = []
        for column in self.numeric:
            numbers = [each for each in self.orders.numbers(column) or [] if each is not None]
            whole = all(each == each.to_integral_value() for each in numbers)
            measures = any(
                is_of(column, self.table, name)
                for name in ("price", "weight", "length", "area", "age", "date", "height")
            )
            if whole and (not measures or is_of(column, self.table, "quantity")):
                found.append(column)
        return found

    @property
    def repeated(self) -> list[str]:
        """The columns, but for the first, whose cells occur several times: kinds, places, names."""
        found = []
        for column in self.table.columns[1:]:
            cells = self.table.column(column)
            if column not in (TEXT, ENTRY, TITLE) and len(set(cells)) < 0.8 * len(cells):
                found.append(column)
        return found

    def noun_after(self, pattern: str) -> str:
        """The words after a pattern, as far as the first verb, preposition or sign."""
        match = re.search(rf"\b(?:{pattern})\b((?: [\w'-]+){{1,4}})", self.words.left, re.I)
        if match is None:
            return ""
        return re.split(
            r"\b(?:is|are|was|were|do|does|did|has|have|had|can|may|must|will|cost|costs|weigh|live|"
            r"lives|in|of|on|at|with|by|for|from|to|there|that|who|which|the|and)\b",
            match[1].strip(),
            maxsplit=1,
            flags=re.IGNORECASE,
        )[0].strip()

    def asked_column(self, used: set[str]) -> str:
        """The column whose cells answer a question for one row: named, or of what is asked."""
        free = [column for column in self.table.columns if column not in used]
        if column := self.named(free, self.asked - self.called):
            return column
        for words, concept in _ASKING.items():
            if re.search(rf"\b{words}\b", self.question, re.IGNORECASE):
                if concept in ("person", "place"):
                    free = [column for column in free if self.orders[column] is None]
                if concept == "date":
                    free = [column for column in free if any(self.orders.moments(column))]
                    if len(free) == 1:
                        return free[0]
                return next(iter(self.of_concept(free, concept)), "")
        for concept, known in CONCEPTS.items():
            if known.asks & self.asked:
                for column in self.of_concept(free, concept):
                    return column
        return ""


_ASKING = {
    "who": "person", "whom": "person", "whose": "person", "where": "place",
    "(?:since )?when": "date", "(?:on|at|from|by) (?:which|what) (?:day|date)": "date",
    "how much": "price", "how heavy": "weight", "how big": "area", "how large": "area",
    "how long": "duration", "how many": "quantity", "how tall": "height", "how high": "height",
    "how old": "age", "how fast": "speed", "how far": "length",
}  # fmt: skip

# ---- The operation

_SUPERLATIVE = "|".join(sorted(map(re.escape, SUPERLATIVES), key=len, reverse=True))
_TOTAL = (
    r"\bin total\b|\btotal(?: \w+ of)?\b|\bsum of\b|\baltogether\b|\btogether\b|\bin all\b|"
    r"\bcombined\b|\boverall\b|\badd up to\b|\bsum up to\b"
)
_ALL_COST = r"\bcosts?\b.*\ball\b|\ball\b.*\bcosts?\b"
_TIMES = r"how often|how many times|on how many (?:days|dates|occasions)"
_MANY = (
    rf"{_TIMES}|how many(?: different)?|number of(?: different)?|count(?: of)?(?: all)?(?: the)?"
)
_OWNED = re.compile(r"\b(?:have|has|own|are there|is there|exist)\b", re.IGNORECASE)
_LIST = r"^\W*(?:please )?(?:list|show|name|give|enumerate|find)\b|\ball\b"
_ASKS = r"\b(?:what|which|who|whose|when|where|how|whom|is|are|does|do|has|have|was|were|did|can)\b"


def _operation(reading: _Reading) -> Query | None:
    """The query without its conditions; None if the question has no operation on this table."""
    words, table = reading.words, reading.table
    if match := words.take(rf"\b(?:top )?(?P<count>\d+)?\s*\b(?P<word>{_SUPERLATIVE})\b(?! of \d)"):
        return _extreme(reading, match["word"].lower(), int(match["count"] or 1), match.start())
    if words.take(r"\b(?:on )?average\b|\bmean\b"):
        words.take(r"\b(?:per|for each|in each) \w+")  # of each row
        column = _summed_column(reading)
        return Query(table, "mean", column) if column else None
    many = re.search(rf"\b(?:{_MANY})\b", words.left, re.IGNORECASE)
    total = words.take(_TOTAL)
    listed = re.match(r"\W*(?:list|show|name|enumerate)\b", words.left, re.IGNORECASE)
    all_cost = not listed and re.search(_ALL_COST, words.left, re.IGNORECASE)
    if (total or all_cost) and not many:
        column = _summed_column(reading)
        if column:
            return Query(table, "sum", column, times=_times(reading, column))
        if total:
            return None
    if many:
        return _count(reading, many[0])
    if re.search(_LIST, words.left, re.IGNORECASE):
        column = _listed_column(
            reading, r"(?:list|show|name|give)(?: me)?(?: all)?(?: the)?|all(?: the)?"
        )
        return Query(table, "values" if column else "list", column)
    if re.search(_ASKS, words.left, re.IGNORECASE):
        column = _asked_values(reading)
        return Query(table, "values" if column else "cells", column)
    return None


def _extreme(reading: _Reading, word: str, most: int, place: int) -> Query | None:
    """The rows with the highest or lowest cells, or the groups of rows with the highest sums."""
    concepts, high = SUPERLATIVES[word]
    table = reading.table
    behind = reading.words.left[place : place + 80]
    total = bool(words_of(behind)[:1] == ["total"] or re.search(_TOTAL, behind, re.IGNORECASE))
    group = _group_column(reading)
    next_words = re.match(r"\W*((?:[\w'-]+ ){0,2}[\w'-]+)", behind)
    if concepts and next_words and (near := reading.named(reading.ordered, next_words[1])):
        concepts = ()  # "the largest total weight": not the largest in size
        behind = near
    fit = [c for concept in concepts for c in reading.of_concept(reading.ordered, concept)]
    column = reading.named(fit, reading.question) or "".join(fit[:1])
    if not concepts:
        column = reading.named(reading.ordered, behind) or next(
            (
                found
                for concept, known in CONCEPTS.items()
                if known.asks & set(terms_of(behind))
                or (concept == "quantity" and known.asks & set(terms_of(_verb(reading))))
                for found in reading.of_concept(reading.ordered, concept)
            ),
            "",
        )
    operation = "highest" if high else "lowest"
    added = column in reading.counted or (total and column in reading.numeric)
    if total:
        reading.words.explain(terms_of("total"))
    if column and group and column != group and added:
        return Query(table, operation, column, group=group, most=most)
    if column:
        return Query(table, operation, column, most=most)
    if group and word in ("most", "fewest", "least"):
        return Query(table, "most common" if high else "least common", group, most=most)
    return None


def _verb(reading: _Reading) -> str:
    """The words before a superlative, which may say what is counted: "sold the most"."""
    return reading.words.left.partition(" , ")[0][-30:]


def _group_column(reading: _Reading) -> str:
    """A column with repeated cells that is asked for: "which contractor did the most repairs"."""
    noun = reading.noun_after("which|what")
    if noun and _meets(called_of(reading.table), terms_of(noun)):
        return ""
    for column in reading.repeated:
        if _meets(reading.names[column], terms_of(noun)[:1]):
            reading.words.explain(terms_of(noun)[:1])
            return column
    if re.search(r"\bwho\b", reading.question, re.IGNORECASE):
        free = [c for c in reading.table.columns if reading.orders[c] is None]
        verbs = reading.asked - reading.called  # "who brought …": the column "Brought by"
        return reading.named(free, verbs) or next(iter(reading.of_concept(free, "person")), "")
    return ""


def _count(reading: _Reading, many: str) -> Query:
    """How many: the sum of a column that is named, the rows, or the different cells of a column."""
    noun = reading.noun_after(_MANY)
    table, terms = reading.table, terms_of(noun)
    column = next(
        (c for c in reading.counted if c != table.columns[0] and _meets(reading.names[c], terms)),
        "",
    )
    if not column and CONCEPTS["persons"].asks & set(terms):
        column = next(iter(reading.of_concept(reading.counted, "persons")), "")
    different = next((c for c in reading.repeated if _meets(reading.names[c], terms)), "")
    single = [c for c in table.columns if c not in reading.repeated and c not in reading.counted]
    rows = _meets(called_of(table), terms) or any(set(terms) & reading.names[c] for c in single)
    reading.words.take(rf"\b{re.escape(many)}\b")
    if re.fullmatch(_TIMES, many, re.IGNORECASE):
        return Query(table, "count")
    if column and not (rows and "different" not in many and not set(terms) & reading.names[column]):
        return Query(table, "sum", column)
    if different and ("different" in many or not rows):
        first = table.column(table.columns[0])
        names_rows = different == table.columns[1] and len(set(first)) == len(first)
        if names_rows and "different" not in many:  # behind a number of the row
            reading.words.explain(terms)
            return Query(table, "count")
        return Query(table, "values", different)
    if not column and not rows:  # "how many kilos"
        measured = [c for c in reading.numeric for term in terms if unit_fits(term, c, table)]
        if measured:
            return Query(table, "sum", measured[0])
    if not rows:  # "how many helmets do we have", "how many MT-55 are in stock"
        of_quantity = reading.of_concept(reading.counted, "quantity")
        column = reading.named(of_quantity, reading.question) or next(
            (
                c
                for c in of_quantity
                if CONCEPTS["quantity"].asks & reading.asked or _OWNED.search(reading.question)
            ),
            "",
        )
        if column:
            return Query(table, "sum", column)
    return Query(table, "count")


def _asked_values(reading: _Reading) -> str:
    """The column whose different cells a question for several things asks for: "Which firms ...?"

    Empty if the rows themselves are asked for.
    """
    noun = re.match(
        r"\W*(?:(?:in|at|on|by|from|with|for) )?(?:which|what) (?:\w+ )?(\w+s)\b",
        reading.words.left,
        re.IGNORECASE,
    )
    terms = terms_of(noun[1]) if noun else []
    if not terms or _meets(called_of(reading.table), terms):
        return ""
    named = [c for c in reading.repeated if _meets(reading.names[c], terms)]
    named += [
        column
        for concept, known in CONCEPTS.items()
        if known.asks & set(terms) and concept in ("organisation", "person", "place")
        for column in reading.of_concept(reading.repeated, concept)
        if reading.orders[column] is None
    ]
    return named[0] if named else ""


def _listed_column(reading: _Reading, lead: str) -> str:
    """The column whose different cells are asked for: "list all trades"."""
    terms = terms_of(reading.noun_after(lead))
    if not terms or _meets(called_of(reading.table), terms):
        return ""
    return next((c for c in reading.repeated if set(terms) <= reading.names[c]), "")


_ASKS_A_PRICE = re.compile(
    r"\bhow much (?:do|does|did|is|are|was|were|would|will|has|have)\b|\bcosts?\b|\bpay|\bprice",
    re.IGNORECASE,
)


def _summed_column(reading: _Reading) -> str:
    """The column of numbers that the question names, or one of what it asks for."""
    if _ASKS_A_PRICE.search(reading.question):
        priced = reading.of_concept(reading.numeric, "price")
        if priced:
            reading.words.explain(CONCEPTS["price"].asks)
            return reading.named(priced, reading.question) or priced[0]
    if column := reading.named(reading.numeric, reading.question):
        return column
    for concept in ("price", "weight", "area", "duration", "length", "quantity"):
        if CONCEPTS[concept].asks & reading.asked:
            for column in reading.of_concept(reading.numeric, concept):
                reading.words.explain(CONCEPTS[concept].asks)
                return column
    return ""


def _times(reading: _Reading, column: str) -> str:
    """The quantity that a price for one piece is multiplied by in a total."""
    if not reading.names[column] & _FOR_ONE:
        return ""
    quantities = [c for c in reading.of_concept(reading.counted, "quantity") if c != column]
    return quantities[0] if quantities else ""


_FOR_ONE = frozenset(terms_of("unit single piece item"))
