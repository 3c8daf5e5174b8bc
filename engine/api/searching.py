"""/v1/vector_stores/{collection}/search and /v1/embeddings, in OpenAI's shapes."""

import base64
from collections.abc import Callable
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import JSONResponse

from engine.api.asking import filters_of, sources_json
from engine.api.files import checked_collection
from engine.api.filtering import DocumentFilters
from engine.api.problems import Problem
from engine.api.requests import Body, read, stopped_when_left
from engine.api.threads import in_thread
from engine.embedding import Embedding, Vectors
from engine.errors import Cancelled
from engine.query_engine import checked_question
from engine.run import Run
from engine.schema import NodeWithScore
from engine.settings import Settings
from engine.workspace import Workspace


class RankingOptions(BaseModel):
    score_threshold: float | None = None


class SearchRequest(Body):
    """POST /v1/vector_stores/{collection}/search."""

    query: str | Annotated[list[str], Field(min_length=1, max_length=4)]
    max_num_results: Annotated[int, Field(ge=1, le=50)] = 10
    ranking_options: RankingOptions | None = None
    rewrite_query: Literal[False] | None = None
    filters: DocumentFilters | None = None


class EmbeddingRequest(Body):
    """POST /v1/embeddings. `input_type` is ours: a question is embedded in another way."""

    model: str
    input: (
        Annotated[str, Field(min_length=1)]
        | Annotated[list[Annotated[str, Field(min_length=1)]], Field(min_length=1, max_length=2048)]
    )
    encoding_format: Literal["float", "base64"] | None = "float"
    dimensions: int | None = None
    user: str | None = None
    input_type: Literal["passage", "query"] = "passage"


def search_json(collection: str, query: str, found: list[NodeWithScore]) -> dict[str, Any]:
    shown = sources_json(collection, found)
    return {
        "object": "vector_store.search_results.page",
        "search_query": [query],
        "data": [
            {
                "file_id": source["document_id"],
                "filename": each.node.file_name,
                "score": source["score"],
                "attributes": _attributes(each, source),
                "content": [{"type": "text", "text": each.text}],
                "quote": source["quote"],
            }
            for each, source in zip(found, shown, strict=True)
        ],
        "has_more": False,
        "next_page": None,
    }


def _attributes(found: NodeWithScore, source: dict[str, Any]) -> dict[str, str]:
    facts = {
        "collection": source["collection"],
        "folder": found.metadata.get("directory"),
        "page": source["page"],
    }
    return {name: str(value) for name, value in facts.items() if value}


def search(
    workspace: Workspace,
    collection: str,
    query: str,
    most: int,
    filters: DocumentFilters | None = None,
) -> list[NodeWithScore]:
    """The passages, best first.

    Raises:
        QuestionError: the query is empty or too long.
        Problem: there is no such collection, or no such file.
    """
    checked_collection(workspace, collection)
    chosen = filters_of(workspace, collection, filters)
    retriever = workspace.library.retriever(collection, most, chosen)
    return retriever.retrieve(checked_question(query), Run.begin())


class Searching:
    """The endpoints."""

    def __init__(self, open_workspace: Callable[[], Workspace]) -> None:
        self._open_workspace = open_workspace

    async def search(self, request: Request) -> JSONResponse:
        asked = await read(request, SearchRequest)
        query = asked.query if isinstance(asked.query, str) else " ".join(asked.query)
        workspace = await in_thread(self._open_workspace)
        collection = request.path_params["collection"]
        found = await in_thread(
            search, workspace, collection, query, asked.max_num_results, asked.filters
        )
        ranking = asked.ranking_options
        if ranking is not None and (threshold := ranking.score_threshold) is not None:
            found = [each for each in found if each.score >= threshold]
        return JSONResponse(search_json(collection, query, found))

    async def embed(self, request: Request) -> JSONResponse:
        asked = await read(request, EmbeddingRequest)
        await in_thread(self._open_workspace)
        embedding = Settings.embed_model
        if asked.model != embedding.name:
            message = f"The embedding model here is {embedding.name}. Ask for that one."
            raise Problem(404, message, param="model", code="model_not_found")
        if asked.dimensions not in (None, embedding.dimension):
            message = f"The model has {embedding.dimension} dimensions, and no other number."
            raise Problem(400, message, param="dimensions", code="invalid_value")
        texts = [asked.input] if isinstance(asked.input, str) else asked.input
        run = Run.begin()
        try:
            async with stopped_when_left(request.receive, run.cancel):
                vectors, tokens = await in_thread(_embed, embedding, texts, asked.input_type, run)
        except Cancelled:
            raise Problem(499, "The caller has left.") from None

        def coded(vector: Vectors) -> str | list[float]:
            if asked.encoding_format == "base64":
                return base64.b64encode(vector.astype("<f4").tobytes()).decode()
            return vector.tolist()  # type: ignore[no-any-return]

        return JSONResponse(
            {
                "object": "list",
                "data": [
                    {
                        "object": "embedding",
                        "index": place,
                        "embedding": coded(vector),
                    }
                    for place, vector in enumerate(vectors)
                ],
                "model": embedding.name,
                "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
            }
        )


def _embed(embedding: Embedding, texts: list[str], kind: str, run: Run) -> tuple[Vectors, int]:
    """The vectors, and how many tokens they stand for."""
    tokens = sum(embedding.count_tokens(texts))
    if kind == "passage":
        return embedding.embed(texts, run), tokens
    vectors = []
    for text in texts:
        run.check()
        vectors.append(embedding.embed_query(text))
    return np.stack(vectors), tokens
