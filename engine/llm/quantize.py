"""One GGUF file → another of the same model, by llama.cpp's own quantizer.

Run it as a process of its own (`python -m engine.llm.quantize source target [Q8_0]`): llama.cpp
can abort, and `try` does not catch that.
"""

import ctypes
import sys
from pathlib import Path

from engine.llm.binding import last_log, llama_cpp


def quantize(source: Path, target: Path, quantization: str = "Q8_0") -> None:
    """Write `source` to `target`, quantized. The result is the same on every machine.

    Raises:
        ValueError: llama.cpp refused; the message ends with llama.cpp's log.
    """
    options = llama_cpp.llama_model_quantize_default_params()
    options.ftype = getattr(llama_cpp, f"LLAMA_FTYPE_MOSTLY_{quantization}")
    options.allow_requantize = True  # the source is quantized already
    status = llama_cpp.llama_model_quantize(bytes(source), bytes(target), ctypes.byref(options))
    if status != 0:
        raise ValueError(f"llama.cpp could not quantize {source} (status {status}): {last_log()}")


if __name__ == "__main__":
    quantize(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
