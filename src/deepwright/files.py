"""Open files, compressed or in an archive, without unpacking anything to the disk (floor 2).

A *path* is a file, a folder, or a place inside an archive, written as if the archive were a folder::

    adult.csv    adult.csv.gz    movies.zip    movies.zip/ratings.csv

Compression (gzip, bzip2, xz) is told by the first bytes; an archive (zip, tar) by its name.
"""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
import re
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import IO, Any

from deepwright.errors import DataError, nearest

PICTURES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})
"""The suffixes of picture files."""

SOUNDS = frozenset({".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3"})
"""The suffixes of sound files."""

BOMB_FLOOR = 1 << 30
"""Bytes that any file may expand to; beyond them :data:`BOMB_RATIO` applies."""

BOMB_RATIO = 200
"""How many times its own size a compressed file may expand to. Text compresses 5 to 20 times, a bomb 1,000 times or more."""

_ARCHIVES = (".zip", ".tar", ".tgz", ".tar.gz", ".tar.bz2", ".tar.xz")
_COMPRESSIONS = (".gz", ".bz2", ".xz")
_ASIDE = re.compile(r"readme|licen[cs]e|^_|^about")
_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})
_PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".joblib")
_OPENERS: dict[bytes, Callable[[IO[bytes]], Any]] = {
    b"\x1f\x8b": lambda raw: gzip.GzipFile(fileobj=raw),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\x00": lzma.LZMAFile,
}
"""What undoes a compression, by its first bytes."""
_DAMAGE = (EOFError, OSError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, tarfile.TarError, NotImplementedError)


@dataclass(frozen=True)
class Member:
    """A file in a folder or an archive.

    Args:
        name: Its path inside, with forward slashes.
        size: Its size in bytes, uncompressed.
        offset: Where its bytes start in an uncompressed tar.
    """

    name: str
    size: int
    offset: int = 0


def name_of(path: str) -> str:
    """Return the lower-case file name without the suffix of a compression: ``Adult.csv.gz`` gives ``adult.csv``."""
    name = path.replace("\\", "/").rpartition("/")[2].lower()
    if name.endswith(_COMPRESSIONS) and not is_archive(name):
        return name.rpartition(".")[0]
    return name


def suffix_of(path: str) -> str:
    """Return the lower-case suffix, a compression left aside: ``Adult.csv.gz`` gives ``.csv``."""
    stem, dot, end = name_of(path).rpartition(".")
    return dot + end if stem else ""


def is_archive(path: str) -> bool:
    """Return whether the name is that of an archive (zip or tar, compressed or not)."""
    return path.lower().endswith(_ARCHIVES)


def source_line(kind: str, path: str, **fields: object) -> str:
    """Return the recipe line that declares a source with ``fields``, for the ``fix`` of an error."""
    body = {"type": kind, "path": path, **fields}
    return "data: {source: {" + ", ".join(f"{key}: {_plain(value)}" for key, value in body.items()) + "}}"


def _plain(value: object) -> str:
    """Return a value as YAML of a flow mapping: a plain word where that is safe, else JSON, which is YAML too."""
    if isinstance(value, str) and re.fullmatch(r"[A-Za-z/][\w./-]*", value) and value.lower() not in _WORDS:
        return value
    return json.dumps(value, default=str, ensure_ascii=False)


def find(path: str) -> tuple[Path, str]:
    """Return the file or folder of ``path`` and the member inside it (empty if ``path`` is not inside an archive).

    Raises:
        DataError: The file does not exist (E200), or the archive has no such member (E205).
    """
    whole = Path(path).expanduser()
    try:
        if whole.exists():
            return whole, ""
        for parent in whole.parents:
            if is_archive(parent.name) and parent.is_file():
                return parent, _member(str(parent), whole.relative_to(parent).as_posix())
    except OSError as error:
        raise _unreadable(path, error) from None
    lost = next(step for step in (whole, *whole.parents) if step.parent.is_dir())
    raise DataError(
        "E200",
        f"{'the file or folder' if lost == whole else f'the folder {lost}'} does not exist"
        + nearest(lost.name, sorted(other.name for other in lost.parent.iterdir())),
        where=path,
        fix="correct the path" + ("" if Path(path).expanduser().is_absolute() else f"; it was looked for in {Path.cwd()}"),
    )


def _member(archive: str, wanted: str) -> str:
    names = [member.name for member in members(archive)]
    found = [name for name in names if name == wanted] or [name for name in names if name.endswith("/" + wanted)]
    if len(found) != 1:
        raise DataError(
            "E205",
            f"the archive has {'no' if not found else len(found)} files {wanted!r}{nearest(wanted, names)}",
            where=archive,
            expected=listed(names),
        )
    return found[0]


def listed(names: Collection[str], most: int = 8) -> str:
    """Return the names in a line, at most ``most`` of them."""
    more = f", … {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(list(names)[:most]) + more if names else "nothing"


