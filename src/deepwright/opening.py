"""Opening what a step works on: rows from whatever names them, and the predictor of a bundle (floor 5)."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal

from deepwright.bundle import Bundle
from deepwright.errors import RecipeError, need
from deepwright.families import Source
from deepwright.folders import FolderSource
from deepwright.recipe import Recipe, parse_part
from deepwright.runtime import Predictor
from deepwright.table import Table

Engine = Literal["auto", "onnx", "torch"]
"""What computes predictions: the exported graph, the network itself, or the graph if there is one."""


def source_for(rows: Source | str, recipe: Recipe | None = None, *, outputs: bool = True) -> Source:
    """Return the source of rows that a model of ``recipe`` reads.

    Args:
        rows: A source, or a path: it is read with the options of the training rows (header, names, separator, …) if it is of their
            type or ending.
        recipe: The model's recipe; without one, a folder of files alone is read, too.
        outputs: Whether columns other than the inputs are wanted. If not, and files of pictures or sounds are all that the model
            reads, every file that the path holds is a row.

    Raises:
        RecipeError: No source recognises the path, nor is it a file, or a folder of files, that are all that the model reads.
    """
    like = recipe.data.source if recipe is not None else None
    alone = _alone(rows, recipe) if isinstance(rows, str) else None
    try:
        source = parse_part(Source, rows, where="data")
    except RecipeError:
        if alone is None:
            if isinstance(rows, str) and recipe is not None and any(part.holds(rows) for part in _of_files()):
                raise _other_files(rows, recipe) from None
            raise
        named = isinstance(like, FolderSource) and like.names is not None and outputs
        return like.model_copy(update={"path": alone.path, "split": None}) if like is not None and named else alone
    if alone is not None and recipe is not None and not outputs and isinstance(source, FolderSource):
        return alone
    # What a file with that ending holds was declared for the training rows.
    alike = like is not None and (type(source) is type(like) or Path(source.path).suffix == Path(like.path).suffix != "")
    if isinstance(rows, str) and like is not None and alike:
        options: dict[str, Any] = {
            name: getattr(source, name) for name in ("path", "split") if name in type(like).model_fields and hasattr(source, name)
        }
        return like.model_copy(update=options)
    return source


def read_rows(
    rows: Source | Table | str, recipe: Recipe | None = None, *, known: Collection[str] = (), outputs: bool = True
) -> Table:
    """Return the table of a path, a source or a table.

    Args:
        rows: What names the rows.
        recipe: The recipe of the model that reads them, as for :func:`source_for`.
        known: Columns of which a few may be there: a first line that names one is a header, however alike the others are.
        outputs: As for :func:`source_for`.

    Raises:
        RecipeError: No source recognises the path.
        DataError: The file cannot be read.
    """
    if isinstance(rows, Table):
        return rows
    source = source_for(rows, recipe, outputs=outputs)
    table = source.read()
    if getattr(source, "header", True) is None and any(note.what == "header" for note in table.notes):
        named = source.model_copy(update={"header": True}).read()
        return named if set(named.columns) & set(known) else table
    if recipe is not None and isinstance(source, FolderSource):
        able = _inputs_of(recipe, source.kind.column)
        if len(able) == 1 and able[0] not in table.columns:
            return table.with_frame(table.frame.rename({source.kind.column: able[0]}))
    return table


def _alone(path: str, recipe: Recipe | None) -> Source | None:
    """Return the source of nothing but files, if the path holds some and they are all that the model reads, if there is one."""
    for part in _of_files():
        if part.holds(path) and (recipe is None or len(recipe.inputs) == len(_inputs_of(recipe, part.kind.column)) == 1):
            return part(path=path, labelled=False)
    return None


def _of_files() -> list[type[FolderSource]]:
    return [part for part in Source.all().values() if issubclass(part, FolderSource)]


def _other_files(path: str, recipe: Recipe) -> RecipeError:
    """Return the error for files that are not all that a model reads."""
    names = ", ".join(recipe.inputs)
    wanted = next((part.kind.what for part in _of_files() if _inputs_of(recipe, part.kind.column) == list(recipe.inputs)), "")
    fix = f"give {wanted}" if wanted else f"give a table with the columns {names}; one may hold the paths of these files"
    return RecipeError("E104", "the files are not what the model reads", where=path, expected=wanted or names, fix=fix)


def _inputs_of(recipe: Recipe, dtype: str) -> list[str]:
    return [name for name, feature in recipe.inputs.items() if feature.dtype == dtype]


def open_predictor(bundle: Bundle, engine: Engine = "auto") -> Predictor:
    """Return the predictor of a bundle.

    Raises:
        BundleError: ``onnx`` was asked for and the bundle holds no graph (E305).
        MissingExtra: torch is needed and not installed (E601).
    """
    if engine == "onnx" or (engine == "auto" and bundle.has("model.onnx")):
        return Predictor(bundle)
    need("torch", extra="train")
    from deepwright.engine.torch_backend import TorchBackend

    return Predictor(bundle, TorchBackend.load(bundle))
