"""Questions about the library itself: which documents there are, when they came, what they mention.

Computed from the records of the documents; the model is not asked.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import PurePath

from engine.english import counted
from engine.kinds.finding import Finder, Treated, marked
from engine.kinds.naming import books_named
from engine.kinds.recognising import Asked, Kind
from engine.kinds.shelf import Book
from engine.kinds.words import in_digits, terms_of
from engine.reading.formats import part_name
from engine.retrieving import is_relevant
from engine.run import Run
from engine.schema import NodeWithScore
from engine.splitting import sentence_spans

# Documents that are listed, and passages that are searched for those that mention a topic
LISTED, SEARCHED = 100, 50
_ORDERS = {
    "newest": r"last|latest|newest|(?:most )?recent(?:ly)?",
    "oldest": r"oldest|first|earliest",
    "largest": r"largest|biggest|longest|most pages|most passages",
    "smallest": r"smallest|shortest|fewest|least",
}
_FORMATS = {
    "pdf": (".pdf",),
    "(?:table|spreadsheet)": (".xlsx", ".xls", ".ods", ".csv", ".tsv", ".xlsm", ".xlsb"),
    "tabular": (".xlsx", ".xls", ".ods", ".csv", ".tsv", ".xlsm", ".xlsb"),
    "csv": (".csv", ".tsv"),
    "excel": (".xlsx", ".xls", ".xlsm", ".xlsb"),
    "(?:presentation|slide|powerpoint)": (".pptx", ".odp"),
    "word": (".docx", ".odt", ".rtf"),
    "text (?:file|document)": (".txt",),
    "markdown": (".md",),
    "html": (".html", ".htm"),
    "notebook": (".ipynb",),
    "e?-?mail": (".eml", ".msg"),
    "(?:picture|image|photo|scan)": (
        ".png",
        ".jpg",
        ".jpeg",
        ".tif",
        ".tiff",
        ".webp",
        ".heic",
        ".bmp",
        ".gif",
    ),
}


def about_library(asked: Asked, finder: Finder, run: Run) -> Treated | None:
    books = finder.shelf.books()
    if asked["about"]:
        return _mentioning(asked["about"], finder, run)
    if asked["document"]:
        found = books_named(asked["document"], books)
        if found.share < 1 or found.rest:
            return None
        named = found.books
        listed = _listed(named, f"{named[0].name}, in the library" if len(named) == 1 else "")
        if not re.search(r"\bpages?\b", asked.question, re.IGNORECASE):
            return listed
        return replace(listed, text=(*map(_pages_said, named), *listed.text))
    chosen = _of_format(asked.question, books)
    said = in_digits(asked.question)
    order = next(
        (name for name, words in _ORDERS.items() if re.search(rf"\b(?:{words})\b", said, re.I)), ""
    )
    if not order or not chosen:
        kinds = f" of {len(books)}" if len(chosen) < len(books) else ""
        return _listed(chosen, f"{len(chosen)}{kinds} documents in the library" if kinds else "")
    by_time = order in ("newest", "oldest")
    ranked = sorted(
        chosen,
        key=lambda book: book.source.added_at if by_time else book.source.passages,
        reverse=order in ("newest", "largest"),
    )
    number = re.search(r"\b\d+\b", said)
    most = int(number[0]) if number else 1
    name = f"{most} {order}" if most > 1 else order
    return _listed(ranked[:most], f"The {name} of {len(chosen)} documents")


def _pages_said(book: Book) -> str:
    part = part_name(book.name)
    parts = f"**{counted(max(1, book.source.pages), part)}**"
    if part in ("page", "slide"):
        return f"{parts} in {book.name}.\n\n"
    return f"{book.name} has no pages. It has {parts}.\n\n"


def _listed(books: Sequence[Book], did: str = "") -> Treated:
    count = counted(len(books), "document")
    lines = [f"{count}:\n\n"] if len(books) != 1 or not did else []
    for book in books[:LISTED]:
        source = book.source
        title = f" – {book.title}" if book.title else ""
        added = datetime.fromisoformat(source.added_at).astimezone().strftime("%-d %B %Y, %H:%M")
        part = part_name(source.file_name)
        pages = f"{source.pages:,} {part}s, " if source.pages > 1 else ""
        passages = counted(source.passages, "passage")
        place = f"in {book.collection}, " if book.collection else ""
        lines.append(f"- **{source.path}**{title} ({place}{pages}{passages}, added {added})\n")
    if len(books) > LISTED:
        lines.append(f"\nThe {LISTED} that were added last are listed.\n")
    return Treated(Kind.LIBRARY, did or f"{count} in the library", [], tuple(lines))


def _of_format(question: str, books: Sequence[Book]) -> list[Book]:
    """The documents of the formats that the question names; all if it names none."""
    endings = {
        ending
        for name, endings in _FORMATS.items()
        if re.search(rf"\b{name}s?\b", question, re.IGNORECASE)
        for ending in endings
    }
    if re.search(r"\bcsvs?\b", question, re.IGNORECASE):  # "CSV tables"
        endings &= {*_FORMATS["csv"]}
    return [each for each in books if not endings or PurePath(each.name).suffix.lower() in endings]


def _mentioning(about: str, finder: Finder, run: Run) -> Treated | None:
    """The documents that have all words of a topic in one passage, each with a quotation; without
    any, those of the passages that the reranker takes for relevant. None if there are none."""
    about = re.sub(r"^(?:the )?(?:word|name|term)s? |[\"“”'‘’]", "", about)
    terms = set(terms_of(about))
    if not terms:
        return None
    best: dict[str, NodeWithScore] = {}
    counts: Counter[str] = Counter()
    for each in finder.passages(about, SEARCHED, run):
        heading = str(each.node.metadata.get("heading") or "")
        if terms <= set(terms_of(f"{heading} {each.text}")):
            counts[each.node.source_id] += 1
            best.setdefault(each.node.source_id, _quoting(each, terms))
    named = books_named(about, finder.shelf.books())
    titled = {each.source.source_id for each in named.books if named.share == 1}
    chosen = titled if titled and not counts.keys() - titled else titled | counts.keys()
    did = f"Documents that mention “{about}”"
    if not chosen:
        near = [each for each in finder.retrieve(about, 3, run) if is_relevant([each])]
        best = {each.node.source_id: each for each in reversed(near) if each.evidence}
        counts.update(each.node.source_id for each in near)
        chosen, did = set(best), f"Documents with passages on “{about}”"
    if not chosen:
        return None
    lines = [f"{len(chosen)} document{'s' * (len(chosen) != 1)}:\n\n"]
    for book in finder.shelf.books():
        source_id = book.source.source_id
        if source_id not in chosen:
            continue
        line = f"- **{book.source.path}**"
        if source_id in best:
            quoted = best[source_id]
            sentence = " ".join(quoted.sentence(quoted.evidence[0]).split())
            number = counts[source_id]
            line += f", {counted(number, 'passage')}: “{sentence}”"
        elif book.title:
            line += f" – {book.title}"
        lines.append(f"{line}\n")
    return Treated(Kind.LIBRARY, did, list(best.values()), tuple(lines))


def _quoting(found: NodeWithScore, terms: set[str]) -> NodeWithScore:
    """The passage with its sentence that has the most of these words."""
    best = max(
        sentence_spans(found.text),
        key=lambda span: len(terms & set(terms_of(found.text[slice(*span)]))),
    )
    return marked(found.node, [best], found.score)
