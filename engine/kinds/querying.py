"""A question → a query over the rows of a table: rules, no model. Pure.

A query has conditions on columns, and an operation on the rows that meet them. A question fits a
table if every word of it is explained: by an operation ("how many", "cheapest"), by the name of the
table or of a column, or by the cells that a condition compares. A question with words that nothing
explains asks for something that is not in the table.
"""

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import PurePath

from engine.kinds.concepts import COMPARATIVES, CONCEPTS, SUPERLATIVES
from engine.kinds.dates import Moment, moments
from engine.kinds.tables import ENTRY, TEXT, Row, Table
from engine.kinds.values import Comparable, comparable, number_of, unit_of, value_of
from engine.kinds.words import related, term_of, terms_of, words_of

_ONES = "zero one two three four five six seven eight nine ten eleven twelve".split()

# Words of questions that say nothing about which rows are meant
_GENERIC = frozenset(
    terms_of(
        "list show name give tell find get enumerate count number many much different total together "
        "altogether overall all each every table row entry line record kind type sort item list file "
        "document currently now available there please know see need want exactly respective "
        "various offer have has kept use used go cost according mentioned recorded listed named "
        "called what which who whose would could time thing one ones per also only still yet "
        "whole single given information detail data sheet"
    )
)


@dataclass(frozen=True, slots=True)
class Condition:
    """A test of one column's cells, and how it is said: "house is Birch"."""

    column: str
    said: str
    test: Callable[[int], bool]
    terms: frozenset[str] = frozenset()
    exact: bool = True


@dataclass(frozen=True, slots=True)
class Query:
    """`operation`: list, count, sum, mean, lowest, highest, most common, or cells. `column`: what
    is added, compared or asked for. `most`: rows of the lowest or highest. `unexplained`: words of
    the question that have no part in it. `weight`: how much of the question the table explains.
    `named`: whether the question has a word that names the table or its rows.
    """

    table: Table
    operation: str
    column: str = ""
    conditions: tuple[Condition, ...] = ()
    most: int = 1
    unexplained: tuple[str, ...] = ()
    weight: float = 0.0
    named: bool = False

    @property
    def rows(self) -> list[Row]:
        return [
            row
            for place, row in enumerate(self.table.rows)
            if all(each.test(place) for each in self.conditions)
        ]


@dataclass(slots=True)
class _Words:
    """The words of a question, and which of them have been explained."""

    text: str
    left: str
    explained: set[str] = field(default_factory=set)

    def take(self, pattern: str) -> re.Match[str] | None:
        """Find a pattern in what is left, and take it away."""
        match = re.search(pattern, self.left, re.IGNORECASE)
        if match:
            self.left = f"{self.left[: match.start()]} , {self.left[match.end() :]}"
        return match

    def unexplained(self) -> list[str]:
        return [
            word
            for word in words_of(self.left)
            for term in terms_of(word)[:1]
            if term not in self.explained
            and term not in _GENERIC
            and not any(related(term, other) for other in self.explained)
        ]


def _term(word: str) -> str:
    found = terms_of(word)
    return found[0] if found else ""


def query_of(question: str, table: Table) -> Query | None:
    """The query that a question makes of a table; None if it asks nothing of it."""
    words = _Words(question, question)
    names = {column: frozenset(terms_of(column)) for column in table.columns}
    called = called_of(table)
    orders = _Orders(table)
    conditions: list[Condition] = []
    conditions += _empty_cells(words, table, names)
    conditions += _comparisons(words, table, names, orders)
    operation, column, most = _operation(words, table, names, orders)
    if operation == "":
        return None
    conditions += _dates(words, table, names, orders)
    conditions += _named_cells(words, table, {c.column for c in conditions})
    for each in conditions:
        words.explained |= each.terms
    words.explained |= called
    asked = set(terms_of(question))
    for name, terms in names.items():
        if name == column or any(
            term == one or related(term, one) for term in terms for one in asked
        ):
            words.explained |= terms
    if column:
        words.explained |= _asks(column, table)
    conditions += _yes_no_cells(words, table, names, conditions)
    if operation == "cells":
        column = column or _asked_column(question, table, names, conditions)
        if column:
            words.explained |= _asks(column, table) | names[column]
    conditions += _mentioned_in_text(words, table)
    for each in conditions:
        words.explained |= each.terms
    weight = sum(2.0 if each.exact else 0.5 for each in conditions)
    weight += len(called & asked) + sum(bool(terms & asked) for terms in names.values())
    named = any(term == one or related(term, one) for term in called for one in asked)
    left = tuple(words.unexplained())
    return Query(table, operation, column, tuple(conditions), most, left, weight, named)


