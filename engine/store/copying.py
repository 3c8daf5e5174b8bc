"""Copying: every collection of one store into another, and the proof that both have the same.

A source that is interrupted is not in the other store, and one that is there is not copied again:
so a copy that is begun again goes on where it was.
"""

import hashlib
from collections.abc import Callable
from itertools import islice

import numpy as np

from engine.errors import StoreError
from engine.run import Run
from engine.store.collection import Collection
from engine.store.points import Source
from engine.store.store import Store

_AT_ONCE = 256  # passages in memory

Report = Callable[[str, int, int], None]
"""Gets "copying" or "checking", and how many passages of how many are done."""


def copy_store(
    source: Store,
    target: Store,
    report: Report,
    run: Run,
    copied: set[tuple[str, str]],
    exact: bool = False,
) -> None:
    """Bring every collection of `source` into `target`.

    `copied`: the indexes and source ids that were copied, also by an earlier call. What `source`
    does not have any more is deleted. `exact`: what `target` has besides is deleted too; else it
    stays there.

    Afterwards the passages of each source have the same number and the same checksum in both: their
    texts, their facts, their vectors and their terms.

    Raises:
        StoreError: one of the stores failed, or passages differ although they were written twice.
        Cancelled: `run` was cancelled. What has been copied stays.
    """
    if exact:
        for name in set(target.collections()) - set(source.collections()):
            target.delete_collection(name)
    pairs = [
        (
            source.collection(name, model, dimension, create=False),
            target.collection(name, model, dimension, beside=True),
        )
        for name in source.collections()
        for model, dimension in source.dimensions(name).items()
    ]
    total = sum(each.passages for each, _ in pairs)
    for _ in range(2):
        done = 0
        for ours, theirs in pairs:
            besides = {source_id for name, source_id in copied if name == theirs.name}
            if exact:
                besides.update(each.source_id for each in theirs.sources())
            for source_id in besides:
                if ours.find(source_id) is None:
                    theirs.delete(source_id)
            done = _copy_missing(
                ours, theirs, lambda n: report("copying", n, total), done, run, copied
            )
        if not _different(pairs, lambda n: report("checking", n, total), run):
            return
    raise StoreError(
        "Some passages differ after they were copied. The index stays where it was. Try again."
    )


def _copy_missing(
    ours: Collection,
    theirs: Collection,
    report: Callable[[int], None],
    done: int,
    run: Run,
    copied: set[tuple[str, str]],
) -> int:
    there = {each.source_id: each for each in theirs.sources()}
    for source in reversed(ours.sources()):  # the oldest first, so that the order stays
        run.check()
        before = there.get(source.source_id)
        if before is None:
            _copy(ours, theirs, source, report, done, run)
            copied.add((theirs.name, source.source_id))
        elif before != source and before.passages == source.passages:
            theirs.change(source)  # renamed or tagged
        done += source.passages
        report(done)
    return done


def _copy(
    ours: Collection,
    theirs: Collection,
    source: Source,
    report: Callable[[int], None],
    done: int,
    run: Run,
) -> None:
    passages = ours.export(source)
    with theirs.adding(source) as writer:
        while part := list(islice(passages, _AT_ONCE)):
            run.check()
            writer.add(
                [each.node for each in part],
                np.stack([each.vector for each in part]),
                [each.terms for each in part],
            )
            report(done + writer.written)


def _different(
    pairs: list[tuple[Collection, Collection]], report: Callable[[int], None], run: Run
) -> bool:
    """Whether something was. It is deleted in the second collection, to be copied again."""
    different, done = False, 0
    for ours, theirs in pairs:
        there = {each.source_id: each for each in theirs.sources()}
        for source in ours.sources():
            run.check()
            copied = there.get(source.source_id)
            if copied != source or checksum(ours, source) != checksum(theirs, source):
                different = True
                theirs.delete(source.source_id)
            done += source.passages
            report(done)
    return different


def checksum(collection: Collection, source: Source) -> str:
    """Of all passages of a source, in order.

    Raises:
        StoreError: a passage is missing, or could not be read.
    """
    found = hashlib.sha256()
    for passage in collection.export(source):
        passage.add_to(found)
    return found.hexdigest()

