"""The torch-free predictor: encode, run the graph, decode (floor 5)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np
import onnxruntime
import polars as pl
from numpy.typing import NDArray

from deepwright.bundle import Bundle
from deepwright.datapath import Arrays, DataPath, joined, lengths, rows_at_once, tidied, trimmed
from deepwright.errors import BundleError, DataError
from deepwright.media import DTYPES
from deepwright.progress import Event, Listener, silent
from deepwright.table import Table

Outputs = dict[str, NDArray[np.float32]]

CHUNK = 1024
"""Rows a run of the graph: large enough to be fast, small enough that what flows through the network fits in memory."""
BLOCK = 16 * CHUNK
"""Rows encoded at once; pictures and sounds, which are much larger than table rows, go by ``CHUNK``."""


class Backend(Protocol):
    """What computes outputs from encoded arrays."""

    def run(self, arrays: Arrays) -> Outputs:
        """Return values (B,) or probabilities (B, classes) by output."""


class OnnxBackend:
    """ONNX Runtime on the CPU.

    Args:
        path: The ``.onnx`` file.
        threads: Threads within an operator; by default all cores.
    """

    def __init__(self, path: Path, threads: int | None = None) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        # Threads that wait by spinning take the cores from whatever else runs, and were measured to be slower then.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if threads is not None:
            options.intra_op_num_threads = threads
        # Bytes, not a path: the session then neither keeps the file open (Windows) nor minds where it lies.
        self.session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
        self.names = [output.name for output in self.session.get_outputs()]

    def run(self, arrays: Arrays) -> Outputs:
        """Return values (B,) or probabilities (B, classes) by output."""
        return dict(zip(self.names, self.session.run(self.names, arrays), strict=True))


class Predictor:
    """Predicts from tables with what a bundle holds.

    Args:
        bundle: The bundle.
        backend: What computes; by default ONNX Runtime on the bundle's graph.

    Raises:
        BundleError: The bundle holds no graph (E305).
    """

    def __init__(self, bundle: Bundle, backend: Backend | None = None) -> None:
        if backend is None and not bundle.has("model.onnx"):
            raise BundleError(
                "E305",
                "the bundle holds no exported graph",
                where=str(bundle.path),
                fix='pip install "deepwright[train]" and predict with --engine torch',
            )
        self.bundle = bundle
        self.data = DataPath.load(bundle.recipe, bundle.states)
        self.backend: Backend = backend or OnnxBackend(bundle.file("model.onnx"))

    def outputs(self, ready: Table, listener: Listener = silent) -> Outputs:
        """Return what leaves the graph for prepared rows."""
        return run_in_chunks(self.backend, ready, self.data.encode, self.data, listener)

    def predict(self, table: Table, listener: Listener = silent) -> pl.DataFrame:
        """Predict from raw rows: for each output its value, and the probability of each class.

        Raises:
            DataError: The rows do not fit the model's inputs.
        """
        ready = self.data.prepare(tidied(self.bundle.recipe, table), outputs=False)
        for note in (*ready.notes, *(self.data.unseen(ready) if listener is not silent else ())):
            listener(Event("note", note.text, values={"what": note.what, "count": note.count}))
        return self.data.decode(self.outputs(ready, listener))


def run_in_chunks(
    backend: Backend, ready: Table, encode: Callable[[Table], Arrays], data: DataPath, listener: Listener = silent
) -> Outputs:
    """Encode a block of rows at a time, run the graph on chunks of it, and tell the listener how far it is."""
    if len(ready) == 0:
        return {name: _empty(data, name) for name in data.recipe.outputs}
    files = any(feature.dtype in DTYPES for feature in data.recipe.inputs.values())
    size = CHUNK if files else BLOCK
    collected: dict[str, list[NDArray[np.float32]]] = {}
    for first in range(0, len(ready), size):
        part = ready.with_frame(ready.frame.slice(first, size))
        try:
            arrays = encode(part)
        except DataError as error:
            # rows are counted within the block
            places = f", counted from row {first + 1:,}" if first else ""
            raise DataError.of(replace(problem, where=problem.where + places) for problem in error.problems) from None

        def tell(done: int, first: int = first) -> None:
            if len(ready) > CHUNK:
                listener(Event("predict", f"{first + done:,} of {len(ready):,} rows", (first + done) / len(ready)))

        for name, values in run_rows(backend, data, arrays, len(part), tell).items():
            collected.setdefault(name, []).append(values)
    return {name: joined(parts) for name, parts in collected.items()}


def run_rows(
    backend: Backend, data: DataPath, arrays: Arrays, rows: int, tell: Callable[[int], None] = lambda done: None
) -> Outputs:
    """Run the graph on encoded rows, in chunks that fit into memory, and return the outputs' values in the rows' order.

    Args:
        backend: What computes.
        data: What knows how an output is searched.
        arrays: Encoded rows.
        rows: How many they are.
        tell: Hears how many are done.
    """
    collected: dict[str, list[NDArray[np.float32]]] = {}
    done, places = 0, []
    for chosen, chunk in _chunks(arrays, rows):
        places.append(chosen)
        for name, values in data.decided(backend.run(chunk)).items():
            collected.setdefault(name, []).append(values)
        done += len(chosen)
        tell(done)
    back = np.argsort(np.concatenate(places), kind="stable")
    return {name: joined(parts)[back] for name, parts in collected.items()}


def _chunks(arrays: Arrays, rows: int) -> Iterator[tuple[NDArray[np.int64], Arrays]]:
    """Yield the rows of each chunk and their arrays; sequences of about one length go together, so that little is padded."""
    known = lengths(arrays)
    if not known:
        size = rows_at_once(arrays, CHUNK)
        for start in range(0, rows, size):
            yield np.arange(start, min(start + size, rows)), {key: array[start : start + size] for key, array in arrays.items()}
        return
    order = np.argsort(np.sum(list(known.values()), axis=0), kind="stable")
    while len(order):
        # The longest rows first, which tell how many fit.
        longest = trimmed({key: array[order[-1:]] for key, array in arrays.items()})
        taken = order[-rows_at_once(longest, CHUNK) :]
        order = order[: -len(taken)]
        chunk = trimmed({key: array[taken] for key, array in arrays.items()})
        yield taken, {key: np.ascontiguousarray(array) for key, array in chunk.items()}


def _empty(data: DataPath, name: str) -> NDArray[np.float32]:
    classes = len(data.target_facts()[name].classes)
    return np.zeros((0, classes) if classes else (0,), np.float32)
