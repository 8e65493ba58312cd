"""Encoded rows kept between runs, where that pays, and on disk where they do not fit into memory (floor 5, free of torch)."""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator

import polars as pl
from PIL import __version__ as pillow

from deepwright import media, sounds
from deepwright.datapath import Arrays, DataPath
from deepwright.errors import DeepwrightError, RecipeError
from deepwright.machine import available_memory
from deepwright.progress import Event, Listener
from deepwright.store import Store, Stored, key_of
from deepwright.table import Table, fingerprint

LEAST_SECONDS = 1.0
"""Encoding that takes less is not kept."""
LEAST_CELLS = 20_000_000
"""Tables with fewer values are not even looked up: their encoding takes less than :data:`LEAST_SECONDS`, and hashing them would
cost as much. Files of pictures and sounds are always looked up: to decode one takes 50 times as long as to hash it."""
SHARE = 0.25
"""Encoded training rows that would fill more than this share of the available memory stay on disk."""

_SLICE = 4096


def encode_cached(data: DataPath, ready: Table, store: Store | None, listener: Listener) -> Arrays:
    """Return the arrays of prepared rows: from the store if it holds them, else encoded, and kept there if that took long.

    The key is made of the prepared values themselves, of files of pictures and sounds the path, size and time of change, and of the
    features and what they learnt: what is equal in all of these has equal arrays.
    """
    if store is None or not _worth_it(data, ready):
        return _encode(data, ready)
    key = _key("arrays", data, ready)
    if (stored := store.get(key)) is not None:
        return {name: stored.load(name) for name in stored.names}
    began = time.monotonic()
    arrays = _encode(data, ready)
    if time.monotonic() - began >= LEAST_SECONDS:
        try:
            with store.writing(key, sum(array.nbytes for array in arrays.values())) as writer:
                for name, array in arrays.items():
                    writer.put(name, array)
        except DeepwrightError as error:  # the run goes on without it
            listener(Event("warning", f"the encoded rows are not kept for the next run: {error}", values={"code": error.code}))
    return arrays


def too_large(data: DataPath, ready: Table) -> bool:
    """Return whether encoded training rows belong on disk: declared by ``data.stream``, or too large for the memory."""
    if data.recipe.data.stream != "auto" or not len(ready):
        return data.recipe.data.stream is True
    one = _encode(data, ready.with_frame(ready.frame.head(1)))
    return sum(array.nbytes for array in one.values()) * len(ready) > SHARE * available_memory()


def encode_stored(data: DataPath, ready: Table, store: Store | None) -> Stored:
    """Encode prepared rows into the store, some thousand at a time: inputs as ``group.array``, targets as ``target name``.

    Raises:
        RecipeError: There is no store (E241).
        DataError: The disk is too full (E240), or a file cannot be decoded (E265, E266).
    """
    if store is None:
        raise RecipeError(
            "E241", "streamed rows are trained from the cache, which is off", where="data.stream", fix="unset DEEPWRIGHT_CACHE"
        )
    key = _key("rows", data, ready)
    if (stored := store.get(key)) is not None:
        return stored
    blocks = _blocks(data, ready)
    first = next(blocks)
    size = sum(array.nbytes for array in first.values()) * len(ready) // min(len(ready), _SLICE)
    with store.writing(key, size) as writer:
        arrays = {name: writer.array(name, (len(ready), *array.shape[1:]), array.dtype) for name, array in first.items()}
        for block in itertools.chain([first], blocks):
            for name, array in block.items():
                arrays[name].append(array)
    written = store.get(key)
    if written is None:
        raise RecipeError("E240", "the encoded rows were removed while they were written", where=str(store.root))
    return written


def _blocks(data: DataPath, ready: Table) -> Iterator[Arrays]:
    for start in range(0, len(ready), _SLICE):
        part = ready.with_frame(ready.frame[start : start + _SLICE])
        yield _encode(data, part) | {f"target {name}": array for name, array in data.targets(part).items()}


def _encode(data: DataPath, ready: Table) -> Arrays:
    with media.threads(data.recipe.data.workers):
        return data.encode(ready)


def _worth_it(data: DataPath, ready: Table) -> bool:
    return len(ready) * len(data.inputs) >= LEAST_CELLS or bool(len(ready) and _media_files(data, ready))


def _media_files(data: DataPath, ready: Table) -> list[str]:
    """Return the inputs that hold files of pictures or sounds, or their paths; arrays of pixels need no decoding."""
    files = [name for name, feature in data.recipe.inputs.items() if feature.dtype in media.DTYPES]
    return [name for name in files if ready.frame[name].dtype in (pl.Binary, pl.String)]


def _key(kind: str, data: DataPath, ready: Table) -> str:
    from deepwright import __version__

    wanted = [*data.inputs, *(data.outputs if kind == "rows" else ())]
    changed = []
    for name in _media_files(data, ready):
        if ready.frame[name].dtype == pl.String:
            changed.append([_stamp(path) for path in ready.frame[name].to_list()])
    features = {
        name: feature.model_dump(mode="json", exclude={"encoder", "augment"}) for name, feature in data.recipe.inputs.items()
    }
    groups = data.groups()
    values = fingerprint(Table(ready.frame.select(list(dict.fromkeys(wanted)))))
    states = data.dump()
    versions = [__version__, pl.__version__, pillow, *sounds.libraries()]
    return key_of(kind, *versions, values, changed, features, groups, states["inputs"], states["outputs"])


def _stamp(path: str | None) -> list[int]:
    try:
        found = os.stat(path) if path is not None else None
    except OSError:
        return []  # decoding will say what is wrong with it
    return [found.st_size, found.st_mtime_ns] if found is not None else []
