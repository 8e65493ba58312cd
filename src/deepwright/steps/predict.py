"""predict: rows in, predictions out (no torch unless asked for)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import polars as pl

from deepwright.bundle import Bundle
from deepwright.datapath import pictured
from deepwright.families import Source
from deepwright.opening import Engine, open_predictor, read_rows, source_for
from deepwright.progress import Listener, silent
from deepwright.table import Table, unused

FILE = "file"
"""The column that tells which file a row is, where every row is one."""


def file_names(bundle: Path, source: Source | Table | str) -> list[str]:
    """Return what files with the predictions of pictures shall be called, without a suffix: as the pictures are, else by the row.

    Args:
        bundle: The bundle's directory.
        source: What was predicted from.
    """
    recipe = Bundle.open(bundle).recipe
    given = source if isinstance(source, Table) else source_for(source, recipe, outputs=False)
    files: Sequence[str | None] | None = None if isinstance(given, Table) else given.files()
    if files is None:
        table = read_rows(given, recipe, outputs=False)
        column = next((table.frame[name] for name in pictured(recipe).values() if name in table.columns), None)
        files = [None] * len(table) if column is None or column.dtype != pl.String else column.to_list()
    numbers = [f"{row + 1:0{len(str(len(files)))}}" for row in range(len(files))]
    stems = [number if path is None else Path(path).stem for path, number in zip(files, numbers, strict=True)]
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
        One row for each row of the source: a column for each output, and ``OUTPUT:CLASS`` for each class's probability. Rows that
        are files, of a folder or an archive, have their paths in it in a column ``file`` before these (``file_`` beside an
        output of that name).

    Raises:
        BundleError: The bundle is damaged or holds no graph.
        DataError: The rows do not fit the model's inputs.
        UsageError: ``on`` is no Ray cluster (E701).
    """
    opened = Bundle.open(bundle)
    given = source if isinstance(source, Table) else source_for(source, opened.recipe, outputs=False)
    if on is not None:
        from deepwright.steps.places import Place
        from deepwright.steps.ray_predict import predict_on_ray

        frame = predict_on_ray(bundle, source, Place.parse(on, among=("ray",)), engine, listener)
    else:
        frame = open_predictor(opened, engine).predict(read_rows(given, opened.recipe, outputs=False), listener)
    files = None if isinstance(given, Table) else given.files()
    return frame if files is None else frame.insert_column(0, pl.Series(unused(FILE, frame.columns), files, dtype=pl.String))
