"""A value in found passages: "the price of the Otter rover" → 4200 crowns, with the row it is in.

A value is read only if the text leaves no choice: the words of the thing stand in the row or the
sentence, and there is one number of the right kind. Otherwise the reader says why there is none.
"""

import re
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from functools import cache
from pathlib import Path

from py_rust_stemmers import SnowballStemmer

from engine.agent.numbers import Token, tokens
from engine.agent.units import measured, unit_at
from engine.schema import NodeWithScore
from engine.splitting import sentence_spans

BEFORE = 3  # sentences before one that may name its thing
TITLE = 4  # words of a title in front of sentences: "3. Paint shop."


class Kind(StrEnum):
    MONEY = "an amount of money"
    LENGTH = "a length"
    MASS = "a weight"
    TIME = "a duration"
    AREA = "an area"
    VOLUME = "a volume"
    SPEED = "a speed"
    TEMPERATURE = "a temperature"
    YEAR = "a year"
    COUNT = "a number of things"
    ANY = "a number"


# The kinds of values by what units.py says that their units measure
_KINDS = {
    "length": Kind.LENGTH, "mass": Kind.MASS, "time": Kind.TIME, "area": Kind.AREA,
    "volume": Kind.VOLUME, "speed": Kind.SPEED, "temperature": Kind.TEMPERATURE,
}  # fmt: skip
_DATA = tomllib.loads(Path(__file__).with_suffix(".toml").read_text(encoding="utf-8"))
_HEADS: dict[Kind, str] = {Kind[name]: nouns for name, nouns in _DATA["heads"].items()}
_COLUMNS: dict[Kind, str] = {Kind[name]: nouns for name, nouns in _DATA["columns"].items()}
_ADJECTIVES: dict[str, tuple[Kind, str]] = {
    word: (Kind[name], words) for word, (name, words) in _DATA["adjectives"].items()
}
_COMPARED: dict[str, str] = _DATA["compared"]
_CURRENCIES: dict[str, str] = _DATA["currencies"]
_STOP = frozenset(_DATA["words"]["stop"].split())
_CLASSES = frozenset(_DATA["words"]["classes"].split())
_IRREGULAR = dict(pair.split() for pair in _DATA["words"]["irregular"].split("|"))
_BEGUN: str = _DATA["words"]["begun"]
_PREPOSITION = re.compile(
    r" (?:of|in|for|on|at|with|from|to|by|who|that|which|above|after|below|under|near) "
)
# How a sentence begins whose thing was named before it: "It costs…", "The price is…", "Budget: …"
_PRONOUN = re.compile(
    r"[A-Z][\w ]{0,20}: |(?:it|they|he|she|this|these|that|its|their|his|her|the price|the cost|"
    r"the fee|the final|the total|entry|admission)\b",
    re.I,
)


@cache
def _stemmer() -> SnowballStemmer:
    return SnowballStemmer("english")


def _stem(word: str) -> str:
    return str(_stemmer().stem_word(word))


def stems(text: str) -> list[str]:
    """The stems of the words that tell things apart, in order."""
    words = re.findall(r"[^\W_]+", text.lower().replace("'s", " ").replace("’s", " "))
    return [_stem(_IRREGULAR.get(word, word)) for word in words if word not in _STOP]


@dataclass(frozen=True, slots=True)
class Wanted:
    """The value that is looked for.

    thing: what has the value: "Otter rover". words: of which the sentence has to have one, if there
    are any: "height high tall". must: which it has to have: "final cost". per: the thing that is
    counted, if the value is a price of one. noun: the name of the value in the question.
    """

    thing: str
    kind: Kind = Kind.ANY
    words: tuple[str, ...] = ()
    must: frozenset[str] = frozenset()
    per: str = ""
    noun: str = ""

    @property
    def named(self) -> str:
        """A phrase for the value, for a question and for people."""
        noun = {Kind.MONEY: "price", Kind.MASS: "weight", Kind.YEAR: "year"}.get(self.kind, "")
        noun = self.noun or noun or next(iter(self.words), "")
        return f"the {noun} of the {self.thing}" if noun else f"the {self.thing}"

    @property
    def terms(self) -> frozenset[str]:
        return frozenset(stems(self.thing)) - _class_stems()


