"""Pictures that belong together by their names, in folders beside each other (floor 2, above the folders)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import polars as pl

from deepwright.errors import DataError
from deepwright.files import PICTURES, find, is_archive, listed, members, read_members, source_line, suffix_of
from deepwright.folders import Found, divide, is_side
from deepwright.frames import Note
from deepwright.table import Table

SEEN = ("images", "image", "imgs", "img", "pictures", "photos", "inputs", "input", "noisy", "degraded")
"""Folders of what a network sees, by their usual names."""
WANTED = (
    *("masks", "mask", "labels", "annotations", "segmentation", "segmentations", "groundtruth", "ground_truth", "gt"),
    *("targets", "target", "outputs", "output", "clean"),
)
"""Folders of what it is to predict."""
_COLUMNS = dict.fromkeys(("images", "imgs", "img", "pictures", "photos", "inputs"), "image") | dict.fromkeys(
    ("masks", "labels", "annotations", "segmentation", "segmentations", "groundtruth", "ground_truth", "gt"), "mask"
)
_COLUMNS |= {"targets": "target", "outputs": "output"}
_ENDING = re.compile(r"[-_. ](mask|masks|seg|segmentation|label|labels|labelids|gt|annotation|matte|clean|target)$", re.IGNORECASE)
_USUAL = "images/NAME.jpg beside masks/NAME.png, perhaps with folders train and test above or below"

Pairs = dict[str, dict[str, str]]
"""For each column the file of each name."""


def pairs_of(path: str, folders: Mapping[str, str] | None = None) -> Pairs:
    """Return the pictures of each column by the name that they share, or nothing if the path holds no two such folders.

    The name is a file's path without the folder of its column, without its suffix, and of what is to be predicted without an ending
    such as ``_mask``.

    Args:
        path: A folder or an archive.
        folders: The folder of each column, what is seen first; by default folders of the usual names.
    """
    wanted = {folder.lower(): column for column, folder in (folders or {}).items()}
    found: Pairs = {column: {} for column in wanted.values()}
    for entry in members(path):
        *steps, file = entry.name.split("/")
        if suffix_of(file) not in PICTURES:
            continue
        place = _place(steps, wanted)
        if place is not None:
            word = steps[place].lower()
            column = wanted.get(word) or _COLUMNS.get(word, word)
            name = "/".join([*steps[:place], *steps[place + 1 :], file.rpartition(".")[0]])
            found.setdefault(column, {})[name] = entry.name
    if folders is None:
        seen = [column for column in found if column in {_COLUMNS.get(word, word) for word in SEEN}]
        others = [column for column in found if column not in seen]
        if len(seen) != 1 or not others:
            return {}
        found = {column: found[column] for column in (*seen, *others)}
    first, *rest = found
    for column in rest:
        found[column] = {_shared(name, found[first]): file for name, file in found[column].items()}
    return found


def _place(steps: list[str], wanted: Mapping[str, str]) -> int | None:
    """Return which of the folders above a file tells its column."""
    known = wanted or {*SEEN, *WANTED}
    return next((place for place, step in enumerate(steps) if step.lower() in known), None)


def _shared(name: str, known: Mapping[str, str]) -> str:
    return name if name in known else _ENDING.sub("", name)


def recognised(path: str) -> bool:
    """Return whether a path is an existing folder or archive with two such folders, most of whose pictures belong together."""
    place = Path(path).expanduser()
    if "://" in path or not (place.is_dir() or (is_archive(path) and place.is_file())):
        return False
    found = list(pairs_of(path).values())
    return len(found) > 1 and 2 * len(found[0].keys() & found[1].keys()) >= min(len(found[0]), len(found[1])) > 0


def read_pairs(path: str, kind: str, split: str | None, folders: Mapping[str, str] | None) -> tuple[Table, bool]:
    """Read the list of files, and from an archive their bytes; return the table, and whether test rows lie beside it.

    Raises:
        DataError: The path is missing or damaged (E20x), or holds no pictures that belong together (E216).
    """
    found, parts, rows = _found(path, kind, split, folders)
    place, _ = find(path)
    cells = [_cells(path, place, column, [files.get(name) for name in rows]) for column, files in found.items()]
    notes = _notes(found, rows, parts, split)
    beside = split is None and {"train", "test"} <= parts.sides.keys()
    if beside:
        fix = source_line(kind, path, split="test").replace("data: {source: ", "data: {test: ")
        notes.append(Note("held_out", f"{len(parts.sides['test']):,} test pictures were not read; they are   {fix}"))
    return Table(pl.DataFrame(cells), Path(path).name, tuple(notes)), beside


def files_of(path: str, kind: str, split: str | None, folders: Mapping[str, str] | None) -> list[str]:
    """Return the file of what is seen of each row that :func:`read_pairs` reads.

    Raises:
        DataError: As there.
    """
    found, _, rows = _found(path, kind, split, folders)
    return [next(iter(found.values()))[name] for name in rows]


def _found(path: str, kind: str, split: str | None, folders: Mapping[str, str] | None) -> tuple[Pairs, Found, list[str]]:
    """Return the pictures of each column, the parts, and the names of the rows that are read."""
    place, _ = find(path)
    if not (place.is_dir() or is_archive(place.name)):
        raise DataError("E216", "neither a folder nor an archive", where=path, expected=_USUAL, fix=_fix(kind, path))
    found = pairs_of(path, folders)
    columns = list(found)
    if len(columns) < 2 or not all(found.values()) or not found[columns[0]].keys() & found[columns[1]].keys():
        held = {column: len(files) for column, files in found.items()} or listed([entry.name for entry in members(path)], 3)
        message = "no pictures that belong together by their names"
        raise DataError("E216", message, where=path, got=str(held), expected=_USUAL, fix=_fix(kind, path))
    seen = found[columns[0]]
    names = sorted(seen)
    parts = Found()
    sides = [next((step.lower() for step in name.split("/")[:-1] if is_side(step)), "") for name in names]
    divide(parts, names, sides if all(sides) else None)
    side = split or ("train" if "train" in parts.sides else next(iter(parts.sides)))
    rows = parts.sides.get(side, [])
    if not rows:
        raise DataError("E216", f"no pictures of the {split} rows", where=path, got=f"parts: {', '.join(parts.sides)}")
    return found, parts, rows


def _fix(kind: str, path: str) -> str:
    return "name the folders: " + source_line(kind, path, folders={"image": "FOLDER", "mask": "FOLDER"})


def _cells(path: str, place: Path, column: str, files: list[str | None]) -> pl.Series:
    """Return the paths of files, or of an archive their bytes."""
    if place.is_dir():
        return pl.Series(column, [None if file is None else str(place.resolve() / file) for file in files], dtype=pl.String)
    held = read_members(path, [file for file in files if file is not None])
    return pl.Series(column, [None if file is None else held[file] for file in files], dtype=pl.Binary)


def _notes(found: Pairs, rows: list[str], parts: Found, split: str | None) -> list[Note]:
    notes = []
    first, *rest = found
    for column in rest:
        if lone := [name for name in rows if name not in found[column]]:
            text = f"{len(lone):,} of {len(rows):,} pictures have no {column}: {listed(lone, 3)}"
            notes.append(Note("unpaired", text, len(lone), column))
        if more := [file for name, file in found[column].items() if name not in found[first]]:
            text = f"{len(more):,} files of {column} belong to no {first} and were left out: {listed(more, 3)}"
            notes.append(Note("unpaired", text, len(more), column))
    if parts.validation and split != "test":
        text = f"{parts.validation:,} validation pictures are among the training rows, which are divided anew"
        notes.append(Note("validation", text, parts.validation))
    return notes
