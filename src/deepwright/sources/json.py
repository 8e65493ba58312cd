"""JSON: an array of records, or columns."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from deepwright.answers import is_squad
from deepwright.errors import DataError
from deepwright.families import Source
from deepwright.files import find, holds, pick, read_bytes
from deepwright.frames import RepeatedKeyError, of_columns, of_records, unique_keys
from deepwright.table import Table
from deepwright.text import to_utf8

_SUFFIXES = (".json",)


class Json(Source):
    """A JSON file: ``[{column: value}, …]``, the same under a key such as ``data``, ``{column: [values]}``, or what pandas writes.

    Nested objects become columns ``outer.inner``, lists of plain values stay lists (tags); a key that a record lacks is missing.
    """

    encoding: str | None = None
    """The encoding; by default UTF-8, or what a byte-order mark says."""

    @classmethod
    def recognises(cls, path: str) -> bool:
        """Return whether the path is named like JSON, or is a folder or an archive that holds some and no pictures.

        Questions about passages, as SQuAD writes them, are for the source of these.
        """
        return "://" not in path and holds(path, _SUFFIXES) and not is_squad(path)

    def read(self) -> Table:
        """Read the file.

        Raises:
            DataError: It is missing, unreadable (E20x), malformed or of another form (E212), or nested too deep (E224).
        """
        path = pick(self.path, _SUFFIXES, "JSON")
        data, notes = to_utf8(read_bytes(path), self.encoding, kind="json", where=path)
        try:
            value = json.loads(data, object_pairs_hook=unique_keys)
        except json.JSONDecodeError as error:
            raise DataError(
                "E212",
                f"not valid JSON: {error.msg}",
                where=f"{path}: line {error.lineno}, column {error.colno}",
                got=data.decode()[max(0, error.pos - 20) : error.pos + 20],
                fix="if every line is a record of its own, name the type: "
                + f"data: {{source: {{type: ndjson, path: {self.path}}}}}"
                if error.msg == "Extra data"
                else "mend the file there",
            ) from None
        except (RepeatedKeyError, RecursionError) as error:
            got = f"the key {error} twice in one object" if isinstance(error, RepeatedKeyError) else "values nested without end"
            raise DataError("E212", "ambiguous JSON", where=path, got=got) from None
        rows = _rows(value)
        if rows is None:
            raise DataError(
                "E212",
                "neither records nor columns",
                where=path,
                got=f"at the top {_shape(value)}",
                expected="[{column: value}, …], {data: [records]} or {column: [values]}",
            )
        if not rows:
            raise DataError("E206", "the file holds no rows", where=path)
        frame, more = of_records(rows, path) if isinstance(rows, list) else of_columns(rows, path)
        return Table(frame, Path(path).name, (*notes, *more), str(find(path)[0].parent))

    @classmethod
    def example(cls) -> Json:
        """Return a source of a file that need not exist."""
        return cls(path="rows.json")


def _rows(value: Any) -> list[Any] | Mapping[str, Any] | None:
    """Return the records or the columns of any of the usual forms, or None."""
    if isinstance(value, list):
        return value if all(isinstance(row, dict) for row in value) else None
    if not isinstance(value, dict) or not value:
        return None
    if isinstance(value.get("columns"), list) and isinstance(value.get("data"), list):  # pandas orient="split"
        names = value["columns"]
        if all(isinstance(row, list) and len(row) == len(names) for row in value["data"]):
            return {str(name): [row[i] for row in value["data"]] for i, name in enumerate(names)}
    lists = {key: entry for key, entry in value.items() if isinstance(entry, list)}
    tables = [entry for entry in lists.values() if entry and all(isinstance(row, dict) for row in entry)]
    if len(tables) == 1:
        return tables[0]
    if len(lists) == len(value):
        return lists
    entries = list(value.values())
    if all(isinstance(entry, dict) and entry.keys() == entries[0].keys() for entry in entries) and entries[0]:
        return {key: list(entry.values()) for key, entry in value.items()}  # pandas orient="columns", rows by their index
    return None


def _shape(value: Any) -> str:
    if isinstance(value, dict):
        return f"an object with the keys {', '.join(map(str, list(value)[:8]))}"
    return f"a list of {type(value[0]).__name__}" if isinstance(value, list) and value else f"a {type(value).__name__}"
