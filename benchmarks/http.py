"""The time to first token as another program sees it over HTTP, beside our own trace of it.

    python -m benchmarks.http [--requests N] [--without-guidellm]

Two clients ask the running app through /v1/chat/completions, with 1, 2, 4 and 8 requests at once:
GuideLLM, and plain sockets, which add next to nothing. Each of their requests is matched, by its
id, with the line that the app wrote into its log. The first run makes GuideLLM an environment of
its own in the data folder, which takes minutes.
"""

import argparse
import itertools
import json
import re
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from benchmarks.figures import Figures, keep
from engine.api.client import Client
from engine.settings import Settings
from tests.browser import ROOT, RunningApp, running_app

REQUIREMENTS = Path(__file__).parent / "http-requirements.txt"
AT_ONCE = (1, 2, 4, 8)
TOKENS = 64  # of each answer
SAMPLES = ROOT / "samples"
# answer 1a2b3c4d done: …, first text after 0.123 s, 64 tokens, 0.812 s in all
LOGGED = re.compile(
    r"answer (\w{8}) done: .*first text after ([\d.]+) s, (\d+) tokens, ([\d.]+) s in all"
)


@dataclass(frozen=True, slots=True)
class Seen:
    """An answer as a client saw it: milliseconds until its first text, and between its tokens."""

    run_id: str
    first: float
    gap: float


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.http",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--requests",
        type=int,
        default=24,
        metavar="N",
        help="of each client, for each number of requests at once (default 24)",
    )
    parser.add_argument(
        "--without-guidellm", action="store_true", help="measure with plain sockets only"
    )
    options = parser.parse_args()
    guidellm = None if options.without_guidellm else environment()
    with tempfile.TemporaryDirectory() as name, running_app(Path(name)) as app:
        folder = Path(name)
        add_samples(app)
        questions = fresh_questions()
        warm_up(app)
        for at_once in AT_ONCE:
            clients = {
                "plain sockets": ask_by_sockets(app.url, questions, at_once, options.requests)
            }
            if guidellm:
                report = folder / f"{at_once}.json"
                file = write_questions(folder, questions, options.requests)
                run_guidellm(guidellm, app.url, file, at_once, options.requests, report)
                clients["GuideLLM"] = seen_by_guidellm(report)
            log = (folder / "logs" / "first-token.log").read_text()
            for client, seen in clients.items():
                keep("http", f"{at_once} at once, {client}", compare(seen, log))


def environment() -> Path:
    """GuideLLM's command, in an environment that is made where it is missing or out of date."""
    folder = Settings.config.data_dir / "guidellm"
    made = folder / "made-of.txt"
    if not made.exists() or made.read_text() != REQUIREMENTS.read_text():
        print("Making an environment for GuideLLM: some minutes.", flush=True)
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        install = [folder / "bin" / "python", "-m", "pip", "install", "-q", "-r", REQUIREMENTS]
        subprocess.run([str(part) for part in install], check=True)
        made.write_text(REQUIREMENTS.read_text())
    return folder / "bin" / "guidellm"


def add_samples(app: RunningApp) -> None:
    with Client(app.url) as client:
        added = [client.add(path, "default") for path in SAMPLES.iterdir() if path.name[0] != "."]
        while any(client.file(each["id"])["status"] == "uploaded" for each in added):
            time.sleep(0.2)
        while any(each["read_ahead"] not in (None, each["passages"]) for each in client.files()):
            time.sleep(0.2)  # the model reads passages ahead: nothing else is to compute


def fresh_questions() -> Iterator[str]:
    """Questions that the samples answer, each in words of its own."""
    listed = json.loads((SAMPLES / ".questions.json").read_text())["questions"]
    asked = [each["question"] for each in listed if each["file"]]
    for number in itertools.count():
        yield f"{asked[number % len(asked)]} This is visitor number {number + 1}."


def warm_up(app: RunningApp) -> None:
    """The first answer loads the embedder and the reranker."""
    with Client(app.url) as client:
        message = {"role": "user", "content": "Who built the tide mill?"}
        list(client.ask({"model": "first-token/default", "messages": [message], "stream": True}))


