"""Programs of llama.cpp itself to compare with: llama-bench and llama-server, on loopback."""

import json
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx

SLOTS = 4  # answers that llama-server works on at once


def bench_decode(
    model: Path | None, threads: int, prompt: int, tokens: int, flash_attention: bool
) -> float:
    """llama-bench's tokens/s after a prompt of `prompt` tokens. 0 without LLAMA_BENCH."""
    program = os.environ.get("LLAMA_BENCH")
    if not program or not model:
        return 0.0
    command = [program, "-m", str(model), "-t", str(threads), "-p", "0", "-n", str(tokens)]
    done = subprocess.run(
        [*command, "-d", str(prompt), "-r", "1", "-fa", str(int(flash_attention)), "-o", "json"],
        capture_output=True,
        check=True,
    )
    return float(json.loads(done.stdout)[0]["avg_ts"])


class LlamaServer:
    def __init__(self, address: str) -> None:
        self._client = httpx.Client(base_url=address, timeout=120)

    def rate(self, prompt: Sequence[int], tokens: int, at_once: int) -> float:
        """The tokens/s of `at_once` concurrent requests together. No prompt is reused."""
        body = {
            "prompt": list(prompt),
            "n_predict": tokens,
            "ignore_eos": True,
            "cache_prompt": False,
            "temperature": 0,
        }
        began = time.perf_counter()
        with ThreadPoolExecutor(at_once) as pool:
            answers = list(
                pool.map(lambda _: self._client.post("/completion", json=body), range(at_once))
            )
        seconds = time.perf_counter() - began
        written = sum(answer.json()["timings"]["predicted_n"] for answer in answers)
        return float(written / seconds)


@contextmanager
def llama_server(model: Path | None, threads: int) -> Iterator[LlamaServer | None]:
    """llama-server at its defaults with SLOTS slots; None where there is no LLAMA_SERVER."""
    program = os.environ.get("LLAMA_SERVER")
    if not program or not model:
        yield None
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [program, "-m", str(model), "-np", str(SLOTS), "-c", str(4096 * SLOTS)]
    command += ["-t", str(threads), "--host", "127.0.0.1", "--port", str(port)]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            address = f"http://127.0.0.1:{port}"
            for _ in range(600):
                try:
                    if httpx.get(f"{address}/health").status_code == 200:
                        break
                except httpx.TransportError:
                    pass
                time.sleep(0.1)
            yield LlamaServer(address)
        finally:
            process.terminate()
            process.wait()
