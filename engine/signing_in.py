"""Signing in: whether people must, and who somebody is that has. Nothing here imports much."""

import hashlib
import json
import tomllib
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine.errors import ConfigError, SignInError

LONGEST_NAME = 60  # characters
# Of `cookie_secret`: whoever guesses it can sign in as anybody.
SHORTEST_SECRET = 32


def secrets_files() -> list[Path]:
    """Where Streamlit looks for secrets: in the working directory and the home folder."""
    folders = [Path()]
    with suppress(RuntimeError):  # a user without a home
        folders.append(Path.home())
    return [folder / ".streamlit" / "secrets.toml" for folder in folders]


def sign_in_configured(files: Iterable[Path]) -> bool:
    """Whether one of these secrets files has a section [auth], which Streamlit's `st.login` needs.

    Raises:
        ConfigError: the file cannot be read, so nobody knows whether people must sign in; or its
            `cookie_secret` is too short.
    """
    found = False
    for file in files:
        try:
            section = tomllib.loads(file.read_text("utf-8")).get("auth")
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as fault:
            raise ConfigError(
                f"{file} cannot be read ({fault}). It says whether people must sign in, so First "
                "Token does not answer without it. Correct it, and start again."
            ) from fault
        if section is None:
            continue
        secret = section.get("cookie_secret") if isinstance(section, dict) else None
        if not isinstance(secret, str) or len(secret) < SHORTEST_SECRET:
            raise ConfigError(
                f"cookie_secret in {file} must have at least {SHORTEST_SECRET} random characters: "
                "who guesses it can sign in as anybody. Correct it, and start again."
            )
        found = True
    return found


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who has signed in. `id`: made of the provider's name for itself and its name for the
    person, neither of which ever changes. `email`: empty unless the provider has verified it.
    """

    id: str
    name: str
    email: str = ""
    administrator: bool = False

    @classmethod
    def from_claims(cls, claims: Mapping[str, Any], administrators: str = "") -> "Person":
        """The person of an ID token. `administrators`: the setting ADMINISTRATORS.

        Raises:
            SignInError: the token does not say who it is.
        """
        issuer, subject = claims.get("iss"), claims.get("sub")
        if not (isinstance(issuer, str) and issuer and isinstance(subject, str) and subject):
            raise SignInError(
                "The sign-in provider did not say who you are: its ID token has no issuer or no "
                "subject. Tell the administrator."
            )
        digest = hashlib.sha256(json.dumps([issuer, subject]).encode()).hexdigest()[:32]
        email, verified = claims.get("email"), claims.get("email_verified")
        address = (
            email if isinstance(email, str) and (verified is True or verified == "true") else ""
        )
        # Only ASCII: the lower case of some other letters is an ASCII letter.
        known = {digest, address.lower()} if address.isascii() else {digest}
        named = {each.strip().lower() for each in administrators.split(",")} - {""}
        name = claims.get("name") or claims.get("preferred_username") or address or digest[:8]
        return cls(digest, str(name)[:LONGEST_NAME], address, bool(known & named))
