"""The report of a training, ``report.html`` of the bundle (floor 7)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import polars as pl
from pydantic import Field

from deepwright.metrics import METRICS, OutputReport
from deepwright.parts import Spec
from deepwright.reporting import charts
from deepwright.reporting.evaluation import evaluation_sections, provenance_sections
from deepwright.reporting.page import Page, Section, details, figures, items, mapping, paragraph, section, table
from deepwright.reporting.text import Markup, duration, join, number

_NOT_FIGURES = frozenset({"epoch", "step", "seconds", "lr", "train_loss", "validation_loss", "score", "metrics", "rows_per_second"})


class NoteLine(Spec):
    """Something that reading, cleaning or splitting did or assumed."""

    what: str = ""
    """A stable key."""
    text: str
    """One line for people."""
    count: int = 0
    """How many values or rows it touched."""
    column: str | None = None
    """The column, if it touched only one."""


class ColumnLine(Spec):
    """One column of the model."""

    name: str
    """The column."""
    type: str
    """Its feature type."""
    why: str = ""
    """Why that type: declared, or what was seen in the data."""
    role: Literal["input", "output"] = "input"
    """Whether the model reads or predicts it."""


class TrainingReport(Spec):
    """All that a training tells of itself; everything may be left out."""

    title: str = "Training"
    """The bundle's name."""
    created: str = ""
    """When, ISO 8601."""
    seconds: float | None = None
    """How long everything took."""
    rows: dict[str, int] = Field(default_factory=dict)
    """The rows of each part: ``{"train": 27656, "validation": 4881, "test": 16281}``."""
    notes: tuple[NoteLine, ...] = ()
    """What reading, cleaning and splitting did."""
    columns: tuple[ColumnLine, ...] = ()
    """The columns and their types."""
    log: tuple[dict[str, Any], ...] = ()
    """One record an evaluation: ``epoch``, ``step``, ``seconds``, ``lr``, ``train_loss``, ``validation_loss``,
    ``rows_per_second``, ``score``, and metrics, either in ``metrics`` or beside these."""
    best: int | None = None
    """The index, in the log, of the record whose weights were kept."""
    stopped: str = ""
    """Why training ended."""
    machine: tuple[dict[str, Any], ...] = ()
    """One row a candidate that the tune-up measured; ``chosen: true`` marks the one that was taken."""
    machine_text: str = ""
    """What the machine is and what was chosen, in one line."""
    model: dict[str, Any] = Field(default_factory=dict)
    """``parameters`` and whatever else describes the network."""
    evaluation: dict[str, OutputReport] = Field(default_factory=dict)
    """The report of each output."""
    test_name: str = ""
    """What it was evaluated on."""
    recipe_yaml: str = ""
    """The resolved recipe."""
    fingerprint: str = ""
    """The fingerprint of the data."""
    versions: dict[str, str] = Field(default_factory=dict)
    """Package versions."""
    seed: int | None = None
    """The seed of the training."""
    export: dict[str, Any] = Field(default_factory=dict)
    """The parity gate: ``largest_difference``, ``cases``, or ``error``."""


def training_html(report: TrainingReport, worst: Mapping[str, pl.DataFrame] | None = None) -> str:
    """Return the page of a training.

    Args:
        report: What it tells.
        worst: For each output its worst rows; see :func:`deepwright.reporting.evaluation.evaluation_html`.
    """
    when = [report.created, f"took {duration(report.seconds)}" if report.seconds is not None else ""]
    on = f"evaluated on {report.test_name}" if report.test_name else ""
    page = Page(report.title, " · ".join(filter(None, [*when, on])))
    judged, *rest = evaluation_sections(report.evaluation, worst or {})
    page.add(
        Section(judged.title, join([judged.body, _facts(report)]), judged.id),
        section("Data and cleaning", _notes(report), _columns(report), id="data"),
        section("Training", _curves(report), _log_table(report)),
        section("Machine", _machine(report)),
        *rest,
    )
    meta = {"recipe": report.recipe_yaml, "versions": report.versions, "data fingerprint": report.fingerprint, "seed": report.seed}
    return page.add(*provenance_sections(meta)).render()


