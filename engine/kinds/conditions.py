"""A question → conditions on the rows of a table: comparisons, dates, numbers. Pure.

Each function takes the words that it understands away from the question, so that no other one takes
them for something else, and in the end it is known which words nothing has explained.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from engine.english import MONTHS
from engine.kinds.concepts import COMPARATIVES, CONCEPTS, is_of, words_for
from engine.kinds.dates import Moment, moments
from engine.kinds.tables import Table
from engine.kinds.values import (
    MINUTES,
    SECONDS,
    Comparable,
    Value,
    comparable,
    converted,
    has_scale,
    number_of,
    unit_of,
    usual_unit,
    value_of,
)
from engine.kinds.words import related, term_of, terms_of, words_of

# Words of questions that say nothing about which rows are meant
GENERIC = frozenset(
    terms_of(
        "list show name give tell find get enumerate count number many much different total "
        "together altogether overall all each every table row entry line record kind type sort "
        "item list file document currently now available there please know see need want exactly "
        "respective various have has use used do make take place happen occur exist include "
        "contain be belong keep store locate involve according mentioned recorded listed named "
        "called what which who whose would could time thing one ones per also only still yet whole "
        "single given information detail data sheet everything anything something every "
        "go went put carry carried show shown appear undertake perform complete set come came "
        "actually really already ever far so same both several some any listing overview "
        "whom all whole altogether thing stuff"
    )
)


@dataclass(frozen=True, slots=True)
class Condition:
    """A test of one column's cells, and how it is said: "house is Birch".

    `exact`: the question names a whole cell or a comparison, and not only a word that is in it.
    `dated`: it is about a time.
    """

    column: str
    said: str
    test: Callable[[int], bool]
    terms: frozenset[str] = frozenset()
    exact: bool = True
    dated: bool = False


class Words:
    """The words of a question: `left` is without those that have been taken away."""

    def __init__(self, text: str) -> None:
        self.text = self.left = text
        self._explained: set[str] = set()

    def explain(self, terms: Iterable[str]) -> None:
        self._explained.update(terms)

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
            if term not in self._explained
            and term not in GENERIC
            and not any(related(term, other) for other in self._explained)
        ]


def first_term(word: str) -> str:
    found = terms_of(word)
    return found[0] if found else ""


_LASTING = re.compile(r"\b(?:duration|length|hours|elapsed|worked)\b", re.IGNORECASE)


class Orders:
    """What each column is compared by, computed when it is needed."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._found: dict[str, list[Comparable | None] | None] = {}
        self._units: dict[str, str] = {}

    def __getitem__(self, column: str) -> list[Comparable | None] | None:
        if column not in self._found:
            self._found[column] = comparable(self._table.column(column))
        return self._found[column]

    def moments(self, column: str) -> list[Moment | None]:
        """The dates in a column; None for each cell without one."""
        return [each if isinstance(each, Moment) else None for each in self[column] or []]

    def numbers(self, column: str) -> list[Decimal | None] | None:
        found = self[column]
        if found and _LASTING.search(column):  # "1:30" is no time of day here
            found = [Decimal(each) if isinstance(each, int) else each for each in found]
        if found is None or not all(each is None or isinstance(each, Decimal) for each in found):
            return None
        return found  # type: ignore[return-value]

    def amount(self, column: str, text: str, unit: str) -> Decimal | None:
        """The number of a question, "900" of "less than 900 g", in the unit of the column's
        numbers; None if it has none there."""
        number = number_of(text.strip("€$£ "))
        if number is None:
            return None
        if column not in self._units:
            in_name = (unit_of(word) for word in words_of(column))  # "weight_kg"
            self._units[column] = usual_unit(map(value_of, self._table.column(column))) or next(
                (each for each in in_name if has_scale(each)), ""
            )
        usual = self._units[column]
        found = converted(Value(number, unit), usual)
        # A unit that may only be a word of the question, "more than 5 bicycles"
        return number if found is None and usual not in (MINUTES, SECONDS) else found


