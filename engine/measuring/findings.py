"""The findings of a session, in words.

A finding states a difference only if the confidence interval of the paired runs excludes zero.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from engine.measuring.record import Session
from engine.measuring.schedule import Mode
from engine.measuring.statistics import FEWEST_PAIRS, Estimate, hodges_lehmann, ratio_of
from engine.timing import streaming_tax

# The equivalence margin: two totals are equal if the whole interval is within this share. People
# notice differences between durations from about a tenth (Weber's law).
EQUIVALENCE_MARGIN = 0.05


@dataclass(frozen=True, slots=True)
class Paired:
    """One metric in both modes, in seconds: the medians of all runs, and estimates from the pairs.

    difference: non-streaming minus streaming. ratio: non-streaming / streaming.
    """

    streaming: float
    blocking: float
    difference: Estimate
    ratio: Estimate


@dataclass(frozen=True, slots=True)
class Comparison:
    """The differences between the modes. `tax` is a share: 0.01 is 1 % longer when streamed."""

    pairs: int
    first: Paired
    whole: Paired
    tax: Estimate

    @property
    def enough_pairs(self) -> bool:
        return self.pairs >= FEWEST_PAIRS


def compare(session: Session) -> Comparison | None:
    """The comparison of a session's modes; None if there is no complete pair yet."""
    pairs = [
        ((streamed.ttft, blocked.ttft), (streamed.e2el, blocked.e2el))
        for streamed, blocked in ((s.metrics, b.metrics) for s, b in session.pairs)
        if streamed.ttft and blocked.ttft and streamed.e2el and blocked.e2el
    ]
    if not pairs:
        return None
    whole = [pair for _, pair in pairs]
    inverse = ratio_of(whole)
    return Comparison(
        len(pairs),
        _paired(session, "ttft", [pair for pair, _ in pairs]),
        _paired(session, "e2el", whole),
        Estimate(
            streaming_tax(inverse.value, 1),
            None if inverse.low is None else streaming_tax(inverse.low, 1),
            None if inverse.high is None else streaming_tax(inverse.high, 1),
            inverse.count,
        ),
    )


def _paired(session: Session, metric: str, pairs: Sequence[tuple[float, float]]) -> Paired:
    return Paired(
        session.median(Mode.STREAMING, metric) or 0.0,
        session.median(Mode.BLOCKING, metric) or 0.0,
        hodges_lehmann([blocked - streamed for streamed, blocked in pairs]),
        ratio_of([(blocked, streamed) for streamed, blocked in pairs]),
    )


def verdict(comparison: Comparison) -> str:
    """The finding, in one sentence without its full stop."""
    if not comparison.enough_pairs:
        return (
            f"Too few runs for a finding: {comparison.pairs} of the {FEWEST_PAIRS} pairs that are "
            "needed"
        )
    first = first_words_differ(comparison)
    whole = whole_answer_differs(comparison)
    said = [
        f"Streaming shows the first words {first}"
        if first
        else "The first words show no clear difference in time",
        f"the whole answer takes {whole}"
        if whole
        else "the whole answer shows no clear difference in time",
    ]
    return "; ".join(said)


def first_words_differ(comparison: Comparison) -> str:
    """By how much, from the medians: "4.9 times sooner"; empty where it may be chance."""
    first = comparison.first
    if not first.ratio.excludes(1):
        return ""
    if first.streaming < first.blocking:
        return f"{two(first.blocking / first.streaming)} times sooner"
    return f"{two(first.streaming / first.blocking)} times later"


def whole_answer_differs(comparison: Comparison) -> str:
    """By how much, from the medians: "2.0 % longer"; empty where it may be chance."""
    tax = comparison.tax
    low, high = tax.low, tax.high
    if low is not None and high is not None and max(-low, high) <= EQUIVALENCE_MARGIN:
        return "equally long"
    if not tax.excludes(0):
        return ""
    change = streaming_tax(comparison.whole.streaming, comparison.whole.blocking) * 100
    return f"{two(abs(change))} % {'longer' if change >= 0 else 'less time'}"


def likely_range(tax: Estimate) -> str:
    """The 95 % interval of the tax: "between 1.2 % less and 3.4 % more time"; empty without one."""
    if tax.low is None or tax.high is None:
        return ""
    low, high = tax.low * 100, tax.high * 100
    if (low < 0) != (high < 0):
        return f"between {two(abs(low))} % less and {two(abs(high))} % more time"
    least, most = sorted((abs(low), abs(high)))
    return f"between {two(least)} and {two(most)} % {'more' if low >= 0 else 'less'} time"


def settings_of(session: Session) -> dict[str, str]:
    """The settings of a session by name, in words, with the model and the processor."""
    setup, machine = session.setup, session.fingerprint
    budget = setup.first_token_budget
    return {
        "model": machine.get("model file", machine.get("model", "unknown")),
        "passages": str(setup.passages),
        "in the prompt": str(setup.context_format or "like the Ask page"),
        "longest answer": f"{setup.length} tokens",
        "cache": "warm" if setup.warm else "cold",
        "longest wait": f"{budget:g} s" if budget else "no limit",
        "processor": machine.get("processor", "unknown"),
    }


def same_text(session: Session) -> bool:
    """Whether both modes wrote the same text in every run."""
    return len({each.text for each in session.counted}) <= 1


def first_words_of(session: Session, readers: int, mode: Mode) -> float | None:
    """Seconds until the slowest of `readers` at once sees text: the median over the rounds."""
    rounds: dict[int, list[float]] = {}
    for each in session.of(mode):
        if each.trial.readers == readers and each.metrics.ttft:
            rounds.setdefault(each.run, []).append(each.metrics.ttft)
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
