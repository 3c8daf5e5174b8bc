"""Retrieval: fusion and ranking worked out by hand, then the real models on real text."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from engine.errors import Cancelled
from engine.index import VectorStoreIndex
from engine.retrieving import (
    BUDGET,
    CONTENDERS,
    LEXICAL_WEIGHT,
    LOGIT_WEIGHT,
    MARGIN,
    fuse,
    is_relevant,
    rerank,
    without_story,
)
from engine.run import Run
from engine.schema import Document, Node, NodeWithScore, Scores
from engine.store import Hit

SQUAD = Path(__file__).parents[2] / "shared" / "data" / "squad_v2_dev_half.json"

NOTES = [
    Document(text, {"file_name": name}, source_id=name)
    for name, text in {
        "mill": "The tide mill at Woodhaven grinds when the pond is full. It was built in 1793 by "
        "Elias Thorne. Thorne lost two fingers in it. He never spoke of that.",
        "bread": "Rye bread needs a sour dough. The dough rests for sixteen hours. Salt is last.",
        "bees": "A hive holds fifty thousand bees in June. The queen lays two thousand eggs a day.",
    }.items()
]


class Scripted:
    """A reranker whose logits are in the sentences: "... 3.5"."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def score(self, question: str, sentences: Sequence[str], run: Run | None = None) -> list[float]:
        self.seen.extend(sentences)
        return [float(sentence.rstrip(".").split()[-1]) for sentence in sentences]


def passage(text: str, fused: float) -> NodeWithScore:
    return NodeWithScore(Node(text), fused, Scores(fused=fused))


def test_both_searches_count_and_keep_their_scores() -> None:
    dense = [Hit("a", 0.8), Hit("b", 0.7), Hit("c", 0.6)]
    lexical = [Hit("c", 9.0), Hit("d", 5.0)]
    fused = dict(fuse(dense, lexical, passages=100))
    scale = LEXICAL_WEIGHT / 4.61512
    assert fused["a"] == Scores(dense=0.8, fused=0.8)
    assert (fused["c"].dense, fused["c"].lexical) == (0.6, 9.0)
    assert fused["c"].fused == pytest.approx(0.6 + 9 * scale)
    # what only the lexical search found counts as the last that the dense one found
    assert (fused["d"].dense, fused["d"].lexical) == (None, 5.0)
    assert fused["d"].fused == pytest.approx(0.6 + 5 * scale)
    assert list(fused) == sorted(fused, key=lambda each: -(fused[each].fused or 0))
    assert fuse([], [], 0) == []


def test_the_best_sentence_and_the_fused_score_decide_together() -> None:
    found = [passage("Weak 0", 0.70), passage("Poor -5. Strong 4", 0.65)]
    ranked = rerank("?", found, Scripted())
    assert [each.text for each in ranked] == ["Poor -5. Strong 4", "Weak 0"]
    assert [each.scores.rerank for each in ranked] == [4, 0]
    assert [each.score for each in ranked] == pytest.approx([0.65 + 4 * LOGIT_WEIGHT, 0.70])


def test_a_passage_too_far_behind_is_not_scored_and_stays_behind() -> None:
    reranker = Scripted()
    found = [passage("First -11", 0.9), passage("Behind 9", 0.9 - MARGIN - 0.01)]
    ranked = rerank("?", found, reranker)
    assert reranker.seen == ["First -11"]
    assert [each.text for each in ranked] == ["First -11", "Behind 9"]
    assert ranked[1].scores.rerank is None
    assert ranked[1].evidence == ()


def test_no_more_sentences_are_scored_than_the_budget_and_no_passage_goes_without() -> None:
    reranker = Scripted()
    texts = [
        " ".join(f"Sentence {number} of {place} is {rank}0." for number in range(9))
        for rank, place in enumerate("abcdefgh")
    ]
    found = [passage(text, 0.7) for text in texts]
    assert len(found) == CONTENDERS
    ranked = rerank("What is in sentence 5?", found, reranker)
    assert len(reranker.seen) == BUDGET
    assert all(each.scores.rerank is not None for each in ranked)
    assert sum("Sentence 5" in sentence for sentence in reranker.seen) == len(found)


def test_close_passages_get_a_second_look_at_the_best_sentence_among_its_neighbours() -> None:
    reranker = Scripted()
    found = [passage("Alone 4. Then -6.", 0.7), passage("Before 0. Best 3. After 2.5.", 0.7)]
    ranked = rerank("?", found, reranker)
    assert reranker.seen[-2:] == ["Alone 4. Then -6.", "Before 0. Best 3. After 2.5."]
    assert [each.scores.rerank for each in ranked] == [(3 + 2.5) / 2, (4 - 6) / 2]


def test_the_sentence_after_the_best_one_counts_for_more() -> None:
    (ranked,) = rerank("?", [passage("Second 2. Third 1. Best 5. Next 1.", 0.7)], Scripted())
    assert [ranked.sentence(each) for each in ranked.evidence] == [
        "Best 5.",
        "Next 1.",
        "Second 2.",
    ]


