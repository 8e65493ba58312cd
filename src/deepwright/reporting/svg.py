"""The ground of all charts: scales, nice ticks, axes, legends, colours (floor 7).

Colours are CSS variables with fallbacks (``--dw-0`` … ``--dw-7`` for series, ``--dw-paper`` for the background), and text takes
the colour of the page, so that one drawing is readable on light and dark ground.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from deepwright.reporting.text import Markup, shorten, tag, width

FONT = 12.0
"""The size of chart texts, in units of the view box."""
WIDE = 420.0
"""The usual width of a chart, so small that its texts stay readable on a phone."""
COLOURS = ("#2468c4", "#c4501b", "#1a8a64", "#a0449c", "#a87b00", "#178aa8", "#b8354e", "#5d6b7a")
"""The colours of series on light ground; page.py has their counterparts on dark ground."""
PAPER = "var(--dw-paper,#fff)"


def colour(index: int) -> str:
    """Return the colour of a series."""
    index %= len(COLOURS)
    return f"var(--dw-{index},{COLOURS[index]})"


def ticks(low: float, high: float, most: int = 6, *, whole: bool = False) -> list[float]:
    """Return up to ``most`` + 1 round values, whole if asked, from ``low`` to ``high``: steps of 1, 2 or 5 times a power of ten."""
    span = high - low
    if not (span > 0 and math.isfinite(span)):
        return [low]
    raw = span / max(1, most)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next((factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * (1 - 1e-9)), 10 * power)
    step = max(step, 1.0) if whole else step
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(i * step, 12 - math.floor(math.log10(step))) for i in range(first, last + 1)]


def tick_labels(values: Sequence[float]) -> list[str]:
    """Return the labels of ticks, with as many places as their step needs, and k, M, G for thousands, millions, billions."""
    largest = max((abs(v) for v in values), default=0.0)
    step = min((abs(b - a) for a, b in pairwise(values)), default=largest) or 1.0
    if largest and (largest < 1e-4 or largest >= 1e13):
        digits = max(2, 1 + math.floor(math.log10(largest)) - math.floor(math.log10(step) + 1e-9))
        return [f"{v:.{digits}g}".replace("e-0", "e-").replace("e+", "e") for v in values]
    unit, letter = next(((u, x) for u, x in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")) if largest >= 10 * u), (1.0, ""))
    places = max(0, -math.floor(math.log10(step / unit) + 1e-9))
    labels = [f"{v / unit:.{min(places, 10)}f}".replace("-", "−") for v in values]
    return [label + letter if v else "0" for v, label in zip(values, labels, strict=True)]


def label(x: float, y: float, text: str, *, anchor: str = "middle", size: float = FONT, **attributes: object) -> Markup:
    """Return a text."""
    return tag("text", text, x=x, y=y, text_anchor=anchor, font_size=size, fill="currentColor", **attributes)


def drawing(size: tuple[float, float], title: str, about: str, *parts: object) -> Markup:
    """Return the whole drawing, scaled to its place, at most at its own size and a half, with a title for every reader."""
    wide, high = size
    return tag(
        "svg",
        tag("title", title),
        tag("desc", about) if about else "",
        *parts,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {wide:.0f} {high:.0f}",
        role="img",
        aria_label=title,
        width="100%",
        style=f"max-width:{wide * 1.4:.0f}px;height:auto;display:block",
    )


class Frame:
    """A plot area between two linear axes.

    Args:
        x: The range of the horizontal axis.
        y: The range of the vertical axis.
        title: The title, above all.
        about: A sentence for those who do not see the picture.
        x_label: What the horizontal axis is.
        y_label: What the vertical axis is, written above it.
        legend: The names of the series, in the order of :func:`colour`; shown if there are several.
        whole: Whether the horizontal axis has whole numbers only.
        size: Width and height in units of the view box.
    """

    def __init__(
        self,
        x: tuple[float, float],
        y: tuple[float, float],
        *,
        title: str,
        about: str = "",
        x_label: str = "",
        y_label: str = "",
        legend: Sequence[str] = (),
        whole: bool = False,
        size: tuple[float, float] = (WIDE, 290.0),
    ) -> None:
        self.x_range, self.y_range = _open(*x), _open(*y)
        self._whole = whole
        self._title, self._about, self._size = title, about, size
        self._head: list[Markup] = [heading(title, size[0])]
        self._body: list[Markup] = []
        y_ticks = ticks(*self.y_range, most=6)
        y_texts = tick_labels(y_ticks)
        self.left = 14 + FONT * max((width(text) for text in y_texts), default=1.0)
        self.right = size[0] - 14.0
        self.top = 34.0 + self._legend(legend) + (24 if y_label else 0)
        self.bottom = size[1] - (40.0 if x_label else 24.0)
        if y_label:
            self._head.append(label(2, self.top - 14, y_label, anchor="start", opacity=0.75))
        if x_label:
            self._head.append(label((self.left + self.right) / 2, size[1] - 5, x_label, opacity=0.75))
        self._axes(y_ticks, y_texts)

    def _legend(self, names: Sequence[str]) -> float:
        """Place the legend in lines below the title and return its height."""
        if len(names) < 2:
            return 0.0
        x, y = 2.0, 40.0
        for i, name in enumerate(names):
            short = shorten(name, 20)
            needed = 26 + FONT * width(short)
            if x + needed > self._size[0] and x > 2:
                x, y = 2.0, y + 17
            self._head.append(tag("line", x1=x, x2=x + 16, y1=y - 4, y2=y - 4, stroke=colour(i), stroke_width=3, **dash(i)))
            self._head.append(label(x + 20, y, short, anchor="start"))
            x += needed + 8
        return y - 22

    def _axes(self, y_ticks: list[float], y_texts: list[str]) -> None:
        for value, text in zip(y_ticks, y_texts, strict=True):
            y = self.y(value)
            self._head.append(tag("line", x1=self.left, x2=self.right, y1=y, y2=y, stroke="currentColor", stroke_opacity=0.14))
            self._head.append(label(self.left - 6, y + 4, text, anchor="end", opacity=0.75))
        for most in (8, 6, 5, 4, 3, 2):
            x_ticks = ticks(*self.x_range, most=most, whole=self._whole)
            x_texts = tick_labels(x_ticks)
            if sum(FONT * width(text) + 10 for text in x_texts) <= self.right - self.left:
                break
        for value, text in zip(x_ticks, x_texts, strict=True):
            x = self.x(value)
            self._head.append(tag("line", x1=x, x2=x, y1=self.bottom, y2=self.bottom + 4, stroke="currentColor", opacity=0.5))
            self._head.append(label(x, self.bottom + 17, text, opacity=0.75))
        self._head.append(
            tag("line", x1=self.left, x2=self.right, y1=self.bottom, y2=self.bottom, stroke="currentColor", opacity=0.5)
        )

    def x(self, value: float) -> float:
        """Return where a value of the horizontal axis lies."""
        low, high = self.x_range
        return self.left + (value - low) / (high - low) * (self.right - self.left)

    def y(self, value: float) -> float:
        """Return where a value of the vertical axis lies."""
        low, high = self.y_range
        return self.bottom - (value - low) / (high - low) * (self.bottom - self.top)

    def add(self, *parts: Markup) -> None:
        """Draw over what is there."""
        self._body.extend(parts)

    def diagonal(self) -> None:
        """Draw the line on which both axes are equal."""
        low, high = max(self.x_range[0], self.y_range[0]), min(self.x_range[1], self.y_range[1])
        if low < high:
            ends = {"x1": self.x(low), "y1": self.y(low), "x2": self.x(high), "y2": self.y(high)}
            self.add(tag("line", **ends, stroke="currentColor", stroke_dasharray="4 4", opacity=0.6))

    def render(self) -> Markup:
        """Return the drawing."""
        return drawing(self._size, self._title, self._about, *self._head, *self._body)


def heading(title: str, room: float) -> Markup:
    """Return the visible title of a drawing."""
    return label(2, 16, shorten(title, room / 14.5), anchor="start", size=14, font_weight=600)


def mark(x: float, y: float, text: str, *, anchor: str = "start") -> Markup:
    """Return a text over lines, with the paper around its letters."""
    return label(x, y, text, anchor=anchor, stroke=PAPER, stroke_width=4, paint_order="stroke", stroke_linejoin="round")


def dash(index: int) -> dict[str, object]:
    """Return the dash of a series: colours alone do not tell series apart for everyone."""
    patterns = (None, "7 3", "2 3", "9 3 2 3")
    return {"stroke_dasharray": patterns[index % len(patterns)]}


def _open(low: float, high: float) -> tuple[float, float]:
    """Widen an empty range."""
    if high > low:
        return low, high
    if not low:
        return 0.0, 1.0  # figures that are 0 are seldom negative
    pad = abs(low) * 0.1
    return low - pad, high + pad
