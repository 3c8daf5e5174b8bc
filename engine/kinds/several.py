"""A double question → its parts: "What does a bicycle cost, and who built the mill?" Pure.

A question is divided at "and" and ";" where a new question begins, and between two sentences that
are questions. A part that leans on the one before ("and when?", "what do they cost?") is completed
with its words, or the question is left whole. What is told before a question is no part of it: "I
lost my hat on the ferry. Where is lost property kept?"
"""

import re

from engine.kinds.words import terms_of
from engine.splitting import sentence_spans

_AUX = "is|are|was|were|does|do|did|has|have|can|could|may|must|should|will|would"
_WORD = (
    r"(?:who|whom|whose|what|when|where|why|which|how|"
    r"(?:from|until|till|at|by|on|in|to|with|for|since) (?:whom?|what|when|where|which)|"
    r"is|are|was|were|does|do|did|has|have|can|could|may|must|should|will|"
    r"would|for how|what'?s|"
    r"who'?s|where'?s|when'?s|list|name|summari[sz]e|compare)"
)
# After "and" alone, "is" and "was" go on with the same question, "Who was there and is a miller?",
# unless a subject and more follow: "When is it open, and do I have to book?"
_SUBJECTS = r"(?:i|we|you|he|she|it|they|there|the|my|our|this|these|any\w*)"
_BREAK = re.compile(
    rf"(?:[?.]\s+(?:and |also )?|;\s+|,\s+(?:and |also |but )+)(?={_WORD}\b)|"
    rf"\s+and (?:also )?(?=(?!(?:{_AUX})\b){_WORD}\b|(?:{_AUX}) {_SUBJECTS} \w+ \w+)",
    re.IGNORECASE,
)
_PRONOUN = re.compile(
    r"\b(?:it|its|they|them|their|theirs|he|him|his|she|her|hers|this|that|these|those|there|one|"
    r"ones|each|the (?:file|document|same))\b",
    re.IGNORECASE,
)
# Words of a question that say nothing of what it is about
_OF_NO_TOPIC = frozenset(
    terms_of(
        "how much many long often exactly difference total altogether list all name everyone else "
        "which what cheaper dearer better bigger smaller larger higher lower older newer"
    )
)
# "When I work with acid" is no question
_CONDITION = re.compile(r"(?:when|where) (?:i|we|you|he|she|they|it|the|a|an|my|our)\b", re.I)
# Beginnings of one question that has "and" in it
_ONE = re.compile(
    r"\b(?:between|compare|comparison|difference|differ|both|versus|from|common)\b[^?]*$",
    re.IGNORECASE,
)
_ASKING = re.compile(
    rf"^\W*(?:(?:and|also|so|please|now|well|then)\W+)*(?:{_WORD}|tell|show|give|explain|describe|"
    r"count|find|compare|how|i (?:want|need|would like|'d like) to know)\b",
    re.IGNORECASE,
)
MOST = 4


def parts_of(question: str) -> list[str]:
    """The questions in a question, in order; the question itself if it is one."""
    text = " ".join(question.split())
    places = [0]
    for match in _BREAK.finditer(text):
        before = text[places[-1] : match.start()]
        one = _ONE.search(before)
        if one and "?" not in match[0] and not (one[0].startswith("from") and "," in match[0]):
            continue
        if len(before.split()) < 3 or not (match[0][0] == "?" or _asks(before)):
            continue
        if match[0][0] == "." and not _ASKING.match(before):
            continue
        places.append(match.end())
    cut = [text[start:end] for start, end in zip(places, [*places[1:], len(text)], strict=True)]
    parts = [_trimmed(part) for part in cut]
    parts = [part for part in parts if part]
    if len(parts) < 2 or len(parts) > MOST:
        return [text]
    whole: list[str] = []
    for part in parts:
        if not whole:
            whole.append(part)
        elif not topic_of(part) or _CONDITION.match(part):  # "and when?", "and by how much?"
            whole[-1] = f"{whole[-1].rstrip('?. ')}, and {part}"
        else:
            whole.append(part)
    return [_as_question(part) for part in whole] if len(whole) > 1 else [text]


def topic_of(question: str) -> set[str]:
    """The terms of a question that say what it is about; none in "and how many more?"."""
    return set(terms_of(question)) - _OF_NO_TOPIC


