"""Config: the values of .env and the environment, checked once, with defaults for everything.

The process environment wins over the file `.env` in the working directory. An empty value means
the default. `.env.example` lists every variable.
"""

import difflib
import functools
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from dotenv import dotenv_values

from engine.addresses import split_addresses
from engine.errors import ConfigError
from engine.redacting import redact

LONGEST_WAIT = 60.0  # seconds, for the first word

# What a value may be, and how a sentence says it
_PREFIX = re.compile(r"[A-Za-z0-9_-]{0,40}"), "at most 40 letters, digits and dashes"
_QUANTIZATION = re.compile("none|scalar|binary"), "none, scalar or binary"


@dataclass(frozen=True, slots=True)
class Config:
    """The settings. The variable of a field has the field's name in upper case.

    data_dir: the folder for everything that is made at run time. Only one process uses it.
    shared_dir: the folder for documents, conversations and settings, where several processes share
        them; None: they are in `data_dir`. It needs a Qdrant server.
    chat_model: a GGUF file, or None for the default model.
    context_window: the longest prompt and answer together, in tokens. At most the length that the
        model was trained with; 0 means that length, but at most 4,096, and less if memory is short.
    gpu_layers: layers of the model on a GPU, if llama.cpp was compiled for one.
    cores: threads that may compute at once; 0 means all cores of the machine.
    state_cache_mb: memory for kept prompt states, in megabytes.
    first_token_budget: the longest wait for the first word of an answer, in seconds, unless the Ask
        page has another setting; 0 means no limit.
    deterministic: the same question gets the same words, even while other programs compute. If
        False, flash attention is used if it is faster.
    qdrant_url, qdrant_api_key: a Qdrant server instead of the embedded collections; several
        addresses, with commas between them, are the nodes of one cluster.
    qdrant_prefix: before the names of all collections on the server, so that several libraries can
        share it.
    qdrant_timeout: the longest wait for one answer of the server, in seconds.
    qdrant_shards, qdrant_replicas: into how many parts new collections are divided, and how many
        nodes have each part. 0 shards: as many as nodes; 0 replicas: 2 if `qdrant_url` has several
        addresses, else 1.
    qdrant_write_consistency: how many replicas must have a write for it to succeed.
    qdrant_quantization: how the server keeps vectors in memory: "none", "scalar", "binary".
    qdrant_on_disk: whether the server reads vectors and its index from the disk.
    openai_base_url, openai_model, openai_api_key: a server with OpenAI's API instead of the local
        model; several addresses, with commas between them, have the same model and key.
    embed_model, rerank_model: models for the search, by their names in fastembed's list; empty
        means the default ones, for English.
    hf_endpoint, hf_token, hf_hub_offline: the hub that models are downloaded from, who asks it, and
        whether it must not be asked.
    tavily_api_key: the key for the agent's web search.
    administrators: who may change what is for everybody, where people sign in: e-mail addresses or
        ids of people, with commas between them.
    api_key: what other programs have to send to use the API; empty: nothing, on this machine only.
    log_level: the lowest level that is logged, as Python's logging names it.
    walkthrough_editing: whether the code on the Walkthrough page can be edited.
    ocr: whether the text in scans and pictures is recognised when files are added.
    """

    data_dir: Path = Path(".data")
    shared_dir: Path | None = None
    chat_model: Path | None = None
    embed_model: str = ""
    rerank_model: str = ""
    context_window: int = 0
    gpu_layers: int = 0
    cores: int = 0
    state_cache_mb: int = 1024
    first_token_budget: float = 1.0
    deterministic: bool = True
    qdrant_url: str = field(default="", repr=False)  # an address may carry a password
    qdrant_api_key: str = field(default="", repr=False)  # keys stay out of logs
    qdrant_prefix: str = ""
    qdrant_timeout: int = 30
    qdrant_shards: int = 0
    qdrant_replicas: int = 0
    qdrant_write_consistency: int = 1
    qdrant_quantization: str = "none"
    qdrant_on_disk: bool = False
    openai_base_url: str = field(default="", repr=False)
    openai_model: str = ""
    openai_api_key: str = field(default="", repr=False)
    hf_endpoint: str = field(default="", repr=False)
    hf_token: str = field(default="", repr=False)
    hf_hub_offline: bool = False
    tavily_api_key: str = field(default="", repr=False)
    api_key: str = field(default="", repr=False)
    administrators: str = ""
    log_level: str = "INFO"
    walkthrough_editing: bool = True
    ocr: bool = True

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