_AT_LEAST = r"at least|no less than|from|(?:a )?minimum of"
_AT_MOST = r"at most|no more than|up to|(?:a )?maximum of|within"
_ABOVE = r"more than|over|above|greater than|exceed(?:s|ing)?|upwards of|longer than|higher than"
_BELOW = r"less than|under|below|fewer than|shorter than|lower than"
_OR_MORE, _OR_LESS = r"or more|or longer|or older|and more|and over", r"or less|or fewer"
_COMPARED = "|".join(sorted(map(re.escape, COMPARATIVES), key=len, reverse=True))
_AMOUNT = r"(?P<amount>[€$£]?\s?\d[\d.,]*)\s*(?P<unit>%|[€$£]|[^\W\d_]+[²]?)?"
_COMPARISONS = [
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"\bbetween (?P<low>\d[\d.,]*) (?:and|to) {_AMOUNT}",
        rf"\b(?P<sign>{_AT_LEAST}|{_AT_MOST}|{_ABOVE}|{_BELOW}|(?:{_COMPARED}) than) {_AMOUNT}",
        rf"{_AMOUNT} (?P<sign>{_OR_MORE}|{_OR_LESS})\b",
    )
]


def comparisons(
    words: Words, table: Table, names: dict[str, frozenset[str]], orders: Orders
) -> list[Condition]:
    """ "costs more than 5 crowns", "cheaper than 100", "between 10 and 20 kg"."""
    found: list[Condition] = []
    for match in (each for form in _COMPARISONS for each in list(form.finditer(words.left))):
        unit = unit_of(match["unit"] or "")
        sign = match.groupdict().get("sign", "between").lower()
        concepts, more = COMPARATIVES.get(sign.removesuffix(" than"), ((), False))
        before = words.left.partition(match[0])[0]
        column = _compared_column(before, words, table, names, orders, concepts, unit)
        amount = orders.amount(column, match["amount"], unit) if column else None
        if amount is None or match[0] not in words.left:
            continue
        rest = "" if not unit or unit_fits(unit, column, table) else f" {match['unit']}"
        words.left = words.left.replace(match[0], f" , {rest}", 1)
        words.explain(words_for(column, table))
        values = orders.numbers(column) or []
        if sign == "between":
            test = _in_range(values, orders.amount(column, match["low"], unit), amount)
        elif re.fullmatch(rf"{_AT_LEAST}|{_OR_MORE}", sign):
            test = _in_range(values, amount, None)
        elif re.fullmatch(rf"{_AT_MOST}|{_OR_LESS}", sign):
            test = _in_range(values, None, amount)
        else:
            test = _beyond(values, amount, 1 if more or re.fullmatch(_ABOVE, sign) else -1)
        found.append(Condition(column, f"{column} {match[0].strip()}", test))
    return found


def _in_range(
    values: Sequence[Decimal | None], low: Decimal | None, high: Decimal | None
) -> Callable[[int], bool]:
    def test(place: int) -> bool:
        value = values[place]
        above = value is not None and (low is None or value >= low)
        return above and value is not None and (high is None or value <= high)

    return test


def _beyond(values: Sequence[Decimal | None], amount: Decimal, sign: int) -> Callable[[int], bool]:
    def test(place: int) -> bool:
        value = values[place]
        return value is not None and (value - amount) * sign > 0

    return test


def _compared_column(
    before: str,
    words: Words,
    table: Table,
    names: dict[str, frozenset[str]],
    orders: Orders,
    concepts: Sequence[str],
    unit: str,
) -> str:
    numeric = [c for c in table.columns if orders.numbers(c) is not None]
    near = terms_of(before)[-4:]
    for concept in concepts:
        for column in numeric:
            if is_of(column, table, concept):
                return column
    for term in reversed(near):
        for column in numeric:
            if term in names[column]:
                return column
    if unit:
        for column in numeric:
            if unit_fits(unit, column, table):
                return column
    for term in reversed(near):
        for known in CONCEPTS.values():
            if term in known.asks:
                for column in numeric:
                    if set(terms_of(column)) & known.names:
                        return column
    behind = set(terms_of(words.left))
    for column in numeric:
        if names[column] & behind:
            return column
    return ""