# "I have 4 days left, can I take them next year?"
_TOLD_FIRST = re.compile(
    rf"(?P<told>(?:i|we|my|our|the|there)(?:'\w+)? [^?.]{{8,}}?), (?P<asked>(?:{_AUX}) "
    r"(?:i|we|he|she|it|they|you|that|this|the|my)\b[^?]*\?)$",
    re.IGNORECASE,
)


def told_and_asked(message: str) -> tuple[str, str]:
    """What a message of several sentences tells, and what it asks; the first is empty if all of
    them ask."""
    text = " ".join(message.split())
    sentences = [text[start:end] for start, end in sentence_spans(text)]
    asking = [each.endswith("?") or bool(_ASKING.match(each)) for each in sentences]
    if all(asking) or not any(asking):
        clauses = _TOLD_FIRST.match(text)
        return (clauses["told"], clauses["asked"]) if clauses else ("", text)
    told = [each for each, asks in zip(sentences, asking, strict=True) if not asks]
    asked = [each for each, asks in zip(sentences, asking, strict=True) if asks]
    return " ".join(told), " ".join(asked)


# A second question for what the answer to the first one shows: the difference, or a cell of its row
_TAIL = re.compile(
    r"(?:[,;]? and|[?,;])\s+(?:and )?(?:"
    r"by how (?:much|many)(?: \w+){0,2}"
    r"|how (?:much|many)(?: \w+)?(?: (?:more|fewer|less|is it|was it))?"
    r"|(?:what(?:'s| is| was| are| were) )?(?:its|their|the difference)(?: [\w-]+){0,2}"
    r"|(?:on |at |in )?(?:what|which) (?:day|date|time|month|year|place)"
    r"|what (?:is|was) it|when|where"
    r")\s*[?.!]*\s*$",
    re.IGNORECASE,
)


def without_tail(question: str) -> str:
    """The question without a last part such as "and by how much?" or "and its price?"."""
    head, tails = _TAIL.subn("", question, count=1)
    return f"{head}?" if tails and len(head.split()) > 3 and _asks(head) else question


_SUBJECT = re.compile(
    r"\b(?P<noun>(?:the|my|our|this|a|an) [\w'’-]+(?: [\w'’-]+){0,4}?)"
    r"(?= (?:is|are|was|were|do|does|did|has|have|had|can|may|must|will|cost|costs|weigh|last|open|"
    r"close|begin|end|start|\w+ed|built|held|made|sold|bought)\b|[?.,]|$)",
    re.IGNORECASE,
)
_OBJECT = re.compile(r"\b(?:it|they|them|he|him|she)\b", re.IGNORECASE)
_ONE_OF_IT = re.compile(r"\b(?:an?|the) (\w+) ones?\b", re.IGNORECASE)


def completed(part: str, first: str) -> str:
    """A part that leans on the first one, with the subject of that one in place of "it", and its
    noun in "a new one".

    The part itself if no subject is found.
    """
    subject = _SUBJECT.search(first)
    if subject is None:
        return part
    noun = subject["noun"]
    if _ONE_OF_IT.search(part):
        return _ONE_OF_IT.sub(lambda match: f"a {match[1]} {noun.split()[-1]}", part, count=1)
    return _OBJECT.sub(lambda _: noun, part, count=1)


def leans(part: str) -> bool:
    """Whether a part refers to the one before it."""
    return bool(_PRONOUN.search(part))


def has_name(part: str) -> bool:
    """Whether a part has a word with a capital letter inside, or a number."""
    return bool(re.search(r"\s[A-Z]|\d", part))


def _asks(text: str) -> bool:
    return bool(
        re.match(rf"^\W*(?:(?:and|also|so|please|tell me|well)\W+)*{_WORD}\b", text, re.IGNORECASE)
    ) or bool(re.search(rf"\b(?:{_WORD})\b", text, re.IGNORECASE))


def _trimmed(part: str) -> str:
    part = re.sub(r"(?:[,;]?\s+(?:and|also|but))+$", "", part.strip(" ,;"), flags=re.IGNORECASE)
    return part.strip(" ,;")


def _as_question(part: str) -> str:
    part = part[0].upper() + part[1:]
    if re.match(
        r"(?:please )?(?:list|name|summari[sz]e|compare|tell|show|give)\b", part, re.IGNORECASE
    ):
        return part if part[-1] in ".?!" else f"{part}."
    return part if part.endswith("?") else f"{part.rstrip('.! ')}?"
