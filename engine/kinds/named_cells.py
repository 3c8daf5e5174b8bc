"""A question → conditions on the rows of a table: the cells that it names. Pure.

Beside conditions.py, and in the same way: what is understood is explained.
"""

import re
from collections.abc import Callable, Sequence

from engine.kinds.conditions import Condition, Words, first_term
from engine.kinds.tables import ENTRY, HEADING, TEXT, TITLE, Table
from engine.kinds.words import in_digits, terms_of, words_of

_NO = re.compile(
    r"\b(?:not|no|without|except|other than|n't|neither)\b(?: \w+){0,2}$", re.IGNORECASE
)
_SHORT = 6  # words of a cell that a question may name as a whole
_VALUES = 2_000  # different cells of a column


# Before a name whose row is not the one that is asked for: "who came after Ann?"
_BESIDE = re.compile(
    r"\b(?:after|before|besides|apart from|instead of|replac\w+|follow\w*|succeed\w*|than|like|"
    r"next to)(?: the| a)? *$",
    re.IGNORECASE,
)
_RANGE = re.compile(
    r"\b(?:from|between) ([\w -]{1,40}?) (?:to|until|till|and|through) ([\w-]+)", re.IGNORECASE
)


def named_cells(
    words: Words, table: Table, used: set[str], several: bool = False
) -> list[Condition] | None:
    """Cells that the question names as a whole: "by Voltmann Electric", "A-1004", "medical".

    Of a longer and a shorter name at one place, the longer one is meant. Several cells of a column
    are alternatives, and with "from" and "to" the ends of a range. `several`: the question is for
    several rows, so that "nurses" are the senior nurses, too. None if the question is for another
    row than the one that it names.
    """
    asked = terms_of(words.left)
    said = f" {' '.join(words_of(words.left)).lower()} "
    found: list[tuple[int, str, str, frozenset[str]]] = []
    for column in table.columns:
        cells = dict.fromkeys(table.column(column))
        if column in used or column in (TEXT, ENTRY, TITLE, HEADING) or len(cells) > _VALUES:
            continue
        for cell in cells:
            terms = terms_of(in_digits(cell))
            if len(terms) > _SHORT or (cell.isdigit() and len(cell) < 3):
                continue
            whole = len(cell) > 1 and f" {cell.lower()} " in said
            if ((terms and _follows(terms, asked)) or whole) and cell.strip():
                found.append((len(terms), column, cell, frozenset(terms)))
    found.sort(key=lambda each: -each[0])
    chosen: dict[str, list[tuple[str, frozenset[str]]]] = {}
    taken: set[str] = set()
    for _, column, cell, cell_terms in found:
        part_of_longer = cell_terms < taken or (cell_terms <= taken and column not in chosen)
        if not (cell_terms and part_of_longer):
            chosen.setdefault(column, []).append((cell, cell_terms))
            taken |= cell_terms
    conditions = []
    for column, named in chosen.items():
        cells_of_column = table.column(column)
        values = {cell for cell, _ in named}
        place = min((words.left.lower().find(cell.lower()) for cell in values), default=-1)
        before = words.left[:place].rstrip() if place > 0 else ""
        if _BESIDE.search(before):
            return None
        no = bool(_NO.search(before))
        terms_said = frozenset().union(*(terms for _, terms in named))
        what = f"{column} is {'not ' * no}{' or '.join(sorted(values))}"
        if ends := _ends_of_range(words.left, named, cells_of_column):
            values = set(cells_of_column[ends[0] : ends[1] + 1])
            what = f"{column} from {cells_of_column[ends[0]]} to {cells_of_column[ends[1]]}"
        elif several and len(named) == 1 and len(named[0][1]) == 1:
            values |= {cell for cell in cells_of_column if terms_of(cell)[-1:] == list(named[0][1])}
        test = _is_in(cells_of_column, values, no)
        conditions.append(Condition(column, what, test, terms_said))
    return conditions


def _ends_of_range(
    question: str, named: Sequence[tuple[str, frozenset[str]]], cells: Sequence[str]
) -> tuple[int, int] | None:
    """The places of two cells, "from January to March", each of which is in one row."""
    match = _RANGE.search(question)
    if match is None or len(named) != 2:
        return None
    places = []
    for end in match.groups():
        there = [cell for cell, terms in named if terms and terms <= set(terms_of(end))]
        if len(there) != 1 or cells.count(there[0]) != 1:
            return None
        places.append(cells.index(there[0]))
    return (places[0], places[1]) if places[0] < places[1] else None


def _is_in(cells: Sequence[str], values: set[str], no: bool) -> Callable[[int], bool]:
    return lambda place: (cells[place] in values) != no


def _follows(wanted: Sequence[str], terms: Sequence[str]) -> bool:
    """Whether the terms come in this order, next to each other but for stop words."""
    starts = range(len(terms) - len(wanted) + 1)
    return any(list(terms[start : start + len(wanted)]) == list(wanted) for start in starts)


_YES, _FALSE = frozenset(["yes", "true", "x", "✓", "y"]), frozenset(["no", "false", "-", "n", ""])


def yes_no_cells(
    words: Words, table: Table, names: dict[str, frozenset[str]], found: Sequence[Condition]
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
        name = next(w for w in words_of(words.left) if first_term(w) in names[column])
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


def mentioned_in_text(words: Words, table: Table) -> list[Condition]:
    """Words that nothing else explains, and that some cells have among others."""
    left = words.unexplained()
    if len(left) > MENTIONED or table.sort == "outline":
        return []
    left = list(dict.fromkeys(left))
    conditions = []
    for word in left:
        term = first_term(word)
        best: tuple[int, str, list[bool]] | None = None
        for column in table.columns:
            cells = table.column(column)
            there = [
                word == cell
                if word.isdecimal() and len(word) > 2
                else term in terms_of(in_digits(cell))
                for cell in cells
            ]
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
