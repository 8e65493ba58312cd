"""``deepwright predict``: predictions for new rows, without PyTorch."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepwright.cli.options import Bundle, Json, Quiet, check_out
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
    check_out(out, data)

    import polars as pl

    from deepwright.bundle import write_atomically
    from deepwright.steps.predict import file_names
    from deepwright.steps.predict import predict as step

    with Console(quiet=quiet) as console:
        frame = step(Path(bundle), data, on=on, listener=console)
        pictures = [name for name, dtype in frame.schema.items() if dtype == pl.Binary]
        if pictures and (out is None or (as_json and out.suffix.lower() == ".parquet")):
            raise UsageError(
                "E704",
                f"pictures are predicted ({', '.join(pictures)}), which the terminal does not show",
                fix=f"deepwright predict {bundle} {data} -o predictions.csv",
            )
        if out is not None and pictures and out.suffix.lower() != ".parquet":
            frame = write_pictures(frame, pictures, out, file_names(Path(bundle), data))
            console.say("predicted", f"{frame.height:,} rows of pictures → {out.with_suffix('')}/")
        if out is not None:
            write_atomically(out, render(frame, out.suffix.lower()))
            console.say("predicted", f"{frame.height:,} rows → {out}")
    if as_json:
        emit_json(frame.to_dicts())
    elif out is None:
        sys.stdout.write(_flat(frame).write_csv())


def write_pictures(frame: pl.DataFrame, columns: list[str], out: Path, names: list[str]) -> pl.DataFrame:
    """Write predicted pictures into a folder beside a file, and return the rows with their paths from there.

    Args:
        frame: The predictions.
        columns: The columns of PNG files.
        out: The file; the folder is called as it is, without its suffix, and has a folder for each column if there are several.
        names: What the files of each row are called.

    Raises:
        UsageError: They cannot be written, or the folder holds other files (E703).
    """
    import polars as pl

    folder = out.with_suffix("")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        # It may hold the very pictures that were predicted from.
        fix = "give another name with -o, or move the folder away"
        raise UsageError("E703", "the folder for the predicted pictures is there already", where=str(folder), fix=fix)
    found = []
    for column in columns:
        place = folder / column if len(columns) > 1 else folder
        files = [place / f"{name}.png" for name in names]
        try:
            place.mkdir(parents=True, exist_ok=True)
            for file, data in zip(files, frame[column], strict=True):
                file.write_bytes(data)
        except OSError as error:
            raise UsageError("E703", "the folder cannot be written", where=str(place), got=error.strerror or str(error)) from None
        found.append(pl.Series(column, [file.relative_to(out.parent).as_posix() for file in files], dtype=pl.String))
    return frame.with_columns(found)


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
    """Return rows as the bytes of a file of one of :data:`FORMATS`; the bytes of pictures and sounds are in Parquet alone."""
    import polars as pl

    if suffix != ".parquet":
        frame = frame.drop([name for name, dtype in frame.schema.items() if dtype == pl.Binary])
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
    """Return the frame with lists of tags joined as ``a|b``, which CSV can hold and reading tags splits again; others as JSON."""
    import polars as pl

    flat = []
    for name, dtype in frame.schema.items():
        if isinstance(dtype, pl.List) and dtype.inner == pl.String:
            flat.append(pl.col(name).list.join("|"))
        elif isinstance(dtype, pl.List):
            rows = [None if row is None else json.dumps(row, ensure_ascii=False) for row in frame[name].to_list()]
            flat.append(pl.lit(pl.Series(name, rows, dtype=pl.String)))
    return frame.with_columns(flat)
