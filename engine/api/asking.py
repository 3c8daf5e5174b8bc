"""A question from outside → a live answer of the workspace; its sources and figures as JSON."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from engine.api.problems import Problem
from engine.api.requests import ChatRequest
from engine.query_engine import NOT_FOUND, RetrieverQueryEngine
from engine.response import Response, StreamingResponse
from engine.retrieving import is_relevant
from engine.schema import NodeWithScore
from engine.synthesis import ResponseSynthesizer
from engine.timing import Trace
from engine.workspace import Workspace

UNREAD = 10.0  # seconds after which an answer is stopped that nobody has begun to read

MODEL = "first-token/"
"""A model is a collection: first-token/<collection>."""


def collection_of(workspace: Workspace, model: str) -> str:
    """The collection that a model's name stands for.

    Raises:
        Problem: there is none.
    """
    name = model.removeprefix(MODEL)
    if not model.startswith(MODEL) or name not in workspace.library.collections():
        message = f"The model {model[:80]!r} does not exist. GET /v1/models lists those there are."
        raise Problem(404, message, param="model", code="model_not_found")
    return name


def start(workspace: Workspace, asked: ChatRequest) -> StreamingResponse:
    """Ask, and return the live answer at once, before the search.

    Raises:
        Problem: there is no such collection, or no question.
        FirstTokenError: the question cannot be asked.
    """
    question = asked.question
    index = workspace.library.index(collection_of(workspace, asked.model))
    synthesizer = ResponseSynthesizer(
        workspace.llm,
        streaming=bool(asked.stream),
        response_mode=asked.response_mode,
        options=asked.options,
        first_token_budget=asked.budget,
    )
    engine = RetrieverQueryEngine(
        index.as_retriever(similarity_top_k=asked.passages),
        synthesizer,
        is_relevant,
        index.as_kinds(asked.passages, kept=workspace.summaries),
    )
    try:
        response = engine.start(question, stream=bool(asked.stream), history=asked.history)
    except NotImplementedError as error:
        raise Problem(400, str(error), param="stream") from error
    response.hold(UNREAD)
    return response


def file_id(collection: str, source_id: str) -> str:
    """The id of a document: the same after a restart, and another one in each collection."""
    digest = hashlib.sha256(f"{collection}\n{source_id}".encode()).hexdigest()
    return f"file-{digest[:24]}"


def sources_json(collection: str, found: Sequence[NodeWithScore]) -> list[dict[str, Any]]:
    """The passages, best first. `quote` is the sentence that answers best, word for word."""
    return [
        {
            "document_id": file_id(collection, each.node.source_id),
            "file_name": each.node.file_name,
            "page": each.metadata.get("page_label"),
            "text": each.text,
            "quote": each.sentence(each.evidence[0]) if each.evidence else "",
            "score": round(each.score, 4),
        }
        for each in found
    ]


def text_of(response: Response) -> str:
    """The answer; where the documents have none, the sentence that says so."""
    return response.text or (NOT_FOUND if NOT_FOUND in response.notes else "")


def kind_json(trace: Trace) -> dict[str, Any] | None:
    """How a question of a special kind was treated; None for a fact."""
    return asdict(trace.kind) if trace.kind else None


def finish_reason(trace: Trace) -> str:
    return "length" if trace.calls and trace.calls[-1].finish_reason == "length" else "stop"


def usage_json(trace: Trace) -> dict[str, Any]:
    """Tokens of all LLM calls of the answer. `cached_tokens`: those whose state was kept."""
    prompt = sum(call.prompt_tokens for call in trace.calls)
    written = sum(call.output_tokens for call in trace.calls)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": written,
        "total_tokens": prompt + written,
        "prompt_tokens_details": {"cached_tokens": sum(call.reused_tokens for call in trace.calls)},
    }


def timings_json(trace: Trace) -> dict[str, Any]:
    """Milliseconds since the question arrived, and of each stage.

    `first_token_ms` is when the first piece of text was handed over. The names of llama.cpp's
    server stand for the last LLM call.
    """
    metrics = trace.metrics
    names = dict.fromkeys(span.name for span in trace.spans)
    decoding = sum(metrics.itl)
    return {
        "first_token_ms": _ms(metrics.ttft),
        "inter_token_ms": _ms(metrics.itl_median),
        "total_ms": _ms(metrics.e2el if trace.ended is None else trace.ended),
        "stages_ms": {name: _ms(trace.total(name)) for name in names},
        "cache_n": metrics.reused_tokens,
        "prompt_n": metrics.prompt_tokens - metrics.reused_tokens,
        "prompt_ms": _ms(trace.total("prefill")),
        "prompt_per_second": _rounded(metrics.prefill_rate),
        "predicted_n": metrics.output_tokens,
        "predicted_ms": _ms(decoding),
        "predicted_per_second": _rounded(metrics.decode_rate),
    }


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 2)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
