"""Language models behind one protocol: the local llama.cpp runtime, and servers.

The names below are imported on first use, so that the protocol alone does not load llama.cpp.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

import engine.llm.openmp  # noqa: F401 - must come before anything that loads llama.cpp
from engine.llm.base import LLM, ContextFormat, GenerationOptions, LLMMetadata

if TYPE_CHECKING:
    from engine.llm.local import LlamaCpp
    from engine.llm.openai_compatible import OpenAICompatible

__all__ = [
    "LLM",
    "ContextFormat",
    "GenerationOptions",
    "LLMMetadata",
    "LlamaCpp",
    "OpenAICompatible",
]

_HOMES = {"LlamaCpp": "local", "OpenAICompatible": "openai_compatible"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
