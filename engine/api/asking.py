"""A question from outside → a live answer of the workspace; its sources and figures as JSON."""

import asyncio
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from engine.api.filtering import DocumentFilters
from engine.api.problems import Problem
from engine.api.requests import ChatRequest
from engine.api.threads import in_thread
from engine.query_engine import RetrieverQueryEngine
from engine.response import Response, StreamingResponse
from engine.retrieving import NOT_FOUND, is_relevant, may_be_relevant
from engine.schema import Filters, NodeWithScore
from engine.synthesis import ResponseSynthesizer
from engine.timing import Trace
from engine.workspace import Workspace

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


async def begin(
    open_workspace: Callable[[], Workspace], asked: ChatRequest, arrived: float | None = None
) -> StreamingResponse:
    """`start` on a thread. A caller who leaves before it returns stops the answer.

    One step, because each change of threads costs milliseconds while the model computes. `arrived`:
    when the request did, by `time.perf_counter`; the answer's times count from there.
    """

    def stop(started: asyncio.Future[StreamingResponse]) -> None:
        if started.exception() is None:
            started.result().cancel()

    starting = asyncio.ensure_future(in_thread(lambda: start(open_workspace(), asked, arrived)))
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        starting.add_done_callback(stop)
        raise


def start(
    workspace: Workspace, asked: ChatRequest, arrived: float | None = None
) -> StreamingResponse:
    """Ask, and return the live answer at once, before the search.

    Raises:
        Problem: there is no such collection, or no question.
        FirstTokenError: the question cannot be asked.
    """
    question = asked.question
    collection = collection_of(workspace, asked.model)
    filters = filters_of(workspace, collection, asked.filters)
    retriever = workspace.library.retriever(collection, asked.passages, filters)
    kept = workspace.summaries if asked.cache_prompt else None
    kinds = workspace.library.kinds(collection, asked.passages, filters, kept)
    held = workspace.chat_model.hold()  # another model may be chosen meanwhile
    try:
        synthesizer = ResponseSynthesizer(
            held.llm,
            streaming=bool(asked.stream),
            response_mode=asked.response_mode,
            options=asked.options,
            context_format=asked.context_format,
            first_token_budget=asked.budget,
        )
        engine = RetrieverQueryEngine(
            retriever, synthesizer, is_relevant, kinds, may_be_relevant
        )
        return engine.start(
            question,
            stream=bool(asked.stream),
            history=asked.history,
            on_done=lambda _: held.release(),
            submitted=arrived,
        )
    except BaseException as error:
        held.release()
        if isinstance(error, NotImplementedError):
            raise Problem(400, str(error), param="stream") from error
        raise


def filters_of(
    workspace: Workspace, collection: str, given: DocumentFilters | None
) -> Filters:
    """What was sent, with the documents' own ids.

    Raises:
        Problem: there is no such collection, or no such file in those that are searched.
    """
    if given is None:
        return Filters()
    for name in given.collections:
        if name not in workspace.library.collections():
            raise Problem(404, f"There is no collection {name[:80]!r}.", param="filters")
    source_ids = []
    if given.file_ids:
        ids = {
            file_id(name, document.source_id): document.source_id
            for name in given.collections or (collection,)
            for document in workspace.library.documents(name)
        }
        for each in given.file_ids:
            if each not in ids:
                raise Problem(404, f"There is no file {each[:80]!r} there.", param="filters")
            source_ids.append(ids[each])
    return Filters(
        source_ids=tuple(source_ids),
        file_names=given.file_names,
        directories=tuple(each.strip("/") for each in given.folders),
        tags=given.tags,
        collections=given.collections,
    )


def filters_json(workspace: Workspace, collection: str, filters: Filters) -> dict[str, Any]:
    """The same as a caller sends it: the opposite of `filters_of`."""
    there = workspace.library.collections()
    names = [each for each in filters.collections or (collection,) if each in there]
    given = {
        "file_ids": [
            file_id(name, source_id)
            for source_id in filters.source_ids
            for name in names
            if workspace.library.index(name).collection.find(source_id)
        ],
        "file_names": list(filters.file_names),
        "folders": list(filters.directories),
        "tags": list(filters.tags),
        "collections": list(filters.collections),
    }
    return {name: values for name, values in given.items() if values}


def file_id(collection: str, source_id: str) -> str:
    """The id of a document: the same after a restart, and another one in each collection."""
    digest = hashlib.sha256(f"{collection}\n{source_id}".encode()).hexdigest()
    return f"file-{digest[:24]}"


def sources_json(collection: str, found: Sequence[NodeWithScore]) -> list[dict[str, Any]]:
    """The passages, best first. `quote` is the sentence that answers best, word for word.
    `collection`: that of passages which do not name theirs, as those of several collections do.
    """

    def of(found: NodeWithScore) -> str:
        return str(found.metadata.get("collection", collection))

    return [
        {
            "document_id": file_id(of(each), each.node.source_id),
            "collection": of(each),
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
