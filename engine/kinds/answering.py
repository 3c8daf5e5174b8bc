"""Kinds: the treatment of a question by its kind. `RetrieverQueryEngine` asks it first.

A question that no kind treats, because the library has no table, date or document for it, is left
to the path of questions for a fact.
"""

import re
from collections.abc import Sequence
from dataclasses import replace

from engine.embedding import Reranker
from engine.follow_ups import refers_back
from engine.kinds.amounts import amounts_apart, asks_what_differs
from engine.kinds.between import time_answer
from engine.kinds.by_example import by_example, topic_phrase
from engine.kinds.comparing import comparison, computed_comparison
from engine.kinds.computing import answer_of
from engine.kinds.finding import Finder, Treated, marked, merged
from engine.kinds.keeping import KeptSummaries
from engine.kinds.library import about_library
from engine.kinds.overview import overview, prose_list, quotations
from engine.kinds.recognising import Asked, Kind, is_request, recognise, without_thanks
from engine.kinds.row_answers import OF_SEVERAL, list_answer, row_answer
from engine.kinds.several import (
    completed,
    has_name,
    leans,
    parts_of,
    told_and_asked,
    topic_of,
    without_tail,
)
from engine.kinds.summary import Scope, did_of, scopes_of, summary_by_code
from engine.kinds.table_answers import best_query, table_answer
from engine.kinds.yes_no import DECIDED, yes_no_answer
from engine.languages import ENGLISH, language_of_question
from engine.llm.base import ContextFormat
from engine.prompting import SUMMARY_SYSTEM
from engine.response import Answer
from engine.retrieving import Searched, is_relevant
from engine.run import Phase, Run
from engine.schema import Filters, NodeWithScore
from engine.spelling import corrected, unknown_words
from engine.synthesis import ResponseMode, ResponseSynthesizer
from engine.timing import KindRecord
from engine.writing import write

_WANTS_A_SUMMARY = re.compile(
    r"summar|\bsum up\b|\brecap|\boverview\b|\b(?:main|key)\b|\b(?:discussed|decided|agreed)\b",
    re.IGNORECASE,
)
# How far behind a passage of the document that answered the part before may be, by its score
NEAR = 0.25
# Sentences that are quoted for parts of a question that are not found alone
QUOTED = 3
# Terms of what a question is about. One with fewer needs what is told before it.
FEW_TERMS = 2
NOT_FOUND_PART = "I did not find this in your documents."


def _same(one: Treated, other: Treated) -> bool:
    return one.text == other.text and not one.missing


