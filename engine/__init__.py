"""First Token's engine: question answering over your own documents, streamed.

    file → Documents → Nodes → vectors + terms → Qdrant points       (ingest)
    question → retrieve → rerank → prompt → llama.cpp → text chunks  (ask)

The names below are the public API. Each is imported when it is first used, so that a child
process that needs one module does not load them all.
"""

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engine.agent import (
        AgentInput,
        AgentOutput,
        AgentStream,
        AgentWorkflow,
        ApprovalRequested,
        Event,
        FunctionTool,
        TavilyToolSpec,
        ToolCall,
        ToolCallResult,
    )
    from engine.index import VectorStoreIndex
    from engine.llm import LlamaCpp, OpenAICompatible
    from engine.query_engine import RetrieverQueryEngine
    from engine.reading import SimpleDirectoryReader
    from engine.response import Response, StreamingResponse
    from engine.schema import ChatMessage, Document, Node, NodeWithScore
    from engine.settings import Settings
    from engine.splitting import SentenceSplitter
    from engine.synthesis import ResponseSynthesizer

logging.getLogger(__name__).addHandler(logging.NullHandler())  # entry points configure logging

_HOMES = {
    "AgentInput": "agent",
    "AgentOutput": "agent",
    "AgentStream": "agent",
    "AgentWorkflow": "agent",
    "ApprovalRequested": "agent",
    "ChatMessage": "schema",
    "Document": "schema",
    "Event": "agent",
    "FunctionTool": "agent",
    "LlamaCpp": "llm",
    "Node": "schema",
    "NodeWithScore": "schema",
    "OpenAICompatible": "llm",
    "Response": "response",
    "ResponseSynthesizer": "synthesis",
    "RetrieverQueryEngine": "query_engine",
    "SentenceSplitter": "splitting",
    "Settings": "settings",
    "SimpleDirectoryReader": "reading",
    "StreamingResponse": "response",
    "TavilyToolSpec": "agent",
    "ToolCall": "agent",
    "ToolCallResult": "agent",
    "VectorStoreIndex": "index",
}

__all__ = [
    "AgentInput",
    "AgentOutput",
    "AgentStream",
    "AgentWorkflow",
    "ApprovalRequested",
    "ChatMessage",
    "Document",
    "Event",
    "FunctionTool",
    "LlamaCpp",
    "Node",
    "NodeWithScore",
    "OpenAICompatible",
    "Response",
    "ResponseSynthesizer",
    "RetrieverQueryEngine",
    "SentenceSplitter",
    "Settings",
    "SimpleDirectoryReader",
    "StreamingResponse",
    "TavilyToolSpec",
    "ToolCall",
    "ToolCallResult",
    "VectorStoreIndex",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
