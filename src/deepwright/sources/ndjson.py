"""JSON lines: one record a line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from deepwright.errors import DataError, Problem
from deepwright.families import Source
from deepwright.files import find, holds, pick, read_bytes
from deepwright.frames import RepeatedKeyError, of_records, unique_keys
from deepwright.table import Table
from deepwright.text import to_utf8

_SUFFIXES = (".jsonl", ".ndjson")


class Ndjson(Source):
    """JSON lines (NDJSON): one object a line; nested objects become columns ``outer.inner``."""

    encoding: str | None = None
    """The encoding; by default UTF-8, or what a byte-order mark says."""

    @classmethod
    def recognises(cls, path: str) -> bool:
        """Return whether the path is named like JSON lines, or is a folder or an archive that holds some and no pictures."""
        return "://" not in path and holds(path, _SUFFIXES)

    def read(self) -> Table:
        """Read the file.

        Raises:
            DataError: It is missing or unreadable (E20x), or lines are no objects (E212, the first ten are listed).
        """
        path = pick(self.path, _SUFFIXES, "JSON lines")
        data, notes = to_utf8(read_bytes(path), self.encoding, kind="ndjson", where=path)
        rows: list[dict[str, Any]] = []
        problems: list[Problem] = []
        for number, line in enumerate(data.split(b"\n"), 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line, object_pairs_hook=unique_keys)
            except (json.JSONDecodeError, RepeatedKeyError, RecursionError) as error:
                if isinstance(error, json.JSONDecodeError):
                    message = error.msg
                else:
                    message = f"the key {error} twice" if isinstance(error, RepeatedKeyError) else "nested without end"
                problems.append(
                    Problem("E212", f"not valid JSON: {message}", f"{path}: line {number}", line[:60].decode(errors="ignore"))
                )
                continue
            if isinstance(row, dict):
                rows.append(row)
            else:
                problems.append(
                    Problem(
                        "E212",
                        "the line is no object",
                        f"{path}: line {number}",
                        line[:60].decode(errors="ignore"),
                        "{column: value}",
                    )
                )
        if problems:
            more = [Problem("E212", f"{len(problems) - 10:,} more lines are no objects", path)] if len(problems) > 10 else []
            raise DataError.of(problems[:10] + more)
        if not rows:
            raise DataError("E206", "the file holds no rows", where=path)
        frame, more_notes = of_records(rows, path)
        return Table(frame, Path(path).name, (*notes, *more_notes), str(find(path)[0].parent))

    @classmethod
    def example(cls) -> Ndjson:
        """Return a source of a file that need not exist."""
        return cls(path="rows.jsonl")
