"""OpenMP settings for llama.cpp. Import this before anything that can load llama.cpp.

An OpenMP library reads its settings once, when it is loaded. The package `engine.llm` imports this
module first, and no other code imports llama_cpp, so the order of other imports does not matter.
Variables that the environment already sets are kept.

llama.cpp's threads synchronise about 400 times a token and, by default, spin for milliseconds at
each barrier. If another program uses one of the cores, each barrier then lasts a time slice of
the operating system's scheduler. Measured on two cores (AMD Zen 5, GNU OpenMP): with both cores
busy, two threads read a prompt at 29 tokens/s by default, at 102 with 1,000 spins, and at 140
with none; on idle cores they wrote 128 tokens/s by default and with 1,000 spins, and 59 with
none. With more threads than cores, GNU OpenMP reduces the spins to 100 unless the wait policy is
active: 65 tokens/s instead of 97. LLVM's OpenMP treats the active policy as "spin for ever", so
it gets a limit of 1 ms: two threads wrote 148 tokens/s with 1 ms and 15 with 0 (Intel, clang 16).
"""

import os

SETTINGS = {"GOMP_SPINCOUNT": "1000", "OMP_WAIT_POLICY": "active", "KMP_BLOCKTIME": "1"}

for _name, _value in SETTINGS.items():
    os.environ.setdefault(_name, _value)
