"""Files behind a URL, fetched once into the store through fsspec (floor 2)."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from deepwright.errors import DataError, need
from deepwright.files import suffix_of
from deepwright.store import Store, default_store, key_of

_BLOCK = 1 << 22
_TELLING = ("ETag", "etag", "md5Hash", "crc32c", "checksum", "mtime", "LastModified", "last_modified", "updated", "created")
"""The entries of fsspec's ``info`` that change when a file does."""


def is_url(path: str) -> bool:
    """Return whether a path is a URL, such as ``s3://bucket/rows.parquet``."""
    return "://" in path


def fetch(url: str, suffixes: Collection[str]) -> list[tuple[str, Path]]:
    """Return the name and the local copy of every file that a URL stands for: a file, a folder, or a pattern with ``*``.

    A file is fetched if the store has no copy of it with the same size and time of change (or checksum, where there is one).

    Args:
        url: A URL of any protocol that fsspec knows; credentials are found as that protocol finds them.
        suffixes: What the names of a folder's files end in.

    Raises:
        MissingExtra: fsspec, or what it needs for the protocol, is not installed.
        DataError: Nothing is there (E200), it cannot be read (E201), or the cache is off (E241).
    """
    fsspec = need("fsspec", extra="cloud")
    store = default_store()
    if store is None:
        raise DataError("E241", "remote files are fetched into the cache, which is off", where=url, fix="unset DEEPWRIGHT_CACHE")
    try:
        system, root = fsspec.core.url_to_fs(url)
        if any(sign in root for sign in "*?["):
            names = sorted(system.glob(root))
        elif system.isdir(root):
            names = sorted(name for name in system.find(root) if suffix_of(name) in suffixes)
        else:
            names = [root]
        if not names:
            raise FileNotFoundError
        return [(name, _copy(system, name, url.partition("://")[0], store)) for name in names]
    except FileNotFoundError:
        raise DataError("E200", "no such file", where=url, fix="check the address") from None
    except ImportError as error:
        raise DataError("E201", "the protocol needs another package", where=url, got=str(error), fix=str(error)) from None
    except (OSError, ValueError) as error:
        raise DataError("E201", "the file cannot be read", where=url, got=str(error), fix="check the rights") from None


def _copy(system: Any, name: str, protocol: str, store: Store) -> Path:
    info = system.info(name)
    key = key_of("fetched", protocol, name, info.get("size"), {entry: str(info[entry]) for entry in _TELLING if entry in info})
    stored = store.get(key)
    if stored is None:
        with store.writing(key, int(info.get("size") or 0)) as writer:
            writer.file("file", _blocks(system, name), suffix_of(name))
        stored = store.get(key)
    if stored is None:
        raise DataError("E240", "the fetched file was removed while it was written", where=name)
    return stored.file("file")


def _blocks(system: Any, name: str) -> Iterator[bytes]:
    with system.open(name, "rb") as file:
        while block := file.read(_BLOCK):
            yield block
