"""Folders and archives of pictures or sounds: a folder a class, or names that say what is what (floor 2, above the files)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Literal, Self

import polars as pl
from pydantic import model_validator

from deepwright.errors import DataError
from deepwright.families import Source
from deepwright.files import find, is_archive, listed, members, read_members, source_line, suffix_of
from deepwright.frames import Note
from deepwright.table import Table

_TRAIN, _TEST, _VALIDATION = ("train", "training"), ("test", "testing"), ("val", "valid", "validation")
_FIELD = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Kind:
    """What is looked for.

    Args:
        source: The type of the source.
        column: The column of the files.
        what: What they are, in the plural.
        suffixes: How their names end.
        example: A file's name, for messages.
    """

    source: str
    column: str
    what: str
    suffixes: frozenset[str]
    example: str


@dataclass
class Found:
    """What a folder holds: the files of each part (``train``, ``test``, ``all``), the columns of each, and what is told of it."""

    sides: dict[str, list[str]] = field(default_factory=dict)
    columns: dict[str, dict[str, str]] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)
    validation: int = 0


class FolderSource(Source):
    """Files in one folder a class, in a folder or an archive."""

    kind: ClassVar[Kind]

    split: Literal["train", "test"] | None = None
    """Where there are folders ``train`` and ``test``: which is read; by default the training rows."""
    names: str | None = None
    """How files are named, their suffix left aside, where the name tells what is in them: ``{label}_{speaker}_{n}`` makes a column
    of each word in braces; by default the folder is the column ``label``."""
    labelled: bool = True
    """Whether folders or names tell what is in the files. If not, all files at any depth are read, and the path may be one file."""

    @model_validator(mode="after")
    def _checked(self) -> Self:
        if self.names is not None and not self.labelled:
            raise ValueError("names tell what is in the files: either leave them out, or labelled: false")
        if self.names is not None:
            _check_names(self.names, self.kind)
        return self

    @classmethod
    def recognises(cls, path: str) -> bool:
        """Return whether the path is an existing folder or archive that holds such files, some of them in folders."""
        place = Path(path).expanduser()
        if "://" in path or not (place.is_dir() or (is_archive(path) and place.is_file())):
            return False
        return any("/" in entry.name for entry in members(path) if suffix_of(entry.name) in cls.kind.suffixes)

    @classmethod
    def nearly(cls, path: str) -> tuple[str, str] | None:
        """Tell of files that lie in no folders of classes."""
        if not cls.holds(path):
            return None
        line = source_line(cls.kind.source, path, names="{label}_{number}")
        return (
            f"{path} holds {cls.kind.what}, and not in folders of their classes",
            f"put each file into the folder of its class, or where names tell what is in them {line}",
        )

    @classmethod
    def holds(cls, path: str) -> bool:
        """Return whether the path is such a file, or an existing folder or archive that holds one anywhere."""
        if "://" in path:
            return False
        try:
            return any(suffix_of(name) in cls.kind.suffixes for name in _names(path))
        except DataError:
            return False

    def read(self) -> Table:
        """Read the list of files, and from an archive their bytes.

        Raises:
            DataError: The path is missing or damaged (E20x), or does not hold such files in folders of classes or so named (E216).
        """
        found = self._find()
        files = self._side(found)
        place, _ = find(self.path)
        column = self.kind.column
        if place.is_dir() or not is_archive(place.name):
            folder = place.resolve() if place.is_dir() else place.resolve().parent
            cells = pl.Series(column, [str(folder / name) for name in files], dtype=pl.String)
        else:
            cells = pl.Series(column, list(read_members(self.path, files).values()), dtype=pl.Binary)
        others = [pl.Series(key, [found.columns[name][key] for name in files], dtype=pl.String) for key in found.columns[files[0]]]
        return Table(pl.DataFrame([cells, *others]), Path(self.path).name, tuple(self._notes(found)))

    def files(self) -> list[str]:
        """Return the path of each row's file inside the folder or archive."""
        found = self._find()
        return self._side(found)

    def held_out(self) -> Self | None:
        """Return the source of the files in the folder ``test`` beside ``train``, if there is one."""
        if self.split is None and {"train", "test"} <= self._find().sides.keys():
            return self.model_copy(update={"split": "test"})
        return None

    def _find(self) -> Found:
        return _find(self.path, self.kind, self.names) if self.labelled else _find_all(self.path, self.kind)

    def _side(self, found: Found) -> list[str]:
        side: str = self.split or ("train" if "train" in found.sides else next(iter(found.sides)))
        files = found.sides.get(side, [])
        if not files:
            parts = ", ".join(found.sides) or "none"
            raise DataError("E216", f"no {self.kind.what} of the {self.split} rows", where=self.path, got=f"parts: {parts}")
        return files

    def _notes(self, found: Found) -> Iterator[Note]:
        what = self.kind.what
        if found.others:
            count = len(found.others)
            some = f"1 file is no {what.removesuffix('s')} and was" if count == 1 else f"{count:,} files are no {what} and were"
            text = f"{some} left out: {listed(found.others, 3)}"
            yield Note(f"not_{what}", text, len(found.others))
        if found.validation and self.split != "test":
            text = f"{found.validation:,} validation {what} are among the training rows, which are divided anew"
            yield Note("validation", text, found.validation)
        if self.split is None and {"train", "test"} <= found.sides.keys():
            more = {"names": self.names} if self.names else {}
            fix = source_line(self.kind.source, self.path, split="test", **more).replace("data: {source: ", "data: {test: ")
            yield Note("held_out", f"{len(found.sides['test']):,} test {what} were not read; they are   {fix}")

    @classmethod
    def example(cls) -> Self:
        """Return a source of a folder that need not exist."""
        return cls(path=cls.kind.what)