_VARIABLES = [field.name.upper() for field in fields(Config)]


def load_config(env_file: Path = Path(".env"), environ: Mapping[str, str] | None = None) -> Config:
    """Read the settings.

    Raises:
        ConfigError: a value cannot be used; the message names the variable.
    """
    file = _read(env_file)
    _refuse_misspelt(file)
    environ = os.environ if environ is None else environ
    texts = {name: environ.get(name, file.get(name)) for name in _VARIABLES}
    known = {name.lower(): text.strip() for name, text in texts.items() if text and text.strip()}
    default = Config()
    data_dir = _folder(known, "data_dir", default.data_dir)
    return Config(
        data_dir=data_dir,
        shared_dir=_shared_folder(known, data_dir),
        chat_model=_existing_file(known, "chat_model"),
        embed_model=known.get("embed_model", ""),
        rerank_model=known.get("rerank_model", ""),
        context_window=_whole_number(known, "context_window", default.context_window),
        gpu_layers=_whole_number(known, "gpu_layers", default.gpu_layers),
        cores=_whole_number(known, "cores", default.cores),
        state_cache_mb=_whole_number(known, "state_cache_mb", default.state_cache_mb),
        first_token_budget=_seconds(known, "first_token_budget", default.first_token_budget),
        deterministic=_boolean(known, "deterministic", default.deterministic),
        qdrant_url=_addresses(known, "qdrant_url"),
        qdrant_api_key=known.get("qdrant_api_key", ""),
        qdrant_prefix=_one_of(known, "qdrant_prefix", default.qdrant_prefix, _PREFIX),
        qdrant_timeout=_whole_number(known, "qdrant_timeout", default.qdrant_timeout, 1),
        qdrant_shards=_whole_number(known, "qdrant_shards", default.qdrant_shards),
        qdrant_replicas=_whole_number(known, "qdrant_replicas", default.qdrant_replicas),
        qdrant_write_consistency=_whole_number(
            known, "qdrant_write_consistency", default.qdrant_write_consistency, 1
        ),
        qdrant_quantization=_one_of(
            known, "qdrant_quantization", default.qdrant_quantization, _QUANTIZATION
        ),
        qdrant_on_disk=_boolean(known, "qdrant_on_disk", default.qdrant_on_disk),
        openai_base_url=_addresses(known, "openai_base_url"),
        openai_model=known.get("openai_model", ""),
        openai_api_key=known.get("openai_api_key", ""),
        hf_endpoint=_address(known, "hf_endpoint"),
        hf_token=known.get("hf_token", ""),
        hf_hub_offline=_boolean(known, "hf_hub_offline", default.hf_hub_offline),
        tavily_api_key=known.get("tavily_api_key", ""),
        api_key=known.get("api_key", ""),
        administrators=known.get("administrators", ""),
        log_level=known.get("log_level", default.log_level).upper(),
        walkthrough_editing=_boolean(known, "walkthrough_editing", default.walkthrough_editing),
        ocr=_boolean(known, "ocr", default.ocr),
    )


@functools.cache
def default_config() -> Config:
    """The configuration of this process. It is read once, so all parts of the engine use the same.

    Raises:
        ConfigError: as `load_config`.
    """
    return load_config()


def checked_addresses(text: str) -> str:
    """The addresses of a Qdrant server or cluster, with commas between them.

    Raises:
        ConfigError: one of them is none.
    """
    each = split_addresses(text)
    for address in each:
        if not address.startswith(("http://", "https://")):
            raise ConfigError(f"{redact(address)!r} must begin with http:// or https://.")
    return ",".join(each)


