"""The data types of the engine. Frozen, so that threads can share them.

file → Document (a page) → Node (a passage) → NodeWithScore (found) → ChatMessage (asked)
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal
from uuid import uuid4

PLACES = 10_000  # parts of a page's width and height

Role = Literal["system", "user", "assistant", "tool"]
Metadata = Mapping[str, Any]


def new_id() -> str:
    return str(uuid4())


def encodable(text: str) -> str:
    """The text with lone surrogates replaced: browsers and file names may contain them."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


@dataclass(frozen=True, slots=True)
class Document:
    """Text with one place to cite: a page of a PDF, a slide, a chapter, or a whole short file.

    `source_id` names the file it came from: documents of one source are stored and deleted
    together. `metadata` holds JSON values; readers set `file_name`, and where known
    `page_label` (a string, as printed), `heading` and `file_path`. Text that was recognised in a
    picture has `lines`: for each line of the page `[start, end, x1, y1, x2, y2, height,
    confidence]`. `text[start:end]` runs from the first point to the second, the middles of its
    ends, in PLACES parts of the page's width and height; `height` is in those of the height,
    `confidence` in percent.
    """

    text: str
    metadata: Metadata = field(default_factory=dict)
    id_: str = field(default_factory=new_id)
    source_id: str = ""

    def __post_init__(self) -> None:
        if not self.source_id:
            object.__setattr__(self, "source_id", self.id_)


@dataclass(frozen=True, slots=True)
class Filters:
    """Which documents are searched: of these collections, those that match any of the others.

    A field that names nothing leaves nothing out. A directory is the relative path of a folder that
    was added, "reports/2025", and stands for everything in it. Tags are those that documents have
    in the Library.
    """

    source_ids: tuple[str, ...] = ()
    file_names: tuple[str, ...] = ()
    directories: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    collections: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.collections) or self.narrow

    @property
    def narrow(self) -> bool:
        """Whether they leave out documents of a collection."""
        return bool(self.source_ids or self.file_names or self.directories or self.tags)

    def match(
        self, source_id: str, file_name: str, directory: str = "", tags: Sequence[str] = ()
    ) -> bool:
        """Whether a document of one of the collections is searched."""
        return (
            not self.narrow
            or source_id in self.source_ids
            or file_name in self.file_names
            or any(f"{directory}/".startswith(f"{each}/") for each in self.directories)
            or not set(tags).isdisjoint(self.tags)
        )


@dataclass(frozen=True, slots=True)
class Node:
    """A passage: `text == document.text[start_char:end_char]`, with the document's metadata.

    `position` is its order within its source, from 0. The `lines` in its metadata are the
    passage's, counted from its start.
    """

    text: str
    metadata: Metadata = field(default_factory=dict)
    id_: str = field(default_factory=new_id)
    source_id: str = ""
    position: int = 0
    start_char: int = 0
    end_char: int = 0

    @property
    def file_name(self) -> str:
        return str(self.metadata.get("file_name", "text"))

    @property
    def confidence(self) -> float | None:
        """Of text that was recognised in a picture: the mean over its characters, 0 to 1."""
        lines = self.metadata.get("lines")
        return mean_confidence(lines) if lines else None

    @property
    def language(self) -> str:
        """ISO 639-1; English where an earlier version has not looked, or it cannot be told."""
        return str(self.metadata.get("language") or "en")

    @property
    def place(self) -> str:
        """Where in the file it is, such as "page 3" or "sheet Costs"; empty without pages."""
        page = self.metadata.get("page_label")
        what = "sheet" if self.metadata.get("file_type") == "spreadsheet" else "page"
        return f"{what} {page}" if page else ""

    @property
    def label(self) -> str:
        """The file and the page, such as "report.pdf, page 3"; of several collections also its own.
        """
        label = ", ".join(filter(None, (self.file_name, self.place)))
        collection = self.metadata.get("collection")
        return f"{label} ({collection})" if collection else label


def mean_confidence(lines: Sequence[Sequence[int]]) -> float:
    """Of recognised `lines`, weighted by their lengths: 0 to 1."""
    letters = sum(end - start for start, end, *_ in lines)
    return sum((line[1] - line[0]) * line[-1] for line in lines) / max(letters, 1) / 100


@dataclass(frozen=True, slots=True)
class Evidence:
    """A sentence of a passage that helps to answer the question: `node.text[start:end]`.

    `score` ranks it among the sentences of all passages that were found: the cross-encoder's
    logit, adjusted by the scores of its neighbours and of its passage.
    """

    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True)
class Scores:
    """The scores of a passage in each stage of retrieval; None where the stage did not rank it.

    dense: cosine similarity, -1 to 1. lexical: BM25, from 0. fused: the cosine plus a share of
    the BM25. rerank: the cross-encoder's logit for the best sentence. words: the share of the
    question's words that the passage, the headings above it and its file's name have, 0 to 1.
    unknown: how many of them are in no document. stated: the passage states an answer that a model
    wrote, whatever the logit.
    """

    dense: float | None = None
    lexical: float | None = None
    fused: float | None = None
    rerank: float | None = None
    words: float | None = None
    unknown: int = 0
    stated: bool = False


@dataclass(frozen=True, slots=True)
class NodeWithScore:
    """A passage found for a question, with the score that ranked it and its evidence."""

    node: Node
    score: float
    scores: Scores = field(default_factory=Scores)
    evidence: tuple[Evidence, ...] = ()

    @property
    def text(self) -> str:
        return self.node.text

    @property
    def metadata(self) -> Metadata:
        return self.node.metadata

    def sentence(self, evidence: Evidence) -> str:
        return self.node.text[evidence.start : evidence.end]


@dataclass(frozen=True, slots=True)
class ChatMessage:
    role: Role
    content: str
