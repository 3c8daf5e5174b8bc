"""Plans: what has to be found and computed for one question, step by step.

A plan is a generator. It yields calls, receives their results, and returns the reply:

    "How old is the tide mill in 2026?"
        → search_documents("When was the tide mill built?")      1684, in a sentence about the mill
        → calculator("2026 - 1684")                              342
        → the reply: the result, and the sentence that the year is from

A number from the documents is used only if values.py is certain of it. Otherwise the reply says
that nothing was calculated, and why. plans.toml has the forms of the questions.
"""

import re
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass

from engine.agent.date_tools import Now, local_time
from engine.agent.expressions import NotASum
from engine.agent.forms import read_forms
from engine.agent.numbers import tokens
from engine.agent.policy import CallRequest, CompletedCall
from engine.agent.sums import Sum, read_sum
from engine.agent.tools import FunctionTool
from engine.agent.units import unit_named
from engine.agent.values import (
    Kind,
    Value,
    Wanted,
    adjective,
    find_value,
    find_year,
    is_measurable,
    wanted,
)
from engine.agent.wording import plain, without_documents

SEARCH, CALCULATOR, UNITS = "search_documents", "calculator", "convert_units"
SEARCHED = 8  # passages that are read for a value, so that its other values are seen too
LENGTH = 400  # characters of a question; longer ones get no plan
WORDS = 12  # of the name of a value

_FORMS = read_forms(__file__)
_WORDS = {name: _FORMS.filled(text) for name, text in _FORMS.data["words"].items()}


