"""The evaluation as a page: how good, compared with what, where it fails, and what exactly was evaluated (floor 7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from deepwright import sounds
from deepwright.facts import PIXELS
from deepwright.media import is_sound
from deepwright.metrics import METRICS, Measure, OutputReport
from deepwright.metrics.figures import ClassRow
from deepwright.reporting import charts
from deepwright.reporting.examples import colour
from deepwright.reporting.page import (
    Page,
    Section,
    code,
    details,
    embedded,
    figures,
    heading,
    legend,
    mapping,
    paragraph,
    picture,
    section,
    shots,
    strips,
    table,
    tiles,
)
from deepwright.reporting.quality import quality_charts
from deepwright.reporting.text import Markup, join, number, percent, shorten, tag

Reports = Mapping[str, OutputReport]
Worst = Mapping[str, pl.DataFrame]

_TILES = 4
_BARS = 20
_CLASSES = 40
_COLUMNS = 12
_EXAMPLES = 24
_TEXT = 160
_SAID = {
    "number": "The largest errors",
    "text": "The texts that are furthest from the true ones",
    "answer": "The answers that are furthest from the true ones",
    "match": "The rows whose right partner comes last",
    "labels": "The rows with the most wrong labels",
}
"""What the worst rows are, where they are no confident mistakes."""


def evaluation_html(reports: Reports, meta: Mapping[str, Any] | None = None, worst: Worst | None = None) -> str:
    """Return the page of an evaluation.

    Args:
        reports: The report of each output.
        meta: What was evaluated: ``title``, ``data``, ``recipe`` (YAML), ``fingerprint``, ``versions`` (a mapping), ``seed``;
            further keys are shown by their name. All may be left out.
        worst: For each output the rows of :attr:`OutputReport.worst`, with the columns ``predicted`` and the output's own;
            Binary and Array columns are pictures, or sounds, of which the spectrogram is drawn.
    """
    meta = dict(meta or {})
    rows = max((report.rows for report in reports.values()), default=0)
    data = f" on {meta['data']}" if meta.get("data") else ""
    page = Page(str(meta.pop("title", "Evaluation")), f"Evaluation{data}, {number(rows)} rows")
    page.add(*evaluation_sections(reports, worst or {}))
    return page.add(*provenance_sections(meta)).render()


def evaluation_fragment(reports: Reports) -> str:
    """Return summary, pictures and tables for a notebook."""
    return embedded(*(each.render() for each in evaluation_sections(reports, {})))


def evaluation_sections(reports: Reports, worst: Worst) -> list[Section]:
    """Return the sections that every report of an evaluation has: summary, pictures, worst examples, tables."""
    several = len(reports) > 1

    def each(make: Any) -> Markup:
        found = [(name, make(name, report)) for name, report in reports.items()]
        return join(join([heading(name) if several else "", body]) for name, body in found if body)

    return [
        section("Summary", each(lambda _, report: summary(report))),
        section("Pictures", each(lambda _, report: pictures(report))),
        section(
            "Examples" if any(report.kind in PIXELS for report in reports.values()) else "Worst examples",
            each(lambda name, report: _worst(report, worst.get(name))),
        ),
        section("Tables", each(lambda _, report: _tables(report))),
    ]


def provenance_sections(meta: Mapping[str, Any]) -> list[Section]:
    """Return what was evaluated: the recipe, and data, versions and seed."""
    rest = {key: value for key, value in meta.items() if key not in ("recipe", "versions") and value not in (None, "")}
    versions = meta.get("versions") or {}
    lines = {key.replace("_", " "): str(value) for key, value in rest.items()}
    lines |= {f"{name} version": str(version) for name, version in versions.items()}
    return [section("Recipe", code(str(meta.get("recipe") or ""))), section("Provenance", mapping(lines))]


def interval(measure: Measure) -> str:
    """Return the 95 % interval: ``"[0.865, 0.875]"``, or nothing."""
    if measure.low is None or measure.high is None:
        return ""
    return f"[{number(measure.low, 4)}, {number(measure.high, 4)}]"


def summary(report: OutputReport) -> Markup:
    """Return the first metrics of an output beside the naive prediction."""
    known = METRICS[report.kind]
    entries = []
    for name in list(known)[:_TILES]:
        measure, naive = report.metrics[name], report.baseline.get(name)
        remark = [interval(measure) or measure.reason, f"naive {number(naive)}" if naive is not None else ""]
        entries.append((known[name].label, measure.value, join(filter(None, remark), Markup("<br>"))))
    return join([tiles(entries), paragraph(_verdict(report))])


def _verdict(report: OutputReport) -> str:
    """Say in a sentence how the model compares with knowing nothing."""
    metric, measure, naive = METRICS[report.kind][report.main], report.headline, report.baseline.get(report.main)
    left_out = f" {number(report.excluded)} rows without a known target were left out." if report.excluded else ""
    if measure.value is None:
        return f"{metric.label} is undefined: {measure.reason}.{left_out}"
    if naive is None or not report.baseline_text:
        return f"{metric.label} over {number(report.rows)} rows.{left_out}"
    better = measure.value > naive if metric.higher else measure.value < naive
    worst_end = measure.low if metric.higher else measure.high
    sure = worst_end is not None and (worst_end > naive if metric.higher else worst_end < naive)
    word = "clearly better than" if sure else "better than" if better else "no better than"
    doubt = ", though the interval does not exclude chance" if better and not sure and worst_end is not None else ""
    how = f"{metric.label} {number(measure.value)} against {number(naive)}"
    return f"The model is {word} the naive prediction ({report.baseline_text}): {how}{doubt}.{left_out}"


def pictures(report: OutputReport) -> Markup:
    """Return the pictures that fit the kind of output."""
    if report.rows == 0:
        return Markup("")
    if report.kind == "number":
        return figures(*_number_charts(report))
    if report.kind == "forecast":
        return figures(*_forecast_charts(report))
    if report.kind in ("text", "answer", "match"):
        return figures(*quality_charts(report))
    return figures(*_matrix(report), *_curves(report), _calibration(report), *_class_bars(report))


def _number_charts(report: OutputReport) -> list[Markup | None]:
    drawn: list[Markup | None] = []
    if report.sample is not None:
        actual, predicted = report.sample.actual, report.sample.predicted
        shown = f", {number(len(actual))} rows" if len(actual) < report.rows else ""
        title, axis = f"Predicted against actual{shown}", f"actual {report.name}"
        drawn.append(charts.scatter(actual, predicted, title=title, x_label=axis, y_label="predicted", diagonal=True))
        errors = [p - a for p, a in zip(predicted, actual, strict=True)]
        axis = f"predicted {report.name}"
        drawn.append(charts.scatter(predicted, errors, title="Errors over predictions", x_label=axis, y_label="predicted − actual"))
    if report.residuals is not None:
        left = report.residuals.outside
        beyond = f" ({number(left)} rows lie beyond)" if left else ""
        title, label = "Distribution of errors", f"predicted − actual{beyond}"
        drawn.append(charts.histogram(report.residuals.edges, report.residuals.counts, title=title, x_label=label, marks=[(0, "")]))
    return drawn


def _forecast_charts(report: OutputReport) -> list[Markup | None]:
    drawn: list[Markup | None] = []
    if report.steps is not None:
        ahead = [float(step) for step in range(1, len(report.steps.model) + 1)]
        lines = {"model": (ahead, report.steps.model), f"naive: {report.baseline_text}": (ahead, report.steps.naive)}
        drawn.append(charts.line(lines, title="Errors by distance", x_label="rows ahead", y_label="mean squared error"))
    for shown in report.windows:
        before = [float(step) for step in range(1 - len(shown.before), 1)]
        ahead = [float(step) for step in range(1, len(shown.actual) + 1)]
        told = ahead[: len(shown.predicted)]
        lines = {"before": (before, shown.before), "actual": (ahead, shown.actual), "forecast": (told, shown.predicted)}
        band = (told, shown.low, shown.high) if shown.low else None
        title = f"{shorten(shown.name, 20)}, forecast {number(shown.origin + 1)} of {number(report.rows)}"
        drawn.append(charts.line(lines, title=title, x_label="rows from the last known one", y_label=shown.name, band=band))
    return drawn


def _matrix(report: OutputReport) -> list[Markup | None]:
    drawn: list[Markup | None] = []
    if report.confusion:
        title = "Confusion matrix"
        drawn.append(charts.heatmap(report.confusion, report.classes, report.classes, title=title))
    if report.confusions and len(report.classes) > 2:
        names = [f"{pair.actual} → {pair.predicted}" for pair in report.confusions[:12]]
        values = [float(pair.rows) for pair in report.confusions[:12]]
        texts = [number(pair.rows) for pair in report.confusions[:12]]
        drawn.append(charts.bars(names, values, title="Commonest mistakes (actual → predicted)", texts=texts, x_label="rows"))
    return drawn


def _curves(report: OutputReport) -> list[Markup | None]:
    drawn: list[Markup | None] = []
    unit = (0.0, 1.0)
    for title, found, x_label, y_label, diagonal in (
        ("ROC curve", report.roc, "false positive rate", "true positive rate", True),
        ("Precision and recall", report.pr, "recall", "precision", False),
    ):
        series = {f"{shorten(curve.name, 11)} ({curve.area:.3f})": (curve.x, curve.y) for curve in found}
        if len(series) < len(found):  # classes that differ only beyond the cut
            series = {f"{i + 1}. {shorten(curve.name, 9)} ({curve.area:.3f})": (curve.x, curve.y) for i, curve in enumerate(found)}
        name = (
            f"{title}: area {found[0].area:.3f}"
            if len(found) == 1
            else f"{title}s with their areas"
            if diagonal
            else f"{title}, with areas"
        )
        if series:
            drawn.append(
                charts.line(series, title=name, x_label=x_label, y_label=y_label, x_range=unit, y_range=unit, diagonal=diagonal)
            )
    return drawn


def _calibration(report: OutputReport) -> Markup | None:
    if not report.calibration:
        return None
    bins = report.calibration
    what = f'of "{report.classes[1]}"' if report.kind == "binary" else "of the predicted class"
    columns = ([b.predicted for b in bins], [b.observed for b in bins], [b.rows for b in bins])
    return charts.reliability(*columns, title=f"Calibration {what}")


def _class_bars(report: OutputReport) -> list[Markup | None]:
    if report.kind == "mask":
        rows = _lowest(report)
        return [charts.bars([r.label for r in rows], [r.iou for r in rows], title="IoU of each class", full=1.0)]
    # Two classes are told by the curves; of labels there are none.
    if len(report.per_class) < (1 if report.kind == "labels" else 3):
        return []
    rows = _lowest(report)
    kind = {"multilabel": "tag", "labels": "type"}.get(report.kind, "class")
    most = f", the {_BARS} lowest" if len(report.per_class) > _BARS else ""
    return [charts.bars([r.label for r in rows], [r.f1 for r in rows], title=f"F1 of each {kind}{most}", full=1.0)]


def _lowest(report: OutputReport) -> list[ClassRow]:
    """Return the classes with the lowest F1, lowest first."""
    return sorted(report.per_class, key=lambda row: (row.f1 is None, row.f1 or 0.0))[:_BARS]


def _tables(report: OutputReport) -> Markup:
    known = METRICS[report.kind]
    rows = []
    for name, measure in report.metrics.items():
        value: object = measure.value if measure.value is not None else None
        remark = measure.reason or known[name].about
        rows.append((known[name].label, value, interval(measure), report.baseline.get(name), remark))
    how = f"95 % intervals from {number(report.rounds)} bootstrap rounds, seed {report.seed}. " if report.rounds else ""
    naive = f"Naive: {report.baseline_text}." if report.baseline_text else ""
    parts = [table(["Metric", "Value", "95 % interval", "Naive", "Meaning"], rows, caption=how + naive)]
    if report.per_class:
        per_class = [(r.label, r.rows, r.predicted, r.precision, r.recall, r.f1, r.roc_auc) for r in report.per_class]
        kind = "Tag" if report.kind == "multilabel" else "Class"
        made = table([kind, "Rows", "Predicted", "Precision", "Recall", "F1", "ROC AUC"], per_class)
        if report.kind == "mask":
            pixels = [(r.label, r.rows, r.predicted, r.precision, r.recall, r.f1, r.iou) for r in report.per_class]
            made = table([kind, "Pixels", "Predicted", "Precision", "Recall", "Dice", "IoU"], pixels)
        if report.kind == "labels":
            marked = [(r.label, r.rows, r.predicted, r.precision, r.recall, r.f1) for r in report.per_class]
            made = table(["Type", "Actual", "Predicted", "Precision", "Recall", "F1"], marked)
        parts.append(made if len(per_class) <= _CLASSES else details(f"All {len(per_class)} classes", made))
    if report.channels:
        heads = ["Column", "Values", "MSE", "MAE", "RMSE in units", "MAE in units"]
        columns = [(row.name, row.values, row.mse, row.mae, row.rmse_in_units, row.mae_in_units) for row in report.channels]
        made = table(heads, columns, caption="MSE and MAE are in standard deviations of the training rows.")
        parts.append(made if len(columns) <= _CLASSES else details(f"All {len(columns)} columns", made))
    if report.residuals is not None:
        quantiles = report.residuals.quantiles
        parts.append(table(list(quantiles), [list(quantiles.values())], caption="Predicted − actual, quantiles"))
    return join(parts)


def _worst(report: OutputReport, frame: pl.DataFrame | None) -> Markup:
    if frame is None or not frame.height:
        return Markup("")
    frame = frame.head(_EXAMPLES)
    if report.kind in PIXELS:
        return _strips(report, frame)
    said = _SAID.get(report.kind, "The most confident mistakes")
    if report.spread is not None and report.spread.metric == "bits":  # no text was sought
        said, frame = "The least likely texts", frame.drop("predicted", strict=False)
    intro = paragraph(f"{said}, worst first.", soft=True)
    shown = [name for name, dtype in frame.schema.items() if _is_picture(dtype) or _is_series(dtype)]
    if not shown:
        return join([intro, _worst_table(report, frame)])
    entries = []
    for row in frame.iter_rows(named=True):
        drawn = join(_drawn(name, row[name], series=_is_series(frame.schema[name])) for name in shown)
        entries.append((drawn, _caption(report, row)))
    rest = [name for name in frame.columns if name not in shown]
    more = details("The other columns of these rows", _worst_table(report, frame.select(rest))) if len(rest) > 2 else ""
    return join([intro, shots(entries), more])


def _strips(report: OutputReport, frame: pl.DataFrame) -> Markup:
    """Return pictures beside what was true and what was predicted; see :func:`deepwright.reporting.examples.example_rows`."""
    what, unit = ("mean IoU", "") if report.kind == "mask" else ("PSNR", " dB")
    entries = []
    for row in frame.iter_rows(named=True):
        shown = [(picture(row[key], alt=f"{key} of a {row['rank']} row"), key) for key in ("picture", "truth", "predicted")]
        entries.append((shown, tag("div", row["rank"], f", {what} ", tag("b", number(row["value"])), unit)))
    intro = paragraph("The worst rows, some in the middle, and the best.", soft=True)
    named = [(label, colour(k)) for k, label in enumerate(report.classes) if k][:_CLASSES]
    return join([intro, legend(named), strips(entries)])


def _drawn(name: str, value: Any, *, series: bool) -> Markup:
    about = f"{name} of a wrong prediction"
    return charts.curve(value or (), alt=about) if series else picture(_pixels(value), alt=about)


def _is_series(dtype: pl.DataType) -> bool:
    inner: Any = dtype
    while isinstance(inner, pl.List):
        inner = inner.inner
    return isinstance(dtype, pl.List) and inner.is_numeric()


def _is_picture(dtype: pl.DataType) -> bool:
    inner: Any = dtype
    while isinstance(inner, pl.Array):
        inner = inner.inner
    return dtype == pl.Binary or (isinstance(dtype, pl.Array) and inner == pl.UInt8)


def _pixels(value: Any) -> Any:
    if isinstance(value, bytes) and is_sound(value):
        return sounds.drawn(value)
    return value if value is None or isinstance(value, bytes) else np.asarray(value, dtype=np.uint8)


def _caption(report: OutputReport, row: Mapping[str, Any]) -> Markup:
    """Return ``predicted "3" (0.98), actually "8"`` for a picture."""
    guess, sure = row.get("predicted"), row.get(f"predicted:{row.get('predicted')}")
    share = f" ({percent(sure)})".replace(" %", "\u00a0%") if isinstance(sure, float) and 0 <= sure <= 1 else ""
    lines = [
        tag("div", "predicted ", tag("b", _text(guess)), share),
        tag("div", "actually ", tag("b", _text(row.get(report.name)))),
    ]
    return join(lines)


def _worst_table(report: OutputReport, frame: pl.DataFrame) -> Markup:
    first = [name for name in (report.name, "predicted") if name in frame.columns]
    other = [name for name in frame.columns if name not in first and not name.startswith("predicted:")]
    found = frame.to_dicts()
    chances = [row.get(f"predicted:{row.get('predicted')}") for row in found]
    sure = any(chance is not None for chance in chances)
    rows: list[Sequence[object]] = [
        [*(_text(row[name]) for name in first), *([chance] if sure else []), *(_text(row[n]) for n in other[:_COLUMNS])]
        for row, chance in zip(found, chances, strict=True)
    ]
    headers = [
        *("actual" if name == report.name else name for name in first),
        *(["probability"] if sure else []),
        *other[:_COLUMNS],
    ]
    cut = f"{len(other) - _COLUMNS} further columns are not shown." if len(other) > _COLUMNS else ""
    return join([table(headers, rows), paragraph(cut, soft=True) if cut else ""])


def _text(value: Any) -> object:
    """Return a cell as it is shown: numbers as they are, long texts cut."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list):
        value = ", ".join(str(item["text"] if isinstance(item, dict) and "text" in item else item) for item in value)
    text = str(value)
    return text if len(text) <= _TEXT else text[: _TEXT - 1] + "…"
