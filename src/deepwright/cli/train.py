"""``deepwright train``: from a recipe, or from data alone, to a bundle."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepwright.cli.options import Horizon, Json, Quiet, Settings, Targets, Test, Time
from deepwright.console import Console, emit_json, is_leader
from deepwright.errors import UsageError

if TYPE_CHECKING:
    from deepwright.families import Source

RECIPES = (".yaml", ".yml", ".json")
"""The endings of recipes; a ``.json`` file is data where ``--target`` is given."""


def train(
    what: Annotated[
        str, typer.Argument(metavar="RECIPE_OR_DATA", help="A recipe, or data with --target or --time.", show_default=False)
    ],
    target: Targets = None,
    test: Test = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="DIR", help="Where to write the bundle.", show_default=False)
    ] = None,
    time: Time = None,
    horizon: Horizon = None,
    budget: Annotated[
        str | None, typer.Option("--budget", metavar="TIME", help="Time for training, such as 5m.", show_default=False)
    ] = None,
    seed: Annotated[
        int | None, typer.Option("--seed", metavar="N", help="The seed of everything random.", show_default=False)
    ] = None,
    settings: Settings = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a bundle that exists.")] = False,
    on: Annotated[
        str | None,
        typer.Option(
            "--on", metavar="PLACE", help="Train in N processes: local:N, ray:N or ray://HOST:PORT/N.", show_default=False
        ),
    ] = None,
    restarts: Annotated[
        int, typer.Option("--restarts", metavar="N", min=0, help="With --on: how often lost processes start again.")
    ] = 3,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a model and write its bundle."""
    is_recipe = Path(what).suffix.lower() in RECIPES and not ((target or time) and Path(what).suffix.lower() == ".json")
    if not is_recipe and not target and time is None:
        from deepwright.families import Source
        from deepwright.recipe import parse_part

        parse_part(Source, what, where="data")  # what is not there, or is no data, needs no target
        raise UsageError(
            "E701",
            "the column to predict is missing",
            where=what,
            expected="--target COLUMN or --time COLUMN with data, or a recipe that ends in .yaml",
            fix=f"deepwright train {what} --target COLUMN",
        )

    from deepwright.api import train as train_model

    with Console(quiet=quiet) as console:
        model = train_model(
            None if is_recipe else what,
            recipe=what if is_recipe else None,
            target=target,
            test=test,
            out=out,
            overwrite=overwrite,
            budget=budget,
            seed=seed,
            settings=settings or [],
            time=time,
            horizon=horizon,
            on=on,
            restarts=restarts,
            listener=console,
        )
        place = shlex.quote(str(model.path))
        console.say("next", f"deepwright predict {place} {_new(model.recipe.data.source)} · deepwright show {place}")
    if as_json and is_leader():
        from deepwright.steps.show import show

        emit_json(show(model.path))


def _new(source: Source | None) -> str:
    """Return a word for rows to predict, of the kind that was trained on."""
    from deepwright.folders import FolderSource

    if isinstance(source, FolderSource):
        return "FOLDER"
    suffix = Path(source.path).suffix if source is not None else ""
    return f"NEW{suffix}" if suffix[1:].isalnum() else "NEW.csv"
