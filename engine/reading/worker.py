"""The reading process: it opens untrusted files, one after another.

It is a separate process because libraries that read files may hang, crash and fill the memory, and
because their work must not hold the interpreter's lock while an answer is streaming. Requests and
replies are JSON over a pipe, whose other end is in process.py; a picture or an attached file
follows its reply as bytes. A request has `task`, `path` and `seconds` of computing until the next
reply; `_TASKS` has what each task gives.
"""

import json
import math
import os
import resource
import sys
import threading
import time
import traceback
from collections.abc import Generator, Mapping
from contextlib import suppress
from dataclasses import asdict
from importlib import import_module
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from engine.errors import DocumentError
from engine.reading.formats import BY_NAME
from engine.reading.limits import OUT_OF_MEMORY

# Bytes that a process may map without using them. After 1,000 PDFs, 100 MB were measured.
_MAPPED_IDLE = 1_000_000_000
_MEMORY_CHECKS = 0.05  # seconds between two checks; in that time a page fills about 100 MB

Request = Mapping[str, Any]
Reply = dict[str, Any]
Replies = Generator[Reply, int | None]


def main(pipe: Connection, niceness: int, memory: int) -> None:
    """Answer until the other end is closed."""
    os.nice(niceness)
    _limit_memory(memory)
    with suppress(EOFError, OSError):
        while True:
            request = json.loads(pipe.recv_bytes())
            _limit_time(request["seconds"])
            replies = answer(request)
            granted: int | None = None
            with suppress(StopIteration):
                while True:
                    reply = replies.send(granted)
                    data = reply.pop("data", None)
                    pipe.send_bytes(json.dumps(reply).encode())
                    if data is not None:
                        pipe.send_bytes(data)
                    granted = json.loads(pipe.recv_bytes()) if "wants" in reply else None
                    _limit_time(request["seconds"])


def answer(request: Request) -> Replies:
    """The replies to a request. The last one has `done` or `error`. After one that `wants` cores,
    the number that the next step may use is sent.
    """
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
        yield {"error": "DocumentError", "message": missing, "traceback": _frames(fault)}
    except Exception as fault:  # on broken files, libraries raise errors of any kind
        yield {
            "error": "DocumentError",
            "message": "cannot be read: it is damaged, or does not follow its format "
            f"({type(fault).__name__}). Save it again from the program it came from.",
            "traceback": _frames(fault),
        }


def _frames(fault: Exception) -> str:
    """The traceback for the log, without the message, which may quote the document."""
    return "".join([*traceback.format_tb(fault.__traceback__), type(fault).__qualname__])


def _read(path: Path, request: Request) -> Replies:
    """A reply for each section and each notice. The module of a format is imported when it is
    needed, because importing all of them takes half a second.
    """
    module, _, name = BY_NAME[request["kind"]].reader.partition(".")
    read = getattr(import_module(f"engine.reading.{module}"), name)
    for part in read(path):
        yield {"notice": part} if isinstance(part, str) else {"section": asdict(part)}


def _read_pdf(path: Path, request: Request) -> Replies:
    """The number of pages, then a reply for each page from `first` on."""
    from engine.reading.pdf import Pdf

    pdf = Pdf(path, request["password"], request["most_pages"])
    yield {"page_count": pdf.page_count}
    for page in pdf.pages(request["first"]):
        yield {"page": asdict(page)}


def _count_frames(path: Path, _: Request) -> Replies:
    """The number of pages of a picture file."""
    from engine.reading.scans import frame_count

    yield {"page_count": frame_count(path)}


def _recognise(path: Path, request: Request) -> Replies:
    """One reply, with the section of page `number`, which is a picture of text; before it, one for
    each step that `wants` cores.
    """
    from engine.reading.scans import read_page

    steps = read_page(path, request["kind"], request["password"], request["number"])
    granted = None
    while True:
        try:
            wanted = steps.send(granted)
        except StopIteration as end:
            yield {"section": asdict(end.value)}
            return
        granted = yield {"wants": wanted}


def _attachments(path: Path, request: Request) -> Replies:
    """A reply for each file attached to a mail, with its content."""
    from engine.reading.mail import attachments

    for name, content in attachments(path, request["kind"]):
        yield {"attachment": name, "has_data": True, "data": content}


def _picture(path: Path, request: Request) -> Replies:
    """One reply, with the picture of page `number`."""
    from engine.reading.pdf_page import picture

    yield picture(path, request)


_TASKS = {
    "read": _read,
    "read_pdf": _read_pdf,
    "count_frames": _count_frames,
    "recognise": _recognise,
    "attachments": _attachments,
    "picture": _picture,
}


def _limit_memory(most: int) -> None:
    """End this process when it uses more than `most` bytes of memory. It writes no files."""

    def watch() -> None:
        while _resident() < most:
            time.sleep(_MEMORY_CHECKS)
        os._exit(OUT_OF_MEMORY)

    _set_limit(resource.RLIMIT_AS, most + _MAPPED_IDLE)  # macOS ignores this one
    _set_limit(resource.RLIMIT_FSIZE, 0)
    _set_limit(resource.RLIMIT_CORE, 0)
    threading.Thread(target=watch, daemon=True).start()


def _limit_time(seconds: float) -> None:
    """Limit the computing time until the next reply. The system ends a process that takes more,
    even inside a library, and even if the app has ended."""
    _set_limit(resource.RLIMIT_CPU, math.ceil(time.process_time() + seconds))


def _set_limit(what: int, value: int) -> None:
    with suppress(ValueError, OSError):
        resource.setrlimit(what, (value, resource.getrlimit(what)[1]))


def _resident() -> int:
    """The bytes of memory in use; on macOS the maximum so far."""
    try:
        pages = Path("/proc/self/statm").read_text().split()[1]
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return int(pages) * resource.getpagesize()


if __name__ == "__main__":
    main(Connection(int(sys.argv[1])), int(sys.argv[2]), int(sys.argv[3]))
