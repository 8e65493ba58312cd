"""``deepwright predict``: predictions for new rows, without PyTorch."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepwright.cli.options import Bundle, Json, Quiet
from deepwright.console import Console, emit_json
from deepwright.errors import UsageError

if TYPE_CHECKING:
    import polars as pl

FORMATS = (".csv", ".parquet", ".json", ".jsonl")
"""The endings of the files that predictions are written to."""


def predict(
    bundle: Bundle,
    data: Annotated[str, typer.Argument(metavar="DATA", help="A file or folder of rows to predict.", show_default=False)],
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
    on: Annotated[
        str | None,
        typer.Option(
            "--on", metavar="PLACE", help="Predict on a Ray cluster: ray, ray:N or ray://HOST:PORT/N.", show_default=False
        ),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Predict new rows with a bundle: the predicted values, and the probability of every class."""
    check_ending(out)

    from deepwright.bundle import write_atomically
    from deepwright.steps.predict import predict as step

    with Console(quiet=quiet) as console:
        frame = step(Path(bundle), data, on=on, listener=console)
        if out is not None:
            write_atomically(out, render(frame, out.suffix.lower()))
            console.say("predicted", f"{frame.height:,} rows → {out}")
    if as_json:
        emit_json(frame.to_dicts())
    elif out is None:
        sys.stdout.write(_flat(frame).write_csv())


def check_ending(out: Path | None, but: tuple[str, ...] = ()) -> None:
    """Refuse a file that rows cannot be written to, or one of the endings of ``but``, before any work is done.

    Raises:
        UsageError: E704.
    """
    formats = [each for each in FORMATS if each not in but]
    if out is not None and out.suffix.lower() not in formats:
        raise UsageError(
            "E704",
            f"the result is not written to {out.suffix or 'files without an ending'}",
            where=str(out),
            expected="one of " + ", ".join(formats),
            fix=f"-o {out.with_suffix(formats[0])}",
        )


def render(frame: pl.DataFrame, suffix: str) -> bytes:
    """Return rows as the bytes of a file of one of :data:`FORMATS`."""
    buffer = io.BytesIO()
    if suffix == ".csv":
        _flat(frame).write_csv(buffer)
    elif suffix == ".parquet":
        frame.write_parquet(buffer)
    elif suffix == ".json":
        frame.write_json(buffer)
    else:
        frame.write_ndjson(buffer)
    return buffer.getvalue()


def _flat(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the frame with lists of tags joined as ``a|b``, which CSV can hold and reading tags splits again."""
    import polars as pl

    return frame.with_columns(pl.col(name).list.join("|") for name, dtype in frame.schema.items() if dtype == pl.List)