_AS_A = re.compile(
    r"(?:i am|i'm|as) an? (?P<who>[a-z]+)[.,;:]? "
    r"(?=(?:what|how much) (?:do|does|is|are|must|would)\b"
    r".*\b(?:cost|pay|price))",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Step:
    """A call that a plan needs. `thought`: why, for the user."""

    request: CallRequest
    thought: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """The end of a plan: a text, or the call from whose result the model writes.

    declined: nothing was computed or found. certain: a larger model could not do it either.
    searched: it is what the document search found, or that it found nothing.
    """

    text: str = ""
    write_from: CompletedCall | None = None
    declined: bool = False
    certain: bool = False
    searched: bool = False


Plan = Generator[Step, CompletedCall, Reply]
Search = Generator[Step, CompletedCall, Value | str]


def document_plan(
    question: str, tools: Sequence[FunctionTool], now: Now = local_time
) -> Plan | None:
    """The plan for a question that needs values of the documents and a calculation, or None."""
    names = {tool.name for tool in tools if not tool.unavailable}
    if not {SEARCH, CALCULATOR} <= names or len(question) > LENGTH:
        return None
    text = without_documents(plain(question))
    if who := _AS_A.match(text):  # "I am a visitor. What do two cans cost?"
        text = f"{text[who.end() :]} at the {who['who']} price"
    for form in _FORMS.patterns:
        match = _FORMS.match(form, text)
        if match and (plan := _plan(form, match, question, now)):
            return plan
    stated = _stated_sum(text)
    return _sum(stated, question) if stated else None


def _plan(form: str, match: re.Match[str], part: str, now: Now) -> Plan | None:
    """The plan for a question of this form; None if its parts do not fit."""
    said = {name: value or "" for name, value in match.groupdict().items()}
    match form:
        case "age":
            person = said["thing"].lower() in _WORDS["persons"].split()
            if person or re.search(r"\b(?:when|who|that|which|if|born)\b", said["thing"], re.I):
                return None
            return _age(said["thing"], said["year"], said["hint"], part)
        case "years_between":
            return _years_between(said["first"], said["second"], part)
        case "years_ago":
            return _years_ago(said["event"], part, now().year)
        case "more":
            return _compared(said, part)
        case "difference_in":
            noun = re.sub(r"s$", "", said["noun"])
            if not is_measurable(noun):
                return None
            return _difference([wanted(f"the {noun} of {said[n]}") for n in ("first", "second")],
                               part)  # fmt: skip
        case "exceeds":
            if not is_measurable(said["first"]):
                return None
            thing = re.search(r" (?:of|for|in) (.+)$", said["first"])
            second = said["second"]
            if thing and is_measurable(second) and not re.search(r" (?:of|for|in) ", second):
                second = f"{second} of {thing[1]}"  # "the budget": of the same thing
            return _difference([wanted(said["first"]), wanted(second)], part)
        case "costs":
            items = _items(said["items"])
            several = any(item.count != "1" for item in items)
            total = said.get("together") or said.get("total")
            total = total or re.search(_WORDS["together"], said.get("context", ""), re.I)
            if not several and not (total and len(items) > 1):
                return None
            context = re.sub(_WORDS["together"], "", said.get("context", ""), flags=re.I)
            return _costs(items, context, part)
        case "how_long":
            known = adjective(said["word"])
            if not unit_named(said["to"]) or known is None:
                return None
            named = re.sub(r"^the ", "", said["thing"])
            query = f"How {said['word']} is {said['thing']}?"
            return _converted(Wanted(named, *known), said["to"], part, query)
        case "converted":
            if not unit_named(said["to"]) or not is_measurable(said["reference"]):
                return None
            return _converted(wanted(said["reference"]), said["to"], part)
    raise AssertionError(form)


# Steps that plans share


def _find(
    want: Wanted,
    part: str,
    query: str = "",
    read: Callable[[CompletedCall], Value | str] | None = None,
) -> Search:
    """Search for a value, and read it. Returns the value, or why there is none."""
    query = query or f"What is {want.named}?"
    request = CallRequest(SEARCH, {"query": query, "passages": SEARCHED}, part)
    done = yield Step(request, f"I look for {want.kind} in your documents: “{query}”. ")
    if done.is_error:
        return done.output.content
    return read(done) if read else find_value(want, done.output.sources)


def _compute(expression: str, part: str, found: Sequence[Value]) -> Step:
    read = "".join(f"{value} is in {value.source.node.label}. " for value in found)
    return Step(CallRequest(CALCULATOR, {"expression": expression}, part), read)


def _answer(done: CompletedCall, found: Sequence[Value], unit: str = "") -> Reply:
    """The result with its unit, the calculation, and where its numbers are from."""
    if done.is_error:
        return Reply(done.output.content, declined=True)
    calculation = done.output.content
    about, result = re.split(r" (=|≈) ", calculation)[-2:]
    unit = unit.removesuffix("s") if result == "1" else unit
    shown = f"{'about ' if about == '≈' else ''}{result} {unit}".strip()
    return Reply(f"{shown}\n\n{calculation}{_origins(found)}")


def _origins(found: Sequence[Value]) -> str:
    lines = dict.fromkeys(f"“{value.quote}” ({value.source.node.label})" for value in found)
    return "".join(f"\n\n{line}" for line in lines)


def _cannot(what: str, why: str) -> Reply:
    return Reply(f"I cannot calculate this: for “{what}”, {why}.", declined=True)


def _unit(found: Sequence[Value]) -> str:
    """The unit that all values have."""
    units = {value.unit for value in found}
    return units.pop() if len(units) == 1 else ""


# Years


def _age(thing: str, year: str, hint: str, part: str) -> Plan:
    """ "How old is the tide mill in 2026?" A hint may say what happened: "It was registered…"."""
    said = re.search(r"\b(?:was|were|has been|is) (\w+(?:ed|t|wn|un))\b", hint)
    verb = said[1] if said else ""
    query = f"When was the {thing} {verb or 'founded or built'}?"
    begun = yield from _find(
        Wanted(thing, Kind.YEAR), part, query,
        lambda done: find_year(thing, done.output.sources, verb),
    )  # fmt: skip
    if isinstance(begun, str):
        return _cannot(f"the year of {thing}", begun)
    done = yield _compute(f"{year} - {begun.text}", part, [begun])
    return _answer(done, [begun], "years")


def _years_between(first: str, second: str, part: str) -> Plan:
    """ "How many years after the mill was built did the storm break the dam?"."""
    found: list[Value] = []
    years: list[str] = []
    for event in (first, second):
        if year := re.fullmatch(r"(?:the year )?([12]\d{3})", event.strip()):
            years.append(year[1])
            continue
        clause = re.search(r"\b(?:was|were|did)\b", event)
        query = f"In which year {event}?" if clause else f"In which year was {event}?"
        value = yield from _find(Wanted(event, Kind.YEAR), part, query)
        if isinstance(value, str):
            return _cannot(event, value)
        found.append(value)
        years.append(value.text)
    years.sort(key=int, reverse=True)
    done = yield _compute(f"{years[0]} - {years[1]}", part, found)
    return _answer(done, found, "years")


def _years_ago(event: str, part: str, year: int) -> Plan:
    """ "How many years ago was the mill closed?"."""
    value = yield from _find(Wanted(event, Kind.YEAR), part, f"In which year was {event}?")
    if isinstance(value, str):
        return _cannot(event, value)
    arguments = {"start": value.text, "end": str(year), "unit": "year"}
    done = yield Step(
        CallRequest("time_between", arguments, part), f"{value} is in {value.source.node.label}. "
    )
    return Reply(f"{done.output.content}{_origins([value])}", declined=done.is_error)


# Comparisons


def _compared(said: dict[str, str], part: str) -> Plan | None:
    """ "How much higher is the Great Fang than the Little Fang, in metres?"."""
    verb = said.get("verb", "")
    known = adjective(said["word"])
    if verb or "expensive" in said["word"].lower():
        known = (Kind.MASS if verb.startswith("weigh") else Kind.MONEY), ()
    if known is None:
        return None
    kind, words = known
    second = re.sub(r",? (?:measured |given )?in \w+$", "", said["second"])
    if re.match(r"(?:with|without|in|on|at|for|from|by) ", second, re.IGNORECASE):
        return None  # "than with one": the thing itself is not named
    things = [re.sub(r"^the ", "", thing) for thing in (said["first"], second)]
    return _difference([Wanted(thing, kind, words) for thing in things], part)


def _difference(wants: Sequence[Wanted], part: str) -> Plan:
    """The larger of two values minus the smaller one."""
    found: list[Value] = []
    for want in wants:
        value = yield from _find(want, part)
        if isinstance(value, str):
            return _cannot(want.named, value)
        found.append(value)
    if found[0].unit != found[1].unit and all(value.unit for value in found):
        reason = f"the value is in {found[0].unit}, and the other one in {found[1].unit}"
        return _cannot(wants[0].named, reason)
    larger, smaller = sorted(found, key=lambda value: -value.number)
    done = yield _compute(f"{larger.text} - {smaller.text}", part, found)
    return _answer(done, found, _unit(found))


# Prices


@dataclass(frozen=True, slots=True)
class _Item:
    """`count` things: "five nights in the guest room"."""

    count: str
    thing: str


def _items(text: str) -> list[_Item]:
    """ "two adults and a bicycle" → two items; empty if a part has no thing."""
    items = []
    for phrase in re.split(r",? and |, | plus ", text):
        found = tokens(phrase)
        count, rest = "1", re.sub(r"^(?:a|an|one|the) ", "", phrase.strip(), flags=re.I)
        if found and found[0].is_number:
            if not found[0].text.isdecimal():
                return []
            count, rest = found[0].text, phrase[found[0].end :].strip()
        if not re.search(r"[^\W\d_]{2}", rest) or rest.lower().startswith(("percent", "% ")):
            return []
        items.append(_Item(count, rest))
    return items


def _costs(items: Sequence[_Item], context: str, part: str) -> Plan:
    """ "What do 10 climbing harnesses cost?", "How much are two adults and a bicycle together?"."""
    found: list[Value] = []
    for item in items:
        single = re.sub(r"^(\w+?)s\b", r"\1", item.thing)
        want = Wanted(f"{item.thing}{context}", Kind.MONEY, per=item.thing)
        value = yield from _find(want, part, f"How much does one {single} cost{context}?")
        if isinstance(value, str):
            return _cannot(item.thing, value)
        found.append(value)
    if len({value.unit for value in found}) > 1:
        return _cannot(items[0].thing, "the prices are in different currencies")
    terms = [
        value.text if item.count == "1" else f"{item.count} * {value.text}"
        for item, value in zip(items, found, strict=True)
    ]
    done = yield _compute(" + ".join(terms), part, found)
    return _answer(done, found, _unit(found))


# Conversions and expressions with values of the documents


def _converted(want: Wanted, to: str, part: str, query: str = "") -> Plan:
    """ "How high is the Great Fang in feet?"."""
    value = yield from _find(want, part, query)
    if isinstance(value, str):
        return _cannot(want.named, value)
    arguments = {"quantity": f"{value.text} {value.unit}", "to": to}
    done = yield Step(
        CallRequest(UNITS, arguments, part), f"{value} is in {value.source.node.label}. "
    )
    return Reply(f"{done.output.content}{_origins([value])}", declined=done.is_error)


def _is_this_year(reference: str) -> bool:
    return re.fullmatch(_WORDS["this_year"], reference, re.I) is not None


def _stated_sum(text: str) -> Sum | None:
    """The calculation in a text that has values of the documents, or the present year."""
    try:
        stated = read_sum(text, references=True)
    except NotASum:
        return None
    if stated is None or not stated.references:
        return None
    for reference in stated.references:
        if _is_this_year(reference):
            continue
        asks = re.match(_WORDS["question"], reference, re.I)
        if asks or not is_measurable(reference) or len(reference.split()) > WORDS:
            return None
    return stated


def _sum(stated: Sum, part: str) -> Plan:
    """ "What is the price of the Otter rover times 2?", "What year is it now plus 25?"."""
    found: list[Value] = []
    expression = stated.expression
    for number, reference in enumerate(stated.references, start=1):
        if _is_this_year(reference):
            done = yield Step(CallRequest("date_and_time", {}, part), "I look up the year. ")
            year = re.search(r"\b\d{4}\b", done.output.content)
            if done.is_error or year is None:
                return Reply(done.output.content, declined=True)
            text = year[0]
        else:
            value = yield from _find(wanted(reference), part, f"What is the {reference}?")
            if isinstance(value, str):
                return _cannot(reference, value)
            found.append(value)
            text = value.text
        expression = re.sub(rf"\bvalue_{number}\b", text, expression)
    done = yield _compute(expression, part, found)
    return _answer(done, found, _unit(found))