def ask_by_sockets(url: str, questions: Iterator[str], at_once: int, requests: int) -> list[Seen]:
    port = int(url.rsplit(":", 1)[1])
    asked = list(itertools.islice(questions, requests))
    with ThreadPoolExecutor(at_once) as threads:
        seen = threads.map(lambda question: ask_by_socket(port, question), asked)
        return [each for each in seen if each]


def ask_by_socket(port: int, question: str) -> Seen | None:
    """None if the answer had no text of the model's."""
    body = json.dumps(
        {
            "model": "first-token/default",
            "messages": [{"role": "user", "content": question}],
            "stream": True,
            "max_tokens": TOKENS,
            "ignore_eos": True,
        }
    ).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost:{port}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    began, times, frame, rest, ended = time.perf_counter(), [], {}, b"", False
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(head.encode() + body)
        while not ended and (part := connection.recv(65536)):
            now = time.perf_counter()
            *lines, rest = (rest + part).split(b"\n")
            for line in lines:
                if line.startswith(b"data: {"):
                    frame = json.loads(line.removeprefix(b"data: "))
                    choices = frame.get("choices")
                    times += [now] if choices and choices[0]["delta"].get("content") else []
                ended = ended or line == b"data: [DONE]"
    if len(times) < 2:
        return None
    gap = (times[-1] - times[0]) / (len(times) - 1)
    return Seen(run_id(frame["id"]), (times[0] - began) * 1000, gap * 1000)


def write_questions(folder: Path, questions: Iterator[str], number: int) -> Path:
    """A file for GuideLLM, with the tokens to write."""
    lines = [
        {"prompt": question, "output_tokens_count": TOKENS}
        for question in itertools.islice(questions, number)
    ]
    file = folder / "questions.jsonl"
    file.write_text("\n".join(json.dumps(line) for line in lines) + "\n")
    return file


def run_guidellm(
    command: Path, url: str, questions: Path, at_once: int, requests: int, report: Path
) -> None:
    backend = f"kind=openai_http,target={url},model=first-token/default"
    arguments = [
        *("--backend", f"{backend},request_format=/v1/chat/completions"),
        *("--profile", f"kind=concurrent,streams={at_once}"),
        *("--constraint", f"kind=max_requests,count={requests}"),
        *("--data", f"kind=json_file,path={questions}"),
        *("--output", f"kind=json,path={report}"),
        "--disable-console",
    ]
    subprocess.run([str(command), "run", *arguments], check=True)


def seen_by_guidellm(report: Path) -> list[Seen]:
    """Its record of each request that was answered."""
    (benchmark,) = json.loads(report.read_text())["benchmarks"]
    return [
        Seen(
            run_id(each["response_id"]),
            each["time_to_first_token_ms"],
            each["inter_token_latency_ms"],
        )
        for each in benchmark["requests"]["successful"]
        if each["time_to_first_token_ms"]
    ]


def run_id(response_id: str) -> str:
    return response_id.removeprefix("chatcmpl-")


def compare(seen: Sequence[Seen], log: str) -> Figures:
    """Medians in milliseconds, of a client and of our trace, and of the differences."""
    traced = {}
    for answer, first, tokens, total in LOGGED.findall(log):
        gaps = max(int(tokens) - 1, 1)
        traced[answer] = (float(first) * 1000, (float(total) - float(first)) * 1000 / gaps)
    pairs = [(each, *traced[each.run_id]) for each in seen if each.run_id in traced]
    median = statistics.median
    return {
        "requests": len(pairs),
        "TTFT, client, ms": median(each.first for each, _, _ in pairs),
        "TTFT, our trace, ms": median(first for _, first, _ in pairs),
        "TTFT, median of the differences, ms": median(
            each.first - first for each, first, _ in pairs
        ),
        "inter-token latency, client, ms": median(each.gap for each, _, _ in pairs),
        "inter-token latency, our trace, ms": median(gap for _, _, gap in pairs),
        "inter-token latency, median of the differences, ms": median(
            each.gap - gap for each, _, gap in pairs
        ),
    }


if __name__ == "__main__":
    main()
