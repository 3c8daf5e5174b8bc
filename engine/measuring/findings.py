"""The findings of a session, in words.

A finding states a difference only if the confidence interval of the paired runs excludes zero.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from engine.measuring.record import Session
from engine.measuring.schedule import BOTH_MODES, Setup
from engine.measuring.statistics import FEWEST_PAIRS, Estimate, hodges_lehmann, ratio_of
from engine.timing import streaming_tax

# The equivalence margin: two totals are equal if the whole interval is within this share. People
# notice differences between durations from about a tenth (Weber's law).
EQUIVALENCE_MARGIN = 0.05


# From here on a difference is told as a factor ("1.5 times sooner"), below in percent.
A_FACTOR = 1.5


@dataclass(frozen=True, slots=True)
class Paired:
    """One metric in both lanes, in seconds: the medians of all runs, and estimates from the pairs.

    difference: second minus first lane. ratio: second / first.
    """

    first: float
    second: float
    difference: Estimate
    ratio: Estimate


@dataclass(frozen=True, slots=True)
class Comparison:
    """The differences between the lanes. extra: the share by which the whole answer takes longer in
    the first lane; 0.01 is 1 %."""

    pairs: int
    words: Paired
    whole: Paired
    extra: Estimate

    @property
    def enough_pairs(self) -> bool:
        return self.pairs >= FEWEST_PAIRS


def compare(session: Session) -> Comparison | None:
    """The comparison of a session's lanes; None if there is no complete pair yet."""
    pairs = [
        ((one.ttft, other.ttft), (one.e2el, other.e2el))
        for one, other in ((a.metrics, b.metrics) for a, b in session.pairs)
        if one.ttft and other.ttft and one.e2el and other.e2el
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
        session.median(0, metric) or 0.0,
        session.median(1, metric) or 0.0,
        hodges_lehmann([second - first for first, second in pairs]),
        ratio_of([(second, first) for first, second in pairs]),
    )


def only_modes_differ(setup: Setup) -> bool:
    """Whether the lanes are streaming and non-streaming, and alike in everything else."""
    return [lane.mode for lane in setup.lanes] == [lane.mode for lane in BOTH_MODES] and len(
        {(lane.transport, lane.model, lane.warm) for lane in setup.lanes}
    ) == 1


def verdict(setup: Setup, comparison: Comparison) -> str:
    """The finding, in one sentence without its full stop."""
    if not comparison.enough_pairs:
        return (
            f"Too few runs for a finding: {comparison.pairs} of the {FEWEST_PAIRS} pairs that are "
            "needed"
        )
    words, whole = first_words_differ(comparison), whole_answer_differs(comparison)
    second = f"the whole answer takes {whole}" if whole else WHOLE_UNCLEAR
    if only_modes_differ(setup):
        first = f"Streaming shows the first words {words}" if words else WORDS_UNCLEAR
        return f"{capital(first)}; {second}"
    first = f"the first words come {words}" if words else WORDS_UNCLEAR
    return f"{capital(' against '.join(setup.names))}: {first}; {second}"


WORDS_UNCLEAR = "the first words show no clear difference in time"
WHOLE_UNCLEAR = "the whole answer shows no clear difference in time"


def first_words_differ(comparison: Comparison) -> str:
    """How the first lane differs, from the medians: "4.9 times sooner"; empty if by chance."""
    words = comparison.words
    if not words.ratio.excludes(1) or not words.first or not words.second:
        return "at the same time" if _alike(words.ratio) else ""
    factor = max(words.first, words.second) / min(words.first, words.second)
    size = f"{two(factor)} times" if factor >= A_FACTOR else f"{two((factor - 1) * 100)} %"
    return f"{size} {'sooner' if words.first < words.second else 'later'}"


def whole_answer_differs(comparison: Comparison) -> str:
    """How the first lane differs, from the medians: "2.0 % longer"; empty if by chance."""
    extra = comparison.extra
    low, high = extra.low, extra.high
    if low is not None and high is not None and max(-low, high) <= EQUIVALENCE_MARGIN:
        return "equally long"
    if not extra.excludes(0):
        return ""
    change = streaming_tax(comparison.whole.first, comparison.whole.second)
    if change > 1:
        return f"{two(change + 1)} times as long"
    return f"{two(abs(change) * 100)} % {'longer' if change >= 0 else 'less time'}"


def _alike(ratio: Estimate) -> bool:
    """Whether the whole interval of a ratio is within the equivalence margin."""
    if ratio.low is None or ratio.high is None:
        return False
    return max(1 - ratio.low, ratio.high - 1) <= EQUIVALENCE_MARGIN


def likely_range(extra: Estimate) -> str:
    """The 95 % interval of the extra time: "between 1.2 % less and 3.4 % more time"; empty without
    one."""
    if extra.low is None or extra.high is None:
        return ""
    low, high = extra.low * 100, extra.high * 100
    if (low < 0) != (high < 0):
        return f"between {two(abs(low))} % less and {two(abs(high))} % more time"
    least, most = sorted((abs(low), abs(high)))
    return f"between {two(least)} and {two(most)} % {'more' if low >= 0 else 'less'} time"


def capital(text: str) -> str:
    """The text with a capital first letter; the rest stays."""
    return text[:1].upper() + text[1:]


def settings_of(session: Session) -> dict[str, str]:
    """The settings of a session by name, in words, with its lanes, model and processor."""
    setup, machine = session.setup, session.fingerprint
    budget = setup.first_token_budget
    return {
        **_lanes(setup),
        "model": machine.get("model file", machine.get("model", "unknown")),
        "passages": str(setup.passages),
        "in the prompt": str(setup.context_format or "like the Ask page"),
        "longest answer": f"{setup.length} tokens",
        "longest wait": f"{budget:g} s" if budget else "no limit",
        "processor": machine.get("processor", "unknown"),
    }


def _lanes(setup: Setup) -> dict[str, str]:
    """What is compared, and what the lanes have in common that is not the default."""
    common = {name: fact for name, fact in setup.lanes[0].described.items() if name != "model"}
    for lane in setup.lanes:
        common = {name: fact for name, fact in common.items() if lane.described[name] == fact}
    return {"compared": " against ".join(setup.names), **common}


def same_text(session: Session) -> bool:
    """Whether both lanes wrote the same text for each question, in every run."""
    texts = {(each.question, each.text) for each in session.counted}
    return len(texts) == len({question for question, _ in texts})


def two(value: float) -> str:
    """Two significant figures: 0.042, 0.42, 4.2, 42, 420."""
    if value == 0:
        return "0"
    rounded = float(f"{value:.2g}")
    places = max(0, 2 - len(str(int(abs(rounded))))) if abs(rounded) >= 1 else 2
    while abs(rounded) < 10 ** (1 - places) and places < 9:
        places += 1
    return f"{rounded:.{places}f}"
