"""How long an event loop is held up while ten answers are searched for and streamed on it.

    python -m benchmarks.event_loop

A clock on the same loop sleeps a millisecond at a time; its longest oversleep is the longest gap.
The baseline is the same clock with nothing else on the loop, in the same run.
"""

import asyncio
import statistics
import time
from collections.abc import Coroutine
from typing import Any

from benchmarks.figures import keep
from engine import Document, StreamingResponse, VectorStoreIndex
from engine.query_engine import RetrieverQueryEngine

ROUNDS = 10
STREAMS = 10
TICK = 0.001
TEXT = "The tide mill of Quernsay was built in 1684 by Hannah Voss. It ground barley."


def main() -> None:
    engine = VectorStoreIndex.from_documents([Document(TEXT)]).as_query_engine(streaming=True)
    str(engine.query("Who built the mill?"))  # loads what is loaded once
    idle = [asyncio.run(longest_gap(asyncio.sleep(1.0))) for _ in range(ROUNDS)]
    busy = [asyncio.run(longest_gap(ask_all(engine))) for _ in range(ROUNDS)]
    keep(
        "event_loop",
        "longest gap of the loop, ms",
        {
            "nothing else on it, median": statistics.median(idle) * 1000,
            f"{STREAMS} streams, median of {ROUNDS} rounds": statistics.median(busy) * 1000,
            f"{STREAMS} streams, the worst round": max(busy) * 1000,
        },
    )


async def longest_gap(work: Coroutine[Any, Any, None]) -> float:
    """Seconds by which the clock overslept at most, while `work` was done."""
    doing = asyncio.ensure_future(work)
    longest = 0.0
    while not doing.done():
        before = time.perf_counter()
        await asyncio.sleep(TICK)
        longest = max(longest, time.perf_counter() - before - TICK)
    doing.result()
    return longest


async def ask_all(engine: RetrieverQueryEngine) -> None:
    await asyncio.gather(*(ask(engine, f"Who built mill number {n}?") for n in range(STREAMS)))


async def ask(engine: RetrieverQueryEngine, question: str) -> None:
    response = await engine.aquery(question)
    assert isinstance(response, StreamingResponse)
    async for _ in response.async_response_gen():
        pass


if __name__ == "__main__":
    main()
