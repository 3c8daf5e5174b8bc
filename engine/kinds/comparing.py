"""Comparisons of two things or two documents: what is said about each, side by side.

If both are rows of one table, their cells are compared, by code. Otherwise sentences about each are
quoted; a larger model writes the comparison from their passages instead.
"""

import re

from engine.kinds.computing import lines_of
from engine.kinds.concepts import COMPARATIVES, is_of
from engine.kinds.finding import Finder, Treated, marked, merged, sources_of
from engine.kinds.naming import books_named
from engine.kinds.querying import Query, query_of
from engine.kinds.recognising import Asked, Kind
from engine.kinds.summary import Scope, extract
from engine.kinds.values import value_of
from engine.kinds.words import terms_of
from engine.retrieving import RELEVANT
from engine.run import Run
from engine.schema import NodeWithScore

# Sentences about each side: of a thing, and of a document
OF_A_THING, OF_A_DOCUMENT = 3, 4
NEAR = 4.0  # points of logit behind the best sentence


def comparison(asked: Asked, finder: Finder, run: Run) -> Treated | None:
    """None if nothing is found for one of the sides."""
    one, other = _sides(asked)
    if found := _rows(asked, one, other, finder, run):
        return found
    lines: list[str] = []
    sources: list[NodeWithScore] = []
    for side in (one, other):
        run.check()
        about = _about(side, asked, finder, run)
        if not about:
            return None
        sources += about
        lines.append(f"{chr(10) * bool(lines)}**{side[0].upper()}{side[1:]}**\n\n")
        for source in about:
            for evidence in sorted(source.evidence, key=lambda each: each.start):
                sentence = " ".join(source.sentence(evidence).split())
                lines.append(f"- “{sentence}” ({source.node.label})\n")
    sources = merged(sources)
    named = f"{one} and {other}"
    if not finder.small:
        return Treated(
            Kind.COMPARISON, f"Comparison of {named}: written from {len(sources)} passages", sources
        )
    return Treated(
        Kind.COMPARISON,
        f"Comparison of {named}: what is said about each, quoted",
        sources,
        tuple(lines),
    )


def _sides(asked: Asked) -> tuple[str, str]:
    """Both sides; "the one Voss gives" gets the noun of the other."""
    one = re.sub(r"^(?:(?:both|of) )?", "", asked["about"]).strip()
    other = asked["other"].strip()
    noun = re.match(r"(?:the |our |my |a )?([\w-]+)", one)
    if noun and re.match(r"(?:the one|the ones|that|those)\b", other, re.IGNORECASE):
        other = re.sub(r"^(?:the ones?|that|those)\b", f"the {noun[1]}", other, flags=re.IGNORECASE)
    last = re.search(r"([\w-]+)$", other)
    if last and len(one.split()) <= 3 and len(other.split()) > 1:
        words = re.sub(r"^(?:the|a|an|our|my) ", "", one, flags=re.I)
        tail = re.sub(r"^(?:the|a|an|our|my) ", "", other, flags=re.I).split()
        if len(words.split()) == 1 and len(tail) == 2:  # "the red and the orange rucksack"
            one = f"{one} {tail[1]}"
    return one, other


def _about(side: str, asked: Asked, finder: Finder, run: Run) -> list[NodeWithScore]:
    """The best sentences about a side, as the evidence of their passages."""
    books = books_named(side, finder.shelf.books())
    if books.books and books.share > 0.99 and len(books.books) == 1 and not asked["unit"]:
        book = books.books[0]
        pieces = finder.shelf.pieces(book.source.source_id)
        chosen = extract(Scope(book, pieces, book.name, True), OF_A_DOCUMENT, finder, run)
        return merged([marked(each.node, [(each.start, each.end)]) for each in chosen])
    query = f"{side} {asked['focus']}".strip()
    found = finder.retrieve(query, 4, run)
    wanted = set(terms_of(side))
    sentences = []
    for each in found:
        heading = set(terms_of(str(each.node.metadata.get("heading") or "")))
        for evidence in each.evidence:
            there = set(terms_of(each.sentence(evidence)))
            share = len(wanted & (there | heading)) / max(1, len(wanted))
            if share >= 0.5 or evidence.score >= RELEVANT:
                sentences.append((evidence.score + 4 * share, each, evidence))
    sentences.sort(key=lambda each: -each[0])
    sentences = [each for each in sentences if each[0] >= sentences[0][0] - NEAR][:OF_A_THING]
    return merged([marked(each.node, [(e.start, e.end)]) for _, each, e in sentences])


def _rows(asked: Asked, one: str, other: str, finder: Finder, run: Run) -> Treated | None:
    """Both sides as rows of one table, with the difference of the column that is compared."""
    for source in dict.fromkeys(
        each.node.source_id for each in finder.passages(f"{one} {other}", 20, run)
    ):
        for table in finder.shelf.tables(source):
            if table.sort not in ("rows", "bars", "pairs"):
                continue
            queries = [query_of(f"What is {side}", table) for side in (one, other)]
            if not all(_is_one(query) for query in queries):
                continue
            rows = [query.rows[0] for query in queries if query]
            if rows[0] is rows[1]:
                continue
            word = asked["unit"].lower().removeprefix("much ")
            concepts, more = COMPARATIVES.get(word, ((), True))
            column = next(
                (c for name in concepts for c in table.columns if is_of(c, table, name)), ""
            )
            asked_for = set(terms_of(asked.question))
            column = column or next(
                (c for c in table.columns[1:] if set(terms_of(c)) & asked_for), ""
            )
            values = [value_of(row.cells.get(column, "")) for row in rows]
            lines = []
            if column and values[0] and values[1]:
                first, second = values[0].number, values[1].number
                unit = f" {values[0].unit or values[1].unit}".rstrip()
                names = [next(iter(row.cells.values())) for row in rows]
                if first == second:
                    lines.append(f"Both have the same {column}: **{rows[0].cells[column]}**.\n\n")
                else:
                    high, low = names if first > second else names[::-1]
                    yes = ""
                    if (
                        re.match(
                            r"\W*(?:is|are|was|were|does|do|did|has|have)\b", asked.question, re.I
                        )
                        and concepts
                    ):
                        yes = "Yes. " if (first > second) == more else "No. "
                    lines.append(
                        f"{yes}{column}: **{high}** has more, by **{abs(first - second):,}{unit}** "
                        f"({max(first, second):,} and {min(first, second):,}; less: {low}).\n\n"
                    )
            lines += lines_of(rows, table.sort, table.columns)
            did = f"2 rows of {table.file_name}, compared"
            return Treated(Kind.COMPARISON, did, sources_of(rows), tuple(lines))
    return None


def _is_one(query: Query | None) -> bool:
    return bool(
        query
        and not query.unexplained
        and any(each.exact for each in query.conditions)
        and len(query.rows) == 1
    )
