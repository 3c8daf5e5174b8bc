"""A folder of 300 mixed files into a collection: time, memory, and what was refused.

    python -m benchmarks.folder [--files N]
"""

import argparse
import io
import json
import os
import random
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from engine.config import Config
from engine.workspace.ingestion import Ingestor, Upload
from engine.workspace.library import Library
from tests.making import docx, epub, pdf, pdf_lines, zipped

ROOT = Path(__file__).parents[1]
_WORDS = (ROOT / "samples" / "tide-mill.md").read_text(encoding="utf-8").split()


def prose(chance: random.Random, words: int) -> str:
    start = chance.randrange(len(_WORDS))
    return " ".join(_WORDS[(start + n * 7) % len(_WORDS)] for n in range(words))


def one_file(number: int, chance: random.Random) -> tuple[str, bytes]:
    """A file of one kind after another; no two have the same content."""
    text = f"Number {number}. {prose(chance, 300)}"
    lines = [text[start : start + 80] for start in range(0, 800, 80)]
    files = ROOT / "tests" / "files"
    kinds = {
        "txt": text.encode(),
        "md": f"# Paper {number}\n\n{text}".encode(),
        "pdf": pdf(*[pdf_lines(f"Page {page} of {number}", *lines) for page in range(1, 6)]),
        "docx": docx(("heading 1", f"Report {number}"), ("", text.replace("&", "and"))),
        "html": f"<h1>{number}</h1><p>{text.replace('<', ' ')}</p>".encode(),
        "csv": "\n".join(["Name,Cost", *(f"Item {number}-{n},{n}" for n in range(60))]).encode(),
        "json": json.dumps([{"id": n, "of": number, "what": lines[0]} for n in range(30)]).encode(),
        "epub": epub(f"<h1>Book {number}</h1><p>{text.replace('<', ' ').replace('&', '')}</p>"),
        "eml": (files / "mail.eml").read_bytes().replace(b"310 euros", b"%d euros" % number),
        "png": _picture(f"Notice {number}: the ferry leaves at {number % 24} o'clock."),
        "zip": zipped({f"in/{number}.txt": f"Packed {number}. {text}"}),
        "mp3": b"ID3" + bytes([number % 256]) * 400,
        "doc": b"\xd0\xcf\x11\xe0" + bytes([number % 256]) * 600,
        "broken.pdf": b"%PDF-1.7 cut off " + str(number).encode(),
        "empty.txt": b"",
    }
    kind, content = list(kinds.items())[number % len(kinds)]
    return f"{number:03}.{kind}", content


def _picture(line: str) -> bytes:
    import pypdfium2 as pdfium

    page = pdfium.PdfDocument(pdf(pdf_lines(line)))[0]
    out = io.BytesIO()
    page.render(scale=1.5).to_pil().convert("L").crop((0, 100, 918, 400)).save(out, "PNG")
    return out.getvalue()


class Memory:
    """The most that this process and its children held at once, in MB (Linux)."""

    def __init__(self) -> None:
        self.own = self.children = 0.0
        self._ended = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        me = os.getpid()
        while not self._ended.wait(0.1):
            tasks = Path(f"/proc/{me}/task").glob("*/children")  # any thread may have started it
            children = [pid for task in tasks for pid in _read(task).split()]
            self.own = max(self.own, _resident(me))
            self.children = max(self.children, sum(map(_resident, map(int, children))))

    def end(self) -> None:
        self._ended.set()


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # a thread that has ended
        return ""


def _resident(pid: int) -> float:
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGESIZE") / 1e6
    except OSError:
        return 0.0


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", type=int, default=300)
    options = parser.parse_args()
    chance = random.Random(0)
    with tempfile.TemporaryDirectory() as place:
        library = Library(Path(place), Config(data_dir=Path(place)))
        ingestor = Ingestor(Path(place, "incoming"), library.take, library.index)
        library.index("default").as_retriever().retrieve("Is the model loaded?")
        memory = Memory()
        began = time.perf_counter()
        for number in range(options.files):
            ingestor.add("default", *one_file(number, chance), directory=f"papers/{number % 7}")
        while ingestor.busy:
            time.sleep(0.1)
        seconds = time.perf_counter() - began
        memory.end()
        uploads: list[Upload] = ingestor.uploads("default")
        spent: Counter[str] = Counter()
        for upload in uploads:
            spent.update({str(stage): each for stage, each in upload.seconds.items()})
        print(f"{options.files} files: {seconds:.1f} s; app {memory.own:.0f} MB, reading process "
              f"{memory.children:.0f} MB at most")
        print(Counter(str(upload.stage) for upload in uploads))
        print({stage: round(each, 1) for stage, each in spent.items() if stage != "waiting"})
        passages = sum(document.passages for document in library.documents("default"))
        print(f"{len(library.documents('default'))} documents, {passages} passages")
        for kind, upload in {u.name.partition(".")[2]: u for u in uploads if u.message}.items():
            print(f"- .{kind}: {upload.message}")
        ingestor.close()
        library.close()


if __name__ == "__main__":
    main()
