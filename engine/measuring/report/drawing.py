"""Charts as HTML: marks at percentages of the width, so that a chart fits every screen.

No script, no picture, nothing from elsewhere: the page and an exported file show the same HTML.
Everything has the colour of the surrounding text, except what belongs to a lane: the first lane is
blue, the second one orange. Class names begin with ft-, so that they style nothing else.
"""

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

HUES = ("#0072B2", "#D55E00")
INK = "currentColor"
ROW = 26  # pixels: a strip of dots, or a bar

STYLE = """
.ft-chart { margin: 0.5rem 0 1rem; font-size: 0.875rem; line-height: 1.4;
  font-variant-numeric: tabular-nums; }
.ft-name { margin: 0.5rem 0 0.25rem; }
.ft-plot { position: relative; }
.ft-plot > * { position: absolute; box-sizing: border-box; }
.ft-dot { width: 9px; height: 9px; margin: -4.5px 0 0 -4.5px; border-radius: 50%; }
.ft-ring { width: 11px; height: 11px; margin: -5.5px 0 0 -5.5px; border-radius: 50%; }
.ft-small { width: 4px; height: 4px; margin: -2px 0 0 -2px; border-radius: 50%; }
.ft-tick { width: 3px; margin-left: -1.5px; }
.ft-rule { border-left: 1px solid currentColor; opacity: 0.5; }
.ft-dashed { border-left: 1px dashed currentColor; opacity: 0.7; }
.ft-level { border-top: 1px solid currentColor; opacity: 0.15; width: 100%; }
.ft-line { inset: 0; }
.ft-hatched { opacity: 0.6;
  background: repeating-linear-gradient(135deg, currentColor 0 2px, transparent 2px 6px); }
.ft-covers { background-color: Canvas; opacity: 1; }
.ft-word { white-space: nowrap; line-height: 1; }
.ft-axis { position: relative; height: 1.25rem; border-top: 1px solid
  color-mix(in srgb, currentColor 40%, transparent); margin-top: 2px; }
.ft-axis > span { position: absolute; top: 0.125rem; transform: translateX(-50%); }
.ft-axis > span.ft-first { transform: none; }
.ft-axis > span.ft-last { transform: translateX(-100%); }
.ft-title { text-align: center; }
.ft-rows { display: grid; grid-template-columns: minmax(7.5rem, max-content) 1fr; gap: 0 0.75rem;
  align-items: center; }
.ft-rows > .ft-label { overflow-wrap: anywhere; }
.ft-xy { display: grid; grid-template-columns: max-content 1fr; gap: 0 0.375rem; }
.ft-y { position: relative; min-width: 2rem; }
.ft-y > span { position: absolute; right: 0; transform: translateY(50%); white-space: nowrap; }
.ft-key { display: flex; flex-wrap: wrap; gap: 0 1.25rem; margin-bottom: 0.375rem;
  font-size: 0.875rem; }
.ft-key i { display: inline-block; width: 0.75rem; height: 0.75rem; border-radius: 2px;
  margin-right: 0.375rem; vertical-align: -0.0625rem; }
"""


@dataclass(frozen=True, slots=True)
class Scale:
    """A linear scale from `low` to `high`, in the unit of its values."""

    low: float
    high: float

    def at(self, value: float) -> float:
        """The place of a value, in percent, within the scale's ends."""
        span = self.high - self.low
        place = (value - self.low) / span * 100 if span > 0 else 0.0
        return min(100.0, max(0.0, place)) if math.isfinite(place) else 0.0

    def ticks(self, most: int = 5) -> list[float]:
        """Round values on the scale, about `most` of them at most."""
        span = self.high - self.low
        if not span > 0 or not math.isfinite(span):
            return [self.low]
        step = 10 ** math.floor(math.log10(span / most))
        step *= next(factor for factor in (1, 2, 5, 10) if span / (step * factor) <= most)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]


def from_zero(values: Sequence[float], room: float = 1.04) -> Scale:
    """A scale from zero to a little more than the largest value."""
    return Scale(0.0, max([*values, 0.0]) * room or 1.0)


