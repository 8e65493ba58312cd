"""predict: rows in, predictions out (no torch unless asked for)."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from deepwright.bundle import Bundle
from deepwright.datapath import pictured
from deepwright.families import Source
from deepwright.opening import Engine, open_predictor, read_rows
from deepwright.progress import Listener, silent
from deepwright.table import Table


def file_names(bundle: Path, source: Source | Table | str) -> list[str]:
    """Return what files with the predictions of pictures shall be called, without a suffix: as the pictures are, else by the row.

    Args:
        bundle: The bundle's directory.
        source: What was predicted from.
    """
    recipe = Bundle.open(bundle).recipe
    table = read_rows(source, recipe.data.source)
    numbers = [f"{row + 1:0{len(str(len(table)))}}" for row in range(len(table))]
    column = next((table.frame[name] for name in pictured(recipe).values() if name in table.columns), None)
    if column is None or column.dtype != pl.String:
        return numbers
    stems = [number if path is None else Path(path).stem for path, number in zip(column, numbers, strict=True)]
    return stems if len(set(stems)) == len(stems) else numbers


def predict(
    bundle: Path, source: Source | Table | str, *, engine: Engine = "auto", on: str | None = None, listener: Listener = silent
) -> pl.DataFrame:
    """Predict every row of a source, in its order.

    Args:
        bundle: The bundle's directory.
        source: A path, a source part or a table.
        engine: ``onnx`` runs the exported graph; ``torch`` the network itself; ``auto`` the graph if there is one.
        on: A Ray cluster that predicts: ``ray``, ``ray:N`` or ``ray://HOST:PORT/N``, with N actors; by default this process does.
        listener: Hears of notes and progress.

    Returns:
        One row for each row of the source: a column for each output, and ``OUTPUT:CLASS`` for each class's probability.

    Raises:
        BundleError: The bundle is damaged or holds no graph.
        DataError: The rows do not fit the model's inputs.
        UsageError: ``on`` is no Ray cluster (E701).
    """
    if on is not None:
        from deepwright.steps.places import Place
        from deepwright.steps.ray_predict import predict_on_ray

        return predict_on_ray(bundle, source, Place.parse(on, among=("ray",)), engine, listener)
    opened = Bundle.open(bundle)
    return open_predictor(opened, engine).predict(read_rows(source, opened.recipe.data.source), listener)
