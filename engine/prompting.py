"""Prompts: question + passages (+ the answer so far) → messages. Pure: no model, no clock.

The order of a prompt serves what the model does best with. Whole passages take long to read, so
they come before the question: a kept state of that beginning serves every question. A sentence
or two take none of that, and a small model answers better from a question that it reads first.
"""

from collections.abc import Callable, Iterator, Sequence

from engine.llm.base import Packing
from engine.schema import ChatMessage, NodeWithScore
from engine.splitting import sentence_spans

Fits = Callable[[Sequence[ChatMessage]], bool]

SYSTEM = "You answer questions from the given text. Answer with the shortest words that are right."
# The share of answers that contain SQuAD's gold span, end to end, default model. Chosen on 200
# questions among 24 prompts: question first, one sentence 0.665, two 0.50; the question last 0.525
# and 0.41. On 300 others: question first 0.62, last 0.50 (benchmarks/answers.py).
EVIDENCE_SENTENCES = 1
GAP = " … "


def answer_prompt(
    question: str,
    context: str,
    history: Sequence[ChatMessage] = (),
    packing: Packing = Packing.PASSAGES,
) -> list[ChatMessage]:
    if packing is Packing.SENTENCES:
        task = f"{question}\nAnswer from this text: {context}"
    else:
        task = f"{context}\n\nQuestion: {question}"
    return [ChatMessage("system", SYSTEM), *history, ChatMessage("user", task)]


def passage_prompt(passage: str) -> list[ChatMessage]:
    """How every prompt begins whose first passage is this one, where whole passages are packed."""
    return [ChatMessage("system", SYSTEM), ChatMessage("user", passage)]


def refine_prompt(question: str, context: str, so_far: str) -> list[ChatMessage]:
    """Better an answer with a passage it has not seen."""
    task = f"{context}\n\nQuestion: {question}\nAnswer so far: {so_far}\nGive the better answer."
    return [ChatMessage("system", SYSTEM), ChatMessage("user", task)]


def excerpts(nodes: Sequence[NodeWithScore], packing: Packing, of_each: bool = False) -> list[str]:
    """What of the passages goes into the prompt, in the order of rank.

    Passages: every passage, whole; so it is without evidence, too. Sentences: the few that bear
    most on the question, of all passages together or, `of_each`, of each passage that has some.
    """
    if packing is Packing.PASSAGES or not any(found.evidence for found in nodes):
        return [found.text for found in nodes]
    if of_each:
        return [text for found in nodes for text in _best_sentences([found])]
    return _best_sentences(nodes)


def _best_sentences(nodes: Sequence[NodeWithScore]) -> list[str]:
    """Of these passages, each one's in their own order."""
    scores = sorted((e.score for found in nodes for e in found.evidence), reverse=True)
    bar = min(scores[:EVIDENCE_SENTENCES], default=0.0)
    picked = [_sentences_from(found, bar) for found in nodes]
    return [text for text in picked if text]


def _sentences_from(found: NodeWithScore, bar: float) -> str:
    kept = sorted((e for e in found.evidence if e.score >= bar), key=lambda e: e.start)
    return GAP.join(found.sentence(evidence) for evidence in kept)


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
    """A text that does not fit, halved between sentences (else anywhere) until each part does.

    Where not even an empty text fits, cutting is no help, and the model will say so.
    """
    if fits(text) or len(text) < 2 or not fits(""):
        yield text
        return
    middle = len(text) // 2
    cuts = [start for start, _ in sentence_spans(text) if start > 0]
    cut = min(cuts, key=lambda at: abs(at - middle), default=middle)
    yield from parts_that_fit(text[:cut].rstrip(), fits)
    yield from parts_that_fit(text[cut:], fits)
