"""KeptSummaries: summaries on disk, so that the second time is instant.

A summary belongs to the content of its documents and to the model that made it. It is deleted with
the first of its documents that is deleted or changed.
"""

import hashlib
import json
import logging
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from engine.durable import write_whole
from engine.kinds.summary import Scope
from engine.schema import Evidence, Node, NodeWithScore, Scores

log = logging.getLogger(__name__)

# Changes when summaries are made in another way
VERSION = 1


@dataclass(frozen=True, slots=True)
class Kept:
    text: str
    sources: list[NodeWithScore]


class KeptSummaries:
    """A file for each summary, in `folder`. A file that cannot be read is as good as none."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, scopes: Sequence[Scope], model: str) -> Kept | None:
        try:
            record = json.loads(self._file(scopes, model).read_text(encoding="utf-8"))
            sources = [
                NodeWithScore(
                    Node(**each["node"]),
                    each["score"],
                    Scores(**each["scores"]),
                    tuple(Evidence(**one) for one in each["evidence"]),
                )
                for each in record["sources"]
            ]
            return Kept(record["text"], sources)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, LookupError, TypeError):
            log.exception("A kept summary cannot be read")
            return None

    def keep(
        self, scopes: Sequence[Scope], model: str, text: str, sources: Sequence[NodeWithScore]
    ) -> None:
        record = {
            "documents": sorted({scope.book.source.source_id for scope in scopes}),
            "text": text,
            "sources": [asdict(each) for each in sources],
        }
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_whole(self._file(scopes, model), json.dumps(record).encode())
        except OSError:  # it is made again the next time
            log.exception("A summary could not be kept")

    def forget(self, source_ids: Collection[str]) -> None:
        """Delete the summaries of these documents."""
        self._drop(lambda documents: not documents.isdisjoint(source_ids))

    def keep_only(self, source_ids: Collection[str]) -> None:
        """Delete the summaries of all other documents."""
        self._drop(lambda documents: not documents <= set(source_ids))

    def _drop(self, chosen: Callable[[set[str]], bool]) -> None:
        for file in self.folder.glob("*.json"):
            try:
                documents = set(json.loads(file.read_text(encoding="utf-8"))["documents"])
            except (OSError, ValueError, LookupError, TypeError):
                documents = None
            if documents is None or chosen(documents):
                with suppress(OSError):
                    file.unlink()

    def _file(self, scopes: Sequence[Scope], model: str) -> Path:
        digest = hashlib.sha256(f"{VERSION}\n{model}".encode())
        for scope in scopes:
            digest.update(
                f"\n{scope.book.source.content_hash}\n{scope.name}{scope.book.collection}".encode(
                    "utf-8", "replace"
                )
            )
        return self.folder / f"{digest.hexdigest()[:32]}.json"
