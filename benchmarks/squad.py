"""SQuAD 2.0: real paragraphs with questions that people asked of them.

The file goes in; paragraphs and questions come out, in the file's order. The data is not part
of this project: CC BY-SA 4.0, Rajpurkar and others, 2018. Its path comes from SQUAD, or is where
this project's own data folder stands beside it.
"""

import json
import os
import random
from dataclasses import dataclass
from pathlib import Path

BESIDE = Path(__file__).parents[2] / "shared" / "data" / "squad_v2_dev_half.json"


@dataclass(frozen=True, slots=True)
class Paragraph:
    number: int
    text: str
    article: str


@dataclass(frozen=True, slots=True)
class Question:
    """`answers` are (text, offset in the paragraph); none where it cannot be answered."""

    text: str
    paragraph: Paragraph
    answers: tuple[tuple[str, int], ...]

    def answered_by(self, text: str) -> bool:
        """Whether a text contains one of the gold answers."""
        return any(answer.lower() in text.lower() for answer, _ in self.answers)


@dataclass(frozen=True, slots=True)
class Squad:
    paragraphs: list[Paragraph]
    questions: list[Question]

    @property
    def articles(self) -> list[str]:
        return list(dict.fromkeys(each.article for each in self.paragraphs))

    @property
    def answerable(self) -> list[Question]:
        return [each for each in self.questions if each.answers]

    @property
    def unanswerable(self) -> list[Question]:
        return [each for each in self.questions if not each.answers]


def load(path: Path | None = None) -> Squad:
    file = path or Path(os.environ.get("SQUAD", BESIDE))
    squad = Squad([], [])
    for article in json.loads(file.read_text())["data"]:
        for each in article["paragraphs"]:
            paragraph = Paragraph(len(squad.paragraphs), each["context"], article["title"])
            squad.paragraphs.append(paragraph)
            for question in each["qas"]:
                answers = {
                    (answer["text"], answer["answer_start"]) for answer in question["answers"]
                }
                squad.questions.append(
                    Question(question["question"], paragraph, tuple(sorted(answers)))
                )
    return squad


def sample(questions: list[Question], count: int, seed: int = 1) -> list[Question]:
    """As many of them at random, always the same; all where `count` is 0."""
    return random.Random(seed).sample(questions, count) if count else questions
