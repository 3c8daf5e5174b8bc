"""Yes or no: the sentence that decides, quoted, with a verdict only where its words are plain.

A small model cannot be trusted with a verdict. "No" is said if the sentence about the matter denies
it ("is not allowed", "closed" where "open" is asked); "yes" if the sentence states all that the
question asks, and denies nothing. Otherwise the sentence stands alone.
"""

import re

from engine.kinds.finding import Finder, Treated
from engine.kinds.on_topic import sentences_on, sources_of_sentences
from engine.kinds.recognising import Asked, Kind
from engine.kinds.words import terms_of, words_of
from engine.retrieving import is_relevant
from engine.run import Run
from engine.splitting import is_heading, sentence_spans

DECIDED = "Yes or no, by the words of the sentence"
# Sentences that are shown as sources; the first one decides
CANDIDATES = 3
# How far behind the first one another sentence may be, in points of logit, to be quoted with it if
# neither decides
NEAR = 3.0

# What a meeting decides about the sentence before: "Allow dogs. Rejected with 31 votes."
_DECIDES = re.compile(
    r"\b(?:rejected|refused|declined|defeated|withdrawn|turned down|dismissed|postponed|accepted|"
    r"approved|adopted|granted|agreed|carried|passed)\b",
    re.IGNORECASE,
)
AFTER = 2  # sentences of the same paragraph that are quoted with one that does not decide
_DENIES = re.compile(
    r"\b(?:not(?! only)|no(?! (?:longer|more|less|fewer|later|earlier|higher|lower|older) than)|"
    r"never|nobody|nothing|none|neither|nor|cannot|without|forbidden|prohibited|banned|"
    r"refused|rejected|excluded|unable|impossible)\b|n['’]t\b",
    re.IGNORECASE,
)
_OPPOSITES = [
    (frozenset(terms_of(one)), frozenset(terms_of(other)))
    for one, other in (
        ("open", "closed"),
        ("allowed permitted", "forbidden prohibited banned"),
        ("free", "paid costs"),
        ("alive", "dead"),
        ("full", "empty"),
        ("inside", "outside"),
        ("accepted", "rejected refused"),
        ("won", "lost"),
        ("rise rose higher", "fall fell lower"),
        ("increase", "decrease"),
        ("possible", "impossible"),
        ("included", "excluded"),
        ("hurt injured", "unhurt"),
    )
]
# A sentence with an exception decides for some and not for others
_QUALIFIED = re.compile(
    r"\b(?:except(?:ions?|ed|ing)?|unless|apart from|other than|but not|only (?:if|when|with))\b",
    re.IGNORECASE,
)
_CLAUSE = re.compile(r"(?<=[,;:])\s+|\s+(?=(?:but|while|whereas|although|and)\b)")
_AUXILIARY = frozenset(
    terms_of("allowed permitted possible can may must use get there any anybody anyone have")
)
# The share of the question's words that a sentence must have to decide, for no and for yes
FOR_NO, FOR_YES = 0.6, 0.99


def yes_no_answer(asked: Asked, finder: Finder, run: Run) -> Treated:
    """The answer for a small model: the sentence that is most on the matter, or nothing found."""
    kept, found = sentences_on(asked.question, finder, run, CANDIDATES)
    if not kept:
        found = finder.retrieve(asked.question, CANDIDATES, run)
        has_all_words = bool(found) and found[0].scores.words == 1.0
        if not found or not found[0].evidence or not (is_relevant(found) or has_all_words):
            did = "Looked for a sentence that decides"
            return Treated(Kind.YES_NO, did, found, missing=True)
        best = found[0].evidence[0]
        quoted = _with_next(found[0].text, best.start, best.end)
        did = "The sentence that comes closest"
        return Treated(Kind.YES_NO, did, found[:1], (f"“{quoted}”\n",))
    best_said = kept[0]
    text = best_said.text
    following = _with_next(best_said.node.text, best_said.start, best_said.end)
    decided_below = _DECIDES.search(following[len(" ".join(text.split())) :])
    said = verdict(asked.question, text, str(best_said.node.metadata.get("heading") or ""))
    if decided_below and not _DECIDES.search(text):
        said = ""
    if said:
        quoted = f"**{said}.** “{' '.join(text.split())}”\n"
        return Treated(Kind.YES_NO, DECIDED, sources_of_sentences(kept), (quoted,))
    near = [each for each in kept[1:] if each.score > best_said.score - NEAR]
    quoted = f"“{following}”\n"
    for each in near:
        if (sentence := " ".join(each.text.split())) not in quoted:
            quoted += f"\n“{sentence}”\n"
    did = "The sentence that comes closest"
    return Treated(Kind.YES_NO, did, sources_of_sentences(kept), (quoted,))


def _with_next(text: str, start: int, end: int) -> str:
    """A sentence with those that follow it in its paragraph, in one line."""
    last = end
    following = [span for span in sentence_spans(text) if span[0] >= end]
    for begin, finish in following[:AFTER]:
        if "\n" in text[last:begin] or is_heading(text, begin, finish):
            break
        last = finish
    return " ".join(text[start:last].split())


def verdict(question: str, sentence: str, heading: str = "") -> str:
    """ "Yes", "No", or empty where the words do not decide. `heading`: the headings above."""
    asked = set(terms_of(question)) - _AUXILIARY
    if not asked or _QUALIFIED.search(sentence):
        return ""
    clauses = _CLAUSE.split(sentence)
    denied = bool(_DENIES.search(re.sub(r"^\W*\w+n['’]t\b", "", question)))
    whole = set(terms_of(f"{heading} {sentence}"))
    share = len(asked & whole) / len(asked)
    best = max(clauses, key=lambda clause: len(asked & set(terms_of(clause))))
    opposite = any(
        (one & asked and other & whole and not one & whole)
        or (other & asked and one & whole and not other & whole)
        for one, other in _OPPOSITES
    )
    numbers = {word for word in words_of(question) if word.isdigit()}
    denies = bool(_DENIES.search(best))
    if opposite and share >= 0.4:
        return "Yes" if denied or denies else "No"
    if denies and share >= FOR_NO:
        return "Yes" if denied else "No"
    stated = len(asked & set(terms_of(sentence))) >= FOR_YES * len(asked)
    if not _DENIES.search(sentence) and stated and numbers <= set(words_of(sentence)):
        return "No" if denied else "Yes"
    return ""