@dataclass(frozen=True, slots=True)
class Value:
    """`text`: the number without separators. `quote`: the row or sentence that it stands in."""

    number: Fraction
    text: str
    unit: str
    quote: str
    source: NodeWithScore

    def __str__(self) -> str:
        return f"{self.text} {self.unit}".strip()


def wanted(reference: str, kind: Kind = Kind.ANY) -> Wanted:
    """What a reference names: "the budget of the paint shop" → (paint shop, money, "budget")."""
    text = re.sub(r"^(?:the|a|an|our|my|its|their) ", "", " ".join(reference.split()), flags=re.I)
    match = re.fullmatch(r"(?P<head>[\w -]+?) (?:of|for|in|on|at|to|from|paid by|by) (?P<thing>.+)",
                         text, re.I)  # fmt: skip
    if match and (head := _head(match["head"])):
        return _of(match["thing"], match["head"], head, kind)
    match = re.fullmatch(r"(?P<thing>.+)(?:'s|’s|s') (?P<head>[\w -]+)", text)
    if match and (head := _head(match["head"])):
        return _of(match["thing"], match["head"], head, kind)
    words = text.split()
    if words and (head := _head(words[-1])):
        return _of(" ".join(words[:-1]), words[-1], head, kind)
    return Wanted(text, kind)


def _of(thing: str, said: str, head: Kind, kind: Kind) -> Wanted:
    """Prices are told by their currency; other values by their name too."""
    thing = re.sub(r"^(?:the|a|an|our|my|its|their) ", "", thing, flags=re.I)
    if re.match("number|quantity", said, re.I):
        return Wanted(thing, Kind.COUNT, noun=said)
    must = frozenset(stems(said)) - _class_stems() - frozenset(stems("price cost"))
    if must:  # "the final costs", unlike "the costs"
        must |= frozenset(stems(said)) - _class_stems()
    return Wanted(thing, head if kind is Kind.ANY else kind, must=must, noun=said)


@cache
def _class_stems() -> frozenset[str]:
    return frozenset(_stem(word) for word in _CLASSES)


@cache
def _heads() -> dict[str, Kind]:
    return {_stem(noun): kind for kind, nouns in _HEADS.items() for noun in nouns.split()}


def _head(words: str) -> Kind | None:
    return _heads().get(_stem(words.lower().split()[-1])) if words.split() else None


def is_measurable(reference: str) -> bool:
    """Whether a reference names a value by a noun such as "price" or "length"."""
    found = wanted(reference)
    return found.kind is not Kind.ANY or bool(found.must)


def adjective(word: str) -> tuple[Kind, tuple[str, ...]] | None:
    """ "higher", "tall" → the kind of value, and words that its sentences may have."""
    base = _COMPARED.get(word.lower(), word.lower())
    if base not in _ADJECTIVES:
        return None
    kind, words = _ADJECTIVES[base]
    return kind, tuple(_stem(each) for each in words.split())


# Numbers in text


@dataclass(frozen=True, slots=True)
class Mention:
    """A number in a sentence, with its kind and its unit; `text[start:end]` with the unit."""

    number: Fraction
    text: str
    kind: Kind
    unit: str
    start: int
    end: int


def mentions(sentence: str) -> list[Mention]:
    """The numbers in a sentence that can be values."""
    found = tokens(sentence)
    words = [token.text for token in found]
    result = []
    for at, token in enumerate(found):
        if not token.is_number or len(token.text) > 30 or "e" in token.text:
            continue
        if at and token.joined and found[at - 1].text in "-/:.#" and at > 1:
            continue  # the end of a range, of a date, of an article number
        if at + 1 < len(found) and found[at + 1].joined and found[at + 1].text in ":/":
            continue
        result.append(_mention(found, words, at))
    return [each for each in result if each is not None]


