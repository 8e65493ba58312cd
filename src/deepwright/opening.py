"""Opening what a step works on: rows from whatever names them, and the predictor of a bundle (floor 5)."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal

from deepwright.bundle import Bundle
from deepwright.errors import need
from deepwright.families import Source
from deepwright.recipe import parse_part
from deepwright.runtime import Predictor
from deepwright.table import Table

Engine = Literal["auto", "onnx", "torch"]
"""What computes predictions: the exported graph, the network itself, or the graph if there is one."""


def read_rows(rows: Source | Table | str, like: Source | None = None, known: Collection[str] = ()) -> Table:
    """Return the table of a path, a source or a table.

    Args:
        rows: What names the rows.
        like: The source of the training rows: its options (header, names, separator, …) are taken for a path of the same type or
            ending.
        known: Columns of which a few may be there: a first line that names one is a header, however alike the others are.

    Raises:
        RecipeError: No source recognises the path.
        DataError: The file cannot be read.
    """
    if isinstance(rows, Table):
        return rows
    source = parse_part(Source, rows, where="data")
    # What a file with that ending holds was declared for the training rows.
    alike = like is not None and (type(source) is type(like) or Path(source.path).suffix == Path(like.path).suffix != "")
    if isinstance(rows, str) and like is not None and alike:
        options: dict[str, Any] = {
            name: getattr(source, name) for name in ("path", "split") if name in type(like).model_fields and hasattr(source, name)
        }
        source = like.model_copy(update=options)
    table = source.read()
    if getattr(source, "header", True) is None and any(note.what == "header" for note in table.notes):
        named = source.model_copy(update={"header": True}).read()
        return named if set(named.columns) & set(known) else table
    return table


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
