"""Databases: SQLite files, and any other through SQLAlchemy."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

from pydantic import model_validator

from deepwright.errors import DataError, nearest, need
from deepwright.families import Source
from deepwright.files import find, listed, source_line
from deepwright.frames import of_columns
from deepwright.table import Table

_SUFFIXES = (".db", ".sqlite", ".sqlite3")


class Sql(Source):
    """A table or a query of a database: an SQLite file, opened for reading only, or a URL that SQLAlchemy knows (extra ``sql``)."""

    table: str | None = None
    """The table or view to read; not needed if the database holds one only."""
    query: str | None = None
    """A SELECT statement, instead of a table."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        if self.table is not None and self.query is not None:
            raise ValueError("table and query are both given; keep one of them")
        return self

    @classmethod
    def recognises(cls, path: str) -> bool:
        """Return whether the path is named like an SQLite file, or is the URL of a database."""
        return ("://" in path and not path.startswith(("http://", "https://", "file://"))) or path.lower().endswith(_SUFFIXES)

    def read(self) -> Table:
        """Read the rows.

        Raises:
            DataError: The file is missing (E200), the database cannot be opened, the query fails, or the table is not named (E219);
                or there are no rows (E206).
            MissingExtra: SQLAlchemy is not installed, and the database is not SQLite.
        """
        where = _without_password(self.path)
        local = self.path.removeprefix("sqlite:///") if self.path.startswith("sqlite:///") else self.path
        names, rows = self._sqlite(local) if "://" not in local else self._sqlalchemy(where)
        if not rows:
            raise DataError("E206", "the query returns no rows", where=where)
        frame, notes = of_columns({name: [row[i] for row in rows] for i, name in enumerate(names)}, where)
        return Table(frame, self.table or Path(where).name, tuple(notes))

    def _sqlite(self, path: str) -> tuple[list[str], Sequence[Sequence[Any]]]:
        place, _ = find(path)
        try:
            with sqlite3.connect(f"{place.resolve().as_uri()}?mode=ro", uri=True) as base:
                known = [
                    row[0] for row in base.execute("SELECT name FROM sqlite_master WHERE type IN ('table', 'view') ORDER BY name")
                ]
                cursor = base.execute(self.query or f"SELECT * FROM {_quoted(self._table(known))}")  # noqa: S608  a known table
                rows = cursor.fetchall()
            names = _names([column[0] for column in cursor.description or ()], path)
            base.close()
        except sqlite3.Error as error:
            raise DataError(
                "E219", "the database cannot be read", where=path, got=error, fix="check the file and the query"
            ) from None
        return names, rows

    def _sqlalchemy(self, where: str) -> tuple[list[str], Sequence[Sequence[Any]]]:
        alchemy = need("sqlalchemy", extra="sql")
        try:
            engine = alchemy.create_engine(self.path)
            with engine.connect() as link:
                if self.query is not None:
                    statement = alchemy.text(self.query)
                else:
                    look = alchemy.inspect(link)
                    name = self._table(sorted([*look.get_table_names(), *look.get_view_names()]))
                    statement = alchemy.select(alchemy.Table(name, alchemy.MetaData(), autoload_with=link))
                result = link.execute(statement)
                return _names(list(result.keys()), where), [tuple(row) for row in result]
        except alchemy.exc.SQLAlchemyError as error:
            got = str(error).splitlines()[0].replace(self.path, where)
            raise DataError(
                "E219", "the database cannot be read", where=where, got=got, fix="check the URL and the query"
            ) from None
        except ModuleNotFoundError as error:
            raise DataError(
                "E219", "the driver of the database is not installed", where=where, got=error, fix=f"pip install {error.name}"
            ) from None

    def _table(self, known: list[str]) -> str:
        """Return the table to read: the named one, or the only one."""
        if self.table in known:
            return str(self.table)
        if self.table is None and len(known) == 1:
            return known[0]
        message = "the table to read is not named" if self.table is None else f"no table {self.table!r}{nearest(self.table, known)}"
        raise DataError(
            "E219",
            message,
            where=_without_password(self.path),
            expected=listed(known),
            fix=source_line("sql", _without_password(self.path), table=known[0]) if known else "",
        )

    @classmethod
    def example(cls) -> Sql:
        """Return a source of a file that need not exist."""
        return cls(path="rows.db", table="rows")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _names(names: list[str], where: str) -> list[str]:
    if len(set(names)) < len(names) or not names:
        raise DataError(
            "E210", "the query gives two columns one name", where=where, got=", ".join(names), fix="SELECT … AS another_name"
        )
    return names


def _without_password(url: str) -> str:
    """Return the URL with its password left out, for messages."""
    password = urlsplit(url).password if "://" in url else None
    return url.replace(f":{password}@", ":…@") if password else url
