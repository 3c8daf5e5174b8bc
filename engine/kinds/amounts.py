"""Two amounts that sentences state, compared: "In 2024 they gave 41 kilos, against 29 in 2023."

An amount belongs to a side if it is the only one in the clause that names the side, or if a
sentence names both sides and has two amounts in the same order. Where the amounts are not certain,
or their units differ, nothing is compared.
"""

import re
from dataclasses import dataclass
from decimal import Decimal

from engine.kinds.concepts import COMPARATIVES
from engine.kinds.finding import Finder, Treated, merged
from engine.kinds.on_topic import Said, sentences_on, sources_of_sentences
from engine.kinds.recognising import Asked, Kind
from engine.kinds.values import number_of, unit_of
from engine.kinds.words import terms_of
from engine.run import Run

# Sentences that are looked through, for both sides together and for each
LOOKED_AT = 4

_AMOUNT = re.compile(
    r"(?P<sign>[€$£])\s?(?P<money>\d[\d.,]*\d|\d)|"
    r"(?<![\w.,:/-])(?P<number>\d[\d.,]*\d|\d)(?![\w:/-]|[.,]\d)(?:\s?(?P<unit>%|[a-z]+[²³]?))?"
)
_YEAR = re.compile(r"(?:1[4-9]|20|21)\d\d")
_CLAUSE = re.compile(
    r"[,;] (?:and |but |while |against )?|\b(?:and|but|while|whereas|against)\b|\. "
)
_NO_UNIT = frozenset(
    "in on at of and or to for from by with than the a is was were are it per names".split()  # noqa: SIM905
)
_WORDS_OF_MORE = frozenset(["more", "less", "fewer", "much more", "much less"])


@dataclass(frozen=True, slots=True)
class _Amount:
    number: Decimal
    unit: str
    start: int
    said: Said


def compared_amounts(
    asked: Asked, one: str, other: str, finder: Finder, run: Run
) -> Treated | None:
    """Both amounts and their difference; None if they are not certain."""
    word = asked["unit"].lower().removeprefix("much ")
    concepts, more = COMPARATIVES.get(word, ((), word not in ("less", "fewer")))
    if not word or not (concepts or word in _WORDS_OF_MORE or word.endswith("er")):
        return None
    kept, _ = sentences_on(f"{asked['focus']} {one} {other}", finder, run, LOOKED_AT)
    found = next((pair for each in kept if (pair := _in_one(each, one, other))), None)
    if found is None:
        sides = []
        for side in (one, other):
            kept, _ = sentences_on(f"{asked['focus']} {side}", finder, run, LOOKED_AT)
            amount = next((a for each in kept if (a := _of_side(each, side))), None)
            if amount is None:
                return None
            sides.append(amount)
        found = sides[0], sides[1]
    first, second = found
    if first.unit != second.unit or ("price" in concepts and first.unit not in "€$£"):
        return None
    greater = first.number > second.number
    lines = []
    if first.number == second.number:
        lines.append("**Both are equal.** ")
    else:
        best = one if greater == more else other
        lines.append(f"**{best[0].upper()}{best[1:]}** ({word}): ")
    apart = abs(first.number - second.number)
    lines.append(
        f"{one} {_shown(first.number, first.unit)}, {other} {_shown(second.number, second.unit)}; "
        f"difference **{_shown(apart, first.unit)}**\n\n"
    )
    sources = merged(sources_of_sentences([first.said, second.said]))
    quoted = dict.fromkeys(" ".join(each.said.text.split()) for each in found)
    lines += [f"- “{each}”\n" for each in quoted]
    return Treated(Kind.COMPARISON, f"{one} and {other}, compared by code", sources, tuple(lines))


def _amounts(said: Said) -> list[_Amount]:
    found = []
    for match in _AMOUNT.finditer(said.text):
        text = match["money"] or match["number"]
        unit = match["sign"] or unit_of(match["unit"] or "")
        if _YEAR.fullmatch(text) and not match["sign"]:
            continue
        if (number := number_of(text)) is not None:
            found.append(_Amount(number, "" if unit in _NO_UNIT else unit, match.start(), said))
    return found


def _place(side: str, text: str) -> int:
    """Where a text names a side: the place of the last of its terms; -1 if not all are there."""
    wanted = set(terms_of(side))
    places = {
        term: match.start()
        for match in re.finditer(r"[^\W_]+(?:['’-][^\W_]+)*", text)
        for term in terms_of(match[0])
        if term in wanted
    }
    return max(places.values()) if wanted and places.keys() == wanted else -1


def _in_one(said: Said, one: str, other: str) -> tuple[_Amount, _Amount] | None:
    """A sentence that names both sides, with exactly two amounts of one unit."""
    first, second = _place(one, said.text), _place(other, said.text)
    amounts = _amounts(said)
    if min(first, second) < 0 or len(amounts) != 2:
        return None
    units = {each.unit for each in amounts if each.unit}
    if len(units) > 1:
        return None
    unit = next(iter(units), "")
    amounts = [_Amount(each.number, unit, each.start, said) for each in amounts]
    return (amounts[0], amounts[1]) if first < second else (amounts[1], amounts[0])


def _of_side(said: Said, side: str) -> _Amount | None:
    """The only amount in the clause that names a side."""
    start = 0
    for end in [*(match.start() for match in _CLAUSE.finditer(said.text)), len(said.text)]:
        if _place(side, said.text[start:end]) >= 0:
            inside = [each for each in _amounts(said) if start <= each.start < end]
            return inside[0] if len(inside) == 1 else None
        start = end
    return None


def _shown(number: Decimal, unit: str) -> str:
    text = f"{number:,}"
    return f"{unit}{text}" if unit in ("€", "$", "£") else f"{text} {unit}".rstrip()