def _facts(report: TrainingReport) -> Markup:
    lines: dict[str, object] = {}
    if report.rows:
        lines["Rows"] = ", ".join(f"{name} {number(count)}" for name, count in report.rows.items())
    lines |= {key.replace("_", " ").capitalize(): value for key, value in report.model.items()}
    if report.stopped:
        lines["Stopped"] = report.stopped
    if report.export.get("largest_difference") is not None:
        cases = f", over {number(report.export['cases'])} cases" if report.export.get("cases") is not None else ""
        lines["Export"] = f"largest difference from the trained model {number(report.export['largest_difference'], 3)}{cases}"
    elif report.export.get("error"):
        lines["Export"] = f"no graph was exported: {report.export['error']}"
    return mapping(lines)


def _notes(report: TrainingReport) -> Markup:
    if not report.notes:
        return paragraph("Nothing was changed.", soft=True) if report.columns else Markup("")
    return items(("", note.text) for note in report.notes)


def _columns(report: TrainingReport) -> Markup:
    made = table(["Column", "Role", "Type", "Why"], [(c.name, c.role, c.type, c.why) for c in report.columns])
    return details(f"{len(report.columns)} columns", made) if len(report.columns) > 20 else made


def _metrics_of(record: Mapping[str, Any]) -> dict[str, Any]:
    beside = {key: value for key, value in record.items() if key not in _NOT_FIGURES and isinstance(value, int | float)}
    return {**beside, **(record.get("metrics") or {})}


def _label(name: str) -> str:
    """Return what people call a metric; ``output.metric`` keeps its output."""
    output, dot, metric = name.rpartition(".")
    known = next((metrics[metric].label for metrics in METRICS.values() if metric in metrics), metric)
    return f"{output}{dot} {known}".strip()


def _axis(report: TrainingReport) -> tuple[str, list[float]]:
    """Return what training is drawn over: epochs if they are known, else steps."""
    key = "epoch" if all("epoch" in record for record in report.log) else "step"
    return key, [float(record.get(key, i + 1)) for i, record in enumerate(report.log)]


def _curves(report: TrainingReport) -> Markup:
    if not report.log:
        return Markup("")
    key, xs = _axis(report)
    best = report.best if report.best is not None and 0 <= report.best < len(xs) else None
    marks = [(xs[best], f"best: {key} {number(int(xs[best]))}")] if best is not None else []

    def draw(title: str, names: Mapping[str, str], get: Any) -> Markup | None:
        series = {label: (xs, [get(record).get(name) for record in report.log]) for name, label in names.items()}
        series = {label: line for label, line in series.items() if any(v is not None for v in line[1])}
        return charts.line(series, title=title, x_label=key, marks=marks) if series else None

    drawn = [draw("Loss", {"train_loss": "training", "validation_loss": "validation"}, dict)]
    names = dict.fromkeys(name for record in report.log for name in _metrics_of(record))
    drawn += [draw(f"Validation {_label(name)}", {name: _label(name)}, _metrics_of) for name in names]
    drawn.append(draw("Learning rate", {"lr": "learning rate"}, dict))
    drawn.append(draw("Rows per second", {"rows_per_second": "rows per second"}, dict))
    return figures(*drawn)


def _log_table(report: TrainingReport) -> Markup:
    keys = dict.fromkeys(k for record in report.log for k in record if k != "metrics")
    names = dict.fromkeys(name for record in report.log for name in (record.get("metrics") or {}))
    headers = [*(_label(key).replace("_", " ") for key in keys), *map(_label, names)]
    rows = [[record.get(k) for k in keys] + [(record.get("metrics") or {}).get(n) for n in names] for record in report.log]
    made = table(headers, rows, strong=[] if report.best is None else [report.best])
    return details(f"The log: {len(rows)} evaluations", made) if rows else Markup("")


def _machine(report: TrainingReport) -> Markup:
    parts = [paragraph(report.machine_text) if report.machine_text else Markup("")]
    if report.machine:
        keys = list(dict.fromkeys(key for row in report.machine for key in row))
        chosen = [i for i, row in enumerate(report.machine) if row.get("chosen") is True]
        rows = [[_plain(row.get(key)) for key in keys] for row in report.machine]
        caption = "What was measured on this machine before training; the line set off was taken."
        parts.append(table([key.replace("_", " ") for key in keys], rows, caption=caption, strong=chosen))
    return join(parts)


def _plain(value: Any) -> object:
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
