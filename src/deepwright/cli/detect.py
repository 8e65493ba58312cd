"""``deepwright detect``: unusual rows, without PyTorch."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from deepwright.cli.options import Bundle, Json, Quiet, check_out
from deepwright.cli.predict import check_ending, render
from deepwright.console import Console, emit, emit_json


def detect(
    bundle: Bundle,
    data: Annotated[str, typer.Argument(metavar="DATA", help="A file of rows with a time.", show_default=False)],
    alarms: Annotated[
        float, typer.Option("--alarms", metavar="SHARE", help="The share of usual rows that may be alarms, at most 0.02.")
    ] = 0.001,
    truth: Annotated[
        str | None,
        typer.Option("--truth", metavar="COLUMN", help="A column that tells unusual rows: judge the alarms.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="A .csv, .parquet, .json or .jsonl file; CSV to stdout by default.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Score rows in order of time by how far they are from what a bundle with a forecast says of them."""
    check_ending(out)
    check_out(out, data)

    from deepwright.bundle import write_atomically
    from deepwright.steps.detect import detect as step

    with Console(quiet=quiet) as console:
        frame, agreement = step(Path(bundle), data, alarms=alarms, truth=truth, listener=console)
        if out is not None:
            write_atomically(out, render(frame, out.suffix.lower()))
            console.say("detected", f"{frame.height:,} rows → {out}")
    if as_json:
        emit_json(agreement if agreement is not None else frame.to_dicts())
    elif agreement is not None:
        emit("\n".join(f"  {name.replace('_', ' '):<24} {_shown(value)}" for name, value in agreement.items()))
    elif out is None:
        sys.stdout.write(render(frame, ".csv").decode())


def _shown(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}" if isinstance(value, float) else f"{value:,}"
