"""Embedding and reranking with the real models: every text counts, whatever stands beside it."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from engine.embedding import BgeEmbedding, CrossEncoder
from engine.errors import Cancelled, WeightsError
from engine.run import Run
from engine.settings import Settings

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
