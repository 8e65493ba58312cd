"""Charts as inline SVG: lines, bars, histograms, heat maps, scatters and reliability diagrams (floor 7).

Every function returns one ``<svg>`` as text, readable on light and dark ground, scaled to its place, with a title and a
description for screen readers. Texts from the data are escaped.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from deepwright.reporting.svg import FONT, PAPER, WIDE, Frame, colour, dash, drawing, heading, label, mark
from deepwright.reporting.text import Markup, number, percent, shorten, tag, width

Values = Sequence[float | None]
Range = tuple[float, float]

_GRID = 48
_DRAWN_POINTS = 400


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _span(values: Sequence[float | None], pad: float = 0.0) -> Range:
    known = [float(v) for v in values if v is not None and math.isfinite(v)]
    if not known:
        return 0.0, 1.0
    low, high = min(known), max(known)
    return low - pad * (high - low), high + pad * (high - low)


def line(
    series: Mapping[str, tuple[Values, Values]],
    *,
    title: str,
    x_label: str = "",
    y_label: str = "",
    marks: Sequence[tuple[float, str]] = (),
    x_range: Range | None = None,
    y_range: Range | None = None,
    diagonal: bool = False,
    band: tuple[Sequence[float], Sequence[float], Sequence[float]] | None = None,
) -> Markup:
    """Draw lines, up to 8; a None or NaN breaks a line.

    Args:
        series: The horizontal and vertical values by name.
        title: The title.
        x_label: What the horizontal axis is.
        y_label: What the vertical axis is.
        marks: Vertical lines with a word: ``[(11, "best")]``.
        x_range: The horizontal range; by default that of the values.
        y_range: The vertical range; by default that of the values, and a little more.
        diagonal: Whether the line of equality is drawn.
        band: Horizontal values, and the lower and upper ends of what is shaded behind the lines.
    """
    every_x = [v for xs, _ in series.values() for v in xs]
    every_y = [v for _, ys in series.values() for v in ys] + [v for ends in (band or ())[1:] for v in ends]
    ends = ", ".join(f"{name}: last {number(ys[-1])}" for name, (_, ys) in series.items() if len(ys))
    frame = Frame(
        x_range or _span(every_x),
        y_range or _span(every_y, 0.05),
        title=title,
        about=f"Lines over {x_label or 'x'}. {ends}",
        x_label=x_label,
        y_label=y_label,
        legend=list(series),
        whole=bool(every_x) and all(v is not None and float(v).is_integer() for v in every_x),
    )
    if diagonal:
        frame.diagonal()
    if band is not None and len(band[0]):
        around = [*zip(band[0], band[2], strict=True), *reversed(list(zip(band[0], band[1], strict=True)))]
        corners = " ".join(f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y in around)
        frame.add(tag("polygon", points=corners, fill=colour(len(series) - 1), fill_opacity=0.18))
    for at, _ in marks:
        x = frame.x(at)
        frame.add(
            tag("line", x1=x, x2=x, y1=frame.top, y2=frame.bottom, stroke="currentColor", stroke_dasharray="3 3", opacity=0.5)
        )
    for i, (name, (xs, ys)) in enumerate(series.items()):
        frame.add(_polyline(frame, name, xs, ys, i))
    for row, (at, word) in enumerate(marks):
        x = frame.x(at)
        side = "end" if x > (frame.left + frame.right) / 2 else "start"
        # One below the other: the words of marks that lie close together stay legible.
        frame.add(mark(x + (-5 if side == "end" else 5), frame.top + 10 + 14 * row, word, anchor=side))
    return frame.render()


def _polyline(frame: Frame, name: str, xs: Values, ys: Values, index: int) -> Markup:
    pieces: list[list[str]] = [[]]
    lone: list[Markup] = []
    for x, y in zip(xs, ys, strict=True):
        if x is not None and y is not None and math.isfinite(x) and math.isfinite(y):
            pieces[-1].append(f"{frame.x(x):.1f},{frame.y(y):.1f}")
        elif pieces[-1]:
            pieces.append([])
    for piece in pieces:
        if len(piece) == 1:
            cx, _, cy = piece[0].partition(",")
            lone.append(tag("circle", cx=cx, cy=cy, r=3.5, fill=colour(index)))
    path = "".join("M" + "L".join(piece) for piece in pieces if len(piece) > 1)
    drawn = tag(
        "path",
        d=path,
        fill="none",
        stroke=colour(index),
        stroke_width=1.6 if index > 2 else 2,
        stroke_linejoin="round",
        **dash(index),
    )
    return tag("g", tag("title", name), drawn if path else "", *lone)


def bars(
    names: Sequence[str],
    values: Values,
    *,
    title: str,
    texts: Sequence[str] | None = None,
    x_label: str = "",
    full: float | None = None,
    wide: float = WIDE,
) -> Markup:
    """Draw horizontal bars from 0, one line each.

    Args:
        names: What each bar is.
        values: How long it is, not negative; None draws nothing.
        title: The title.
        texts: What stands after each bar; by default the value.
        x_label: What the values are.
        full: How long a bar of the whole width is; by default the longest is.
        wide: The width.
    """
    row = 22.0
    written = list(texts) if texts is not None else [number(v) for v in values]
    room = min(0.42 * wide, 14 + FONT * max((width(name) for name in names), default=0))
    tail = 10 + FONT * max((width(text) for text in written), default=0)
    longest = full or max((float(v) for v in values if v is not None and math.isfinite(v)), default=0.0) or 1.0
    parts: list[Markup] = [heading(title, wide)]
    for i, (name, value, text) in enumerate(zip(names, values, written, strict=True)):
        y = 30 + i * row
        length = max(0.0, float(value or 0) / longest) * (wide - room - tail) if _finite(value) else 0.0
        parts.append(
            tag(
                "g",
                tag("title", f"{name}: {text}"),
                label(room - 6, y + 14, shorten(name, (room - 10) / FONT), anchor="end"),
                tag("rect", x=room, y=y + 3, width=length, height=row - 7, rx=2, fill=colour(0)),
                label(room + length + 5, y + 14, text, anchor="start", opacity=0.8),
            )
        )
    high = 30 + len(names) * row + (22 if x_label else 4)
    if x_label:
        parts.append(label(room, high - 6, x_label, anchor="start", opacity=0.75))
    about = "; ".join(f"{name}: {text}" for name, text in list(zip(names, written, strict=True))[:10])
    return drawing((wide, high), title, about, *parts)


def histogram(
    edges: Sequence[float],
    counts: Sequence[float],
    *,
    title: str,
    x_label: str = "",
    y_label: str = "rows",
    marks: Sequence[tuple[float, str]] = (),
    size: tuple[float, float] = (WIDE, 290.0),
) -> Markup:
    """Draw how often values fall between edges.

    Args:
        edges: Increasing, one more than ``counts``.
        counts: The rows of each bin.
        title: The title.
        x_label: What the values are.
        y_label: What is counted.
        marks: Vertical lines with a word.
        size: Width and height.
    """
    about = f"{number(int(sum(counts)))} {y_label} from {number(float(edges[0]))} to {number(float(edges[-1]))}"
    top = max(counts, default=0) or 1
    x_range = (float(edges[0]), float(edges[-1]))
    frame = Frame(x_range, (0.0, 1.03 * top), title=title, about=about, x_label=x_label, y_label=y_label, size=size)
    for low, high, count in zip(edges, edges[1:], counts, strict=False):
        if not count:
            continue
        # equal edges (a constant column) get a bar in the middle of the widened axis
        left, right = (frame.x(low), frame.x(high)) if high > low else (frame.x(low) - 20, frame.x(low) + 20)
        y = min(frame.y(count), frame.bottom - 1)
        hint = tag("title", f"{number(float(low))} … {number(float(high))}: {number(count)}")
        gap = 1.0 if right - left > 4 else 0.0
        frame.add(tag("rect", hint, x=left, y=y, width=max(1.0, right - left - gap), height=frame.bottom - y, fill=colour(0)))
    for at, word in marks:
        if frame.x_range[0] <= at <= frame.x_range[1]:
            x = frame.x(at)
            frame.add(tag("line", x1=x, x2=x, y1=frame.top, y2=frame.bottom, stroke="currentColor", stroke_dasharray="3 3"))
            frame.add(mark(x + 5, frame.top + 10, word))
    return frame.render()


def heatmap(
    matrix: Sequence[Sequence[float]],
    row_labels: Sequence[str],
    col_labels: Sequence[str],
    *,
    title: str,
    row_title: str = "actual",
    col_title: str = "predicted",
) -> Markup:
    """Draw a matrix of counts, each line shaded by the root of its shares, so that rare mistakes show: a confusion matrix.

    Args:
        matrix: (rows, columns) of counts.
        row_labels: What each line is.
        col_labels: What each column is.
        title: The title.
        row_title: What the lines are.
        col_title: What the columns are.
    """
    counts = np.asarray(matrix, dtype=np.float64)
    lines, columns = counts.shape
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    cell = min(64.0, max(14.0, 340.0 / max(1, columns)))
    size = min(FONT, max(9.0, cell * 0.72))
    room = min(150.0, 10 + size * max(width(text) for text in row_labels)) + 18
    longest = max(width(text) for text in col_labels) * size
    upright = longest > cell - 4
    above = 54 + (min(110.0, longest) if upright else 12)
    wide, high = max(WIDE, room + columns * cell + 12), above + lines * cell + 8
    parts: list[Markup] = [heading(title, wide), label(room + columns * cell / 2, 38, f"{col_title} →", opacity=0.75)]
    middle = above + lines * cell / 2
    parts.append(label(11, middle, f"← {row_title}", transform=f"rotate(-90 11 {middle:.1f})", opacity=0.75))
    for j, text in enumerate(col_labels):
        x = room + (j + 0.5) * cell
        if upright:
            short, turn = shorten(text, 110 / size), f"rotate(-90 {x:.1f} {above - 5:.1f})"
            parts.append(label(x, above - 5 + size * 0.35, short, anchor="start", size=size, transform=turn))
        else:
            parts.append(label(x, above - 6, text, size=size))
    for i, text in enumerate(row_labels):
        y = above + (i + 0.5) * cell + size * 0.35
        parts.append(label(room - 5, y, shorten(text, (room - 24) / size), anchor="end", size=size))
        for j in range(columns):
            parts.append(_cell(room + j * cell, above + i * cell, cell, counts[i, j], shares[i, j], text, col_labels[j]))
    box = {"x": room, "y": above, "width": columns * cell, "height": lines * cell}
    parts.append(tag("rect", **box, fill="none", stroke="currentColor", stroke_opacity=0.35))
    right = float(np.trace(counts) / max(1.0, counts.sum())) if lines == columns else 0.0
    about = f"{lines} by {columns} classes" + (f"; {percent(right)} lie on the diagonal" if lines == columns else "")
    return drawing((wide, high), title, about, *parts)


def _cell(x: float, y: float, size: float, count: float, share: float, row: str, column: str) -> Markup:
    hint = f"{row} → {column}: {number(int(count))} ({percent(share)})"
    strength = 0.03 + 0.97 * math.sqrt(share)
    box = tag("rect", x=x, y=y, width=size, height=size, fill=colour(0), fill_opacity=strength)
    text = number(int(count))
    fits = size >= 26 and width(text) * 11 <= size - 3
    if not (fits and count):
        return tag("g", tag("title", hint), box) if count else box
    paint = {"fill": PAPER if strength > 0.55 else "currentColor"}
    inner = tag("text", text, x=x + size / 2, y=y + size / 2 + 4, text_anchor="middle", font_size=11, **paint)
    return tag("g", tag("title", hint), box, inner)


def scatter(
    xs: Sequence[float], ys: Sequence[float], *, title: str, x_label: str = "", y_label: str = "", diagonal: bool = False
) -> Markup:
    """Draw points; more than 400 become cells shaded by how many lie in each.

    Args:
        xs: Horizontal values.
        ys: Vertical values.
        title: The title.
        x_label: What the horizontal axis is.
        y_label: What the vertical axis is.
        diagonal: Whether both axes share one range and the line of equality is drawn.
    """
    x, y = np.asarray(xs, dtype=np.float64), np.asarray(ys, dtype=np.float64)
    both = np.isfinite(x) & np.isfinite(y)
    x, y = x[both], y[both]
    x_range, y_range = _span(x.tolist(), 0.03), _span(y.tolist(), 0.03)
    if diagonal:
        x_range = y_range = (min(x_range[0], y_range[0]), max(x_range[1], y_range[1]))
    about = f"{x.size} points"
    frame = Frame(x_range, y_range, title=title, about=about, x_label=x_label, y_label=y_label)
    if x.size <= _DRAWN_POINTS:
        for a, b in zip(x.tolist(), y.tolist(), strict=True):
            frame.add(tag("circle", cx=frame.x(a), cy=frame.y(b), r=2.5, fill=colour(0), fill_opacity=0.5))
    else:
        counts, x_edges, y_edges = np.histogram2d(x, y, bins=_GRID, range=[frame.x_range, frame.y_range])
        strength = 0.18 + 0.82 * np.log1p(counts) / np.log1p(counts.max())
        for i, j in np.argwhere(counts):
            left, top = frame.x(x_edges[i]), frame.y(y_edges[j + 1])
            box = {"width": frame.x(x_edges[i + 1]) - left, "height": frame.y(y_edges[j]) - top}
            frame.add(tag("rect", x=left, y=top, **box, fill=colour(0), fill_opacity=round(float(strength[i, j]), 2)))
    if diagonal:
        frame.diagonal()
    return frame.render()


def reliability(predicted: Sequence[float], observed: Sequence[float], counts: Sequence[int], *, title: str) -> Markup:
    """Draw how often what was given a probability came true; the larger a point, the more rows it stands for.

    Args:
        predicted: The mean probability of each bin.
        observed: The share of the bin that came true.
        counts: The rows of the bin.
        title: The title.
    """
    about = "; ".join(f"{p:.2f} came true {o:.2f}" for p, o in zip(predicted, observed, strict=True))
    frame = Frame((0, 1), (0, 1), title=title, about=about, x_label="predicted probability", y_label="observed frequency")
    frame.diagonal()
    frame.add(_polyline(frame, "observed", predicted, observed, 0))
    total = sum(counts) or 1
    for p, o, count in zip(predicted, observed, counts, strict=True):
        hint = tag("title", f"{p:.3f} predicted, {o:.3f} observed, {number(count)} rows")
        frame.add(tag("circle", hint, cx=frame.x(p), cy=frame.y(o), r=2.5 + 9 * math.sqrt(count / total), fill=colour(0)))
    return frame.render()


def curve(values: Sequence[float | Sequence[float | None] | None], *, alt: str) -> Markup:
    """Draw a series as a small picture without axes, a line for each of its first channels; gaps stay gaps.

    Args:
        values: Numbers, or places that are lists of their channels' numbers.
        alt: What it shows, for those who do not see it.
    """
    wide, high, most, channels = 160.0, 80.0, 320, 4
    places = [place if isinstance(place, list | tuple) else (place,) for place in values[:: max(1, -(-len(values) // most))]]
    count = min(channels, max((len(place) for place in places), default=0))
    lines = []
    for channel in range(count):
        ys = [place[channel] if channel < len(place) else None for place in places]
        low, top = _span(ys)
        step, gap, path = wide / max(1, len(ys) - 1), True, []
        for index, y in enumerate(ys):
            if y is not None and _finite(y):
                path.append(
                    f"{'M' if gap else 'L'}{index * step:.1f} {high - 2 - (high - 4) * (y - low) / ((top - low) or 1.0):.1f}"
                )
            gap = y is None or not _finite(y)
        lines.append(tag("path", d="".join(path), fill="none", stroke=colour(channel), stroke_width=1.5))
    attributes = {"viewBox": f"0 0 {wide:.0f} {high:.0f}", "role": "img", "aria_label": alt, "width": wide, "height": high}
    return tag("svg", tag("title", alt), *lines, xmlns="http://www.w3.org/2000/svg", **attributes)