def unit_fits(unit: str, column: str, table: Table) -> bool:
    if term_of(unit) in terms_of(column) or unit in {unit_of(w) for w in words_of(column)}:
        return True
    value = next((v for cell in table.column(column)[:20] if (v := value_of(cell))), None)
    if value and value.unit and (value.unit == unit or term_of(value.unit) == term_of(unit)):
        return True
    return any(
        unit in concept.units and is_of(column, table, name) for name, concept in CONCEPTS.items()
    )


_LEAD = re.compile(
    r"(before|after|since|until|by|from|prior to|later than|earlier than|between)\s*(?:the )?$",
    re.I,
)
_MONTH = re.compile(rf"\b(?:in|of|during|for) ({'|'.join(MONTHS)})\b(?! \d)", re.IGNORECASE)


def dates(
    words: Words, table: Table, names: dict[str, frozenset[str]], orders: Orders
) -> list[Condition]:
    """ "in 2024", "in June", "before 1 May 2025", "between 2019 and 2021"."""
    asked = set(terms_of(words.text))
    columns = {column: orders.moments(column) for column in table.columns}
    there = [column for column, cells in columns.items() if any(cells)]
    if not there:
        return []
    column = max(there, key=lambda each: len(names[each] & asked))
    cells = columns[column]

    def condition(said: str, meets: Callable[[Moment], bool]) -> list[Condition]:
        def test(place: int) -> bool:
            cell = cells[place]
            return cell is not None and meets(cell)

        return [Condition(column, f"{column} {said}", test, dated=True)]

    years = {cell.year for each in there for cell in columns[each] if cell}
    said = moments(words.left, year=max(years) if len(years) == 1 else 0)
    if not said:
        month = words.take(_MONTH.pattern)
        if month is None:
            return []
        number = MONTHS.index(month[1].lower()) + 1
        return condition(f"in {month[1].capitalize()}", lambda cell: cell.month == number)

    lead = _LEAD.search(words.left[: said[0].start])
    first, last = said[0], said[-1]
    for each in reversed(said):
        words.left = f"{words.left[: each.start]} , {words.left[each.end :]}"
    sign = lead[1].lower() if lead else "in"
    if lead:
        words.take(rf"\b{sign}\b")
    words.explain(terms_of("year month day"))
    if sign == "between" and last is not first:
        return condition(
            f"between {first} and {last}",
            lambda cell: first <= cell <= last or _within(cell, last),
        )
    if sign in ("before", "prior to", "earlier than"):
        return condition(f"before {first}", lambda cell: cell < first)
    if sign in ("until", "by"):
        return condition(f"until {first}", lambda cell: cell <= first or _within(cell, first))
    if sign in ("after", "later than"):
        return condition(f"after {first}", lambda cell: cell > first and not _within(cell, first))
    if sign in ("since", "from"):
        return condition(f"since {first}", lambda cell: cell >= first)
    return condition(f"in {first}", lambda cell: _within(cell, first))


def _within(cell: Moment, said: Moment) -> bool:
    """Whether a cell's date is in the year, month or day that was said."""
    return (
        cell.year == said.year
        and (not said.month or cell.month == said.month)
        and (not said.day or cell.day == said.day)
    )


def empty_cells(words: Words, table: Table, names: dict[str, frozenset[str]]) -> list[Condition]:
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


def equal_numbers(
    words: Words,
    table: Table,
    names: dict[str, frozenset[str]],
    orders: Orders,
    used: set[str],
) -> list[Condition]:
    """ "with 3 rooms", "90 minutes": a number before the name, or the unit, of a column."""
    found: list[Condition] = []
    for match in list(re.finditer(rf"(?<![\w.,-]){_AMOUNT}\b", words.left)):
        unit = match["unit"] or ""
        term = term_of(unit)
        for column in table.columns:
            values = orders.numbers(column)
            if values is None or not term or column in used:
                continue
            if term in names[column] or unit_fits(unit_of(unit), column, table):
                amount = orders.amount(column, match["amount"], unit_of(unit))
                if amount is None:
                    continue
                test = _in_range(values, amount, amount)
                found.append(Condition(column, f"{column} is {match[0].strip()}", test))
                words.left = words.left.replace(match[0], " , ", 1)
                break
    return found
