"""Yes or no: the sentence that decides, quoted, with a verdict only where its words are plain.

A small model cannot be trusted with a verdict. "No" is said if the sentence about the matter denies
it ("is not allowed", "closed" where "open" is asked); "yes" if the sentence states all that the
question asks, and denies nothing. Otherwise the sentence stands alone.
"""

import re
from collections.abc import Callable, Sequence

from engine.kinds.finding import Finder, Treated
from engine.kinds.on_topic import Said, sentences_on, sources_of_sentences
from engine.kinds.recognising import Asked, Kind
from engine.kinds.words import in_digits, terms_of, words_of
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
_CLAUSE = re.compile(
    r"(?<=[,;:])\s+|\s+(?=(?:but|while|whereas|although)\b|"
    r"and\b(?! (?:is|are|was|were|may|must|can|cannot|never|not|has|have|had|does|do|will)\b))"
)
# "All are open except the mill": the rest of the clause is the exception
_EXCEPT = re.compile(
    r"\b(?:except(?:ing|ed)?(?: for)?|apart from|other than|but not)\b(?P<what>[^,;.:]+)",
    re.IGNORECASE,
)
_LEANS = re.compile(
    r"^(?:it|they|he|she|this|these|both|all of them|none of them)\b", re.IGNORECASE
)
_N = r"(?P<{}>\d+(?:\.\d+)?)"
# A range of numbers in a sentence → whether a number is in it
_RANGES: list[tuple[str, Callable[[float, float, float], bool]]] = [
    (
        rf"(?:from |between |aged? )?{_N.format('a')} ?(?:to|and|-|–) ?{_N.format('b')}\b",
        lambda n, a, b: a <= n <= b,
    ),
    (
        rf"\b(?:under|below|less than|younger than|fewer than) {_N.format('a')}",
        lambda n, a, _: n < a,
    ),
    (
        rf"\b(?:up to|at most|no more than|a maximum of|not more than|until) {_N.format('a')}",
        lambda n, a, _: n <= a,
    ),
    (rf"\b(?:over|above|more than|older than) {_N.format('a')}", lambda n, a, _: n > a),
    (
        rf"\b(?:at least|a minimum of|not less than|from) {_N.format('a')}|"
        rf"\b{_N.format('c')} (?:or|and) (?:more|over|older|above)",
        lambda n, a, _: n >= a,
    ),
]
_AGED = re.compile(r"\b(?:is|am|are|aged?|turned) \d+\b|\d+[- ]years?[- ]old", re.IGNORECASE)
_OF_AN_AGE = re.compile(
    r"\bchild|\byoung|\bpeople\b|\bpersons?\b|\baged?\b|years?|\badult", re.IGNORECASE
)
_AUXILIARY = frozenset(
    terms_of("allowed permitted possible can may must use get there any anybody anyone have")
)
# The share of the question's words that a sentence must have to decide, for no and for yes
FOR_NO, FOR_YES = 0.6, 0.99
# The same where a sentence has the opposite of a word, which counts as that word; and where the
# question's number is in the sentence's range
FOR_OPPOSITE, OF_A_RANGE = 0.6, 0.5


def yes_no_answer(asked: Asked, finder: Finder, run: Run) -> Treated:
    """The answer for a small model: the sentence that is most on the matter, or nothing found."""
    message = f"{asked['told']} {asked.question}".strip()
    kept, found = sentences_on(message, finder, run, CANDIDATES)
    if not kept:
        found = finder.retrieve(message, CANDIDATES, run)
        has_all_words = bool(found) and found[0].scores.words == 1.0
        if not found or not found[0].evidence or not (is_relevant(found) or has_all_words):
            did = "Looked for a sentence that decides"
            return Treated(Kind.YES_NO, did, found, missing=True)
        best = found[0].evidence[0]
        kept = [Said(found[0].node, best.start, best.end, 0, 0.0, False, score=found[0].score)]
    best_said = kept[0]
    text = best_said.text
    heading = str(best_said.node.metadata.get("heading") or "")
    following = _with_next(best_said.node.text, best_said.start, best_said.end)
    decided_below = _DECIDES.search(following[len(" ".join(text.split())) :])
    if not decided_below or _DECIDES.search(text):
        before = _sentence_before(best_said.node.text, best_said.start)
        it = before if _LEANS.match(text) else ""
        said = verdict(asked.question, text, heading, it, asked["told"])
        if said:
            return _decided(said, " ".join(f"{it} {text}".split()), kept)
    # The next sentence may except the very thing: "Wine may be brought. Spirits may not."
    following_text = following[len(" ".join(text.split())) :].strip()
    if _excepts(asked.question, following_text, text):
        return _decided("No", following, kept)
    near = [each for each in kept[1:] if each.score > best_said.score - NEAR]
    quoted = f"“{following}”\n"
    for each in near:
        if (sentence := " ".join(each.text.split())) not in quoted:
            quoted += f"\n“{sentence}”\n"
    did = "The sentence that comes closest"
    return Treated(Kind.YES_NO, did, sources_of_sentences(kept), (quoted,))


