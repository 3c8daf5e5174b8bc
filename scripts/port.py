"""Checks that the app's port is free, before Streamlit starts: `python -m scripts.port`."""

import os
import socket
import sys
import tomllib
import urllib.request
from pathlib import Path

_SIGN = "static/logo.svg"  # only First Token serves this file


def port() -> int:
    """The port that Streamlit will use."""
    if text := os.environ.get("STREAMLIT_SERVER_PORT"):
        return int(text)
    return int(tomllib.loads(Path(".streamlit/config.toml").read_text())["server"]["port"])


def port_user(number: int) -> str | None:
    """A sentence about the program that uses the port, or None if the port is free."""
    try:
        socket.create_connection(("localhost", number), timeout=1).close()
    except OSError:
        return None
    if _is_first_token(number):
        return (
            f"First Token is already running: open http://localhost:{number} in a browser, or stop "
            "it (Ctrl-C where it was started) and try again."
        )
    return (
        f"Another program uses port {number}: stop it, or start First Token on another port, "
        f"such as STREAMLIT_SERVER_PORT={number + 1} make run"
    )


def _is_first_token(number: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://localhost:{number}/app/{_SIGN}", timeout=2) as answer:
            return bool(answer.read() == Path(_SIGN).read_bytes())
    except (OSError, ValueError):
        return False


if __name__ == "__main__":
    sys.exit(port_user(port()))
