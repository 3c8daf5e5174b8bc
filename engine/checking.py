"""Checking: whether the text that a model read supports its answer. Pure: no model, no clock.

Words, numbers and names are compared, not meanings. A problem is a sign that the answer is wrong;
no problem is no proof that it is right.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Self

from engine.english import MONTHS, ONES, TENS
from engine.lexical import passage_terms
from engine.llm.repetition import repeats_from
from engine.splitting import sentence_spans

# ---- Numbers

_ORDINALS = """
    zeroth first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth
    thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth
"""
_VALUES = {
    **{word: number for number, word in enumerate(ONES)},
    **{word: number for number, word in enumerate(_ORDINALS.split())},
    **{word: 10 * number for number, word in enumerate(TENS, start=2)},
    **{word[:-1] + "ieth": 10 * number for number, word in enumerate(TENS, start=2)},
    "dozen": 12,
}
SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9}
# These words often mean no number: "the first", "one of them", "a second"
_VAGUE = frozenset(["zero", "one", "first", "second"])
# A spelled number below this is often part of a phrase, "between two points"
_COUNTED = 10
_MANY = frozenset(["dozens", "hundreds", "thousands", "millions", "billions"])

_NUMBER_WORD = "|".join(sorted([*_VALUES, *SCALES], key=len, reverse=True))
_SPELLED = re.compile(
    rf"\b(?:{_NUMBER_WORD})s?(?:(?:[ -]| and )(?:{_NUMBER_WORD})s?)*\b", re.IGNORECASE
)
_GROUPED = re.compile(r"(?<=\d)[,\u00a0\u202f](?=\d{3}(?!\d))")  # 9,000 is 9000
_DIGITS = re.compile(r"\d+(?:[.,]\d+)?")
_SCALE = re.compile(r"[\s-]*(hundred|thousand|million|billion)\b", re.IGNORECASE)

# ---- Words

_WORD = re.compile(r"[^\W_]+(?:['’.&-][^\W_]+)*")
_JOINT = re.compile(r"['’&/-]")
_SENTENCE_END = re.compile(r"[.!?:\n]")
_ISO_DATE = re.compile(r"\b\d{4}-(\d\d)-\d\d\b|\b\d{1,2}[./](\d\d?)[./]\d{2,4}\b")


def ungrouped(text: str) -> str:
    """9,000 → 9000"""
    return _GROUPED.sub("", text)


def numbers_in(text: str) -> set[float]:
    """The numbers of a text, however they are written: 9,000 is 9000 and "nine thousand".

    Of a compound number, the parts are included: 4.12 may be a date.
    """
    text = ungrouped(text)
    found: set[float] = set()
    for match in _DIGITS.finditer(text):
        number = float(match[0].replace(",", "."))
        if scale := _SCALE.match(text, match.end()):
            found.add(number * SCALES[scale[1].lower()])
        else:
            found |= {number, *(float(part) for part in re.split("[.,]", match[0]))}
    for match in _SPELLED.finditer(text):
        values = _spelled(match[0])
        if min(values) < 100 or not _follows_digits(text, match.start()):
            found |= {_total(values), *values}
    return found


def _follows_digits(text: str, place: int) -> bool:
    """Whether a scale at this place belongs to digits: 3 million."""
    return text[max(0, place - 2) : place].rstrip(" -")[-1:].isdigit()


def _spelled(text: str) -> list[float]:
    words = [word for word in re.findall("[a-z]+", text.lower()) if word != "and"]
    words = [word if word in _VALUES or word in SCALES else word[:-1] for word in words]
    return [float(_VALUES.get(word, SCALES.get(word, 0))) for word in words]


def _total(values: Iterable[float]) -> float:
    """20, 8 → 28; 3, 100, 40 → 340; 9, 1000 → 9000"""
    total = group = 0.0
    for value in values:
        if value == 100:
            group = max(group, 1) * 100
        elif value > 100:
            total, group = total + max(group, 1) * value, 0.0
        else:
            group += value
    return total + group


def _folded(word: str) -> str:
    """Without accents, full stops, a possessive s and capital letters."""
    plain = "".join(
        each for each in unicodedata.normalize("NFKD", word) if not unicodedata.combining(each)
    )
    return re.sub(r"['’]s?$", "", plain).replace(".", "").lower()


@dataclass(frozen=True, slots=True)
class Known:
    """What texts say: their numbers, their words and the stems of these, and the initials of their
    names: "the European Union and Norway" → " EU N"."""

    numbers: frozenset[float]
    words: frozenset[str]
    stems: frozenset[int]
    initials: str

    @classmethod
    def of(cls, *texts: str) -> Self:
        text = "\n".join(texts)
        words = {_folded(word) for word in _WORD.findall(text)}
        words |= {part for word in words for part in _JOINT.split(word)}
        for match in _ISO_DATE.finditer(text):
            month = int(match[1] or match[2])
            if 1 <= month <= 12:
                words.add(MONTHS[month - 1])
        stems = frozenset(passage_terms(ungrouped(text)))
        names = "".join(word[0] if word[0].isupper() else " " for word in _WORD.findall(text))
        return cls(frozenset(numbers_in(text)), frozenset(words), stems, names)


@dataclass(frozen=True, slots=True)
class Check:
    """The outcome. `problem` is a sentence for the reader of the answer; empty if nothing was
    noticed. `supported`: most sentences of the answer have no problem."""

    problem: str = ""
    supported: bool = True

    @property
    def passed(self) -> bool:
        return not self.problem


# ---- What a question asks for, in English

_ASKS = re.compile(
    r"\b(?:(?P<person_or_place>who|whom|whose|where)"
    r"|(?P<time>when|(?:what|which) (?:year|date|day|month|century))"
    r"|(?P<amount>how (?:many|much|long|far|high|tall|old|deep|wide|heavy|often|fast|large))"
    r"|what|which|why|how)\b",
    re.IGNORECASE,
)
_TIME_WORDS = frozenset(
    f"""{" ".join(MONTHS)} monday tuesday wednesday thursday friday saturday sunday mondays tuesdays
    wednesdays thursdays fridays saturdays sundays spring summer autumn fall winter before after
    during until till since while once when whenever upon ago today tomorrow yesterday now never
    always soon then daily weekly monthly yearly annually night morning afternoon evening noon
    midnight dawn dusk decade century centuries early late later year years month months week weeks
    day days hour hours minute minutes war birth death end beginning start age era period time
    season christmas easter""".split()
)
_AMOUNT_WORDS = frozenset(
    f"""{" ".join(_MANY)} no none nothing zero several many few both single once twice all every
    each half pair couple only free much little most less more always never often rarely sometimes
    daily weekly monthly yearly annually until far a an""".split()
)
_NEGATION = re.compile(r"\b(?:no|not|none|nothing|nobody|never)\b|n['’]t\b", re.IGNORECASE)
_LEAD_IN = re.compile(
    r"^\W*the (?:\w+ )?(?:answer|text)(?: to (?:this|the) question)? (?:is|are)\b\W*", re.IGNORECASE
)


_VAGUE_AMOUNTS = set("little more less always often every much far".split())  # noqa: SIM905
# "A year" says how long, and "a bag" says nothing
_ONE_UNIT = re.compile(
    r"\ban? (?:\w+ )?(?:second|minute|hour|day|night|week|month|year|decade|century|dozen|few|lot|"
    r"couple|hundred|thousand|million|billion|third|quarter|half|metre|meter|kilomet\w+|mile|"
    r"foot|inch|gram|kilo\w*|pound|ton\w*|litre|liter|euro|dollar|single|pair)s?\b",
    re.IGNORECASE,
)
_TIME_OR_DATE = re.compile(
    r"\b(?:1\d{3}|20\d\d)s?\b|\d[:./-]\d|\b\d{1,2}(?:st|nd|rd|th)\b|\b\d{1,2} ?[ap]\.?m\b|"
    r"\b\d{1,3} (?:BC|AD|CE|BCE)\b|\bo'clock\b"
)
# A sentence without one of these, or a number, does not say when, or how many
_TIMES = _TIME_WORDS - set("before after start end time while age when now then".split())  # noqa: SIM905
_AMOUNTS = _AMOUNT_WORDS - set("a an little more less only always often every much far".split())  # noqa: SIM905


def states_what_is_asked(question: str) -> Callable[[str], bool]:
    """Whether a sentence has a time, where the question asks when, or a number, where it asks how
    many. Always true for other questions."""
    asks = _ASKS.search(question)
    kind = asks.lastgroup if asks else None
    if kind not in ("time", "amount"):
        return lambda _: True
    words = _TIMES if kind == "time" else _AMOUNTS

    def states(sentence: str) -> bool:
        if kind == "time" and _TIME_OR_DATE.search(sentence):
            return True
        if kind == "amount" and (any(map(str.isdigit, sentence)) or _SPELLED.search(sentence)):
            return True
        return not words.isdisjoint(map(_folded, _WORD.findall(sentence)))

    return states


def check(answer: str, question: str, read: Sequence[str]) -> Check:
    """Whether the parts of the passages that the model has `read` support its answer.

    An answer without words passes, and so does one for which nothing was read.
    """
    answer = _LEAD_IN.sub("", answer)
    if not answer.strip() or not read:
        return Check()
    known = Known.of(*read, question)
    sentences = [answer[start:end] for start, end in sentence_spans(answer)]
    asks = _ASKS.search(question)
    counts = asks is not None and asks.lastgroup == "amount"
    missing = [
        [*missing_numbers(each, known, counts), *missing_names(each, known)] for each in sentences
    ]
    if any(missing):
        words = dict.fromkeys(word for each in missing for word in each)
        named = ", ".join(f"“{word}”" for word in list(words)[:3])
        wrong = sum(1 for each in missing if each)
        return Check(f"Not in the passages: {named}.", supported=2 * wrong < len(sentences))
    problem = _not_an_answer(answer, question, read)
    return Check(problem, supported=not problem)


def _not_an_answer(answer: str, question: str, read: Sequence[str]) -> str:
    """The problem of a text that is no answer to this question, from these passages."""
    if repeats_from(answer) is not None:
        return "The model repeated itself."
    if answer.rstrip().endswith("?"):  # an echo, in any language
        return "The model wrote a question."
    asks = _ASKS.search(question)
    if asks is None:
        return ""  # "yes" is an answer
    negated = _NEGATION.search(answer) is not None
    new = (
        passage_terms(ungrouped(_NEGATION.sub("", answer))).keys() - passage_terms(question).keys()
    )
    if not new and not negated and " or " not in question:
        return "The model only repeated the question."
    if new and not new & Known.of(*read).stems and not numbers_in(answer):
        return "The model's words are not in the passages."
    return _other_kind(answer, question, asks.lastgroup)


def _other_kind(answer: str, question: str, asks: str | None) -> str:
    """The problem of an answer that cannot be one: a number for "who", no number for "how many"."""
    words = [_folded(word) for word in _WORD.findall(answer)]
    asked = {_folded(word) for word in _WORD.findall(question)}
    new = [word for word in words if word not in asked]
    number = any(any(map(str.isdigit, word)) for word in new) or bool(_SPELLED.search(answer))
    if asks == "person_or_place" and new and all(any(map(str.isdigit, word)) for word in new):
        return "The question asks for a person or a place, and the model wrote a number."
    if asks == "time" and not number and _TIME_WORDS.isdisjoint(words):
        return "The question asks for a time, and the model wrote none."
    counted = _AMOUNTS | _VAGUE_AMOUNTS
    if asks == "amount" and not (number or _ONE_UNIT.search(answer)) and counted.isdisjoint(words):
        return "The question asks for a number, and the model wrote none."
    return ""


# The share of the words of an answer that one place of the passages must have to state it; of one
# that was calculated, which has words such as "more", that all passages must have together
STATED, CALCULATED = 0.7, 0.6
_YEAR = re.compile(r"\b(?:1[5-9]|20)\d\d\b")


def stated(answer: str, question: str, read: Sequence[str], calculation: str = "") -> bool:
    """Whether each sentence of an answer is stated in one place of the passages that were read: one
    sentence, or two that follow each other, has its numbers, names and most of its words.

    For answers in whole sentences, which repeat what the question asks about: "Employees get 12
    weeks of maternity leave" is not stated by a text in which the 12 weeks are a period of notice.
    The years of the question are in the passages, too. What was calculated from numbers of the
    passages has them in several places, so all passages together are one place.
    """
    known = Known.of(*read)
    if any(float(year) not in known.numbers for year in _YEAR.findall(question)):
        return False
    texts = ["\n".join(read)] if calculation else chain.from_iterable(map(_places, read))
    places = [
        (Known.of(text, calculation), passage_terms(ungrouped(text)).keys()) for text in texts
    ]
    for start, end in sentence_spans(answer):
        sentence = answer[start:end]
        words = passage_terms(ungrouped(sentence)).keys() - passage_terms(calculation).keys()
        words -= passage_terms("yes no not").keys()
        shares = (
            len(words & there) / len(words)
            for known, there in places
            if words and not missing_numbers(sentence, known) + missing_names(sentence, known)
        )
        if words and max(shares, default=0.0) < (CALCULATED if calculation else STATED):
            return False
    return True


def _places(text: str) -> Iterator[str]:
    """Each sentence of a text, and each two that follow each other."""
    spans = sentence_spans(text)
    for number, (start, end) in enumerate(spans):
        yield text[start:end]
        if number + 1 < len(spans):
            yield text[start : spans[number + 1][1]]


def missing_in(text: str, sources: Sequence[str]) -> list[str]:
    """The numbers, dates and names of a text that are in none of the sources, as written."""
    known = Known.of(*sources)
    return [*missing_numbers(text, known), *missing_names(text, known)]


def missing_numbers(text: str, known: Known, all_spelled: bool = False) -> list[str]:
    """The numbers of a text that are not known. Small ones in words only if `all_spelled`."""
    text = ungrouped(text)
    missing = []
    for match in _DIGITS.finditer(text):
        number = float(match[0].replace(",", "."))
        scale = _SCALE.match(text, match.end())
        if number * (SCALES[scale[1].lower()] if scale else 1) not in known.numbers:
            missing.append(match[0])
    for match in _SPELLED.finditer(text):
        words = {word for word in re.findall("[a-z]+", match[0].lower()) if word != "and"}
        scaled = words <= SCALES.keys() and _follows_digits(text, match.start())
        if words <= _VAGUE or scaled or words & _MANY:
            continue
        number = _total(_spelled(match[0]))
        if number not in known.numbers and (all_spelled or number >= _COUNTED):
            missing.append(match[0])
    return missing


def missing_names(text: str, known: Known) -> list[str]:
    """Words with a capital letter, except for the first of each sentence."""
    missing = []
    end = 0
    for match in _WORD.finditer(text):
        begins = end == 0 or _SENTENCE_END.search(text[end : match.start()]) is not None
        end = match.end()
        word = match[0]
        if word == word.lower() or (begins and word[1:] == word[1:].lower()) or word == "I":
            continue
        folded = _folded(word)
        parts = [part for part in _JOINT.split(folded) if part]
        if folded in known.words or all(part in known.words for part in parts):
            continue
        if _SPELLED.fullmatch(word) or passage_terms(word).keys() & known.stems:
            continue
        if len(word) > 1 and word.isupper() and word in known.initials:
            continue
        missing.append(word)
    return missing