def called_of(table: Table) -> frozenset[str]:
    """The words that name a table or its rows: of its file, its headings and its first column."""
    names = [PurePath(table.file_name).stem, table.name, table.above, table.title, table.columns[0]]
    return frozenset(terms_of(" ".join(names)))


class _Orders:
    """What each column is compared by, computed when it is needed."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._found: dict[str, list[Comparable | None] | None] = {}

    def __getitem__(self, column: str) -> list[Comparable | None] | None:
        if column not in self._found:
            self._found[column] = comparable(self._table.column(column))
        return self._found[column]

    def numbers(self, column: str) -> list[Decimal | None] | None:
        found = self[column]
        if found is None or not all(each is None or isinstance(each, Decimal) for each in found):
            return None
        return found  # type: ignore[return-value]


# ---- The operation

_SUPERLATIVE = "|".join(sorted(map(re.escape, SUPERLATIVES), key=len, reverse=True))
_COUNT = rf"(?P<count>\d+|{'|'.join(_ONES[1:])})"


def _operation(
    words: _Words, table: Table, names: dict[str, frozenset[str]], orders: _Orders
) -> tuple[str, str, int]:
    """(operation, column, number of rows); an empty operation if there is none."""
    if match := words.take(rf"\b(?:top )?{_COUNT}?\s*\b(?P<word>{_SUPERLATIVE})\b(?! of \d)"):
        most = _number(match["count"]) if match["count"] else 1
        word = match["word"].lower()
        concepts, high = SUPERLATIVES[word]
        after = words.left[match.start() :][:80]
        column = _ordered_column(words, table, names, orders, concepts, after)
        if not column and word in ("most", "fewest", "least"):
            group = _group_column(words, table, names)
            return (
                ("most common" if high else "least common", group, most) if group else ("", "", 1)
            )
        return ("highest" if high else "lowest", column, most) if column else ("", "", 1)
    if words.take(r"\b(?:on )?average\b|\bmean\b"):
        column = _summed_column(words, table, names, orders)
        return ("mean", column, 1) if column else ("", "", 1)
    if words.take(
        r"\bin total\b|\btotal(?: \w+ of)?\b|\bsum of\b|\baltogether\b|\btogether\b|\bin all\b|\bcombined\b|\boverall\b|\badd up to\b"
    ) and (
        not re.search(r"\bhow many\b", words.left, re.I)
        or _counted_column(words, table, names, orders)
    ):
        column = _counted_column(words, table, names, orders) or _summed_column(
            words, table, names, orders
        )
        return ("sum", column, 1) if column else ("", "", 1)
    if re.search(r"\bhow many\b|\bnumber of\b|\bcount\b", words.left, re.I):
        column = _counted_column(words, table, names, orders)
        words.take(r"\bhow many(?: different)?\b|\bnumber of\b|\bcount\b")
        return ("sum" if column else "count"), column, 1
    if re.match(
        r"^\W*(?:please )?(?:list|show|name|give|enumerate|find)\b|\ball\b", words.left, re.I
    ):
        return "list", "", 1
    if re.search(
        r"\b(?:what|which|who|whose|when|where|how|whom|is|are|does|do|has|have|was|were|did|can)\b",
        words.left,
        re.I,
    ):
        return "cells", "", 1
    return "", "", 1


def _number(text: str) -> int:
    return int(text) if text.isdigit() else _ONES.index(text.lower())


def _ordered_column(
    words: _Words,
    table: Table,
    names: dict[str, frozenset[str]],
    orders: _Orders,
    concepts: Sequence[str],
    after: str,
) -> str:
    """The column that a superlative compares: one that is named behind it, or of its concept."""
    behind = set(terms_of(after))
    named = [c for c in table.columns if names[c] & behind and orders[c] is not None]
    if named:
        best = max(named, key=lambda c: len(names[c] & behind) / len(names[c]))
        words.explained |= names[best]
        return best
    asked = set(terms_of(words.text))
    named = [
        c
        for c in table.columns
        if names[c] & asked and orders[c] is not None and names[c] - _GENERIC
    ]
    for concept in concepts:
        for column in [*named, *table.columns]:
            if orders[column] is not None and _is_of(column, table, concept):
                return column
    if not concepts:
        for concept in CONCEPTS:
            if CONCEPTS[concept].asks & behind:
                for column in table.columns:
                    if orders[column] is not None and _is_of(column, table, concept):
                        words.explained |= CONCEPTS[concept].asks
                        return column
    return ""


def _is_of(column: str, table: Table, concept: str) -> bool:
    known = CONCEPTS[concept]
    terms = set(terms_of(column))
    if terms & known.names:
        return True
    if {unit_of(word) for word in words_of(column)} & known.units:
        return True
    cells = [cell for cell in table.column(column)[:20] if cell]
    units = Counter(value.unit for cell in cells if (value := value_of(cell)))
    return bool(units) and units.most_common(1)[0][0] in known.units


def _asks(column: str, table: Table) -> frozenset[str]:
    """The words of questions that mean a column."""
    found = frozenset(terms_of(column))
    for name, concept in CONCEPTS.items():
        if _is_of(column, table, name):
            found |= concept.asks | frozenset(terms_of(" ".join(concept.units)))
    return found


def _group_column(words: _Words, table: Table, names: dict[str, frozenset[str]]) -> str:
    """The column whose commonest cell is asked for: "which contractor did the most repairs"."""
    match = re.search(r"\b(?:which|what|who)\b([^,?]*)", words.text, re.IGNORECASE)
    behind = set(terms_of(match[1])) if match else set()
    for column in table.columns[1:]:
        if names[column] & behind and column not in (TEXT, ENTRY):
            return column
    if re.search(r"\bwho\b", words.text, re.I):
        return next((c for c in table.columns if _is_of(c, table, "person")), "")
    return ""


def _summed_column(
    words: _Words, table: Table, names: dict[str, frozenset[str]], orders: _Orders
) -> str:
    """The column of numbers that the question names, or the only one of a concept that it names."""
    asked = set(terms_of(words.text))
    numeric = [c for c in table.columns if orders.numbers(c) is not None]
    named = [c for c in numeric if names[c] & asked]
    if named:
        return max(named, key=lambda c: len(names[c] & asked) / len(names[c]))
    for concept in ("price", "weight", "area", "duration", "length", "quantity"):
        if CONCEPTS[concept].asks & asked:
            for column in numeric:
                if _is_of(column, table, concept):
                    words.explained |= CONCEPTS[concept].asks
                    return column
    return ""


def _counted_column(
    words: _Words, table: Table, names: dict[str, frozenset[str]], orders: _Orders
) -> str:
    """The column of numbers that "how many …" counts: "how many residents has Birch"."""
    match = re.search(
        r"\b(?:how many|number of|total)\b((?: [\w'-]+){1,3})", words.left, re.IGNORECASE
    )
    if match is None:
        return ""
    behind = set(terms_of(match[1]))
    for column in table.columns[1:] or table.columns:
        if names[column] & behind and orders.numbers(column) is not None:
            return column
    return ""


def _asked_column(
    question: str,
    table: Table,
    names: dict[str, frozenset[str]],
    conditions: Sequence[Condition],
) -> str:
    """The column whose cells answer a question for one row: named, or of the concept asked for."""
    used = {each.column for each in conditions}
    asked = set(terms_of(question))
    free = [column for column in table.columns if column not in used]
    named = [column for column in free if names[column] & asked]
    if named:
        return max(named, key=lambda c: len(names[c] & asked) / len(names[c]))
    first = {
        "who": "person", "whom": "person", "whose": "person", "where": "place", "when": "date",
        "how much": "price", "how heavy": "weight", "how big": "area", "how large": "area",
        "how long": "duration", "how many": "quantity", "how tall": "height", "how high": "height",
        "how old": "age", "how fast": "speed", "how far": "length",
    }  # fmt: skip
    for words, concept in first.items():
        if re.search(rf"\b{words}\b", question, re.IGNORECASE):
            for column in free:
                if _is_of(column, table, concept):
                    return column
    for concept, known in CONCEPTS.items():
        if known.asks & asked:
            for column in free:
                if _is_of(column, table, concept):
                    return column
    return ""


# ---- The conditions

_MORE = r"(?:more than|over|above|greater than|at least|no less than|from|exceed(?:s|ing)?|upwards of|minimum of)"
_LESS = r"(?:less than|under|below|fewer than|at most|no more than|up to|maximum of|within)"
_COMPARED = "|".join(sorted(map(re.escape, COMPARATIVES), key=len, reverse=True))
_AMOUNT = r"(?P<amount>[€$£]?\s?\d[\d.,]*)\s*(?P<unit>%|[€$£]|[^\W\d_]+[²]?)?"


def _comparisons(
    words: _Words, table: Table, names: dict[str, frozenset[str]], orders: _Orders
) -> list[Condition]:
    """ "costs more than 5 crowns", "cheaper than 100", "between 10 and 20 kg"."""
    found: list[Condition] = []
    while match := (
        re.search(rf"\bbetween (?P<low>\d[\d.,]*) (?:and|to) {_AMOUNT}", words.left, re.I)
        or re.search(
            rf"\b(?P<sign>{_MORE}|{_LESS}|(?:{_COMPARED}) than|(?:longer|shorter|higher|lower|larger|smaller) than) {_AMOUNT}",
            words.left,
            re.I,
        )
        or re.search(rf"{_AMOUNT} (?P<sign>or more|or less|or fewer|or longer|or older|and more|and over)", words.left, re.I)
    ):  # fmt: skip
        amount, unit = number_of(match["amount"].strip("€$£ ")), unit_of(match["unit"] or "")
        if amount is None:
            break
        parts = match.groupdict()
        sign = (parts.get("sign") or "between").lower()
        word = sign.removesuffix(" than")
        concepts = COMPARATIVES.get(word, ((), None))[0]
        before = words.left[: match.start()]
        column = _compared_column(before, words, table, names, orders, concepts, unit)
        if not column:
            break
        taken = words.left[match.start() : match.end()]
        words.left = words.left.replace(taken, " , ", 1)
        if unit and not _unit_fits(unit, column, table):
            words.left += f" {match['unit']}"
        words.explained |= _asks(column, table)
        values = orders.numbers(column) or []
        if sign == "between":
            low = number_of(parts["low"] or "") or Decimal(0)
            test = _in_range(values, low, amount)
        elif sign.startswith(("at least", "no less", "from", "minimum")) or sign in (
            "or more",
            "or longer",
            "or older",
            "and more",
            "and over",
        ):
            test = _in_range(values, amount, None)
        elif sign.startswith(("at most", "no more", "up to", "maximum", "within")) or sign in (
            "or less",
            "or fewer",
        ):
            test = _in_range(values, None, amount)
        elif (
            re.fullmatch(_MORE, sign)
            or COMPARATIVES.get(word, ((), False))[1]
            or word in ("longer", "higher", "larger")
        ):
            test = _beyond(values, amount, 1)
        else:
            test = _beyond(values, amount, -1)
        found.append(Condition(column, f"{column} {taken.strip()}", test))
    return found


def _in_range(
    values: Sequence[Decimal | None], low: Decimal | None, high: Decimal | None
) -> Callable[[int], bool]:
    def test(place: int) -> bool:
        value = values[place]
        return (
            value is not None and (low is None or value >= low) and (high is None or value <= high)
        )

    return test


def _beyond(values: Sequence[Decimal | None], amount: Decimal, sign: int) -> Callable[[int], bool]:
    def test(place: int) -> bool:
        value = values[place]
        return value is not None and (value - amount) * sign > 0

    return test


def _compared_column(
    before: str,
    words: _Words,
    table: Table,
    names: dict[str, frozenset[str]],
    orders: _Orders,
    concepts: Sequence[str],
    unit: str,
) -> str:
    numeric = [c for c in table.columns if orders.numbers(c) is not None]
    near = terms_of(before)[-4:]
    for concept in concepts:
        for column in numeric:
            if _is_of(column, table, concept):
                return column
    for term in reversed(near):
        for column in numeric:
            if term in names[column]:
                return column
    if unit:
        for column in numeric:
            if _unit_fits(unit, column, table):
                return column
    for term in reversed(near):
        for concept in CONCEPTS.values():
            if term in concept.asks:
                for column in numeric:
                    if set(terms_of(column)) & concept.names:
                        return column
    behind = set(terms_of(words.left))
    for column in numeric:
        if names[column] & behind:
            return column
    return ""


def _unit_fits(unit: str, column: str, table: Table) -> bool:
    if term_of(unit) in terms_of(column) or unit in {unit_of(w) for w in words_of(column)}:
        return True
    value = next((v for cell in table.column(column)[:20] if (v := value_of(cell))), None)
    if value and value.unit and (value.unit == unit or term_of(value.unit) == term_of(unit)):
        return True
    return any(
        unit in concept.units and _is_of(column, table, name) for name, concept in CONCEPTS.items()
    )


def _dates(
    words: _Words, table: Table, names: dict[str, frozenset[str]], orders: _Orders
) -> list[Condition]:
    """ "in 2024", "in June", "before 1 May 2025", "since 2019"."""
    columns = [
        c for c in table.columns
        if (found := orders[c]) is not None and any(isinstance(each, Moment) for each in found)
    ]  # fmt: skip
    if not columns:
        return []
    years = {each.year for c in columns for each in orders[c] or [] if isinstance(each, Moment)}
    text = words.left
    said = moments(text, year=max(years) if len(years) == 1 else 0)
    month = re.search(
        r"\b(?:in|of|during|for|since|after|before|until|by) (january|february|march|april|may|june|july|august|"
        r"september|october|november|december)\b(?! \d)", text, re.I,
    )  # fmt: skip
    asked = set(terms_of(words.text))
    column = max(columns, key=lambda c: (len(names[c] & asked), -table.columns.index(c)))
    cells = [each if isinstance(each, Moment) else None for each in orders[column] or []]
    if month and not said:
        number = (
            "jan feb mar apr may jun jul aug sep oct nov dec".split().index(month[1][:3].lower())
            + 1
        )
        words.take(re.escape(month[0]))
        return [
            Condition(
                column,
                f"{column} in {month[1].capitalize()}",
                lambda n: (c := cells[n]) is not None and c.month == number,
            )
        ]
    if not said:
        return []
    first = said[0]
    lead = re.search(
        r"(before|after|since|until|by|from|prior to|later than|earlier than|between)\s*(?:the )?$",
        text[: first.start],
        re.I,
    )
    sign = lead[1].lower() if lead else "in"
    for each in reversed(said):
        words.left = words.left[: each.start] + " , " + words.left[each.end :]
    if lead:
        words.take(rf"\b{lead[1]}\b")
    tests: dict[str, Callable[[Moment], bool]] = {
        "before": lambda c: c < first, "prior to": lambda c: c < first, "earlier than": lambda c: c < first,
        "until": lambda c: c <= first or _within(c, first), "by": lambda c: c <= first or _within(c, first),
        "after": lambda c: c > first and not _within(c, first), "later than": lambda c: c > first and not _within(c, first),
        "since": lambda c: c >= first, "from": lambda c: c >= first, "in": lambda c: _within(c, first),
    }  # fmt: skip
    if sign == "between" and len(said) > 1:
        last = said[1]
        return [
            Condition(
                column,
                f"{column} between {first} and {last}",
                lambda n: (c := cells[n]) is not None and (first <= c <= last or _within(c, last)),
            )
        ]
    check = tests.get(sign, tests["in"])
    words.explained |= frozenset(terms_of("in on year month day"))
    return [
        Condition(
            column, f"{column} {sign} {first}", lambda n: (c := cells[n]) is not None and check(c)
        )
    ]


def _within(cell: Moment, said: Moment) -> bool:
    """Whether a cell's date is in the year, month or day that was said."""
    return (
        cell.year == said.year
        and (not said.month or cell.month == said.month)
        and (not said.day or cell.day == said.day)
    )


