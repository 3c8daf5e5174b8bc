"""The last step of the set-up: `python -m scripts.models`.

    model files fetched and verified → proof that llama.cpp computes the chat model correctly

If llama.cpp fails on this processor with every optional part turned off, it is compiled again
without the newest instruction sets, and the proof is repeated.
"""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from engine.config import Config, load_config
from engine.cores import cores
from engine.errors import FirstTokenError
from engine.llm.probe import DoesNotRunError, Findings, is_probed, probe_fastest
from engine.machine import Processor, llama_build, processor
from engine.weights import RECORD, chat_models, ensure_weights
from scripts.progress import ProgressLine, bar

REBUILD = (sys.executable, "-m", "scripts.setup", "--rebuild", "--without")


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
        line.end()
        print(f"Models: verified, in {config.weights_dir}.", flush=True)
        if not config.openai_base_url:
            prove(config)
    except FirstTokenError as error:
        line.end()
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit("\nStopped. The same command continues from here.")


def prove(config: Config) -> None:
    """Prove the chat model, and print one line about it.

    Raises:
        LLMError: it does not run on this machine. The message says what to do.
    """
    paths = [config.chat_model] if config.chat_model else chat_models(config.weights_dir)
    record = config.weights_dir / RECORD
    remembered = is_probed(paths, cores(), record, config.gpu_layers)
    if not remembered:
        print("Proof: computing test prompts with the chat model ...", flush=True)
    path, found = _prove_or_rebuild(paths, record, config.gpu_layers)
    print(report(path, found, remembered), flush=True)


def report(path: Path, found: Findings, remembered: bool) -> str:
    """One line with the model, its speed, and the parts of llama.cpp that are turned off."""
    rates = f"reads {found.prefill:.0f} and writes {found.decode:.0f} tokens/s"
    off = f"; turned off: {', '.join(found.switches.off)}" if found.switches.off else ""
    when = " (result of an earlier proof on this machine)" if remembered else ""
    return f"Proof: {path.name} computes correctly, {rates}{off}{when}."


def _prove_or_rebuild(paths: list[Path], record: Path, gpu_layers: int) -> tuple[Path, Findings]:
    rebuilds = reduced_builds(processor())
    while True:
        try:
            return probe_fastest(paths, cores(), record, gpu_layers)
        except DoesNotRunError as error:
            without = next(rebuilds, None)
            if without is None:
                raise
            print(f"{error}\nCompiling llama.cpp again, without {without}.", flush=True)
            if subprocess.run([*REBUILD, without], check=False).returncode != 0:
                raise
            llama_build.cache_clear()


def reduced_builds(here: Processor) -> Iterator[str]:
    """The parts to leave out of llama.cpp, one after the other, if it fails on this processor."""
    if any(flag.startswith("amx") for flag in here.flags):
        yield "amx"
    if any(flag.startswith("avx512") for flag in here.flags):
        yield "avx512"
    yield "native"  # all code for this particular processor


if __name__ == "__main__":
    main()
