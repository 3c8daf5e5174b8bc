import asyncio
import threading

import pytest

from engine.errors import GenerationError
from engine.stream import Stream


def written(*items: str, error: BaseException | None = None) -> Stream[str]:
    stream: Stream[str] = Stream()
    for item in items:
        stream.append(item)
    stream.end(error)
    return stream


async def collect(stream: Stream[str]) -> list[str]:
    return [item async for item in stream.read_async()]


def test_a_stream_reads_the_same_live_and_afterwards() -> None:
    stream: Stream[int] = Stream()
    live: list[int] = []
    reader = threading.Thread(target=lambda: live.extend(stream.read()))
    reader.start()
    for number in range(1000):
        stream.append(number)
    stream.end()
    reader.join(30)
    assert live == list(stream.read()) == list(range(1000))


def test_sync_and_async_readers_at_once_each_see_everything() -> None:
    stream: Stream[str] = Stream()

    async def read_both_ways() -> tuple[list[str], list[str], list[str]]:
        tasks = [asyncio.create_task(collect(stream)) for _ in range(2)]
        in_thread = asyncio.create_task(asyncio.to_thread(lambda: list(stream.read())))
        writer = threading.Thread(target=write)
        writer.start()
        results = await asyncio.gather(*tasks, in_thread)
        writer.join()
        return results[0], results[1], results[2]

    def write() -> None:
        for letter in "abcdefgh" * 50:
            stream.append(letter)
        stream.end()

    assert asyncio.run(read_both_ways()) == (list("abcdefgh" * 50),) * 3


def test_an_error_comes_after_every_item_to_every_reader() -> None:
    stream = written("a", "b", error=GenerationError("the file is gone"))
    for _ in range(2):
        seen = []
        with pytest.raises(GenerationError, match="the file is gone"):
            for item in stream.read():
                seen.append(item)  # noqa: PERF402 - what came before the error counts
        assert seen == ["a", "b"]


def test_the_last_reader_to_leave_early_is_noticed_and_not_an_earlier_one() -> None:
    left: list[bool] = []
    stream: Stream[str] = Stream(on_abandoned=lambda: left.append(True))
    stream.append("a")
    first, second = stream.read(), stream.read()
    next(first), next(second)
    first.close()
    assert left == []
    second.close()
    assert left == [True]


def test_reading_to_the_end_abandons_nothing() -> None:
    left: list[bool] = []
    stream: Stream[str] = Stream(on_abandoned=lambda: left.append(True))
    stream.append("a")
    stream.end()
    assert list(stream.read()) == ["a"]
    assert left == []


def test_an_async_reader_that_breaks_off_is_noticed() -> None:
    left = threading.Event()
    stream: Stream[str] = Stream(on_abandoned=left.set)
    stream.append("a")

    async def read_one() -> None:
        async for _ in stream.read_async():
            break
        await asyncio.sleep(0)

    asyncio.run(read_one())
    assert left.is_set()


def test_a_writer_survives_a_reader_whose_event_loop_has_closed() -> None:
    stream: Stream[str] = Stream()
    loop = asyncio.new_event_loop()
    task = loop.create_task(collect(stream))
    loop.run_until_complete(asyncio.wait({task}, timeout=0.01))
    task._log_destroy_pending = False  # type: ignore[attr-defined]  # it never ends: that is the case
    loop.close()
    stream.append("a")
    stream.end()
    assert list(stream.read()) == ["a"]


def test_a_waiter_is_woken_by_a_notice_before_there_is_an_item() -> None:
    stream: Stream[str] = Stream()
    woken = threading.Event()

    def wait() -> None:
        if stream.wait_for_change(30):
            woken.set()

    waiting = threading.Thread(target=wait)
    waiting.start()
    while waiting.is_alive():
        stream.notify()
        waiting.join(0.01)
    assert woken.is_set()
    assert stream.items == []


def test_a_waiter_is_told_that_nothing_changed() -> None:
    assert not Stream[str]().wait_for_change(0.01)
    assert written("a").wait_for_change(30)