def around(values: Sequence[float], room: float = 0.06) -> Scale:
    """A scale of all values and of zero."""
    low, high = min([*values, 0.0]), max([*values, 0.0])
    beside = room * (high - low or 1.0)
    return Scale(low - beside, high + beside)


# ---- Marks, at percentages of the width and pixels from the top


def dot(x: float, y: float, hue: str, title: str = "", kind: str = "ft-dot") -> str:
    about = f' title="{html.escape(title)}"' if title else ""
    return f'<i class="{kind}" style="left:{x:.2f}%;top:{y:.1f}px;background:{hue}"{about}></i>'


def bar(
    low: float,
    high: float,
    y: float,
    height: float,
    hue: str,
    opacity: float = 1.0,
    title: str = "",
) -> str:
    """A bar between two percentages, never invisibly short."""
    about = f' title="{html.escape(title)}"' if title else ""
    left, right = sorted((low, high))
    return (
        f'<i style="left:{left:.2f}%;width:max(1px,{right - left:.2f}%);top:{y:.1f}px;'
        f'height:{height:.1f}px;background:{hue};opacity:{opacity:g}"{about}></i>'
    )


def hatched(
    low: float, high: float, y: float, height: float, title: str = "", covers: bool = False
) -> str:
    """A hatched bar. covers: what is below it does not shine through."""
    kind = "ft-hatched ft-covers" if covers else "ft-hatched"
    return (
        f'<i class="{kind}" title="{html.escape(title)}" style="left:{low:.2f}%;'
        f'width:{high - low:.2f}%;top:{y:.1f}px;height:{height:.1f}px"></i>'
    )


def tick(x: float, y: float, height: float, hue: str = INK) -> str:
    return (
        f'<i class="ft-tick" style="left:{x:.2f}%;top:{y:.1f}px;height:{height:.1f}px;'
        f'background:{hue}"></i>'
    )


def rule(x: float, dashed: bool = False) -> str:
    """A line from the top to the bottom."""
    kind = "ft-dashed" if dashed else "ft-rule"
    return f'<i class="{kind}" style="left:{x:.2f}%;top:0;bottom:0"></i>'


def word(x: float, y: float, text: str, right: bool = True) -> str:
    """Text to the right or to the left of a place."""
    side = f"left:calc({x:.2f}% + 6px)" if right else f"right:calc({100 - x:.2f}% + 6px)"
    return f'<span class="ft-word" style="{side};top:{y:.1f}px">{html.escape(text)}</span>'


def line(points: Sequence[tuple[float, float]], hue: str) -> str:
    """A line through points given in percent of the width and of the height, from below.

    Each part is a strip of constant height or width, whichever suits its slope.
    """
    parts = []
    for (x, y), (to_x, to_y) in pairwise(points):
        steep = abs(to_y - y) > abs(to_x - x)
        corners = [(x, y, -1), (to_x, to_y, -1), (to_x, to_y, 1), (x, y, 1)]
        shape = ",".join(
            f"calc({a:.2f}% + {side * 1.25 if steep else 0:g}px) "
            f"calc({100 - b:.2f}% + {0 if steep else side * 1.25:g}px)"
            for a, b, side in corners
        )
        parts.append(f'<i class="ft-line" style="background:{hue};clip-path:polygon({shape})"></i>')
    return "".join(parts)


# ---- Charts


def chart(inner: str, describes: str) -> str:
    """A chart; screen readers read `describes`."""
    return f'<div class="ft-chart" role="img" aria-label="{html.escape(describes)}">{inner}</div>'


def axis(scale: Scale, title: str, factor: float = 1.0) -> str:
    """Ticks with their values, times `factor`, and a title below."""
    ticks = []
    for value in scale.ticks():
        place = scale.at(value)
        kind = "ft-first" if place < 4 else "ft-last" if place > 96 else ""
        ticks.append(
            f'<span class="{kind}" style="left:{place:.2f}%">{number(value * factor)}</span>'
        )
    return f'<div class="ft-axis">{"".join(ticks)}</div><div class="ft-title">{title}</div>'


def number(value: float) -> str:
    """A tick's value: 0.25, −2, 1,000."""
    text = f"{abs(value):,.10f}".rstrip("0").rstrip(".") if abs(value) < 1e9 else f"{value:.3g}"
    return f"−{text}" if value < 0 and text != "0" else text