def members(path: str) -> tuple[Member, ...]:
    """Return the files of a folder or an archive at any depth, sorted by name; hidden ones and links in archives left out.

    Raises:
        DataError: The path does not exist (E200), or the archive is damaged (E202) or a bomb (E203).
    """
    place, _ = find(path)
    if place.is_dir():
        found = ((p.relative_to(place).as_posix(), p) for p in place.rglob("*"))
        return tuple(sorted((Member(n, p.stat().st_size) for n, p in found if not _hidden(n) and p.is_file()), key=_by_name))
    status = place.stat()
    return _archive_members(str(place), status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=16)
def _archive_members(path: str, size: int, changed: int) -> tuple[Member, ...]:
    """List an archive; size and time of change are part of the key, so that a new file is listed anew."""
    del changed
    found: list[Member] = []
    total, limit = 0, max(BOMB_FLOOR, BOMB_RATIO * size)
    with _reading(path):
        for member in _listing(path):
            total += member.size
            if total > limit:
                raise _bomb(path, limit)
            found.append(member)
    return tuple(sorted(found, key=_by_name))


def _listing(path: str) -> Iterator[Member]:
    """Yield the regular files of an archive in its own order, hidden ones left out."""
    if path.lower().endswith(".zip"):
        with zipfile.ZipFile(path) as box:
            yield from (Member(i.filename, i.file_size) for i in box.infolist() if not i.is_dir() and not _hidden(i.filename))
        return
    with _tar_bytes(path) as raw, tarfile.open(fileobj=raw, mode="r:") as tape:
        for entry in tape:
            name = entry.name.removeprefix("./")
            if entry.isreg() and not _hidden(name):
                yield Member(name, entry.size, entry.offset_data)


@contextmanager
def _tar_bytes(path: str) -> Iterator[IO[bytes]]:
    """Open the uncompressed bytes of a tar: the file itself, or what it expands to in memory (far faster than seeking in gzip)."""
    with open(path, "rb") as raw:
        compressed = not path.lower().endswith(".tar")
        yield BytesIO(_inflated(raw.read(), path)) if compressed else raw


def _by_name(member: Member) -> str:
    return member.name


def _hidden(name: str) -> bool:
    return any(step.startswith(".") or step == "__MACOSX" for step in name.split("/"))


def read_members(path: str, names: Collection[str]) -> dict[str, bytes]:
    """Read several files of an archive or a folder in one pass, in the order of ``names``.

    Raises:
        DataError: A file is missing, damaged (E202), a bomb (E203) or a pickle (E204).
    """
    place, _ = find(path)
    if place.is_dir():
        return {name: read_bytes(str(place / name)) for name in names}
    limit = max(BOMB_FLOOR, BOMB_RATIO * place.stat().st_size)
    found: dict[str, bytes] = {}
    with _reading(path):
        if place.name.lower().endswith(".zip"):
            with zipfile.ZipFile(place) as box:
                for name in names:
                    if box.getinfo(name).flag_bits & 1:
                        raise DataError("E202", "the archive is encrypted", where=f"{path}/{name}", fix="unpack it yourself")
                    with box.open(name) as stream:
                        found[name] = _drain(stream, limit, f"{path}/{name}")
                        limit -= len(found[name])
        else:
            entries = {member.name: member for member in members(path)}
            with _tar_bytes(str(place)) as raw:
                for name in names:
                    raw.seek(entries[name].offset)
                    found[name] = raw.read(entries[name].size)
    return {name: _inflated(data, f"{path}/{name}") for name, data in found.items()}


def read_bytes(path: str) -> bytes:
    """Return the content of a file, of a member of an archive, or of the only member of an archive, uncompressed.

    Raises:
        DataError: The file does not exist (E200), cannot be opened (E201), is damaged or not what its name says (E202), expands
            beyond all measure (E203), is a pickle (E204), or the archive holds several files (E205).
    """
    place, member = find(path)
    if suffix_of(path) in _PICKLES:
        raise _pickle(path)
    if place.is_dir():
        raise DataError("E201", "a folder, where a file is expected", where=path, fix="name one of its files")
    if not is_archive(place.name):
        with _reading(path):
            return _inflated(place.read_bytes(), path)
    names = [entry.name for entry in members(str(place))]
    if not member and len(names) != 1:
        raise DataError(
            "E205", f"the archive holds {len(names)} files", where=path, got=listed(names), fix=f"name one: {path}/NAME"
        )
    name = member or names[0]
    return read_members(str(place), [name])[name]


def beginning(path: str, size: int) -> bytes:
    """Return the first ``size`` bytes of what :func:`read_bytes` returns, and nothing if there is no file to be read.

    Nothing behind them is read, but of a tar, which is read as a whole.
    """
    try:
        place, member = find(path)
        with _reading(path):
            if place.is_file() and not is_archive(place.name):
                with place.open("rb") as raw:
                    return _unpacked(raw).read(size)
            if not member or not place.name.lower().endswith(".zip"):
                return read_bytes(path)[:size]
            with zipfile.ZipFile(place) as box:
                if box.getinfo(member).flag_bits & 1:
                    return b""
                with box.open(member) as raw:
                    return _unpacked(raw).read(size)
    except DataError:
        return b""


