"""Diagnostics: the facts about an installation that a maintainer needs, as text to copy.

The text has versions, the machine, the configuration, the model's layout and the last errors of
the log. It has no keys, no text of documents and questions, and no folders outside the project.
"""

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from engine.config import Config
from engine.llm.base import LLM
from engine.logs import last_errors, log_file, secrets_of
from engine.measuring.fingerprint import fingerprint
from engine.redacting import public_address, redact, redact_values

_ROOT = Path(__file__).parents[1]


def diagnostics(llm: LLM, config: Config) -> str:
    """Sections of `name: value` lines, then the last errors with their tracebacks."""
    runtime: Mapping[str, Any] = getattr(llm, "settings", {})
    errors = "\n".join(last_errors(log_file(config))) or "none"
    configured = {each.name.upper(): _shown(config, each.name) for each in fields(config)}
    sections = {
        "Machine and versions": _lines(fingerprint(llm)),
        "Configuration": _lines(configured),
        "Runtime": _lines(redact_values(dict(runtime))) or "a server's",
        "Last errors": redact(errors, secrets_of(config)),
    }
    text = "\n\n".join(f"{title}\n{body}" for title, body in sections.items())
    for folder, name in ((_ROOT, "."), (config.data_dir.resolve(), "DATA_DIR"), (Path.home(), "~")):
        if folder != Path(folder.anchor):
            text = text.replace(str(folder), name)
    return text


def _lines(values: Mapping[str, Any]) -> str:
    return "\n".join(f"{name}: {value}" for name, value in values.items())


def _shown(config: Config, name: str) -> str:
    value = getattr(config, name)
    if name.endswith(("_key", "_token")):
        return "set" if value else "not set"
    if name.endswith(("_url", "_endpoint")):
        return public_address(value) or "not set"
    return str(redact_values(str(value)))
