"""Condensing: a question in a conversation → the earlier questions that it leans on. Pure.

"And in 1887?" says nothing alone. What it is about stands in the questions before it, so a
search takes those in as well (`HybridRetriever.retrieve`). Where a question stands alone, they
would only lead the search astray. It does not know what was answered.

Measured with benchmarks/follow_ups.py; the small default model rewrites such questions worse
than they are.
"""

import re
from collections.abc import Sequence

from engine.lexical import question_terms
from engine.schema import ChatMessage

# Words that stand for something said before, and words that go on from it.
_POINTING_WORDS = """
    it its he him his she her hers they them their theirs this that these those there then one ones
    so
"""
_POINTING = frozenset(_POINTING_WORDS.split())
_GOING_ON = frozenset(["and", "but", "or", "why"])
_SHORT = 6  # words; longer ones that begin so tell what they are about
_FEW = 2  # words that mean something

_LONGEST = 300  # characters of each; the cross-encoder reads 512 tokens, sentence included

_NAME = re.compile(r"(?<!^)\b[A-Z][a-z]")  # or anything else with a capital inside the sentence
_WORD = re.compile(r"[^\W_]+")


def leans(question: str) -> bool:
    """Whether a question is likely to need the ones before it to be understood.

    It points back, goes on, or has hardly a word of its own and no name. By words of English; in
    other languages only the last tells.
    """
    words = [word.lower() for word in _WORD.findall(question)]
    if not words:
        return False
    goes_on = words[0] in _GOING_ON and len(words) <= _SHORT
    points = not _POINTING.isdisjoint(words)
    bare = len(question_terms(question)) <= _FEW and not _NAME.search(question)
    return goes_on or points or bare


def earlier_questions(question: str, history: Sequence[ChatMessage]) -> str:
    """What was asked before and belongs to it; empty where it stands alone.

    The last question, and where that leaned on others itself, the one that began the subject.
    """
    said = [message.content for message in history if message.role == "user"]
    asked = [each for each in said if each != question]  # asked again, it does not lean on itself
    if not asked or not leans(question):
        return ""
    began = next((each for each in reversed(asked) if not leans(each)), asked[0])
    return " ".join(each[:_LONGEST] for each in dict.fromkeys([began, asked[-1]]))
