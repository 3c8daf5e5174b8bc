"""Word problems → calculations, where the units prove them.

In "If a ticket costs 12 and I buy 7, how much is it?", each number is a factor with a unit: 12
[money per ticket], 7 [ticket]. A problem is solved if exactly one product of all its factors has
the unit that is asked for. Words that change a quantity, such as "left" or "discount", need a form
of their own (problems.toml); a text that has them and fits no form is not solved. So many word
problems are declined, and none is guessed.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import product

from engine.agent.forms import read_forms
from engine.agent.numbers import tokens
from engine.agent.wording import plain

LENGTH = 400  # characters of a problem; longer ones are not read
FACTORS = 4

_MONEY = frozenset(
    [
        "euro",
        "dollar",
        "pound",
        "crown",
        "franc",
        "cent",
        "yen",
        "eur",
        "usd",
        "gbp",
        "chf",
        "rupee",
        "krona",
        "krone",
        "penny",
        "pence",
    ]
)
_SIGNS = {"€": "euro", "$": "dollar", "£": "pound"}
_SAME = {
    "km": "kilometre", "kilometer": "kilometre", "kms": "kilometre", "m": "metre",
    "meter": "metre", "kg": "kilogram", "kilo": "kilogram", "g": "gram", "l": "litre",
    "liter": "litre", "h": "hour", "hr": "hour", "min": "minute", "people": "person",
    "children": "child", "men": "man", "women": "woman", "feet": "foot", "mice": "mouse",
    "loaves": "loaf", "shelves": "shelf", "knives": "knife", "ml": "millilitre", "cm": "centimetre",
    "kmh": "kilometre per hour", "kph": "kilometre per hour", "mph": "mile per hour",
    "halves": "half", "pence": "penny", "buses": "bus", "boxes": "box", "glasses": "glass",
    "classes": "class", "batches": "batch", "matches": "match", "dishes": "dish",
    "sandwiches": "sandwich", "lunches": "lunch", "potatoes": "potato", "tomatoes": "tomato",
    "euros": "euro", "crowns": "crown",
}  # fmt: skip
_LENGTHS = frozenset(["kilometre", "metre", "mile", "foot", "centimetre"])
_TIMES = ("second", "minute", "hour", "day", "week", "month", "year")
# Constants between units of time, which the calculator knows
_CONSTANTS = {
    ("minute", "hour"): "minutes_per_hour",
    ("second", "minute"): "seconds_per_minute",
    ("hour", "day"): "hours_per_day",
    ("day", "week"): "days_per_week",
    ("month", "year"): "months_per_year",
}
# Words behind "how much" that are no thing, in the form that `_unit` gives them
_AFTER_HOW_MUCH = frozenset("do doe did is are will would must more less can".split())  # noqa: SIM905
_DATA = read_forms(__file__)
_CHANGES = re.compile(_DATA.data["words"]["changes"].replace("\n", ""))
_FACTORS = [(re.compile(_DATA.filled(each["pattern"])), each) for each in _DATA.data["factors"]]


@dataclass(frozen=True, slots=True)
class Problem:
    """A calculation, the unit of its result, and how the numbers were read, for the user."""

    expression: str
    unit: str
    reading: str


@dataclass(frozen=True, slots=True)
class _Factor:
    """A value in the unit `of`, or `of` per `per`. text: the value as an expression."""

    text: str
    of: str
    per: str = ""

    def __str__(self) -> str:
        return f"{self.text} [{self.of or 'things'}{f' per {self.per}' if self.per else ''}]"


@dataclass(slots=True)
class _Text:
    """A problem in lower case, in which "#0" stands for the first number."""

    text: str
    numbers: list[str]
    used: set[int] = field(default_factory=set)

    def take(self, mark: str) -> str:
        place = int(mark[1:])
        self.used.add(place)
        return self.numbers[place]


def read_problem(question: str) -> Problem | None:
    """The calculation of a word problem, or None if it cannot be verified."""
    if len(question) > LENGTH:
        return None
    text = _marked(plain(question))
    if not 1 <= len(text.numbers) <= FACTORS:
        return None
    if found := _DATA.first(text.text):
        form, match = found
        groups = {name: value or "" for name, value in match.groupdict().items()}
        problem = _by_form(form, text, groups)
        if problem is not None and len(text.used) == len(text.numbers):
            return problem
        text.used.clear()
    return _change_in_percent(text) or _by_units(text)


def looks_like_a_problem(question: str) -> bool:
    """Whether a message states at least two numbers and then asks for another one."""
    text = _marked(plain(question))
    asks = re.search(r"\bhow (?:much|many|long|far|old|fast|big|heavy|tall)\b|\bwhat\b", text.text)
    before = text.text[: asks.start()] if asks else ""
    stated = re.search(r"#\d", before) is not None or re.search(r"\bif\b.*#\d", text.text)
    return len(text.numbers) > 1 and asks is not None and bool(stated)


def _marked(question: str) -> _Text:
    words: list[str] = []
    numbers: list[str] = []
    for token in tokens(question[:LENGTH]):
        if token.is_number and len(token.text) <= 15:
            words.append(f"#{len(numbers)}")
            numbers.append(token.text)
        elif token.text in _SIGNS:
            words.append(token.text)
        else:
            words.append(token.text)
    text = " ".join(words)
    text = re.sub(r"([€$£]) (#\d)", lambda m: f"{m[2]} {_SIGNS[m[1]]}s", text)
    text = re.sub(r"(#\d) ([€$£])", lambda m: f"{m[1]} {_SIGNS[m[2]]}s", text)
    text = re.sub(r"\bkm / h\b|\bkilometres an hour\b|\bkilometers per hour\b", "kmh", text)
    text = re.sub(r" ([.,;:?!])", r"\1", text).rstrip(" ?.!")
    return _Text(text, numbers)


def _unit(words: str) -> str:
    """The noun of a phrase in the singular: "red pencils" → "pencil"."""
    noun = words.split()[-1] if words.split() else ""
    if noun in _SAME:
        noun = _SAME[noun]
    elif noun.endswith("ies") and len(noun) > 4:
        noun = f"{noun[:-3]}y"
    elif noun.endswith("s") and not noun.endswith("ss") and len(noun) > 2:
        noun = noun[:-1]
    noun = _SAME.get(noun, noun)
    return "money" if noun in _MONEY else noun


# Factors


def _by_units(text: _Text) -> Problem | None:
    """The one product of all factors that has the unit which is asked for."""
    asked = _asked(text.text)
    if asked is None or _CHANGES.search(text.text):
        return None
    factors = _factors(text)
    if factors is None or len(text.used) != len(text.numbers):
        return None
    solutions = _solutions(factors, asked)
    if len(solutions) != 1 or " " not in solutions[0][0]:  # one number alone is no calculation
        return None
    expression, unit = solutions[0]
    money = next((word for word in re.findall(r"[a-z]+", text.text) if _unit(word) == "money"), "")
    shown = _shown(unit, money)
    reading = f"I read {', '.join(map(str, factors))}. "
    return Problem(expression, shown, reading)


def _shown(unit: tuple[str, str], money: str) -> str:
    of, per = (money if each == "money" else each for each in unit)
    if of and of != money and not of.endswith("s"):
        of = {"person": "people", "child": "children", "foot": "feet", "box": "boxes"}.get(
            of, f"{of}s"
        )
    return f"{of} per {per}" if per and of else of


def _factors(text: _Text) -> list[_Factor] | None:
    """Each number with its unit; None if one has none."""
    said = text.text
    found: list[_Factor] = []
    for pattern, form in _FACTORS:
        while match := pattern.search(said):
            groups = {name: value or "" for name, value in match.groupdict().items()}
            groups.setdefault("of", "")
            if groups["of"] in ("kmh", "mph"):
                groups["of"], groups["per"] = _SAME[groups["of"]].split(" per ")
            of, per = _unit(groups["of"]) or "money", _unit(groups.get("per", ""))
            if form.get("timeless") and of in _TIMES:
                return None  # "a worker needs 6 days": two workers do not need 12
            value = text.take(groups["n"])
            if groups.get("m"):
                value = f"{value} / {text.take(groups['m'])}"
            found.append(_Factor(value, of, per))
            kept = f"{groups['per']} ;" if form.get("keeps") else " ; "
            said = f"{said[: match.start()]}{kept}{said[match.end() :]}"
    rates = [factor for factor in found if factor.per]
    bought = re.search(
        r"\b(?:buys?|needs?|wants?|orders?|takes?|gets?|have|has|for|of) (?P<n>#\d)"
        r"(?: of (?:them|these|those))?(?=[,.;?]|$| (?:and|how|what)\b)",
        said,
    )
    if bought and len(rates) == 1:  # "a ticket costs 12 and I buy 7"
        found.append(_Factor(text.take(bought["n"]), rates[0].per))
        said = said.replace(bought["n"], "", 1)
    return None if re.search(r"#\d", said) else found


def _asked(said: str) -> tuple[str, str] | None:
    """The unit that a problem asks for: (unit, per unit). An empty unit is any single unit."""
    per = re.search(rf"\b(?:per|a|an|each|every|one) (?P<per>{'|'.join(_TIMES)})$", said)
    below = per["per"] if per else ""
    for form, asked in (
        (r"\bhow far\b|\bwhat distance\b", "length"),
        (r"\bhow fast\b|\b(?:average )?speed\b", "speed"),
    ):
        if re.search(form, said):
            hour = re.search(r"\b(?:kmh|mph)\b|\b(?:per|an) hour\b", said)
            return asked, "hour" if asked == "speed" and hour else ""
    if many := re.search(_DATA.filled(_DATA.data["words"]["how_many"]), said):
        return _unit(many["of"]), below
    if re.search(r"\bhow long\b|\bhow much time\b", said):
        return "time", ""
    if re.search(_DATA.data["words"]["how_much"].replace("\n", ""), said):
        return "money", below
    if much := re.search(r"\bhow much (?P<of>[a-z]+)\b", said):
        noun = _unit(much["of"])  # "how much sugar": the unit of no number, unless it is stated
        if noun not in _AFTER_HOW_MUCH:
            return (noun, below) if re.search(rf"#\d [a-z]* ?(?:of )?{noun}", said) else None
    return ("", below) if re.search(r"\bhow much\b|\bwhat\b", said) else None


def _solutions(factors: list[_Factor], asked: tuple[str, str]) -> list[tuple[str, tuple[str, str]]]:
    """All products of the factors, or their inverses, that have this unit."""
    found: dict[str, tuple[str, str]] = {}
    options = [factors]
    for place, factor in enumerate(factors):  # "A book has 300 pages": of one book
        others = [each for each in factors if each is not factor]
        if factor.per and factor.per not in _TIMES and factor.of != "money" and not any(
            factor.per in (each.of, each.per) for each in others
        ):  # fmt: skip
            options.append([*factors[:place], _Factor(factor.text, factor.of),
                            *factors[place + 1 :]])  # fmt: skip
    units = {unit for factor in factors for unit in (factor.of, factor.per)} | {asked[1]}
    for (small, large), name in _CONSTANTS.items():
        if small in units and large in units:
            options.append([*factors, _Factor(name, small, large)])
    for chosen in options:
        for signs in product((1, -1), repeat=len(chosen)):
            powers: dict[str, int] = {}
            for factor, sign in zip(chosen, signs, strict=True):
                powers[factor.of] = powers.get(factor.of, 0) + sign
                if factor.per:
                    powers[factor.per] = powers.get(factor.per, 0) - sign
            above = [unit for unit, power in powers.items() if power == 1]
            below = [unit for unit, power in powers.items() if power == -1]
            if (
                any(abs(power) > 1 for power in powers.values())
                or len(above) != 1
                or len(below) > 1
            ):
                continue
            unit = (above[0], below[0] if below else "")
            if not _is_asked(unit, asked):
                continue
            over = [f.text for f, sign in zip(chosen, signs, strict=True) if sign > 0]
            under = [f.text for f, sign in zip(chosen, signs, strict=True) if sign < 0]
            over = [f"({each})" if " " in each and under else each for each in over]
            under = [f"({each})" if " " in each else each for each in under]
            expression = " * ".join(over) + "".join(f" / {each}" for each in under)
            found[expression] = unit
        if found:
            break
    return list(found.items())


def _is_asked(unit: tuple[str, str], asked: tuple[str, str]) -> bool:
    of, per = unit
    match asked:
        case ("length", ""):
            return of in _LENGTHS and not per
        case ("time", ""):
            return of in _TIMES and not per
        case ("speed", below):
            return of in _LENGTHS and (per == below if below else per in _TIMES)
        case ("money", below):
            return of == "money" and per == below
        case ("", below):
            return per == below
        case _:
            return unit == asked
    return False


_NO_CHANGE = r"\b(?:percent|per cent|percentage)(?: of| points?)\b"


def _change_in_percent(text: _Text) -> Problem | None:
    """Two numbers, "from" one "to" the other, and a question for percent."""
    said = text.text
    change = re.search(r"\bfrom (?P<old>#\d) (?:[a-z]+ ){0,2}to (?P<new>#\d)", said)
    asks = re.search(r"\b(?:many|what|in|the) (?:percent|per cent|percentage)\b", said)
    if not change or not asks or len(text.numbers) != 2 or re.search(_NO_CHANGE, said):
        return None
    return _by_form("rise", text, change.groupdict())


# Forms of their own


def _by_form(form: str, text: _Text, groups: Mapping[str, str]) -> Problem | None:
    """The calculation of a problem of this form; None if its parts do not fit."""

    def number(name: str) -> str:
        return text.take(groups[name])

    match form:
        case "rise":
            old, new = number("old"), number("new")
            reading = f"From {old} to {new}, in percent of {old}. "
            return Problem(f"({new} - {old}) / {old} * 100", "%", reading)
        case "share":
            whole, count = number("whole"), number("count")
            shared = groups.get("of") or groups.get("cur") or ""
            return Problem(f"{whole} / {count}", shared, f"{whole} is shared among {count}. ")
        case "group":
            whole, size = number("whole"), number("size")
            if float(whole) % float(size):
                return None  # whether an incomplete group counts is not said
            return Problem(f"{whole} / {size}", groups["group"], f"{whole} in groups of {size}. ")
        case "net":
            gross, rate = number("gross"), number("rate")
            reading = f"{gross} is 100% and {rate}% more. "
            return Problem(f"{gross} * 100 / (100 + {rate})", groups["cur"], reading)
        case "cheaper" | "dearer":
            price, rate = number("price"), number("rate")
            sign, verb = ("-", "taken off") if form == "cheaper" else ("+", "added")
            reading = f"{rate}% of {price} are {verb}. "
            return Problem(f"{price} {sign} {rate} / 100 * {price}", groups["cur"], reading)
        case "change":
            paid, price = number("paid"), number("price")
            return Problem(f"{paid} - {price}", groups["cur"], f"{price} are paid with {paid}. ")
        case "area":
            length, width = number("length"), number("width")
            unit = f"square {_unit(groups['unit'])}s"
            return Problem(f"{length} * {width}", unit, f"{length} by {width}. ")
        case "changes":
            return _changes(text, groups)
    raise AssertionError(form)


def _changes(text: _Text, groups: Mapping[str, str]) -> Problem | None:
    """ "Tom has 12 apples. He gives 5 to Anna and buys 3 more. How many apples does he have?"."""
    thing = _unit(groups["thing"])
    if _unit(groups["asked"]) not in (thing, ""):
        return None
    if groups["whom"] not in ("", groups["who"], "he", "she", "they"):  # of somebody else
        return None
    expression = text.take(groups["start"])
    for part in re.split(r"[.,;]| and | then ", groups["rest"]):
        if not (clause := part.strip()):
            continue
        match = re.fullmatch(_CLAUSE, clause)
        if match is None:
            return None
        more = match["more"] or ""
        if more not in ("", "more", "of them", "of these") and _unit(more) != thing:
            return None
        expression += f" {'+' if match['gain'] else '-'} {text.take(match['n'])}"
    if " " not in expression:
        return None
    return Problem(expression, groups["thing"], "I add what comes and subtract what goes. ")


_CLAUSE = re.compile(_DATA.filled(_DATA.data["words"]["clause"]))
