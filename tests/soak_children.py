"""Processes for the soak tests to kill: `python -m tests.soak_children <what> <folder> [limit]`.

Each prints what it was told is saved, at the moment when it was told so. The next process in the
same folder must find all of it.
"""

import json
import resource
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

from engine.config import Config
from engine.errors import StoreError
from engine.run import Phase
from engine.workspace import AskSettings, Workspace
from engine.workspace.conversations import ConversationStore, Turn
from pages.parts.shutdown import Shutdown
from tests.scripted import ScriptedLLM, words


def say(**what: object) -> None:
    # in one piece: several threads say something, and `print` writes the end of a line by itself
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def conversations(folder: Path) -> None:
    """Ask and answer without end; every fifth conversation is deleted."""
    store = ConversationStore(folder / "conversations.sqlite3")
    say(ready=True)
    full = False
    for number in range(1_000_000):
        try:
            conversation = store.create("default", f"Conversation {number}")
            for at in range(3):
                turn = Turn(f"{conversation.id}-{at}", f"Question {at}?", settings={"passages": 3})
                store.save(conversation.id, turn)
                say(asked=turn.id, conversation=conversation.id)
                text = f"Answer {at}. " * (1 + 97 * at)
                store.save(conversation.id, replace(turn, text=text, phase=Phase.DONE))
                say(answered=turn.id, conversation=conversation.id, length=len(text))
            if number % 5 == 4:
                say(deleting=conversation.id)
                store.delete(conversation.id)
                say(deleted=conversation.id)
        except StoreError:
            if not full:
                say(full=True)
            full = True


def settings(folder: Path) -> None:
    """Change the settings without end, from two threads."""
    workspace = Workspace(folder, Config(data_dir=folder), ScriptedLLM())
    say(ready=True)

    def change(first: int) -> None:
        for number in range(1_000_000):
            chosen = AskSettings(passages=first + number % 5, length=16 * (1 + number % 60))
            with suppress(StoreError):
                workspace.settings = chosen
                say(settings=asdict(chosen))

    other = threading.Thread(target=change, args=(1,), daemon=True)
    other.start()
    change(6)


def shutdown(folder: Path) -> None:
    """Answer questions in four conversations without end, and end in order when asked to."""
    llm = ScriptedLLM(["The mill ", *words(30), "in 1684."], seconds=0.01)
    workspace = Workspace(folder, Config(data_dir=folder), llm)
    Shutdown(workspace.close).install()
    if not workspace.library.documents("default"):
        upload = workspace.ingestor.add("default", "mill.txt", b"The mill was built in 1684.")
        while not upload.stage.ended:
            threading.Event().wait(0.01)
    say(ready=True)

    def talk() -> None:
        conversation = workspace.conversations.create("default")
        while True:
            try:
                response = workspace.ask(conversation, "When was the mill built?")
            except StoreError:
                return
            say(run=response.run_id, conversation=conversation.id)
            response.hold(600)
            with suppress(BaseException):
                str(response)
            while workspace.running(conversation.id):
                threading.Event().wait(0.001)
            threading.Event().wait(0.005)

    for _ in range(4):
        threading.Thread(target=talk, daemon=True).start()
    while True:  # as the server's loop; `signal.pause` may miss a signal that comes just before it
        threading.Event().wait(0.1)


WHAT: dict[str, Callable[[Path], None]] = {
    "conversations": conversations,
    "settings": settings,
    "shutdown": shutdown,
}

if __name__ == "__main__":
    name, place, *limit = sys.argv[1:]
    if limit:  # bytes that a file may have: a write beyond that fails, as on a full disk
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit[0]), int(limit[0])))
    WHAT[name](Path(place))
