"""The options that several commands share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from deepwright.errors import UsageError

if TYPE_CHECKING:
    from deepwright.families import Source

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
Horizon = Annotated[
    int | None,
    typer.Option("--horizon", metavar="N", min=1, help="With --time: how many rows are foretold.", show_default=False),
]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a key of the recipe; may be given several times.", show_default=False),
]
Reading = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="How the data are read, such as data.source.encoding=gb18030; may be given several times.",
        show_default=False,
    ),
]


def read_as(data: str, settings: list[str] | None) -> Source | str:
    """Return data with settings of how they are read.

    Raises:
        UsageError: A setting is of something else (E701).
        RecipeError: The source has no such option.
    """
    if not settings:
        return data
    for setting in settings:
        if not setting.strip().startswith("data.source."):
            raise UsageError(
                "E701",
                "only how the data are read can be set here",
                got=f"--set {setting}",
                expected="a key that begins with data.source.",
                fix="--set data.source.encoding=gb18030",
            )
    from deepwright.mappings import override
    from deepwright.recipe import Recipe

    source = Recipe.parse(override({"data": {"source": data}}, settings)).data.source
    return data if source is None else source


def check_out(out: Path | None, *read: str | None, page: bool = False) -> None:
    """Refuse a file that cannot be written, or that is read, before any work is done.

    Args:
        out: The file that a command is to write, if it is.
        read: What it reads.
        page: Whether it is a page, which ends in .html.

    Raises:
        UsageError: It would take the place of what is read, is a folder, or lies in a folder that is not there (E703); a page has
            another ending (E704).
    """
    if out is None:
        return
    if page and out.suffix.lower() not in (".html", ".htm"):
        raise UsageError("E704", "the report is a page", where=str(out), expected=".html", fix=f"{out.with_suffix('.html')}")
    if out.is_dir():
        raise UsageError("E703", "the output is a folder", where=str(out), expected="a file")
    parent = out.parent
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        why = "is not there" if not parent.exists() else "cannot be written to"
        raise UsageError("E703", f"the folder of the output {why}", where=str(out), got=str(parent))
    for path in read:
        place = Path(path).expanduser() if path is not None and "://" not in path else None
        if place is not None and out.exists() and place.exists() and out.samefile(place):
            raise UsageError(
                "E703", "the output would take the place of what is read", where=str(out), fix="give another name to the output"
            )
