"""Text → vector, and (question, sentence) → relevance, with ONNX models in a folder.

Texts of any length go in; unit vectors or logits come out, in the same order. Both models read
512 tokens at once. They run through fastembed, offline.

`map_texts` runs them on many texts, one by one, on all free cores. Each text uses one core, because
the ONNX sessions have one thread. There are no batches, for two reasons. They are slower on a
processor: with the int8 models on SQuAD and one core, batches of 1, 2, 4, 8 and 32 embed 25, 26,
21, 18 and 11 paragraphs per second, and rerank 85, 86, 84, 68 and 50 sentences per second. And the
int8 models scale a batch by its largest value, so a text's vector would depend on the other texts
of its batch (cosines down to 0.995).
"""

import functools
import json
import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np
from fastembed import TextEmbedding
from fastembed.common.model_description import ModelSource, PoolingType
from fastembed.rerank.cross_encoder import TextCrossEncoder
from numpy.typing import NDArray
from tokenizers import Tokenizer

from engine.cores import Priority, cores
from engine.errors import WeightsError
from engine.run import Run

log = logging.getLogger(__name__)

Vectors = NDArray[np.float32]

Result = TypeVar("Result")

# The overlap of two windows of a long text, in tokens. It is about two sentences, so that each
# sentence at a border is complete in one of the windows.
WINDOW_OVERLAP = 64

# The limits of a question, because a user waits while it is embedded. Only the beginning of a
# longer question is read. The windows of a question take up to 0.4 s on one core.
_QUESTION_CHARACTERS = 8_192
_QUESTION_WINDOWS = 4
# The limit of a text for the reranker, which reads 512 tokens. English has 5 characters per token.
_PAIR_CHARACTERS = 8_192

_registering = threading.Lock()


class Embedding(Protocol):
    """Text → unit vector. Safe to use from many threads at once."""

    @property
    def name(self) -> str:
        """The name of the model. Vectors of models with different names must not be mixed."""

    @property
    def dimension(self) -> int: ...

    def embed(
        self,
        texts: Sequence[str],
        run: Run | None = None,
        on_progress: Callable[[int], None] | None = None,
    ) -> Vectors:
        """Passages → [n, dimension], each of length 1. `on_progress` gets the number of texts done.

        Raises:
            Cancelled: `run` was cancelled. It is checked between texts.
        """

    def embed_query(self, text: str) -> Vectors:
        """A question → [dimension], of length 1. Only the beginning of a very long one is read."""

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """The length of each text in tokens, without those that the model adds."""


class Reranker(Protocol):
    """(question, sentence) → relevance. Safe to use from many threads at once."""

    def score(self, question: str, sentences: Sequence[str], run: Run | None = None) -> list[float]:
        """A logit for each sentence. Above 0, the sentence probably answers the question.

        Raises:
            Cancelled: `run` was cancelled. It is checked between sentences.
        """


def knows(model: object, language: str) -> bool:
    """Whether an embedder or a reranker was trained for a language (ISO 639-1).

    A model says so in an attribute `languages`; without one, or if it is empty, it knows many.
    """
    languages: frozenset[str] = getattr(model, "languages", frozenset())
    return not languages or language in languages


class OnnxEmbedding:
    """A model of fastembed's list, from files in a folder.

    The vector of a text that is longer than the model reads at once is the mean of the vectors of
    its windows, so that all of the text can be found. `languages`: those it was trained for, as ISO
    639-1; empty: many. `query_prefix`: what the model wants before a question.

    Raises:
        WeightsError: the folder has no usable model.
    """

    query_prefix = ""

    def __init__(
        self, name: str, folder: Path, dimension: int, languages: frozenset[str] = frozenset()
    ) -> None:
        self.name, self.dimension, self.languages = name, dimension, languages
        self._tokenizer = _tokenizer(folder)
        self.max_tokens = _read_at_once(folder) - 2  # the model adds two
        self._model = self._load(folder)

    def _load(self, folder: Path) -> TextEmbedding:
        try:
            return TextEmbedding(self.name, str(folder), threads=1, specific_model_path=str(folder))
        except Exception as fault:
            log.exception("A model could not be loaded")
            raise _unusable(folder) from fault

    @functools.cached_property
    def vocabulary(self) -> frozenset[str]:
        """Whole words that the model knows; empty if its tokens do not show which are whole words,
        or if it is for several languages."""
        tokens = self._tokenizer.get_vocab()
        if "##s" not in tokens or self.languages != {"en"}:
            return frozenset()
        words = (each for each in tokens if len(each) > 2 and each.isascii() and each.isalpha())
        return frozenset(words)

    def embed(
        self,
        texts: Sequence[str],
        run: Run | None = None,
        on_progress: Callable[[int], None] | None = None,
    ) -> Vectors:
        def embed_one(text: str) -> Vectors:
            return self._embed_windows(self._windows(text))

        vectors = map_texts(embed_one, texts, Priority.BACKGROUND, run, on_progress)
        return np.stack(vectors) if vectors else np.zeros((0, self.dimension), np.float32)

    def embed_query(self, text: str) -> Vectors:
        question = self.query_prefix + text[:_QUESTION_CHARACTERS]
        with cores().take(1, Priority.SEARCH):
            return self._embed_windows(self._windows(question)[:_QUESTION_WINDOWS])

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        valid = [_valid(text) for text in texts]
        encoded = self._tokenizer.encode_batch_fast(valid, add_special_tokens=False)
        return [len(text) for text in encoded]

    def _windows(self, text: str) -> list[str]:
        """The text, or parts of it that the model can read at once."""
        text = _valid(text)
        offsets = self._tokenizer.encode(text, add_special_tokens=False).offsets
        if len(offsets) <= self.max_tokens:
            return [text]
        step = self.max_tokens - WINDOW_OVERLAP
        starts = range(0, len(offsets) - WINDOW_OVERLAP, step)
        windows = [offsets[start : start + self.max_tokens] for start in starts]
        return [text[window[0][0] : window[-1][1]] for window in windows]

    def _embed_windows(self, windows: Sequence[str]) -> Vectors:
        vectors: list[Vectors] = [next(iter(self._model.embed([each]))) for each in windows]
        if len(vectors) == 1:
            return vectors[0]
        mean: Vectors = np.mean(vectors, axis=0, dtype=np.float32)
        return mean / np.linalg.norm(mean)


