"""The sample documents, for a newcomer without a file at hand, and questions they answer."""

import json
from pathlib import Path

from engine.workspace import Workspace

FOLDER = Path(__file__).parents[2] / "samples"
_LISTED = json.loads((FOLDER / ".questions.json").read_text(encoding="utf-8"))
SAMPLES: list[str] = [document["file"] for document in _LISTED["documents"]]
# Questions offered at once, which fit two lines of the page: of each sort, and one that no document
# answers
FACTS, KINDS = 2, 2


def load_samples(workspace: Workspace, collection: str) -> None:
    for name in SAMPLES:
        workspace.ingestor.add(collection, name, (FOLDER / name).read_bytes())


def suggested_questions(workspace: Workspace, collection: str) -> list[str]:
    """Questions that the samples in this collection answer, and one that none does."""
    there = {document.file_name for document in workspace.library.documents(collection)}
    listed = _LISTED["questions"]
    facts = [each["question"] for each in listed if each["file"] in there]
    kinds = [each["question"] for each in _LISTED["kinds"] if there.issuperset(each["files"])]
    unanswered = [each["question"] for each in listed if each["file"] is None]
    return [*facts[:FACTS], *kinds[:KINDS], *unanswered[:1]] if facts else []
