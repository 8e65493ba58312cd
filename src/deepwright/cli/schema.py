"""``deepwright schema``: the JSON schema of recipes, for editors and programs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from deepwright.console import emit


def schema(
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Where to write it; stdout by default.", show_default=False)
    ] = None,
) -> None:
    """Print the JSON schema of recipes, all part types included."""
    from deepwright.recipe import Recipe

    text = json.dumps(Recipe.full_schema(), indent=2, ensure_ascii=False) + "\n"
    if out is None:
        emit(text)
    else:
        from deepwright.bundle import write_atomically

        write_atomically(out, text.encode())
