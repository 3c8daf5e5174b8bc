"""Choosing: which model answers, in a file that survives a restart.

A choice made on the Models page wins over .env, until .env says something else than it did then.
"""

import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path

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


def load_search_choice(folder: Path, config: Config) -> SearchChoice:
    """The last choice, unless .env has changed since; else what .env says."""
    configured = SearchChoice(config.embed_model, config.rerank_model)
    try:
        kept = json.loads((folder / SEARCH_CHOICE).read_text("utf-8"))
        if kept["configured"] == asdict(configured):
            return SearchChoice(**kept["choice"])
    except FileNotFoundError:
        pass
    except (OSError, ValueError, LookupError, TypeError):
        log.exception("The choice of search models cannot be read")
    return configured


def save_search_choice(folder: Path, config: Config, choice: SearchChoice) -> None:
    """
    Raises:
        OSError: it could not be written.
    """
    configured = SearchChoice(config.embed_model, config.rerank_model)
    kept = {"choice": asdict(choice), "configured": asdict(configured)}
    write_whole(folder / SEARCH_CHOICE, json.dumps(kept).encode())


def load_choice(folder: Path, config: Config) -> Choice:
    """The last choice, unless .env has changed since."""
    try:
        kept = json.loads((folder / CHOICE).read_text("utf-8"))
        if kept["configured"] == _configured(config):
            return Choice(**kept["choice"])
    except FileNotFoundError:
        pass
    except (OSError, ValueError, LookupError, TypeError):
        log.exception("The choice of a model cannot be read")
    return Choice()


def save_choice(folder: Path, config: Config, choice: Choice) -> None:
    """
    Raises:
        OSError: it could not be written.
    """
    kept = {"choice": asdict(choice), "configured": _configured(config)}
    write_whole(folder / CHOICE, json.dumps(kept).encode())


def _configured(config: Config) -> list[str]:
    return [str(config.chat_model or ""), config.openai_base_url, config.openai_model]


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
