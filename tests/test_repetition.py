"""When a text repeats itself, and that the model is then stopped."""

from pathlib import Path

import pytest

from engine.llm import GenerationOptions, LlamaCpp
from engine.llm.repetition import RepetitionError, RepetitionGuard, repeats_from
from engine.run import Run
from engine.schema import ChatMessage

README = Path(__file__).parents[1] / "README.md"


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("It means: " + "heißt " * 8, "It means: heißt"),
        ("There was a man from Peru,\n" * 3, "There was a man from Peru,"),
        (
            "".join(f"{n}. The dog is brown.\n" for n in range(1, 5)),
            "1. The dog is brown.",
        ),
        ("好的" * 20, "好的"),
        ("One third is 0." + "3" * 60, "One third is 0.3"),
        ("A. " + "The fare is 4. The walk is long. " * 3, "A. The fare is 4. The walk is long."),
    ],
)
def test_a_repetition_begins_after_the_first_of_its_units(text: str, kept: str) -> None:
    place = repeats_from(text)
    assert place is not None
    assert text[:place] == kept


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Ha ha ha ha!",
        "La la la, she sang. La la la, he sang.",
        "| Town | Fare |\n" + "| --- " * 20 + "|",
        ", ".join(map(str, range(1, 60))),
        "Row, row, row your boat,\nGently down the stream.\n" * 2,
        "The fare is 4 euros. The fare is 4 euros.",
        "x" * 500 + " and then it ended",
    ],
)
def test_what_people_write_is_no_repetition(text: str) -> None:
    assert repeats_from(text) is None


def test_no_beginning_of_a_long_document_counts_as_a_repetition() -> None:
    text = README.read_text("utf-8")
    assert not [end for end in range(0, len(text), 101) if repeats_from(text[:end]) is not None]


def test_the_guard_passes_chunks_on_until_the_text_repeats_itself() -> None:
    shown: list[str] = []
    guard = RepetitionGuard(shown.append)
    with pytest.raises(RepetitionError):
        for _ in range(100):
            guard("The dog barks. ")
    assert guard.text == "The dog barks."
    assert "".join(shown) == "The dog barks. " * len(shown)
    assert len(shown) < 6


def test_a_model_that_repeats_itself_is_stopped(llm: LlamaCpp) -> None:
    # A grammar makes the real model repeat itself
    options = GenerationOptions(max_tokens=400, grammar='root ::= ("The dog barks. "){100}')
    guard, run = RepetitionGuard(), Run()
    with pytest.raises(RepetitionError):
        llm.write_chat(guard, [ChatMessage("user", "What does the dog do?")], options, run)
    assert guard.text == "The dog barks."
    assert run.trace.calls[0].output_tokens < 100
