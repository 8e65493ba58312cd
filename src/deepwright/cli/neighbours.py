"""``deepwright neighbours``: the rows that are most like others, without PyTorch."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from deepwright.cli.embed import Of
from deepwright.cli.options import Bundle, Json, Quiet, check_out
from deepwright.cli.predict import check_ending, render
from deepwright.console import Console, emit, emit_json


def neighbours(
    bundle: Bundle,
    data: Annotated[str, typer.Argument(metavar="DATA", help="A file of rows that look for others.", show_default=False)],
    index: Annotated[
        str, typer.Option("--index", metavar="FILE", help="The rows to look among, or what embed wrote.", show_default=False)
    ],
    top: Annotated[int, typer.Option("--top", "-k", metavar="K", help="The most rows for each.")] = 10,
    of: Of = None,
    index_of: Annotated[
        str | None,
        typer.Option("--index-of", metavar="INPUT", help="The input that the index's rows are.", show_default=False),
    ] = None,
    measure: Annotated[Literal["cosine", "dot"], typer.Option("--measure", help="What tells how alike two rows are.")] = "cosine",
    paired: Annotated[
        bool, typer.Option("--paired", help="Row N should find row N of the index: tell recall and MRR instead.")
    ] = False,
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
    """Find the rows of an index that are most like each row, by the vectors that the network makes of them."""
    check_ending(out)
    check_out(out, data, index)

    from deepwright.bundle import write_atomically
    from deepwright.steps.embed import evaluate_pairs
    from deepwright.steps.embed import neighbours as step

    with Console(quiet=quiet) as console:
        told: dict[str, Any] = {"top": top, "of": of, "index_of": index_of, "measure": measure, "listener": console}
        if paired:
            report = evaluate_pairs(Path(bundle), data, index, **told)
        else:
            frame = step(Path(bundle), data, index, **told)
        if out is not None and not paired:
            write_atomically(out, render(frame, out.suffix.lower()))
            console.say("found", f"{frame.height:,} rows → {out}")
    if paired:
        shown = "   ".join(f"{name} {value:.4f}" for name, value in report.metrics.items())
        emit_json(report.model_dump()) if as_json else emit(f"{shown}   ({report.rows:,} rows among {report.index:,})")
    elif as_json:
        emit_json(frame.to_dicts())
    elif out is None:
        sys.stdout.write(render(frame, ".csv").decode())
