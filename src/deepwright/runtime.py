"""The torch-free predictor: encode, run the graph, decode (floor 5)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np
import onnxruntime
import polars as pl
from numpy.typing import NDArray

from deepwright.bundle import Bundle
from deepwright.datapath import Arrays, DataPath, joined, lengths, pictured, rows_at_once, tidied, trimmed
from deepwright.derive import needed_columns
from deepwright.errors import BundleError, DataError, UsageError, nearest
from deepwright.facts import COUNTED, EMBEDDING
from deepwright.families import Step, Writer
from deepwright.media import DTYPES
from deepwright.origins import Reach, foretells, latest, step_of, windowed
from deepwright.progress import Event, Listener, silent
from deepwright.recipe import Recipe
from deepwright.table import Table
from deepwright.timeline import following

Outputs = dict[str, NDArray[np.float32]]

CHUNK = 1024
"""Rows a run of the graph: large enough to be fast, small enough that what flows through the network fits in memory."""
BLOCK = 16 * CHUNK
"""Rows encoded at once; pictures and sounds, which are much larger than table rows, go by ``CHUNK``."""


class Backend(Protocol):
    """What computes outputs from encoded arrays."""

    @property
    def steps(self) -> Mapping[str, Step]:
        """The graph that each output which is a text is written with."""

    def run(self, arrays: Arrays) -> Outputs:
        """Return values (B,) or probabilities (B, classes) by output."""


class OnnxBackend:
    """ONNX Runtime on the CPU.

    Args:
        path: The ``.onnx`` file.
        threads: Threads within an operator; by default all cores.
        vectors: Whether the vectors of the inputs are returned instead of the predictions; ``None``: both.
        writers: The outputs that are texts; the graph of the first's steps lies beside as ``model.step0.onnx``, and so on.
    """

    def __init__(
        self, path: Path, threads: int | None = None, *, vectors: bool | None = False, writers: Sequence[str] = ()
    ) -> None:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        # Threads that wait by spinning take the cores from whatever else runs, and were measured to be slower then.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        if threads is not None:
            options.intra_op_num_threads = threads
        # Bytes, not a path: the session then neither keeps the file open (Windows) nor minds where it lies.
        self.session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
        self.names = [output.name for output in self.session.get_outputs() if vectors in (None, output.name.startswith(EMBEDDING))]
        self.wanted = {given.name for given in self.session.get_inputs()}
        self.steps: dict[str, Step] = {name: OnnxStep(step_path(path, place), options) for place, name in enumerate(writers)}

    def run(self, arrays: Arrays) -> Outputs:
        """Return values (B,) or probabilities (B, classes) by output."""
        given = {name: array for name, array in arrays.items() if name in self.wanted}
        return dict(zip(self.names, self.session.run(self.names, given), strict=True))


def step_path(path: Path, place: int) -> Path:
    """Return where the graph of a text's steps lies, beside the graph at ``path``."""
    return path.with_name(f"{path.stem}.step{place}.onnx")