def _unpacked(raw: IO[bytes]) -> IO[bytes]:
    """Return the stream without its compression, if it has one."""
    opener = _opener(raw.read(6))
    raw.seek(0)
    unpacked: IO[bytes] = raw if opener is None else opener(raw)
    return unpacked


def _opener(first: bytes) -> Callable[[IO[bytes]], Any] | None:
    return next((opener for magic, opener in _OPENERS.items() if first.startswith(magic)), None)


def _inflated(data: bytes, where: str) -> bytes:
    """Undo gzip, bzip2 or xz, told by the first bytes; refuse a pickle."""
    opener = _opener(data)
    if opener is None and where.lower().endswith(_COMPRESSIONS):
        raise DataError(
            "E202",
            f"the name ends in {PurePosixPath(where).suffix}, but the file is not compressed so",
            where=where,
            got=f"the first bytes {data[:4]!r}",
            fix=f"rename it to {PurePosixPath(where).stem}",
        )
    if opener is not None:
        limit = max(BOMB_FLOOR, BOMB_RATIO * len(data))
        with _reading(where), opener(BytesIO(data)) as stream:
            data = _drain(stream, limit, where)
    if data[:1] == b"\x80" and data[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        raise _pickle(where)
    return data


def _drain(stream: IO[bytes], limit: int, where: str) -> bytes:
    data = stream.read(limit + 1)
    if len(data) > limit:
        raise _bomb(where, limit)
    return data


@contextmanager
def _reading(path: str) -> Iterator[None]:
    """Turn what the readers of files and archives raise into errors that name the file."""
    try:
        yield
    except PermissionError as error:
        raise _unreadable(path, error) from None
    except _DAMAGE as error:
        raise DataError(
            "E202",
            "the file is damaged, cut short, or not what its name says",
            where=path,
            got=str(error) or type(error).__name__,
            fix="fetch or write the file again",
        ) from None


def _unreadable(path: str, error: OSError) -> DataError:
    return DataError("E201", "the file cannot be opened", where=path, got=error.strerror or error, fix="check its permissions")


def _bomb(path: str, limit: int) -> DataError:
    return DataError(
        "E203",
        f"the content would expand beyond {limit / 2**20:,.0f} MiB",
        where=path,
        expected=f"at most {BOMB_RATIO} times the compressed size",
        fix="if you trust the file, unpack it yourself and name what it holds",
    )


def _pickle(path: str) -> DataError:
    return DataError(
        "E204",
        "a pickle can run any code when it is opened, so that it is refused",
        where=path,
        expected="data in an open format: Parquet, CSV, JSON, …",
        fix='save it as Parquet where you trust it: pandas.read_pickle(...).to_parquet("data.parquet")',
    )


def holds(path: str, suffixes: Sequence[str]) -> bool:
    """Return whether ``path`` is a file of one of these suffixes, or an existing folder or archive that holds one directly.

    A folder or an archive that holds pictures or sounds is none: it is for the sources of these. Nothing is read for a plain name.
    """
    if not is_archive(path) and not Path(path).expanduser().is_dir():
        return suffix_of(path) in suffixes
    if not Path(path).expanduser().exists():
        return False
    inside = [member.name for member in members(path)]
    return bool(_tables(inside, suffixes)) and not any(suffix_of(name) in PICTURES | SOUNDS for name in inside)


def _tables(names: list[str], suffixes: Sequence[str]) -> list[str]:
    """Return the files of one of the suffixes at the top, or in the one folder around everything.

    Where there are several suffixes, only those of the first count, so that a licence in a .txt is no table beside a .csv.
    """
    around = names[0].partition("/")[0] + "/" if names else ""
    top = around if all(name.startswith(around) for name in names) else ""
    found = [name for name in names if "/" not in name.removeprefix(top) and not _ASIDE.search(name_of(name))]
    for suffix in suffixes:
        if fitting := [name for name in found if suffix_of(name) == suffix]:
            return fitting
    return []


def pick(path: str, suffixes: Sequence[str], kind: str) -> str:
    """Return the path of the one file to read: ``path`` itself, or the only fitting file of a folder or an archive.

    Raises:
        DataError: The path does not exist (E200), or it holds no fitting file, or several (E205).
    """
    place, member = find(path)
    if member or not (place.is_dir() or is_archive(place.name)):
        return path
    names = [entry.name for entry in members(path)]
    found = _tables(names, suffixes)
    if len(found) == 1:
        return f"{path}/{found[0]}"
    what = "folder" if place.is_dir() else "archive"
    raise DataError(
        "E205",
        f"the {what} holds {len(found) or 'no'} {kind} files, and one is read",
        where=path,
        got=listed(found or names),
        expected="" if found else f"a file ending in {', '.join(suffixes)}",
        fix=f"name one: data: {{source: {path}/{found[0]}}}" if found else "",
    )
