"""Embedding and reranking with the real models: every text counts, whatever stands beside it."""

import os
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from engine.cores import Priority
from engine.embedding import BgeEmbedding, CrossEncoder, map_texts
from engine.errors import Cancelled, WeightsError
from engine.run import Run
from engine.settings import Settings
from tests.browser import ROOT

TEXTS = [
    "The lighthouse on Ailsa Craig was built by Thomas Stevenson in 1886.",
    "Bread rises because yeast turns sugar into carbon dioxide.",
    "Photosynthesis happens in the chloroplasts of green plants. " * 12,
    "ok",
]


@pytest.fixture(scope="module")
def embedding() -> BgeEmbedding:
    return BgeEmbedding(Settings.weights.embedder)


@pytest.fixture(scope="module")
def reranker() -> CrossEncoder:
    return CrossEncoder(Settings.weights.reranker)


def test_vectors_are_of_length_one_and_in_the_order_of_the_texts(embedding: BgeEmbedding) -> None:
    vectors = embedding.embed(TEXTS)
    assert vectors.shape == (4, embedding.dimension)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1] * 4, abs=1e-5)
    backwards = embedding.embed(TEXTS[::-1])[::-1]
    assert np.array_equal(vectors, backwards)


def test_a_text_gives_the_same_vector_alone_and_among_others(embedding: BgeEmbedding) -> None:
    together = embedding.embed(TEXTS)
    for text, vector in zip(TEXTS, together, strict=True):
        assert np.array_equal(embedding.embed([text])[0], vector)


def test_a_question_is_nearest_to_the_text_that_answers_it(embedding: BgeEmbedding) -> None:
    vectors = embedding.embed(TEXTS)
    for question, answer in (("Who built the lighthouse?", 0), ("Why does dough rise?", 1)):
        assert int(np.argmax(vectors @ embedding.embed_query(question))) == answer


def test_the_end_of_a_long_text_is_not_invisible(embedding: BgeEmbedding) -> None:
    filler = "The committee met on a weekday and adjourned without a vote. " * 100
    plain, *with_needle = embedding.embed(
        [filler, *(filler[:cut] + TEXTS[0] + filler[cut:] for cut in (0, 3050, len(filler)))]
    )
    question = embedding.embed_query("Who built the lighthouse on Ailsa Craig?")
    for vector in with_needle:
        assert vector @ question > plain @ question + 0.01


def test_texts_without_words_are_embedded_too(embedding: BgeEmbedding) -> None:
    vectors = embedding.embed(["", "  \n\t", "\x00", "\u200b", "🜚" * 600])
    assert np.isfinite(vectors).all()
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1] * 5, abs=1e-5)
    assert embedding.embed([]).shape == (0, embedding.dimension)
    assert np.isfinite(embedding.embed_query("")).all()


def test_lone_surrogates_do_no_harm(embedding: BgeEmbedding, reranker: CrossEncoder) -> None:
    broken = "The lighthouse \ud800 on \udfff Ailsa Craig"
    assert np.isfinite(embedding.embed([broken, "\ud800"])).all()
    assert embedding.embed_query(broken) @ embedding.embed([TEXTS[0]])[0] > 0.5
    assert embedding.count_tokens([broken, "\ud800"])[1] == 1
    assert reranker.score(broken, [TEXTS[0], broken])[0] > 0


def test_a_question_without_end_costs_no_more_than_a_long_one(
    embedding: BgeEmbedding, reranker: CrossEncoder
) -> None:
    long = "Who built the lighthouse on Ailsa Craig? " * 200
    huge = "Who built the lighthouse on Ailsa Craig? " * 8_000
    assert np.array_equal(embedding.embed_query(long), embedding.embed_query(huge))
    assert reranker.score(long * 2, TEXTS) == reranker.score(huge, TEXTS)
    assert reranker.score("Who?", [long * 2]) == reranker.score("Who?", [huge])


