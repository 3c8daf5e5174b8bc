"""Many texts, worked on one by one, on as many cores as are free.

Texts and a function of one text go in; results come out in the order of the texts. One text
takes one core: ONNX sessions are made with one thread, and the parallelism comes from here.

Batches do not pay on a processor. Measured with the int8 models on SQuAD, texts a second of
one thread by batch size 1, 2, 4, 8, 32: embedding paragraphs 25, 26, 21, 18, 11; reranking
sentences 85, 86, 84, 68, 50. And the int8 models scale a batch by its largest value, so a
text's result would depend on its neighbours (cosines down to 0.995); alone it does not.

It does not know what is done to the texts.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from engine.cores import Priority, cores
from engine.run import Run

Result = TypeVar("Result")


def map_texts(
    work: Callable[[str], Result],
    texts: Sequence[str],
    priority: Priority,
    run: Run | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> list[Result]:
    """`[work(text) for text in texts]`. `on_progress` gets the number of texts done.

    Raises:
        Cancelled: between texts, where `run` is cancelled.
    """
    job = _Job(work, texts, priority, run, on_progress)
    helpers = [
        threading.Thread(target=job.help, name="map_texts", daemon=True)
        for _ in range(min(cores().total, len(texts)) - 1)
    ]
    for helper in helpers:
        helper.start()
    job.help()
    for helper in helpers:
        helper.join()
    if job.error is not None:
        raise job.error
    return [job.results[place] for place in range(len(texts))]


class _Job(Generic[Result]):
    """One call of `map_texts`. Whoever is free takes the next text; the first error ends all."""

    def __init__(
        self,
        work: Callable[[str], Result],
        texts: Sequence[str],
        priority: Priority,
        run: Run | None,
        on_progress: Callable[[int], None] | None,
    ) -> None:
        self._work, self._texts, self._priority = work, texts, priority
        self._run, self._on_progress = run, on_progress
        self._lock = threading.Lock()
        # the long ones first, so that no thread is left with a long one at the end
        self._places = iter(sorted(range(len(texts)), key=lambda place: -len(texts[place])))
        self.results: dict[int, Result] = {}
        self.error: BaseException | None = None

    def help(self) -> None:
        try:
            while self.error is None and self._step():
                pass
        except BaseException as error:
            self.error = error

    def _step(self) -> bool:
        if self._run is not None:
            self._run.check()
        with self._lock:
            place = next(self._places, None)
        if place is None:
            return False
        with cores().take(1, self._priority, self._run):
            result = self._work(self._texts[place])
        with self._lock:
            self.results[place] = result
            if self._on_progress is not None:
                self._on_progress(len(self.results))
        return True
