"""Commands in a terminal. `python -m engine --help` lists them."""

import sys

from engine.terminal import main

if __name__ == "__main__":
    sys.exit(main())
