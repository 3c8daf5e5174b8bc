"""Redacting: text that leaves the process → the same text without secrets.

The log, exports, traces, diagnostics and error sentences use this module. It removes what looks
like a secret (credentials in addresses, API keys, bearer tokens) and every value that the caller
passes as a secret.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any
from urllib.parse import urlsplit

HIDDEN = "[hidden]"

_ADDRESS = re.compile(r"\b([a-z][a-z0-9+.-]{0,20}://)([^\s/?#\"'<>@]*@)?([^\s?#\"'<>]*)", re.I)
_QUERY = re.compile(r"(?<=\S)[?#][^\s\"'<>]*")
_SECRETS = (
    re.compile(r"\b(bearer\s+)[^\s\"',;]+", re.I),
    re.compile(
        r"(?<![a-z0-9])((?:api[_ -]?key|token|password|passwd|secret|authorization)"
        r"(?:\s+provided)?[\"']?\s*[:=]\s*[\"']?)(?!bearer\b|[\d.]+\b)[^\s\"',;&]+",
        re.I,
    ),
    re.compile(r"\b()(?:sk|pk|rk|tvly|hf|gsk|ghp|xai)[-_][\w*.-]{6,}"),
)
_SHORTEST = 4  # characters: a shorter value occurs by chance in any text


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """`text` without credentials, query strings of addresses, keys, and the values in `secrets`."""
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SHORTEST:
            text = text.replace(secret, HIDDEN)
    text = _without_queries(text)
    for pattern in _SECRETS:
        text = pattern.sub(rf"\1{HIDDEN}", text)
    return text


def _without_queries(text: str) -> str:
    """Each address in `text` without user, password, query and fragment."""
    parts, position = [], 0
    for match in _ADDRESS.finditer(text):
        if match.start() < position:
            continue
        parts += [text[position : match.start()], match[1], match[3]]
        position = match.end()
        if query := _QUERY.match(text, position):
            position = query.end()
    return "".join([*parts, text[position:]])


def public_address(address: str) -> str:
    """An address, or several with commas between them, without users, passwords, queries and
    fragments; empty stays empty."""
    shown = []
    for each in filter(None, address.split(",")):
        parts = urlsplit(each.strip())
        shown.append(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}".rstrip("/"))
    return ", ".join(shown)


def redact_values(value: Any, secrets: Sequence[str] = ()) -> Any:
    """JSON values with every string redacted, and absolute paths cut to their last part."""
    if isinstance(value, str):
        return redact(_without_folder(value), secrets)
    if isinstance(value, Mapping):
        return {name: redact_values(each, secrets) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [redact_values(each, secrets) for each in value]
    return value


def _without_folder(text: str) -> str:
    path = PurePath(text)
    return path.name if path.is_absolute() and path.name and "\n" not in text else text
