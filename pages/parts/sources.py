"""Evidence and sources: the passages found for a question, their places and scores."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

import streamlit as st

from engine.errors import DocumentError
from engine.reading import render_page
from engine.retrieving import RELEVANT, is_relevant
from engine.schema import Evidence, Node, NodeWithScore
from engine.splitting import sentence_spans
from pages.parts.markdown import passage_markdown, plain_markdown
from pages.parts.resources import safely

log = logging.getLogger(__name__)

MARKED = 2  # more than two marked sentences are a marked passage
SNIPPET = 160  # characters: more than the widest row shows
FindOriginal = Callable[[str], Path | None]
OpenSource = Callable[[str], None]
Summarise = Callable[[str], None]


def show_evidence(
    find_original: FindOriginal,
    sources: Sequence[NodeWithScore],
    key: str,
    quoted: bool = True,
    open_source: OpenSource | None = None,
    summarise: Summarise | None = None,
) -> None:
    """The best sentence as a quotation, if `quoted`, and a row for each source with its best
    sentence. One that is not relevant enough to be an answer is quoted as what comes closest.

    A row calls `open_source` with the source's id. Without `open_source`, a row unfolds in place.
    `summarise` is called with a document's id by the button beside its first row.
    """
    if not sources:
        return
    best = sources[0]
    quotation = quotation_of(sources) if quoted else ""
    if quoted and not quotation and best.evidence:
        quotation = best.sentence(best.evidence[0])
        st.caption("What comes closest:")
    if quotation:
        st.markdown(f"> “{plain_markdown(quotation)}”")
    with st.container(key=f"sources-{key}", gap=None):
        for number, source in enumerate(sources, start=1):
            label = f"**{number}** {plain_markdown(source.node.label)}"
            if not (quotation and source is best):  # its sentence has just been quoted
                label += f" · {plain_markdown(_snippet(source))}"
            name = source_id(key, number)
            if open_source:
                first = all(
                    each.node.source_id != source.node.source_id for each in sources[: number - 1]
                )
                with st.container(
                    horizontal=True,
                    horizontal_alignment="distribute",
                    vertical_alignment="center",
                    wrap=False,
                    gap="small",
                    key=f"source-row-{name}",
                ):
                    st.button(
                        label,
                        type="tertiary",
                        key=f"open-{name}",
                        on_click=open_source,
                        args=(name,),
                        wrap=False,
                    )
                    if summarise and first:
                        st.button(
                            "Summarise",
                            icon=":material/summarize:",
                            type="tertiary",
                            key=f"summarise-{name}",
                            help=f"Summarise {source.node.file_name}",
                            on_click=safely(summarise),
                            args=(source.node.source_id,),
                        )
            else:
                with st.expander(label, type="compact", key=f"source-{name}"):
                    show_passage(find_original, source, name)


def quotation_of(sources: Sequence[NodeWithScore]) -> str:
    """The sentence that answers best; empty if none is relevant."""
    if not sources or not sources[0].evidence or not is_relevant(sources):
        return ""
    return sources[0].sentence(sources[0].evidence[0])


def source_id(key: str, number: int) -> str:
    """The name of a source on the page: `key` names its answer, `number` counts from 1."""
    return f"{key}-{number}"


def show_passage(
    find_original: FindOriginal, source: NodeWithScore, key: str, page_shown: bool = False
) -> None:
    """The details of a source: its page, its passage with the evidence marked, its scores.

    With `page_shown`, the picture of the page comes first; otherwise a button shows it.
    """
    sentences = tuple(source.sentence(evidence) for evidence in _marked(source))
    if page_shown:
        _show_page(find_original, source.node, sentences)
    st.markdown(highlighted(source))
    show_recognised(source.node)
    if not page_shown:
        offer_page(find_original, source.node, key, sentences)
    _show_scores(source)


def _snippet(source: NodeWithScore) -> str:
    """The most relevant sentence, or the first whole sentence that is not a heading."""
    text = source.text
    if source.evidence:
        text = source.sentence(source.evidence[0])
    else:
        sentences = (text[start:end] for start, end in sentence_spans(text))
        text = next((each for each in sentences if each[-1] in ".!?。"), text)
    return " ".join(text[:SNIPPET].split())


def _marked(source: NodeWithScore) -> list[Evidence]:
    """The sentences to highlight: the few that support an answer."""
    marked = [each for each in source.evidence if each.score >= RELEVANT][:MARKED]
    return marked or list(source.evidence[:1] if is_relevant([source]) else ())


def highlighted(source: NodeWithScore) -> str:
    """The passage as Markdown, with its evidence marked."""
    return passage_markdown(source.text, [(each.start, each.end) for each in _marked(source)])


def _show_scores(source: NodeWithScore) -> None:
    scores = source.scores
    named = [
        ("Score", source.score),
        ("cosine similarity", scores.dense),
        ("BM25", scores.lexical),
        ("reranker", scores.rerank),
    ]
    shown = [f"{name} {value:.2f}" for name, value in named if value is not None]
    supports = is_relevant([source])
    st.caption(" · ".join([*([] if supports else ["Less relevant"]), *shown]))


def offer_page(
    find_original: FindOriginal, node: Node, key: str, sentences: tuple[str, ...] = ()
) -> None:
    """For a PDF: a button for the picture of the page, with the passage marked on it."""
    if _has_page(node) and st.toggle("Show the page", key=f"page-{key}"):
        _show_page(find_original, node, sentences)


def show_recognised(node: Node) -> None:
    """Whether a passage's text was recognised in a picture, and how surely."""
    if (confidence := node.confidence) is not None:
        st.caption(f"Recognised in a picture (OCR), confidence {confidence:.0%}.")


def _has_page(node: Node) -> bool:
    return node.metadata.get("file_type") in ("pdf", "picture")


def _show_page(find_original: FindOriginal, node: Node, sentences: tuple[str, ...]) -> None:
    if not _has_page(node):
        return
    original = find_original(node.source_id)
    if original is None:
        st.caption("The file is not here any more.")
        return
    try:
        png, marked = _page_picture(
            str(original),
            int(node.metadata["page_number"]),
            node.text,
            sentences,
            tuple(map(tuple, node.metadata.get("lines", ()))),
        )
    except DocumentError as error:
        log.exception("The picture of a page could not be drawn")
        st.caption(plain_markdown(str(error)))
        return
    st.image(png, alt=f"Page {node.metadata['page_label']} of {node.file_name}")
    if not marked:
        st.caption("The passage could not be located on this picture.")


def forget_pages() -> None:
    """Drop all pictures of pages, including those of deleted documents."""
    _page_picture.clear()


@st.cache_data(max_entries=32, show_spinner="Drawing the page…")
def _page_picture(
    path: str,
    page_number: int,
    passage: str,
    sentences: tuple[str, ...],
    lines: tuple[tuple[int, ...], ...],
) -> tuple[bytes, bool]:
    picture = render_page(path, page_number, passage=passage, sentences=sentences, lines=lines)
    return picture.png, picture.marked
