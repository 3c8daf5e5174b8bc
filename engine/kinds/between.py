"""The time between two events: their dates are found in the documents, and code subtracts them.

An event that says its own date needs no search. The date of another one is in the sentence that the
search finds for it, or in the last line above that sentence that is a date, as in a log.
"""

import re
from dataclasses import dataclass
from datetime import date

from engine.kinds.computing import answer_of
from engine.kinds.dates import Moment, moment_of, moments, time_between
from engine.kinds.finding import Finder, Treated, marked, merged, sources_of
from engine.kinds.querying import query_of
from engine.kinds.recognising import Asked, Kind
from engine.kinds.several import completed
from engine.kinds.words import terms_of
from engine.retrieving import is_relevant
from engine.run import Run
from engine.schema import NodeWithScore
from engine.splitting import sentence_spans

# The share of an event's words that a sentence with its date must have
ENOUGH = 0.5
_TODAY = re.compile(r"^(?:today|now|the present|this day)$", re.IGNORECASE)
_ENDS = "first|last|second|earliest|latest|start|beginning|end"
_CLAUSE = re.compile(r"[,;] |\band\b|\bbut\b")
# What a sentence says of the beginning of a thing or a person
_BEGAN = frozenset(
    terms_of(
        "born birth birthday old age aged built build building founded established opened erected "
        "constructed made created completed finished began started dates dating since bought new"
    )
)
_WHICH = re.compile(r"^\W*(?:which|what|who)\b.*?\b(first|earlier|later|last)\b", re.IGNORECASE)
_DATE_LINE = 60  # characters; a longer line is a sentence


@dataclass(frozen=True, slots=True)
class _Event:
    """`quoted`: the sentence that gives the date; empty if the question gives it."""

    moment: Moment
    said: str
    quoted: str = ""
    source: NodeWithScore | None = None


def time_answer(asked: Asked, finder: Finder, run: Run) -> Treated | None:
    """None if a date is not found."""
    if asked["other"].lower() in ("two", "both"):
        pair = _two_rows(asked["about"], finder, run)
        return _answer(asked, *pair) if pair else None
    first, last = asked["about"], asked["other"] or "today"
    how_old = asked.question.lower().startswith("how old")
    if re.match(r"(?:it|they|he|she)\b", first, re.IGNORECASE):  # "signed before it began"
        first = completed(first, f"{last} .")
    if re.fullmatch(rf"(?:the )?(?:{_ENDS})", first, re.IGNORECASE):
        # "the first and the last mission of 2024"
        noun = re.sub(rf"^(?:the )?(?:{_ENDS}) ", "", last, flags=re.IGNORECASE)
        first = f"{first} {noun}"
    year = next((each.year for each in moments(f"{first} {last}")), 0)
    events = []
    for event in (first, last):
        run.check()
        found = _event(event, year, finder, run)
        if found is None:
            return None
        began = set(terms_of(f"{found.quoted} {event}")) & _BEGAN
        if how_old and event == first and not began:
            return None  # the date of something else
        events.append(found)
    return _answer(asked, *events)


def _answer(asked: Asked, first: _Event, last: _Event) -> Treated | None:
    one, other = sorted((first, last), key=lambda each: each.moment)
    if one.moment == other.moment and one.quoted == other.quoted:
        return None
    whole_year = not (one.moment.month and other.moment.month)
    if whole_year and one.moment.year == other.moment.year:
        return None  # some months, or days
    length = time_between(one.moment, other.moment, asked["unit"])
    lines = [f"**{length}** between {one.moment} and {other.moment}.\n\n"]
    if which := _WHICH.search(asked.question):
        best, word = (
            (one, "first") if which[1].lower() in ("first", "earlier") else (other, "later")
        )
        lines.insert(0, f"**{best.said[0].upper()}{best.said[1:]}** came {word}.\n\n")
    for each in (one, other):
        quoted = f": “{each.quoted}”" if each.quoted else ""
        lines.append(f"- {each.moment}, {each.said}{quoted}\n")
    sources = merged([each.source for each in (one, other) if each.source])
    return Treated(Kind.BETWEEN, "Time between two dates, computed", sources, tuple(lines))