def _empty_cells(words: _Words, table: Table, names: dict[str, frozenset[str]]) -> list[Condition]:
    """ "not completed yet": the cell is empty; "out of stock": it is 0."""
    found = []
    for match in re.finditer(
        r"\b(out of|no|not|without|sold out|never|un)\b ?(?:yet |been |in |any )*(\w+)",
        words.left,
        re.I,
    ):
        terms = set(terms_of(match[2]))
        for column in table.columns:
            if not names[column] & terms:
                continue
            cells = table.column(column)
            zeros = [(v := value_of(cell)) is not None and v.number == 0 for cell in cells]
            empty = [not cell.strip() for cell in cells]
            if any(zeros) and not any(empty):
                chosen, said = zeros, f"{column} is 0"
            elif any(empty):
                chosen, said = empty, f"{column} is empty"
            else:
                continue
            found.append(Condition(column, said, chosen.__getitem__, frozenset(terms)))
            words.left = words.left.replace(match[0], " , ", 1)
            return found
    return found


_NO = re.compile(
    r"\b(?:not|no|without|except|other than|n't|neither)\b(?: \w+){0,2}$", re.IGNORECASE
)
_SHORT = 6  # words of a cell that a question may name as a whole
_VALUES = 2_000  # different cells of a column


def _named_cells(words: _Words, table: Table, used: set[str]) -> list[Condition]:
    """Cells that the question names as a whole: "by Voltmann Electric", "A-1004", "medical"."""
    asked = words_of(words.left)
    terms = [_term(word) for word in asked]
    there = set(terms) - {""}
    lower = {word.lower() for word in asked}
    candidates: list[tuple[int, int, str, str, frozenset[str]]] = []
    for number, column in enumerate(table.columns):
        if column in used or column in (TEXT, ENTRY, "heading"):
            continue
        cells = list(dict.fromkeys(table.column(column)))
        if len(cells) > _VALUES and not number == 0:
            continue
        for cell in cells:
            parts = words_of(cell)
            if not parts or len(parts) > _SHORT:
                continue
            if len(parts) == 1:
                found = parts[0].lower() in lower or (
                    not any(map(str.isdigit, parts[0])) and _term(parts[0]) in there
                )
            else:
                found = _follows([_term(part) for part in parts if _term(part)], terms)
                found = found or f" {cell.lower()} " in f" {' '.join(asked).lower()} "
            if found and not (len(parts) == 1 and cell.isdigit() and len(cell) < 3):
                candidates.append(
                    (
                        len(parts),
                        -number,
                        column,
                        cell,
                        frozenset(filter(None, map(_term, parts))) or frozenset(terms_of(cell)),
                    )
                )
    candidates.sort(reverse=True)
    chosen: list[Condition] = []
    taken: set[str] = set()
    by_column: dict[str, list[tuple[str, frozenset[str]]]] = {}
    for _, _, column, cell, cell_terms in candidates:
        if cell_terms and cell_terms <= taken and column not in by_column:
            continue  # a part of a longer name
        if cell_terms and cell_terms < taken:
            continue
        by_column.setdefault(column, []).append((cell, cell_terms))
        taken |= cell_terms
    for column, found in by_column.items():
        values = {cell for cell, _ in found}
        cells = table.column(column)
        place = min((words.left.lower().find(cell.lower()) for cell in values), default=-1)
        no = place > 0 and _NO.search(words.left[:place].rstrip())
        said = f"{column} is {'not ' * bool(no)}{' or '.join(values)}"
        chosen.append(
            Condition(
                column,
                said,
                _is_in(cells, values, bool(no)),
                frozenset().union(*(terms for _, terms in found)),
            )
        )
    return chosen


