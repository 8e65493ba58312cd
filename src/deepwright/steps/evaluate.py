"""evaluate: how good a bundle is on rows that it never saw (no torch unless asked for)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import polars as pl

from deepwright import metrics
from deepwright.bundle import Bundle, write_atomically
from deepwright.datapath import missing_targets, tidied
from deepwright.errors import DataError, UsageError
from deepwright.families import Source
from deepwright.opening import Engine, open_predictor, read_rows
from deepwright.origins import Reach, foretells, judged, step_of, windowed
from deepwright.parts import Spec
from deepwright.preparation import check_labels
from deepwright.progress import Event, Listener, silent
from deepwright.reporting.evaluation import evaluation_fragment, evaluation_html
from deepwright.reporting.summary import headline, worst_rows
from deepwright.runtime import Predictor, run_rows
from deepwright.table import Note, Table, fingerprint
from deepwright.timeline import arranged


class Evaluation(Spec):
    """What was measured."""

    bundle: str
    """The bundle's directory."""
    data: str
    """The rows' source."""
    rows: int
    """Rows that were evaluated."""
    outputs: dict[str, metrics.OutputReport]
    """The report of each output."""
    report: str | None = None
    """The HTML page, if one was written."""

    def as_json(self) -> dict[str, Any]:
        """Return what ``evaluate --json`` prints: ``{"metrics": {OUTPUT: {METRIC: {"value", "low", "high"}}}, …}``."""
        figures = {
            name: {m: v.model_dump(include={"value", "low", "high"}) for m, v in report.metrics.items()}
            for name, report in self.outputs.items()
        }
        baseline = {name: report.baseline for name, report in self.outputs.items()}
        return {
            "bundle": self.bundle,
            "data": self.data,
            "rows": self.rows,
            "metrics": figures,
            "baseline": baseline,
            "report": self.report,
        }

    def __str__(self) -> str:
        return "\n".join(headline(report) for report in self.outputs.values())

    def _repr_html_(self) -> str:
        return evaluation_fragment(self.outputs)


def evaluate(
    bundle: Path,
    source: Source | Table | str | None = None,
    *,
    out: Path | None = None,
    engine: Engine = "auto",
    listener: Listener = silent,
) -> Evaluation:
    """Evaluate a bundle on rows whose outputs are known.

    Args:
        bundle: The bundle's directory.
        source: A path, a source part or a table; by default the test file that the recipe names.
        out: Where to write the HTML page, if anywhere.
        engine: What computes; see :func:`deepwright.steps.predict.predict`.
        listener: Hears of notes and progress.

    Raises:
        BundleError: The bundle is damaged.
        DataError: The rows do not fit, a label was never seen in training (E214), or no row has a known output.
        UsageError: No rows are named anywhere (E701).
    """
    opened = Bundle.open(bundle)
    predictor = open_predictor(opened, engine)
    recipe = opened.recipe
    source = source if source is not None else recipe.data.test
    if source is None:
        raise UsageError(
            "E701",
            "there are no rows to evaluate on",
            expected="a file with the output column",
            fix=f"deepwright evaluate {bundle} DATA",
        )
    table = tidied(recipe, read_rows(source, recipe))
    if foretells(recipe):
        rows, reports, worst = _foretold(predictor, table, listener)
    else:
        rows, reports, worst = _judged(predictor, table, listener)
    for report in reports.values():
        listener(Event("test", headline(report)))
    if out is not None:
        meta = {
            "title": str(bundle),
            "data": table.name,
            "fingerprint": fingerprint(table),
            "recipe": recipe.yaml(),
            "versions": opened.manifest.get("versions", {}),
            "seed": recipe.training.seed,
        }
        write_atomically(out, evaluation_html(reports, meta, worst).encode())
        listener(Event("bundle", f"report   {out}", values={"report": str(out)}))
    return Evaluation(bundle=str(bundle), data=table.name, rows=rows, outputs=reports, report=str(out) if out else None)


Judged = tuple[int, dict[str, metrics.OutputReport], dict[str, pl.DataFrame]]
"""How many rows were evaluated, the report of each output, and its worst rows."""


def _judged(predictor: Predictor, table: Table, listener: Listener) -> Judged:
    """Evaluate rows, each on its own."""
    data = predictor.data
    check_labels(data, None, table)
    table, _ = missing_targets(table, data.recipe.outputs)
    if len(table) == 0:
        raise DataError("E402", "no row has a known output", where=table.name, expected="at least one row")
    ready = data.prepare(table, outputs=True)
    _tell(ready.notes, listener)
    outputs = predictor.outputs(ready, listener, judged=True)
    reports = judged(data, outputs, data.targets(ready), {}, ready.frame)
    return len(table), reports, worst_rows(data, ready, reports, outputs)


def _foretold(predictor: Predictor, table: Table, listener: Listener) -> Judged:
    """Evaluate forecasts from every row on that has enough before it, and what is foretold behind it (rolling origin)."""
    data = predictor.data
    line = arranged(table, data.recipe.data, step_of(data) or None)
    ready = data.prepare(line.table, outputs=True)
    reach = Reach.of(data.recipe)
    stride = max(getattr(feature, "stride", 1) for feature in data.recipe.outputs.values())
    arrays, targets, notes = windowed(data, ready, reach.origins(0, len(ready), stride), outputs=True)
    rows = len(next(iter(targets.values())))
    if not rows:
        raise DataError(
            "E236",
            "no forecast fits into the rows",
            where=table.name,
            got=f"{len(ready):,} rows",
            expected=f"at least {reach.before + reach.behind:,}: a window, and what is foretold behind it",
        )
    _tell((*ready.notes, *notes), listener)
    outputs = run_rows(predictor.backend, data, arrays, rows)
    return rows, judged(data, outputs, targets, arrays, ready.frame), {}


def _tell(notes: Iterable[Note], listener: Listener) -> None:
    for note in notes:
        listener(Event("clean", note.text, values={"what": note.what, "count": note.count}))
