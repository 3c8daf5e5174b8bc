"""The models, fetched and verified, told on a terminal: `python -m scripts.weights`."""

import sys

from engine.config import load_config
from engine.errors import FirstTokenError
from engine.weights import ensure_weights
from scripts.progress import ProgressLine, bar


def main() -> None:
    line = ProgressLine()
    try:
        config = load_config()
        ensure_weights(
            config.weights_dir,
            lambda step, done, total: line.show(step, bar(done, total)),
            config.chat_model,
            answers_here=not config.openai_base_url,
        )
    except FirstTokenError as error:
        line.end()
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("\nStopped. The same command goes on from here.")
    line.end()
    print(f"Models: verified, in {config.weights_dir}.")


if __name__ == "__main__":
    main()