def _names(path: str) -> list[str]:
    """Return the files of a folder or an archive at any depth; of a file, inside an archive too, its own name."""
    place, member = find(path)
    if place.is_dir() or (is_archive(place.name) and not member):
        return [entry.name for entry in members(path)]
    return [member or place.name]


def _find_all(path: str, kind: Kind) -> Found:
    """Take every file, at any depth."""
    names = _names(path)
    files = [name for name in names if suffix_of(name) in kind.suffixes]
    if not files:
        raise DataError("E216", f"no {kind.what}", where=path, got=listed(names, 3), expected=f"files such as {kind.example}")
    others = [name for name in names if suffix_of(name) not in kind.suffixes]
    return Found({"all": files}, {name: {} for name in files}, others)


def _find(path: str, kind: Kind, names: str | None) -> Found:
    place, _ = find(path)
    if not (place.is_dir() or is_archive(place.name)):
        raise DataError("E216", "neither a folder nor an archive", where=path)
    entries = [entry.name for entry in members(path)]
    files = [name for name in entries if suffix_of(name) in kind.suffixes]
    others = [name for name in entries if suffix_of(name) not in kind.suffixes]
    if not files and names is not None:
        raise DataError("E216", f"no {kind.what}", where=path, got=listed(entries, 3), expected=f"files such as {kind.example}")
    return _by_name(path, kind, files, others, names) if names is not None else _by_folder(path, kind, files, others)


