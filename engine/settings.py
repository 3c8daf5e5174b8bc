"""Settings: the default model, embedding, reranker and splitter of the process.

Each default is created on first use, from the configuration and the weights on disk, and kept.
Assigning a value replaces it. Only functions with an optional argument read it: `VectorStoreIndex`,
`ResponseSynthesizer.from_args`, `AgentWorkflow.from_tools`. An explicit argument always wins.
"""

import threading
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar, cast

from engine.config import Config, default_config
from engine.llm.base import LLM
from engine.splitting import SentenceSplitter
from engine.weights import Weights, ensure_weights

if TYPE_CHECKING:
    from engine.embedding import Embedding, Reranker

Part = TypeVar("Part")

# Tokens in a passage. Measured with 400 questions on SQuAD's articles, each one document, for 128,
# 200, 256, 384, 510 and 1,024 tokens: nDCG@10 0.927, 0.955, 0.956, 0.951, 0.952, 0.959; share of
# gold spans in the two best sentences 0.897, 0.905, 0.910, 0.902, 0.900, 0.900; time of retrieval
# 44, 39, 65, 82, 91, 117 ms.
CHUNK_SIZE = 256


class _Settings:
    """The defaults: `Settings.llm`, `.embed_model`, `.reranker`, `.node_parser`."""

    def __init__(self) -> None:
        self._parts: dict[str, Any] = {}
        self._lock = threading.RLock()

    @cached_property
    def config(self) -> Config:
        return default_config()

    @cached_property
    def weights(self) -> Weights:
        return ensure_weights(
            self.config.weights_dir,
            chat_model=self.config.chat_model,
            answers_here=not self.config.openai_base_url,
        )

    @property
    def llm(self) -> LLM:
        """The model that writes the answers: the server set in .env, or else a local model."""
        return self._part("llm", self._default_llm)

    @llm.setter
    def llm(self, llm: LLM) -> None:
        self._parts["llm"] = llm

    @property
    def embed_model(self) -> "Embedding":
        """The embedding model: text → vector."""
        return self._part("embed_model", self._default_embedding)

    @embed_model.setter
    def embed_model(self, embedding: "Embedding") -> None:
        self._parts["embed_model"] = embedding

    @property
    def reranker(self) -> "Reranker":
        """The cross-encoder: (question, sentence) → relevance."""
        return self._part("reranker", self._default_reranker)

    @reranker.setter
    def reranker(self, reranker: "Reranker") -> None:
        self._parts["reranker"] = reranker

    @property
    def node_parser(self) -> SentenceSplitter:
        """The splitter: document → passages."""
        return self._part("node_parser", self._default_splitter)

    @node_parser.setter
    def node_parser(self, splitter: SentenceSplitter) -> None:
        self._parts["node_parser"] = splitter

    def _part(self, name: str, make: Callable[[], Part]) -> Part:
        with self._lock:  # two threads that ask at once get one model
            if name not in self._parts:
                self._parts[name] = make()
            return cast(Part, self._parts[name])

    # Each of these loads a native library, so it is imported on first use.

    def _default_embedding(self) -> "Embedding":
        from engine.embedding import BgeEmbedding

        return BgeEmbedding(self.weights.embedder)

    def _default_reranker(self) -> "Reranker":
        from engine.embedding import CrossEncoder

        return CrossEncoder(self.weights.reranker)

    def configured_llm(self) -> LLM:
        """A new model as .env says: the server, CHAT_MODEL, or the default one.

        Raises:
            FirstTokenError: it cannot be opened.
        """
        return self._default_llm()

    def _default_llm(self) -> LLM:
        if self.config.openai_base_url:
            from engine.llm import OpenAICompatible

            return OpenAICompatible.from_config(self.config)
        from engine.llm import LlamaCpp

        return LlamaCpp(self.weights.chat_model, config=self.config)

    def _default_splitter(self) -> SentenceSplitter:
        return SentenceSplitter(CHUNK_SIZE, count_tokens=self.embed_model.count_tokens)


Settings = _Settings()
