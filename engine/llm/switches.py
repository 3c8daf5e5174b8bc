"""Switches: optional code paths of llama.cpp that can be turned off when the model is loaded.

Each can be faulty on some processor. The probe tries which of them work, cheapest change first.
"""

import os
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Switches:
    """True means that llama.cpp may use the code path.

    extra_buffers: weights repacked for the processor's matrix instructions (AMX among them).
    tiled_kernels: matrix kernels for K-quants. flash_attention: the fused attention kernel.
    gpu: layers on a GPU, if GPU_LAYERS is set.
    """

    extra_buffers: bool = True
    tiled_kernels: bool = True
    flash_attention: bool = True
    gpu: bool = True

    def apply(self) -> None:
        """Set the environment variables of llama.cpp. Call it before the model is loaded."""
        if not self.tiled_kernels:
            os.environ["GGML_CPU_TILED_MM"] = "0"

    @property
    def off(self) -> list[str]:
        """The names of the code paths that are turned off, for messages."""
        names = {
            "extra buffers (AMX, repacking)": self.extra_buffers,
            "tiled kernels": self.tiled_kernels,
            "flash attention": self.flash_attention,
            "GPU": self.gpu,
        }
        return [name for name, on in names.items() if not on]


ALL_ON = Switches()
ALL_OFF = Switches(extra_buffers=False, tiled_kernels=False, flash_attention=False, gpu=False)

# Groups in the order in which they are tried. The fastest working switches of a group are used. The
# next group is tried only if none of a group works.
ATTEMPTS = (
    (Switches(extra_buffers=False), ALL_ON),
    (Switches(extra_buffers=False, flash_attention=False), Switches(flash_attention=False)),
    (Switches(extra_buffers=False, tiled_kernels=False, flash_attention=False),),
    (ALL_OFF,),
)

# The tokens read and written of a typical answer, whose time decides between two ways to run a
# model. The app's prompts for the default model have 70 to 330 tokens, and its answers 10 to 60.
READ, WRITTEN = 150, 40


def predicted_seconds(prefill: float, decode: float) -> float:
    """The time of a typical answer, from rates in tokens a second."""
    return READ / prefill + WRITTEN / decode
