"""One of several processes that train together: the call that it makes, and how it tells of it.

    python -m deepwright.steps.worker FOLDER

What is trained lies in the folder as plain values (``call.json``, and ``rows.parquet`` for rows from memory), and what is told
goes there (``events.jsonl``, and ``error.json`` for an error that is not to be tried again).
"""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import Any

import polars as pl

from deepwright.console import plain
from deepwright.errors import DeepwrightError, Problem
from deepwright.progress import Event, Listener
from deepwright.recipe import Recipe
from deepwright.steps.train import train
from deepwright.table import Table

LOST = "E406"
"""The code of the error that another process is gone, which is tried again."""


@dataclasses.dataclass(frozen=True)
class Call:
    """A call of :func:`deepwright.steps.train.train`, in plain values.

    Args:
        recipe: The recipe.
        out: The bundle's directory.
        target: Output columns whose types are inferred.
        overwrite: Whether a bundle at ``out`` is replaced.
        name: The name of the rows from memory, if there are any.
        folder: The working directory that paths are relative to.
    """

    recipe: dict[str, Any]
    out: str
    target: list[str]
    overwrite: bool
    name: str | None
    folder: str

    def run(self, rows: pl.DataFrame | None, listener: Listener) -> None:
        """Train."""
        os.chdir(self.folder)
        table = Table(rows, self.name or "rows") if rows is not None else None
        recipe = Recipe.parse(self.recipe)
        train(recipe, table=table, target=self.target, out=Path(self.out), overwrite=self.overwrite, listener=listener)


def error_of(problems: list[dict[str, Any]], name: str) -> DeepwrightError:
    """Return the error that another process told, of the same class."""
    kinds = {kind.__name__: kind for kind in DeepwrightError.__subclasses__()}
    return kinds.get(name, DeepwrightError).of(Problem(**problem) for problem in problems)


def main(folder: Path) -> int:
    """Make the call that lies in ``folder``; return the exit code."""
    call = Call(**json.loads((folder / "call.json").read_text(encoding="utf-8")))
    rows = folder / "rows.parquet"
    frame = pl.read_parquet(rows) if rows.exists() else None
    with (folder / "events.jsonl").open("a", encoding="utf-8") as file:

        def tell(event: Event) -> None:
            file.write(json.dumps(plain(dataclasses.asdict(event))) + "\n")
            file.flush()

        try:
            call.run(frame, tell)
        except DeepwrightError as error:
            if error.code != LOST:
                told = json.dumps({"kind": type(error).__name__, "problems": error.as_json()})
                (folder / "error.json").write_text(told, encoding="utf-8")
            return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
