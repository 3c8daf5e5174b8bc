"""Quotations: the sentence that answers a question about documents, or none."""

import pytest

from engine.agent.quoting import quotation
from engine.schema import Evidence, Node, NodeWithScore, Scores

MILL = "The tide mill was built in 1684 by Hannah Voss. The dam is 140 metres long."
ROWS = (
    "item: Portable relay; unit_price_eur: 2260.00; location: radio room\n"
    "item: Dog box; unit_price_eur: 340.00; location: garage"
)


def found(text: str, sentence: str, logit: float = 3.0) -> NodeWithScore:
    start = text.index(sentence)
    evidence = (Evidence(start, start + len(sentence), logit),)
    return NodeWithScore(
        Node(text, {"file_name": "notes.txt"}), logit, Scores(rerank=logit), evidence
    )


def test_the_best_sentence_is_quoted_with_its_file() -> None:
    sources = [found(MILL, "The tide mill was built in 1684 by Hannah Voss.")]
    assert quotation("Who built the tide mill?", sources) == (
        "“The tide mill was built in 1684 by Hannah Voss.” (notes.txt)"
    )


@pytest.mark.parametrize(
    ("question", "logit"),
    [
        ("Who insured the tide mill?", 3.0),  # no word of insurance
        ("Who built the tide mill in 1750?", 6.0),  # another year, though all seems to fit
        ("How heavy is the tide mill?", 6.0),  # no weight
        ("Who built the tide mill?", -3.0),  # … with a word less than the question
    ],
)
def test_a_sentence_that_does_not_answer_is_not_quoted(question: str, logit: float) -> None:
    text = MILL.replace("tide ", "") if logit < 0 else MILL
    sources = [found(text, text[: text.index(".") + 1], logit)]
    assert quotation(question, sources) == ""


def test_a_sentence_with_all_words_of_the_question_is_quoted_with_a_low_score() -> None:
    sources = [found(MILL, "The tide mill was built in 1684 by Hannah Voss.", -2.0)]
    assert "Hannah Voss" in quotation("Who was Hannah Voss of the tide mill?", sources)


def test_a_row_about_the_thing_is_preferred_where_it_has_what_is_asked_for() -> None:
    prose = found("A portable relay has to be set up at the chapel.", "A portable relay", 3.0)
    row = found(ROWS, ROWS.splitlines()[0], 1.0)
    assert "radio room" in quotation("where is the portable relay stored?", [prose, row])
    box = found(ROWS, ROWS.splitlines()[1], 1.0)
    assert quotation("What did the dog boxes weigh?", [box]) == ""


def test_a_title_is_quoted_with_the_sentences_below_it() -> None:
    text = "May I take the battery on a plane?\nNo. They are not accepted.\nMore text."
    sources = [found(text, "May I take the battery on a plane?", 5.0)]
    assert "No. They are not accepted." in quotation("May I take a battery on a plane?", sources)
