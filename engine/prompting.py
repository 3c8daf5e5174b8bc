"""Prompts: question + passages (+ the answer so far) → messages. Pure: no model, no clock.

The order of a prompt serves reuse: what stays the same between questions comes first (the
system message, then the passages), the question last, so a kept state of that beginning holds.
"""

from collections.abc import Callable, Iterator, Sequence

from engine.llm.base import Packing
from engine.schema import ChatMessage, NodeWithScore
from engine.splitting import sentence_spans

Fits = Callable[[Sequence[ChatMessage]], bool]

SYSTEM = "You answer questions from the given text. Answer with the shortest words that are right."
# Not yet chosen by measurement: on 100 SQuAD questions, end to end, one sentence gave 0.53 of the
# answers and two gave 0.41 with this prompt, on a loaded machine; to be confirmed on others.
EVIDENCE_SENTENCES = 2
GAP = " … "


def answer_prompt(
    question: str, context: str, history: Sequence[ChatMessage] = ()
) -> list[ChatMessage]:
    return [
        ChatMessage("system", SYSTEM),
        *history,
        ChatMessage("user", f"{context}\n\nQuestion: {question}"),
    ]


def refine_prompt(question: str, context: str, so_far: str) -> list[ChatMessage]:
    """Better an answer with a passage it has not seen."""
    task = f"{context}\n\nQuestion: {question}\nAnswer so far: {so_far}\nGive the better answer."
    return [ChatMessage("system", SYSTEM), ChatMessage("user", task)]


def excerpts(nodes: Sequence[NodeWithScore], packing: Packing) -> list[str]:
    """What of each passage goes into the prompt, in the order of rank.

    Sentences: the few that bear most on the question over all passages, each passage's in their
    own order. Passages: every passage, whole. Without evidence, passages it is.
    """
    if packing is Packing.PASSAGES or not any(found.evidence for found in nodes):
        return [found.text for found in nodes]
    scores = sorted((e.score for found in nodes for e in found.evidence), reverse=True)
    bar = scores[:EVIDENCE_SENTENCES][-1]
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