def test_tokens_are_counted_without_a_limit(embedding: BgeEmbedding) -> None:
    assert embedding.count_tokens(["", "hello world", "hello " * 3000]) == [0, 2, 3000]
    assert embedding.count_tokens([]) == []


def test_embedding_stops_between_texts(embedding: BgeEmbedding) -> None:
    run, seen = Run(), []

    def stop(done: int) -> None:
        seen.append(done)
        run.cancel()

    with pytest.raises(Cancelled):
        embedding.embed(TEXTS * 10, run, stop)
    assert len(seen) < 10


def test_progress_counts_every_text(embedding: BgeEmbedding) -> None:
    seen: list[int] = []
    embedding.embed(TEXTS, on_progress=seen.append)
    assert seen == [1, 2, 3, 4]


def test_many_threads_get_what_one_gets(embedding: BgeEmbedding, reranker: CrossEncoder) -> None:
    vectors = embedding.embed(TEXTS)
    logits = reranker.score("Who built the lighthouse?", TEXTS)
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(lambda _: embedding.embed(TEXTS), range(8)):
            assert np.array_equal(found, vectors)
        scores = pool.map(lambda _: reranker.score("Who built the lighthouse?", TEXTS), range(8))
        assert all(found == logits for found in scores)


def test_the_sentence_that_answers_scores_best(reranker: CrossEncoder) -> None:
    for question, answer in (("Who built the lighthouse?", 0), ("Why does dough rise?", 1)):
        logits = reranker.score(question, TEXTS)
        assert int(np.argmax(logits)) == answer
        assert logits[answer] > 0 > logits[1 - answer]
        assert reranker.score(question, TEXTS[::-1]) == logits[::-1]
    assert reranker.score("Who?", []) == []


def test_reranking_stops_where_it_is_cancelled(reranker: CrossEncoder) -> None:
    run = Run()
    run.cancel()
    with pytest.raises(Cancelled):
        reranker.score("Who?", TEXTS, run)


def test_a_model_that_cannot_be_loaded_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=f"{tmp_path} cannot be loaded. Delete"):
        BgeEmbedding(tmp_path)
    with pytest.raises(WeightsError, match="cannot be loaded"):
        CrossEncoder(tmp_path)
    broken = shutil.copytree(Settings.weights.embedder, tmp_path / "broken")
    (broken / "model.onnx").write_bytes((broken / "model.onnx").read_bytes()[:100_000])
    with pytest.raises(WeightsError, match="cannot be loaded"):
        BgeEmbedding(broken)


NUMBERS = [str(number) * (number % 7) for number in range(50)]


def test_results_of_map_texts_come_in_the_order_of_the_texts() -> None:
    assert map_texts(len, NUMBERS, Priority.SEARCH) == [len(text) for text in NUMBERS]
    assert map_texts(len, [], Priority.SEARCH) == []


def test_the_first_fault_ends_the_work_and_reaches_the_caller() -> None:
    done: list[str] = []

    def work(text: str) -> None:
        done.append(text)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        map_texts(work, NUMBERS, Priority.SEARCH)
    assert len(done) < len(NUMBERS)


def test_a_cancelled_run_stops_every_thread() -> None:
    run = Run()
    threads: set[threading.Thread] = set()

    def work(_: str) -> None:
        threads.add(threading.current_thread())
        run.cancel()

    with pytest.raises(Cancelled):
        map_texts(work, NUMBERS, Priority.SEARCH, run)
    assert threads
    assert not any(thread.is_alive() for thread in threads - {threading.current_thread()})


def test_onnxruntime_is_told_to_report_nothing_before_it_is_imported() -> None:
    program = (
        "import os, sys, engine; assert 'onnxruntime' not in sys.modules;"
        "import engine.embedding; print(os.environ['ORT_DISABLE_TELEMETRY'])"
    )
    environ = {name: value for name, value in os.environ.items() if "TELEMETRY" not in name}
    command = [sys.executable, "-c", program]
    ended = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, check=True)
    assert ended.stdout.strip() == b"1"
