"""What a session says, in words that are no stronger than its runs. Pure.

A claim is made only where the interval of the paired runs excludes "no difference".
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from engine.measuring.latency_model import Check, LatencyModel, Point, check, fit
from engine.measuring.record import Measurement, Session
from engine.measuring.schedule import Mode, Role
from engine.measuring.statistics import FEWEST_PAIRS, Estimate, middle_of, ratio_of
from engine.timing import streaming_tax

# Two totals are called alike where the whole interval lies within this share: nobody notices
# a twentieth of a wait (the just noticeable difference of durations is near a tenth).
ALIKE = 0.05


@dataclass(frozen=True, slots=True)
class Paired:
    """One metric in both modes, in seconds: medians, and the pairs' middle.

    difference: non-streaming minus streaming. ratio: non-streaming / streaming.
    """

    streaming: float
    blocking: float
    difference: Estimate
    ratio: Estimate


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the pairs of a session come to. `tax`: a share, 0.01 for 1 % longer when streamed."""

    pairs: int
    first: Paired
    whole: Paired
    tax: Estimate

    @property
    def enough(self) -> bool:
        return self.pairs >= FEWEST_PAIRS


def compare(session: Session) -> Comparison | None:
    """None where no pair is whole yet."""
    pairs = [
        ((streamed.ttft, blocked.ttft), (streamed.e2el, blocked.e2el))
        for streamed, blocked in ((s.figures, b.figures) for s, b in session.pairs)
        if streamed.ttft and blocked.ttft and streamed.e2el and blocked.e2el
    ]
    if not pairs:
        return None
    whole = [pair for _, pair in pairs]
    inverse = ratio_of(whole)
    return Comparison(
        len(pairs),
        _paired([pair for pair, _ in pairs]),
        _paired(whole),
        Estimate(
            streaming_tax(inverse.value, 1),
            None if inverse.low is None else streaming_tax(inverse.low, 1),
            None if inverse.high is None else streaming_tax(inverse.high, 1),
            inverse.pairs,
        ),
    )


def _paired(pairs: Sequence[tuple[float, float]]) -> Paired:
    return Paired(
        median(streamed for streamed, _ in pairs),
        median(blocked for _, blocked in pairs),
        middle_of([blocked - streamed for streamed, blocked in pairs]),
        ratio_of([(blocked, streamed) for streamed, blocked in pairs]),
    )


def verdict(comparison: Comparison) -> str:
    """The finding, in a sentence or two."""
    if not comparison.enough:
        missing = FEWEST_PAIRS - comparison.pairs
        return (
            f"Too few runs to tell: {count(comparison.pairs, 'pair')}, and "
            f"{count(missing, 'more')} would do."
        )
    return f"{_first_words(comparison.first)}; {_whole_answer(comparison.tax)}."


def _first_words(first: Paired) -> str:
    ratio = first.ratio
    if not ratio.excludes(1):
        return "When the first words show, these runs do not tell the modes apart"
    if ratio.value < 1:
        return f"Streaming shows the first words {two(1 / ratio.value)} times later"
    return f"Streaming shows the first words {two(ratio.value)} times sooner"


def _whole_answer(tax: Estimate) -> str:
    if tax.excludes(0):
        longer = "longer" if tax.value > 0 else "less time"
        change = f"{two(abs(tax.value) * 100)} % {longer}"
        return f"the whole answer takes {change} ({percent_range(tax)})"
    if tax.low is not None and tax.high is not None and max(-tax.low, tax.high) <= ALIKE:
        return f"the whole answer takes as long either way ({percent_range(tax)})"
    return f"whether the whole takes longer, these runs do not tell ({percent_range(tax)})"


def percent_range(tax: Estimate) -> str:
    """Where the tax lies with 95 % confidence, as in: −1.2 % to +3.4 %."""
    if tax.low is None or tax.high is None:
        return "too few runs to tell"
    return f"{_signed(tax.low * 100)} % to {_signed(tax.high * 100)} %"


@dataclass(frozen=True, slots=True)
class Map:
    """A fitted latency model, what it was fitted to, and how it did where it was not."""

    model: LatencyModel
    prompt_tokens: dict[int, float]
    measured: list[Measurement]
    held_out: list[Measurement]
    checks: list[Check]


def latency_map(session: Session) -> Map | None:
    """None where too little was measured: no pace without an answer of several tokens."""
    measured = [each for each in session.counted if each.step.role is Role.MEASURED]
    held_out = [each for each in session.counted if each.step.role is Role.HELD_OUT]
    try:
        model = fit([_point(each) for each in measured])
    except ValueError:
        return None
    sizes: dict[int, list[int]] = {}
    for each in session.counted:
        sizes.setdefault(each.step.passages, []).append(each.figures.prompt_tokens)
    prompts = {passages: median(counts) for passages, counts in sorted(sizes.items())}
    checks = check(model, [_point(each) for each in held_out])
    return Map(model, prompts, measured, held_out, checks)


def _point(each: Measurement) -> Point:
    figures = each.figures
    evaluated = figures.prompt_tokens - figures.reused_tokens
    return Point(evaluated, figures.output_tokens, figures.ttft or 0.0, figures.e2el or 0.0)


def same_text(session: Session) -> bool:
    """Whether both modes wrote the same, word for word, in every run."""
    return len({each.text for each in session.recorded}) <= 1


def first_words_of(session: Session, readers: int, mode: Mode) -> float | None:
    """Seconds until the slowest of so many readers at once sees text: the median over rounds."""
    rounds: dict[int, list[float]] = {}
    for each in session.of(mode):
        if each.step.readers == readers and each.figures.ttft:
            rounds.setdefault(each.run, []).append(each.figures.ttft)
    return median(max(times) for times in rounds.values()) if rounds else None


def two(value: float) -> str:
    """Two significant figures: 0.042, 0.42, 4.2, 42, 420."""
    if value == 0:
        return "0"
    rounded = float(f"{value:.2g}")
    places = max(0, 2 - len(str(int(abs(rounded))))) if abs(rounded) >= 1 else 2
    while abs(rounded) < 10 ** (1 - places) and places < 9:
        places += 1
    return f"{rounded:.{places}f}"


def _signed(value: float) -> str:
    return ("+" if value >= 0 else "−") + two(abs(value))


def count(number: int, noun: str) -> str:
    """A number with its noun, as in: 1 pair, 6 pairs, 2 more."""
    return f"{number} {noun}{'s' * (number != 1 and noun != 'more')}"
