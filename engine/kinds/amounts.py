"""Two amounts that sentences state, compared: "In 2024 they gave 41 kilos, against 29 in 2023."

An amount belongs to a side if it is the only one in the clause that names the side, or if a
sentence names both sides and has two amounts in the same order. Where the amounts are not certain,
or their units differ, nothing is compared. A question that asks what two amounts differ by, and
names no sides, gets each pair of amounts of one unit in the best sentence, with their differences.
"""

import re
from dataclasses import dataclass, replace
from decimal import Decimal

from engine.kinds.concepts import COMPARATIVES
from engine.kinds.finding import Finder, Treated, marked, merged
from engine.kinds.on_topic import Said, sentences_on, sources_of_sentences
from engine.kinds.recognising import Asked, Kind
from engine.kinds.values import number_of, unit_of
from engine.kinds.words import terms_of
from engine.retrieving import is_relevant
from engine.run import Run
from engine.schema import NodeWithScore
from engine.splitting import is_heading, sentence_spans

# Sentences that are looked through, for both sides together and for each
LOOKED_AT = 4

_AMOUNT = re.compile(
    r"(?P<sign>[€$£])\s?(?P<money>\d[\d.,]*\d|\d)|"
    r"(?<![\w.,:/-])(?P<number>\d[\d.,]*\d|\d)(?![\w:/-]|[.,]\d)(?:\s?(?P<unit>%|[a-z]+[²³]?))?"
)
_YEAR = re.compile(r"(?:1[4-9]|20|21)\d\d")
_CLAUSE = re.compile(
    r"[,;:] (?:and |but |while |against )?|\b(?:and|but|while|whereas|against)\b|\. "
)
# Between two statements, each of which may have commas
_STATEMENT = re.compile(r"; |\. |\b(?:and|but|while|whereas|against)\b")
_NO_UNIT = frozenset(
    "in on at of and or to for from by with than the a is was were are it per names".split()  # noqa: SIM905
)
_WORDS_OF_MORE = frozenset(["more", "less", "fewer", "much more", "much less"])


@dataclass(frozen=True, slots=True)
class _Amount:
    number: Decimal
    unit: str
    start: int
    word: str = ""  # the unit as it is written
    said: Said | None = None


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
    said = [each.said for each in found if each.said]
    sources = merged(sources_of_sentences(said))
    quoted = dict.fromkeys(" ".join(each.text.split()) for each in said)
    lines += [f"- “{each}”\n" for each in quoted]
    return Treated(Kind.COMPARISON, f"{one} and {other}, compared by code", sources, tuple(lines))


_MORE = "|".join(["more", "less", "fewer", *(each for each in COMPARATIVES if " " not in each)])
_ASKS_WHAT_DIFFERS = re.compile(
    r"\bby how (?:much|many)\b|\bdifference\b(?! between)|"
    rf"\bhow (?:much|many)\b(?: \w+){{0,2}}? (?:{_MORE})\b|"
    r"\bhow (?:much|many)\b.*\b(?:rise|rises|rose|risen|grow|grown|grew|go(?:es|ne)? (?:up|down)|"
    r"went (?:up|down)|increased?|fall|fell|fallen|drop(?:ped)?|decreased?|saved?)\b",
    re.IGNORECASE,
)
# Between two amounts that a sentence itself compares: "640 to 688", "140 micrograms, against 85"
_AGAINST = re.compile(
    r"^\W*to\W*$|\b(?:against|instead of|rather than|compared (?:to|with)|up from|down from|"
    r"previously|before|last year|the year before)\b",
    re.IGNORECASE,
)
_TWO = re.compile(r"\b(?:two|both|2)\b", re.IGNORECASE)
_DATE = re.compile(
    r"\b(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?,? ?$", re.IGNORECASE
)
_MONTH_FOLLOWS = re.compile(
    r"(?:st|nd|rd|th)?\.? ?(?:of )?(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)",
    re.IGNORECASE,
)
# The share of the question's words that the sentences with the amounts must have, if the search
# takes them for relevant, and if not
ON_THE_MATTER, PLAINLY = 0.3, 0.5


def asks_what_differs(question: str) -> bool:
    """Whether a question asks how far two amounts are apart."""
    return bool(_ASKS_WHAT_DIFFERS.search(question))


