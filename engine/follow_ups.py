"""Follow-ups: whether a question refers to the conversation, and what it then asks.

With a small model, a follow-up is searched for together with the earlier questions. A model that
reads whole passages rewrites it as a question that can be understood alone.
"""

import logging
import re
import time
from collections.abc import Callable, Sequence
from weakref import WeakKeyDictionary

from engine.budget import RateEstimate
from engine.checking import missing_in
from engine.errors import FirstTokenError
from engine.lexical import passage_terms, question_terms
from engine.llm.base import LLM, GenerationOptions
from engine.llm.repetition import repeats_from
from engine.prompting import rewriting_prompt
from engine.retrieving import NOT_FOUND, UNSCORED, Retriever
from engine.run import Phase, Run
from engine.schema import ChatMessage, NodeWithScore

log = logging.getLogger(__name__)

# ---- Does a question refer to the conversation? The rules are English. Of SQuAD's 6,078 questions,
# which were asked without a conversation, 3 % refer to one by these rules, and those mostly rightly
# ("What did this agreement do?"); by the words alone, 16 % would.

_CONTINUES = re.compile(r"^\W*(?:and|but|or|so|what about|how about)\b", re.IGNORECASE)
_WHY = re.compile(r"^\W*why\b", re.IGNORECASE)
_SHORT = 6  # words; a longer question that begins with "and" names its subject itself
_FEW = 2  # terms that the question itself has
_NAME = re.compile(r"(?<!^)\b[A-Z][a-z]")  # or anything else with a capital inside the sentence
_WORD = re.compile(r"[^\W_]+")

_POINTER = re.compile(
    r"\b(?:this|these|those(?! (?:who|that|which|of|in|with|living))|the same"
    r"|(?:that|then|there)(?=\W*$)"
    r"|(?:is|was|are|were|do|did|does|about|of|after|before|by|for|with|than|and|in|on|at|since"
    r"|from|to|how|why) that"
    r"|(?:which|that|this|other|last|first|next) ones?(?=\W*$| (?:is|was|did|does|has|of)\b))\b",
    re.IGNORECASE,
)
_PRONOUN = re.compile(
    r"\b(?:it|he|him|she|they|them|(?P<possessive>its|his|hers?|theirs?))\b", re.IGNORECASE
)
# "it" that stands for nothing: "what does it cost to ...", "is it true that ..."
_EXPLETIVE = re.compile(
    r"\bit\b(?: \w+){0,4} to \w+|\bit (?:is|was|be) (?:\w+ )?(?:that|to|if)\b"
    r"|\b(?:is|was) it (?:\w+ ){0,3}(?:that|to|if|when)\b",
    re.IGNORECASE,
)
_CLAUSE = re.compile(
    r"[,;:(]|\b(?:if|when|that|because|while|after|before|who|which|as|than|although|though|to|and"
    r"|or|where|how|until|since|from|of|by|in|with|for|between|despite|during)\b",
    re.IGNORECASE,
)
_QUESTION_WORD = re.compile(r"^\W*\w+\W*")


def refers_back(question: str) -> bool:
    """Whether a question has a word that refers to something said before it, or continues it."""
    short = len(_WORD.findall(question)) <= _SHORT
    continues = _CONTINUES.search(question) or (_WHY.search(question) and is_bare(question))
    return bool(short and continues) or _points_back(question)


def _points_back(question: str) -> bool:
    if _POINTER.search(question):
        return True
    pronoun = _PRONOUN.search(question := _EXPLETIVE.sub(" ", question))
    if pronoun is None:
        return False
    before = question[: pronoun.start()]
    named = len(question_terms(before)) >= _FEW
    clause = _CLAUSE.search(_QUESTION_WORD.sub("", before))
    inside = _NAME.search(before) or (named and (clause or pronoun["possessive"]))
    return not inside


def is_bare(question: str) -> bool:
    """Whether a question has very few terms and no name, so that it may need the conversation."""
    return len(question_terms(question)) <= _FEW and not _NAME.search(question)


# Characters of each earlier question; the cross-encoder reads 512 tokens, sentence included
_LONGEST = 300