class OnnxStep:
    """The graph of a text's steps; see :class:`deepwright.families.Step`.

    Args:
        path: The ``.onnx`` file.
        options: Of the session.
    """

    def __init__(self, path: Path, options: onnxruntime.SessionOptions) -> None:
        self.session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
        shapes = {given.name: given.shape for given in self.session.get_inputs()}
        self.wanted = set(shapes)
        self.state_width = int(shapes["state"][2])
        self.grows = self.session.get_outputs()[1].name == "lines"

    def __call__(
        self, memory: NDArray[np.float32], state: NDArray[np.float32], tokens: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return log p of the next tokens (B, U, V), and the state with these."""
        given = {"memory": memory, "state": state, "tokens": tokens}
        given = {name: np.ascontiguousarray(array) for name, array in given.items() if name in self.wanted}
        log_p, lines = self.session.run(None, given)
        return log_p, np.concatenate([state, lines], 1) if self.grows else lines


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
        self.backend: Backend = backend or OnnxBackend(bundle.file("model.onnx"), writers=writers_of(bundle.recipe))

    def outputs(self, ready: Table, listener: Listener = silent, *, judged: bool = False) -> Outputs:
        """Return the outputs of prepared rows.

        Args:
            ready: The rows.
            listener: Hears how far it is.
            judged: Whether texts that are known are judged: their likelihood is told, too.
        """

        def encode(part: Table) -> Arrays:
            arrays = self.data.encode(part)
            if judged:
                return arrays | self.data.written(self.data.targets(part))
            self.data.check_prompts(arrays)
            return arrays

        return run_in_chunks(self.backend, ready, encode, self.data, listener)

    def predict(self, table: Table, listener: Listener = silent) -> pl.DataFrame:
        """Predict from raw rows: for each output its value, and the probability of each class.

        Forecasts are the rows behind the last one in which anything is known, with their times.

        Raises:
            DataError: The rows do not fit the model's inputs.
        """
        if foretells(self.bundle.recipe):
            return self._foretold(table, listener)
        ready = self.data.prepare(tidied(self.bundle.recipe, table), outputs=False)
        for note in (*ready.notes, *(self.data.unseen(ready) if listener is not silent else ())):
            listener(Event("note", note.text, values={"what": note.what, "count": note.count}))
        return self.data.decode(self.outputs(ready, listener), ready.frame)

    def compared(self) -> list[str]:
        """Return the two groups of inputs that the model compares, or none.

        They are those of an output that is a match, or share an encoder.
        """
        recipe, groups = self.bundle.recipe, list(self.data.groups())
        if any(facts.kind == "match" for facts in self.data.target_facts().values()):
            return groups
        twins = [name for name, feature in recipe.inputs.items() if feature.same_as is not None]
        return [name for name in groups if name in (twins[0], recipe.inputs[twins[0]].same_as)] if twins else []

    def embed(self, table: Table, of: str | None = None, listener: Listener = silent) -> NDArray[np.float32]:
        """Return the vector (B, D) that the network makes of each raw row.

        Args:
            table: The rows.
            of: The input whose vector is wanted (``tabular``: of all columns without an encoder of their own); by default the
                first of two inputs that are compared, else the vector of all inputs together.
            listener: Hears of progress.

        Raises:
            UsageError: The model has no such vector (E706).
            DataError: The rows do not fit, or hold no column of that input.
        """
        graph = OnnxBackend(self.bundle.file("model.onnx"), vectors=True)
        name, columns = _asked(self.data, graph.names, of, self.compared())
        if not any(column in table.columns for column in columns):
            raise DataError(
                "E107",
                "no column of the input is there",
                where=table.name,
                got=", ".join(table.columns[:20]),
                expected=", ".join(columns[:20]),
                fix=f"rename the column to {columns[0]}, or ask for the vector of another input: --of INPUT",
            )
        graph.names = [name]
        ready = self.data.prepare(tidied(self.bundle.recipe, table), outputs=False)
        listener(Event("embed", f"the vectors of {name.removeprefix(EMBEDDING) or 'all inputs together'}", values={"of": name}))
        found = run_in_chunks(graph, ready, self.data.encode, self.data, listener, decided=dict)
        return found[name] if len(ready) else np.zeros((0, 1), np.float32)

    def _foretold(self, table: Table, listener: Listener) -> pl.DataFrame:
        line, ready, last = latest(self.data, table)
        arrays, _, notes = windowed(self.data, ready, range(last, last + 1), outputs=False)
        for note in (*ready.notes, *notes):
            listener(Event("note", note.text, values={"what": note.what, "count": note.count}))
        frame = self.data.decode(run_rows(self.backend, self.data, arrays, 1), ready.frame)
        first, known = last + Reach.of(self.data.recipe).first, line.table.frame[line.time]
        times = known[first : last + 1] if first <= last else following(known[last], step_of(self.data), len(frame))
        return frame.insert_column(0, times.alias(line.time))


def _asked(data: DataPath, names: Sequence[str], of: str | None, compared: Sequence[str]) -> tuple[str, list[str]]:
    """Return the graph's name of a vector, and the columns that it is made of.

    Raises:
        UsageError: There is no such vector (E706).
    """
    groups, derived = data.groups(), data.recipe.data.derive
    usual = compared[:1] if compared and f"{EMBEDDING}{compared[0]}" in names else list(groups) if len(groups) == 1 else [""]
    chosen = of if of is not None else usual[0]
    if (name := f"{EMBEDDING}{chosen}") in names:
        columns = groups.get(chosen) or [column for group in groups.values() for column in group]
        return name, list(dict.fromkeys([*columns, *(needed_columns(derived) if set(columns) & set(derived) else ())]))
    known = [each.removeprefix(EMBEDDING) for each in names]
    raise UsageError(
        "E706",
        f"the model has no vector of {chosen!r}{nearest(chosen, known)}" if known else "the model has no vectors",
        got=", ".join(each for each in known if each) or "outputs of places only, or a bundle of an earlier version",
        expected="an input of the model",
    )


def writers_of(recipe: Recipe) -> tuple[str, ...]:
    """Return the outputs of a resolved recipe that are texts written token by token."""
    return tuple(name for name, feature in recipe.outputs.items() if isinstance(feature.head, Writer))


def run_in_chunks(
    backend: Backend,
    ready: Table,
    encode: Callable[[Table], Arrays],
    data: DataPath,
    listener: Listener = silent,
    decided: Callable[[Outputs], Outputs] | None = None,
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

        for name, values in run_rows(backend, data, arrays, len(part), tell, decided, first).items():
            collected.setdefault(name, []).append(values)
    return {name: joined(parts) for name, parts in collected.items()}


def run_rows(
    backend: Backend,
    data: DataPath,
    arrays: Arrays,
    rows: int,
    tell: Callable[[int], None] = lambda done: None,
    decided: Callable[[Outputs], Outputs] | None = None,
    first: int = 0,
) -> Outputs:
    """Run the graph on encoded rows, in chunks that fit into memory, and return the outputs' values in the rows' order.

    Args:
        backend: What computes.
        data: What knows how an output is searched.
        arrays: Encoded rows.
        rows: How many they are.
        tell: Hears how many are done.
        decided: From what leaves the graph to what is returned; by default to the values of ``data``'s outputs.
        first: The number of the first row.
    """
    collected: dict[str, list[NDArray[np.float32]]] = {}
    done, places = 0, []
    for chosen, chunk in _chunks(arrays, rows, dense=bool(pictured(data.recipe))):
        places.append(chosen)
        left = backend.run(chunk)
        values_of = data.decided(left, chunk, backend.steps, first + chosen) if decided is None else decided(left)
        for name, values in values_of.items():
            collected.setdefault(name, []).append(values)
        done += len(chosen)
        tell(done)
    back = np.argsort(np.concatenate(places), kind="stable")
    return {name: joined(parts)[back] for name, parts in collected.items()}


def _chunks(arrays: Arrays, rows: int, *, dense: bool) -> Iterator[tuple[NDArray[np.int64], Arrays]]:
    """Yield the rows of each chunk and their arrays; sequences of about one length go together, so that little is padded."""
    known = lengths(arrays)
    if not known:
        size = rows_at_once(arrays, CHUNK, dense=dense)
        for start in range(0, rows, size):
            chunk = {key: np.ascontiguousarray(array[start : start + size]) for key, array in arrays.items()}
            yield np.arange(start, min(start + size, rows)), chunk
        return
    order = np.argsort(np.sum(list(known.values()), axis=0), kind="stable")
    while len(order):
        # The longest rows first, which tell how many fit.
        longest = trimmed({key: array[order[-1:]] for key, array in arrays.items()})
        taken = order[-rows_at_once(longest, CHUNK, dense=dense) :]
        order = order[: -len(taken)]
        chunk = trimmed({key: array[taken] for key, array in arrays.items()})
        yield taken, {key: np.ascontiguousarray(array) for key, array in chunk.items()}


def _empty(data: DataPath, name: str) -> NDArray[np.float32]:
    facts = data.target_facts()[name]
    if facts.kind in COUNTED:
        return np.zeros((0, 0), np.float32)
    classes = len(facts.classes)
    return np.zeros((0, classes) if classes else (0,), np.float32)
