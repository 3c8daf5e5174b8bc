"""Spelling: a misspelt word of a question → the word that was probably meant.

A word is misspelt if neither the collections that are searched nor the embedder's vocabulary has
it. It becomes a word of the documents, a stop word, or one that questions are asked with, that has
one letter more, less or different, or two letters exchanged. Names, numbers, short words and
languages other than English stay as they are.
"""

import re
import string
from collections.abc import Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING

from engine.english import GENERAL_WORDS, IRREGULAR, QUESTION_WORDS
from engine.languages import ENGLISH
from engine.lexical import stem, term_number

if TYPE_CHECKING:
    from engine.retrieving import Searched

# Letters of a word that may be corrected. A shorter one has too many neighbours; one of SHORTEST
# letters is corrected only if two of them were exchanged: "teh".
SHORTEST, LONGEST = 3, 20
# Words of a question that are corrected, at most
MOST = 3
# A shorter word is corrected only to a word of questions, and no letter of it is replaced
_SHORT = 5

_WORD = re.compile(r"(?<![\w'’.@/-])[A-Za-z][a-z]+(?![\w'’@/-])")
_ENDINGS = ("s", "es", "d", "ed", "r", "er", "ing", "ly")
# Without its apostrophe, each is a word of a question and in no document
_CONTRACTED = re.compile(r"\b(what|who|where|when|how|that|there)s\b(?=\W+\w)", re.IGNORECASE)
_ANY_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
_FORMS: dict[str, list[str]] = {}  # of irregular words
for form, base in IRREGULAR.items():
    _FORMS.setdefault(form, []).append(base)
    _FORMS.setdefault(base, []).append(form)
_VERBS = re.compile(
    r"\b(is|are|was|were|do|does|did|has|have|had|ca|could|should|would|wo)nt\b", re.IGNORECASE
)


def corrected(question: str, searched: Sequence["Searched"]) -> tuple[str, list[str]]:
    """The question as it was probably meant, and a sentence for each changed word."""
    question = _CONTRACTED.sub(r"\1 is", question)
    question = _VERBS.sub(r"\1n't", question)
    words = _vocabulary(searched)
    languages = {each for part in searched for each in part.collection.languages}
    if not words or languages - {ENGLISH}:
        return question, []
    changed: dict[str, str] = {}
    for match in _WORD.finditer(question):
        word = match[0].lower()
        name = match[0] != word and question[: match.start()].strip() != ""
        if name or not SHORTEST <= len(word) <= LONGEST or _is_known(word, words, searched):
            continue
        if len(changed) < MOST and (meant := _meant(word, searched)):
            changed[match[0]] = meant.capitalize() if match[0][0].isupper() else meant
    for word, meant in changed.items():
        question = re.sub(rf"\b{word}\b", meant, question)
    return question, [f"Read “{meant}” for “{word}”." for word, meant in changed.items()]


def with_question_words(question: str, vocabulary: AbstractSet[str]) -> str:
    """The question with its misspelt question words corrected: "avarage". For tasks that are not
    about documents. `vocabulary`: the words that are right, from an embedder."""
    if not vocabulary:
        return question
    for match in _WORD.finditer(question):
        word = match[0].lower()
        if not SHORTEST <= len(word) <= LONGEST or _is_known(word, vocabulary, ()):
            continue
        candidates = [*_with_another_letter(word), *_with_a_wrong_letter(word)]
        if meant := next((each for each in candidates if each in QUESTION_WORDS), ""):
            question = re.sub(rf"\b{match[0]}\b", meant, question)
    return question


def unknown_words(question: str, searched: Sequence["Searched"]) -> int:
    """How many words of an English question, but for general ones, are in no document.

    0 if documents are in another language, or in a collection on a server, which would need a
    request for each word.
    """
    collections = [part.collection for part in searched]
    if any(each.embedded is None or each.languages - {ENGLISH} for each in collections):
        return 0
    forms: dict[str, list[int]] = {}
    for match in _ANY_WORD.finditer(question.replace("’", "'").lower()):
        word = match[0].removesuffix("'s")
        if len(word) > 1 and stem(word) and word not in QUESTION_WORDS | GENERAL_WORDS:
            forms[word] = [term_number(each) for each in {word, *_FORMS.get(word, ())}]
    numbers = {number for each in forms.values() for number in each}
    there = {n for part in searched for n in part.collection.known_terms(list(numbers))}
    return sum(there.isdisjoint(each) for each in forms.values())


def _vocabulary(searched: Sequence["Searched"]) -> AbstractSet[str]:
    found = (getattr(each.embedding, "vocabulary", None) for each in searched)
    return next(filter(None, found), frozenset())


def _is_known(word: str, words: AbstractSet[str], searched: Sequence["Searched"]) -> bool:
    if word in words or word in QUESTION_WORDS:
        return True
    if any(word.endswith(ending) and _base(word, ending, words) for ending in _ENDINGS):
        return True
    return bool(_in_documents([word], searched))


def _base(word: str, ending: str, words: AbstractSet[str]) -> bool:
    """Whether a word is another one with this ending: "labels", "carried", "stopped"."""
    base = word.removesuffix(ending)
    if len(base) < 3:
        return False
    forms = {base, f"{base}e", f"{base[:-1]}y" if base[-1] == "i" else base}
    if base[-1] == base[-2]:
        forms.add(base[:-1])
    return any(form in words for form in forms)


def _in_documents(candidates: Sequence[str], searched: Sequence["Searched"]) -> set[str]:
    """Those that are in a collection, by their stems."""
    numbers = {each: term_number(each) for each in candidates}
    there: set[int] = set()
    for part in searched:
        there |= part.collection.known_terms(list(set(numbers.values())))
    return {each for each, number in numbers.items() if number in there}


def _meant(word: str, searched: Sequence["Searched"]) -> str:
    """The word that was probably meant, or "": a word of questions or of the documents."""
    likely = list(dict.fromkeys(_with_another_letter(word)))
    rare = [] if len(word) < _SHORT else list(dict.fromkeys(_with_a_wrong_letter(word)))
    for candidates in (likely, rare):
        asking = [each for each in candidates if each in QUESTION_WORDS or not stem(each)]
        there = _in_documents(candidates, searched) if len(word) >= _SHORT else set()
        if found := asking or [each for each in candidates if each in there]:
            return found[0]
    return ""


def _with_another_letter(word: str) -> Iterator[str]:
    """A letter was left out, doubled or added, or two were exchanged."""
    for place in range(len(word) + 1):
        before, after = word[:place], word[place:]
        if len(after) > 1:
            yield before + after[1] + after[0] + after[2:]
        if len(word) == SHORTEST:
            continue
        if after and len(word) > _SHORT - 1:
            yield before + after[1:]
        for letter in string.ascii_lowercase:
            yield before + letter + after


def _with_a_wrong_letter(word: str) -> Iterator[str]:
    for place in range(1, len(word)):
        for letter in string.ascii_lowercase:
            yield word[:place] + letter + word[place + 1 :]
