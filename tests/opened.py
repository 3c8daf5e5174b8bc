"""A library with its uploads, opened as the workspace opens them."""

import time
from pathlib import Path

from engine.config import Config
from engine.workspace.ingestion import Ingestor, Stage, Upload
from engine.workspace.library import Library

MILL = b"The tide mill on Quay Street was built in 1684 by Alys Fenn."
BREAD = b"Rye bread is baked on Tuesdays and Fridays, from six in the morning."
FERRY = b"A single fare on the ferry to Sula costs four pounds. Dogs travel free."
QUESTIONS = ("Who built the mill?", "When is rye bread baked?", "What does the ferry cost?")


class Opened:
    """A library with its uploads, as the workspace has them."""

    def __init__(self, folder: Path, qdrant_url: str = "") -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.library = Library(folder, Config(data_dir=folder, qdrant_url=qdrant_url))
        self.ingestor = Ingestor(folder / "incoming", self.library.take, self.library.index)

    def add(self, name: str, content: bytes, collection: str = "default") -> Upload:
        upload = self.ingestor.add(collection, name, content)
        self.settle()
        return upload

    def settle(self) -> None:
        """Wait for uploads and repairs. Repairs that are all ready leave the list together."""
        ended = {Stage.FAILED, Stage.LOCKED, Stage.READY, Stage.STOPPED}
        while True:
            stages = {each.stage for each in self.library.repairs()}
            if not self.ingestor.busy and stages <= ended and stages != {Stage.READY}:
                return
            time.sleep(0.01)

    def names(self, collection: str = "default") -> list[str]:
        return sorted(each.file_name for each in self.library.documents(collection))

    def answers(self) -> list[list[tuple[str, str, str]]]:
        """What each question finds: text, id and label of passages."""
        retriever = self.library.index("default").as_retriever(3, rerank=False)
        return [
            [(hit.node.text, hit.node.id_, hit.node.label) for hit in retriever.retrieve(question)]
            for question in QUESTIONS
        ]

    def close(self) -> None:
        self.ingestor.close()
        self.library.close()

    def restarted(self, qdrant_url: str = "") -> "Opened":
        self.close()
        return Opened(self.folder, qdrant_url)
