"""Several passages, each in a prompt of its own (a path), instead of all in one prompt.

    python -m benchmarks.paths [--questions 150]

A kept state is exact only as the beginning of a prompt, so of three prepared passages in one prompt
only the first is of use. With a path for each passage all are. The question is read behind each, in
one batch, and the answer comes from the best path or from all together. After superposition
prompting (arXiv 2404.06910) and parallel context decoding (arXiv 2601.08670). Default model, SQuAD.
"""

import argparse
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.figures import keep
from benchmarks.first_token_budget import fresh
from benchmarks.retrieval import documents
from benchmarks.squad import load
from engine.cores import cores
from engine.index import VectorStoreIndex
from engine.llm.base import ContextFormat
from engine.llm.context import Context, ContextSize, Entry
from engine.llm.model import Model
from engine.llm.template import PromptTemplate
from engine.prompting import answer_prompt, passage_prompt, readings
from engine.schema import NodeWithScore
from engine.settings import Settings

PASSAGES = 3
LONGEST = 40  # tokens of an answer
Logs = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Path:
    """`beginning` has been read before."""

    beginning: list[int]
    rest: list[int]


@dataclass(slots=True)
class Answer:
    text: str
    first: float  # seconds from the states to the first token
    read: int  # tokens


class Reader:
    """One context with a sequence for each path."""

    def __init__(self) -> None:
        self.model = Model(Settings.weights.chat_model)
        self.template = PromptTemplate(self.model)
        size = ContextSize(window=2048, batch=2048, sequences=PASSAGES)
        self.context = Context(self.model, size, flash_attention=False, cache_type="f16")
        self.context.use_threads(cores().total)
        self._states: dict[tuple[int, ...], NDArray[np.uint8]] = {}

    def path(self, question: str, text: str, form: ContextFormat) -> Path:
        tokens = self.template.tokens(answer_prompt(question, text, context_format=form))
        if form is ContextFormat.PASSAGES:
            beginning = self.template.beginning(passage_prompt(text.split("\n\n")[0]))
        else:
            beginning = self.template.beginning(passage_prompt("")[:1])
        length = common(beginning, tokens)
        return Path(tokens[:length], tokens[length:])

    def answer(
        self,
        paths: Sequence[Path],
        weights: Sequence[float],
        choose: Callable[[list[Logs], list[Logs]], list[float]] | None = None,
    ) -> Answer:
        """Greedy. The next token is the likeliest in the weighted mean of the paths' probabilities.

        `choose` gives other weights, from the logarithms of the probabilities of each path's first
        token, and of the tokens that were read in each path.
        """
        for number, path in enumerate(paths):
            self._prepare(number, path.beginning)
        began = time.perf_counter()
        entries = [
            Entry(token, len(path.beginning) + at, number, choose is not None or at == last)
            for number, path in enumerate(paths)
            for last in [len(path.rest) - 1]
            for at, token in enumerate(path.rest)
        ]
        self.context.decode(entries)
        logs, read = self._after_reading(paths, all_outputs=choose is not None)
        if choose:
            weights = choose(logs, read)
        live = [number for number, weight in enumerate(weights) if weight > 0.01]
        positions = [len(path.beginning) + len(path.rest) for path in paths]
        text, first = b"", 0.0
        for _ in range(LONGEST):
            mixed = sum(weights[number] * np.exp(logs[number]) for number in live)
            token = int(np.argmax(mixed))
            first = first or time.perf_counter() - began
            if self.model.is_end(token):
                break
            text += self.model.piece(token)
            self.context.decode([Entry(token, positions[n], n, True) for n in live])
            for index, number in enumerate(live):
                logs[number] = _log_softmax(self.context.logits(index))
                positions[number] += 1
        read_tokens = sum(len(path.rest) for path in paths)
        return Answer(text.decode("utf-8", "replace"), first, read_tokens)

    def _prepare(self, sequence: int, beginning: list[int]) -> None:
        key = tuple(beginning)
        if key not in self._states:
            self.context.trim(sequence, 0)
            self.context.decode(
                [Entry(t, at, sequence, at == len(key) - 1) for at, t in enumerate(beginning)]
            )
            self._states[key] = self.context.read_state(sequence)
        self.context.write_state(sequence, self._states[key])
        self.context.trim(sequence, len(beginning))

    def _after_reading(
        self, paths: Sequence[Path], all_outputs: bool
    ) -> tuple[list[Logs], list[Logs]]:
        logs: list[Logs] = []
        read: list[Logs] = []
        at = 0
        for path in paths:
            count = len(path.rest)
            logs.append(_log_softmax(self.context.logits(at + count - 1)))
            if all_outputs:  # how likely each token was that was read, after the one before
                likely = [
                    _log_softmax(self.context.logits(at + n))[path.rest[n + 1]]
                    for n in range(count - 1)
                ]
                read.append(np.array(likely, np.float32))
            at += count
        return logs, read


