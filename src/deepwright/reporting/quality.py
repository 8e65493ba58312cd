"""Pictures of how texts, answers and matches fare, each row on its own and by length (floor 7)."""

from __future__ import annotations

from deepwright.metrics import METRICS, OutputReport
from deepwright.reporting import charts
from deepwright.reporting.text import Markup, number


def quality_charts(report: OutputReport) -> tuple[Markup | None, ...]:
    """Return the pictures of an output that is a text, an answer or a match."""
    return _spread(report), _lengths(report), _reach(report)


def _spread(report: OutputReport) -> Markup | None:
    """Draw how good each text is on its own."""
    if report.spread is None:
        return None
    metric = METRICS[report.kind][report.spread.metric]
    edges, counts = report.spread.edges, report.spread.counts
    better = "higher is better" if metric.higher else f"lower is better; the last bar holds all beyond {number(edges[-1])}"
    return charts.histogram(edges, counts, title=f"{metric.label} of each row", x_label=f"{metric.label}, {better}")


def _lengths(report: OutputReport) -> Markup | None:
    """Draw how good texts and answers are by how long the true ones are."""
    if len(report.lengths) < 2:
        return None
    known, (first, *others) = METRICS[report.kind], report.lengths[0].values
    unit = "tokens" if report.kind == "answer" or first == "bits" else "characters"
    names = [f"{group.label} {unit if group.label != '1' else unit[:-1]}" for group in report.lengths]
    texts = []
    for group in report.lengths:
        more = "".join(f" · {known[name].label.lower()} {number(group.values[name], 2)}" for name in others)
        texts.append(f"{number(group.values[first], 2)}{more} · {number(group.rows)} rows")
    what = "answer" if report.kind == "answer" else "text"
    title = f"{known[first].label} by length of the true {what}"
    x_label = "" if known[first].higher else "lower is better"
    return charts.bars(names, [group.values[first] for group in report.lengths], title=title, texts=texts, x_label=x_label)


def _reach(report: OutputReport) -> Markup | None:
    """Draw how many rows find their right partner among the first so many places."""
    if not report.reach:
        return None
    places = [float(place) for place in range(1, len(report.reach) + 1)]
    title, x_label = "Right partners among the first places", "places that are looked at"
    return charts.line({"share": (places, report.reach)}, title=title, x_label=x_label, y_label="share of rows", y_range=(0.0, 1.0))
