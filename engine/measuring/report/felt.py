"""What a reader notices: the first useful text, the pace of reading, the time saved."""

from engine.english import counted
from engine.measuring.feeling import ADULT, Reading, first_useful, reading
from engine.measuring.findings import capital, two
from engine.measuring.record import Measurement, Session
from engine.measuring.report.captions import which_run
from engine.measuring.report.drawing import HUES, Strip, bar, from_zero, hatched, strips, tick
from engine.measuring.report.section import Chart, Finding, Note, Section
from engine.measuring.schedule import Mode

HEIGHT, BAR = 26, 18  # pixels


def felt(session: Session, words_a_minute: float = ADULT) -> Section:
    section = Section(
        "What a reader notices",
        "Somebody who reads at a steady speed waits for the first words, and again whenever "
        "everything there is has been read.",
    )
    runs = [run for lane in range(len(session.setup.lanes)) if (run := _typical(session, lane))]
    if not runs:
        return section
    read = [reading(run, session.setup.lanes[run.lane].mode, words_a_minute) for run in runs]
    said = saved(session, runs, read, words_a_minute)
    section.blocks += [
        Finding(said),
        Chart(_plot(session, runs, read, said)),
        Note(
            "Hatched: waiting. Filled: reading. The mark: the sentence with the answer is there "
            "(the first sentence that the app's cross-encoder takes for an answer). "
            f"At {words_a_minute:.0f} words a minute."
        ),
        Finding(pace(runs[0], session.setup.lanes[runs[0].lane].mode, words_a_minute)),
        Note("; ".join(which_run(session, run) for run in runs) + "."),
    ]
    return section


def _typical(session: Session, lane: int) -> Measurement | None:
    """The typical run of a lane; of a server that reports no token times, any run."""
    return session.typical_run(lane) or next(iter(session.of(lane)), None)


def saved(
    session: Session, runs: list[Measurement], read: list[Reading], words_a_minute: float
) -> str:
    """The waiting of both readers, and what one of them has read when the other begins."""
    names = [session.setup.names[run.lane] for run in runs]
    if len(runs) == 1:
        return f"With {names[0]} you wait {two(read[0].waited)} s in all"
    less = read[1].waited - read[0].waited
    words = abs(less) * words_a_minute / 60
    first, other = (0, 1) if less >= 0 else (1, 0)
    said = (
        f"{capital(names[first])} saves you {two(abs(less))} s of waiting, in which you read "
        f"{counted(round(words), 'word')}"
    )
    begins = read[other].pauses[0][1] if read[other].pauses else 0.0
    already = read[first].read_by(begins)
    total = read[first].words[-1][1] if read[first].words else 0
    if already:
        said += (
            f". When the {names[other]} answer appears, you have already read {already} of "
            f"{counted(total, 'word')}"
        )
    return said


def pace(run: Measurement, mode: Mode, words_a_minute: float) -> str:
    """Whether the text arrives faster than somebody reads."""
    times = run.trace.calls[-1].token_times if run.trace.calls else []
    if mode is not Mode.STREAMING or len(times) < 2 or times[-1] <= times[0]:
        return "The text comes all at once, so nobody waits within it"
    writes = len(run.text.split()) / (times[-1] - times[0]) * 60
    factor = writes / words_a_minute
    if factor >= 1:
        return (
            f"The model writes {writes:,.0f} words a minute, {two(factor)} times as fast as you "
            "read: after the first words you never wait"
        )
    return (
        f"The model writes {writes:,.0f} words a minute, and you read {two(1 / factor)} times as "
        "fast: you wait for words all the time"
    )


def _plot(session: Session, runs: list[Measurement], read: list[Reading], said: str) -> str:
    scale = from_zero([each.finished for each in read])
    top = (HEIGHT - BAR) / 2
    rows = []
    for run, each in zip(runs, read, strict=True):
        hue = HUES[run.lane]
        marks = [bar(0, scale.at(each.finished), top, BAR, hue, 0.55)]
        for begin, end in each.pauses:
            low, high = scale.at(begin), scale.at(end)
            marks.append(hatched(low, high, top, BAR, f"waiting, {end - begin:.2f} s", covers=True))
        name = f"{capital(session.setup.names[run.lane])}: waits {two(each.waited)} s"
        useful = first_useful(run)
        if useful is not None:
            name += f", the answer is there after {two(useful)} s"
            marks.append(tick(scale.at(useful), top - 4, BAR + 8))
        rows.append(Strip(name, marks, HEIGHT))
    title = "seconds since the question was sent"
    return strips(rows, scale, title, f"Waiting and reading. {said}.")