class Kinds:
    """Treats the questions of one collection, or of several. Safe to use from many threads at once.

    `kept`: where summaries are kept; None keeps none.
    """

    def __init__(
        self,
        searched: Sequence[Searched],
        reranker: Reranker | None,
        filters: Filters = Filters(),
        passages: int = 3,
        kept: KeptSummaries | None = None,
    ) -> None:
        self._searched, self._reranker = searched, reranker
        self._filters, self._passages, self._kept = filters, passages, kept

    def answer(self, answer: Answer, synthesizer: ResponseSynthesizer) -> str | None:
        """Write the answer, if the question is of a kind that is treated here.

        Returns None if it is not, and otherwise what is missing: "" if the answer was written, or
        the name of the kind if the documents have nothing on it; then its closest passages are
        found.
        """
        run = answer.run
        with run.span("kind"):
            if self._in_another_language(answer.question):
                return None  # "Was kostet ein Fahrrad?" begins with no English "was"
            question = self._corrected(answer.question, run)
            kinds = self._recognised(question)
        finder = Finder(
            self._searched, self._reranker, self._filters, not synthesizer.reads_passages
        )
        run.report(Phase.SEARCHING)
        treated = self._several_sentences(question, finder, run)
        summary = treated is None and kinds[0].kind is Kind.SUMMARY
        if summary and (scopes := scopes_of(kinds[0], finder, run)):
            self._summary(kinds[0], scopes, answer, synthesizer, finder)
            return ""
        treated = treated or self._first(kinds, finder, run)
        if treated is None:
            return None
        run.trace.kind = KindRecord(str(treated.kind), treated.did, by_code=bool(treated.text))
        answer.found(treated.sources)
        if treated.missing:
            return str(treated.kind)
        if treated.text:
            answer.write_lines(treated.text)
        else:
            write(synthesizer, question, treated.sources, answer)
        return ""

    def requested(self, answer: Answer) -> bool:
        """Write what is said on the words of a request that asks no question: "Anything about the
        seals, please". For a request whose passages are not relevant. False if nothing is said.
        """
        run = answer.run
        if self._in_another_language(answer.question):
            return False
        question = self._corrected(answer.question, Run())
        topic = topic_phrase(question)
        if not topic or not is_request(question) or unknown_words(topic, self._searched):
            return False
        finder = Finder(self._searched, self._reranker, self._filters, True)
        treated = overview(Asked(Kind.OVERVIEW, question, {"about": topic}), finder, run)
        if treated is None or treated.missing:
            return False
        run.trace.kind = KindRecord(str(treated.kind), treated.did, by_code=True)
        answer.found(treated.sources)
        answer.write_lines(treated.text)
        return True

    def _in_another_language(self, question: str) -> bool:
        known = {each for part in self._searched for each in part.collection.languages}
        return language_of_question(question, known) not in ("", ENGLISH)

    def _recognised(self, question: str) -> list[Asked]:
        """The kinds by the rules; if only those of words are left, one by examples before them."""
        kinds = recognise(question)
        if kinds[0].kind in (Kind.TABLE, Kind.YES_NO, Kind.FACT):
            by_examples = by_example(kinds[0].question, self._searched[0].embedding)
            return [by_examples, *kinds] if by_examples else kinds
        return kinds

    def _corrected(self, question: str, run: Run) -> str:
        question, changes = corrected(question, self._searched)
        for change in changes:
            run.note(change)
        return question

    def treat(self, question: str, run: Run) -> Treated | None:
        """The answer by code, if the question is of a kind that is treated here: for agents."""
        question = self._corrected(question, run)
        finder = Finder(self._searched, self._reranker, self._filters, True)
        several = self._several_sentences(question, finder, run)
        return several or self._first(self._recognised(question), finder, run)

    def row_or_list(self, question: str, sources: Sequence[NodeWithScore]) -> Treated | None:
        """The answer to a question for a fact, if its best sentence is in a table or a list."""
        shelf = Finder(self._searched, self._reranker, self._filters, True).shelf
        return row_answer(question, sources, shelf) or list_answer(question, sources)

    def _first(self, kinds: Sequence[Asked], finder: Finder, run: Run) -> Treated | None:
        """The treatment by the first kind that has what it needs."""
        for asked in kinds:
            if treated := self._treat(asked, finder, run):
                return treated
        return None

    def _treat(self, asked: Asked, finder: Finder, run: Run) -> Treated | None:
        match asked.kind:
            case Kind.LIBRARY:
                return about_library(asked, finder, run)
            case Kind.SUMMARY:
                if finder.small and (scopes := scopes_of(asked, finder, run)):
                    return summary_by_code(scopes, finder, run)
                if _WANTS_A_SUMMARY.search(asked.question):  # no document of this name: a topic
                    return overview(asked, finder, run)
            case Kind.OVERVIEW:
                return overview(asked, finder, run)
            case Kind.BETWEEN:
                return time_answer(asked, finder, run)
            case Kind.COMPARISON:
                return comparison(asked, finder, run)
            case Kind.TABLE:
                found = table_answer(asked, finder, run)
                if found is None and finder.small:
                    return prose_list(asked, finder, run)
                return found
            case Kind.YES_NO:
                found = table_answer(asked, finder, run)
                by_words = yes_no_answer(asked, finder, run)
                if by_words.did == DECIDED:
                    return by_words
                # A larger model is asked where the words do not decide
                return found or (by_words if finder.small else None)
        return None

    # Several sentences

    def _several_sentences(self, message: str, finder: Finder, run: Run) -> Treated | None:
        """None if the message is one question."""
        return (
            self._difference(message, finder, run)
            or self._told_first(message, finder, run)
            or self._several(message, finder, run)
        )

    def _told_first(self, message: str, finder: Finder, run: Run) -> Treated | None:
        """What a message asks, without what it tells: "I lost my hat. Where is lost property kept?"

        None if it tells nothing, or if what it asks is not found without that.
        """
        told, question = told_and_asked(message)
        if not told or not finder.small or OF_SEVERAL.search(question):
            return None
        alone = len(topic_of(question)) >= FEW_TERMS
        if not alone or refers_back(question):
            asked = next((each for each in recognise(question) if each.kind is Kind.YES_NO), None)
            if asked:
                asked = replace(asked, parts={"told": told})
                found = yes_no_answer(asked, finder, run)
            else:
                found = self._fact(message, "", (), finder, run)
            if not found.missing or not alone:
                return None if found.missing else found
        treated = self._several(question, finder, run)
        treated = treated or self._first(recognise(question), finder, run)
        # A count of all rows would ignore a number that is told: "I have 70 square metres."
        ignores = treated is not None and treated.kind is Kind.TABLE and any(map(str.isdigit, told))
        if treated is None or treated.missing or ignores:
            treated = self._fact(question, "", (), finder, run)
        return None if treated.missing else treated

    def _difference(self, question: str, finder: Finder, run: Run) -> Treated | None:
        """What two amounts differ by: "and by how much?", "how many more?" Computed from a table or
        from sentences; if that is not possible, a small model gets the sentences quoted."""
        whole = without_thanks(question)
        head = without_tail(whole)
        differs = asks_what_differs(whole)
        if head == whole and not differs:
            return None
        for asked in recognise(head):
            if asked.kind in (Kind.TABLE, Kind.COMPARISON, Kind.BETWEEN, Kind.YES_NO):
                computed = {
                    Kind.TABLE: table_answer,
                    Kind.YES_NO: table_answer,
                    Kind.COMPARISON: computed_comparison,
                    Kind.BETWEEN: time_answer,
                }
                if treated := computed[asked.kind](asked, finder, run):
                    return treated
        if not differs or not finder.small:
            return None
        if treated := amounts_apart(whole, finder, run):
            return treated
        quoted = self._fact(whole, "", (), finder, run, QUOTED)
        return None if quoted.missing else quoted

    def _several(self, question: str, finder: Finder, run: Run) -> Treated | None:
        """The parts of a double question, each answered, and joined; None if it is one question.

        A larger model answers the whole question at once.
        """
        question = without_thanks(question)
        parts = parts_of(question)
        if len(parts) < 2:
            return None
        leaning = [bool(number) and leans(part) for number, part in enumerate(parts)]
        # "Which bins are there, and when is each emptied?" is one question for a table
        if any(leaning) and (query := best_query(question, finder, run)):
            whole = answer_of(query) if query.operation in ("cells", "list") else None
            if whole:
                return whole
        if not finder.small:
            return None
        answers: list[tuple[str, Treated]] = []
        for part, on_the_first in zip(parts, leaning, strict=True):
            run.check()
            if on_the_first and answers[-1][1].kind in (Kind.LIBRARY, Kind.SUMMARY):
                continue  # "What is the file called?" The answer has its name
            whole_part = completed(part, parts[0]) if on_the_first else part
            treated = None
            if not leans(whole_part) or not on_the_first:
                treated = self._first(recognise(whole_part), finder, run)
            if treated is None:
                earlier = parts[0] if whole_part == part and on_the_first else ""
                before = [source.node.source_id for _, one in answers for source in one.sources]
                treated = self._fact(whole_part, earlier, before, finder, run)
                if earlier and _same(treated, answers[-1][1]):  # it leans too much
                    alone = self._fact(part, "", before, finder, run)
                    treated = treated if alone.missing else alone
            answers.append((part, treated))
        # A part that is not found alone may be found with the words of the others
        missing = [part for part, treated in answers if treated.missing]
        sources = [source for _, treated in answers for source in treated.sources]
        together = self._fact(question, "", (), finder, run, QUOTED) if missing else None
        if len(missing) == len(answers):
            return together
        lines: list[str] = []
        for part, treated in answers:
            if not treated.missing:
                lines += [f"{chr(10) * bool(lines)}**{part}**\n\n", *treated.text]
        if missing:
            lines.append(f"\n**{' '.join(missing)}**\n\n")
        if together and not together.missing:
            lines += together.text
            sources += together.sources
        elif missing:
            lines.append(f"{NOT_FOUND_PART}\n")
        did = f"{len(parts)} questions, answered one after the other"
        return Treated(Kind.SEVERAL, did, merged(sources), tuple(lines))

    def _fact(
        self,
        question: str,
        earlier: str,
        before: Sequence[str],
        finder: Finder,
        run: Run,
        most: int = 1,
    ) -> Treated:
        """A question for a fact, answered with a quotation of at most this many sentences.

        `before`: the documents that answered the parts before it. They are probably meant, too.
        """
        found = finder.retrieve(question, self._passages, run, earlier)
        if before and not has_name(question) and found and found[0].node.source_id not in before:
            inside = finder.within(before).retrieve(question, self._passages, run, earlier)
            if is_relevant(inside) and inside[0].score > found[0].score - NEAR:
                found = inside
        if not is_relevant(found):
            return Treated(Kind.FACT, "", found[:1], missing=True)
        if by_code := self.row_or_list(question, found):
            return by_code
        best = found[0]
        spans = [(each.start, each.end) for each in best.evidence[:most]]
        quoted = marked(best.node, spans or [(0, len(best.text))], best.score)
        return Treated(Kind.FACT, "", [quoted], tuple(quotations([quoted], by_document=False)))

    # Summaries

    def _summary(
        self,
        asked: Asked,
        scopes: Sequence[Scope],
        answer: Answer,
        synthesizer: ResponseSynthesizer,
        finder: Finder,
    ) -> None:
        """Write a summary: the kept one, the central sentences, or the model's."""
        run = answer.run
        small = synthesizer.context_format is ContextFormat.SENTENCES
        model = finder.embedding.name if small else synthesizer.llm.metadata.model_name
        kept = self._kept.find(scopes, model) if self._kept else None
        if kept:
            run.trace.kind = KindRecord(str(Kind.SUMMARY), f"{did_of(scopes)}, kept", by_code=True)
            answer.found(kept.sources)
            answer.write_lines(kept.text.splitlines(keepends=True))
            return
        if small:
            treated = summary_by_code(scopes, finder, run)
            run.trace.kind = KindRecord(str(treated.kind), treated.did, by_code=True)
            answer.found(treated.sources)
            answer.write_lines(treated.text)
        else:
            self._written_summary(asked, scopes, answer, synthesizer)
        if self._kept and not run.cancelled:
            text = "".join(answer.stream.items)
            self._kept.keep(scopes, model, text, answer.sources or [])

    def _written_summary(
        self,
        asked: Asked,
        scopes: Sequence[Scope],
        answer: Answer,
        synthesizer: ResponseSynthesizer,
    ) -> None:
        """Every part is read by the model; only the last call streams."""
        run = answer.run
        run.trace.kind = KindRecord(str(Kind.SUMMARY), did_of(scopes), by_code=False)
        nodes = [
            NodeWithScore(replace(piece.node, text=piece.text), 1.0)
            for scope in scopes
            for piece in scope.pieces
        ]
        answer.found(
            [NodeWithScore(each.pieces[0].node, 1.0) for each in scopes if each.pieces][:10]
        )
        reader = ResponseSynthesizer(
            synthesizer.llm,
            streaming=synthesizer.streaming,
            response_mode=ResponseMode.TREE_SUMMARIZE,
            options=synthesizer.options,
            context_format=ContextFormat.PASSAGES,
            system=SUMMARY_SYSTEM,
        )
        write(reader, asked.question, nodes, answer)
