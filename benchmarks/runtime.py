"""The llama.cpp runtime, measured: decoding, many at once, pauses, Stop, reuse, memory.

    python -m benchmarks.runtime [--layout LAYOUT] [--fastest] [--model FILE] [part] …

Without names, all parts. Each prints its figures and keeps them in benchmarks/results/. --layout
forces beside, gathered or batched; --fastest is DETERMINISTIC=false, with flash attention. Their
figures are kept under names of their own.
LLAMA_SERVER and LLAMA_BENCH name binaries of llama.cpp to compare with (benchmarks/README.md says
how to build them); without them those comparisons are left out.
"""

import argparse
import itertools
import statistics
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks import peers
from benchmarks.bare_loop import BareLoop
from benchmarks.figures import Figures, keep
from benchmarks.squad import load
from engine.config import default_config
from engine.cores import cores
from engine.errors import Cancelled
from engine.llm import GenerationOptions, LlamaCpp
from engine.llm.tuning import BATCH, layouts
from engine.run import Run
from engine.schema import ChatMessage
from engine.settings import Settings

ROUNDS = 10
SYSTEM = ChatMessage("system", "You answer questions from the given text.")
STORY = [ChatMessage("user", "Write a long story about a lighthouse and the people in it.")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], default=[])
    parser.add_argument("--layout", choices=["beside", "gathered", "batched"])
    parser.add_argument("--fastest", action="store_true")
    parser.add_argument("--model", type=Path, default=Settings.weights.chat_model)
    options = parser.parse_args()
    beside, batched = (
        replace(each, flash_attention=options.fastest) for each in layouts(cores().total)
    )
    gathered = replace(
        beside, sequences=BATCH, decode_batch=BATCH, batch_from=BATCH - 1, gather_from=BATCH
    )
    tuning = {"beside": beside, "gathered": gathered, "batched": batched, None: None}
    config = replace(default_config(), deterministic=not options.fastest)
    llm = LlamaCpp(options.model, tuning=tuning[options.layout], config=config)
    print(llm.settings)
    for part in options.parts or PARTS:
        other = options.model != Settings.weights.chat_model
        names = [
            part,
            options.layout,
            "fastest" if options.fastest else None,
            options.model.stem if other else None,
        ]
        keep("runtime", ", ".join(filter(None, names)), PARTS[part](llm))
    llm.close()


def write(llm: LlamaCpp, tokens: int, messages: list[ChatMessage] = STORY) -> Run:
    """Exactly so many tokens, nothing reused."""
    run = Run()
    options = GenerationOptions(max_tokens=tokens, ignore_eos=True, reuse=False)
    for _ in llm.stream_chat(messages, options, run):
        pass
    return run


def decode_rate(run: Run) -> float:
    rate = run.trace.metrics.decode_rate
    assert rate is not None
    return rate


def decode(llm: LlamaCpp) -> Figures:
    """Tokens a second of one answer, against a bare llama_decode loop and llama-bench, in turns."""
    prompt, flash = llm._template.tokens(STORY), llm._tuning.flash_attention
    loops = {threads: BareLoop(llm._model, threads, flash) for threads in (1, cores().total)}
    ours: list[float] = []
    others: dict[str, list[float]] = {}
    write(llm, 64)
    for _ in range(ROUNDS):
        ours.append(decode_rate(write(llm, 96)))
        for threads, loop in loops.items():
            rate = loop.rate(prompt, 96)
            others.setdefault(f"bare loop, {threads} threads", []).append(rate)
            file = llm.metadata.model_file
            if rate := peers.bench_decode(file, threads, len(prompt), 96, flash):
                others.setdefault(f"llama-bench, {threads} threads", []).append(rate)
    figures = {"tokens/s, ours": statistics.median(ours)}
    for name, rates in others.items():
        figures[f"tokens/s, {name}"] = statistics.median(rates)
    for name in ("bare loop", "llama-bench"):
        several = [rates for each, rates in others.items() if each.startswith(name)]
        if several:
            best = max(several, key=statistics.median)
            ratios = (a / b for a, b in zip(ours, best, strict=True))
            figures[f"ours / the quicker {name}"] = statistics.median(ratios)
    return figures


