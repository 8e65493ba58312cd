"""What holds for every source (floor 8)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from deepwright.errors import CODES, DataError
from deepwright.families import Source
from deepwright.parts import families

DAMAGED = (
    b"",
    b"\x00",
    b"\n",
    b"\xff\xfe\x00",
    b"\x1f\x8b\x08\x00cut",
    b"PK\x03\x04cut",
    b"\x80\x04K\x01.",
    bytes(range(256)) * 9,
)
"""Bytes that are no data: empty, cut short, a pickle, noise."""


def find(name: str) -> type[Source]:
    """Return the class of a source."""
    part = families()["sources"].resolve(name)
    assert issubclass(part, Source)
    return part


def check_recognises(source: type[Source]) -> None:
    """A source says yes or no to any path, whether it exists or not, and no to what is nobody's."""
    for path in ("", "x", "no/such/place", "a.unknown", "..", "x.zip", "ünï 🙂", "a\\b", "https://example.org/table.csv"):
        assert source.recognises(path) in (True, False)
    assert not source.recognises("notes.unknown-kind")
    with TemporaryDirectory() as folder:
        assert not source.recognises(folder), "an empty folder is nobody's"


def check_missing(source: type[Source]) -> None:
    """A file that does not exist is an error that names it and the nearest file."""
    example = source.example()
    with TemporaryDirectory() as folder:
        name = Path(example.path).name
        (Path(folder) / f"{name}x").touch()
        absent = example.model_copy(update={"path": str(Path(folder) / name)})
        with pytest.raises(DataError) as caught:
            absent.read()
    assert caught.value.code == "E200"
    assert name in str(caught.value)
    assert f"{name}x" in str(caught.value), "the nearest file is named"


def check_damage(source: type[Source]) -> None:
    """Nothing but a DataError with a known code comes of bytes that are no data."""
    example = source.example()
    with TemporaryDirectory() as folder:
        path = Path(folder) / Path(example.path).name
        for data in DAMAGED:
            path.write_bytes(data)
            with pytest.raises(DataError) as caught:
                example.model_copy(update={"path": str(path)}).read()
            for problem in caught.value.problems:
                assert problem.code in CODES
                assert problem.message
                assert path.name in problem.where


CHECKS: tuple[Callable[[type[Source]], None], ...] = (check_recognises, check_missing, check_damage)
"""Every check of this suite."""


def conforms(source: type[Source]) -> None:
    """Run every check on one source.

    Raises:
        AssertionError: The source breaks its contract.
    """
    for check in CHECKS:
        check(source)
