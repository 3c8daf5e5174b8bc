"""Prompts: a question and passages (and the answer so far) → messages. Pure: no model, no clock.

The order of a prompt depends on the model. Whole passages take long to read, so they come before
the question, and the kept state of that beginning can be reused for every question. One or two
sentences are read quickly, and a small model answers better if it reads the question first.
"""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from engine.languages import ENGLISH, language_of_question, name_of
from engine.lexical import TermIndex, passage_terms, question_terms
from engine.llm.base import ContextFormat
from engine.schema import ChatMessage, NodeWithScore
from engine.splitting import sentence_spans

# For one or two sentences, which a small model gets
SYSTEM = "You answer questions from the given text. Answer with the shortest words that are right."
# For whole passages. A model that is large enough for them says when they have no answer.
NOT_SAID = "The text does not say."
PASSAGES_SYSTEM = (
    "You answer questions from the given text. Answer in one short, complete sentence, or in a "
    f"list if several things are asked for. If the text does not say it, answer: {NOT_SAID}"
)
SUMMARY_SYSTEM = (
    "You summarise texts. Say what matters most in the given text, in plain sentences, and nothing "
    "that is not in it."
)
# The best of 24 prompts on 200 questions, by the share of answers that contain SQuAD's gold span
# (whole path, default model): question first with one sentence 0.665, with two 0.50; question last
# 0.525 and 0.41. On 300 other questions: question first 0.62, last 0.50.
EVIDENCE_SENTENCES = 1
GAP = " … "


def answer_prompt(
    question: str,
    context: str,
    history: Sequence[ChatMessage] = (),
    context_format: ContextFormat = ContextFormat.PASSAGES,
    system: str = "",
) -> list[ChatMessage]:
    """`system`: the system message; by default that of the format."""
    if context_format is ContextFormat.SENTENCES:
        task = f"{question}\nAnswer from this text: {context}"
    else:
        task = f"{context}\n\nQuestion: {question}{_form_of(question)}{_in_its_language(question)}"
    system = system or system_for(context_format)
    return [ChatMessage("system", system), *history, ChatMessage("user", task)]


def system_for(context_format: ContextFormat) -> str:
    return SYSTEM if context_format is ContextFormat.SENTENCES else PASSAGES_SYSTEM


_YES_OR_NO = re.compile(
    r"(?:^|[.?!]\s+)(?:is|are|was|were|am|do|does|did|has|have|had|can|could|may|might|must|shall|"
    r"should|will|would)\b(?![^?]*\bor\b)[^?.!]*\?\s*$",
    re.IGNORECASE,
)


def _form_of(question: str) -> str:
    """For a question that wants a yes or a no: the request to begin with it."""
    return "\nBegin with yes or no." if _YES_OR_NO.search(question) else ""


def _in_its_language(question: str) -> str:
    """For a question that is not English: the request to answer in its language. Models that read
    whole passages know several."""
    language = language_of_question(question)
    return "" if language in ("", ENGLISH) else f"\nAnswer in {name_of(language)}."


def passage_prompt(passage: str) -> list[ChatMessage]:
    """The beginning of every prompt of whole passages whose first passage is this one."""
    return [ChatMessage("system", PASSAGES_SYSTEM), ChatMessage("user", passage)]


def refine_prompt(question: str, context: str, so_far: str, system: str) -> list[ChatMessage]:
    """Ask for a better answer, from a context that the answer so far was made without."""
    task = f"{context}\n\nQuestion: {question}\nAnswer so far: {so_far}\nGive the better answer."
    return [ChatMessage("system", system), ChatMessage("user", task)]


REWRITE = (
    "Rewrite the last question so that it can be understood without the conversation. Keep its "
    "meaning. If it can be understood alone, repeat it. Write only the question."
)
_REWRITTEN = (
    ("Who wrote the report?", "Ann Lee.", "When was that?", "When did Ann Lee write the report?"),
    ("What is a ticket on Monday?", "10 euros.", "And on Sunday?", "What is a ticket on Sunday?"),
    ("How high is the bridge?", "80 metres.", "What do pigeons eat?", "What do pigeons eat?"),
)
# Of the conversation: the last messages, and the beginning of each, in characters
_LAST_MESSAGES, _BEGINNING = 4, 400


def rewriting_prompt(question: str, history: Sequence[ChatMessage]) -> list[ChatMessage]:
    """Ask for the question of a follow-up that can be understood alone."""
    messages = [ChatMessage("system", REWRITE)]
    for asked, answered, follow_up, rewritten in _REWRITTEN:
        messages.append(ChatMessage("user", f"Q: {asked}\nA: {answered}\nLast: {follow_up}"))
        messages.append(ChatMessage("assistant", rewritten))
    said = [
        f"{'Q' if message.role == 'user' else 'A'}: {message.content[:_BEGINNING]}"
        for message in history[-_LAST_MESSAGES:]
        if message.content
    ]
    return [*messages, ChatMessage("user", "\n".join([*said, f"Last: {question}"]))]


