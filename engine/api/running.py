"""Where the app that uses a data folder answers, for other processes of the same person.

DATA_DIR/app/server.json    {"url": "http://localhost:8501", "pid": 4711}
"""

import json
import logging
import os
from contextlib import suppress
from pathlib import Path

from engine.durable import write_whole

log = logging.getLogger(__name__)


def announce(folder: Path, url: str) -> None:
    """This process answers at `url` for the workspace in `folder`."""
    try:
        write_whole(_file(folder), json.dumps({"url": url, "pid": os.getpid()}).encode())
    except OSError:  # commands in a terminal will say that the documents are in use
        log.exception("The address of the app could not be written")


def withdraw(folder: Path) -> None:
    """This process ends."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        if json.loads(_file(folder).read_bytes())["pid"] == os.getpid():
            _file(folder).unlink()


def running(folder: Path) -> str | None:
    """The address of the process that uses the workspace in `folder`; None where none does."""
    try:
        record = json.loads(_file(folder).read_bytes())
        os.kill(record["pid"], 0)  # asks whether there is such a process
        return str(record["url"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _file(folder: Path) -> Path:
    return folder / "server.json"
