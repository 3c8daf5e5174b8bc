"""A question → the kinds that it may be of, with the parts that the kind needs. Pure.

The rules are in rules.txt, for English, and look only at the words of the question. Whether the
library has what a kind needs, such as a table, is decided where the kind is treated; if not, the
question is treated as the next kind, and at last as one for a fact.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path


class Kind(StrEnum):
    LIBRARY = "library"
    SUMMARY = "summary"
    OVERVIEW = "overview"
    BETWEEN = "time between"
    COMPARISON = "comparison"
    TABLE = "table"
    YES_NO = "yes or no"
    SEVERAL = "several questions"
    FACT = "fact"


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that was recognised, and the parts that the rule of its kind has found.

    about: the topic; what is to be summarised; the first event or side of a comparison
    document: words that may name a document        other: the second event or side
    focus: what a comparison is about               unit: "days"; "cheaper"
    order: "latest", "largest"
    """

    kind: Kind
    question: str
    parts: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, part: str) -> str:
        """Empty where the question has no such part."""
        return self.parts.get(part, "")


# Words for all documents: "my documents", "this collection"
EVERYTHING = re.compile(
    r"(?:all (?:of )?)?(?:(?:all )?(?:of )?(?:my|the|these|those|our|your|all) (?:\w+ )?"
    r"(?:documents?|files?|texts?)|(?:this|the|my|our|your) (?:whole )?"
    r"(?:collection|library|folder|archive)|everything|all of (?:it|this|them))"
    r"(?: (?:(?:in )?here|together|(?:that )?i (?:have|added|uploaded)))?",
    re.IGNORECASE,
)

# Characters of a question. A longer one has a story in it, which no rule understands.
LONGEST = 400

_POLITE = (
    r"\s*(?:(?:please|now|so|ok|okay|well|hi|hello|hey|and),?\s+)*"
    r"(?:(?:(?:can|could|would|will) you|do you know|i(?:'d| would) like(?: you)? to(?: know)?|"
    r"i (?:want|need)(?: you)? to(?: know)?|i wonder|let me know)\s+)?"
    r"(?:please\s+)?(?:just\s+)?"
    r"(?:(?:tell|show) me,?\s+(?=(?:in )?(?:who|which|what|when|where|how|whether)\b))?"
)
# "Who is on the committee? All the names please."
_AFTER_THE_QUESTION = re.compile(
    r"(?<=\?)\s+(?!.*\b(?:summar|sum|(?:who|what|when|where|why|which|how)\b))[^?\d]{1,40}[.!]?$",
    re.IGNORECASE,
)
_SHORT_SUMMARY = re.compile(
    r"\?\s+(?:an? )?(?:(?:short|brief|quick) )?(?:summary|overview|sum it up|summari[sz]e it)"
    r"(?:,? (?:please|pls))?[.!]?$",
    re.IGNORECASE,
)
_THANKS = re.compile(
    r"[,.;?!]*\s+(?:please|pls|thanks|thank you|(?:please )?list (?:it|them)(?: all)?)\s*[.!?]*$",
    re.IGNORECASE,
)
_ASKS_A_TABLE = re.compile(
    _POLITE
    + r"(?:list|enumerate|name|show|give|tell|which|what|who|how|count|sort|rank|order|are there|"
    r"(?:the )?(?:number of|total|sum|average)|find|(?:since )?when|where|whose|"
    r"(?:on average|in total|altogether|overall|in all),? (?:how|what|which)|"
    r"(?:in|at|on|by|for|from|to|with) (?:which|what|whom))\b",
    re.IGNORECASE,
)
_YES_NO = re.compile(
    _POLITE + r"(?:is|are|was|were|am|do|does|did|has|have|had|can|could|may|might|must|shall|"
    r"should|will|would)(?:n['’]t)?\s+\S",
    re.IGNORECASE,
)


# Questions for several things: a small model gives one of them
LISTS = re.compile(
    _POLITE + r"(?:(?:list|enumerate|name)\b|(?:in |at |on |for |with |from |by )?(?:which|what) "
    r"(?:\w+ )?(?!is\b|was\b|does\b|has\b|this\b|its\b)\w+[^s\s]s\b|(?:who|what) are\b)",
    re.IGNORECASE,
)


def recognise(question: str) -> list[Asked]:
    """The kinds that a question may be of, the likeliest first. A fact is the last, always."""
    text = without_thanks(question)
    found: list[Asked] = []
    for kind, rule in _RULES if len(text) <= LONGEST else ():
        if match := rule.fullmatch(text):
            parts = {
                name.rstrip("2"): words.strip(" ,?!")
                for name, words in match.groupdict().items()
                if words
            }
            found.append(Asked(kind, text, parts))
    if _ASKS_A_TABLE.match(text):
        found.append(Asked(Kind.TABLE, text))
    if _YES_NO.match(text):
        found.append(Asked(Kind.YES_NO, text))
    return [*found, Asked(Kind.FACT, text)]


_ASKS = re.compile(r"\b(?:who|whom|whose|what|when|where|which|why|how)\b", re.IGNORECASE)
_OF_DOCUMENTS = re.compile(
    r"\b(?:my|our|the|these) (?:documents?|files?|papers|texts?|notes|library|collection)\b|"
    r"\b(?:said|written|mentioned|in writing)\b",
    re.IGNORECASE,
)


def is_request(text: str) -> bool:
    """Whether a text asks for what is said on something: it has no question word, or asks about
    the documents."""
    if _OF_DOCUMENTS.search(text):
        return True
    return not (_ASKS.search(text) or _YES_NO.match(text) or len(text) > LONGEST)


def without_thanks(question: str) -> str:
    """A question in one line, without "please", "thanks" or "list them" at its end."""
    text = _SHORT_SUMMARY.sub("?", " ".join(question.split()))
    return _THANKS.sub("", _AFTER_THE_QUESTION.sub("", text))


def _read_rules(lines: list[str]) -> Iterator[tuple[Kind, re.Pattern[str]]]:
    words: dict[str, str] = {}
    kind = Kind.FACT
    for line in filter(None, lines):
        if line.startswith("#"):
            continue
        if line.startswith("["):
            kind = Kind(line.strip("[]"))
        elif definition := re.fullmatch(r"(\w+)\s+= (.+)", line):
            words[definition[1]] = _expanded(definition[2], words)
        else:
            rule = _POLITE + _expanded(line, words) + r"\s*[?.!]*\s*"
            yield kind, re.compile(rule, re.IGNORECASE)


def _expanded(rule: str, words: Mapping[str, str]) -> str:
    """With the words that <name> stands for, and {part} as a group of this name."""
    rule = re.sub(r"\{([a-z]\w*)\}", r"(?P<\1>.+?)", rule)
    rule = re.sub(r"\{([a-z]\w*):((?:[^{}]|\{\d*,\d*\})*)\}", r"(?P<\1>\2)", rule)
    return re.sub(r"(?<!\?P)<(\w+)>", lambda match: words[match[1]], rule)


_LINES = Path(__file__).with_name("rules.txt").read_text(encoding="utf-8").splitlines()
_RULES = list(_read_rules(_LINES))
