"""Rows that stay on disk and are read a few columns at a time (floor 2)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from deepwright.errors import DataError
from deepwright.frames import Note
from deepwright.machine import available_memory
from deepwright.table import Table

SAMPLE = 100_000
"""Rows that types are inferred from, in runs spread evenly over all rows; of fewer rows, all."""
RUNS = 20
"""How many runs of neighbouring rows a sample is made of."""
SHARE = 0.25
"""A table is streamed if it would fill more than this share of the available memory; preparing it takes about three times that."""

_READ = 1 << 22


@dataclass(frozen=True)
class Scan:
    """Parquet files with the same columns, one below the other.

    Args:
        paths: The files, in order.
        name: What messages call the rows.
        schema: The columns and their types.
        rows: The number of rows.
        notes: What finding the files did or assumed.
        base: The folder that relative paths in the columns start from.
    """

    paths: tuple[Path, ...]
    name: str
    schema: dict[str, pl.DataType]
    rows: int
    notes: tuple[Note, ...] = ()
    base: str = ""

    @classmethod
    def of(cls, paths: tuple[Path, ...], name: str, notes: tuple[Note, ...] = (), base: str = "") -> Scan:
        """Look at the files' schemas and lengths.

        Raises:
            DataError: A file is no Parquet, or has other columns than the first (E217).
        """
        schema: dict[str, pl.DataType] = {}
        for path in paths:
            try:
                found = dict(pl.read_parquet_schema(path))
            except (pl.exceptions.PolarsError, OSError) as error:
                raise _unreadable(str(path), error) from None
            schema = schema or found
            if found != schema:
                different = [f"{k}: {v}" for k, v in found.items() if schema.get(k) != v]
                lacking = [f"no {k}" for k in schema if k not in found]
                got = ", ".join(different + lacking) or "another order"
                raise DataError("E217", f"other columns than {paths[0].name}", where=str(path), got=got)
        made = cls(paths, name, schema, 0, notes, base)
        return replace(made, rows=int(made._collect(made._lazy().select(pl.len())).item()))

    @property
    def columns(self) -> list[str]:
        """The column names, in order."""
        return list(self.schema)

    def __len__(self) -> int:
        return self.rows

    def read(self, names: list[str]) -> Table:
        """Return whole columns; the others are not touched."""
        return self._table(self._collect(self._lazy().select(names)))

    def sample(self) -> Table:
        """Return about :data:`SAMPLE` rows of all columns, in runs spread evenly over the rows; of fewer rows, all."""
        if self.rows <= SAMPLE:
            return self._table(self._collect(self._lazy()))
        run = SAMPLE // RUNS
        starts = [round(i * (self.rows - run) / (RUNS - 1)) for i in range(RUNS)]
        return self._table(pl.concat([self._collect(self._lazy().slice(start, run)) for start in starts]))

    def fingerprint(self) -> str:
        """Return the SHA-256 (hex) of the files' bytes in their order; their names do not count."""
        digest = hashlib.sha256()
        for path in self.paths:
            digest.update(path.stat().st_size.to_bytes(8, "little"))
            with path.open("rb") as file:
                while block := file.read(_READ):
                    digest.update(block)
        return digest.hexdigest()

    def large(self) -> bool:
        """Return whether the whole table would fill more than :data:`SHARE` of the available memory."""
        run = min(self.rows, 1000)
        some = [self._lazy().slice(start, run) for start in (0, (self.rows - run) // 2, self.rows - run)]
        size = sum(self._collect(part).estimated_size() for part in some) / (3 * run)
        return size * self.rows > SHARE * available_memory()

    def _lazy(self) -> pl.LazyFrame:
        return pl.scan_parquet(list(self.paths), glob=False)

    def _collect(self, lazy: pl.LazyFrame) -> pl.DataFrame:
        try:
            return lazy.collect()
        except (pl.exceptions.PolarsError, OSError) as error:
            raise _unreadable(self.name, error) from None

    def _table(self, frame: pl.DataFrame) -> Table:
        texts = [name for name, dtype in frame.schema.items() if isinstance(dtype, pl.Categorical | pl.Enum)]
        return Table(frame.with_columns(pl.col(texts).cast(pl.String)), self.name, self.notes, self.base)


def _unreadable(where: str, error: Exception) -> DataError:
    got = (str(error).splitlines() or [type(error).__name__])[0]
    return DataError("E217", "not a readable Parquet file", where=where, got=got, fix="write the file again")
