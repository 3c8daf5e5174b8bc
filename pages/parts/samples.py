"""The sample documents, for a newcomer without a file at hand, and questions they answer."""

import json
from pathlib import Path

from engine.workspace import Workspace

FOLDER = Path(__file__).parents[2] / "samples"
_LISTED = json.loads((FOLDER / ".questions.json").read_text(encoding="utf-8"))
SAMPLES: list[str] = [document["file"] for document in _LISTED["documents"]]
SHOWN = 5  # questions offered at once: what fits two lines of the page


def load_samples(workspace: Workspace, collection: str) -> None:
    for name in SAMPLES:
        workspace.ingestor.add(collection, name, (FOLDER / name).read_bytes())


def suggested_questions(workspace: Workspace, collection: str) -> list[str]:
    """Questions that the samples in this collection answer, and one that none does."""
    there = {document.file_name for document in workspace.library.documents(collection)}
    listed = _LISTED["questions"]
    answered = [each["question"] for each in listed if each["file"] in there]
    unanswered = [each["question"] for each in listed if each["file"] is None]
    return [*answered[: SHOWN - 1], *unanswered[:1]] if answered else []
