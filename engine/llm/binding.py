"""llama.cpp, loaded. Code outside of `engine.llm` imports llama_cpp from here.

Importing any module of `engine.llm` runs `engine.llm.openmp` first, so OpenMP is set up before
llama.cpp is loaded. llama.cpp's log is kept in memory for error messages and never printed.
"""

import ctypes
from collections import deque

import llama_cpp as llama_cpp

_LOG_LINES: deque[str] = deque(maxlen=20)


@llama_cpp.llama_log_callback  # type: ignore[untyped-decorator]
def _keep_log(_level: int, text: bytes, _user_data: ctypes.c_void_p) -> None:
    _LOG_LINES.append(text.decode("utf-8", "replace"))


llama_cpp.llama_log_set(_keep_log, ctypes.c_void_p(0))
llama_cpp.llama_backend_init()
VERSION: str = llama_cpp.__version__


def clear_log() -> None:
    _LOG_LINES.clear()


def last_log() -> str:
    """The end of llama.cpp's log, for an error message."""
    return " ".join("".join(_LOG_LINES).split()[-40:])
