"""train: a recipe in, a bundle out."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from deepwright import forecasting, metrics
from deepwright.bundle import check_target, versions, writing
from deepwright.datapath import tidied
from deepwright.detecting import Calibration, calibrated, told
from deepwright.errors import ExportError, RecipeError, UsageError, need
from deepwright.origins import Reach, foretells, judged
from deepwright.preparation import Part, Prepared, held_out_rows, open_scan, open_tables, prepare, taken_notes, with_types
from deepwright.progress import Event, Listener, silent
from deepwright.recipe import Recipe
from deepwright.reporting.summary import headline, worst_rows
from deepwright.reporting.training import ColumnLine, NoteLine, TrainingReport, training_html
from deepwright.runtime import Outputs, run_rows
from deepwright.scan import Scan
from deepwright.store import default_store
from deepwright.streaming import prepare_scan
from deepwright.table import Table

if TYPE_CHECKING:
    from torch import Tensor

    from deepwright.engine.fit import Fitted
    from deepwright.engine.parallel import World
    from deepwright.model import Model
    from deepwright.runtime import Backend

Reports = dict[str, metrics.OutputReport]


def train(
    recipe: Recipe,
    *,
    table: Table | None = None,
    target: list[str] | None = None,
    out: Path | None = None,
    overwrite: bool = False,
    listener: Listener = silent,
) -> Path:
    """Train what a recipe declares and write the bundle.

    A run that was killed goes on from its last checkpoint when the same recipe and data are trained again. Started in several
    processes, as ``torchrun`` does, they train one model together; the first of them tells, and writes.

    Args:
        recipe: The recipe; what it leaves open is decided from the data and written into the bundle's recipe.
        table: Rows from memory, instead of ``data.source``.
        target: Output columns whose types are inferred, beside the recipe's own.
        out: The bundle's directory; by default the first output's name, numbered if taken.
        overwrite: Whether a bundle at ``out`` is replaced.
        listener: Hears of everything worth telling.

    Returns:
        The bundle's directory.

    Raises:
        RecipeError: The recipe is wrong or does not fit the data.
        DataError: The data are wrong.
        BundleError: ``out`` exists.
        TrainingError: The loss is not finite any more.
    """
    need("torch", extra="train")
    from deepwright.engine.parallel import joined

    with joined() as world:
        return _train(
            recipe, table, target or [], out, overwrite=overwrite, listener=listener if world.leads else silent, world=world
        )


def _train(
    recipe: Recipe, table: Table | None, target: list[str], out: Path | None, *, overwrite: bool, listener: Listener, world: World
) -> Path:
    began = time.monotonic()
    if out is not None and world.leads:
        check_target(out, overwrite=overwrite)
    scan = open_scan(recipe) if table is None else None
    if scan is None:
        table, held, test_name, recipe = open_tables(recipe, table, target)
        if foretells(recipe):
            prepared = forecasting.prepare(recipe, table, held, test_name, listener)
        else:
            prepared = prepare(recipe, table, held, test_name, listener, default_store())
        rows = len(table)
    else:
        prepared, rows = _prepared_scan(recipe, scan, target, listener), len(scan)
    out = Path(world.agree(str(out or free_name(next(iter(prepared.recipe.outputs), "model")))))
    _tell_data(prepared, rows, time.monotonic() - began, listener)
    with _work_directory(out, prepared) if world.leads else nullcontext(out) as work:
        _train_and_write(prepared, work, out, overwrite=overwrite, began=began, listener=listener, world=world)
    world.wait()
    return out


def _prepared_scan(recipe: Recipe, scan: Scan, target: list[str], listener: Listener) -> Prepared:
    """Prepare rows that stay on disk."""
    declared = recipe.data.test
    recipe, held, name = held_out_rows(recipe)
    if recipe.data.test is not declared:
        scan = dataclasses.replace(scan, notes=taken_notes(scan.notes))
    if target or not all(feature.typed for feature in (*recipe.inputs.values(), *recipe.outputs.values())):
        recipe = with_types(recipe, tidied(recipe, scan.sample()), target)
    listener(Event("data", f"{len(scan):,} rows are streamed from disk, one column at a time"))
    return prepare_scan(recipe, scan, held, name, default_store(), listener)


def free_name(name: str) -> Path:
    """Return a directory name that is free, so that nothing is ever overwritten unasked."""
    base = "".join(c if c.isalnum() or c in "-_" else "-" for c in name).strip("-") or "model"
    number = 1
    while (path := Path(base if number == 1 else f"{base}-{number}")).exists():
        number += 1
    return path


def _tell_data(prepared: Prepared, rows: int, seconds: float, listener: Listener) -> None:
    parts = [f"train {len(prepared.train):,}", f"validation {len(prepared.validation):,}"]
    parts += [f"test {len(prepared.test):,}"] if prepared.test is not None else []
    text = f"{rows:,} rows → {', '.join(parts)}   {len(prepared.recipe.inputs)} inputs   read and encoded in {seconds:.1f} s"
    listener(Event("data", text, values={"rows": rows, "train": len(prepared.train), "validation": len(prepared.validation)}))


@contextmanager
def _work_directory(out: Path, prepared: Prepared) -> Iterator[Path]:
    """Yield ``OUT.partial``, which holds the checkpoints; it goes when the bundle is written, and stays when the run is stopped.

    A directory left by another recipe or other data is emptied first.
    """
    work = out.with_name(out.name + ".partial")
    identity = hashlib.sha256(json.dumps([prepared.recipe.dump(), prepared.fingerprint], sort_keys=True).encode()).hexdigest()
    marker = work / "run.json"
    if work.exists() and (not marker.is_file() or json.loads(marker.read_text()).get("identity") != identity):
        if not marker.is_file() and any(work.iterdir()):
            raise UsageError(
                "E703", "the working directory holds something else", where=str(work), fix=f"move {work} away, or choose another -o"
            )
        shutil.rmtree(work)
    work.mkdir(parents=True, exist_ok=True)
    marker.write_text(json.dumps({"identity": identity}))
    try:
        yield work
    except BaseException:
        if list(work.iterdir()) == [marker]:  # nothing was learnt yet that a later run could go on from
            shutil.rmtree(work)
        raise
    shutil.rmtree(work)


def _train_and_write(
    prepared: Prepared, work: Path, out: Path, *, overwrite: bool, began: float, listener: Listener, world: World
) -> None:
    from deepwright.engine.assembly import Encoded
    from deepwright.engine.fit import fit

    train, validation = (
        Encoded(part.arrays, part.targets, part.weights, draw, part.stored)
        for part, draw in ((prepared.train, prepared.draw), (prepared.validation, None))
    )
    recipe, score = _scorer(prepared)
    prepared.recipe = recipe
    logs = out.with_name(f"{out.name}.logs")
    fitted = fit(recipe, prepared.data, train, validation, score, work, listener, logs, world)
    if fitted is None:
        return
    manifest: dict[str, Any] = {}
    with writing(out, overwrite=overwrite, manifest=manifest) as scratch:
        _write(prepared, fitted, scratch, manifest, began, listener)
        manifest["lineage"]["processes"] = world.size
    size = sum(file.stat().st_size for file in out.iterdir())
    listener(
        Event(
            "bundle",
            f"{out}/   {size / 1e6:.1f} MB      report   {out}/report.html",
            values={"bundle": str(out), "report": f"{out}/report.html"},
        )
    )


def _scorer(prepared: Prepared) -> tuple[Recipe, Any]:
    """Return how validation predictions are judged: by the monitored metric of the first output.

    Without validation rows the last weights are kept.
    """
    data, validation = prepared.data, prepared.validation
    facts = data.target_facts()
    first = next(iter(facts))
    head = prepared.recipe.outputs[first].head
    usual = (head.monitor if head is not None else "") or metrics.default_metric(facts[first].kind)
    monitor = prepared.recipe.training.monitor or usual
    if monitor not in metrics.metric_names(facts[first].kind):
        raise RecipeError(
            "E103",
            f"a {facts[first].kind} output has no metric {monitor!r}",
            where="training.monitor",
            expected=", ".join(metrics.metric_names(facts[first].kind)),
        )
    sign = 1.0 if metrics.higher_is_better(monitor) else -1.0
    names = {name: monitor if name == first else metrics.default_metric(each.kind) for name, each in facts.items()}

    def score(outputs: Outputs) -> dict[str, float]:
        if not len(validation):
            return {"score": 0.0}
        figures = {}
        measured = data.measured(outputs, validation.targets, validation.table.frame)
        for name, metric in names.items():
            value = metrics.score(facts[name].kind, metric, *measured[name])
            figures[metric if name == first else f"{name}.{metric}"] = value
        value = figures[monitor]
        return {**figures, "score": sign * value if np.isfinite(value) else -1e30}

    update = {"monitor": monitor} if len(validation) else {"monitor": monitor, "patience": 0}
    return prepared.recipe.replace(training=update), score


def _write(prepared: Prepared, fitted: Fitted, scratch: Path, manifest: dict[str, Any], began: float, listener: Listener) -> None:
    """Fill the bundle's directory: weights, states, the graph if it passes the gate, evaluation and reports."""
    from safetensors.torch import save_file

    from deepwright.engine.torch_backend import TorchBackend
    from deepwright.runtime import OnnxBackend, writers_of

    recipe, data = fitted.recipe, prepared.data
    recipe.save(scratch / "recipe.yaml", defaults=True)
    (scratch / "states.json").write_text(json.dumps(data.dump(), ensure_ascii=False), encoding="utf-8")
    save_file(_apart(fitted.model.state_dict()), scratch / "weights.safetensors")
    (scratch / "log.jsonl").write_text("".join(json.dumps(record) + "\n" for record in fitted.history), encoding="utf-8")
    exported = _export(prepared, fitted.model, scratch, listener)
    backend = OnnxBackend(scratch / "model.onnx", writers=writers_of(recipe)) if exported["graph"] else TorchBackend(fitted.model)
    part, name = _judged(prepared)
    outputs, reports = _evaluated(prepared, backend, part)
    stage = name.partition(" ")[0] if prepared.test is None else "test"
    for text in (headline(report) for report in reports.values()):
        listener(Event(stage, text, values={"metrics": {n: r.model_dump()["metrics"] for n, r in reports.items()}}))
    _write_reports(prepared, fitted, scratch, part, name, outputs, reports, exported, time.monotonic() - began)
    manifest |= {
        "kind": "model",
        "lineage": {
            "step": "train",
            "parent": None,
            "seed": recipe.training.seed,
            "data": prepared.fingerprint,
            "rows": {"train": len(prepared.train), "validation": len(prepared.validation), stage: len(part)},
        },
        "seconds": round(time.monotonic() - began, 3),
        "outputs": {n: {"kind": f.kind, "classes": list(f.classes)} for n, f in data.target_facts().items()},
        "evaluated_on": name,
        "metrics": {n: {m: v.model_dump(exclude={"reason"}) for m, v in r.metrics.items()} for n, r in reports.items()},
        "export": exported,
    }
    if foretells(recipe) and (calibration := _calibrated(prepared, backend)) is not None:
        manifest["scores"] = calibration.model_dump(mode="json")


