"""Text → vector, and (question, sentence) → relevance, with ONNX models in a folder.

Texts of any length go in; unit vectors or logits come out, in the same order. Both models read
512 tokens at once. They run through fastembed, offline. This module does not know what the
texts are, nor where the folders come from.
"""

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from fastembed import TextEmbedding
from fastembed.common.model_description import ModelSource, PoolingType
from fastembed.rerank.cross_encoder import TextCrossEncoder
from numpy.typing import NDArray
from tokenizers import Tokenizer

from engine.cores import Priority, cores
from engine.errors import WeightsError
from engine.parallel import map_texts
from engine.run import Run

log = logging.getLogger(__name__)

Vectors = NDArray[np.float32]

# What a window of a long text repeats of the one before, in tokens: about two sentences, so
# that what stands across the border is whole in one of them.
WINDOW_OVERLAP = 64

_QUESTION_PREFIX = "Represent this sentence for searching relevant passages: "  # bge's own
_registering = threading.Lock()


class Embedding(Protocol):
    """Text → unit vector. Safe to use from many threads at once."""

    @property
    def name(self) -> str:
        """Vectors of different names must not be mixed."""

    @property
    def dimension(self) -> int: ...

    def embed(
        self,
        texts: Sequence[str],
        run: Run | None = None,
        on_progress: Callable[[int], None] | None = None,
    ) -> Vectors:
        """Passages → [n, dimension], each of length 1. `on_progress` gets how many are done.

        Raises:
            Cancelled: between texts, where `run` is cancelled.
        """

    def embed_query(self, text: str) -> Vectors:
        """A question → [dimension], of length 1."""

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """The length of each text in the model's tokens, without those it adds itself."""


class Reranker(Protocol):
    """(question, sentence) → relevance. Safe to use from many threads at once."""

    def score(self, question: str, sentences: Sequence[str], run: Run | None = None) -> list[float]:
        """A logit for each sentence: above 0 it more likely answers than not.

        Raises:
            Cancelled: between sentences, where `run` is cancelled.
        """


class BgeEmbedding:
    """bge-small-en-v1.5: 384 dimensions, 512 tokens.

    A longer text is embedded in windows whose mean is taken, so nothing of it is invisible.

    Raises:
        WeightsError: the folder does not hold a usable model.
    """

    name = "BAAI/bge-small-en-v1.5"
    dimension = 384
    max_tokens = 510  # of the 512, the model takes two for itself

    def __init__(self, folder: Path) -> None:
        self._tokenizer = _tokenizer(folder)
        self._model = _load_embedder(self.name, self.dimension, folder)

    def embed(
        self,
        texts: Sequence[str],
        run: Run | None = None,
        on_progress: Callable[[int], None] | None = None,
    ) -> Vectors:
        work = map_texts(self._embed_whole, texts, Priority.BACKGROUND, run, on_progress)
        return np.stack(work) if work else np.zeros((0, self.dimension), np.float32)

    def embed_query(self, text: str) -> Vectors:
        with cores().take(1, Priority.SEARCH):
            return self._embed_whole(_QUESTION_PREFIX + text)

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        encoded = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [len(text) for text in encoded]

    def _embed_whole(self, text: str) -> Vectors:
        windows = self._windows(text)
        vectors: list[Vectors] = [next(iter(self._model.embed([each]))) for each in windows]
        if len(vectors) == 1:
            return vectors[0]
        mean: Vectors = np.mean(vectors, axis=0, dtype=np.float32)
        return mean / np.linalg.norm(mean)

    def _windows(self, text: str) -> list[str]:
        offsets = self._tokenizer.encode(text, add_special_tokens=False).offsets
        if len(offsets) <= self.max_tokens:
            return [text]
        step = self.max_tokens - WINDOW_OVERLAP
        starts = range(0, len(offsets) - WINDOW_OVERLAP, step)
        windows = [offsets[start : start + self.max_tokens] for start in starts]
        return [text[window[0][0] : window[-1][1]] for window in windows]


class CrossEncoder:
    """ms-marco-MiniLM-L-12-v2. Of a sentence over 512 tokens, question included, it reads the
    beginning.

    Raises:
        WeightsError: the folder does not hold a usable model.
    """

    name = "cross-encoder/ms-marco-MiniLM-L-12-v2"

    def __init__(self, folder: Path) -> None:
        self._model = _load_cross_encoder(self.name, folder)

    def score(self, question: str, sentences: Sequence[str], run: Run | None = None) -> list[float]:
        def score_one(sentence: str) -> float:
            return float(next(iter(self._model.rerank(question, [sentence]))))

        return map_texts(score_one, sentences, Priority.SEARCH, run)


def _load_embedder(name: str, dimension: int, folder: Path) -> TextEmbedding:
    local_name = f"{name} in a folder"  # fastembed knows the plain name, and would download it
    source = ModelSource(hf=name)
    with _registering:
        if all(model["model"] != local_name for model in TextEmbedding.list_supported_models()):
            TextEmbedding.add_custom_model(
                local_name, PoolingType.CLS, True, source, dimension, model_file="model.onnx"
            )
    try:
        return TextEmbedding(local_name, str(folder), threads=1, specific_model_path=str(folder))
    except Exception as fault:
        log.exception("A model could not be loaded")
        raise _unusable(folder) from fault


def _load_cross_encoder(name: str, folder: Path) -> TextCrossEncoder:
    local_name = f"{name} in a folder"
    source = ModelSource(hf=name)
    with _registering:
        if all(model["model"] != local_name for model in TextCrossEncoder.list_supported_models()):
            TextCrossEncoder.add_custom_model(local_name, source, model_file="model.onnx")
    try:
        return TextCrossEncoder(local_name, str(folder), threads=1, specific_model_path=str(folder))
    except Exception as fault:
        log.exception("A model could not be loaded")
        raise _unusable(folder) from fault


def _tokenizer(folder: Path) -> Tokenizer:
    """The model's tokenizer, without the cut at 512 tokens and the padding."""
    try:
        tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    except Exception as fault:  # the library raises plain Exceptions
        log.exception("A model could not be loaded")
        raise _unusable(folder) from fault
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _unusable(folder: Path) -> WeightsError:
    return WeightsError(
        f"The model in {folder} cannot be loaded. Delete that folder and start again: it is "
        "fetched anew."
    )
