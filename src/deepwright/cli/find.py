"""``deepwright find``: a learning rate or a batch size, before training."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from deepwright.cli.options import Json, Quiet, Settings, Targets, check_out
from deepwright.console import Console, emit, emit_json
from deepwright.errors import UsageError


def find(
    what: Annotated[Literal["lr", "batch"], typer.Argument(metavar="lr|batch", help="What to look for.", show_default=False)],
    data: Annotated[str, typer.Argument(metavar="RECIPE_OR_DATA", help="A recipe, or data with --target.", show_default=False)],
    target: Targets = None,
    settings: Settings = None,
    steps: Annotated[int, typer.Option("--steps", min=10, help="Steps of the test of learning rates.")] = 100,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="FILE.html", help="Also write a page with a picture.", show_default=False)
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Find a learning rate or a batch size by trying them; prints the line for the recipe."""
    is_recipe = Path(data).suffix.lower() in (".yaml", ".yml", ".json") and not (target and Path(data).suffix.lower() == ".json")
    if not is_recipe and not target:
        raise UsageError(
            "E701",
            "the column to predict is missing",
            where=data,
            expected="--target COLUMN with data, or a recipe that ends in .yaml",
            fix=f"deepwright find {what} {data} --target COLUMN",
        )

    check_out(report, data, page=True)

    from deepwright.recipe import Recipe
    from deepwright.steps import find as step

    declared = Recipe.load(data, settings or []) if is_recipe else Recipe.parse(_with_data(data, settings or []))
    with Console(quiet=quiet) as console:
        if what == "lr":
            rates, recipe = step.find_lr(declared, target=target, steps=steps, listener=console)
            found: dict[str, Any] = asdict(rates)
        else:
            batches, recipe = step.find_batch(declared, target=target, listener=console)
            found = asdict(batches)
    line = _line(what, recipe.dump(defaults=False)["training"])
    if report is not None:
        from deepwright.bundle import write_atomically
        from deepwright.reporting.finding import batch_html, rate_html

        title = ", ".join(recipe.outputs)
        page = rate_html(rates, line, title) if what == "lr" else batch_html(batches, line, title)
        write_atomically(report, page.encode())
    if as_json:
        emit_json({**found, "recipe": line})
    else:
        emit(line)


def _with_data(data: str, settings: list[str]) -> dict[str, Any]:
    from deepwright.mappings import override

    return override({"data": {"source": data}}, settings)


def _line(what: str, training: dict[str, Any]) -> str:
    from deepwright.reference import flow

    chosen = {"optimizer": training["optimizer"]} if what == "lr" else {"batch": training["batch"]}
    return f"training: {flow(chosen)}"
