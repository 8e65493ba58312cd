"""Tagged texts, a token a line: CoNLL and CoNLL-U."""

from __future__ import annotations

import re
from pathlib import Path

import polars as pl
from pydantic import Field

from deepwright.errors import DataError, Problem
from deepwright.families import Source
from deepwright.files import find, holds, name_of, pick, read_bytes
from deepwright.frames import Note
from deepwright.table import Table
from deepwright.text import to_utf8

_SUFFIXES = (".conll", ".conllu", ".iob", ".iob2", ".bio")
_UNIVERSAL = ("id", "tokens", "lemma", "upos", "xpos", "feats", "head", "deprel", "deps", "misc")
_PART = re.compile(r"\d+[-.]\d+")
"""The ids of CoNLL-U of a word that stands for several tokens, and of a token that is not written."""


class Conll(Source):
    """Tagged texts, a token a line, its fields divided by tabs or blanks, and an empty line behind each text.

    Each field is a column of lists, one value a token: the first is ``tokens``, the last ``tags``, others ``field2`` and so on.
    CoNLL-U (``.conllu``) has its ten columns by their names, words that stand for several tokens left out. Lines that begin with
    ``-DOCSTART-`` are left out, and comments: lines that begin with ``#``, but for tokens that begin so, which have as many fields
    as other lines, and no blank behind the sign where blanks divide fields and a text begins.
    """

    encoding: str | None = None
    """The encoding; by default UTF-8, or what a byte-order mark says."""
    names: tuple[str, ...] | None = Field(None, min_length=1)
    """The columns' names, instead of those above."""
    prefix: str = ""
    """What every token begins with, to be removed, such as ``en:``."""

    @classmethod
    def recognises(cls, path: str) -> bool:
        """Return whether the path is named like tagged texts, or is a folder or an archive that holds some and no pictures."""
        return "://" not in path and holds(path, _SUFFIXES)

    def read(self) -> Table:
        """Read the file.

        Raises:
            DataError: It is missing or unreadable (E20x), holds no text (E206), or lines differ in their fields (E225, the first
                ten are listed).
        """
        path = pick(self.path, _SUFFIXES, "tagged texts")
        data, notes = to_utf8(read_bytes(path), self.encoding, kind="conll", where=path)
        universal = name_of(path).endswith(".conllu")
        texts, count, left_out = self._texts(data.decode(), path, universal)
        names = self.names or (_UNIVERSAL if universal else _names(count))
        if len(names) != count:
            got, expected = f"{len(names)} names", f"{count}, one a field"
            raise DataError("E210", "the names do not fit the fields", where=path, got=got, expected=expected)
        columns = {name: [[fields[index] for fields in text] for text in texts] for index, name in enumerate(names)}
        columns[names[1 if universal and self.names is None else 0]] = [
            [fields[1 if universal else 0].removeprefix(self.prefix) for fields in text] for text in texts
        ]
        frame = pl.DataFrame(columns, schema=dict.fromkeys(names, pl.List(pl.String)))
        if left_out:
            notes.append(Note("left_out_lines", f"{left_out:,} words that stand for several tokens are left out", left_out))
        return Table(frame, Path(path).name, tuple(notes), str(find(path)[0].parent))

    @staticmethod
    def _texts(content: str, path: str, universal: bool) -> tuple[list[list[list[str]]], int, int]:
        """Return the fields of each token of each text, how many fields there are, and how many lines were left out."""
        texts: list[list[list[str]]] = [[]]
        problems: list[Problem] = []
        lines = content.splitlines()
        # Of tokens alone one can tell how fields are divided, and how many there are: comments may hold tabs and blanks.
        usual = [line for line in lines if line.strip() and not line.startswith(("#", "-DOCSTART-"))]
        usual = usual or [line for line in lines if line.startswith("#") and line[1:2].strip()]
        separator = "\t" if universal or any("\t" in line for line in usual) else None
        count = len(_UNIVERSAL) if universal else len(usual[0].split(separator)) if usual else 0
        wrong = left_out = 0
        for number, line in enumerate(lines, 1):
            if not line.strip():
                texts.append([])
                continue
            fields = line.split(separator)
            if line.startswith("#") and (universal or len(fields) != count or not (separator or texts[-1] or line[1:2].strip())):
                continue  # a comment, and no token that begins so: those have their fields, and no blank behind the sign
            if fields[0] == "-DOCSTART-":
                continue
            if universal and _PART.fullmatch(fields[0]):
                left_out += 1
                continue
            if len(fields) != count or not fields[0]:
                wrong += 1
                if wrong <= 10:
                    expected = f"{count} fields, as before" if not universal else "the ten fields of CoNLL-U"
                    problems.append(
                        Problem(
                            "E225",
                            f"{len(fields)} fields" if fields[0] else "no token",
                            f"{path}: line {number}",
                            line[:60],
                            expected,
                        )
                    )
                continue
            texts[-1].append(fields)
        if problems:
            more = [Problem("E225", f"{wrong - 10:,} more lines like these", path)] if wrong > 10 else []
            raise DataError.of(problems + more)
        texts = [text for text in texts if text]
        if not texts:
            raise DataError("E206", "the file holds no text", where=path)
        if count == 1:
            raise DataError(
                "E225", "there is one field a line only", where=path, got=" ".join(texts[0][0]), expected="a token and its label"
            )
        return texts, count, left_out

    @classmethod
    def example(cls) -> Conll:
        """Return a source of a file that need not exist."""
        return cls(path="texts.conll")


def _names(count: int) -> tuple[str, ...]:
    return ("tokens", *(f"field{index}" for index in range(2, count)), "tags")