def excerpts(
    nodes: Sequence[NodeWithScore], context_format: ContextFormat, of_each: bool = False
) -> list[str]:
    """The parts of the passages that go into the prompt, in the order of rank.

    PASSAGES: every passage, complete; also used if there is no evidence. SENTENCES: the few most
    relevant sentences, of all passages together or, with `of_each`, of each passage that has
    evidence. The sentences of a passage keep their order.
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


@dataclass(frozen=True, slots=True)
class Reading:
    """A choice of sentences for a prompt: for each passage, in the order of rank, the indexes of
    the sentences that are read. `sentences` has the spans of all sentences of each passage."""

    nodes: Sequence[NodeWithScore]
    sentences: Sequence[Sequence[tuple[int, int]]]
    places: Sequence[frozenset[int]]

    def texts(self, first: int | None = None) -> list[str]:
        """The parts of the passages, in the order of rank. The passage `first` comes before them
        and is complete, so that the prompt begins with text that the model may have read before."""
        ranks = list(range(len(self.nodes)))
        if first is not None:
            ranks = [first, *(rank for rank in ranks if rank != first)]
        texts = (
            self.nodes[rank].text if rank == first else self._text(rank)
            for rank in ranks
            if rank == first or self.places[rank]
        )
        return list(texts)

    def with_whole(self, rank: int) -> "Reading":
        """The same reading with all sentences of this passage."""
        places = list(self.places)
        places[rank] = frozenset(range(len(self.sentences[rank])))
        return Reading(self.nodes, self.sentences, places)

    @property
    def left_out(self) -> list[tuple[int, int]]:
        """(number of a passage, from 1; its sentences that are not read), where there are any."""
        missing = [
            (number, len(sentences) - len(places))
            for number, (sentences, places) in enumerate(
                zip(self.sentences, self.places, strict=True), start=1
            )
        ]
        return [(number, count) for number, count in missing if count]

    def _text(self, rank: int) -> str:
        """The sentences that are read. A GAP marks sentences that are left out between them."""
        found, sentences, places = self.nodes[rank], self.sentences[rank], self.places[rank]
        if len(places) == len(sentences):
            return found.text
        parts: list[str] = []
        for place in sorted(places):
            start, end = sentences[place]
            if place - 1 in places:
                parts[-1] += found.text[sentences[place - 1][1] : end]
            else:
                parts.append(found.text[start:end])
        return GAP.join(parts)


def readings(question: str, nodes: Sequence[NodeWithScore]) -> list[Reading]:
    """The possible readings of these passages, from the smallest to the largest. Each contains the
    one before. They begin with the best sentence, and add further evidence, the neighbours of these
    sentences, the rest of the best passage, and further passages.
    """
    sentences = [sentence_spans(found.text) or [(0, len(found.text))] for found in nodes]
    read: list[set[int]] = [set() for _ in nodes]
    steps: list[Reading] = []

    def step() -> None:
        reading = Reading(nodes, sentences, [frozenset(each) for each in read])
        if not steps or reading.places != steps[-1].places:
            steps.append(reading)

    for rank, place in _best_sentences(question, nodes, sentences):
        read[rank].add(place)
        step()
    for rank, spans in enumerate(sentences):
        beside = {place + by for place in read[rank] for by in (-1, 1)}
        read[rank] |= beside & set(range(len(spans)))
        step()
    for rank, spans in enumerate(sentences):
        read[rank] |= set(range(len(spans)))
        step()
    return steps


def _best_sentences(
    question: str,
    nodes: Sequence[NodeWithScore],
    sentences: Sequence[Sequence[tuple[int, int]]],
) -> list[tuple[int, int]]:
    """(rank, index) of the sentences that support an answer, best first: the reranker's evidence,
    or the sentences that share the rarest words with the question."""
    scored = [
        (evidence.score, rank, place)
        for rank, found in enumerate(nodes)
        for evidence in found.evidence
        for place, (start, end) in enumerate(sentences[rank])
        if start < evidence.end and evidence.start < end
    ]
    if scored:
        return [(rank, place) for _, rank, place in sorted(scored, key=lambda each: -each[0])]
    places = [(rank, place) for rank, spans in enumerate(sentences) for place in range(len(spans))]
    index = TermIndex()
    texts = [nodes[rank].text[slice(*sentences[rank][place])] for rank, place in places]
    index.add([passage_terms(text) for text in texts])
    hits = index.search(question_terms(question), len(nodes))
    return [places[number] for number, _ in hits] or places[:1]


def pack(texts: Sequence[str], fits: Callable[[str], bool]) -> list[str]:
    """Join texts, in order, into the fewest contexts that fit. Nothing is left out."""
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

    If even an empty text does not fit, the text is not cut, and the model raises
    PromptTooLongError.
    """
    if fits(text) or len(text) < 2 or not fits(""):
        yield text
        return
    middle = len(text) // 2
    cuts = [start for start, _ in sentence_spans(text) if start > 0]
    cut = min(cuts, key=lambda at: abs(at - middle), default=middle)
    yield from parts_that_fit(text[:cut].rstrip(), fits)
    yield from parts_that_fit(text[cut:], fits)
