"""LlamaIndex, to be compared with: runs in an environment of its own, and imports nothing of ours.

    python peer.py <folder of the embedder> <GGUF file>

Commands come as lines of JSON on standard input; to each, one line of JSON goes out:

    {"do": "index", "texts": [...]}                   → {"seconds"}
    {"do": "ask", "question": ..., "top_k": ...}      → {"first", "total", "text"}; also "tokens"
    {"do": "write", "prompt": ..., "tokens": ...}     → {"rate"}, tokens a second after the first

Everything is LlamaIndex's default but for: the embedder (the same file as First Token's), Qdrant
in memory as the store, temperature 0, and the model's own chat template.
"""

import json
import sys
import time
from collections.abc import Sequence
from typing import Any

import qdrant_client
from fastembed import TextEmbedding
from fastembed.common.model_description import ModelSource, PoolingType
from llama_index.core import Document, Settings, StorageContext, VectorStoreIndex
from llama_index.embeddings.fastembed import FastEmbedEmbedding
from llama_index.llms.llama_cpp import LlamaCPP
from llama_index.vector_stores.qdrant import QdrantVectorStore

EMBEDDER = "bge-small-en-v1.5 in a folder"


class Peer:
    def __init__(self, embedder: str, chat_model: str) -> None:
        TextEmbedding.add_custom_model(
            EMBEDDER,
            PoolingType.CLS,
            True,
            ModelSource(hf=EMBEDDER),
            384,
            model_file="model.onnx",
        )
        Settings.embed_model = FastEmbedEmbedding(EMBEDDER, specific_model_path=embedder)
        Settings.llm = self._llm = LlamaCPP(
            model_path=chat_model,
            temperature=0.0,
            verbose=False,
            messages_to_prompt=_chat,
            completion_to_prompt=lambda text: _wrapped("user", text) + "<|im_start|>assistant\n",
        )
        self._index: VectorStoreIndex | None = None
        self._engines: dict[int, Any] = {}

    def index(self, texts: Sequence[str]) -> dict[str, float]:
        client = qdrant_client.QdrantClient(":memory:")
        store = QdrantVectorStore("paragraphs", client=client)
        began = time.perf_counter()
        documents = [Document(text=text) for text in texts]
        context = StorageContext.from_defaults(vector_store=store)
        self._index = VectorStoreIndex.from_documents(documents, storage_context=context)
        self._engines.clear()
        return {"seconds": time.perf_counter() - began}

    def ask(self, question: str, top_k: int, tokens: int = 256) -> dict[str, float | str]:
        assert self._index
        self._llm.generate_kwargs["max_tokens"] = tokens
        if top_k not in self._engines:
            self._engines[top_k] = self._index.as_query_engine(
                streaming=True, similarity_top_k=top_k
            )
        began = time.perf_counter()
        text, first = "", 0.0
        for chunk in self._engines[top_k].query(question).response_gen:
            text += chunk
            if text and not first:
                first = time.perf_counter() - began
        return {"first": first, "total": time.perf_counter() - began, "text": text}

    def write(self, prompt: str, tokens: int) -> dict[str, float]:
        self._llm.generate_kwargs["max_tokens"] = tokens
        times = [time.perf_counter() for _ in self._llm.stream_complete(prompt)]
        return {"rate": (len(times) - 1) / (times[-1] - times[0])}


def _wrapped(role: str, text: str) -> str:
    return f"<|im_start|>{role}\n{text}<|im_end|>\n"


def _chat(messages: Sequence[Any]) -> str:
    parts = [_wrapped(message.role.value, message.content) for message in messages]
    return "".join(parts) + "<|im_start|>assistant\n"


def main() -> None:
    peer = Peer(*sys.argv[1:3])
    for line in sys.stdin:
        command = json.loads(line)
        print(json.dumps(getattr(peer, command.pop("do"))(**command)), flush=True)


if __name__ == "__main__":
    main()