@dataclass(frozen=True, slots=True)
class Strip:
    """A named row of marks, `height` pixels high."""

    name: str
    marks: Sequence[str]
    height: float = ROW


def strips(rows: Sequence[Strip], scale: Scale, title: str, describes: str) -> str:
    """Named rows above a common axis; the name is above its marks, so it may be long.

    Without a title there is no axis: the marks carry their values.
    """
    drawn = "".join(
        f'<div class="ft-name">{html.escape(row.name)}</div>'
        f'<div class="ft-plot" style="height:{row.height:g}px">{"".join(row.marks)}</div>'
        for row in rows
    )
    return chart(drawn + (axis(scale, title) if title else ""), describes)


def labelled_rows(rows: Sequence[Strip], scale: Scale, title: str, describes: str) -> str:
    """Rows with their names in a column before them."""
    drawn = "".join(
        f'<div class="ft-label">{html.escape(row.name)}</div>'
        f'<div class="ft-plot" style="height:{row.height:g}px">{"".join(row.marks)}</div>'
        for row in rows
    )
    below = f"<div></div><div>{axis(scale, title)}</div>"
    return chart(f'<div class="ft-rows">{drawn}{below}</div>', describes)


def xy(
    marks: Sequence[str], x: Scale, y: Scale, titles: tuple[str, str], height: int, describes: str
) -> str:
    """Marks over two axes. titles: of the horizontal and of the vertical one."""
    levels = [(y.at(value), number(value)) for value in y.ticks(4)]
    labels = "".join(f'<span style="bottom:{at:.1f}%">{text}</span>' for at, text in levels)
    wide = max((len(text) for _, text in levels), default=1)
    grid = "".join(f'<i class="ft-level" style="bottom:{at:.1f}%"></i>' for at, _ in levels)
    return chart(
        f'<div class="ft-name">{titles[1]}</div><div class="ft-xy">'
        f'<div class="ft-y" style="height:{height}px;width:{wide * 0.6:.1f}em">{labels}</div>'
        f'<div class="ft-plot" style="height:{height}px">{grid}{"".join(marks)}</div>'
        f"<div></div><div>{axis(x, titles[0])}</div></div>",
        describes,
    )


def point(x: float, y: float, hue: str, title: str = "", kind: str = "ft-dot") -> str:
    """A dot at percentages of the width, and of the height from below."""
    about = f' title="{html.escape(title)}"' if title else ""
    colour = f"border:2px solid {hue}" if kind == "ft-ring" else f"background:{hue}"
    return f'<i class="{kind}" style="left:{x:.2f}%;top:{100 - y:.2f}%;{colour}"{about}></i>'


def stem(x: float, low: float, high: float) -> str:
    """A thin upright line between two percentages of the height, from below."""
    return (
        f'<i style="left:{x:.2f}%;bottom:{low:.2f}%;height:{high - low:.2f}%;'
        f'border-left:1px solid {INK};opacity:0.5"></i>'
    )


def word_at(x: float, y: float, text: str) -> str:
    """Text above a place, at percentages of the width, and of the height from below."""
    return (
        f'<span class="ft-word" style="left:{x:.2f}%;top:calc({100 - y:.2f}% - 1.375rem);'
        f'transform:translateX(-50%)">{html.escape(text)}</span>'
    )


def column(low: float, high: float, height: float, hue: str, title: str = "") -> str:
    """A column between two percentages of the width, as high as a percentage of the height."""
    about = f' title="{html.escape(title)}"' if title else ""
    return (
        f'<i style="left:{low:.2f}%;width:max(1px,calc({high - low:.2f}% - 1px));bottom:0;'
        f'height:{height:.2f}%;background:{hue}"{about}></i>'
    )


def key(names: Sequence[str]) -> str:
    """Which colour is which lane."""
    items = "".join(
        f'<span><i style="background:{hue}"></i>{html.escape(name)}</span>'
        for name, hue in zip(names, HUES, strict=False)
    )
    return f'<div class="ft-key">{items}</div>'


def jitter(place: int) -> float:
    """How far a dot is from the middle of its row, in pixels, so that equal dots stay visible."""
    return ((place * 2) % 5 - 2) * 3.0
