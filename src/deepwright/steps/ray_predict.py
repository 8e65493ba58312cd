"""Predict many rows on a Ray cluster: blocks of rows go to actors that each hold the predictor (Ray Data)."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import polars as pl

from deepwright.bundle import Bundle
from deepwright.errors import DeepwrightError
from deepwright.families import Source
from deepwright.opening import Engine, open_predictor, read_rows
from deepwright.progress import Event, Listener
from deepwright.runtime import BLOCK
from deepwright.steps.places import Place
from deepwright.steps.ray_train import cluster
from deepwright.steps.worker import error_of
from deepwright.table import Table


class Block:
    """Predicts blocks of rows; opened once in each actor.

    Args:
        bundle: The bundle's directory.
        engine: What computes.
    """

    def __init__(self, bundle: str, engine: Engine) -> None:
        self.predictor = open_predictor(Bundle.open(bundle), engine)

    def __call__(self, rows: Any) -> Any:
        """Map an Arrow table of rows to one of predictions."""
        frame = pl.from_arrow(rows)
        assert isinstance(frame, pl.DataFrame)  # noqa: S101  for the type checker: of a table
        try:
            return _arrow(self.predictor.predict(Table(frame, "rows")))
        except DeepwrightError as error:
            # As rows, because Ray would wrap an exception in its own.
            return _arrow(pl.DataFrame({"error": [type(error).__name__], "problems": [error.as_json()]}))


def predict_on_ray(bundle: Path, source: Source | Table | str, place: Place, engine: Engine, listener: Listener) -> pl.DataFrame:
    """Predict every row of a source, in its order; the arguments are those of :func:`deepwright.steps.predict.predict`.

    The workers read a Parquet path themselves, block by block; rows of any other kind are read here and dealt out.
    """
    opened = Bundle.open(bundle)
    with cluster(place) as ray:
        context = ray.data.DataContext.get_current()
        context.execution_options.preserve_order = True
        context.enable_progress_bars = False
        if isinstance(source, str) and source.endswith(".parquet"):
            rows = ray.data.read_parquet(str(Path(source).absolute()))
        else:
            frame = read_rows(source, opened.recipe, outputs=False).frame
            rows = ray.data.from_arrow([_arrow(part) for part in frame.iter_slices(BLOCK)])
        cores = int(ray.cluster_resources().get("CPU", 1))
        # At least one core is left to what reads the blocks: without one, all would wait for ever.
        workers = min(place.workers or cores // 2, cores - 1) or 1
        mapped = rows.map_batches(
            Block,
            fn_constructor_args=(str(bundle.absolute()), engine),
            batch_size=BLOCK,
            batch_format="pyarrow",
            compute=ray.data.ActorPoolStrategy(size=workers),
        )
        # Ray Data sets its log up when a data set is made.
        for handler in logging.getLogger("ray.data").handlers:
            handler.setLevel(logging.ERROR)
        return _collected(mapped, listener)


def _collected(mapped: Any, listener: Listener) -> pl.DataFrame:
    parts: list[pl.DataFrame] = []
    done = 0
    for block in mapped.iter_batches(batch_size=None, batch_format="pyarrow"):
        part = pl.from_arrow(block)
        assert isinstance(part, pl.DataFrame)  # noqa: S101  for the type checker: of a table
        if "problems" in part.columns:
            raise error_of(part["problems"][0].to_list(), part["error"][0])
        parts.append(part)
        done += part.height
        listener(Event("predict", f"{done:,} rows"))
    return pl.concat(parts)


def _arrow(frame: pl.DataFrame) -> Any:
    return frame.to_arrow(compat_level=pl.CompatLevel.oldest())