def _calibrated(prepared: Prepared, backend: Backend) -> Calibration | None:
    """Return how far what is told of the validation rows usually is from them, which unusual rows are told by."""
    part, reach = prepared.validation, Reach.of(prepared.recipe)
    if not len(part):
        return None
    # Places of rows count from the first window's on: which rows of the table they are does not matter here.
    stride = max(getattr(feature, "stride", 1) for feature in prepared.recipe.outputs.values())
    origins = range(reach.before - 1, reach.before - 1 + len(part) * stride, stride)
    said = told(backend, prepared.data, part.arrays, part.targets, origins, origins[-1] + reach.behind + 1)
    return calibrated(said.errors)


def _apart(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return weights each in memory of its own, as the file wants them: modules may share some under several names."""
    found: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in state.items():
        place = tensor.untyped_storage().data_ptr()
        found[name] = tensor.contiguous().clone() if place in seen else tensor.contiguous()
        seen.add(place)
    return found


def _judged(prepared: Prepared) -> tuple[Part, str]:
    """Return the rows that the bundle's figures come from, and what they are called."""
    if prepared.test is not None:
        return prepared.test, prepared.test_name
    if len(prepared.validation):
        return prepared.validation, "validation rows"
    return prepared.train, "train rows (none were held out, so that the figures flatter)"


def _export(prepared: Prepared, model: Model, scratch: Path, listener: Listener) -> dict[str, Any]:
    """Export and compare; a graph that fails is removed, loudly, and the bundle says so."""
    from deepwright.engine.export import compare, export

    path = scratch / "model.onnx"
    few = {
        name: array[:256] for name, array in (prepared.validation if len(prepared.validation) else prepared.train).arrays.items()
    }
    facts = prepared.data.target_facts()
    scales = {name: each.scale if each.kind in ("number", "image") else 1.0 for name, each in facts.items()}
    try:
        export(model, few, path)
        parity = compare(model, path, few, prepared.data.facts(), scales)
    except ExportError as error:
        path.unlink(missing_ok=True)
        listener(Event("warning", f"no graph is exported: {error}", values={"code": error.code}))
        return {"graph": False, "error": str(error)}
    over = f"{len(parity.batches)} batch sizes" + (f", {parity.lengths} lengths" if parity.lengths else "")
    listener(
        Event(
            "export",
            f"model.onnx agrees with the trained model: largest difference {parity.difference:.1g} over {over} and "
            f"{parity.edge_rows} edge rows",
            values={"difference": parity.difference},
        )
    )
    return {
        "graph": True,
        "largest_difference": parity.difference,
        "batches": list(parity.batches),
        "rows": parity.rows,
        "edge_rows": parity.edge_rows,
        "lengths": parity.lengths,
    }


def _evaluated(prepared: Prepared, backend: Backend, part: Part) -> tuple[Outputs, Reports]:
    """Return the outputs of encoded rows, and each output's report."""
    outputs = run_rows(backend, prepared.data, part.arrays | prepared.data.written(part.targets), len(part))
    return outputs, judged(prepared.data, outputs, part.targets, part.arrays, part.table.frame)


def _write_reports(
    prepared: Prepared,
    fitted: Fitted,
    scratch: Path,
    part: Part,
    name: str,
    outputs: Outputs,
    reports: Reports,
    exported: dict[str, Any],
    seconds: float,
) -> None:
    rows = {"train": len(prepared.train), "validation": len(prepared.validation)}
    report = TrainingReport(
        title=", ".join(prepared.recipe.outputs),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=seconds,
        rows=rows | ({"test": len(prepared.test)} if prepared.test is not None else {}),
        notes=tuple(NoteLine(what=n.what, text=n.text, count=n.count, column=n.column) for n in prepared.notes),
        columns=tuple(ColumnLine.model_validate(column) for column in prepared.columns),
        log=tuple(fitted.history),
        best=fitted.best,
        stopped=fitted.stopped,
        machine=tuple(fitted.machine),
        machine_text=f"{fitted.recipe.training.device}, {fitted.recipe.training.precision}, {fitted.recipe.training.layout}",
        model={"parameters": sum(p.numel() for p in fitted.model.parameters()), "members": fitted.model.members},
        evaluation=reports,
        test_name=name,
        recipe_yaml=fitted.recipe.yaml(),
        fingerprint=prepared.fingerprint,
        versions=versions(),
        seed=fitted.recipe.training.seed,
        export=exported | {"cases": exported.get("rows")},
    )
    # The rows of a forecast are its windows, of which the report shows some.
    worst = {} if foretells(prepared.recipe) else worst_rows(prepared.data, part.table, reports, outputs)
    (scratch / "report.html").write_text(training_html(report, worst), encoding="utf-8")
    (scratch / "report.json").write_text(report.model_dump_json(indent=1), encoding="utf-8")
