"""Passages: exact slices of whole sentences that fit, the same again each time."""

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.embedding import BgeEmbedding
from engine.errors import ConfigError
from engine.schema import Document, Node
from engine.settings import Settings
from engine.splitting import (
    SentenceSplitter,
    estimate_tokens,
    sentence_spans,
    statement_spans,
)

SQUAD = Path(__file__).parents[2] / "shared" / "data" / "squad_v2_dev_half.json"


def words(texts: Sequence[str]) -> list[int]:
    return [len(text.split()) for text in texts]


def sentences(text: str) -> list[str]:
    return [text[start:end] for start, end in sentence_spans(text)]


def split(text: str, size: int, overlap: int = 0) -> list[Node]:
    return SentenceSplitter(size, overlap, words).get_nodes_from_documents([Document(text)])


@pytest.mark.parametrize(
    "expected",
    [
        ["Dr. Smith met J. R. R. Tolkien.", "It cost 3.5 million, i.e. a lot."],
        ['"Really?" she asked.', "Yes."],
        ["See Fig. 3 and Sec. 2.1.", "The U.S. Army left."],
        ["He is from the U.S.", "He left."],
        ["It was at approx. 4 kg vs. 5 kg.", "And more..."],
        ["What?!", "No (not at all).", "Yes.", "No.", "So be it."],
        ["1. First item.", "2. Second item, in vol. 3."],
        ["هذا سؤال؟", "نعم."],
        ["Ça va ?", "Très bien !"],
    ],
)
def test_a_sentence_ends_where_a_reader_says_it_does(expected: list[str]) -> None:
    assert sentences(" ".join(expected)) == expected


def test_a_heading_is_in_one_statement_with_the_sentence_below_it() -> None:
    text = "What pressure is right?\n\nTwo bar. Never more.\n\n3. Lamps\nOne burns.\n\n- oil\n- gas"
    assert [text[head:end] for head, _, end in statement_spans(text)] == [
        "What pressure is right?\n\nTwo bar.",
        "Never more.",
        "3. Lamps\nOne burns.",
        "- oil",
        "- gas",
    ]
    assert [text[start:end] for _, start, end in statement_spans(text)][2] == "One burns."


def test_scripts_without_spaces_have_sentences_too() -> None:
    assert sentences("これは文です。次の文です！はい？「そう。」") == [
        "これは文です。",
        "次の文です！",
        "はい？",
        "「そう。」",
    ]


def test_a_newline_ends_a_sentence_unless_the_line_was_wrapped_by_hand() -> None:
    assert sentences("A heading\nFirst item\n- second\n\nProse.") == [
        "A heading",
        "First item",
        "- second",
        "Prose.",
    ]
    wrapped = "It was the best of times, it was the worst of times, it was the\nage of wisdom."
    assert sentences(wrapped) == [wrapped]


def test_each_row_of_a_table_is_a_sentence_though_it_looks_like_a_wrapped_line() -> None:
    row = "item_no: E-01; item: Avalanche transceiver Pulsar 3; unit_price: 289.00; at: locker room"
    assert sentences(f"{row}\n{row}\n{row}") == [row] * 3


@given(st.text(alphabet=st.characters(), max_size=200))
def test_sentences_hold_every_letter_once_and_in_order(text: str) -> None:
    joined = "".join(sentences(text))
    assert "".join(joined.split()) == "".join(text.split())


TEXTS = st.lists(
    st.sampled_from(
        ["One two. ", "Three four five six. ", "\n\n", "Seven\n", "x" * 40 + " ", "。"]
    ),
    max_size=40,
).map("".join)


@given(TEXTS, st.integers(1, 12), st.integers(0, 11))
def test_passages_are_slices_that_fit_and_hold_everything(
    text: str, size: int, overlap: int
) -> None:
    overlap = min(overlap, size - 1)
    nodes = split(text, size, overlap)
    held: set[int] = set()
    for number, node in enumerate(nodes):
        assert node.text == text[node.start_char : node.end_char] == node.text.strip()
        assert node.position == number
        assert words([node.text])[0] <= size
        assert not number or node.end_char > nodes[number - 1].end_char
        held.update(range(node.start_char, node.end_char))
    assert all(char.isspace() for place, char in enumerate(text) if place not in held)


@given(TEXTS, st.integers(4, 12))
def test_a_sentence_that_fits_is_never_cut(text: str, size: int) -> None:
    nodes = split(text, size)
    for start, end in sentence_spans(text):
        if words([text[start:end]])[0] <= size and end - start < 16 * size:
            assert any(node.start_char <= start and end <= node.end_char for node in nodes)


def test_the_overlap_is_whole_sentences_of_at_most_so_many_tokens() -> None:
    text = "One two three. Four five. Six seven. Eight nine ten."
    first, second = split(text, 7, overlap=5)
    assert first.text == "One two three. Four five. Six seven."
    assert second.text == "Four five. Six seven. Eight nine ten."
    assert split(text, 7, overlap=1)[1].text == "Eight nine ten."


def test_a_passage_ends_with_a_paragraph_where_one_ends_late_in_it() -> None:
    text = "One two three. Four five.\n\nSix seven. Eight nine. Ten eleven twelve."
    assert [node.text for node in split(text, 7)] == [
        "One two three. Four five.",
        "Six seven. Eight nine. Ten eleven twelve.",
    ]


def test_a_sentence_too_long_is_cut_between_words_and_a_word_between_letters() -> None:
    assert [node.text for node in split("one two three four five", 2)] == [
        "one two",
        "three four",
        "five",
    ]
    letters = SentenceSplitter(4, 0, lambda texts: [len(text) for text in texts])
    nodes = letters.get_nodes_from_documents([Document("abcdefghij")])
    assert "".join(node.text for node in nodes) == "abcdefghij"
    assert all(len(node.text) <= 4 for node in nodes)


