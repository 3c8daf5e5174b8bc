"""Place: where the search index is: in the library's folder, or on a Qdrant server.

A move on the Library page or in the terminal wins over .env, until .env says something else than it
did then.
"""

import json
import logging
from pathlib import Path

from engine.config import Config
from engine.durable import write_whole
from engine.errors import StoreError
from engine.store import QdrantServer

log = logging.getLogger(__name__)

PLACE = "place.json"


def load_place(folder: Path, config: Config) -> QdrantServer | None:
    """The server that has the index; None if it is in the folder."""
    url, api_key = config.qdrant_url, ""
    try:
        kept = json.loads((folder / PLACE).read_text("utf-8"))
        if kept["configured"] == config.qdrant_url:
            url, api_key = str(kept["url"]), str(kept["api_key"])
    except FileNotFoundError:
        pass
    except (OSError, ValueError, LookupError, TypeError):
        log.exception("%s cannot be read", PLACE)
    return QdrantServer.from_config(config, url, api_key) if url else None


def save_place(folder: Path, config: Config, server: QdrantServer | None) -> None:
    """The file can be read by nobody but the user: it may have a key.

    Raises:
        StoreError: it could not be written.
    """
    kept = {
        "url": server.url if server else "",
        "api_key": server.api_key if server else "",
        "configured": config.qdrant_url,
    }
    try:
        write_whole(folder / PLACE, json.dumps(kept).encode())
    except OSError as fault:
        raise StoreError(
            f"The new place could not be saved ({fault.strerror}). The index stays where it was. "
            "Make room on the disk, and try again."
        ) from fault