def _mention(found: Sequence[Token], words: Sequence[str], at: int) -> Mention | None:
    token = found[at]
    after = words[at + 1] if at + 1 < len(words) else ""
    before = words[at - 1] if at else ""
    unit, end = unit_at(words, at + 1)
    start = token.start
    number = Fraction(token.text)
    singular = after.removesuffix("s")
    if before in _CURRENCIES or singular in _CURRENCIES or after in _CURRENCIES:
        name = _CURRENCIES.get(after) or _CURRENCIES.get(singular) or _CURRENCIES[before]
        behind = after in _CURRENCIES or singular in _CURRENCIES
        last = found[at + 1].end if behind else token.end
        first = start if behind else found[at - 1].start
        return Mention(number, token.text, Kind.MONEY, name, first, last)
    if unit is not None:
        kind = _KINDS.get(measured(unit.pint), Kind.ANY)
        return Mention(number, token.text, kind, unit.plural, start, found[end - 1].end)
    if after in ("%", "percent") or after == "per":
        return None
    if re.fullmatch(r"1[0-9]{3}|20[0-9]{2}", token.text):
        return Mention(number, token.text, Kind.YEAR, "", start, token.end)
    return Mention(number, token.text, Kind.COUNT, "", start, token.end)


# Passages → one value


@dataclass(frozen=True, slots=True)
class _Candidate:
    """rank: how closely number and thing are connected; smaller is closer."""

    rank: tuple[int, int]
    value: Value


def find_value(want: Wanted, sources: Sequence[NodeWithScore]) -> Value | str:
    """The value, or why none was read: a clause such as "they name several"."""
    candidates: list[_Candidate] = []
    for source in sources:
        candidates += _in_passage(want, source)
    if not candidates:
        return f"I found no sentence that states {want.kind} for it"
    best = min(each.rank for each in candidates)
    # What stands right beside the thing in a sentence counts as much as the best row of a table
    sure = {best, (1, 0)} if best < (1, 0) else {best}
    values = [each.value for each in candidates if each.rank in sure]
    if len({(value.number, value.unit) for value in values}) > 1:
        texts = dict.fromkeys(f"{value.text} {value.unit}".strip() for value in values)
        return f"the documents state several values: {', '.join(list(texts)[:4])}"
    return values[0]


def _in_passage(want: Wanted, source: NodeWithScore) -> Iterator[_Candidate]:
    spans = sentence_spans(source.text)
    sentences = [source.text[start:end] for start, end in spans]
    around = set(stems(f"{source.text} {source.node.file_name} "
                       f"{source.metadata.get('heading', '')}"))  # fmt: skip
    for place, sentence in enumerate(sentences):
        if cells := cells_of(sentence):
            yield from _in_row(want, cells, sentence, source)
        else:
            before = sentences[max(0, place - BEFORE) : place]
            yield from _in_sentence(want, sentence, before, around, source)


def is_table(text: str) -> bool:
    """Whether a passage has rows of a table."""
    return any(cells_of(line) for line in text.splitlines())


def cells_of(line: str) -> list[tuple[str, str]]:
    """ "item: Climbing harness; price: 79.00" → names and values; empty for other lines."""
    parts = line.split("; ")
    pairs = [part.partition(": ") for part in parts]
    if len(pairs) < 2 or not all(colon and len(name) < 60 for name, colon, _ in pairs):
        return []
    return [(name.strip(), value.strip()) for name, _, value in pairs]


def _in_row(
    want: Wanted, cells: Sequence[tuple[str, str]], line: str, source: NodeWithScore
) -> Iterator[_Candidate]:
    """The value in the column of its kind, if the row is about the thing."""
    terms = want.terms
    named = set(stems(" ".join(name.replace("_", " ") for name, _ in cells)))
    values = [set(stems(value)) for _, value in cells]
    if not terms or not terms <= named.union(*values):
        return
    if not any(_names(terms, title) for title in _titles(cells)):
        return
    columns = [
        (name, value) for name, value in cells if _column_fits(want, name) and _numeric(value)
    ]
    if len(columns) > 1:
        single = set(stems("unit per single each"))
        columns = [each for each in columns if set(stems(each[0])) & single] or columns
    if len(columns) > 1:  # "at the member price": the column that the question names
        shared = [len(set(stems(each[0])) & terms) for each in columns]
        columns = [each for each, n in zip(columns, shared, strict=True) if n == max(shared)]
    if len(columns) != 1:
        return
    name, text = columns[0]
    found = mentions(text)
    if len(found) != 1:
        return
    others = (
        words - terms
        for words, (_, value) in zip(values, cells, strict=True)
        if words & terms and not _CODE.fullmatch(value)
    )
    extra = sum(map(len, others))
    unit = found[0].unit or _unit_of_column(name)
    yield _Candidate((0, extra), Value(found[0].number, _digits(found[0].text), unit, line, source))


