"""The options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON to stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but warnings and errors.")]
Bundle = Annotated[str, typer.Argument(metavar="BUNDLE", help="The directory that train wrote.", show_default=False)]
Targets = Annotated[
    list[str] | None,
    typer.Option("--target", "-t", metavar="COLUMN", help="The column to predict; may be given several times.", show_default=False),
]
Test = Annotated[
    str | None, typer.Option("--test", metavar="FILE", help="A file of test rows, never trained on.", show_default=False)
]
Time = Annotated[
    str | None,
    typer.Option("--time", metavar="COLUMN", help="The column of the rows' time: the next rows are foretold.", show_default=False),
]
