"""ARFF, the format of Weka and OpenML (Witten, Frank: Data Mining, 2005)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl

from deepwright.errors import DataError, Problem
from deepwright.families import Source
from deepwright.files import find, holds, pick, read_bytes
from deepwright.frames import check_names
from deepwright.table import Table
from deepwright.text import to_utf8

_SUFFIXES = (".arff",)
_WORD = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\""""
_ATTRIBUTE = re.compile(rf"@attribute\s+({_WORD}|[^\s{{]+)\s*(\{{.*\}}|\S.*)", re.IGNORECASE)
_FIELD = re.compile(rf"\s*(?:({_WORD})|((?!['\"])[^,\t]*?))\s*(,|\t|$)")
_NUMERIC = ("numeric", "real", "integer")


@dataclass(frozen=True)
class _Attribute:
    name: str
    kind: Literal["number", "text", "nominal"]
    values: frozenset[str] = frozenset()


class Arff(Source):
    """An ARFF file: numeric, nominal, string and date attributes; ``?`` is missing. Sparse and relational data are refused."""

    encoding: str | None = None
    """The encoding; by default UTF-8, or what a byte-order mark says."""

    @classmethod
    def recognises(cls, path: str) -> bool:
        """Return whether the path is named like ARFF, or is a folder or an archive that holds some and no pictures."""
        return "://" not in path and holds(path, _SUFFIXES)

    def read(self) -> Table:
        """Read the file: numbers as Float64, all else as String.

        Raises:
            DataError: It is missing or unreadable (E20x), holds no rows (E206), or lines are malformed, hold undeclared nominal
                values or use a form that is not read (E213; the first ten are listed).
        """
        path = pick(self.path, _SUFFIXES, "ARFF")
        data, notes = to_utf8(read_bytes(path), self.encoding, kind="arff", where=path)
        lines = data.decode().split("\n")
        attributes, body = _header(lines, path)
        check_names([attribute.name for attribute in attributes], where=path, fix="rename the attributes")
        rows, problems = _rows(lines, body, attributes, path)
        columns = []
        for i, attribute in enumerate(attributes):
            column = pl.Series(attribute.name, [cells[i] for _, cells in rows], dtype=pl.String)
            columns.append(column)
            if attribute.kind == "number":
                columns[-1] = column.cast(pl.Float64, strict=False)
                bad = (columns[-1].is_null() & column.is_not_null()).arg_true().to_list()
            elif attribute.kind == "nominal":
                bad = (~column.is_in(list(attribute.values)) & column.is_not_null()).arg_true().to_list()
            else:
                bad = []
            expected = "a number" if attribute.kind == "number" else "one of " + ", ".join(sorted(attribute.values)[:10])
            problems += [
                Problem("E213", f"a wrong value of {attribute.name}", f"{path}: line {rows[row][0]}", repr(column[row]), expected)
                for row in bad
            ]
        if problems:
            more = [Problem("E213", f"{len(problems) - 10:,} more lines are malformed", path)] if len(problems) > 10 else []
            raise DataError.of(problems[:10] + more)
        if not rows:
            raise DataError("E206", "the file holds no rows", where=path)
        return Table(pl.DataFrame(columns), Path(path).name, tuple(notes), str(find(path)[0].parent))

    @classmethod
    def example(cls) -> Arff:
        """Return a source of a file that need not exist."""
        return cls(path="rows.arff")


def _header(lines: list[str], path: str) -> tuple[list[_Attribute], int]:
    """Return the attributes and the number of the line (from 0) after ``@data``."""
    attributes: list[_Attribute] = []
    for number, line in enumerate(lines):
        text = line.strip()
        word = text.partition(" ")[0].partition("\t")[0].lower()
        if word == "@data":
            if not attributes:
                break
            return attributes, number + 1
        if word == "@attribute":
            match = _ATTRIBUTE.fullmatch(text)
            declared = match and _attribute(_unquoted(match[1]), match[2].strip())
            if not declared:
                raise DataError(
                    "E213",
                    "an attribute that is not read",
                    where=f"{path}: line {number + 1}",
                    got=text[:80],
                    expected="@attribute NAME numeric | string | date | {value, …}",
                )
            attributes.append(declared)
        elif text and word != "@relation" and not text.startswith("%"):
            raise DataError("E213", "not a line of an ARFF header", where=f"{path}: line {number + 1}", got=text[:80])
    raise DataError("E213", "no @attribute or no @data line", where=path, fix="check that the file is ARFF and complete")


def _attribute(name: str, kind: str) -> _Attribute | None:
    if kind.startswith("{"):
        cells = _cells(kind[1:-1]) if kind.endswith("}") else None
        return None if cells is None else _Attribute(name, "nominal", frozenset(cell for cell in cells if cell is not None) | {"?"})
    word = kind.split()[0].lower()
    if word in _NUMERIC:
        return _Attribute(name, "number")
    return _Attribute(name, "text") if word in ("string", "date") else None


def _rows(
    lines: list[str], body: int, attributes: list[_Attribute], path: str
) -> tuple[list[tuple[int, list[str | None]]], list[Problem]]:
    """Return the line number and the cells of each row, and the lines that are malformed."""
    rows: list[tuple[int, list[str | None]]] = []
    problems: list[Problem] = []
    for number, line in enumerate(lines[body:], body + 1):
        text = line.strip()
        if not text or text.startswith("%"):
            continue
        place = f"{path}: line {number}"
        if text.startswith("{"):
            raise DataError(
                "E213", "sparse ARFF is not read", where=place, got=text[:60], fix="write it dense: Weka's SparseToNonSparse"
            )
        cells = _cells(text)
        if cells is None:
            problems.append(Problem("E213", "a quote is not closed", place, text[:60]))
        elif len(cells) != len(attributes):
            problems.append(Problem("E213", f"{len(cells)} values for {len(attributes)} attributes", place, text[:60]))
        else:
            rows.append((number, cells))
    return rows, problems


def _cells(text: str) -> list[str | None] | None:
    """Split a line at its commas; an unquoted ``?`` is None; None for the whole if a quote is not closed."""
    if "'" not in text and '"' not in text:
        return [None if (cell := part.strip()) == "?" else cell for part in re.split(r"[,\t]", text)]
    cells: list[str | None] = []
    at = 0
    while True:
        match = _FIELD.match(text, at)
        if match is None:
            return None
        cells.append(_unquoted(match[1]) if match[1] is not None else None if match[2] == "?" else match[2])
        at = match.end()
        if not match[3]:
            return cells


def _unquoted(word: str) -> str:
    return re.sub(r"\\(.)", r"\1", word[1:-1]) if word[:1] in ("'", '"') and word[-1:] == word[:1] else word
