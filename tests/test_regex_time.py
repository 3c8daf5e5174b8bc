"""No function takes time in the square of a text that a person or a file brings.

Each case is a function and a text that makes a careless regular expression, or adding to a string
in a loop, take quadratic time. The test compares the times for n and for 8 n characters: linear
code takes 8 times as long, or up to 20 times where the longer text leaves the processor's cache,
and quadratic code 64 times. Only their ratio is asserted.
"""

import gc
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from engine.kinds.tables import Piece, tables_of
from engine.lexical import passage_terms, question_terms
from engine.reading.formats import detect_format
from engine.reading.markup import read_html, read_markdown, read_notebook
from engine.reading.pdf_page import find_passage
from engine.reading.tables import read_csv, read_json, read_json_lines
from engine.reading.text import clean, decode, hyphen_between, read_text
from engine.schema import Document, Node
from engine.splitting import SentenceSplitter, estimate_tokens, sentence_spans

Work = Callable[[str], object]
Make = Callable[[int], str]

# Under this many seconds for 8 n, a function is fast enough, and its times are noise.
_FAST = 0.05
_GROWTH = 30
_PASSAGE = 4_000  # characters: the longest that the splitter makes


def repeated(part: str, before: str = "", after: str = "") -> Make:
    return lambda length: before + part * (length // len(part)) + after


RUNS = {
    "spaces": repeated(" ", "a", "b"),
    "tabs and lines": repeated(" \t\n", "a", "b"),
    "letters": repeated("a", after="1"),
    "digits": repeated("1", after="x"),
    "numbers": repeated("1. "),
    "references": repeated("no. 1 fig. ", "See "),
    "capitals": repeated("A. "),
    "words": repeated("word "),
    "compounds": repeated("a-", after="1"),
    "broken words": repeated("a word that is broken at the end of the line, as pro-\nse in a "),
    "opening quotation marks": repeated("“"),
    "quotation marks": repeated("' \" "),
    "brackets": repeated("(["),
    "closed sentences": repeated("a.) "),
    "ideographic stops": repeated("。」"),
    "marks on a letter": repeated("\u0301\u0327", "a"),
    "Arabic forms": repeated("\ufdfa"),
    "escapes": repeated("\x1b[0;"),
    "empty lines": repeated("\n", "a", "b"),
    "wrapped lines": repeated("This line is as long as many others are, and it goes on\n"),
    "tags": repeated("<"),
    "scripts": repeated("<script"),
    "entities": repeated("&#"),
    "surrogates": repeated("\ud800a "),
}

FUNCTIONS: dict[str, Work] = {
    "clean": clean,
    "sentence_spans": sentence_spans,
    "split": lambda text: SentenceSplitter(64, 8).get_nodes_from_documents([Document(text)]),
    "estimate_tokens": lambda text: estimate_tokens([text]),
    "question_terms": question_terms,
    "passage_terms": passage_terms,
    "hyphen_between": lambda text: hyphen_between(text, text, set()),
    "tables_of": lambda text: tables_of(
        [Piece(Node(text[start : start + _PASSAGE])) for start in range(0, len(text), _PASSAGE)]
    ),
    "find_passage": lambda text: find_passage(text, "One sentence of it."),
}


def growth(work: Callable[[], object], longer: Callable[[], object]) -> float:
    """How many times longer `longer` takes; the smallest of three, against noise."""

    def took(call: Callable[[], object]) -> float:
        times = []
        for _ in range(3):
            start = time.thread_time()
            call()
            times.append(time.thread_time() - start)
            if times[-1] > 5:  # so that a quadratic function fails soon
                break
        return min(times)

    work()
    gc.disable()  # it would look at the objects of all other tests, too
    try:
        long = took(longer)
        return long / max(took(work), _FAST / _GROWTH) if long > _FAST else 0.0
    finally:
        gc.enable()


@pytest.mark.parametrize("size", [10_000, pytest.param(37_500, marks=pytest.mark.soak)])
@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_of_text_takes_linear_time(function: str, run: str, size: int) -> None:
    work, make = FUNCTIONS[function], RUNS[run]
    short, long = make(size), make(8 * size)
    assert growth(lambda: work(short), lambda: work(long)) < _GROWTH


READERS: dict[str, tuple[Callable[[Path], object], Make]] = {
    "text, spaces": (lambda path: list(read_text(path)), RUNS["spaces"]),
    "text, broken words": (lambda path: list(read_text(path)), RUNS["broken words"]),
    "text, wrapped": (lambda path: list(read_text(path)), RUNS["wrapped lines"]),
    "text, hyphens": (
        lambda path: list(read_text(path)),
        repeated("words and more words without a full stop at their end-\n"),
    ),
    "markdown, front matter": (lambda path: list(read_markdown(path)), repeated("\n", "---")),
    "html, unclosed": (lambda path: list(read_html(path)), RUNS["tags"]),
    "html, deep": (lambda path: list(read_html(path)), repeated("<b><script")),
    "html, style": (
        lambda path: list(read_html(path)),
        repeated(" ", "<p style='display", "x'>a</p>"),
    ),
    "html, titles": (lambda path: list(read_html(path)), repeated("<h2>a</h2>b", "<h1>t</h1>")),
    "csv, one cell": (lambda path: list(read_csv(path)), repeated("1", "a,b\n", "x,1\n")),
    "csv, header": (lambda path: list(read_csv(path)), repeated("1", after="x,b\nc,d\n")),
    "csv, quotes": (lambda path: list(read_csv(path)), repeated('"a,"')),
    "csv, columns": (lambda path: list(read_csv(path)), repeated("a\n", "x," * 2_000 + "y\n")),
    "json, null": (lambda path: list(read_json(path)), repeated("null,", "[", "1]")),
    "json lines, bad": (lambda path: list(read_json_lines(path)), repeated("x\n", "1\n")),
    "notebook, escapes": (
        lambda path: list(read_notebook(path)),
        repeated("[0;", '{"cells": [{"cell_type": "code", "source": "', '"}]}'),
    ),
    "format": (detect_format, repeated("a\0")),
    "decode": (lambda path: decode(path.read_bytes()), repeated("é\n")),
}


@pytest.mark.parametrize("size", [10_000, pytest.param(37_500, marks=pytest.mark.soak)])
@pytest.mark.parametrize("reader", READERS)
def test_a_reader_takes_linear_time(reader: str, size: int, tmp_path: Path) -> None:
    read, make = READERS[reader]
    short, long = tmp_path / "short.txt", tmp_path / "long.txt"
    short.write_text(make(size), "utf-8")
    long.write_text(make(8 * size), "utf-8")
    assert growth(lambda: read(short), lambda: read(long)) < _GROWTH
