"""embed: rows in, the vectors that the network makes of them out (no torch)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from deepwright.bundle import Bundle
from deepwright.errors import DataError, UsageError
from deepwright.families import Source
from deepwright.opening import read_rows
from deepwright.parts import Spec
from deepwright.progress import Event, Listener, silent
from deepwright.retrieval import Measure, Vectors, nearest_rows, recall_of
from deepwright.runtime import Predictor
from deepwright.table import Table

Rows = Source | Table | str
Places = NDArray[np.int64]

VECTOR = "vector"
"""The column that holds the vectors."""


class PairedReport(Spec):
    """How well rows find their partners."""

    rows: int
    """The rows that looked for theirs."""
    index: int
    """The rows that they looked among."""
    metrics: dict[str, float]
    """``mrr``, the mean of 1 / the place of the partner, 0 where it is not among the first K; and ``recall_at_1``, 5 and 10."""


def embed(bundle: Path, source: Rows, *, of: str | None = None, listener: Listener = silent) -> pl.DataFrame:
    """Return the vector of every row of a source, in its order.

    Args:
        bundle: The bundle's directory.
        source: A path, a source part or a table; columns of other inputs may be missing.
        of: The input whose vector is wanted, ``tabular`` for columns without an encoder of their own; by default the first of two
            inputs that are compared, else the vector of all inputs together.
        listener: Hears of notes and progress.

    Returns:
        The rows as they are, and their vectors (D) in the column ``vector``.

    Raises:
        BundleError: The bundle is damaged or holds no graph.
        DataError: The rows do not fit the model's inputs.
        UsageError: The network has no such vector (E706).
    """
    predictor, table = _opened(bundle, source)
    return _beside(table, predictor.embed(table, of, listener))


def neighbours(
    bundle: Path,
    source: Rows,
    index: Rows,
    *,
    top: int = 10,
    of: str | None = None,
    index_of: str | None = None,
    measure: Measure = "cosine",
    listener: Listener = silent,
) -> pl.DataFrame:
    """Return the rows of ``index`` that are most like each row of a source, compared with all of them.

    Args:
        bundle: The bundle's directory.
        source: The rows that look, or what :func:`embed` returned for them.
        index: The rows that are looked among, or what :func:`embed` returned for them.
        top: The most rows for each.
        of: The input that the source's rows are; see :func:`embed`.
        index_of: The input that the index's rows are; by default the other one of two that are compared, if the index has its
            column, else that of the source.
        measure: ``cosine`` or ``dot``.
        listener: Hears of notes and progress.

    Returns:
        For each row of the source, up to ``top`` rows: ``row`` (from 1), ``rank``, ``neighbour`` (the row of the index, from 1),
        ``score``, and the columns of the index.

    Raises:
        BundleError: The bundle is damaged or holds no graph.
        DataError: The rows do not fit the model's inputs, or vectors are of another width (E286).
        UsageError: ``top`` is no positive number (E701), or the network has no such vector (E706).
    """
    rows, scores, offered = _found(bundle, source, index, top, of, index_of, measure, listener)[:3]
    places = rows.reshape(-1)
    taken = ("row", "rank", "neighbour", "score")
    beside = offered.frame.drop(VECTOR, strict=False)[places]
    return pl.DataFrame(
        {
            "row": np.repeat(np.arange(1, len(rows) + 1), rows.shape[1]),
            "rank": np.tile(np.arange(1, rows.shape[1] + 1), len(rows)),
            "neighbour": places + 1,
            "score": scores.reshape(-1),
        }
    ).hstack(beside.rename({name: f"index.{name}" for name in beside.columns if name in taken}))


def evaluate_pairs(
    bundle: Path,
    source: Rows,
    index: Rows,
    *,
    top: int = 10,
    of: str | None = None,
    index_of: str | None = None,
    measure: Measure = "cosine",
    listener: Listener = silent,
) -> PairedReport:
    """Measure how well each row of a source finds the row of ``index`` in the same place, or one with the same vector.

    Arguments are those of :func:`neighbours`.

    Raises:
        DataError: As there, or there are not as many rows in both (E286).
    """
    rows, _, offered, asked, vectors = _found(bundle, source, index, top, of, index_of, measure, listener)
    if len(rows) != len(offered):
        raise _misfit("rows and index are paired, and are not as many", asked, offered, f"{len(rows):,}", f"{len(offered):,}")
    same = np.unique(vectors, axis=0, return_inverse=True)[1].reshape(-1)  # which of equal rows is found is the same
    return PairedReport(rows=len(rows), index=len(offered), metrics=recall_of(same[rows], same))


def _found(
    bundle: Path,
    source: Rows,
    index: Rows,
    top: int,
    of: str | None,
    index_of: str | None,
    measure: Measure,
    listener: Listener,
) -> tuple[Places, Vectors, Table, Table, Vectors]:
    """Return the rows found, their scores, the index, the source, and the vectors of the index."""
    if top < 1:
        raise UsageError("E701", "no neighbours are asked for", where="top", got=top, expected="a positive number", fix="-k 10")
    predictor, asked = _opened(bundle, source)
    offered = _read(predictor, index)
    compared = predictor.compared()
    own = of or (compared[0] if compared else None)
    if index_of is None and len(compared) == 2 and own in compared:
        other = compared[1 - compared.index(own)]
        index_of = own if own in offered.columns and other not in offered.columns else other
    queries = _vectors(predictor, asked, own, listener)
    vectors = _vectors(predictor, offered, index_of or own, listener)
    if queries.shape[1] != vectors.shape[1] and len(queries) and len(vectors):
        raise _misfit("vectors are of another width", asked, offered, str(queries.shape[1]), str(vectors.shape[1]))
    rows, scores = nearest_rows(queries, vectors, top, measure) if len(queries) and len(vectors) else _nothing(len(queries))
    listener(Event("neighbours", f"{len(queries):,} rows compared with {len(vectors):,}", 1.0))
    return rows, scores, offered, asked, vectors


def _nothing(count: int) -> tuple[Places, Vectors]:
    return np.zeros((count, 0), np.int64), np.zeros((count, 0), np.float32)


def _misfit(what: str, asked: Table, offered: Table, one: str, other: str) -> DataError:
    return DataError("E286", what, where=f"{asked.name}, {offered.name}", got=f"{one} and {other}", expected="the same in both")


def _opened(bundle: Path, source: Rows) -> tuple[Predictor, Table]:
    predictor = Predictor(Bundle.open(bundle))
    return predictor, _read(predictor, source)


def _read(predictor: Predictor, rows: Rows) -> Table:
    recipe = predictor.bundle.recipe
    known = (*recipe.inputs, VECTOR)
    try:
        return read_rows(rows, recipe, known=known)
    except DataError as error:
        # A folder need not tell the classes of its files, but where it does they stay beside the vectors.
        if any(problem.code != "E216" for problem in error.problems):
            raise
        return read_rows(rows, recipe, known=known, outputs=False)


def _beside(table: Table, vectors: Vectors) -> pl.DataFrame:
    """Return the rows with their vectors; what held vectors before is replaced."""
    column = pl.Series(VECTOR, vectors, dtype=pl.Array(pl.Float32, vectors.shape[1]))
    return table.frame.drop(VECTOR, strict=False).with_columns(column)


def _vectors(predictor: Predictor, table: Table, of: str | None, listener: Listener) -> Vectors:
    """Return the vectors that a table holds already, or those of its rows."""
    held = table.frame[VECTOR] if VECTOR in table.columns and VECTOR not in predictor.bundle.recipe.inputs else None
    if held is None or not isinstance(held.dtype, pl.Array | pl.List):
        return predictor.embed(table, of, listener)
    lists = held.cast(pl.List(pl.Float32))
    widths = lists.list.len().unique().to_list()
    flat = lists.explode()
    if len(widths) != 1 or widths[0] is None or flat.null_count() or not flat.is_finite().all():
        raise DataError(
            "E286",
            "the vectors are not all of one width, or hold values that are missing or not finite",
            where=f"{table.name}: column {VECTOR}",
            got="widths " + ", ".join(map(str, widths[:10])),
            expected="what `deepwright embed` wrote",
        )
    return flat.to_numpy().reshape(len(table), -1)
