"""Config: what .env and the environment say, checked once, with defaults for everything.

The process environment wins over the file `.env` in the working directory.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dotenv import dotenv_values

from engine.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Config:
    """Where things are and how much they may take. Every field's variable is its upper case.

    data_dir: everything made at run time. chat_model: a GGUF file, or None for the default one.
    context_window: tokens, 0 for the model's own. gpu_layers: layers put on a GPU where the
    build has one. cores: threads that may compute at once, 0 for all of the machine's.
    state_cache_mb: megabytes of kept prompt states. qdrant_url: a server instead of the
    embedded collection.
    openai_base_url, openai_model, openai_api_key: a server with OpenAI's API instead of the
    local model. tavily_api_key: for the agent's web search.
    """

    data_dir: Path = Path(".data")
    chat_model: Path | None = None
    context_window: int = 0
    gpu_layers: int = 0
    cores: int = 0
    state_cache_mb: int = 1024
    qdrant_url: str = ""
    qdrant_api_key: str = ""
    openai_base_url: str = ""
    openai_model: str = ""
    openai_api_key: str = ""
    tavily_api_key: str = ""

    @property
    def weights_dir(self) -> Path:
        return self.data_dir / "weights"

    @property
    def available_cores(self) -> int:
        usable = (
            len(os.sched_getaffinity(0))
            if hasattr(os, "sched_getaffinity")
            else os.cpu_count() or 1
        )
        return min(self.cores, usable) if self.cores else usable


def load_config(env_file: Path = Path(".env"), environ: Mapping[str, str] | None = None) -> Config:
    """Read the settings.

    Raises:
        ConfigError: a value is not of its kind; the message names the variable.
    """
    values = {**dotenv_values(env_file), **(os.environ if environ is None else environ)}
    known = {name.lower(): text for name, text in values.items() if text}
    return Config(
        data_dir=Path(known.get("data_dir", ".data")).expanduser(),
        chat_model=_existing_file(known, "chat_model"),
        context_window=_whole_number(known, "context_window", 0),
        gpu_layers=_whole_number(known, "gpu_layers", 0),
        cores=_whole_number(known, "cores", 0),
        state_cache_mb=_whole_number(known, "state_cache_mb", 1024),
        qdrant_url=known.get("qdrant_url", ""),
        qdrant_api_key=known.get("qdrant_api_key", ""),
        openai_base_url=known.get("openai_base_url", ""),
        openai_model=known.get("openai_model", ""),
        openai_api_key=known.get("openai_api_key", ""),
        tavily_api_key=known.get("tavily_api_key", ""),
    )


def _whole_number(values: Mapping[str, str], name: str, default: int) -> int:
    text = values.get(name, str(default))
    if not text.strip().isdecimal():
        raise ConfigError(
            f"{name.upper()} must be a whole number, not {text!r}. Change it in .env."
        )
    return int(text)


def _existing_file(values: Mapping[str, str], name: str) -> Path | None:
    if name not in values:
        return None
    path = Path(values[name]).expanduser()
    if not path.is_file():
        raise ConfigError(
            f"{name.upper()} names {path}, where there is no file. Change it in .env."
        )
    return path