def common(one: Sequence[int], other: Sequence[int]) -> int:
    """How many first tokens are the same."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((n for n, (a, b) in pairs if a != b), min(len(one), len(other)))


def _log_softmax(logits: Logs) -> Logs:
    shifted = logits - logits.max()
    result: Logs = shifted - np.log(np.exp(shifted).sum())
    return result


def _softmax(scores: Sequence[float]) -> list[float]:
    shifted = np.exp(np.array(scores) - max(scores))
    return list(map(float, shifted / shifted.sum()))


def _one(best: int, count: int) -> list[float]:
    return [float(number == best) for number in range(count)]


def most_confident(logs: list[Logs], read: list[Logs]) -> list[float]:  # noqa: ARG001
    return _one(int(np.argmax([each.max() for each in logs])), len(logs))


def likeliest_question(logs: list[Logs], read: list[Logs]) -> list[float]:
    return _one(int(np.argmax([each.sum() for each in read])), len(logs))


def by_question(logs: list[Logs], read: list[Logs]) -> list[float]:  # noqa: ARG001
    return _softmax([float(each.sum()) for each in read])


def ways(
    reader: Reader, question: str, found: Sequence[NodeWithScore], fused: Sequence[NodeWithScore]
) -> dict[str, Callable[[], Answer]]:
    whole, sentences = ContextFormat.PASSAGES, ContextFormat.SENTENCES
    best = [each for each in found if each.evidence]
    best_sentence = [each.sentence(each.evidence[0]) for each in best]
    rank_weights = _softmax([each.scores.rerank or -11.4 for each in found])
    some_weights = _softmax([each.scores.rerank or -11.4 for each in best])
    fused_weights = _softmax([20 * each.score for each in fused])
    equal = [1 / len(found)] * len(found)
    paths = [reader.path(question, each.text, whole) for each in found]
    fused_paths = [reader.path(question, each.text, whole) for each in fused]
    one_prompt = "\n\n".join(each.text for each in found)
    mixed = [found[0].text]
    mixed += [each.sentence(each.evidence[0]) for each in found[1:] if each.evidence]
    short = [reader.path(question, text, sentences) for text in best_sentence]
    step = readings(question, found)
    neighbours = next((r for r in step if len(r.places[0]) > 1), step[0]).texts()[0]

    def one(text: str, form: ContextFormat) -> Callable[[], Answer]:
        return lambda: reader.answer([reader.path(question, text, form)], [1.0])

    return {
        "one prompt, all whole": one(one_prompt, whole),
        "one prompt, the best whole, best sentences of others": one("\n\n".join(mixed), whole),
        "the best passage": one(found[0].text, whole),
        "paths, equal weights": lambda: reader.answer(paths, equal),
        "paths, weights of the reranker": lambda: reader.answer(paths, rank_weights),
        "paths, most confident": lambda: reader.answer(paths, equal, most_confident),
        "paths, likeliest question": lambda: reader.answer(paths, equal, likeliest_question),
        "paths, weights of the question": lambda: reader.answer(paths, equal, by_question),
        "not reranked: the best passage": one(fused[0].text, whole),
        "not reranked: paths, fused weights": lambda: reader.answer(fused_paths, fused_weights),
        "not reranked: paths, most confident": lambda: reader.answer(
            fused_paths, equal, most_confident
        ),
        "not reranked: paths, weights of the question": lambda: reader.answer(
            fused_paths, equal, by_question
        ),
        "the best sentence (ships)": one(best_sentence[0], sentences),
        "the best sentence and a neighbour": one(neighbours, sentences),
        "sentence paths, weights of the reranker": lambda: reader.answer(short, some_weights),
        "sentence paths, most confident": lambda: reader.answer(
            short, [1 / len(short)] * len(short), most_confident
        ),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=150)
    count = parser.parse_args().questions
    squad = load()
    folder = Settings.config.data_dir / "benchmarks" / "paths"
    index = VectorStoreIndex.from_documents(documents(squad.paragraphs), path=folder)
    reranked = index.as_retriever(PASSAGES)
    plain = index.as_retriever(PASSAGES, rerank=False)
    asked = random.Random(5).sample(fresh(squad, 1000)[400:], count)
    reader = Reader()
    right: dict[str, list[bool]] = {}
    first: dict[str, list[float]] = {}
    read: dict[str, list[int]] = {}
    for number, each in enumerate(asked):
        found, fused = reranked.retrieve(each.text), plain.retrieve(each.text)
        if not found[0].evidence:
            continue
        for name, way in ways(reader, each.text, found, fused).items():
            answer = way()
            right.setdefault(name, []).append(each.answered_by(answer.text))
            first.setdefault(name, []).append(answer.first)
            read.setdefault(name, []).append(answer.read)
        if number % 5 == 4:
            print(number + 1, {name: round(statistics.fmean(right[name]), 3) for name in right})
    figures: dict[str, float | int | str] = {"questions": count}
    for name in right:
        figures[f"{name}: right"] = statistics.fmean(right[name])
        figures[f"{name}: tokens read"] = statistics.median(read[name])
        figures[f"{name}: model's first token, s"] = statistics.median(first[name])
    keep("paths", "paths", figures)


if __name__ == "__main__":
    main()