class BgeEmbedding(OnnxEmbedding):
    """bge-small-en-v1.5: 384 dimensions, 512 tokens. The default, in int8.

    Raises:
        WeightsError: the folder has no usable model.
    """

    name = "BAAI/bge-small-en-v1.5"
    query_prefix = "Represent this sentence for searching relevant passages: "  # bge's own

    def __init__(self, folder: Path) -> None:
        super().__init__(self.name, folder, 384, frozenset(["en"]))

    def _load(self, folder: Path) -> TextEmbedding:
        return _load_embedder(self.name, self.dimension, folder)


class OnnxReranker:
    """A cross-encoder of fastembed's list, from files in a folder.

    Of a sentence over 512 tokens, question included, it reads the beginning.

    Raises:
        WeightsError: the folder does not hold a usable model.
    """

    calibrated = False
    """Whether `engine.retrieving.RELEVANT`, below which nothing was found, was measured with it."""

    def __init__(self, name: str, folder: Path, languages: frozenset[str] = frozenset()) -> None:
        self.name, self.languages = name, languages
        self._model = self._load(folder)

    def _load(self, folder: Path) -> TextCrossEncoder:
        try:
            path = str(folder)
            return TextCrossEncoder(self.name, path, threads=1, specific_model_path=path)
        except Exception as fault:
            log.exception("A model could not be loaded")
            raise _unusable(folder) from fault

    def score(self, question: str, sentences: Sequence[str], run: Run | None = None) -> list[float]:
        question = _valid(question[:_PAIR_CHARACTERS])

        def score_one(sentence: str) -> float:
            pair = question, [_valid(sentence[:_PAIR_CHARACTERS])]
            return float(next(iter(self._model.rerank(*pair))))

        return map_texts(score_one, sentences, Priority.SEARCH, run)


class CrossEncoder(OnnxReranker):
    """ms-marco-MiniLM-L-12-v2. The default, in int8.

    Raises:
        WeightsError: the folder does not hold a usable model.
    """

    name = "cross-encoder/ms-marco-MiniLM-L-12-v2"
    calibrated = True

    def __init__(self, folder: Path) -> None:
        super().__init__(self.name, folder, frozenset(["en"]))

    def _load(self, folder: Path) -> TextCrossEncoder:
        return _load_cross_encoder(self.name, folder)


def map_texts(
    work: Callable[[str], Result],
    texts: Sequence[str],
    priority: Priority,
    run: Run | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> list[Result]:
    """`[work(text) for text in texts]`, in threads. `on_progress` gets the number of texts done.

    The first error ends the work, and is raised when all threads have ended.

    Raises:
        Cancelled: `run` was cancelled. It is checked between texts.
    """
    results: dict[int, Result] = {}
    errors: list[BaseException] = []
    lock = threading.Lock()
    # The long texts come first, so that no thread starts a long one at the end
    places = iter(sorted(range(len(texts)), key=lambda place: -len(texts[place])))

    def take_texts() -> None:
        try:
            while not errors:
                if run is not None:
                    run.check()
                with lock:
                    place = next(places, None)
                if place is None:
                    return
                with cores().take(1, priority, run):
                    result = work(texts[place])
                with lock:
                    results[place] = result
                    if on_progress is not None:
                        on_progress(len(results))
        except BaseException as error:
            errors.append(error)

    helpers = [
        threading.Thread(target=take_texts, name="map_texts", daemon=True)
        for _ in range(min(cores().total, len(texts)) - 1)
    ]
    for helper in helpers:
        helper.start()
    take_texts()
    for helper in helpers:
        helper.join()
    if errors:
        raise errors[0]
    return [results[place] for place in range(len(texts))]


def _valid(text: str) -> str:
    """The text with "?" in place of lone surrogates, which the tokenizers refuse."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


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


def _read_at_once(folder: Path) -> int:
    """Tokens that the model reads at once, from its tokenizer's file; 512 where it says nothing."""
    limit = 512
    with suppress(OSError, ValueError, TypeError, KeyError):
        said = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
        limit = min(limit, int(said.get("max_length") or said.get("model_max_length") or limit))
    return max(limit, 32)


def _unusable(folder: Path) -> WeightsError:
    return WeightsError(
        f"The model in {folder} cannot be loaded. Delete that folder and start First Token again, "
        "which downloads the model."
    )
