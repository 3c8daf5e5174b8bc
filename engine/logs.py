"""Logs: where the records of all modules' loggers go. Only the app's entry points call `configure`.

Each module logs to `logging.getLogger(__name__)`. The file is `<data folder>/logs/first-token.log`;
it is rotated at 1 MB, and three older files are kept. Records have ids, times and outcomes. They
have no text of documents, questions or answers, and no keys: every line is redacted. If an
exception's message may quote such text, only its type and its traceback are written.
"""

import logging
import sys
import threading
import traceback
from collections.abc import Iterable, Sequence
from logging.handlers import RotatingFileHandler
from pathlib import Path
from types import TracebackType

from engine.config import Config
from engine.errors import ConfigError
from engine.redacting import HIDDEN, redact

log = logging.getLogger(__name__)

OURS = ("engine", "pages", "scripts")  # packages whose records are written from LOG_LEVEL up
MOST_BYTES, OLDER_FILES = 1_000_000, 3
LINE = "%(asctime)s %(levelname)s %(name)s: %(message)s"
SEVERE = (["WARNING"], ["ERROR"], ["CRITICAL"])  # the third word of a record
LONGEST_MESSAGE = 300  # characters of an exception's message

# The messages of these exceptions quote the value that was wrong, such as a line of a document.
_QUOTES_DATA = (ValueError, LookupError, SyntaxError, AssertionError)


def configure(config: Config) -> Path:
    """Send the records of all loggers to the log file and to the terminal. Safe to repeat.

    Uncaught exceptions of threads are logged as well.

    Returns the log file, which is created with the first record.

    Raises:
        ConfigError: LOG_LEVEL is not one of Python's level names.
    """
    file = log_file(config)
    levels = logging.getLevelNamesMapping()
    if config.log_level not in levels:
        known = "DEBUG, INFO, WARNING or ERROR"
        raise ConfigError(
            f"LOG_LEVEL must be {known}, not {config.log_level!r}. Change it in .env."
        )
    root = logging.getLogger()
    for handler in [each for each in root.handlers if isinstance(each, _File | _Terminal)]:
        root.removeHandler(handler)
        handler.close()
    formatter = Formatter(secrets_of(config))
    for handler in (_File(file), _Terminal()):
        handler.setFormatter(formatter)
        root.addHandler(handler)
    for name in OURS:
        logging.getLogger(name).setLevel(levels[config.log_level])
    threading.excepthook = _log_uncaught
    return file


def log_file(config: Config) -> Path:
    return config.data_dir / "logs" / "first-token.log"


def secrets_of(config: Config) -> tuple[str, ...]:
    """The secret values of the configuration."""
    return (
        config.openai_api_key,
        config.qdrant_api_key,
        config.tavily_api_key,
        config.hf_token,
        config.api_key,
    )


def last_errors(file: Path, most: int = 5) -> list[str]:
    """The last records of level WARNING and above in a log file, oldest first, with tracebacks."""
    try:
        with file.open("rb") as lines:
            lines.seek(0, 2)
            lines.seek(max(0, lines.tell() - 200_000))
            text = lines.read().decode("utf-8", "replace")
    except OSError:
        return []
    records: list[list[str]] = []
    for line in text.splitlines():
        if line[:4].isdigit():  # the date: a record begins
            records.append([line])
        elif records:
            records[-1].append(line)
    severe = [each for each in records if each[0].split()[2:3] in SEVERE]
    return ["\n".join(each) for each in severe[-most:]]


class Formatter(logging.Formatter):
    """A record as one line, then its traceback, without secrets and texts of documents."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        super().__init__(LINE)
        self._secrets = tuple(secrets)

    def format(self, record: logging.LogRecord) -> str:
        record.exc_text = None  # another handler's formatter may have written the whole message
        text = redact(super().format(record), self._secrets)
        record.exc_text = None
        return text

    def formatException(  # noqa: N802 - logging's name
        self,
        ei: tuple[type[BaseException], BaseException, TracebackType | None]
        | tuple[None, None, None],
    ) -> str:
        error = ei[1]
        return "" if error is None else "".join(_explained(error, seen=[])).rstrip("\n")


def _explained(error: BaseException, seen: Sequence[BaseException]) -> list[str]:
    """The traceback of an exception, preceded by that of its cause."""
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    lines = []
    if before is not None and before not in seen and len(seen) < 5:
        lines = [*_explained(before, [*seen, error]), "The cause of:\n"]
    return [*lines, *traceback.format_tb(error.__traceback__), _last_line(error)]


def _last_line(error: BaseException) -> str:
    name = type(error).__qualname__
    message = HIDDEN if isinstance(error, _QUOTES_DATA) else " ".join(str(error).split())
    return f"{name}: {message[:LONGEST_MESSAGE]}\n"


class _File(RotatingFileHandler):
    """The log file. A full disk does not interrupt the work that writes to it."""

    def __init__(self, file: Path) -> None:
        super().__init__(
            file, maxBytes=MOST_BYTES, backupCount=OLDER_FILES, encoding="utf-8", delay=True
        )

    def emit(self, record: logging.LogRecord) -> None:
        try:
            Path(self.baseFilename).parent.mkdir(parents=True, exist_ok=True)
        except OSError:
            return
        super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        pass


class _Terminal(logging.StreamHandler):  # type: ignore[type-arg]
    def __init__(self) -> None:
        super().__init__(sys.stderr)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        pass


def _log_uncaught(what: threading.ExceptHookArgs) -> None:
    if what.exc_value is not None and what.exc_type is not SystemExit:
        name = what.thread.name if what.thread else "unknown"
        log.error("The thread %s ended with an error", name, exc_info=what.exc_value)
