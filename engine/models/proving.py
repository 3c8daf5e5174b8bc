"""Proving: a model file is checked and measured, while First Token goes on answering.

    python -m engine.models.proving PATH RECORD CORES GPU_LAYERS

It runs at a low priority, so that answers lose little by it. The findings are kept in the record,
where `LlamaCpp` finds them. Prints {} or {"error": sentence}.
"""

import json
import os
import sys
from pathlib import Path

from engine.cores import Cores
from engine.errors import FirstTokenError
from engine.llm.probe import probe

NICENESS = 10  # of 19: answers get nine tenths of a core that both want


def main(path: str, record: str, cores: str, gpu_layers: str) -> None:
    os.nice(NICENESS)
    try:
        probe(Path(path), Cores(int(cores)), Path(record), int(gpu_layers))
    except FirstTokenError as error:
        print(json.dumps({"error": str(error)}))
    else:
        print(json.dumps({}))


if __name__ == "__main__":
    main(*sys.argv[1:])
