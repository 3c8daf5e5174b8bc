"""People: those who sign in, and a workspace for each of them beside the team's.

    <folder>/                      the team's workspace: all that was there before anybody signed in
    <folder>/shared.json           which of its collections everybody may read
    <folder>/people/<id>/          the workspace of a person, with documents and conversations
    <folder>/people/<id>/keys.json the person's API keys, as hashes
    <folder>/people/<id>/who.json  name and e-mail address, for who manages the folders

With SHARED_DIR, what people keep is in folders of the same names there.

Nothing in the workspace of one person refers to that of another, so no id finds anything there. A
page and the API get their workspace from `People.workspace`, by who is signed in or whose key was
sent, and from nowhere else.
"""

import hashlib
import hmac
import json
import logging
import re
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from engine.config import Config
from engine.durable import write_whole
from engine.errors import StoreError
from engine.signing_in import LONGEST_NAME, Person
from engine.workspace.workspace import Workspace

log = logging.getLogger(__name__)

ANYBODY = "anybody"
"""In place of a person's id: whoever sends API_KEY. Reads what is shared, and has nothing own."""

TEAM = "team"
"""In place of a person's id: the app itself, for an administrator who sees the team's documents."""

_ID = re.compile(r"[0-9a-f]{32}")
_KEY = re.compile(r"ft-([0-9a-f]{32})-([A-Za-z0-9_-]{43})")


@dataclass(frozen=True, slots=True)
class Key:
    """An API key. `digest`: SHA-256 of the key, which has 256 random bits. `made`: in seconds since
    1970."""

    digest: str
    name: str
    made: float
    ending: str  # its last letters, by which a person knows it


class People:
    """The people of a team. Safe to use from any thread. `folder`: the team's."""

    def __init__(self, team: Callable[[], Workspace], folder: Path, config: Config) -> None:
        self._team, self._folder, self._config = team, folder, config
        self._opened: dict[str, Workspace] = {}
        self._known: dict[str, Person] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()
        self._passing: dict[str, str] = {}  # keys of this process: digest → whose
        self._passing_keys: dict[str, str] = {}  # the other way round: whose → the key

    def workspace(self, person_id: str) -> Workspace:
        """The workspace of a person, of `ANYBODY`, or of the `TEAM`, opened by the first caller.

        Raises:
            FirstTokenError: it cannot be opened; the next call tries again.
        """
        team = self._team()
        if person_id == TEAM:
            return team
        folder = self._folder_of(person_id)
        with self._lock:
            lock = self._locks.setdefault(person_id, threading.Lock())
        with lock:
            if person_id not in self._opened:
                try:
                    opened = Workspace(
                        folder, self._config_of(person_id), team=team, own=person_id != ANYBODY
                    )
                except OSError as error:
                    log.exception("The workspace of a person could not be opened")
                    raise StoreError(
                        f"Your documents cannot be opened ({error.strerror}). Tell who manages "
                        "First Token here."
                    ) from error
                self._opened[person_id] = opened
            return self._opened[person_id]

    def enter(self, person: Person) -> Workspace:
        """The workspace of somebody who has signed in."""
        opened = self.workspace(person.id)
        if self._known.get(person.id) == person:
            return opened
        self._known[person.id] = person
        file = self._kept_of(person.id) / "who.json"
        record = json.dumps({"name": person.name, "email": person.email}).encode()
        try:
            write_whole(file, record)
        except OSError:  # it is for the administrator only
            log.exception("The name of a person could not be written")
        return opened

    # API keys

    def keys(self, person_id: str) -> list[Key]:
        """The person's keys, the latest first."""
        try:
            found = json.loads(self._keys_file(person_id).read_text("utf-8"))
            return [Key(**each) for each in found]
        except FileNotFoundError:
            return []
        except (OSError, ValueError, TypeError, RecursionError):
            log.exception("The keys of a person cannot be read, so none of them counts")
            return []

    def make_key(self, person_id: str, name: str) -> str:
        """A new key. It can be seen only here, since its hash alone is kept.

        Raises:
            StoreError: it could not be saved.
        """
        key = f"ft-{person_id}-{secrets.token_urlsafe(32)}"
        made = Key(_digest(key), " ".join(name.split())[:LONGEST_NAME], time.time(), key[-4:])
        with self._lock:
            self._save_keys(person_id, [made, *self.keys(person_id)])
        return key

    def revoke(self, person_id: str, digest: str) -> None:
        """The key is refused from now on.

        Raises:
            StoreError: it could not be saved; the key still counts.
        """
        with self._lock:
            kept = [each for each in self.keys(person_id) if each.digest != digest]
            self._save_keys(person_id, kept)

    def passing_key(self, workspace: Workspace) -> str:
        """A key for that workspace, of this process alone: the app measures itself with it."""
        with self._lock:
            found = (owner for owner, each in self._opened.items() if each is workspace)
            owner = next(found, None) or (TEAM if workspace is self._team() else ANYBODY)
            if owner not in self._passing_keys:
                key = self._passing_keys[owner] = secrets.token_urlsafe(32)
                self._passing[_digest(key)] = owner
            return self._passing_keys[owner]

    def holder(self, key: str) -> str | None:
        """Whose key it is: the id of a person, `ANYBODY`, `TEAM`, or None for nobody's."""
        if owner := self._passing.get(_digest(key)):
            return owner
        if self._config.api_key and _same(key, self._config.api_key):
            return ANYBODY
        found = _KEY.fullmatch(key)
        if found is None:
            return None
        person_id = found[1]
        known = any(_same(_digest(key), each.digest) for each in self.keys(person_id))
        return person_id if known else None

    def _keys_file(self, person_id: str) -> Path:
        return self._kept_of(person_id) / "keys.json"

    def _save_keys(self, person_id: str, keys: list[Key]) -> None:
        file = self._keys_file(person_id)
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(file, json.dumps([asdict(each) for each in keys]).encode())
        except OSError as fault:
            log.exception("The keys of a person could not be saved")
            raise StoreError(
                f"The key could not be saved ({fault.strerror}). Try again later."
            ) from fault

    def _folder_of(self, person_id: str) -> Path:
        if person_id != ANYBODY and not _ID.fullmatch(person_id):
            raise ValueError("not the id of a person")
        return self._folder / "people" / person_id

    def _kept_of(self, person_id: str) -> Path:
        """Where all processes that share a folder find what is the person's."""
        folder, shared = self._folder_of(person_id), self._config.shared_dir
        return shared / "people" / folder.name if shared else folder

    def _config_of(self, person_id: str) -> Config:
        """On a Qdrant server, the collections of a person have a prefix of their own."""
        prefix = f"{self._config.qdrant_prefix}+{person_id}".lstrip("+")
        shared = self._kept_of(person_id) if self._config.shared_dir else None
        return replace(self._config, qdrant_prefix=prefix, shared_dir=shared)


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())
