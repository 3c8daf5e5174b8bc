"""The proof's child process with a faulty llama.cpp, as on a processor where it is miscompiled.

    python -m tests.faulty_llama <when> <what> <arguments of engine.llm.proof>

when: "extra_buffers", "flash_attention", "tiled_kernels" (the code path that is faulty), "always",
or the path of a file: the fault is there until the file exists. what: the name of a signal with
which a step ends the process, or "wrong": results of another vocabulary order, and larger.
"""

import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.llm import calibrate, proof
from engine.llm.context import Context, Entry

when, what, arguments = sys.argv[1:]
_init, _decode, _logits = Context.__init__, Context.decode, Context.logits
flash: set[int] = set()


def init(self: Context, *args: Any, **options: Any) -> None:
    _init(self, *args, **options)
    if options.get("flash_attention"):
        flash.add(id(self))
    else:
        flash.discard(id(self))


def faulty(context: Context) -> bool:
    conditions = {
        "always": True,
        "extra_buffers": context.model.extra_buffers,
        "flash_attention": id(context) in flash,
        "tiled_kernels": os.environ.get("GGML_CPU_TILED_MM") != "0" and context.size.batch >= 8,
    }
    return conditions[when] if when in conditions else not Path(when).exists()


def decode(self: Context, entries: Sequence[Entry]) -> bool:
    if what != "wrong" and faulty(self):
        os.kill(os.getpid(), signal.Signals[what])
    return _decode(self, entries)


def logits(self: Context, index: int) -> NDArray[np.float32]:
    right = _logits(self, index)
    return 20 * right[::-1] if what == "wrong" and faulty(self) else right


calibrate._ROUNDS = calibrate._SLICE_ROUNDS = 1  # nothing here depends on speed
Context.__init__ = init  # type: ignore[method-assign]
Context.decode, Context.logits = decode, logits  # type: ignore[method-assign]
proof.main(**json.loads(arguments))
