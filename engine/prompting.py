"""Prompts: a question and passages (and the answer so far) → messages. Pure: no model, no clock.

The order of a prompt depends on the model. Whole passages take long to read, so they come before
the question: the kept state of that beginning then serves every question. A sentence or two are
read at once, and a small model answers better if it reads the question first.
"""

from collections.abc import Callable, Iterator, Sequence

from engine.llm.base import ContextFormat
from engine.schema import ChatMessage, NodeWithScore
from engine.splitting import sentence_spans

SYSTEM = "You answer questions from the given text. Answer with the shortest words that are right."
# The share of answers that contain SQuAD's gold span, end to end, default model. Chosen on 200
# questions among 24 prompts: question first, one sentence 0.665, two 0.50; the question last 0.525
# and 0.41. On 300 others: question first 0.62, last 0.50.
EVIDENCE_SENTENCES = 1
GAP = " … "


def answer_prompt(
    question: str,
    context: str,
    history: Sequence[ChatMessage] = (),
    context_format: ContextFormat = ContextFormat.PASSAGES,
) -> list[ChatMessage]:
    if context_format is ContextFormat.SENTENCES:
        task = f"{question}\nAnswer from this text: {context}"
    else:
        task = f"{context}\n\nQuestion: {question}"
    return [ChatMessage("system", SYSTEM), *history, ChatMessage("user", task)]


def passage_prompt(passage: str) -> list[ChatMessage]:
    """The beginning of every prompt of whole passages whose first passage is this one."""
    return [ChatMessage("system", SYSTEM), ChatMessage("user", passage)]


def refine_prompt(question: str, context: str, so_far: str) -> list[ChatMessage]:
    """Ask for a better answer, from a context that the answer so far does not know."""
    task = f"{context}\n\nQuestion: {question}\nAnswer so far: {so_far}\nGive the better answer."
    return [ChatMessage("system", SYSTEM), ChatMessage("user", task)]


def excerpts(
    nodes: Sequence[NodeWithScore], context_format: ContextFormat, of_each: bool = False
) -> list[str]:
    """The parts of the passages that go into the prompt, in the order of rank.

    PASSAGES: every passage, whole. This is also what happens if there is no evidence. SENTENCES:
    the few most relevant sentences, of all passages together or, with `of_each`, of each passage
    that has evidence. The sentences of one passage stay in their own order.
    """
    if context_format is ContextFormat.PASSAGES or not any(found.evidence for found in nodes):
        return [found.text for found in nodes]
    texts = []
    for group in [[found] for found in nodes] if of_each else [nodes]:
        scores = sorted((e.score for found in group for e in found.evidence), reverse=True)
        least = min(scores[:EVIDENCE_SENTENCES], default=0.0)
        for found in group:
            kept = sorted((e for e in found.evidence if e.score >= least), key=lambda e: e.start)
            texts.append(GAP.join(found.sentence(evidence) for evidence in kept))
    return [text for text in texts if text]


def pack(texts: Sequence[str], fits: Callable[[str], bool]) -> list[str]:
    """Join texts into as few contexts as fit, in order. Nothing is left out."""
    contexts: list[str] = []
    for text in (part for whole in texts for part in parts_that_fit(whole, fits)):
        joined = f"{contexts[-1]}\n\n{text}" if contexts else text
        if contexts and fits(joined):
            contexts[-1] = joined
        else:
            contexts.append(text)
    return contexts


def parts_that_fit(text: str, fits: Callable[[str], bool]) -> Iterator[str]:
    """Halve a text between sentences (or anywhere, if it has only one) until each part fits.

    If not even an empty text fits, the text stays whole, and the model raises PromptTooLongError.
    """
    if fits(text) or len(text) < 2 or not fits(""):
        yield text
        return
    middle = len(text) // 2
    cuts = [start for start, _ in sentence_spans(text) if start > 0]
    cut = min(cuts, key=lambda at: abs(at - middle), default=middle)
    yield from parts_that_fit(text[:cut].rstrip(), fits)
    yield from parts_that_fit(text[cut:], fits)
