"""Words of a question → the documents, or the part of one, that they name.

"the keeper's handbook" names keepers-handbook.pdf, "the mission log" a text whose title is "Mission
log 2024", "the PDF" the only PDF, "chapter 5" or "the chapter on waste" a part of a document.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePath

from engine.kinds.shelf import Book
from engine.kinds.tables import Piece
from engine.kinds.words import terms_of

# Words that say that a document is meant, without saying which
_GENERIC = frozenset(
    terms_of(
        "document file text paper pdf csv table spreadsheet sheet page article source whole entire "
        "complete full uploaded"
    )
)
_FORMATS = {
    "pdf": (".pdf",),
    "csv": (".csv", ".tsv"),
    "spreadsheet": (".xlsx", ".xls", ".ods", ".csv", ".xlsm"),
    "excel": (".xlsx", ".xls", ".xlsm"),
    "presentation": (".pptx",),
    "slides": (".pptx",),
    "mail": (".eml", ".msg"),
    "email": (".eml", ".msg"),
    "markdown": (".md",),
}
# The share of the words of a phrase that the name and the title must have
ENOUGH = 0.6
_PART = re.compile(
    r"(?:the )?(?P<what>chapter|section|part|article|paragraph|page|sheet|slide|item|entry)s? "
    r"(?:(?:no\.?|number) )?(?P<number>\d+|[ivxlc]+\b|[a-z]\b)?",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Named:
    """`books`: those that are named. `share`: how much of the phrase names them, 0 to 1. `rest`:
    its words that do not."""

    books: list[Book]
    share: float
    rest: str


def books_named(phrase: str, books: Sequence[Book]) -> Named:
    """The documents that a phrase names. None of them if their names have too few of its words."""
    phrase = re.sub(r"^(?:the|my|this|that|our|your|a|an)\s+", "", phrase.strip(), flags=re.I)
    exact = [each for each in books if _is_name(phrase, each)]
    if exact:
        return Named(exact, 1.0, "")
    words = _words(phrase)
    wanted = [(word, term) for word in words for term in terms_of(word) if term not in _GENERIC]
    if not wanted:
        of_format = [each for each in books if _has_format(phrase, each)]
        if of_format and (len(of_format) == 1 or phrase.rstrip("?. ").endswith("s")):
            return Named(of_format, 1.0, "")
        return Named(list(books) if len(books) == 1 else [], float(len(books) == 1), "")
    names = [(each, _name_terms(each)) for each in books]
    # A word that many documents have in their names says less
    spread = Counter(term for _, terms in names for term in terms)
    weight = {term: 1 / max(spread[term], 1) ** 0.5 for _, term in wanted}
    total = sum(weight[term] for _, term in wanted)
    shares = [
        (sum(weight[t] for _, t in wanted if t in terms) / total, each) for each, terms in names
    ]
    best = max((share for share, _ in shares), default=0.0)
    if best < ENOUGH:
        return Named([], best, phrase)
    chosen = [each for share, each in shares if share >= best - 1e-9]
    of_format = [each for each in chosen if _has_format(phrase, each)]
    chosen = of_format or chosen
    there = frozenset().union(*(_name_terms(each) for each in chosen))
    rest = " ".join(word for word, term in wanted if term not in there)
    return Named(chosen, best, rest)


def books_in(question: str, books: Sequence[Book]) -> list[Book]:
    """The documents whose whole names, or titles, are in a question."""
    asked = set(terms_of(question))
    found = []
    for each in books:
        stem = set(terms_of(_stem(each))) - _GENERIC
        stem = {term for term in stem if term}
        if each.name.lower() in question.lower() or (len(stem) > 1 and stem <= asked):
            found.append(each)
    return found


def part_named(phrase: str, pieces: Sequence[Piece]) -> list[Piece]:
    """The pieces of the chapter, section or page that a phrase names; none if it names no part."""
    match = _PART.search(phrase)
    quoted = re.search(r"[\"“'‘](.+?)[\"”'’]", phrase)
    if match and (number := match["number"]):
        if match["what"].lower() in ("page", "slide", "sheet"):
            return [each for each in pieces if each.node.metadata.get("page_label") == number]
        lead = re.compile(rf"(?:{match['what']}|§)?\s*{re.escape(number)}\b", re.IGNORECASE)
        return [each for each in pieces if any(lead.match(part) for part in _path(each))]
    about = quoted[1] if quoted else phrase[match.end() :] if match else phrase
    wanted = set(terms_of(about)) - _GENERIC
    if not wanted:
        return []
    return [
        each
        for each in pieces
        if any(wanted <= set(terms_of(part)) for part in _path(each)[1:] or _path(each))
    ]


def _path(piece: Piece) -> list[str]:
    return str(piece.node.metadata.get("heading") or "").split(" › ")


def _words(phrase: str) -> list[str]:
    return re.findall(r"[^\W_]+(?:['’][^\W_]+)?", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", phrase))


def _stem(book: Book) -> str:
    return " ".join(_words(PurePath(book.name).stem.replace("_", " ")))


def _name_terms(book: Book) -> frozenset[str]:
    return frozenset(terms_of(f"{_stem(book)} {book.title} {book.source.directory}"))


def _is_name(phrase: str, book: Book) -> bool:
    said = phrase.lower().strip("\"“”'‘’ ")
    return said in (book.name.lower(), PurePath(book.name).stem.lower(), book.source.path.lower())


def _has_format(phrase: str, book: Book) -> bool:
    ending = PurePath(book.name).suffix.lower()
    return any(
        ending in endings and re.search(rf"\b{name}s?\b", phrase, re.IGNORECASE)
        for name, endings in _FORMATS.items()
    )