def _read(env_file: Path) -> dict[str, str | None]:
    try:
        return dotenv_values(env_file)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{env_file} could not be read ({error}). Save it as plain UTF-8 text, readable for "
            "you, or start again from .env.example."
        ) from error


def _refuse_misspelt(file: Mapping[str, str | None]) -> None:
    """Without this check a misspelt name such as CHAT_MODLE would be ignored silently."""
    for name in file.keys() - set(_VARIABLES):
        if close := difflib.get_close_matches(name.upper(), _VARIABLES, 1, cutoff=0.85):
            raise ConfigError(f"{name} in .env is not a setting. Did you mean {close[0]}?")


def _whole_number(values: Mapping[str, str], name: str, default: int, least: int = 0) -> int:
    text = values.get(name, str(default))
    if not (text.isascii() and text.isdecimal()) or int(text) < least:
        limit = f", at least {least}" if least else ""
        raise ConfigError(
            f"{name.upper()} must be a whole number{limit}, not {text!r}. Change it in .env."
        )
    return int(text)


def _one_of(
    values: Mapping[str, str], name: str, default: str, allowed: tuple[re.Pattern[str], str]
) -> str:
    pattern, what = allowed
    text = values.get(name, default)
    if not pattern.fullmatch(text):
        raise ConfigError(f"{name.upper()} must be {what}, not {text!r}. Change it in .env.")
    return text


def _seconds(values: Mapping[str, str], name: str, default: float) -> float:
    text = values.get(name, str(default))
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds <= LONGEST_WAIT:
        raise ConfigError(
            f"{name.upper()} must be a number of seconds from 0 to {LONGEST_WAIT:g}, not {text!r}. "
            "Change it in .env."
        )
    return seconds


def _boolean(values: Mapping[str, str], name: str, default: bool) -> bool:
    text = values.get(name, str(default)).lower()
    if text not in ("true", "false", "yes", "no", "on", "off", "1", "0"):
        raise ConfigError(f"{name.upper()} must be true or false, not {text!r}. Change it in .env.")
    return text in ("true", "yes", "on", "1")


def _address(values: Mapping[str, str], name: str) -> str:
    text = values.get(name, "")
    if text and not text.startswith(("http://", "https://")):
        raise ConfigError(
            f"{name.upper()} must begin with http:// or https://, not {redact(text)!r}. Change it "
            "in .env."
        )
    return text.rstrip("/")


def _addresses(values: Mapping[str, str], name: str) -> str:
    """One address or several, with commas between them."""
    return ",".join(_address({name: text}, name) for text in split_addresses(values.get(name, "")))


def _folder(values: Mapping[str, str], name: str, default: Path) -> Path:
    path = Path(values.get(name, default)).expanduser()
    if path.exists() and not path.is_dir():
        raise ConfigError(f"{name.upper()} names {path}, which is not a folder. Change it in .env.")
    return path


def _shared_folder(values: Mapping[str, str], data_dir: Path) -> Path | None:
    if "shared_dir" not in values:
        return None
    folder = _folder(values, "shared_dir", data_dir).resolve()
    if not values.get("qdrant_url"):
        raise ConfigError(
            "SHARED_DIR needs QDRANT_URL, because several processes cannot open the database in "
            "the app. Set both in .env, or neither."
        )
    if folder.is_relative_to(data_dir.resolve()) or data_dir.resolve().is_relative_to(folder):
        raise ConfigError(
            f"SHARED_DIR ({folder}) and DATA_DIR must not contain each other, because each process "
            "has a DATA_DIR of its own. Change one of them in .env."
        )
    return folder


def _existing_file(values: Mapping[str, str], name: str) -> Path | None:
    if name not in values:
        return None
    path = Path(values[name]).expanduser()
    if not path.is_file():
        raise ConfigError(
            f"{name.upper()} names {path}, where there is no file. Change it in .env."
        )
    return path