def _by_folder(path: str, kind: Kind, files: list[str], others: list[str]) -> Found:
    """Take the last folder for the class; above it perhaps train and test, and folders around everything."""
    steps = [name.split("/") for name in files]
    length = Counter(map(len, steps)).most_common(1)[0][0] if steps else 0
    odd = [name for name, parts in zip(files, steps, strict=True) if len(parts) != length]
    depth = length - 2
    usual = f"CLASS/{kind.example} or {{train,test}}/CLASS/{kind.example}"
    if odd or depth < 0:
        raise DataError(
            "E216",
            f"{len(odd):,} {kind.what} lie at another depth than the others" if odd else f"no {kind.what} in folders of classes",
            where=path,
            got=listed(odd or [*files, *others], 3),
            expected=usual,
            fix="put each file into the folder of its class, use a CSV file with a column of paths, or where names tell the class "
            + source_line(kind.source, path, names="{label}_{number}"),
        )
    found = Found(columns={name: {"label": parts[depth]} for name, parts in zip(files, steps, strict=True)}, others=others)
    above = {parts[depth - 1].lower() for parts in steps} if depth else set()
    divided = bool(above) and above <= {*_TRAIN, *_TEST, *_VALIDATION}
    if not divided and len({tuple(parts[:depth]) for parts in steps}) > 1:
        raise DataError(
            "E216",
            "the folders of classes lie in several folders, and these are not train and test",
            where=path,
            got=listed(sorted({"/".join(parts[:depth]) for parts in steps}), 4),
            expected=usual,
        )
    divide(found, files, [parts[depth - 1].lower() for parts in steps] if divided else None)
    return found


def _by_name(path: str, kind: Kind, files: list[str], others: list[str], names: str) -> Found:
    """Take the columns from the files' names; where all lie below folders train and test, these are the parts."""
    fields = _FIELD.findall(names)
    pattern = re.compile("".join(_escaped(part) for part in re.split(r"(\{\w+\})", names)))
    found, unfit = Found(others=others), []
    for name in files:
        known = pattern.fullmatch(name.rpartition(".")[0].split("/", name.count("/") - names.count("/"))[-1])
        if known is None:
            unfit.append(name)
        else:
            found.columns[name] = {key: known[key] for key in fields}
    if unfit:
        raise DataError(
            "E216",
            f"{len(unfit):,} of {len(files):,} {kind.what} are not named {names}",
            where=path,
            got=listed(unfit, 3),
            fix="correct names, or rename or remove these files",
        )
    sides = [next((step.lower() for step in name.split("/")[:-1] if is_side(step)), "") for name in files]
    divide(found, files, sides if all(sides) else None)
    return found


def _check_names(names: str, kind: Kind) -> None:
    """Raise ``ValueError`` unless the fields of a pattern are columns of their own, divided by signs."""
    fields = _FIELD.findall(names)
    if not fields or "}{" in names or re.search(r"[{}]", _FIELD.sub("", names)):
        raise ValueError(f"names ({names}) must hold fields in braces, divided by signs, such as {{label}}_{{speaker}}")
    if len({*fields, kind.column}) != len(fields) + 1 or any(name[0].isdigit() for name in fields):
        raise ValueError(f"the fields of names ({names}) must be different words, and not {kind.column}")


def _escaped(part: str) -> str:
    return f"(?P<{part[1:-1]}>[^/]+?)" if _FIELD.fullmatch(part) else re.escape(part)


def is_side(folder: str) -> bool:
    """Return whether the name of a folder says which rows lie in it."""
    return folder.lower() in (*_TRAIN, *_TEST, *_VALIDATION)


def divide(found: Found, files: Sequence[str], above: Sequence[str] | None) -> None:
    """Put files into their parts, by the lower-case folders above them that say train or test, if there are any."""
    if above is None:
        found.sides = {"all": list(files)} if files else {}
        return
    kinds = set(above)
    sides = {folder: _side(folder, kinds) for folder in kinds}
    for name, folder in zip(files, above, strict=True):
        found.sides.setdefault(sides[folder], []).append(name)
    merged = {folder for folder in kinds & {*_VALIDATION} if sides[folder] == "train"}
    found.validation = sum(folder in merged for folder in above)


def _side(folder: str, beside: set[str]) -> str:
    """Return what a folder holds; validation files are the test where there is none, and training rows where there is."""
    if folder in _TEST or (folder in _VALIDATION and not beside & {*_TEST}):
        return "test"
    return "train"
