"""What goes into the prompt within a budget: with a stand-in that reads 100 tokens a second, and
with the real model."""

import itertools
from collections.abc import Sequence
from pathlib import Path

import pytest

from engine.budget import Rate
from engine.config import load_config
from engine.errors import ConfigError
from engine.index import VectorStoreIndex
from engine.llm import LlamaCpp
from engine.llm.base import ContextFormat, GenerationOptions
from engine.prompting import readings
from engine.query_engine import RetrieverQueryEngine
from engine.response import Response
from engine.retrieving import FEWEST, rerank
from engine.run import Run
from engine.schema import ChatMessage, Document, Evidence, Node, NodeWithScore
from engine.synthesis import ResponseSynthesizer
from engine.timing import Trace
from tests.scripted import ScriptedLLM, ScriptedRetriever, found

MILL = "The mill stands by the sea. It was built in 1887. A storm broke its wheel. Rye is ground."
BOAT = "The boat comes on Thursdays. It carries rye. Nobody steers it at night."


def passage(text: str, *evidence: tuple[str, float]) -> NodeWithScore:
    spans = [
        (text.index(sentence), text.index(sentence) + len(sentence)) for sentence, _ in evidence
    ]
    scores = (score for _, score in evidence)
    return NodeWithScore(
        Node(text),
        1.0,
        evidence=tuple(Evidence(*span, score) for span, score in zip(spans, scores, strict=True)),
    )


FOUND = [passage(MILL, ("It was built in 1887.", 5.0)), passage(BOAT, ("It carries rye.", 1.0))]


A_HUNDRED_TOKENS_A_SECOND = Rate(start=0.0, each=0.01, margin=1.0)


class ReadingLLM(ScriptedLLM):
    """Reads 100 tokens a second, a token being a word. `kept` texts it has read before."""

    def __init__(
        self, rate: Rate | None = A_HUNDRED_TOKENS_A_SECOND, context_window: int = 1000
    ) -> None:
        super().__init__(["In 1887."], context_window=context_window, rate=rate)
        self.kept: list[str] = []

    def unread(self, messages: Sequence[ChatMessage]) -> int:
        text = messages[-1].content
        read = max((each for each in self.kept if text.startswith(each)), key=len, default="")
        return self.count_tokens(messages) - len(read.split())

    def prepared(self, messages: Sequence[ChatMessage]) -> float:
        return float(messages[-1].content in self.kept)


def asked(
    llm: ReadingLLM, budget: float | None, nodes: Sequence[NodeWithScore] = FOUND
) -> Response:
    retriever = ScriptedRetriever()
    retriever.nodes = list(nodes)
    engine = RetrieverQueryEngine.from_args(retriever, llm=llm, first_token_budget=budget)
    response = engine.query("When was the mill built?")
    assert str(response)
    return response


def prompt(llm: ReadingLLM) -> str:
    return llm.prompts[-1][-1].content.split("\n\nQuestion")[0]


def test_readings_grow_from_the_best_sentence_to_every_passage_whole() -> None:
    texts = ["\n\n".join(reading.texts()) for reading in readings("When?", FOUND)]
    assert texts[0] == "It was built in 1887."
    assert texts[1] == "It was built in 1887.\n\nIt carries rye."
    assert texts[2] == (
        "The mill stands by the sea. It was built in 1887. A storm broke its wheel.\n\n"
        "It carries rye."
    )
    assert texts[-1] == f"{MILL}\n\n{BOAT}"
    assert all(len(a) < len(b) for a, b in itertools.pairwise(texts))


def test_sentences_that_are_no_neighbours_show_the_gap() -> None:
    nodes = [passage(MILL, ("Rye is ground.", 2.0), ("It was built in 1887.", 5.0))]
    assert readings("When?", nodes)[1].texts() == ["It was built in 1887. … Rye is ground."]


def test_without_a_reranker_the_words_of_the_question_choose_the_sentences() -> None:
    assert readings("When does the boat come?", found(MILL, BOAT))[0].texts() == [
        "The boat comes on Thursdays."
    ]


