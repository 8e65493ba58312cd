"""Opening what a step works on: rows from whatever names them, and the predictor of a bundle (floor 5)."""

from __future__ import annotations

from typing import Literal

from deepwright.bundle import Bundle
from deepwright.errors import need
from deepwright.families import Source
from deepwright.recipe import parse_part
from deepwright.runtime import Predictor
from deepwright.table import Table

Engine = Literal["auto", "onnx", "torch"]
"""What computes predictions: the exported graph, the network itself, or the graph if there is one."""


def read_rows(rows: Source | Table | str) -> Table:
    """Return the table of a path, a source or a table.

    Raises:
        RecipeError: No source recognises the path.
        DataError: The file cannot be read.
    """
    return rows if isinstance(rows, Table) else parse_part(Source, rows, where="data").read()


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