def prefill(llm: LlamaCpp) -> Figures:
    """Tokens a second of a prompt, against one llama_decode of all of it, in turns."""
    words = STORY[0].content.split() * 20
    messages = [ChatMessage("user", " ".join(words))]
    prompt, flash = llm._template.tokens(messages), llm._tuning.flash_attention
    loop = BareLoop(llm._model, cores().total, flash)
    write(llm, 1, messages)
    ours: list[float] = []
    others: list[float] = []
    for _ in range(ROUNDS):
        run = write(llm, 1, messages)
        ours.append(len(prompt) / run.trace.total("prefill"))
        others.append(loop.prefill_rate(prompt))
    return {
        "prompt, tokens": len(prompt),
        "tokens/s, ours": statistics.median(ours),
        "tokens/s, one large batch": statistics.median(others),
        "ours / one large batch": statistics.median(
            a / b for a, b in zip(ours, others, strict=True)
        ),
    }


def streams(llm: LlamaCpp) -> Figures:
    """Tokens a second together, from the questions to the last token: 1, 2, 4, 8 at once.

    With LLAMA_SERVER, the same requests go to llama-server with the same file, in turns.
    """
    figures: dict[str, float | int | str] = {}
    rates: dict[int, list[float]] = {1: [], 2: [], 4: [], 8: []}
    slowest_first: dict[int, list[float]] = {count: [] for count in rates}
    servers: dict[int, list[float]] = {count: [] for count in rates}
    prompt = llm._template.tokens(STORY)
    with peers.llama_server(llm.metadata.model_file, cores().total) as server:
        for _, count in itertools.product(range(ROUNDS), rates):
            with ThreadPoolExecutor(count) as pool:
                runs = list(pool.map(lambda _: write(llm, 64), range(count)))
            starts = [run.trace.origin + run.trace.calls[0].token_times[0] for run in runs]
            ends = [run.trace.origin + run.trace.calls[0].token_times[-1] for run in runs]
            asked = min(run.trace.origin for run in runs)
            rates[count].append(count * 64 / (max(ends) - asked))
            slowest_first[count].append(max(starts) - asked)
            if server:
                servers[count].append(server.rate(prompt, 64, count))
    for count, measured in rates.items():
        figures[f"tokens/s together, {count} at once"] = statistics.median(measured)
        figures[f"last first token, s, {count} at once"] = statistics.median(slowest_first[count])
        if servers[count]:
            figures[f"llama-server, tokens/s, {count} at once"] = statistics.median(servers[count])
            ratios = (a / b for a, b in zip(measured, servers[count], strict=True))
            figures[f"ours / llama-server, {count} at once"] = statistics.median(ratios)
    for count in (2, 4, 8):
        figures[f"{count} at once / one"] = statistics.median(
            a / b for a, b in zip(rates[count], rates[1], strict=True)
        )
    return figures


