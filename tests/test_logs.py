"""The log: what goes wrong is in it, and nothing that was processed is."""

import ast
import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import logs
from engine.config import Config
from engine.errors import ConfigError, StoreError
from tests.browser import ROOT

CANARY = "the vicar hid the gold"


@pytest.fixture
def config(tmp_path: Path) -> Iterator[Config]:
    root = logging.getLogger()
    before, hook = list(root.handlers), threading.excepthook
    levels = {name: logging.getLogger(name).level for name in logs.OURS}
    yield Config(data_dir=tmp_path, openai_api_key="letmein42")
    for handler in [each for each in root.handlers if each not in before]:
        root.removeHandler(handler)
        handler.close()
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    threading.excepthook = hook


def raised(error: BaseException, cause: BaseException | None = None) -> BaseException:
    try:
        raise error from cause
    except type(error) as caught:
        return caught


def test_an_exception_is_in_the_file_with_its_traceback_and_its_cause(config: Config) -> None:
    file = logs.configure(config)
    cause = raised(OSError(28, "No space left on device"))
    error = raised(StoreError("The document could not be saved."), cause)
    logging.getLogger("engine.somewhere").error("Upload 1a2b3c4d failed", exc_info=error)
    text = file.read_text()
    assert "ERROR engine.somewhere: Upload 1a2b3c4d failed" in text
    assert text.index("No space left on device") < text.index("StoreError: The document")
    assert text.count("in raised") == 2


def test_text_that_was_processed_and_keys_stay_out(config: Config) -> None:
    file = logs.configure(config)
    log = logging.getLogger("engine.somewhere")
    faults: list[BaseException] = [
        ValueError(f"cannot parse {CANARY!r}"),
        KeyError(CANARY),
        UnicodeEncodeError("utf-8", f"{CANARY}\ud800", 22, 23, "surrogates not allowed"),
        RuntimeError("http://u:p4ssw0rd@host/v1?key=k-123 refused letmein42"),
    ]
    for fault in faults:
        log.error("It failed", exc_info=raised(fault))
    text = file.read_text()
    assert text.count("It failed") == len(faults)
    assert not any(secret in text for secret in (CANARY, "vicar", "p4ssw0rd", "k-123", "letmein42"))


def test_a_thread_that_dies_is_logged(config: Config) -> None:
    file = logs.configure(config)

    def die() -> None:
        raise RuntimeError("out of luck")

    thread = threading.Thread(target=die, name="preparing")
    thread.start()
    thread.join()
    assert "The thread preparing ended with an error" in file.read_text()
    assert "out of luck" in file.read_text()


def test_configuring_twice_writes_each_record_once(config: Config) -> None:
    logs.configure(config)
    file = logs.configure(config)
    logging.getLogger("engine.somewhere").info("once")
    assert file.read_text().count("once") == 1


def test_other_libraries_are_logged_from_warning_up(config: Config) -> None:
    file = logs.configure(config)
    logging.getLogger("httpx").info("HTTP Request: POST http://host/v1?key=1")
    logging.getLogger("httpx").warning("worth knowing")
    assert "HTTP Request" not in file.read_text()
    assert "worth knowing" in file.read_text()


def test_a_log_that_cannot_be_written_stops_nothing(config: Config, tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file where the folder should be")
    logs.configure(config)
    logging.getLogger("engine.somewhere").error("still here")


def test_an_unknown_level_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="LOG_LEVEL must be DEBUG"):
        logs.configure(Config(data_dir=tmp_path, log_level="LOUD"))


def test_the_last_errors_are_found_with_their_tracebacks(config: Config) -> None:
    file = logs.configure(config)
    log = logging.getLogger("engine.somewhere")
    assert logs.last_errors(file) == []
    for number in range(7):
        log.info("Answer %d: done", number)
        log.error("Answer %d failed", number, exc_info=raised(RuntimeError(f"fault {number}")))
    found = logs.last_errors(file, most=3)
    assert [each.splitlines()[-1] for each in found] == [
        f"RuntimeError: fault {number}" for number in (4, 5, 6)
    ]
    assert "done" not in "".join(found)


def test_importing_the_engine_configures_no_logging() -> None:
    handlers = logging.getLogger("engine").handlers
    assert all(isinstance(each, logging.NullHandler) for each in handlers)


# Handlers that hand the exception on, so that somebody else raises or logs it.
HANDED_ON = {
    "engine/llm/local.py",
    "engine/embedding.py",
    "engine/models/hub.py",
    "engine/reading/worker.py",
}


def test_every_handler_of_all_exceptions_logs_or_raises_them() -> None:
    silent = []
    files = [*ROOT.glob("engine/**/*.py"), *ROOT.glob("pages/**/*.py"), ROOT / "streamlit_app.py"]
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.ExceptHandler) or not catches_all(node):
                continue
            inside = [each for statement in node.body for each in ast.walk(statement)]
            raises = any(isinstance(each, ast.Raise) for each in inside)
            names = {each.id for each in inside if isinstance(each, ast.Name)}
            if not raises and not names & {"log", "_log", "sentence_of", "problem_of"}:
                silent.append(f"{file.relative_to(ROOT)}:{node.lineno}")
    assert [each for each in silent if each.split(":")[0] not in HANDED_ON] == []


def catches_all(handler: ast.ExceptHandler) -> bool:
    return handler.type is None or (
        isinstance(handler.type, ast.Name) and handler.type.id in ("Exception", "BaseException")
    )
