"""``deepwright embed``: the vectors of rows, without PyTorch."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from deepwright.cli.options import Bundle, Quiet, check_out
from deepwright.cli.predict import check_ending, render
from deepwright.console import Console

Of = Annotated[
    str | None,
    typer.Option("--of", metavar="INPUT", help="The input whose vector is wanted; all together by default.", show_default=False),
]


def embed(
    bundle: Bundle,
    data: Annotated[str, typer.Argument(metavar="DATA", help="A file or folder of rows.", show_default=False)],
    of: Of = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="A .parquet, .json or .jsonl file; JSON lines to stdout by default.",
            show_default=False,
        ),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Tell the vector that the network makes of each row, beside the row itself."""
    check_ending(out, but=(".csv",))
    check_out(out, data)

    from deepwright.bundle import write_atomically
    from deepwright.steps.embed import embed as step

    with Console(quiet=quiet) as console:
        frame = step(Path(bundle), data, of=of, listener=console)
        if out is not None:
            write_atomically(out, render(frame, out.suffix.lower()))
            console.say("embedded", f"{frame.height:,} rows → {out}")
    if out is None:
        sys.stdout.write(render(frame, ".jsonl").decode())
