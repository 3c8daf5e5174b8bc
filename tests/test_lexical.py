"""Terms and BM25, against the formula worked out by hand."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engine.lexical import TermIndex, passage_terms, question_terms


def index_of(*texts: str) -> TermIndex:
    index = TermIndex()
    index.add([passage_terms(text) for text in texts])
    return index


def test_forms_of_a_word_are_one_term_in_any_case() -> None:
    assert question_terms("Running RUNS") == question_terms("run")
    assert question_terms("harbour's") == question_terms("harbour s")


def test_a_question_of_common_words_has_no_terms() -> None:
    assert question_terms("What is it, and where was the?") == {}
    assert question_terms("  ?!") == {}


def test_the_score_is_bm25() -> None:
    index = index_of("fox fox hound", "hound", "heron")
    length, average, k1, b = 3, 200, 1.2, 0.75
    frequency = 2 * (k1 + 1) / (2 + k1 * (1 - b + b * length / average))
    rarity = math.log((3 - 1 + 0.5) / (1 + 0.5) + 1)
    [(number, score)] = index.search(question_terms("fox"), 5)
    assert number == 0
    assert score == pytest.approx(frequency * rarity)


def test_the_rarer_word_and_the_shorter_passage_weigh_more() -> None:
    index = index_of("hound fox", "hound heron", "hound " + "reed " * 300, "hound")
    assert index.search(question_terms("hound fox"), 5)[0][0] == 0
    assert index.search(question_terms("hound"), 5)[-1][0] == 2


def test_hidden_passages_are_not_found_and_no_longer_make_a_word_common() -> None:
    index = index_of("fox", "fox heron", "heron")
    index.hide(np.array([0]))
    assert len(index) == 2
    fresh = index_of("fox heron", "heron")
    found = index.search(question_terms("fox"), 5)
    assert [number for number, _ in found] == [1]
    assert found[0][1] == pytest.approx(fresh.search(question_terms("fox"), 5)[0][1])
    index.show(np.array([0]))
    whole = index_of("fox", "fox heron", "heron")
    terms = question_terms("fox heron")
    assert index.search(terms, 5) == whole.search(terms, 5)


def test_passages_added_in_parts_are_found_as_if_added_at_once() -> None:
    texts = ["fox", "fox heron", "heron", "", "hound fox fox"]
    at_once, in_parts = index_of(*texts), TermIndex()
    first = [passage_terms(text) for text in texts[:2]]
    in_parts.fill(
        np.array([len(each) for each in first]),
        np.array([term for each in first for term in each], np.uint32),
        np.array([weight for each in first for weight in each.values()], np.float32),
    )
    for text in texts[2:]:
        in_parts.search(question_terms("fox"), 5)
        in_parts.add([passage_terms(text)])
    for question in ("fox", "heron hound", "fox heron"):
        terms = question_terms(question)
        assert in_parts.search(terms, 5) == at_once.search(terms, 5)


def test_only_passages_that_share_a_term_are_found_and_no_more_than_asked() -> None:
    index = index_of("fox", "heron", "fox", "fox")
    assert len(index.search(question_terms("fox"), 2)) == 2
    assert index.search(question_terms("osprey"), 5) == []
    assert TermIndex().search(question_terms("fox"), 5) == []


def test_lone_surrogates_do_no_harm() -> None:
    assert question_terms("fox \ud800") == question_terms("fox")
    assert index_of("a fox \udfff").search(question_terms("fox"), 1)[0][0] == 0


def test_a_question_without_end_has_a_bounded_number_of_terms() -> None:
    assert len(question_terms("".join(f"w{number} " for number in range(100_000)))) < 5_000


def test_importing_the_search_and_the_splitter_loads_no_model() -> None:
    script = (
        "import sys, engine.lexical, engine.splitting; "
        "assert not {'fastembed', 'onnxruntime', 'tokenizers'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], cwd=Path(__file__).parents[1], check=True)