def amounts_apart(question: str, finder: Finder, run: Run) -> Treated | None:
    """The pairs of amounts in the best sentence, or in it and its neighbour, with their
    differences; None if no pair is certain."""
    found = finder.retrieve(question, LOOKED_AT, run)
    share = ON_THE_MATTER if is_relevant(found) else PLAINLY
    for source in found:
        for evidence in source.evidence[:2]:
            for start, end in _windows(source, evidence.start, evidence.end):
                pairs = pairs_of(source.text[start:end], question, share)
                if pairs:
                    shown = [
                        f"{_shown(one.number, one.word)} and {_shown(other.number, one.word)}: "
                        f"difference **{_shown(abs(one.number - other.number), one.word)}**\n\n"
                        for one, other in pairs
                    ]
                    quoted = " ".join(source.text[start:end].split())
                    return Treated(
                        Kind.COMPARISON,
                        "Two amounts, compared by code",
                        [marked(source.node, [(start, end)], source.score)],
                        (*shown, f"- “{quoted}” ({source.node.label})\n"),
                    )
    return None


def _windows(source: NodeWithScore, start: int, end: int) -> list[tuple[int, int]]:
    """A sentence; with the next one of its paragraph; with the one before."""
    text = source.text
    spans = [span for span in sentence_spans(text) if not is_heading(text, *span)]
    here = next((n for n, span in enumerate(spans) if span[0] <= start < span[1]), None)
    if here is None:
        return [(start, end)]
    windows = [spans[here]]
    for first, last in ((here, here + 1), (here - 1, here)):
        if first >= 0 and last < len(spans) and "\n" not in text[spans[first][1] : spans[last][0]]:
            windows.append((spans[first][0], spans[last][1]))
    return windows


def pairs_of(
    text: str, question: str, share: float = ON_THE_MATTER
) -> list[tuple[_Amount, _Amount]]:
    """The amounts of one unit that are two, or of which two stand with words of the question that
    the others do not have. Both must be tied to the question."""
    asked = set(terms_of(question))
    if len(asked & set(terms_of(text))) < share * len(asked):
        return []
    amounts: list[_Amount] = []
    for each in _in_text(text):
        before = amounts[-1] if amounts else None
        if before and _AGAINST.search(_between(text, before, each)):
            if not each.unit:
                each = replace(each, unit=before.unit, word=before.word)
            elif not before.unit:  # "from 40 to 55 crowns"
                amounts[-1] = replace(before, unit=each.unit, word=each.word)
        amounts.append(each)
    pairs = []
    for unit in dict.fromkeys(each.unit for each in amounts):
        alike = [each for each in amounts if each.unit == unit]
        words = {
            each.start: asked & set(terms_of(_clause_of(text, each.start))) - set(terms_of(unit))
            for each in alike
        }
        if len(alike) > 2 or not unit:
            alike = [each for each in alike if _own(each, words)]
        if len(alike) != 2 or alike[0].number == alike[1].number:
            continue
        first, second = alike
        compared = _AGAINST.search(_between(text, first, second))
        of_two = len(words) == 2 and _TWO.search(question) and _TWO.search(text)
        named = all(
            asked & set(terms_of(_clause_of(text, each.start, _STATEMENT))) - set(terms_of(unit))
            for each in alike
        )
        if compared or of_two or named:
            pairs.append((first, second))
    return pairs


def _own(amount: _Amount, words: dict[int, set[str]]) -> set[str]:
    """The words of the question that stand with this amount alone."""
    others = (mine for start, mine in words.items() if start != amount.start)
    return words[amount.start] - set().union(*others)


def _between(text: str, first: _Amount, second: _Amount) -> str:
    between = re.sub(r"^[€$£]?\s?\d[\d.,]*", "", text[first.start : second.start])
    return re.sub(rf"^\s*{re.escape(first.word)}\b", "", between)


def _clause_of(text: str, place: int, border: re.Pattern[str] = _CLAUSE) -> str:
    ends = [0, *(match.end() for match in border.finditer(text)), len(text)]
    start = max(each for each in ends if each <= place)
    return text[start : min(each for each in ends if each > place)]


def _in_text(text: str) -> list[_Amount]:
    """The amounts of a text: no years, dates or times of day."""
    found = []
    for match in _AMOUNT.finditer(text):
        digits = match["money"] or match["number"]
        if not match["sign"] and (
            _YEAR.fullmatch(digits)
            or _DATE.search(text[: match.start()])
            or _MONTH_FOLLOWS.match(text[match.end("number") :].lstrip())
        ):
            continue
        unit = match["sign"] or unit_of(match["unit"] or "")
        unit = "" if unit in _NO_UNIT else unit
        if (number := number_of(digits)) is not None:
            word = (match["sign"] or match["unit"] or "") if unit else ""
            found.append(_Amount(number, unit, match.start(), word))
    return found


def _amounts(said: Said) -> list[_Amount]:
    return [replace(each, said=said) for each in _in_text(said.text)]


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
    amounts = [replace(each, unit=unit) for each in amounts]
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
