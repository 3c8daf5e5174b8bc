"""Passages whose states are kept from other positions: what the approximation costs.

    python -m benchmarks.shifted [--questions 150]

A kept state is exact only as the beginning of a prompt. Here each passage has been read directly
behind the system message. Its cells are then moved behind the passages before it, so the model
never reads one passage with another one in sight (as in arXiv 2410.15332). The default model
answers SQuAD's questions from three whole passages both ways.
"""

import argparse
import random
import statistics
import time
from collections.abc import Sequence

import numpy as np

from benchmarks.figures import keep
from benchmarks.first_token_budget import fresh
from benchmarks.paths import common
from benchmarks.retrieval import documents
from benchmarks.squad import load
from engine.cores import cores
from engine.index import VectorStoreIndex
from engine.llm.binding import llama_cpp
from engine.llm.model import Model
from engine.llm.template import PromptTemplate
from engine.prompting import answer_prompt, passage_prompt
from engine.settings import Settings

PASSAGES = 3
LONGEST = 40  # tokens of an answer
WINDOW = 4096


class Reader:
    """One context whose sequences share their cells, which the product's contexts do not."""

    def __init__(self) -> None:
        self.model = Model(Settings.weights.chat_model)
        self.template = PromptTemplate(self.model)
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = params.n_batch = params.n_ubatch = WINDOW
        params.n_seq_max = PASSAGES + 1
        params.n_threads = params.n_threads_batch = cores().total
        params.kv_unified = True
        self._context = llama_cpp.llama_init_from_model(self.model._model, params)
        self._memory = llama_cpp.llama_get_memory(self._context)
        self._batch = llama_cpp.llama_batch_init(WINDOW, 0, 1)

    def exact(self, parts: Sequence[list[int]], rest: list[int]) -> tuple[str, float]:
        """The prompt's tokens, read in one batch: the text, and seconds to the first token."""
        llama_cpp.llama_memory_clear(self._memory, True)
        return self._answer([token for part in parts for token in part] + rest, 0)

    def shifted(self, parts: Sequence[list[int]], rest: list[int]) -> tuple[str, float]:
        """`parts[0]` is the system message; the other parts have been read behind it alone."""
        llama_cpp.llama_memory_clear(self._memory, True)
        head = len(parts[0])
        self._decode(parts[0], 0, 0)
        for number, part in enumerate(parts[1:], start=1):
            llama_cpp.llama_memory_seq_cp(self._memory, 0, number, 0, head)
            self._decode(part, head, number)
        began = time.perf_counter()
        place = head
        for number, part in enumerate(parts[1:], start=1):
            llama_cpp.llama_memory_seq_rm(self._memory, number, 0, head)
            llama_cpp.llama_memory_seq_add(self._memory, number, head, -1, place - head)
            llama_cpp.llama_memory_seq_cp(self._memory, number, 0, 0, -1)
            place += len(part)
        moved = time.perf_counter() - began
        text, first = self._answer(rest, place)
        return text, moved + first

    def _answer(self, tokens: list[int], place: int) -> tuple[str, float]:
        began = time.perf_counter()
        first, text = 0.0, b""
        for _ in range(LONGEST):
            self._decode(tokens, place, 0)
            place += len(tokens)
            size = self.model.vocabulary_size
            logits = np.ctypeslib.as_array(
                llama_cpp.llama_get_logits_ith(self._context, -1), shape=(size,)
            )
            token = int(np.argmax(logits))
            first = first or time.perf_counter() - began
            if self.model.is_end(token):
                break
            text += self.model.piece(token)
            tokens = [token]
        return text.decode("utf-8", "replace"), first

    def _decode(self, tokens: list[int], place: int, sequence: int) -> None:
        batch = self._batch
        batch.n_tokens = len(tokens)
        for n, token in enumerate(tokens):
            batch.token[n], batch.pos[n], batch.n_seq_id[n] = token, place + n, 1
            batch.seq_id[n][0], batch.logits[n] = sequence, n == len(tokens) - 1
        assert llama_cpp.llama_decode(self._context, batch) == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--questions", type=int, default=150)
    count = parser.parse_args().questions
    squad = load()
    folder = Settings.config.data_dir / "benchmarks" / "first_token_budget"
    index = VectorStoreIndex.from_documents(documents(squad.paragraphs), path=folder)
    retriever = index.as_retriever(PASSAGES)
    reader = Reader()
    turn = common(*(reader.template.beginning(passage_prompt(text)) for text in ("a", "b")))
    right: dict[str, list[bool]] = {"exact": [], "shifted": []}
    first: dict[str, list[float]] = {"exact": [], "shifted": []}
    same = 0
    for each in random.Random(6).sample(fresh(squad, 1000)[400:], count):
        texts = [found.text + "\n\n" for found in retriever.retrieve(each.text)]
        ends = [reader.template.beginning(passage_prompt(text)) for text in texts]
        parts = [ends[0][:turn], *(end[turn:] for end in ends)]
        asked = reader.template.tokens(answer_prompt(each.text, "¶"))
        mark = reader.template.beginning(passage_prompt("¶\n\n"))
        parts_and_rest = parts, asked[common(asked, mark) :]
        texts_of = {}
        for way, answer in (("exact", reader.exact), ("shifted", reader.shifted)):
            text, seconds = answer(*parts_and_rest)
            texts_of[way] = text
            right[way].append(each.answered_by(text))
            first[way].append(seconds)
        same += texts_of["exact"] == texts_of["shifted"]
    figures: dict[str, float | int | str] = {"questions": count, "the same words": same / count}
    for way, answers in right.items():
        figures[f"{way}: right answers"] = statistics.fmean(answers)
        figures[f"{way}: model's first token, s"] = statistics.median(first[way])
    keep("shifted", "shifted", figures)


if __name__ == "__main__":
    main()
