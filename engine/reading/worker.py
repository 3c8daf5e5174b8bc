"""The reading process: it opens other people's files, one after another.

A process of its own, because readers of files hang, crash and eat memory, and because their
work must not hold the interpreter's lock while an answer is streaming. Requests and replies are
JSON over a pipe, whose other end is process.py's; a picture follows its reply as bytes. It does
not know what becomes of the text.
"""

import json
import math
import os
import resource
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from engine.errors import DocumentError
from engine.reading.limits import OUT_OF_MEMORY

# Bytes that a process may map without using them: here, after 1,000 PDFs, it was 100 MB.
_MAPPED_IDLE = 1_000_000_000
_MEMORY_CHECKS = 0.05  # seconds between two; meanwhile a page fills 100 MB or so

# Each reader is imported when its format comes up: together they would take half a second.
_READERS = {
    "docx": ("office", "read_docx"),
    "pptx": ("office", "read_pptx"),
    "epub": ("epub", "read_epub"),
    "html": ("hypertext", "read_html"),
    "markdown": ("markdown", "read_markdown"),
    "csv": ("tables", "read_csv"),
    "json": ("records", "read_json"),
    "jsonl": ("records", "read_json_lines"),
    "notebook": ("notebook", "read_notebook"),
    "text": ("plain", "read_text"),
    "code": ("plain", "read_code"),
}

Request = Mapping[str, Any]
Reply = dict[str, Any]


def main(pipe: Connection, niceness: int, memory: int) -> None:
    """Answer until the other end has gone."""
    os.nice(niceness)
    _limit_memory(memory)
    sys.stdout = sys.stderr  # whatever a library prints
    with suppress(EOFError, OSError):
        while True:
            request = json.loads(pipe.recv_bytes())
            _limit_time(request["seconds"])
            for reply in answer(request):
                picture = reply.pop("picture", None)
                pipe.send_bytes(json.dumps(reply).encode())
                if picture is not None:
                    pipe.send_bytes(picture)
                _limit_time(request["seconds"])


def answer(request: Request) -> Iterator[Reply]:
    """The replies to a request. The last one has `done` or `error`."""
    try:
        yield from _TASKS[request["task"]](Path(request["path"]), request)
        yield {"done": True}
    except DocumentError as error:
        yield {"error": type(error).__name__, "message": str(error)}
    except RecursionError:
        yield {"error": "DocumentError", "message": "is nested too deeply to be read."}
    except MemoryError:
        os._exit(OUT_OF_MEMORY)
    except ImportError as fault:
        missing = f"cannot be read: {fault.name} is not installed. Run `make run` again."
        yield {"error": "DocumentError", "message": missing}
    except Exception as fault:  # whatever a library makes of a broken file
        yield {
            "error": "DocumentError",
            "message": f"cannot be read: it is damaged, or not quite what it should be "
            f"({type(fault).__name__}). Save it again from the program it came from.",
            "trace": "".join(traceback.format_tb(fault.__traceback__)) + type(fault).__name__,
        }


def _read(path: Path, request: Request) -> Iterator[Reply]:
    module, name = _READERS[request["kind"]]
    read = getattr(import_module(f"engine.reading.{module}"), name)
    for section in read(path):
        yield {"section": asdict(section)}


def _read_pdf(path: Path, request: Request) -> Iterator[Reply]:
    from engine.reading.pdf import Pdf

    pdf = Pdf(path, request["password"], request["most_pages"])
    yield {"page_count": pdf.page_count}
    for page in pdf.pages(request["first"]):
        yield {"page": asdict(page)}


def _picture(path: Path, request: Request) -> Iterator[Reply]:
    from engine.reading.pdf_picture import picture

    yield picture(path, request)


_TASKS = {"read": _read, "read_pdf": _read_pdf, "picture": _picture}


def _limit_memory(most: int) -> None:
    """End this process where it uses more memory, in bytes, than that. It writes no files."""
    _set_limit(resource.RLIMIT_AS, most + _MAPPED_IDLE)  # macOS does not hold to this one
    _set_limit(resource.RLIMIT_FSIZE, 0)
    _set_limit(resource.RLIMIT_CORE, 0)
    threading.Thread(target=_watch_memory, args=(most,), daemon=True).start()


def _limit_time(seconds: float) -> None:
    """Of computing, until the next reply. The system ends a process that takes more, also where
    it is deep in a library, and also where the app has gone meanwhile."""
    _set_limit(resource.RLIMIT_CPU, math.ceil(time.process_time() + seconds))


def _set_limit(what: int, value: int) -> None:
    with suppress(ValueError, OSError):
        resource.setrlimit(what, (value, resource.getrlimit(what)[1]))


def _watch_memory(most: int) -> None:
    while _resident() < most:
        time.sleep(_MEMORY_CHECKS)
    os._exit(OUT_OF_MEMORY)


def _resident() -> int:
    """Bytes of memory in use; on macOS the most that there has been."""
    try:
        pages = Path("/proc/self/statm").read_text().split()[1]
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(pages) * resource.getpagesize()


if __name__ == "__main__":
    main(Connection(int(sys.argv[1])), int(sys.argv[2]), int(sys.argv[3]))