def earlier_questions(question: str, history: Sequence[ChatMessage]) -> str:
    """The earlier questions that this one may refer to. Empty if it is self-contained.

    These are the last question and, if that is a follow-up itself, the last one that is none.
    Questions that found nothing do not count: their words lead nowhere.
    """
    if not _is_follow_up(question):
        return ""
    replies = [*history[1:], ChatMessage("assistant", "?")]
    asked = [
        said.content
        for said, reply in zip(history, replies, strict=False)
        if said.role == "user" and said.content != question  # a repetition does not explain itself
        if reply.role != "assistant" or reply.content.strip() not in ("", NOT_FOUND)
    ]
    if not asked:
        return ""
    began = next((each for each in reversed(asked) if not _is_follow_up(each)), asked[0])
    return " ".join(each[:_LONGEST] for each in dict.fromkeys([began, asked[-1]]))


def _is_follow_up(question: str) -> bool:
    return bool(_WORD.search(question)) and (refers_back(question) or is_bare(question))


def find(
    retriever: Retriever,
    question: str,
    history: Sequence[ChatMessage],
    run: Run,
    is_relevant: Callable[[Sequence[NodeWithScore]], bool],
    rewrite: Callable[[], str] = lambda: "",
) -> tuple[list[NodeWithScore], str]:
    """The passages for a question of a conversation, and the text that was searched for.

    The question is searched as it stands. If it may refer to the conversation, it is also searched
    as `rewrite` explains it, or together with the earlier questions. What scores better counts,
    except that a question with a word such as "it" is never searched as it stands alone if there
    is no explanation: "And in 1887?" may score well in the wrong place.
    """
    alone = retriever.retrieve(question, run)
    with run.span("follow-up"):
        earlier = earlier_questions(question, history)
        if not earlier or (is_relevant(alone) and not refers_back(question)):
            return alone, question
        explained = rewrite()
        run.report(Phase.SEARCHING)
    if explained:
        found = retriever.retrieve(explained, run)
    else:
        found = retriever.retrieve(question, run, earlier)
    comparable = explained or not refers_back(question)
    if comparable and _logit(alone) > _logit(found):
        return alone, question
    return found, explained or f"{earlier} {question}"


def _logit(found: Sequence[NodeWithScore]) -> float:
    logit = found[0].scores.rerank if found else None
    return UNSCORED if logit is None else logit


# ---- Rewriting

_TOKENS = 64  # of a rewritten question, at most
# The seconds that rewriting takes, by the number of prompt tokens that are read, for each model
_rates: WeakKeyDictionary[LLM, RateEstimate] = WeakKeyDictionary()
# The share of the budget of the first token that rewriting may take
_SHARE = 0.5


def rewritten(
    question: str,
    history: Sequence[ChatMessage],
    llm: LLM,
    run: Run,
    budget: float | None = None,
) -> str:
    """The follow-up as a question that can be understood without the conversation.

    Empty if the model fails, if it writes no such question, or if earlier times show that it would
    take more than half of the `budget` for the first token, in seconds.

    Raises:
        Cancelled: `run` was cancelled.
    """
    prompt = rewriting_prompt(question, history)
    estimate = _rates.setdefault(llm, RateEstimate())
    unread, began = llm.unread(prompt), time.perf_counter()
    if budget is not None and (rate := estimate.rate) and rate.seconds(unread) > _SHARE * budget:
        return ""
    written: list[str] = []
    try:
        options = GenerationOptions(max_tokens=_TOKENS, stop=("\n",))
        llm.write_chat(written.append, prompt, options, run, run.trace.begin_call("rewrite"))
    except FirstTokenError:
        log.exception("A follow-up could not be rewritten")
        return ""
    estimate.record(unread, time.perf_counter() - began)
    reply = "".join(written).strip().strip('"“”').strip()
    return reply if _asks_the_same(reply, question, history) else ""


def _asks_the_same(reply: str, question: str, history: Sequence[ChatMessage]) -> bool:
    """Whether a rewritten question has most words of the follow-up, and names and numbers only of
    the conversation."""
    said = [message.content for message in history]
    own = passage_terms(question)
    kept = own.keys() & passage_terms(reply).keys()
    return (
        0 < len(reply) <= _LONGEST
        and reply not in said
        and repeats_from(reply) is None
        and 2 * len(kept) >= len(own)
        and not missing_in(reply, [question, *said])
    )
