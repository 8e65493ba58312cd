"""``deepwright evaluate``: how good a bundle is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from deepwright.cli.options import Bundle, Json, Quiet, check_out
from deepwright.console import Console, emit, emit_json


def evaluate(
    bundle: Bundle,
    data: Annotated[
        str | None,
        typer.Argument(metavar="[DATA]", help="Rows with the outputs; the test rows of the recipe without.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE.html", help="Where to write the report.", show_default=False)
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Measure a bundle on rows whose outputs are known, with the uncertainty of every figure."""
    check_out(out, data, page=True)

    from deepwright.cli.render import render_metrics
    from deepwright.steps.evaluate import evaluate as step

    with Console(quiet=quiet) as console:
        evaluation = step(Path(bundle), data, out=out, listener=console)
    result = evaluation.as_json()
    if as_json:
        emit_json(result)
    else:
        emit(render_metrics(result))