def test_a_word_without_end_does_not_make_a_passage_without_end() -> None:
    one_token_each = SentenceSplitter(10, 0, words)
    nodes = one_token_each.get_nodes_from_documents([Document("A" * 5_000)])
    assert max(len(node.text) for node in nodes) <= 160
    assert "".join(node.text for node in nodes) == "A" * 5_000


def test_lone_surrogates_are_replaced_one_for_one() -> None:
    (node,) = split("A \ud800 fox.", 5)
    assert (node.text, node.start_char, node.end_char) == ("A ? fox.", 0, 8)


@pytest.mark.parametrize("text", ["word " * 8_000, "x" * 40_000, "One two. " * 5_000, "“a" * 9_000])
def test_a_line_longer_than_a_window_is_held_whole(text: str) -> None:
    nodes = split(text, 100, overlap=0)
    assert all(words([node.text])[0] <= 100 for node in nodes)
    assert "".join("".join(node.text.split()) for node in nodes) == "".join(text.split())
    if text.startswith("One"):
        assert all(node.text.endswith("two.") for node in nodes)


PEAK = """
import random, resource, sys
from engine.embedding import BgeEmbedding
from engine.schema import Document
from engine.settings import Settings
from engine.splitting import SentenceSplitter

choice = random.Random(1)
words = "the tide mill keeper lamp harbour ferry bread stone wheel moon island".split()
text = " ".join(choice.choice(words) for _ in range(750_000))
if sys.argv[1] == "paragraphs":
    text = "\\n\\n".join(text[start : start + 500] for start in range(0, len(text), 500))
embedding = BgeEmbedding(Settings.weights.embedder)
splitter = SentenceSplitter(256, 32, embedding.count_tokens)
splitter.get_nodes_from_documents([Document(text[:20_000])])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
splitter.get_nodes_from_documents([Document(text)])
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


def test_one_huge_line_takes_little_more_memory_than_the_same_text_in_paragraphs() -> None:
    unit = 1024 if sys.platform == "linux" else 1
    line, paragraphs = (
        unit
        * int(
            subprocess.run(
                [sys.executable, "-c", PEAK, kind],
                cwd=Path(__file__).parents[1],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
        )
        for kind in ("line", "paragraphs")
    )
    assert line < paragraphs + 40_000_000
    assert line < 100_000_000


def test_positions_run_on_over_the_documents_of_a_source_and_ids_stay_the_same() -> None:
    documents = [
        Document("One. Two.", {"page_label": "1"}, source_id="a"),
        Document("Other.", source_id="b"),
        Document("Three.", {"page_label": "2"}, source_id="a"),
    ]
    splitter = SentenceSplitter(1, 0, words)
    nodes = splitter.get_nodes_from_documents(documents)
    assert [(node.source_id, node.position) for node in nodes] == [
        ("a", 0),
        ("a", 1),
        ("b", 0),
        ("a", 2),
    ]
    assert [node.metadata.get("page_label") for node in nodes] == ["1", "1", None, "2"]
    again = splitter.get_nodes_from_documents(documents)
    assert [node.id_ for node in nodes] == [node.id_ for node in again]
    assert len({node.id_ for node in nodes}) == 4


def test_the_same_text_in_two_sources_has_two_ids() -> None:
    one, other = (
        SentenceSplitter().get_nodes_from_documents([Document("Same.", source_id=name)])[0]
        for name in ("a", "b")
    )
    assert one.id_ != other.id_


@pytest.mark.parametrize("text", ["", "  \n\t ", "\n\n\n"])
def test_nothing_gives_no_passages(text: str) -> None:
    assert split(text, 5) == []


@pytest.mark.parametrize(("size", "overlap"), [(0, 0), (-1, 0), (10, 10), (10, 11), (10, -1)])
def test_sizes_that_make_no_sense_are_refused_with_their_numbers(size: int, overlap: int) -> None:
    with pytest.raises(ConfigError, match=str(overlap if size > 0 else size)):
        SentenceSplitter(size, overlap)


def test_passages_fit_by_the_embedders_own_count() -> None:
    count = BgeEmbedding(Settings.weights.embedder).count_tokens
    text = "Photosynthesis, discovered in 1779, occurs in chloroplasts (naturally). " * 60
    nodes = SentenceSplitter(100, 20, count).get_nodes_from_documents([Document(text)])
    sizes = count([node.text for node in nodes])
    assert max(sizes) <= 100 and min(sizes[:-1]) > 70


@pytest.mark.skipif(not SQUAD.exists(), reason="no SQuAD beside the repository")
def test_on_squad_sentences_hold_the_answers_and_the_estimate_is_seldom_too_low() -> None:
    count = BgeEmbedding(Settings.weights.embedder).count_tokens
    paragraphs = [
        paragraph
        for article in json.loads(SQUAD.read_text())["data"]
        for paragraph in article["paragraphs"]
    ]
    answers = cut = 0
    for paragraph in paragraphs:
        spans = sentence_spans(paragraph["context"])
        for answer in (each["answers"][0] for each in paragraph["qas"] if each["answers"]):
            start, end = answer["answer_start"], answer["answer_start"] + len(answer["text"])
            answers += 1
            cut += not any(first <= start and end <= last for first, last in spans)
    assert cut / answers < 0.003  # 7 of 2,910; six of them hold a full stop themselves
    texts = [paragraph["context"] for paragraph in paragraphs]
    low = sum(
        guess < true for guess, true in zip(estimate_tokens(texts), count(texts), strict=True)
    )
    assert low / len(texts) < 0.02
