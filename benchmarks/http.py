"""The time to first token as another program sees it over HTTP, beside our own trace of it.

    python -m benchmarks.http [--requests 24]

GuideLLM asks the running app through /v1/chat/completions, with 1, 2, 4 and 8 requests at once.
Each of its requests is matched, by its id, with the line that the app wrote into its log. The first
run makes GuideLLM an environment of its own in the data folder, which takes minutes.
"""

import argparse
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=24, help="for each number at once")
    options = parser.parse_args()
    guidellm = environment()
    with tempfile.TemporaryDirectory() as folder, running_app(Path(folder)) as app:
        add_samples(app)
        questions = write_questions(Path(folder), options.requests * len(AT_ONCE))
        warm_up(app)
        for at_once in AT_ONCE:
            report = Path(folder) / f"{at_once}.json"
            run_guidellm(guidellm, app.url, questions, at_once, options.requests, report)
            seen = successful(report)
            log = (Path(folder) / "logs" / "first-token.log").read_text()
            keep("http", f"{at_once} at once", compare(seen, log))


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


def write_questions(folder: Path, number: int) -> Path:
    """Questions that the samples answer, each in words of its own, with the tokens to write."""
    listed = json.loads((SAMPLES / ".questions.json").read_text())["questions"]
    asked = [each["question"] for each in listed if each["file"]]
    lines = []
    for place in range(number):
        question = f"{asked[place % len(asked)]} This is visitor number {place + 1}."
        lines.append({"prompt": question, "output_tokens_count": TOKENS})
    file = folder / "questions.jsonl"
    file.write_text("\n".join(json.dumps(line) for line in lines) + "\n")
    return file


def warm_up(app: RunningApp) -> None:
    """The first answer loads the embedder and the reranker."""
    with Client(app.url) as client:
        message = {"role": "user", "content": "Who built the tide mill?"}
        list(client.ask({"model": "first-token/default", "messages": [message], "stream": True}))


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


def successful(report: Path) -> list[dict[str, Any]]:
    """GuideLLM's record of each request that was answered."""
    (benchmark,) = json.loads(report.read_text())["benchmarks"]
    found: list[dict[str, Any]] = benchmark["requests"]["successful"]
    return found


def compare(seen: Sequence[dict[str, Any]], log: str) -> Figures:
    """Medians in milliseconds, of GuideLLM and of our trace, and of the differences."""
    traced = {}
    for run_id, first, tokens, total in LOGGED.findall(log):
        gaps = max(int(tokens) - 1, 1)
        traced[run_id] = (float(first) * 1000, (float(total) - float(first)) * 1000 / gaps)
    pairs = [
        (each["time_to_first_token_ms"], each["inter_token_latency_ms"], *traced[run_id])
        for each in seen
        if (run_id := each["response_id"].removeprefix("chatcmpl-")) in traced
    ]
    first_seen, gap_seen, first_traced, gap_traced = zip(*pairs, strict=True)
    median = statistics.median
    return {
        "requests": len(pairs),
        "TTFT, GuideLLM, ms": median(first_seen),
        "TTFT, our trace, ms": median(first_traced),
        "TTFT, median of the differences, ms": median(
            a - b for a, b in zip(first_seen, first_traced, strict=True)
        ),
        "inter-token latency, GuideLLM, ms": median(gap_seen),
        "inter-token latency, our trace, ms": median(gap_traced),
        "inter-token latency, median of the differences, ms": median(
            a - b for a, b in zip(gap_seen, gap_traced, strict=True)
        ),
    }


if __name__ == "__main__":
    main()
