"""Words of a text, and their terms: stems, without words that have only a grammatical meaning."""

import functools
import re

from engine.english import IRREGULAR, ONES
from engine.lexical import stem

_WORD = re.compile(r"[^\W_]+(?:[.'’:-][^\W_]+)*")
_PARTS = re.compile(r"[-:.]")
_POSSESSIVE = re.compile(r"['’]s?$")

# Beside the stop words of the search
_FUNCTION_WORDS = frozenset(
    """i me my mine we us our ours you your yours he him his she her hers its itself them themselves
    am been being were has have had having would should could can may might must shall cannot
    between from out off over under up down about above below into onto during before after again
    here when once than too very just also so some any both each either neither nor only own same
    among amongst along couple lot ok okay alright other such few more most
    don't whats what's who's whos that's i'm i'd let's pls please
    versus vs per via upon within without towards until till since because while though although
    one ones get gets got""".split()  # noqa: SIM905 - as it is read
)


@functools.lru_cache(maxsize=50_000)
def term_of(word: str) -> str:
    """The stem of a word; empty for one with only a grammatical meaning."""
    word = word.lower().replace("’", "'")
    return "" if word in _FUNCTION_WORDS else stem(IRREGULAR.get(word, word))


_NUMBERS = [*ONES[2:], "twenty"]
_NUMBER = re.compile(rf"\b(?:{'|'.join(_NUMBERS)})\b", re.IGNORECASE)


def in_digits(text: str) -> str:
    """The text with its numbers from two to twenty in digits, and square metres as m².

    "Takes place" becomes "takes": no place is meant.
    """
    text = re.sub(r"\b(?:square met(?:re|er)s?|sq\.? ?m|sqm|m2)\b", "m²", text, flags=re.IGNORECASE)
    text = re.sub(r"\ball together\b", "altogether", text, flags=re.IGNORECASE)
    text = re.sub(r"\b(takes?|took|taken|taking) place\b", r"\1", text, flags=re.IGNORECASE)
    return _NUMBER.sub(lambda match: str(_NUMBERS.index(match[0].lower()) + 2), text)


def terms_of(text: str) -> list[str]:
    """The terms of a text in order. "Keeper's" is "keeper", "small-works" is two."""
    parts = (
        _POSSESSIVE.sub("", part)
        for word in words_of(text)
        if word.lower().replace("’", "'") not in _FUNCTION_WORDS
        for part in _PARTS.split(word)
    )
    return [term for part in parts if part and (term := term_of(part) or _letter(part))]


def _letter(word: str) -> str:
    """A capital letter that stands alone, as in "size S", although "s" is no word."""
    return word.lower() if len(word) == 1 and word.isupper() and word not in "AI" else ""


def words_of(text: str) -> list[str]:
    """The words of a text in order. "A-1004", "8:30" and "keeper's" are one each; a name such as
    "price_eur" or "priceEur" is two."""
    return _WORD.findall(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", text.replace("_", " ")))


def related(one: str, other: str) -> bool:
    """Whether two terms are of one family: "lead" and "leader", "contract" and "contractor"."""
    short, long = sorted((one, other), key=len)
    return len(short) >= 4 and long.startswith(short) and len(long) - len(short) <= 3