def pauses(llm: LlamaCpp) -> Figures:
    """A reader's gaps between tokens while another person's whole question is served."""
    squad = load()
    texts = [paragraph.text for paragraph in squad.paragraphs[:40]]
    gaps: list[float] = []
    calm: list[float] = []
    for _ in range(ROUNDS // 2):
        calm += write(llm, 64).trace.metrics.itl
        run = Run()
        reader = threading.Thread(target=read_along, args=(llm, run))
        reader.start()
        while not run.trace.calls or run.trace.calls[0].output_tokens < 5:
            time.sleep(0.001)
        began = run.trace.now()
        whole_question(llm, texts)
        ended = run.trace.now()
        run.cancel()
        reader.join()
        times = [at for at in run.trace.calls[0].token_times if began <= at <= ended]
        gaps += [b - a for a, b in itertools.pairwise(times)]
    return {
        "gaps measured": len(gaps),
        "median gap alone, ms": 1000 * statistics.median(calm),
        "median gap beside a question, ms": 1000 * statistics.median(gaps),
        "99th percentile, ms": 1000 * float(np.percentile(gaps, 99)),
        "longest, ms": 1000 * max(gaps),
    }


def read_along(llm: LlamaCpp, run: Run) -> None:
    options = GenerationOptions(max_tokens=2000, ignore_eos=True, reuse=False)
    with suppress(Cancelled):
        for _ in llm.stream_chat(STORY, options, run):
            pass


def whole_question(llm: LlamaCpp, texts: list[str]) -> None:
    """Embed, rerank 40 sentences, read a prompt of some 1,500 tokens."""
    Settings.embed_model.embed_query("Who kept the lighthouse?")
    Settings.reranker.score("Who kept the lighthouse?", [text[:150] for text in texts])
    words: list[str] = []
    for text in texts:
        words.append(text)
        if llm.count_tokens([ChatMessage("user", " ".join(words))]) > 1500:
            break
    write(llm, 8, [SYSTEM, ChatMessage("user", " ".join(words))])


def stop(llm: LlamaCpp) -> Figures:
    """From Stop to an idle processor: nothing computes any more."""
    paragraph = load().paragraphs[0].text
    long = [ChatMessage("user", paragraph * 8)]
    reading = [stop_after(llm, long, lambda run: run.progress.reused + run.progress.done > 100)]
    reading += [
        stop_after(llm, long, lambda run, at=at: run.progress.done > at)  # type: ignore[misc]
        for at in range(40, 40 + 30 * (2 * ROUNDS - 1), 30)
    ]
    writing = [
        stop_after(
            llm,
            STORY,
            lambda run, at=at: bool(run.trace.calls) and run.trace.calls[0].output_tokens > at,  # type: ignore[misc]
        )
        for at in range(2, 2 + 2 * ROUNDS)
    ]
    return {
        "runs": len(reading) + len(writing),
        "while reading, median, ms": 1000 * statistics.median(reading),
        "while reading, longest, ms": 1000 * max(reading),
        "while writing, median, ms": 1000 * statistics.median(writing),
        "while writing, longest, ms": 1000 * max(writing),
    }


def stop_after(
    llm: LlamaCpp, messages: list[ChatMessage], condition: Callable[[Run], bool]
) -> float:
    run = Run()

    def ask() -> None:
        options = GenerationOptions(max_tokens=200, ignore_eos=True, reuse=False)
        with suppress(Cancelled):
            for _ in llm.stream_chat(messages, options, run):
                pass

    thread = threading.Thread(target=ask)
    thread.start()
    while not condition(run):
        time.sleep(0.0005)
    began = time.perf_counter()
    run.cancel()
    while cores().in_use or llm.jobs:
        time.sleep(0.0005)
    seconds = time.perf_counter() - began
    thread.join()
    return seconds


def reuse(llm: LlamaCpp) -> Figures:
    """The model's part of the time to the first token: nothing kept, and the passage prepared."""
    squad = load()
    cold: list[float] = []
    prepared: list[float] = []
    restoring: list[float] = []
    tokens: list[float] = []
    for question in squad.answerable[:: len(squad.answerable) // ROUNDS][:ROUNDS]:
        passage = question.paragraph.text
        beginning = [SYSTEM, ChatMessage("user", passage)]
        asked = [SYSTEM, ChatMessage("user", f"{passage}\n\nQuestion: {question.text}")]
        llm.forget()
        llm.prepare([SYSTEM])
        cold.append(first_token(llm, asked)[0])
        llm.forget()
        llm.prepare(beginning)
        seconds, run = first_token(llm, asked)
        prepared.append(seconds)
        restoring.append(run.trace.total("reuse"))
        tokens.append(run.trace.calls[0].prompt_tokens)
    return {
        "prompt, tokens": statistics.median(tokens),
        "first token, system prompt kept, ms": 1000 * statistics.median(cold),
        "first token, passage prepared, ms": 1000 * statistics.median(prepared),
        "restoring, ms": 1000 * statistics.median(restoring),
        "prepared / not": statistics.median(a / b for a, b in zip(prepared, cold, strict=True)),
    }


def first_token(llm: LlamaCpp, messages: list[ChatMessage]) -> tuple[float, Run]:
    run = Run()
    for _ in llm.stream_chat(messages, GenerationOptions(max_tokens=1, ignore_eos=True), run):
        pass
    return run.trace.calls[0].token_times[0], run


def memory(llm: LlamaCpp) -> Figures:
    """Resident memory after 20 and after 200 questions on different passages."""
    squad = load()
    questions: Iterable[str] = (q.text for q in squad.answerable)
    passages = itertools.cycle(p.text for p in squad.paragraphs)
    llm.forget()
    sizes: dict[int, tuple[float, float]] = {}
    for number, question in enumerate(itertools.islice(questions, 200), start=1):
        text = f"{next(passages)}\n\nQuestion: {question}"
        options = GenerationOptions(max_tokens=8)
        llm.chat([SYSTEM, ChatMessage("user", text)], options)
        if number in (20, 200):
            sizes[number] = (resident(), llm._scheduler.states.size / 2**20)
    grown, kept = sizes[200][0] - sizes[20][0], sizes[200][1] - sizes[20][1]
    return {
        "MB after 20 questions": sizes[20][0],
        "MB after 200 questions": sizes[200][0],
        "MB of kept states more": kept,
        "MB more, kept states apart": grown - kept,
    }


def resident() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


PARTS: dict[str, Callable[[LlamaCpp], Figures]] = {
    "decode": decode,
    "prefill": prefill,
    "streams": streams,
    "pauses": pauses,
    "stop": stop,
    "reuse": reuse,
    "memory": memory,
}

if __name__ == "__main__":
    main()
