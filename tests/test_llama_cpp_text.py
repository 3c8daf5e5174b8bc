"""Bytes → pieces: no character split, no stop string shown, nothing lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.llm.text import TextAssembler


def feed(assembler: TextAssembler, parts: list[bytes]) -> list[str]:
    pieces = [assembler.feed(part) for part in parts]
    return [piece for piece in [*pieces, assembler.finish()] if piece]


def bytewise(text: str) -> list[bytes]:
    return [bytes([byte]) for byte in text.encode()]


@pytest.mark.parametrize(
    "character", ["é", "中", "😀", "👨‍👩‍👧", "👍🏽", "🇫🇷", "n\u0303", "நி"], ids=ascii
)
def test_a_character_comes_whole_however_its_bytes_come(character: str) -> None:
    pieces = feed(TextAssembler(combining=True), bytewise(f"a{character}b{character}"))
    assert "".join(pieces) == f"a{character}b{character}"
    assert "".join(pieces).count(character) == sum(piece.count(character) for piece in pieces)


def test_plain_text_is_not_held_back() -> None:
    assembler = TextAssembler()
    assert [assembler.feed(part) for part in (b"The", b" dog", b".")] == ["The", " dog", "."]


def test_a_letter_waits_for_its_mark_where_marks_are_expected() -> None:
    expecting, plain = TextAssembler(combining=True), TextAssembler()
    assert expecting.feed(b"cafe") == "caf"
    assert plain.feed(b"cafe") == "cafe"
    assert expecting.feed("\u0301!".encode()) == "e\u0301"


def test_an_unfinished_character_at_the_end_becomes_a_replacement_sign() -> None:
    assert feed(TextAssembler(), [b"ok ", "é".encode()[:1]]) == ["ok ", "\ufffd"]


@given(st.text(), st.lists(st.integers(1, 5)), st.booleans())
def test_no_text_is_lost_whatever_the_cuts(text: str, sizes: list[int], combining: bool) -> None:
    data = (
        text.encode("utf-8", "surrogatepass") if text.isascii() else text.encode(errors="replace")
    )
    parts, at = [], 0
    for size in [*sizes, max(1, len(data))]:
        parts.append(data[at : at + size])
        at += size
    parts.append(data[at:])
    assert "".join(feed(TextAssembler(combining=combining), parts)) == data.decode()


@given(st.text("ab", max_size=30), st.lists(st.text("ab", min_size=1, max_size=4), max_size=3))
def test_a_stop_string_ends_the_text_wherever_the_cuts_are(text: str, stops: list[str]) -> None:
    ends = [text.index(stop) for stop in stops if stop in text]
    # The first to be complete wins: byte by byte, that is the one whose end comes first.
    closes = [text.index(stop) + len(stop) for stop in stops if stop in text]
    assembler = TextAssembler(stops)
    shown = "".join(feed(assembler, bytewise(text)))
    assert assembler.ended == bool(ends)
    if not ends:
        assert shown == text
    else:
        assert text.startswith(shown)
        assert not any(stop in shown for stop in stops)
        assert len(shown) <= min(closes)


def test_text_that_only_began_like_a_stop_string_is_shown() -> None:
    assembler = TextAssembler(("<end>",))
    assert [assembler.feed(part) for part in (b"a <e", b"n", b"t", b"er>")] == [
        "a ",
        "",
        "<ent",
        "er>",
    ]


def test_the_cost_of_a_piece_does_not_grow_with_the_text() -> None:
    assembler = TextAssembler(("STOP",), combining=True)
    for _ in range(1000):
        assembler.feed(b"some text STO")
        assert len(assembler._held) <= 3  # all that the next piece looks at again