def _is_in(cells: Sequence[str], values: set[str], no: bool) -> Callable[[int], bool]:
    return lambda place: (cells[place] in values) != no


def _follows(wanted: Sequence[str], terms: Sequence[str]) -> bool:
    """Whether the terms come in this order, next to each other but for stop words."""
    rest = [term for term in terms if term]
    return (
        any(
            rest[start : start + len(wanted)] == list(wanted)
            for start in range(len(rest) - len(wanted) + 1)
        )
        if wanted
        else False
    )


_YES, _FALSE = frozenset(["yes", "true", "x", "✓", "y"]), frozenset(["no", "false", "-", "n", ""])


def _yes_no_cells(
    words: _Words, table: Table, names: dict[str, frozenset[str]], found: Sequence[Condition]
) -> list[Condition]:
    """A column of yes and no that is named: "flats with a balcony", "without a balcony"."""
    used = {each.column for each in found}
    asked = set(terms_of(words.left))
    conditions = []
    if re.match(r"^\W*(?:is|are|was|were|does|do|did|has|have|had|can)\b", words.text, re.I):
        return []  # the cell itself is asked for
    for column in table.columns:
        cells = [cell.strip().lower() for cell in table.column(column)]
        if column in used or not names[column] & asked or not set(cells) <= _YES | _FALSE:
            continue
        name = next(w for w in words_of(words.left) if _term(w) in names[column])
        before = words.left[: words.left.find(name)]
        no = bool(re.search(r"\b(?:no|not|without|lacks?|n't)\b(?: \w+){0,2} ?$", before, re.I))
        chosen = [(cell in _YES) != no for cell in cells]
        conditions.append(
            Condition(
                column, f"{column} is {'no' if no else 'yes'}", chosen.__getitem__, names[column]
            )
        )
    return conditions


MENTIONED = 2  # words of a question that may be found inside of cells


def _mentioned_in_text(words: _Words, table: Table) -> list[Condition]:
    """Words that nothing else explains, and that some cells have among others."""
    left = words.unexplained()
    if len(left) > MENTIONED or table.sort == "outline":
        return []
    conditions = []
    for word in left:
        term = _term(word)
        best: tuple[int, str, list[bool]] | None = None
        for column in table.columns:
            there = [term in _cell_terms(cell) for cell in table.column(column)]
            count = sum(there)
            if count and (best is None or count > best[0]):
                best = count, column, there
        if best:
            _, column, there = best
            conditions.append(
                Condition(
                    column,
                    f"{column} has “{word}”",
                    there.__getitem__,
                    frozenset([term]),
                    exact=False,
                )
            )
    return conditions


def _cell_terms(cell: str) -> frozenset[str]:
    return frozenset(terms_of(cell))


def described(query: Query) -> str:
    """The conditions in words."""
    return " and ".join(each.said for each in query.conditions)


__all__ = ["Condition", "Query", "called_of", "described", "query_of"]