def test_evidence_of_several_passages_can_be_ranked_together() -> None:
    found = [passage("Best 5. Weak -8. Next 2.", 0.7), passage("Good 3. Fair 1.", 0.6)]
    ranked = rerank("?", found, Scripted())
    together = sorted(
        (
            (evidence.score, each.sentence(evidence))
            for each in ranked
            for evidence in each.evidence
        ),
        reverse=True,
    )
    # a sentence of the better passage goes before a better sentence of a passage far behind
    assert [text for _, text in together][:3] == ["Best 5.", "Next 2.", "Good 3."]
    assert together[0][0] == 5


def test_evidence_is_whole_sentences_best_first() -> None:
    text = "Low -3.  High 5.\nAmong 1. Lowest -9"
    (ranked,) = rerank("?", [passage(text, 0.5)], Scripted())
    sentences = [ranked.sentence(each) for each in ranked.evidence]
    assert sentences[0] == "High 5."
    assert set(sentences) <= {"Low -3.", "High 5.", "Among 1.", "Lowest -9"}
    scores = [each.score for each in ranked.evidence]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("question", ["", "???", "Who is it?"])
def test_a_question_of_no_words_still_ranks(question: str) -> None:
    text = " ".join(f"Sentence {number}." for number in range(40))
    ranked = rerank(question, [passage(text, 0.5), passage("Other 3", 0.5)], Scripted())
    assert [each.scores.rerank for each in ranked] == [BUDGET - 2, 3]


def test_nothing_found_is_nothing_ranked() -> None:
    assert rerank("?", [], Scripted()) == []
    assert not is_relevant([])


@pytest.fixture(scope="module")
def index() -> VectorStoreIndex:
    return VectorStoreIndex.from_documents(NOTES)


def test_the_evidence_is_the_sentence_that_answers(index: VectorStoreIndex) -> None:
    for question, name, sentence in (
        ("Who built the mill?", "mill", "It was built in 1793 by Elias Thorne."),
        ("How long does the dough rest?", "bread", "The dough rests for sixteen hours."),
        ("How many eggs are laid?", "bees", "The queen lays two thousand eggs a day."),
    ):
        best = index.as_retriever().retrieve(question)[0]
        assert best.node.file_name == name
        assert best.sentence(best.evidence[0]) == sentence


def test_every_stage_leaves_its_score_and_its_time(index: VectorStoreIndex) -> None:
    run = Run()
    results = index.as_retriever(3).retrieve("Who built the mill?", run)
    assert len(results) == 3
    assert [span.name for span in run.trace.spans] == ["embed", "search", "rerank"]
    scores = results[0].scores
    assert scores.dense and 0.5 < scores.dense < 1
    assert scores.lexical and scores.lexical > 0
    assert scores.fused and scores.fused > scores.dense
    assert scores.rerank and scores.rerank > 0
    assert [each.score for each in results] == sorted((e.score for e in results), reverse=True)


def test_without_reranking_the_fused_rank_decides(index: VectorStoreIndex) -> None:
    run = Run()
    (result,) = index.as_retriever(1, rerank=False).retrieve("Who built the mill?", run)
    assert result.node.file_name == "mill"
    assert result.score == result.scores.fused
    assert result.scores.rerank is None
    assert [span.name for span in run.trace.spans] == ["embed", "search"]


def test_a_cancelled_question_stops(index: VectorStoreIndex) -> None:
    run = Run()
    run.cancel()
    with pytest.raises(Cancelled):
        index.as_retriever().retrieve("Who built the mill?", run)


def test_what_is_not_in_the_documents_is_told_from_what_is(index: VectorStoreIndex) -> None:
    retriever = index.as_retriever()
    for question in (
        "Who built the mill?",
        "What does rye bread need?",
        "How many bees are there?",
    ):
        assert is_relevant(retriever.retrieve(question)), question
    for question in ("What is the capital of Peru?", "Who won the world cup in 1998?"):
        assert not is_relevant(retriever.retrieve(question)), question


def test_a_story_before_a_question_does_not_hide_what_is_asked(index: VectorStoreIndex) -> None:
    story = "Hello, my aunt in Bolivia sends me recipes and I always forget the details. "
    asked = "How many hours does the dough rest?"
    found = index.as_retriever().retrieve(story + asked)
    assert is_relevant(found)
    assert found[0].sentence(found[0].evidence[0]) == "The dough rests for sixteen hours."
    assert without_story(story + asked) == asked
    for whole in (asked, "I have two offers. Which is cheaper?", "Thorne built it. I know that."):
        assert without_story(whole) == whole


@pytest.mark.skipif(not SQUAD.exists(), reason="needs ../shared/data")
def test_questions_of_strangers_find_their_paragraph() -> None:
    article = json.loads(SQUAD.read_text())["data"][3]
    paragraphs = article["paragraphs"][:20]
    index = VectorStoreIndex.from_documents(
        [Document(each["context"], {"number": n}) for n, each in enumerate(paragraphs)]
    )
    retriever = index.as_retriever(1)
    asked = [
        (question["question"], number)
        for number, each in enumerate(paragraphs)
        for question in [q for q in each["qas"] if not q["is_impossible"]][:2]
    ]
    right = sum(retriever.retrieve(q)[0].metadata["number"] == number for q, number in asked)
    assert right >= 0.85 * len(asked)
