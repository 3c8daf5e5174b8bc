"""Evidence and sources: what was found for a question, where it stands, and why."""

from collections.abc import Callable, Sequence
from pathlib import Path

import streamlit as st

from engine.errors import DocumentError
from engine.reading import render_page
from engine.retrieving import RELEVANT, is_relevant
from engine.schema import Evidence, Node, NodeWithScore
from pages.parts.markdown import plain_markdown

MARKED = 2  # more than two marked sentences are a marked passage
FindOriginal = Callable[[str], Path | None]


def show_evidence(find_original: FindOriginal, sources: Sequence[NodeWithScore], key: str) -> None:
    """The best sentence, quoted, and every source, folded."""
    if not sources:
        return
    best = sources[0]
    if best.evidence and is_relevant(sources):
        quote = plain_markdown(best.sentence(best.evidence[0]))
        st.markdown(f"> “{quote}”  \n> — {plain_markdown(best.node.label)}")
    judged = best.scores.rerank is not None
    with st.container(key=f"sources-{key}", gap=None):
        for number, source in enumerate(sources, start=1):
            label = f"{plain_markdown(source.node.label)} · {_relevance(source, judged)}"
            _show_source(find_original, source, number, label, key)


def anchor_of(key: str, number: int) -> str:
    """Where the marks in an answer lead: its source of that number."""
    return f"source-{key}-{number}"


def _show_source(
    find_original: FindOriginal, source: NodeWithScore, number: int, label: str, key: str
) -> None:
    """Its number is a heading, the one thing on a page that a link can lead to."""
    anchor = anchor_of(key, number)
    with st.container(horizontal=True, gap=None, vertical_alignment="top"):
        st.subheader(f":small[{number}]", anchor=anchor, width="content")
        with st.expander(label, type="compact", key=anchor):
            st.markdown(highlighted(source))
            _show_scores(source)
            sentences = tuple(source.sentence(evidence) for evidence in _marked(source))
            offer_page(find_original, source.node, f"{key}-{number}", sentences)


def _relevance(source: NodeWithScore, judged: bool) -> str:
    """In a word, where the reranker has judged; its scores are inside."""
    if not judged:
        return f"score {source.score:.2f}"
    logit = source.scores.rerank  # none: it was too far behind to be looked at
    return "relevant" if logit is not None and logit >= RELEVANT else "comes near"


def _marked(source: NodeWithScore) -> list[Evidence]:
    """The sentences to highlight, in the order of the text: few, and none that is no evidence."""
    supporting = [each for each in source.evidence if each.score >= RELEVANT]
    return sorted(supporting[:MARKED], key=lambda each: each.start)


def highlighted(source: NodeWithScore) -> str:
    """The passage as Markdown, its evidence marked."""
    parts, done = [], 0
    for evidence in _marked(source):
        parts.append(plain_markdown(source.text[done : evidence.start]))
        parts.append(f":blue-background[{plain_markdown(source.sentence(evidence))}]")
        done = evidence.end
    parts.append(plain_markdown(source.text[done:]))
    return " ".join(part for part in parts if part)


def _show_scores(source: NodeWithScore) -> None:
    scores = source.scores
    named = [
        ("score", source.score),
        ("dense", scores.dense),
        ("BM25", scores.lexical),
        ("rerank", scores.rerank),
    ]
    shown = [f"{name} {value:.2f}" for name, value in named if value is not None]
    st.caption(
        " · ".join(shown),
        help="The score that ranks it, and what it is made of: cosine similarity, BM25, and "
        "the cross-encoder's logit.",
    )


def offer_page(
    find_original: FindOriginal, node: Node, key: str, sentences: tuple[str, ...] = ()
) -> None:
    """Of a PDF: the picture of the page, with the passage marked on it, when it is asked for."""
    if node.metadata.get("file_type") != "pdf" or not st.toggle("Show the page", key=f"page-{key}"):
        return
    original = find_original(node.source_id)
    if original is None:
        st.caption("The file is not here any more.")
        return
    try:
        png, marked = _page_picture(
            str(original), int(node.metadata["page_number"]), node.text, sentences
        )
    except DocumentError as error:
        st.caption(plain_markdown(str(error)))
        return
    st.image(png, alt=f"Page {node.metadata['page_label']} of {node.file_name}")
    if not marked:
        st.caption("The passage could not be located on this picture.")


def forget_pages() -> None:
    """Drop the pictures of pages, those of deleted documents with them."""
    _page_picture.clear()


@st.cache_data(max_entries=32, show_spinner="Drawing the page…")
def _page_picture(
    path: str, page_number: int, passage: str, sentences: tuple[str, ...]
) -> tuple[bytes, bool]:
    picture = render_page(path, page_number, passage=passage, sentences=sentences)
    return picture.png, picture.marked
