"""Questions about passages, as SQuAD writes them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl

from deepwright.answers import is_squad
from deepwright.errors import DataError, Problem
from deepwright.families import Source
from deepwright.files import find, pick, read_bytes
from deepwright.frames import Note
from deepwright.spans import ANSWERS
from deepwright.table import Table
from deepwright.text import to_utf8

_EXPECTED = '{"data": [{"paragraphs": [{"context": …, "qas": [{"question": …, "answers": [{"text": …, "answer_start": …}]}]}]}]}'
_COLUMNS: dict[str, pl.DataType | type[pl.DataType]] = {
    "title": pl.String,
    "id": pl.String,
    "question": pl.String,
    "passage": pl.String,
    "answer": ANSWERS,
}


class Squad(Source):
    """Questions about passages in the JSON of SQuAD (arXiv 1606.05250): ``title``, ``id``, ``question``, ``passage``, ``answer``.

    A passage comes with each of its questions. Answers are lists, any of which will do; those of questions without one are missing.
    """

    encoding: str | None = None
    """The encoding; by default UTF-8, or what a byte-order mark says."""

    @classmethod
    def recognises(cls, path: str) -> bool:
        """Return whether the path is a JSON file that begins as SQuAD does, or a folder or an archive that holds one."""
        return is_squad(path)

    def read(self) -> Table:
        """Read the file.

        Raises:
            DataError: It is missing, unreadable (E20x), or not of that form (E212, the first ten places are listed).
        """
        path = pick(self.path, (".json",), "JSON")
        data, notes = to_utf8(read_bytes(path), self.encoding, kind="json", where=path)
        try:
            value = json.loads(data)
        except (json.JSONDecodeError, RecursionError) as error:
            raise DataError("E212", f"not valid JSON: {error}", where=path) from None
        rows, problems = _rows(value, path)
        if problems:
            raise DataError.of(problems[:10])
        if not rows:
            raise DataError("E206", "the file holds no question", where=path)
        frame = pl.DataFrame(rows, schema=_COLUMNS, orient="row")
        without = frame["answer"].null_count()
        if without:
            notes.append(Note("unanswered", f"{without:,} questions without an answer", without, "answer"))
        return Table(frame, Path(path).name, tuple(notes), str(find(path)[0].parent))

    @classmethod
    def example(cls) -> Squad:
        """Return a source of a file that need not exist."""
        return cls(path="questions.json")


def _rows(value: Any, path: str) -> tuple[list[tuple[Any, ...]], list[Problem]]:
    """Return a row a question, and what is malformed."""
    rows: list[tuple[Any, ...]] = []
    problems: list[Problem] = []

    def listed(holder: Any, key: str, where: str) -> list[Any]:
        found = holder.get(key) if isinstance(holder, dict) else None
        if not isinstance(found, list):
            problems.append(Problem("E212", f"no list {key}", where, str(holder)[:60], _EXPECTED))
            return []
        return found

    for article_number, article in enumerate(listed(value, "data", path)):
        where = f"{path}: data[{article_number}]"
        for number, paragraph in enumerate(listed(article, "paragraphs", where)):
            place = f"{where}.paragraphs[{number}]"
            passage = paragraph.get("context") if isinstance(paragraph, dict) else None
            for asked, qa in enumerate(listed(paragraph, "qas", place)):
                question = qa.get("question") if isinstance(qa, dict) else None
                answers = qa.get("answers") if isinstance(qa, dict) else None
                found = [_answer(each) for each in answers or ()] if isinstance(answers, list | None) else [None]
                if not isinstance(passage, str) or not isinstance(question, str) or None in found:
                    problems.append(
                        Problem("E212", "not a question about a passage", f"{place}.qas[{asked}]", str(qa)[:60], _EXPECTED)
                    )
                    continue
                rows.append((article.get("title"), str(qa.get("id", len(rows))), question, passage, found or None))
    return rows, problems


def _answer(value: Any) -> dict[str, Any] | None:
    text, start = (value.get(key) for key in ("text", "answer_start")) if isinstance(value, dict) else (None, None)
    whole = start is None or (isinstance(start, int) and not isinstance(start, bool))
    return {"start": start, "text": text} if isinstance(text, str) and whole else None
