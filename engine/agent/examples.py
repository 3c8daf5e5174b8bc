"""Questions, by the tool that each is for: what small models' tools are chosen by (routing.py).

They are data (examples.json), short as people write them, and none is among those that the
benchmark reports on. Under ANSWER stands what needs no tool.
"""

import json
from pathlib import Path

ANSWER = "answer"
QUESTIONS: dict[str, list[str]] = json.loads(
    Path(__file__).with_suffix(".json").read_text(encoding="utf-8")
)
