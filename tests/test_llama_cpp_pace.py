"""Threads and slices follow what was quickest of late. Durations are made up here."""

from collections.abc import Callable

from engine.llm.pace import SliceChoice, ThreadChoice


def chosen(choice: ThreadChoice, most: int, seconds: Callable[[int], float], steps: int) -> int:
    """The count chosen most often in the last 50 of so many steps."""
    counts = []
    for _ in range(steps):
        count = choice.choose(1, most)
        choice.record(1, count, seconds(count))
        counts.append(count)
    return max(set(counts[-50:]), key=counts[-50:].count)


def test_the_quicker_number_of_threads_is_found_and_followed() -> None:
    choice = ThreadChoice()
    assert chosen(choice, 2, lambda n: 0.008 if n == 2 else 0.010, 100) == 2
    assert chosen(choice, 2, lambda n: 0.080 if n == 2 else 0.010, 100) == 1  # a core was taken
    assert chosen(choice, 2, lambda n: 0.008 if n == 2 else 0.010, 800) == 2  # and given back


def test_a_number_of_threads_that_lost_in_a_disturbed_moment_soon_comes_back() -> None:
    choice = ThreadChoice()
    assert chosen(choice, 2, lambda n: 0.080 if n == 2 else 0.010, 60) == 1
    assert chosen(choice, 2, lambda n: 0.006 if n == 2 else 0.010, 120) == 2


def test_the_best_of_many_lies_anywhere() -> None:
    assert chosen(ThreadChoice(), 16, lambda n: abs(n - 4) + 1.0, 200) == 4


def test_trials_of_a_clear_loser_are_rare() -> None:
    choice = ThreadChoice()
    trials = 0
    for _ in range(1024):
        count = choice.choose(1, 2)
        choice.record(1, count, 0.1 if count == 2 else 0.01)
        trials += count == 2
    assert trials <= 3 + 8  # each ends with its first step


def test_a_step_that_another_program_made_longer_decides_nothing() -> None:
    choice = ThreadChoice()
    steps = iter(range(10**6))
    noisy = lambda n: 0.050 if n == 2 and next(steps) % 5 == 0 else 0.010 - 0.001 * n  # noqa: E731
    assert chosen(choice, 2, noisy, 500) == 2


def test_a_prompt_takes_its_share_of_cores_at_once() -> None:
    assert ThreadChoice().choose("read", 2) == 2


def test_a_slice_lasts_about_as_long_as_asked() -> None:
    slices = SliceChoice(largest=512)
    for _ in range(30):
        slices.record(2, 64, 64 / 1000)
    assert slices.choose(2, 0.1) == 100
    assert slices.choose(2, 0.03) == 30


def test_a_slice_keeps_within_its_bounds() -> None:
    slices = SliceChoice(largest=128)
    for _ in range(30):
        slices.record(1, 64, 1e-6)
        slices.record(2, 64, 100.0)
    assert slices.choose(1, 0.1) == 128
    assert slices.choose(2, 0.1) == SliceChoice.SMALLEST


def test_a_remainder_says_nothing_about_the_rate() -> None:
    slices = SliceChoice(largest=128)
    before = slices.choose(1, 0.1)
    slices.record(1, 2, 10.0)
    assert slices.choose(1, 0.1) == before