def _decided(said: str, quoted: str, kept: Sequence[Said]) -> Treated:
    text = (f"**{said}.** “{quoted}”\n",)
    return Treated(Kind.YES_NO, DECIDED, sources_of_sentences(kept), text)


def _excepts(question: str, following: str, sentence: str) -> bool:
    """Whether the sentence that follows denies what is asked, with a word of the question that the
    sentence before it does not have, and both together are on the matter."""
    first = sentence_spans(following)[:1]
    if not first or _DENIES.search(question):
        return False
    text = following[slice(*first[0])]
    asked, there = set(terms_of(question)) - _AUXILIARY, set(terms_of(text))
    if not _DENIES.search(text) or _QUALIFIED.search(text) or _DENIES.search(sentence):
        return False
    own = (asked & there) - set(terms_of(sentence))
    together = asked & (there | set(terms_of(sentence)))
    return bool(own) and len(together) >= FOR_NO * len(asked)


def _sentence_before(text: str, start: int) -> str:
    """The sentence before the one at `start`, if it is in the same paragraph."""
    spans = [span for span in sentence_spans(text) if span[1] <= start]
    if not spans or "\n" in text[spans[-1][1] : start] or is_heading(text, *spans[-1]):
        return ""
    return text[slice(*spans[-1])]


def _with_next(text: str, start: int, end: int) -> str:
    """A sentence with those that follow it in its paragraph, in one line."""
    last = end
    following = [span for span in sentence_spans(text) if span[0] >= end]
    for begin, finish in following[:AFTER]:
        if "\n" in text[last:begin] or is_heading(text, begin, finish):
            break
        last = finish
    return " ".join(text[start:last].split())


def verdict(
    question: str, sentence: str, heading: str = "", before: str = "", told: str = ""
) -> str:
    """ "Yes", "No", or empty where the words do not decide.

    heading: the headings above    before: the sentence that says what "it" is in this one
    told: what is told before the question: "My son is 10."
    """
    asked = set(terms_of(question)) - _AUXILIARY
    if not asked:
        return ""
    denied = bool(_DENIES.search(re.sub(r"^\W*\w+n['’]t\b", "", question)))
    if excepted := _EXCEPT.search(sentence):
        return _by_exception(asked, sentence, excepted, denied)
    if _QUALIFIED.search(sentence):
        return ""
    clauses = _CLAUSE.split(sentence)
    there = set(terms_of(sentence))
    whole = set(terms_of(f"{heading} {before}")) | there
    best = max(clauses, key=lambda clause: len(asked & set(terms_of(clause))))
    opposite = frozenset[str]().union(
        *(
            mine & asked
            for pair in _OPPOSITES
            for mine, other in (pair, pair[::-1])
            if mine & asked and other & there and not mine & there
        )
    )
    share = len((asked & whole) | opposite) / len(asked)
    numbers = {word for word in words_of(question) if word.isdigit()}
    denies = bool(_DENIES.search(best))
    if opposite and share >= FOR_OPPOSITE:
        return "Yes" if denied or denies else "No"
    if denies and share >= FOR_NO:
        return "Yes" if denied else "No"
    if (inside := in_range(f"{told} {question}", sentence)) is not None:
        sure = inside and not denied and not denies
        return "Yes" if sure and len(asked & whole) >= OF_A_RANGE * len(asked) else ""
    stated = len(asked & (there | set(terms_of(before)))) >= FOR_YES * len(asked)
    if not _DENIES.search(sentence) and stated and numbers <= set(words_of(sentence)):
        return "No" if denied else "Yes"
    return ""


def _by_exception(asked: set[str], sentence: str, excepted: re.Match[str], denied: bool) -> str:
    """The verdict on what a sentence excepts; empty if the question is not about that alone."""
    rule = sentence[: excepted.start()]
    what = set(terms_of(excepted["what"])) & asked
    rest = asked - what
    if not what or denied or len(rest & set(terms_of(rule))) < FOR_NO * max(1, len(rest)):
        return ""
    return "Yes" if _DENIES.search(rule) else "No"


def in_range(question: str, sentence: str) -> bool | None:
    """Whether the one number of a question is in the one range of a sentence, and means the same:
    "My son is 10" and "children from 8 to 17", "4 days" and "up to five days". None if one of them
    has no number or range."""
    question, sentence = in_digits(question), in_digits(sentence)
    numbers = re.findall(r"(?<![\w.:])(\d+(?:\.\d+)?)(?![\d:])(?:\s+(\w+))?", question)
    for pattern, holds in _RANGES if numbers else ():
        found = list(re.finditer(pattern, sentence, re.IGNORECASE))
        if not found:
            continue
        number, unit = float(numbers[0][0]), set(terms_of(numbers[0][1]))
        groups = found[0].groupdict()
        first, last = groups.get("a") or groups.get("c"), groups.get("b")
        after = set(terms_of(sentence[found[0].end() :])[:1])
        alike = bool(unit & after) or bool(_AGED.search(question) and _OF_AN_AGE.search(sentence))
        inside = holds(number, float(first or 0), float(last or 0))
        return len(found) == len(numbers) == 1 and alike and inside
    return None
