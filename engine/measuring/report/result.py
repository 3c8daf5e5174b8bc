"""The result: what was compared, which lane is better by how much, and whether to believe it."""

from statistics import median

from engine.english import counted
from engine.measuring.feeling import first_useful
from engine.measuring.findings import (
    Comparison,
    compare,
    first_words_differ,
    likely_range,
    only_modes_differ,
    same_text,
    two,
    verdict,
    whole_answer_differs,
)
from engine.measuring.record import Outcome, Session
from engine.measuring.report.captions import ENDED_EARLY, about
from engine.measuring.report.drawing import HUES, Strip, bar, from_zero, strips, word
from engine.measuring.report.section import Chart, Finding, Note, Section
from engine.measuring.statistics import FEWEST_PAIRS

BAR, GAP = 20, 4  # pixels
ROOM = 1.9  # times the longest bar: the labels stand behind the bars, also on a phone
NO_PAIR = "Too few runs for a finding: no pair of runs in both lanes has ended"


def result(session: Session) -> Section:
    comparison = compare(session)
    section = Section("The result", what_was_compared(session))
    if comparison is None:
        section.blocks.append(Finding(NO_PAIR))
        return section
    section.blocks += [
        Finding(verdict(session.setup, comparison)),
        Chart(_bars(session, comparison)),
        Note("Seconds from the question, in the middle of all runs (median). Shorter is better."),
        Note(whether_to_believe(session, comparison)),
        Note(about(session, session.counted)),
    ]
    return section


def what_was_compared(session: Session) -> str:
    """What the lanes are, the answers and the questions."""
    names, setup = session.setup.names, session.setup
    lanes = (
        "A streaming answer appears while it is written, a non-streaming one when it is complete. "
        if only_modes_differ(setup)
        else ""
    )
    questions = len({run.question for run in session.counted})
    asked = "one question" if questions == 1 else f"{questions} questions"
    runs = " and ".join(f"{len(session.of(lane))} {name}" for lane, name in enumerate(names))
    return (
        f"{lanes}Measured: {counted(len(session.counted), 'answer')} to {asked}, {runs}, in turn."
    )


def _bars(session: Session, comparison: Comparison) -> str:
    """The medians of both lanes: first words, the sentence with the answer, whole answer."""
    words, whole = comparison.words, comparison.whole
    rows = [("First words", [words.first, words.second])]
    useful = [first_useful_median(session, lane) for lane in range(len(session.setup.lanes))]
    if all(useful):
        rows.append(("The sentence with the answer", [time or 0.0 for time in useful]))
    rows.append(("Whole answer", [whole.first, whole.second]))
    scale = from_zero([time for _, times in rows for time in times], ROOM)
    names = session.setup.names

    def marks(times: list[float]) -> list[str]:
        drawn = []
        for lane, time in enumerate(times):
            top, end = lane * (BAR + GAP), scale.at(time)
            drawn.append(bar(0, end, top, BAR, HUES[lane]))
            drawn.append(word(end, top + 3, f"{two(time)} s {names[lane]}"))
        return drawn

    described = "; ".join(
        f"{name}: {', '.join(f'{lane} {two(t)} s' for lane, t in zip(names, times, strict=True))}"
        for name, times in rows
    )
    drawn = [Strip(name, marks(times), 2 * BAR + GAP) for name, times in rows]
    return strips(drawn, scale, "", f"Medians. {described}")


def first_useful_median(session: Session, lane: int) -> float | None:
    """The median time until the sentence with the answer is there; None if it is not known."""
    times = [time for run in session.of(lane) if (time := first_useful(run)) is not None]
    return median(times) if times else None


def whether_to_believe(session: Session, comparison: Comparison) -> str:
    """How sure each half of the finding is, why, and for what it holds."""
    if not comparison.enough_pairs:
        return (
            f"**Not to be relied on yet.** {counted(comparison.pairs, 'pair')} of runs ended, and "
            f"a finding needs {FEWEST_PAIRS}."
        )
    first = session.setup.names[0]
    pairs = [(a.metrics.ttft or 0.0, b.metrics.ttft or 0.0) for a, b in session.pairs]
    sooner, later = sum(a < b for a, b in pairs), sum(a > b for a, b in pairs)
    came = (
        f"sooner with {first} in {sooner}" if sooner >= later else f"later with {first} in {later}"
    )
    words = comparison.words.ratio
    times = ""
    if words.excludes(1) and words.low and words.high:
        low, high = (words.low, words.high) if words.low > 1 else (1 / words.high, 1 / words.low)
        times = f", {two(low)} to {two(high)} times (95 % confidence)"
    whole = whole_answer_differs(comparison)
    clearer = "More runs, or fewer other programs on this computer, make it clearer."
    scope = "this question" if len(session.setup.questions) == 1 else "these questions"
    said = [
        "**First words: you can rely on it.**"
        if first_words_differ(comparison)
        else "**First words: this may be chance.**",
        f"They came {came} of {len(pairs)} pairs of runs{times}.",
        "**Whole answer: you can rely on it.**" if whole else "**Whole answer: not clear yet.**",
        f"With {first}, it takes {likely_range(comparison.extra)}.",
        *([] if whole else [clearer]),
        *(f"{each}." for each in cautions(session)),
        f"This holds for {scope} on this computer.",
    ]
    return " ".join(said)


def cautions(session: Session) -> list[str]:
    """What somebody should know before relying on a finding, without full stops."""
    found = []
    if session.outcome is Outcome.STOPPED:
        found.append("The measurement was stopped early")
    elif session.outcome in ENDED_EARLY:
        found.append("The measurement ended early")
    if not same_text(session):
        found.append("Not all runs of a question wrote the same text")
    if without := session.unanswered:
        found.append(
            f"{counted(len(without), 'question')} had no answer in the documents and was left out"
            if len(without) == 1
            else f"{len(without)} questions had no answer in the documents and were left out"
        )
    return found
