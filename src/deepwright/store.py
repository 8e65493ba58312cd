"""The store: encoded rows on disk as contiguous arrays, named by the SHA-256 of all that they depend on (floor 2, free of torch).

KEY/
  manifest.json     format, key, facts, and of every array its file, shape, dtype and SHA-256
  0.npy, 1.npy, …   the arrays, each in one piece, rows first

An entry is written beside, in a scratch directory, and renamed when it is whole: whatever is killed, no half entry is ever taken
for a whole one, and of two runs that write the same entry the second keeps the first one's. Beyond the store's bound the entries
that were used longest ago go; a run that still reads one is not harmed, since it holds its files open.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import shutil
import socket
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import DTypeLike, NDArray

from deepwright.errors import DataError, UsageError

FORMAT = 1
"""The version of the entries: another one makes other keys."""
LIMIT = 20 * 10**9
"""Bytes that the store holds at most, unless ``DEEPWRIGHT_CACHE_SIZE`` says otherwise; never more than a quarter of the disk."""
STALE = 24 * 3600.0
"""Seconds after which a scratch directory of another machine counts as left behind."""

_MANIFEST = "manifest.json"
_SCRATCH = ".writing-"
_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12}
_CHUNK = 1 << 22


@dataclass(frozen=True)
class Stored:
    """An entry of the store: read-only arrays on disk.

    Args:
        path: Its directory.
        manifest: The content of ``manifest.json``.
    """

    path: Path
    manifest: Mapping[str, Any]

    @property
    def names(self) -> list[str]:
        """The names of the arrays."""
        return list(self.manifest["arrays"])

    @property
    def facts(self) -> dict[str, Any]:
        """What the writer noted beside the arrays."""
        return dict(self.manifest["facts"])

    @property
    def bytes(self) -> int:
        """The size on disk."""
        return sum(int(entry["bytes"]) for entry in self.manifest["arrays"].values())

    @property
    def rows(self) -> int | None:
        """The rows of its first array; nothing for a file of another format."""
        shapes = [entry["shape"] for entry in self.manifest["arrays"].values() if "shape" in entry]
        return int(shapes[0][0]) if shapes else None

    @property
    def used(self) -> float:
        """When it was last used, in seconds since 1970."""
        try:
            return (self.path / _MANIFEST).stat().st_mtime
        except OSError:
            return 0.0

    def file(self, name: str) -> Path:
        """Return the file of an array."""
        return self.path / str(self.manifest["arrays"][name]["file"])

    def load(self, name: str) -> NDArray[np.generic]:
        """Return an array in memory."""
        return np.asarray(np.load(self.file(name), allow_pickle=False))

    def map(self, name: str) -> NDArray[np.generic]:
        """Return an array as a read-only view of its file: only what is touched is read."""
        mapped: NDArray[np.generic] = np.load(self.file(name), mmap_mode="r", allow_pickle=False)
        return mapped


class ArrayWriter:
    """Writes one array from its first row to its last.

    Args:
        path: The ``.npy`` file.
        shape: The array's shape, rows first.
        dtype: Its type.
    """

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        self.path, self.shape, self.dtype = path, shape, np.dtype(dtype)
        self.written = 0
        self._digest = hashlib.sha256()
        header = io.BytesIO()
        descr = np.lib.format.dtype_to_descr(self.dtype)
        np.lib.format.write_array_header_2_0(header, {"descr": descr, "fortran_order": False, "shape": shape})
        path.write_bytes(header.getvalue())
        self._digest.update(header.getvalue())
        self._file = path.open("ab", buffering=0)

    def append(self, rows: NDArray[Any]) -> None:
        """Write further rows."""
        block = np.ascontiguousarray(rows, self.dtype)
        if block.shape[1:] != self.shape[1:] or self.written + len(block) > self.shape[0]:
            raise ValueError(f"rows of shape {block.shape} do not fit into {self.shape} after {self.written} rows")
        data = memoryview(block.reshape(-1).view(np.uint8).data)
        while len(data):
            written = self._file.write(data[:_CHUNK])
            self._digest.update(data[:written])
            data = data[written:]
        self.written += len(block)

    def close(self) -> dict[str, Any]:
        """Finish the file and return its entry of the manifest."""
        self._file.close()
        if self.written != self.shape[0]:
            raise ValueError(f"{self.written} of {self.shape[0]} rows were written")
        return {
            "file": self.path.name,
            "shape": list(self.shape),
            "dtype": self.dtype.str,
            "bytes": self.path.stat().st_size,
            "sha256": self._digest.hexdigest(),
        }


class EntryWriter:
    """Fills an entry in its scratch directory.

    Args:
        scratch: The directory.
        key: The entry's key.
    """

    def __init__(self, scratch: Path, key: str) -> None:
        self.scratch, self.key = scratch, key
        self.facts: dict[str, Any] = {}
        """Plain values to be kept beside the arrays; fill it before the entry is finished."""
        self._writers: dict[str, ArrayWriter] = {}
        self._others: dict[str, dict[str, Any]] = {}

    def array(self, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> ArrayWriter:
        """Begin an array; its rows are appended to what this returns."""
        writer = ArrayWriter(self.scratch / f"{len(self._writers) + len(self._others)}.npy", shape, dtype)
        self._writers[name] = writer
        return writer

    def file(self, name: str, blocks: Iterable[bytes], suffix: str) -> None:
        """Write a file of another format, such as one that was fetched."""
        digest, path = hashlib.sha256(), self.scratch / f"{len(self._writers) + len(self._others)}{suffix}"
        with path.open("wb") as out:
            for block in blocks:
                out.write(block)
                digest.update(block)
        self._others[name] = {"file": path.name, "bytes": path.stat().st_size, "sha256": digest.hexdigest()}

    def put(self, name: str, array: NDArray[Any]) -> None:
        """Write a whole array."""
        self.array(name, array.shape, array.dtype).append(array)

    def finish(self) -> None:
        """Write the manifest: from here on the entry is whole."""
        arrays = {name: writer.close() for name, writer in self._writers.items()} | self._others
        manifest = {"format": FORMAT, "key": self.key, "facts": self.facts, "arrays": arrays}
        (self.scratch / _MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")


class Store:
    """A directory of entries.

    Args:
        root: The directory; it is made when the first entry is written.
        limit: Bytes that it holds at most.
    """

    def __init__(self, root: Path, limit: int | None = None) -> None:
        self.root = root
        self._limit = limit

    @property
    def limit(self) -> int:
        """Bytes that the store holds at most: as given, else :data:`LIMIT` or a quarter of the disk's free and used-here bytes."""
        if self._limit is not None:
            return self._limit
        return min(LIMIT, (self._free() + sum(entry.bytes for entry in self.entries())) // 4)

    def get(self, key: str) -> Stored | None:
        """Return a whole entry, every file compared with its hash, or nothing; a damaged entry is removed."""
        stored = _opened(self.root / key)
        if stored is None:
            return None
        for entry in stored.manifest["arrays"].values():
            if not _whole(stored.path / entry["file"], entry):
                self._remove(stored.path)
                return None
        with suppress(OSError):  # a read-only store serves, too; it only forgets when it was used
            os.utime(stored.path / _MANIFEST)
        return stored

    @contextmanager
    def writing(self, key: str, size: int = 0) -> Iterator[EntryWriter]:
        """Write an entry; it is there when the block ends without an error.

        Args:
            key: Its key.
            size: The bytes that it will take, if known; older entries go to make room.

        Raises:
            DataError: The disk is too full for it (E240).
        """
        self.sweep()
        self._make_room(size)
        if size > self._free():
            raise self._full(f"{size / 1e9:.1f} GB")
        scratch = self.root / f"{_SCRATCH}{socket.gethostname()}-{os.getpid()}-{uuid4().hex[:8]}"
        try:
            scratch.mkdir(parents=True)
        except OSError as error:
            raise UsageError("E703", "the cache cannot be written", where=str(self.root), got=error.strerror) from None
        try:
            writer = EntryWriter(scratch, key)
            yield writer
            writer.finish()
            self._place(scratch, self.root / key)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            raise self._full("room for all of them") from None
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        self._make_room(0, spare=key)

    def entries(self) -> list[Stored]:
        """Return all entries, the one used last first."""
        found = [stored for path in self._folders() if (stored := _opened(path)) is not None]
        return sorted(found, key=lambda stored: (-stored.used, stored.path.name))

    def clear(self) -> int:
        """Remove all entries and all scratch that nobody writes any more; return how many entries went."""
        self.sweep()
        found = self.entries()
        for stored in found:
            self._remove(stored.path)
        return len(found)

    def sweep(self) -> None:
        """Remove the scratch of runs that were killed."""
        if not self.root.is_dir():
            return
        for path in self.root.iterdir():
            if path.name.startswith(_SCRATCH) and _left_behind(path):
                shutil.rmtree(path, ignore_errors=True)

    def _make_room(self, size: int, spare: str = "") -> None:
        """Remove the entries used longest ago until ``size`` more bytes keep within the limit; ``spare`` stays."""
        limit, entries = self.limit, self.entries()
        total = sum(entry.bytes for entry in entries) + size
        for entry in reversed(entries):
            if total <= limit:
                return
            if entry.path.name != spare:
                self._remove(entry.path)
                total -= entry.bytes

    def _place(self, scratch: Path, entry: Path) -> None:
        """Rename whole scratch to its entry, unless another run was faster: its entry is as good."""
        try:
            scratch.rename(entry)
        except OSError:
            if _opened(entry) is None:
                self._remove(entry)  # what a power failure may have left of it
                scratch.rename(entry)

    def _full(self, expected: str) -> DataError:
        return DataError(
            "E240",
            "the encoded rows do not fit on the disk",
            where=str(self.root),
            got=f"{self._free() / 1e9:.1f} GB free",
            expected=expected,
            fix="free some space, or name a folder on another disk: DEEPWRIGHT_CACHE=FOLDER",
        )

    def _folders(self) -> list[Path]:
        return [path for path in self.root.iterdir() if not path.name.startswith(".")] if self.root.is_dir() else []

    def _free(self) -> int:
        place = self.root
        while not place.exists():
            place = place.parent
        return shutil.disk_usage(place).free

    def _remove(self, path: Path) -> None:
        """Remove an entry, its manifest first, so that what is left of it never counts as whole."""
        with suppress(OSError):
            (path / _MANIFEST).unlink()
        shutil.rmtree(path, ignore_errors=True)


def default_store() -> Store | None:
    """Return the store of this user, or nothing if ``DEEPWRIGHT_CACHE=off``.

    ``DEEPWRIGHT_CACHE`` names its directory, by default ``deepwright`` in the platform's cache directory (``XDG_CACHE_HOME`` or
    ``~/.cache``, ``~/Library/Caches``, ``%LOCALAPPDATA%``); ``DEEPWRIGHT_CACHE_SIZE`` (``5GB``) bounds it.

    Raises:
        UsageError: The size is none (E701).
    """
    place = os.environ.get("DEEPWRIGHT_CACHE", "")
    if place.lower() in ("off", "0", "no", "none"):
        return None
    size = os.environ.get("DEEPWRIGHT_CACHE_SIZE", "").strip()
    return Store(Path(place).expanduser() if place else _platform_cache() / "deepwright", _bytes(size) if size else None)


def key_of(*parts: Any) -> str:
    """Return the key of an entry: the SHA-256 of plain values, the store's format and the version of NumPy among them."""
    text = json.dumps([FORMAT, np.__version__, *parts], sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def hash_file(path: Path) -> str:
    """Return the SHA-256 of a file, read in pieces."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _platform_cache() -> Path:
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def _bytes(text: str) -> int:
    number = text.lower().rstrip("ib").rstrip()
    unit = number[-1] if number[-1:] in _UNITS else ""
    try:
        return int(float(number.removesuffix(unit)) * _UNITS[unit])
    except ValueError:
        raise UsageError("E701", "not a size", where="DEEPWRIGHT_CACHE_SIZE", got=text, expected="such as 5GB or 800MB") from None


def _opened(path: Path) -> Stored | None:
    """Return the entry at ``path`` if its manifest is there and its files have their sizes."""
    try:
        manifest = json.loads((path / _MANIFEST).read_text(encoding="utf-8"))
        sizes = all((path / entry["file"]).stat().st_size == entry["bytes"] for entry in manifest["arrays"].values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return Stored(path, manifest) if sizes and manifest.get("format") == FORMAT and manifest.get("key") == path.name else None


def _whole(path: Path, entry: Mapping[str, Any]) -> bool:
    try:
        return hash_file(path) == str(entry["sha256"])
    except OSError:
        return False


def _left_behind(scratch: Path) -> bool:
    """Return whether the run that wrote here is gone: its process on this machine, or nothing changed for a day."""
    host, _, rest = scratch.name.removeprefix(_SCRATCH).rpartition("-")[0].rpartition("-")
    try:
        newest = max(file.stat().st_mtime for file in (scratch, *scratch.iterdir()))
    except OSError:
        return False  # it has just been renamed or removed
    if time.time() - newest > STALE:
        return True
    return host == socket.gethostname() and rest.isdigit() and sys.platform != "win32" and not _alive(int(rest))


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