_CODE = re.compile(r"[A-Z]{1,4}[-/ ]?\d[\w-]*|[A-Z]{1,4}-[A-Z0-9]+|\d+")


def _titles(cells: Sequence[tuple[str, str]]) -> list[str]:
    """The cells that name what a row is about: its code, and "item: Snowmobile Lynx 600"."""
    naming = set(stems(_DATA["words"]["naming"]))
    named = [value for name, value in cells if naming & set(stems(name.replace("_", " ")))]
    texts = [value for _, value in cells if re.search(r"[^\W\d_]{3}", value)]
    return [cells[0][1], *(named or texts[:1])]


def _names(terms: frozenset[str], cell: str) -> bool:
    """Whether a cell is about the thing: "Snowmobile Lynx 600", unlike "Cover for a snowmobile"."""
    name = stems(re.split(_PREPOSITION, cell, maxsplit=1)[0])
    ends = {name[0], name[-1]} if name else set()
    return bool(ends & terms) or 2 * len(set(name) & terms) >= len(set(name)) > 0


def _unit_of_column(name: str) -> str:
    """ "price_eur" → "euros", "weight (kg)" → "kilograms"; empty if it names none."""
    for word in re.findall(r"[^\W_]+|[€$£]", name.lower()):
        if word in _CURRENCIES:
            return _CURRENCIES[word]
        unit, _ = unit_at([word], 0)
        if unit is not None and (len(word) > 1 or word in name.lower().split("_")):
            return unit.plural
    return ""


def _numeric(text: str) -> bool:
    return bool(
        re.fullmatch(
            r"\W{0,2}(?:[A-Z]{3} )?\d[\d.,]*(?: ?[^\W\d]{1,12}\.?| ?[€$£%])?", text.strip()
        )
    )


def _column_fits(want: Wanted, name: str) -> bool:
    words = set(stems(name.replace("_", " ")))
    if want.must and not want.must <= words:
        return False
    fitting = {_stem(each) for each in _COLUMNS.get(want.kind, "").split()}
    return bool(want.must) or bool(words & fitting)


def _in_sentence(
    want: Wanted,
    sentence: str,
    before: Sequence[str],
    around: set[str],
    source: NodeWithScore,
) -> Iterator[_Candidate]:
    fitting = [
        each
        for each in mentions(sentence)
        if _fits(want, each, sentence) and not _is_relative(each, sentence)
    ]
    if not fitting:
        return
    terms, here = want.terms, set(stems(sentence))
    if not want.must <= here or (want.per and not _price_of_one(want.per, sentence)):
        return
    if want.words and not here & set(want.words) and want.kind is Kind.YEAR:
        return
    if terms <= here:
        close = _beside(terms, sentence, fitting)
        if close is not None:
            yield _Candidate((1, 0), _value(close, sentence, source))
        elif len(fitting) == 1:
            yield _Candidate((2, 0), _value(fitting[0], sentence, source))
        return
    if not terms or len(fitting) != 1:
        return
    near = set(stems(" ".join(_named_before(sentence, before))))
    known = here | near
    if _last(want.thing) in known and terms <= known:
        yield _Candidate((3, 0), _value(fitting[0], sentence, source))
    elif _last(want.thing) in known and terms <= known | around:
        yield _Candidate((4, 0), _value(fitting[0], sentence, source))