def _two_rows(things: str, finder: Finder, run: Run) -> tuple[_Event, _Event] | None:
    """The dates of the only two rows of a table that are such things: "the two floods"."""
    for source in dict.fromkeys(each.node.source_id for each in finder.passages(things, 20, run)):
        for table in finder.shelf.tables(source):
            query = query_of(f"List all {things}", table)
            if query is None or query.unexplained or len(query.rows) != 2:
                continue
            events = []
            for row in query.rows:
                dates = [found for cell in row.cells.values() if (found := moment_of(cell))]
                quoted = row.node.text[row.start : row.end]
                if dates:
                    said = next(iter(row.cells.values()))
                    events.append(_Event(dates[0], said, quoted, sources_of([row])[0]))
            if len(events) == 2:
                return events[0], events[1]
    return None


def _event(event: str, year: int, finder: Finder, run: Run) -> _Event | None:
    text = event.strip(" ?.,")
    if _TODAY.match(text):
        today = date.today()
        return _Event(Moment(today.year, today.month, today.day), "today")
    said = moments(text, year)
    if said and (said[0].month or len(terms_of(text)) <= 2):
        found = finder.retrieve(text, 1, run)
        return _Event(said[0], text, source=found[0] if found and is_relevant(found) else None)
    if re.search(r"\b(?:first|last|earliest|latest)\b", text, re.I) and (
        found_row := _extreme(text, finder, run)
    ):
        return found_row
    return _searched(text, year, finder, run)


def _extreme(event: str, finder: Finder, run: Run) -> _Event | None:
    """The first or the last row of a table by its date: "the last mission of 2024"."""
    for source in dict.fromkeys(each.node.source_id for each in finder.passages(event, 20, run)):
        for table in finder.shelf.tables(source):
            query = query_of(f"Which is {event}", table)
            if query is None or query.unexplained or query.operation not in ("highest", "lowest"):
                continue
            answer = answer_of(query)
            if answer is None or answer.missing:
                continue
            best = answer.sources[0]
            quoted = best.sentence(best.evidence[0])
            if found := moments(quoted):
                return _Event(found[0], event, " ".join(quoted.split())[:200], best)
    return None


def _searched(event: str, year: int, finder: Finder, run: Run) -> _Event | None:
    wanted = set(terms_of(event))
    if not wanted:
        return None
    found = finder.retrieve(f"When was {event}?", 4, run)
    best: tuple[float, _Event] | None = None
    for rank, each in enumerate(found):
        spans = sentence_spans(each.text)
        for place, (start, end) in enumerate(spans):
            sentence = each.text[start:end]
            there = set(terms_of(sentence))
            share = len(wanted & there) / len(wanted)
            heading = set(terms_of(str(each.node.metadata.get("heading") or "")))
            with_heading = len(wanted & (there | heading)) / len(wanted)
            logit = next((e.score for e in each.evidence if e.start == start), None)
            if with_heading < ENOUGH and (logit is None or logit < 2):
                continue
            above = _dates_above(each.text, spans[:place])
            said = moments(sentence, year or (above[0].year if above else 0))
            dates = said or above
            if not dates:
                continue
            score = share + 0.5 * with_heading + 0.05 * (logit or -3.0) - 0.1 * rank
            if best is None or score > best[0]:
                moment = nearest(sentence, dates, event) if said else dates[0]
                best = (
                    score,
                    _Event(
                        moment, event, " ".join(sentence.split()), marked(each.node, [(start, end)])
                    ),
                )
    return best[1] if best else None


def _dates_above(text: str, spans: list[tuple[int, int]]) -> list[Moment]:
    for start, end in reversed(spans):
        line = text[start:end]
        if end - start <= _DATE_LINE and (found := moments(line)):
            return found
    return []


def nearest(sentence: str, dates: list[Moment], event: str) -> Moment:
    """Of several dates in a sentence, the one whose clause has the most words of the event, names
    twice; of equal ones, the nearest to these words."""
    wanted = set(terms_of(event))
    names = set(terms_of(" ".join(re.findall(r"\b[A-Z][\w'’]*", event))))
    words = [
        (match.start(), term)
        for match in re.finditer(r"[^\W_]+(?:['’][^\W_]+)?", sentence)
        for term in terms_of(match[0])
        if term in wanted
    ]
    breaks = [0, *(match.start() for match in _CLAUSE.finditer(sentence)), len(sentence)]

    def worth(each: Moment) -> tuple[int, int]:
        start = max(place for place in breaks if place <= each.start)
        end = min(place for place in breaks if place >= each.end)
        clause = {term for place, term in words if start <= place <= end}
        distance = min((abs(each.start - place) for place, _ in words), default=0)
        return len(clause) + len(clause & names), -distance

    return max(dates, key=worth)
