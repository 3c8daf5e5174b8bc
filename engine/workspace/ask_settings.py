"""The settings of answers, as the Ask page saves them."""

import json
import logging
import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Self

from engine.config import LONGEST_WAIT
from engine.durable import set_aside, write_whole
from engine.errors import StoreError
from engine.synthesis import ResponseMode
from engine.workspace.library import DEFAULT_COLLECTION

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AskSettings:
    """The saved settings of answers. `length`: at most, in tokens. `temperature`: 0 is greedy.
    `first_token_budget`: the longest wait for the first word, in seconds; 0 for no limit.
    `collection`: the one that was chosen last, with which a new session begins."""

    streaming: bool = True
    passages: int = field(default=3, metadata={"range": (1, 10)})
    response_mode: ResponseMode = ResponseMode.COMPACT
    length: int = field(default=256, metadata={"range": (16, 1024)})
    temperature: float = field(default=0.0, metadata={"range": (0.0, 1.5)})
    first_token_budget: float = field(default=1.0, metadata={"range": (0.0, LONGEST_WAIT)})
    collection: str = DEFAULT_COLLECTION

    @classmethod
    def from_dict(
        cls, values: Mapping[str, Any], default: Self | None = None
    ) -> tuple[Self, list[str]]:
        """The settings, and the names of unusable values, which are replaced by their defaults."""
        settings, unusable = default or cls(), []
        for each in fields(cls):
            if each.name in values:
                try:
                    value = _checked(values[each.name], each.default, each.metadata.get("range"))
                    settings = replace(settings, **{each.name: value})
                except (ValueError, TypeError):
                    unusable.append(each.name)
        return settings, unusable


def _checked(value: Any, default: Any, limits: tuple[float, float] | None) -> Any:
    """The value, if it has the default's type and is within the limits.

    Raises:
        ValueError, TypeError: it has another type or is outside the limits.
    """
    if isinstance(default, float) and type(value) is int:
        value = float(value)
    if isinstance(default, ResponseMode):
        value = ResponseMode(value)
    if default is not None and type(value) is not type(default):
        raise TypeError
    if limits and value is not None and not limits[0] <= value <= limits[1]:
        raise ValueError
    return value


class SavedSettings:
    """The settings in `file`. `default`: those that count until others are saved. `shared`: other
    processes change the file, too. `notices` gets a sentence for each damaged file."""

    def __init__(
        self, file: Path, default: AskSettings, shared: bool, notices: list[str]
    ) -> None:
        self._file, self._default, self._shared, self._notices = file, default, shared, notices
        self._stamp: tuple[int, ...] = ()  # of the file, when it was read last
        self._lock = threading.Lock()
        self._settings = self._load()

    def current(self) -> AskSettings:
        if self._shared:  # another process may have changed them
            with self._lock, suppress(OSError):
                facts = self._file.stat()
                stamp = (facts.st_ino, facts.st_mtime_ns, facts.st_size)
                if stamp != self._stamp:
                    self._stamp, self._settings = stamp, self._load()
        return self._settings

    def save(self, settings: AskSettings) -> None:
        """
        Raises:
            StoreError: they could not be written. The earlier settings stay in force.
        """
        with self._lock:
            try:
                write_whole(self._file, json.dumps(asdict(settings)).encode())
            except OSError as fault:
                log.exception("The settings could not be saved")
                raise StoreError(
                    f"The settings could not be saved ({fault.strerror}). Make room on the disk, "
                    "then change them again."
                ) from fault
            self._settings = settings

    def _load(self) -> AskSettings:
        """The saved settings. A damaged value is replaced by its default, with a notice."""
        if not os.path.lexists(self._file):
            return self._default
        try:
            values = json.loads(self._file.read_text(encoding="utf-8"))
            if not isinstance(values, dict):
                raise ValueError("it is not an object")
            if values and not values.keys() & {each.name for each in fields(AskSettings)}:
                raise ValueError("it has none of our settings")
        except (OSError, ValueError, RecursionError):
            log.exception("The settings cannot be read")
            unusable, settings = ["all"], self._default
        else:
            settings, unusable = AskSettings.from_dict(values, self._default)
        if unusable:
            names = ", ".join(unusable)
            try:
                aside = set_aside(self._file, self._file.parent)
                write_whole(self._file, json.dumps(asdict(settings)).encode())
            except OSError:
                log.exception("The damaged settings could not be replaced")
                aside = self._file
            self._notices.append(
                f"Some saved settings were damaged and were reset to their defaults ({names}). "
                f"The damaged file is kept as {aside}."
            )
        return settings
