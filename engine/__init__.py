"""First Token's engine: question answering over your own documents, streamed.

    file → Documents → Nodes → vectors + terms → Qdrant points       (ingest)
    question → retrieve → rerank → prompt → llama.cpp → text chunks  (ask)

The names below are the public API. Each is imported on first use, so that a child process that
needs one module does not load them all.
"""

import logging
import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

# onnxruntime 1.31 looks up its maker's server when it is imported, and reports its use there. It
# reads this variable at that moment.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

if TYPE_CHECKING:
    from engine.agent import AgentInput as AgentInput
    from engine.agent import AgentOutput as AgentOutput
    from engine.agent import AgentStream as AgentStream
    from engine.agent import AgentWorkflow as AgentWorkflow
    from engine.agent import ApprovalRequested as ApprovalRequested
    from engine.agent import Event as Event
    from engine.agent import FunctionTool as FunctionTool
    from engine.agent import TavilyToolSpec as TavilyToolSpec
    from engine.agent import ToolCall as ToolCall
    from engine.agent import ToolCallResult as ToolCallResult
    from engine.index import VectorStoreIndex as VectorStoreIndex
    from engine.llm import LlamaCpp as LlamaCpp
    from engine.llm import OpenAICompatible as OpenAICompatible
    from engine.query_engine import RetrieverQueryEngine as RetrieverQueryEngine
    from engine.reading import SimpleDirectoryReader as SimpleDirectoryReader
    from engine.response import Response as Response
    from engine.response import StreamingResponse as StreamingResponse
    from engine.schema import ChatMessage as ChatMessage
    from engine.schema import Document as Document
    from engine.schema import Filters as Filters
    from engine.schema import Node as Node
    from engine.schema import NodeWithScore as NodeWithScore
    from engine.settings import Settings as Settings
    from engine.splitting import SentenceSplitter as SentenceSplitter
    from engine.synthesis import ResponseSynthesizer as ResponseSynthesizer

_HOMES = {
    "AgentInput": "agent",
    "AgentOutput": "agent",
    "AgentStream": "agent",
    "AgentWorkflow": "agent",
    "ApprovalRequested": "agent",
    "ChatMessage": "schema",
    "Document": "schema",
    "Event": "agent",
    "Filters": "schema",
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

__all__ = [*_HOMES]

logging.getLogger(__name__).addHandler(logging.NullHandler())  # entry points configure logging


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
