"""Choosing: which model answers, in a file that survives a restart.

A choice made on the Models page wins over .env, until .env says something else than it did then.
"""

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from engine.config import Config
from engine.durable import write_whole
from engine.errors import FirstTokenError, LLMError
from engine.llm.base import LLM
from engine.models.servers import Servers

log = logging.getLogger(__name__)

CHOICE, SEARCH_CHOICE = "model.json", "search-model.json"


@dataclass(frozen=True, slots=True)
class Choice:
    """Neither: what .env says, or the default model. path: of a GGUF file. server: the id of one
    of `Servers`."""

    path: str = ""
    server: str = ""

    @property
    def of_configuration(self) -> bool:
        return not (self.path or self.server)


@dataclass(frozen=True, slots=True)
class SearchChoice:
    """Names of fastembed's list; empty for the default ones."""

    embedder: str = ""
    reranker: str = ""


def configured_name(config: Config) -> str:
    """The name of the model that .env says, or of the default model."""
    if config.openai_base_url:
        return config.openai_model
    return config.chat_model.stem if config.chat_model else "SmolLM2-135M-Instruct"


Kept = TypeVar("Kept", Choice, SearchChoice)


def load_choice(folder: Path, config: Config) -> Choice:
    """The last choice, unless .env has changed since."""
    return _load(folder / CHOICE, _configured(config), Choice) or Choice()


def save_choice(folder: Path, config: Config, choice: Choice) -> None:
    """
    Raises:
        OSError: it could not be written.
    """
    _save(folder / CHOICE, _configured(config), choice)


def load_search_choice(folder: Path, config: Config) -> SearchChoice:
    """The last choice, unless .env has changed since; else what .env says."""
    configured = [config.embed_model, config.rerank_model]
    return _load(folder / SEARCH_CHOICE, configured, SearchChoice) or SearchChoice(*configured)


def save_search_choice(folder: Path, config: Config, choice: SearchChoice) -> None:
    """
    Raises:
        OSError: it could not be written.
    """
    _save(folder / SEARCH_CHOICE, [config.embed_model, config.rerank_model], choice)


def _configured(config: Config) -> list[str]:
    return [str(config.chat_model or ""), config.openai_base_url, config.openai_model]


def _load(file: Path, configured: list[str], kind: type[Kept]) -> Kept | None:
    """The choice in a file; None if there is none, or .env said something else then."""
    try:
        kept = json.loads(file.read_text("utf-8"))
        return kind(**kept["choice"]) if kept["configured"] == configured else None
    except FileNotFoundError:
        return None
    except (OSError, ValueError, LookupError, TypeError):
        log.exception("%s cannot be read", file.name)
        return None


def _save(file: Path, configured: list[str], choice: Choice | SearchChoice) -> None:
    write_whole(file, json.dumps({"choice": asdict(choice), "configured": configured}).encode())


def open_chosen(folder: Path, config: Config) -> tuple[LLM | None, str]:
    """The chosen model, and a sentence if it could not be opened. None: what .env says."""
    choice = load_choice(folder, config)
    if choice.of_configuration:
        return None, ""
    try:
        return open_model(choice, folder, config), ""
    except FirstTokenError as error:
        log.exception("The chosen model could not be opened")
        return None, (
            "The model chosen on the Models page could not be opened, so the one of .env or the "
            f"default model answers. {error}"
        )


def open_model(choice: Choice, folder: Path, config: Config) -> LLM:
    """
    Raises:
        FirstTokenError: it cannot be opened.
    """
    if choice.path:
        path = Path(choice.path)
        if not path.is_file():
            raise LLMError(f"The file {path} is no longer there. Choose another model.")
        from engine.llm import LlamaCpp

        return LlamaCpp(path, config=config)
    if choice.server:
        return _open_server(choice.server, folder, config)
    from engine.settings import Settings

    return Settings.configured_llm()


def _open_server(server_id: str, folder: Path, config: Config) -> LLM:
    from engine.llm import OpenAICompatible

    servers = Servers(folder)
    server = servers.find(server_id)
    if server is None:
        raise LLMError("This server has been removed. Choose another model.")
    return OpenAICompatible(
        server.address,
        server.model,
        servers.key(server),
        context_window=config.context_window,
        native_tools=True,  # if the server refuses tools, agents do without them
    )
