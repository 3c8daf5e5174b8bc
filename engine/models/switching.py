"""Switch: another model takes over while First Token runs.

    chosen → no answers are written → proven in a child process → loaded → it answers

The old model answers until the new one has been loaded. If anything fails, it goes on.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from engine.config import Config
from engine.cores import cores
from engine.errors import Cancelled, LLMError
from engine.llm.base import LLM
from engine.llm.probe import is_probed
from engine.models.background import BackgroundSwitch, Step
from engine.models.choosing import Choice, open_model, save_choice
from engine.models.estimates import available_memory, memory_needed
from engine.models.files import bytes_of
from engine.models.servers import Servers, models_of
from engine.run import Run
from engine.weights import RECORD

# Seconds that the measuring of a new model waits for answers to end: beside them it would find the
# model slower than it is, and lay the runtime out for that.
QUIET = 60.0
_LOOK_AGAIN = 0.1


class Switch(BackgroundSwitch[Choice]):
    """Exchanges the model that answers.

    `answering` says whether answers are being written now; `install` makes the new model the one
    that answers.
    """

    busy = "Another model is being loaded. Stop that, or wait for it."
    stays = "The earlier model goes on answering."

    def __init__(
        self,
        folder: Path,
        config: Config,
        answering: Callable[[], bool],
        install: Callable[[LLM], None],
    ) -> None:
        super().__init__(Choice())
        self._folder, self._config = folder, config
        self._answering, self._install = answering, install

    def _exchange(self, choice: Choice, run: Run) -> None:
        def enter(step: Step) -> None:
            self.step = step

        self._install(open_proven(choice, self._folder, self._config, run, enter, self._answering))

    def _save(self, choice: Choice) -> None:
        save_choice(self._folder, self._config, choice)


def open_proven(
    choice: Choice,
    folder: Path,
    config: Config,
    run: Run,
    enter: Callable[[Step], None] = lambda _: None,
    answering: Callable[[], bool] = lambda: False,
) -> LLM:
    """A model that has been checked on this machine, or a server that answers.

    `enter` is called with each step. A file is proven once no answers are written, or after a
    while.

    Raises:
        FirstTokenError: it cannot be used; says why.
        Cancelled: `run` was cancelled.
    """
    if choice.server:
        _check_server(choice.server, folder)
    path = Path(choice.path) if choice.path else None
    if choice.of_configuration and not config.openai_base_url:
        path = config.chat_model
    if path:
        _check_memory(path)
        _prove(path, config, run, enter, answering)
    run.check()
    enter(Step.LOADING)
    new = open_model(choice, folder, config)
    if run.cancelled:
        getattr(new, "close", lambda: None)()
        raise Cancelled
    return new


def _check_server(server_id: str, folder: Path) -> None:
    """Ask the server for its models: a file is proven, a server must be there."""
    servers = Servers(folder)
    if server := servers.find(server_id):
        names = models_of(server.address, servers.key(server))
        if server.model not in names:
            raise LLMError(f"The server no longer has {server.model}. It has: {', '.join(names)}.")


def _check_memory(path: Path) -> None:
    if not path.is_file():
        raise LLMError(f"The file {path} is no longer there. Choose another model.")
    needed, free = memory_needed(bytes_of(path)), available_memory()
    if free is not None and needed > free:
        raise LLMError(
            f"{path.name} needs about {needed / 1e9:.1f} GB of memory beside the model that "
            f"answers now, and {free / 1e9:.1f} GB are free. Close other programs, or choose a "
            "smaller model."
        )


def _prove(
    path: Path,
    config: Config,
    run: Run,
    enter: Callable[[Step], None],
    answering: Callable[[], bool],
) -> None:
    """Try the file out and measure it, unless that has been done on this machine."""
    record, layers = config.weights_dir / RECORD, config.gpu_layers
    if is_probed([path], cores(), record, layers):
        return
    enter(Step.WAITING)
    until = time.monotonic() + QUIET
    while answering() and time.monotonic() < until:
        run.check()
        time.sleep(_LOOK_AGAIN)
    run.check()
    enter(Step.PROVING)
    record.parent.mkdir(parents=True, exist_ok=True)
    arguments = (str(path), str(record), str(cores().total), str(layers))
    child = subprocess.Popen(
        [sys.executable, "-m", "engine.models.proving", *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd=Path(__file__).parents[2],
        start_new_session=True,  # so that its own children end with it
        text=True,
    )

    def kill() -> None:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)

    forget = run.on_cancel(kill)
    try:
        said, _ = child.communicate()
    finally:
        forget()
        kill()
    run.check()
    try:
        result = json.loads(said)
    except ValueError:
        raise LLMError(f"{path.name} could not be checked. The log may say more.") from None
    if error := result.get("error"):
        raise LLMError(error)
