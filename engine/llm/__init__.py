"""Language models behind one protocol: the local llama.cpp runtime, and servers.

The names below are imported when they are first used: who needs the protocol alone does not
load llama.cpp.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from engine.llm.base import LLM, GenerationOptions, LLMMetadata, Packing

# llama.cpp's threads meet some 400 times a token, and by default spin for milliseconds until all
# are there: where another program has one of the cores, each meeting lasts a turn of the
# scheduler. Two threads read a prompt at 29 tokens/s on two busy cores by default, at 102 with
# 1,000 spins, at 140 with none; on idle cores they wrote 128 tokens/s by default and with 1,000
# spins, and 59 with none. With more threads than cores (two contexts have four between them,
# though half of them sleep) GNU OpenMP goes down to 100 spins unless it is told to be active:
# 65 tokens/s instead of 97. It reads this once, when llama.cpp is loaded.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")
os.environ.setdefault("OMP_WAIT_POLICY", "active")
os.environ.setdefault("KMP_BLOCKTIME", "1")  # LLVM's OpenMP takes "active" for ever: 1 ms

if TYPE_CHECKING:
    from engine.llm.local import LlamaCpp
    from engine.llm.openai_compatible import OpenAICompatible

__all__ = ["LLM", "GenerationOptions", "LLMMetadata", "LlamaCpp", "OpenAICompatible", "Packing"]

_HOMES = {"LlamaCpp": "local", "OpenAICompatible": "openai_compatible"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
