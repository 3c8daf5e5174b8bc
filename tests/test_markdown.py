import pytest

from pages.parts.markdown import with_marks


def marked(text: str, *places: int) -> str:
    marks = [(place, number) for number, place in enumerate(places, start=1)]
    return with_marks(text, marks, lambda number: f"#source-{number}")


def test_a_mark_is_a_link_to_its_source_after_its_sentence() -> None:
    assert marked("It was. So it is.", 7, 17) == (
        "It was. [\\[1\\]](#source-1) So it is. [\\[2\\]](#source-2)"
    )


def test_a_mark_that_the_model_wrote_is_no_link() -> None:
    shown = marked("It was [1](http://evil.example). See [2].")
    assert shown == "It was \\[1\\](http\\://evil.example). See \\[2\\]."


@pytest.mark.parametrize("text", ["`code` and `more.", "| a | b |", "    code.", "```\ncode."])
def test_there_is_no_mark_where_its_markup_would_show(text: str) -> None:
    assert "#source" not in marked(text, len(text))