def test_more_time_reads_more_and_no_budget_reads_all() -> None:
    llm = ReadingLLM()
    read = []
    for budget in (0.05, 0.7, 0.8, None):
        asked(llm, budget)
        read.append(prompt(llm))
    assert read[0] == "It was built in 1887."
    assert read[-1] == f"{MILL}\n\n{BOAT}"
    assert [len(text) for text in read] == sorted({len(text) for text in read})


def test_the_trace_and_a_sentence_say_what_was_not_read() -> None:
    response = asked(ReadingLLM(), 0.05)
    plan = response.trace.plan
    assert plan is not None
    assert (plan.budget, plan.sentences, plan.passages) == (0.05, 1, 1)
    assert plan.left_out == [(1, 3), (2, 3)]
    assert plan.predicted < plan.all_predicted
    assert response.notes == [
        "To keep the time limit, the model read 1 sentence of 1 passage. Reading all of it would "
        "have taken about "
        f"{plan.all_predicted:.1f} s."
    ]
    copy = Trace.from_dict(response.trace.to_dict())
    assert copy.plan == plan
    assert copy.metrics.predicted_ttft == plan.predicted


def test_nothing_is_said_where_everything_was_read() -> None:
    response = asked(ReadingLLM(), 60.0)
    assert response.notes == []
    assert response.trace.plan is not None
    assert response.trace.plan.left_out == []


def test_a_passage_that_was_read_before_comes_first_and_costs_nothing() -> None:
    llm = ReadingLLM()
    llm.kept = [BOAT]
    asked(llm, 0.3)
    assert prompt(llm) == f"{BOAT}\n\nIt was built in 1887."


def test_a_server_that_has_not_answered_yet_reads_everything() -> None:
    llm = ReadingLLM(rate=None)
    response = asked(llm, 0.05)
    assert prompt(llm) == f"{MILL}\n\n{BOAT}"
    assert response.trace.plan is None


def test_what_is_read_fits_the_context_in_one_call() -> None:
    llm = ReadingLLM(context_window=80)
    asked(llm, 60.0)
    assert len(llm.prompts) == 1
    assert prompt(llm) != f"{MILL}\n\n{BOAT}"


def test_a_budget_is_above_zero() -> None:
    with pytest.raises(ValueError, match="above 0"):
        ResponseSynthesizer.from_args(llm=ReadingLLM(), first_token_budget=0.0)


def test_a_short_search_scores_fewer_sentences() -> None:
    seen: list[str] = []

    class Counting:
        def score(
            self, question: str, sentences: Sequence[str], run: Run | None = None
        ) -> list[float]:
            seen.extend(sentences)
            return [1.0] * len(sentences)

    ranked = rerank("When was it built?", found(MILL, BOAT, "No."), Counting(), most=FEWEST)
    assert len(seen) == FEWEST
    assert [len(each.evidence) for each in ranked] == [1, 1, 0]


def test_the_setting_is_read_from_env(tmp_path: Path) -> None:
    env = tmp_path / ".env"
    env.write_text("FIRST_TOKEN_BUDGET=0.5")
    assert load_config(env, {}).first_token_budget == 0.5
    env.write_text("FIRST_TOKEN_BUDGET=soon")
    with pytest.raises(ConfigError, match="FIRST_TOKEN_BUDGET"):
        load_config(env, {})


def test_the_real_model_learns_how_fast_it_reads_and_plans_with_it(llm: LlamaCpp) -> None:
    text = " ".join(f"Lamp {n} stands {n} metres above the {n}th pier." for n in range(1, 60))
    index = VectorStoreIndex.from_documents([Document(text)])
    engine = RetrieverQueryEngine(
        index.as_retriever(3),
        ResponseSynthesizer(
            llm,
            streaming=True,
            context_format=ContextFormat.PASSAGES,
            options=GenerationOptions(max_tokens=4),
            first_token_budget=0.01,
        ),
    )
    response = engine.query("Where does lamp 7 stand?", stream=True)
    assert str(response)
    plan = response.trace.plan
    assert plan is not None
    assert plan.sentences == 1  # the smallest reading, although it breaks this budget
    assert plan.all_tokens > plan.tokens
    read = response.trace.metrics.prompt_tokens - response.trace.metrics.reused_tokens
    assert plan.tokens == read
