"""``deepwright init``: a first recipe."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from deepwright.cli.options import Horizon, Reading, Targets, Test, Time, read_as
from deepwright.console import Console, emit
from deepwright.errors import BundleError


def init(
    data: Annotated[str, typer.Argument(metavar="DATA", help="A file or a folder.", show_default=False)],
    target: Targets = None,
    test: Test = None,
    time: Time = None,
    horizon: Horizon = None,
    settings: Reading = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", metavar="FILE", help="Where to write the recipe; stdout by default.", show_default=False),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace a recipe that exists.")] = False,
) -> None:
    """Write a complete, commented recipe for a data set, to be read and changed."""
    if out is not None and out.exists() and not overwrite:
        raise BundleError("E303", "the recipe already exists", where=str(out), fix="choose another -o, or add --overwrite")

    from deepwright.bundle import write_atomically
    from deepwright.steps.init import init as step

    text = step(read_as(data, settings), target or [], test=test, time=time, horizon=horizon)
    if out is None:
        emit(text)
        return
    write_atomically(out, text.encode())
    console = Console()
    console.say("recipe", str(out))
    console.say("next", f"deepwright train {shlex.quote(str(out))}")
