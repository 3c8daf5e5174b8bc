"""Questions about the present time: here, in a city, or when it is a certain time elsewhere."""

import re
from typing import Any

from engine.agent.date_tools import zone_name
from engine.agent.wording import plain
from engine.english import MONTHS

_WORDS = (
    "time timezone clock hour hours minute minutes late early date dates day days today tonight "
    "weekend now week weekday month year morning noon afternoon evening midnight monday tuesday "
    "wednesday thursday friday saturday sunday tomorrow yesterday utc gmt until till ago since "
    f"next last between after before left from was were will {' '.join(MONTHS)}"
)
_OTHERS = (  # of a question about the time
    "what which how is it s the a in at on of for to and or with please thanks hello hi tell give "
    "show let say saying read check look see find remind need want like know wonder think be been "
    "are am have has got do does did can could would should will shall already still yet past just "
    "exact exactly current currently present actual correct local right official moment here there "
    "over out up by about if whether me us you i we they my our your much many don t not "
    "holiday easter christmas summer winter spring autumn season sundays saturdays mondays fridays"
)
_NOW = re.compile(
    r"(?:what|what's|whats|which|give|read|say|check|is|got|have you got|do you have|how)? ?"
    r"(?:is |are )?(?:it |the )?(?:exact |current |present |correct |local |right |actual )*"
    r"(?:time|hour|clock|date|date today|day|day today|weekday|day of the week|month|year|late|"
    r"date and time|time and date|date and the time|today's date|todays date|current time|"
    r"day and date|today|date is today|timestamp)"
    r"(?: (?:is|do we have|have we|it|is it|today|now|right now|currently|at the moment|here|"
    r"at present|this|are we|in|please|exactly|got))*(?: (?:in|at|for) (?P<place>[\w/ .'-]+?))?"
    r"(?: (?:now|right now|at the moment|currently|today|please))*",
    re.I,
)


_CLOCK = r"(?P<at>\d{1,2}(?::\d\d)?(?: ?[ap]\.?m\.?)?|noon|midnight)(?: o'clock)?"
_PLACE = r"[\w/ .'-]+?"
_ELSEWHERE = re.compile(
    rf"(?:when|if) it(?: is|'s) {_CLOCK} (?:in (?P<at_place>{_PLACE})|here),? "
    rf"what(?: is the)? time (?:is it )?(?:in (?P<place>{_PLACE})|here)",
    re.I,
)
_ELSEWHERE_FIRST = re.compile(
    rf"what(?: is the)? time (?:is it )?(?:in (?P<place>{_PLACE})|here),? (?:when|if) it(?: is|'s) "
    rf"{_CLOCK} (?:in (?P<at_place>{_PLACE})|here)",
    re.I,
)


def read_clock(question: str) -> dict[str, Any] | None:
    """The arguments of `date_and_time`, if a question certainly asks for the present time."""
    if len(question) > 200:
        return None
    text = plain(question).rstrip(" ?.!")
    if match := _ELSEWHERE.fullmatch(text) or _ELSEWHERE_FIRST.fullmatch(text):
        places = {name: (match[name] or "").strip() for name in ("place", "at_place")}
        if all(zone_name(place) for place in places.values() if place):
            return {"at": match["at"].strip(), **{k: v for k, v in places.items() if v}}
        return None
    if re.match(r"(?:is it|is today|are we|is this) ", text, re.I) and asks_for_the_time(text):
        return {}  # "Is it the weekend already?"
    match = _NOW.fullmatch(text)
    if match is None:
        return None
    place = (match["place"] or "").strip()
    place = re.sub(r"^the ", "", place, flags=re.I)
    if place and not zone_name(place):
        asked = re.search(r"\b(?:time|hour|clock|late)\b", text, re.I)
        return {"place": place} if asked and place[:1].isupper() else None
    return {"place": place} if place else {}


def asks_for_the_time(question: str) -> bool:
    """Whether all words are about the present time, unlike "On which day is it closed?"."""
    words = set(re.findall(r"[a-z]+", question.lower()))
    return bool(words & set(_WORDS.split())) and words <= {*_WORDS.split(), *_OTHERS.split()}