def _named_before(sentence: str, before: Sequence[str]) -> list[str]:
    """Sentences before this one that may name its thing: a title, or what a pronoun refers to."""
    titles = [each for each in before if len(each.split()) <= TITLE]
    return [*titles[-1:], *(before[-1:] if _PRONOUN.match(sentence) else [])]


def _last(thing: str) -> str:
    """The noun of a phrase: the last word before "of", "in", "with"…"""
    first = re.split(_PREPOSITION, thing, maxsplit=1)[0]
    found = stems(first) or stems(thing)
    return found[-1] if found else ""


def _is_relative(mention: Mention, sentence: str) -> bool:
    """Whether a number is a limit or a change: "up to 40 kg", "90 euros dearer"."""
    words = _DATA["words"]
    before, after = sentence[: mention.start].rstrip(), sentence[mention.end :].lstrip()
    return bool(
        re.search(rf"\b(?:{words['limits'].replace(chr(10), '')})$", before, re.I)
        or re.match(rf"(?:{words['changes'].replace(chr(10), '')})\b", after, re.I)
    )


def _fits(want: Wanted, mention: Mention, sentence: str) -> bool:
    if want.kind is Kind.ANY:
        return mention.kind is not Kind.YEAR
    if want.kind is Kind.YEAR and mention.kind is Kind.YEAR:
        before = sentence[: mention.start].rstrip().lower()
        return bool(re.search(r"(?:\b(?:in|since|from|of|on|by|year|around|about|for)|\d|"
                              r"january|february|march|april|may|june|july|august|september|"
                              r"october|november|december|,|\()$", before))  # fmt: skip
    if want.kind is Kind.LENGTH and mention.kind is Kind.LENGTH and want.words:
        return True
    return mention.kind is want.kind


def _price_of_one(thing: str, sentence: str) -> bool:
    """Whether a sentence speaks of one such thing, or of each: "per night", "a jar of honey"."""
    noun = _last(thing)
    words = re.findall(r"[^\W_]+|/", sentence.lower())
    for at, word in enumerate(words):
        if _stem(word) != noun:
            continue
        before = words[max(0, at - 3) : at]
        number = next((w for w in reversed(before) if w.isdigit()), "")
        spelt = [token for token in tokens(" ".join(before[-1:])) if token.is_number]
        if number not in ("", "1") and number == (before[-1] if before else ""):
            return False
        return not any(token.text != "1" for token in spelt)
    return False


def _beside(terms: frozenset[str], sentence: str, fitting: Sequence[Mention]) -> Mention | None:
    """The number in brackets directly behind the thing, or the only one in its clause."""
    for mention in fitting:
        opened = sentence.rfind("(", 0, mention.start)
        if opened < 0 or ")" in sentence[opened : mention.start]:
            continue
        words = re.findall(r"[^\W_]+", sentence[:opened].lower().replace("'s", ""))
        last = [_stem(word) for word in words if word not in _STOP][-len(terms) :]
        if set(last) == terms:
            return mention
    if len(fitting) < 2:
        return None
    for part in re.finditer(r"[^,;()]+(?:\([^)]*\))?", sentence):
        inside = [each for each in fitting if part.start() <= each.start < part.end()]
        if terms <= set(stems(part[0])) and len(inside) == 1:
            return inside[0]
    return None


def _value(mention: Mention, sentence: str, source: NodeWithScore) -> Value:
    quote = " ".join(sentence.split())
    return Value(mention.number, _digits(mention.text), mention.unit, quote, source)


def _digits(text: str) -> str:
    """ "79.00" → "79"."""
    return text.rstrip("0").rstrip(".") if "." in text else text


def find_year(thing: str, sources: Sequence[NodeWithScore], hint: str = "") -> Value | str:
    """The year in which something began: "The tide mill was built in 1684" → 1684.

    hint: a word of the question that says how, such as "registered".
    """
    verbs = tuple(stems(hint or _BEGUN))
    found = find_value(Wanted(thing, Kind.YEAR, verbs), sources)
    if isinstance(found, str) and hint:
        return find_year(thing, sources)
    return found
