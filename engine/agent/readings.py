"""Other readings of a task, in which the readers of questions understand more of them.

    "a bag of 2.75 kg, how much is it in pounds? two decimals"
        → "how much is 2.75 kg in pounds?", and the result with two decimals

A demand for decimals, a remark in brackets without numbers, and a statement with one quantity that
"it" refers to, are taken out. What is left must still be read as a whole. A task with one quantity
and one other unit of the same kind is a conversion, whatever its words are.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from engine.agent.numbers import tokens
from engine.agent.units import convert_units, quantity_at, unit_at
from engine.errors import ToolError

LENGTH = 300  # characters of a task; longer ones have no other reading
CLAUSE = 7  # words of a demand for decimals, at most

_COUNTS = {"no": 0, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6}
_DECIMALS = re.compile(
    rf"\b(?P<n>{'|'.join(_COUNTS)}|[0-6]) "
    r"(?:decimals?(?: places?)?|digits? (?:after|behind) the (?:decimal )?point)\b"
    r"|\b(?:round(?:ed)? )?to (?:the nearest )?whole [a-z]+",
    re.IGNORECASE,
)
_BEFORE = re.compile(r"[.?!;,(] *|,? and ", re.IGNORECASE)
_BEHIND = re.compile(r"[.;,)?!]|$")
_REMARK = re.compile(r" ?\([^()\d+*/=^-]*\)")
_IT = re.compile(r"\b(?:it|that|this)\b", re.IGNORECASE)
_SENTENCE = re.compile(r"[.;,] +")


@dataclass(frozen=True, slots=True)
class Reading:
    """A task in other words. decimals: of its result; None if it asks for none."""

    text: str
    decimals: int | None = None
    converts: bool = False  # the text is certainly a conversion, if it can be read as one


def readings(task: str) -> Iterator[Reading]:
    """The task itself, then its other readings."""
    yield Reading(task)
    if len(task) > LENGTH:
        return
    text, decimals = without_decimals(" ".join(task.split()))
    text = re.sub(r"^(what|how|when|where|who)s\b", r"\1's", text, flags=re.IGNORECASE)
    text = _REMARK.sub("", text).strip()
    if not text:
        return
    if text != task:
        yield Reading(text, decimals)
    if referred := _with_quantity(text):
        yield Reading(referred, decimals, converts=True)
    if conversion := _conversion(text):
        yield Reading(conversion, decimals, converts=True)


def without_decimals(task: str) -> tuple[str, int | None]:
    """A task without its demand for decimals, and their number."""
    found = list(_DECIMALS.finditer(task))
    if len(found) != 1:
        return task, None
    demand = found[0]
    start = max((m.end() for m in _BEFORE.finditer(task, 0, demand.start())), default=0)
    behind = _BEHIND.search(task, demand.end())
    end = behind.end() if behind else len(task)
    numbers = [t for t in tokens(task[start : demand.start()]) if t.is_number]
    if re.search(r"\b(?:up|down)\b", task[start:end], re.IGNORECASE):
        return task, None  # this is no rounding to the nearest
    before = task[:start].rstrip(" (,;")
    before = re.sub(r",? and$", "", before, flags=re.IGNORECASE)
    if numbers or len(task[start:end].split()) > CLAUSE or not before:
        return task, None
    said = (demand["n"] or "0").lower()
    decimals = _COUNTS[said] if said in _COUNTS else int(said)
    return f"{before}{task[end:]}".strip(), decimals


def _with_quantity(text: str) -> str:
    """ "I drive at 70 mph. What is that in km/h?" → "What is 70 mph in km/h?"; empty for others."""
    parts = _SENTENCE.split(text)
    statement, question = " ".join(parts[:-1]), parts[-1]
    if not statement or not _IT.search(question) or any(t.is_number for t in tokens(question)):
        return ""
    asked = re.match(r"how (?!much\b|many\b)(\w+)", question, re.IGNORECASE)
    if asked and asked[1].lower() not in statement.lower():
        return ""  # "The bridge is 300 m long. How high is it in feet?"
    found = tokens(statement)
    numbers = [at for at, token in enumerate(found) if token.is_number]
    if not numbers:
        return ""
    quantity, end = quantity_at(found, numbers[0])
    if not quantity or any(at >= end for at in numbers):
        return ""
    said = statement[found[numbers[0]].start : found[end - 1].end]
    return _IT.sub(said, question, count=1)


# Words of tasks that want more than a conversion
_MORE = re.compile(
    r"\b(?:half|twice|double|triple|times|each|every|per|an?other|more|less|longer|shorter|heavier|"
    r"lighter|faster|slower|left|remain\w*|grew|grow\w*|gain\w*|lost|lose\w*|plus|minus|add\w*|"
    r"total|together|difference|last|until|since|ago|cost\w*|price\w*|pay\w*)\b",
    re.IGNORECASE,
)
_ADJECTIVE = re.compile(
    r"\b(?:long|high|wide|deep|tall|thick|far|heavy|fast|big|large|old)\b", re.IGNORECASE
)
_WORDS_TOO = frozenset(["in", "a", "at", "c", "second", "foot", "stone", "yard"])  # and units


def _conversion(text: str) -> str:
    """ "How many grams has 8 ounces?" → "convert 8 ounces to grams"; empty for others."""
    # "It is 300 m long. How high is it in feet?" asks something else
    if _MORE.search(text) or len({each.lower() for each in _ADJECTIVE.findall(text)}) > 1:
        return ""
    found = tokens(text)
    words = [token.text for token in found]
    numbers = [at for at, token in enumerate(found) if token.is_number]
    if not numbers:
        return ""
    quantity, end = quantity_at(found, numbers[0])
    if not quantity or any(at >= end for at in numbers):
        return ""
    goals: set[str] = set()
    at = 0
    while at < len(found):
        unit, after = unit_at(words, at)
        if numbers[0] <= at < end or unit is None or words[at] in _WORDS_TOO:
            at += 1
            continue
        goals.add(" ".join(words[at:after]))
        if words[after : after + 1] == ["of"]:  # "How many litres of paint for 3 square metres?"
            return ""
        at = after
    said = text[found[numbers[0]].start : found[end - 1].end]
    if len(goals) != 1:
        return ""
    (goal,) = goals
    try:
        convert_units(said, goal)
    except ToolError:
        return ""
    return f"convert {said} to {goal}"


def rounded(text: str, decimals: int) -> str:
    """The result of a calculation in a text, rounded; empty if it has no more decimals."""
    found = re.search(r"(?:^|[=≈] )(-?\d+\.\d+)(?!.*[=≈])", text, re.MULTILINE)
    if found is None or len(found[1].partition(".")[2]) <= decimals:
        return ""
    return str(Decimal(found[1]).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP))
