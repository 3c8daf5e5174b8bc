"""Kept states: the longest shared beginning, the smallest that has it, within the budget."""

import threading
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from engine.llm.state_files import StateFiles
from engine.llm.states import StateStore

TOKEN_LISTS = st.lists(st.lists(st.integers(0, 2), max_size=8), max_size=8)


def cells(size: int = 100) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    return np.zeros(size, np.uint8)


@given(TOKEN_LISTS, st.lists(st.integers(0, 2), max_size=8))
def test_it_finds_the_longest_shared_beginning(kept: list[list[int]], prompt: list[int]) -> None:
    store = StateStore(10**6)
    for tokens in kept:
        store.add(tokens, cells())

    def shared(tokens: list[int]) -> int:
        pairs = zip(tokens, prompt, strict=False)
        return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(tokens), len(prompt)))

    state, length = store.find(prompt)
    assert length == store.kept(prompt) == max(map(shared, kept), default=0)
    assert (state is None) == (length == 0)


def test_an_indivisible_state_is_used_whole_or_not_at_all() -> None:
    store = StateStore(10**6, divisible=False)
    store.add([1, 2, 3], cells())
    assert store.kept([1, 2, 4]) == 0
    assert store.kept([1, 2, 3, 4]) == 3


def test_of_two_that_save_as_much_the_smaller_is_restored() -> None:
    store = StateStore(10**6)
    store.add([1, 2, 3, 4, 5], cells(5000))
    store.add([1, 2], cells(200), pinned=True)
    state, length = store.find([1, 2, 9])
    assert state is not None
    assert (state.cells.size, length) == (200, 2)


def test_a_longer_state_replaces_its_beginning_unless_that_is_to_last() -> None:
    store = StateStore(10**6)
    store.add([1], cells(), pinned=True)
    store.add([1, 2], cells())
    store.add([1, 2, 3], cells())
    assert [len(state.tokens) for state in store._states] == [1, 3]


def test_the_least_recently_used_goes_first_and_the_budget_holds() -> None:
    store = StateStore(350)
    store.add([1, 1], cells())
    store.add([2, 2], cells())
    store.add([3, 3], cells())
    store.find([1, 1, 5])
    store.add([4, 4], cells())
    assert [store.kept(prompt) for prompt in ([1, 1], [2, 2], [3, 3], [4, 4])] == [2, 0, 2, 2]
    assert store.size <= 350


def test_a_state_over_the_budget_is_not_kept_and_drives_nothing_out() -> None:
    store = StateStore(350)
    store.add([1], cells())
    store.add([2], cells(400))
    assert (store.kept([1]), store.kept([2])) == (1, 0)


def test_many_threads_at_once() -> None:
    store, errors = StateStore(2000), list[BaseException]()

    def work(seed: int) -> None:
        try:
            for step in range(300):
                store.add([seed, step % 7, step % 3], cells())
                store.find([seed, step % 5])
                assert store.size <= 2000
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


def test_what_was_begun_before_all_was_dropped_is_not_kept_afterwards() -> None:
    store = StateStore(1_000_000)
    before = store.epoch
    store.clear()
    store.add([1, 2, 3], cells(), epoch=before)
    assert store.kept([1, 2, 3]) == 0
    store.add([1, 2, 3], cells(), epoch=store.epoch)
    assert store.kept([1, 2, 3]) == 3


# On disk


def reopened(folder: Path, key: str = "model", budget: int = 10_000) -> StateStore:
    store = StateStore(budget)
    store.keep_in(StateFiles(folder, [key], budget))
    return store


def test_what_was_read_ahead_is_there_after_a_restart(tmp_path: Path) -> None:
    store = reopened(tmp_path)
    store.add([1, 2, 3], np.arange(100, dtype=np.uint8), pinned=True)
    store.add([4, 5, 6], cells())  # a question: stays in memory
    store.close()
    later = reopened(tmp_path)
    state, length = later.find([1, 2, 3, 4])
    assert state is not None
    assert (length, state.cells.tolist()) == (3, list(range(100)))
    assert later.kept([4, 5, 6]) == 0


def test_files_of_another_model_are_not_used(tmp_path: Path) -> None:
    store = reopened(tmp_path)
    store.add([1, 2, 3], cells(), pinned=True)
    store.close()
    assert reopened(tmp_path, "another model").kept([1, 2, 3]) == 0
    assert reopened(tmp_path).kept([1, 2, 3]) == 3


def test_a_damaged_file_is_ignored_and_deleted(tmp_path: Path) -> None:
    for damage in (lambda file: b"", lambda file: file[:-1], lambda file: file[:50] + b"x"):
        store = reopened(tmp_path)
        store.add([1, 2, 3], cells(), pinned=True)
        store.close()
        (file,) = tmp_path.glob("*/*.state")
        file.write_bytes(damage(file.read_bytes()))
        assert reopened(tmp_path).kept([1, 2, 3]) == 0
        assert not file.exists()


def test_the_files_keep_within_the_limit_and_the_oldest_go_first(tmp_path: Path) -> None:
    for key in ("old model", "model"):
        store = reopened(tmp_path, key, budget=500)
        for number in range(6):
            store.add([number] * 5, cells(), pinned=True)
        store.close()
        assert sum(file.stat().st_size for file in tmp_path.glob("*/*")) <= 500
    later = reopened(tmp_path, budget=500)
    assert later.kept([5] * 5) == 5
    assert later.kept([0] * 5) == 0


def test_dropping_all_deletes_the_files_of_every_model(tmp_path: Path) -> None:
    for key in ("old model", "model"):
        store = reopened(tmp_path, key)
        store.add([1, 2, 3], cells(), pinned=True)
        if key == "model":
            store.clear()
            store.add([4, 5, 6], cells(), pinned=True, epoch=store.epoch - 1)
        store.close()
    assert not list(tmp_path.glob("*/*"))


def test_a_folder_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = reopened(tmp_path / "file" / "states")
    store.add([1, 2, 3], cells(), pinned=True)
    assert store.kept([1, 2, 3]) == 3
    store.close()
