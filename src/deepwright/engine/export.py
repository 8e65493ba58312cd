"""Export to ONNX, and the gate that compares the graph with the model before anyone may use it (floor 5)."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from deepwright.datapath import Arrays, lengths, trimmed
from deepwright.engine.torch_backend import TorchStep
from deepwright.errors import ExportError, need
from deepwright.facts import EMBEDDING, SEQUENCES, Facts
from deepwright.families import Step
from deepwright.model import Model
from deepwright.runtime import OnnxBackend, step_path
from deepwright.trees import balanced_rows

TOLERANCE = 1e-4
"""The largest difference that passes: absolute for probabilities, in units of ``1 + |value| / scale`` for values."""
BATCHES = (1, 2, 3, 8, 33)
"""The batch sizes that are compared."""


@dataclass(frozen=True)
class Parity:
    """How far the exported graph is from the model.

    Args:
        difference: The largest difference over all cases.
        batches: The batch sizes compared.
        rows: The rows compared, edge rows included.
        edge_rows: Rows made of missing, unseen and extreme values.
        lengths: How many different lengths of sequences were compared.
    """

    difference: float
    batches: tuple[int, ...]
    rows: int
    edge_rows: int
    lengths: int = 0


class _Graph(nn.Module):
    """The model with positional inputs and outputs, which is what a graph has."""

    def __init__(self, model: Model, names: tuple[str, ...]) -> None:
        super().__init__()
        self.model = model
        self.names = names

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        return tuple(results(self.model, dict(zip(self.names, tensors, strict=True))).values())


def results(model: Model, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return all that leaves the graph: what is predicted, and the vectors of the inputs by :data:`EMBEDDING` and their names."""
    encoded = model.encoded(tensors)
    vectors = {f"{EMBEDDING}{name}": vector for name, vector in model.embeddings(encoded).items()}
    return vectors | model.predict(model.raw(encoded))


def export(model: Model, arrays: Arrays, path: Path) -> None:
    """Write the graph from encoded arrays to values and probabilities, with a free batch size and free lengths of sequences.

    Args:
        model: The trained model, on any device; it is exported in fp32 on the CPU.
        arrays: A few encoded rows.
        path: The ``.onnx`` file to write.

    Raises:
        ExportError: The network cannot be exported (E502).
    """
    need("onnx", extra="train")
    need("onnxscript", extra="train")
    names = tuple(arrays)
    graph = _Graph(model, names).cpu().eval()
    model.requires_grad_(requires_grad=False)  # as it predicts: attention is trained in another way than it is exported
    example = tuple(torch.from_numpy(np.require(array, requirements=["C", "W"])) for array in _example(arrays).values())
    with torch.inference_mode():
        outputs = list(results(graph.model, dict(zip(names, example, strict=True))))
    batch = torch.export.Dim("batch", min=1)
    places = {name: {1: torch.export.Dim(f"places{i}", min=1)} for i, name in enumerate(names) if _is_sequence(name)}
    _write(graph, example, path, names, outputs, {"tensors": tuple({0: batch} | places.get(name, {}) for name in names)})
    for place, name in enumerate(model.writers):
        _export_step(graph.model, name, example, names, step_path(path, place))


class _StepGraph(nn.Module):
    """The step of a text, with the weights that it shares with an input's encoder."""

    def __init__(self, model: Model, name: str) -> None:
        super().__init__()
        self.model = model
        self.name = name

    def forward(self, memory: Tensor, state: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        return self.model.writer(self.name).step(memory, state, tokens)


def _export_step(model: Model, name: str, arrays: Sequence[Tensor], names: Sequence[str], path: Path) -> None:
    """Write the graph of a text's steps; the sizes of the batch, of what was read, was written, and comes next are free.

    Its outputs are ``log_p``, and ``lines`` that are added to the state or the ``state`` itself.
    """
    writer = model.writer(name)
    with torch.inference_mode():
        memory = model.predict(model(dict(zip(names, arrays, strict=True))))[name].clone()
    if memory.shape[1] > 1:
        memory = nn.functional.pad(memory, (0, 0, 0, 3), value=torch.nan)
    rows = len(memory)
    state = torch.full((rows, 3 if writer.grows else 1, writer.state_width), torch.nan)
    tokens = torch.ones((rows, 4), dtype=torch.int64)
    batch, read, written, more = (torch.export.Dim(each, min=1) for each in ("rows", "read", "written", "more"))
    shapes = {
        "memory": {0: batch, 1: read} if memory.shape[1] > 1 else {0: batch},
        "state": {0: batch, 1: written} if writer.grows else {0: batch},
        "tokens": {0: batch, 1: more},
    }
    outputs = ["log_p", "lines" if writer.grows else "next_state"]
    _write(_StepGraph(model, name).eval(), (memory, state, tokens), path, tuple(shapes), outputs, shapes)


def _write(
    graph: nn.Module,
    example: tuple[Tensor, ...],
    path: Path,
    names: Sequence[str],
    outputs: Sequence[str],
    shapes: dict[str, Any],
) -> None:
    from deepwright.engine.translations import TRANSLATIONS

    try:
        with _quiet():
            torch.onnx.export(
                graph,
                example,
                path,
                dynamo=True,
                input_names=list(names),
                output_names=list(outputs),
                dynamic_shapes=shapes,
                custom_translation_table=TRANSLATIONS,
                external_data=False,
                verbose=False,
            )
    except (torch.onnx.OnnxExporterError, RuntimeError, TypeError, ValueError) as error:
        cause = str(error).strip().splitlines()
        raise ExportError(
            "E502",
            "the model cannot be exported to ONNX",
            got=cause[0] if cause else type(error).__name__,
            fix="the bundle is written without a graph and predicts with PyTorch only",
        ) from error


def _is_sequence(name: str) -> bool:
    return name.rpartition(".")[2] in SEQUENCES


def _example(arrays: Arrays) -> Arrays:
    """Return two rows to trace the network with; their sequences have a few places at least, since 1 would be taken for fixed."""
    return {
        name: np.pad(array[:2], [(0, 0), (0, max(0, 5 - array.shape[1]))] + [(0, 0)] * (array.ndim - 2))
        if _is_sequence(name)
        else array[:2]
        for name, array in trimmed({name: array[:2] for name, array in arrays.items()}).items()
    }


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's own chatter from users; what fails is raised anyway."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def compare(model: Model, path: Path, arrays: Arrays, facts: Mapping[str, Facts], scales: Mapping[str, float]) -> Parity:
    """Run graph and model on real rows and edge rows in several batch sizes.

    Args:
        model: The model, in fp32 on the CPU.
        path: The graph.
        arrays: Encoded rows (any number).
        facts: What the encoders know, to make edge rows from.
        scales: The scale of each output: 1 for probabilities, the target's scale for values.

    Raises:
        ExportError: They differ by more than the tolerance (E501).
    """
    edges = edge_rows(arrays, facts)
    count = len(next(iter(edges.values())))
    rows = {name: np.concatenate([edges[name], array[: max(BATCHES) * 4]]) for name, array in arrays.items()}
    total = len(next(iter(rows.values())))
    backend = OnnxBackend(path, vectors=None, writers=model.writers)
    model.eval()
    worst, seen = 0.0, set()
    for size in BATCHES:
        for start in range(0, min(total, size * 16), size):
            whole = {name: array[start : start + size] for name, array in rows.items()}
            part = {name: np.ascontiguousarray(array) for name, array in trimmed(whole).items()}
            with torch.inference_mode():
                theirs = results(model, {name: torch.from_numpy(array) for name, array in part.items()})
            runs = [backend.run(part)]
            if known := lengths(part):
                seen.add(tuple(part[name].shape[1] for name in known))
                # What stands behind the end of all rows must not count.
                runs.append(backend.run({name: np.ascontiguousarray(array) for name, array in whole.items()}))
            for name, value in theirs.items():
                worst = max(worst, *(_difference(_cut(run[name], value), value.numpy(), scales.get(name, 1.0)) for run in runs))
            for name in model.writers:
                worst = max(worst, _step_difference(backend.steps[name], TorchStep(model.writer(name)), theirs[name].numpy()))
    if not worst <= TOLERANCE:
        raise ExportError(
            "E501",
            "the exported graph disagrees with the trained model",
            got=f"largest difference {worst:.2g}",
            expected=f"at most {TOLERANCE:g}",
            fix="the bundle is written without a graph and predicts with PyTorch only; please report this",
        )
    return Parity(worst, BATCHES, total, count, len(seen))


def _step_difference(ours: Step, theirs: Step, memory: NDArray[np.float32]) -> float:
    """Return how far the steps of a text are apart: a few tokens at once, then one, and another, each with its own state."""
    rng = np.random.default_rng(len(memory))
    states = [np.full((len(memory), 1, theirs.state_width), np.nan, np.float32) for _ in range(2)]
    worst, size = 0.0, 0
    for count in (1 + len(memory) % 4, 1, 1):
        size = size or theirs(memory, states[1], np.zeros((len(memory), 1), np.int64))[0].shape[2]
        tokens = rng.integers(0, size, (len(memory), count))
        (found, states[0]), (wanted, states[1]) = (
            step(memory, state, tokens) for step, state in zip((ours, theirs), states, strict=True)
        )
        worst = max(worst, _difference(found, wanted, 1.0), _difference(states[0], states[1], 1.0))
    return worst


def _cut(ours: NDArray[np.float32], theirs: Tensor) -> NDArray[np.float32]:
    """Return what the graph gave for padded rows as if they were cut to the longest."""
    return ours[:, : theirs.shape[1]] if ours.ndim == theirs.ndim == 3 and ours.shape[1] > theirs.shape[1] else ours


def _difference(ours: NDArray[np.float32], theirs: NDArray[np.float32], scale: float) -> float:
    if ours.shape != theirs.shape:
        return float("inf")
    both_nan = np.isnan(ours) & np.isnan(theirs)
    gap = np.abs(ours.astype(np.float64) - theirs) / (scale + np.abs(theirs.astype(np.float64)))
    return float(np.where(both_nan, 0.0, gap).max(initial=0.0))


def edge_rows(arrays: Arrays, facts: Mapping[str, Facts]) -> Arrays:
    """Return six rows at the edges of what the wire can carry: missing, unseen, extreme, all dark, all bright, empty, noise."""
    rows: Arrays = {}
    rng = np.random.default_rng(0)
    for name, array in arrays.items():
        group, _, kind = name.rpartition(".")
        shape, zeros = array.shape[1:], np.zeros(array.shape[1:], array.dtype)
        if kind == "prompt":
            rows[name] = np.zeros((6, *shape), array.dtype)
            continue
        known = facts[group]
        if kind == "numbers":
            low = np.array([n.edges[0] if n.edges else -3.0 for n in known.numbers], np.float32)
            high = np.array([n.edges[-1] if n.edges else 3.0 for n in known.numbers], np.float32)
            extreme = np.full(shape, 1e4, np.float32)
            rows[name] = np.stack([np.full(shape, np.nan, np.float32), low, high, -extreme, extreme, zeros])
        elif kind == "categories":
            last = np.array([c.size - 1 for c in known.categories], np.int32)
            rows[name] = np.stack([zeros, zeros + 1, last, zeros, last, zeros + 1])
        elif kind in ("tokens", "grams"):
            size = (known.tokens.size if kind == "tokens" else known.tokens.grams) if known.tokens is not None else 2
            short = np.where(np.arange(len(zeros)) < 1, 1, 0).astype(np.int32)
            noise = rng.integers(1, size, (2, *shape), np.int32)
            rows[name] = np.stack([zeros, short, zeros + 1, zeros + size - 1, *noise])
        elif kind == "words":
            most = arrays[f"{group}.tokens"].shape[1]
            climb = np.minimum(np.arange(1, len(zeros) + 1), most).astype(np.int32)
            short = np.where(np.arange(len(zeros)) < 1, 1, 0).astype(np.int32)
            rows[name] = np.stack([zeros, short, climb, climb, climb, short])
        elif kind == "tree":
            rows[name] = balanced_rows((rows[f"{group}.tokens"] != 0).sum(1), shape[0])
        elif kind == "letters":
            size = known.tokens.letters if known.tokens is not None else 2
            noise = rng.integers(0, size, (4, *shape)).astype(np.uint8)
            rows[name] = np.stack([zeros, zeros + 1, *noise])
        elif kind == "lengths":
            longest = arrays[next(key for key in arrays if key.startswith(f"{group}.") and _is_sequence(key))].shape[1]
            rows[name] = np.array([0, 1, longest, longest, longest, max(1, longest // 2)], np.int32)
        elif kind == "series":
            learnt = known.series
            mean, spread = (np.asarray(each, np.float32) for each in ((learnt.mean, learnt.std) if learnt is not None else (0, 1)))
            away = (0, np.nan, 100, -100, rng.normal(size=shape))
            rows[name] = np.stack([zeros, *(np.broadcast_to(mean + each * spread, shape).astype(np.float32) for each in away)])
        elif kind == "window":
            climb = np.broadcast_to(np.linspace(-3, 3, shape[0], dtype=np.float32)[:, None], shape)
            noise = rng.normal(size=shape).astype(np.float32)
            # The last digits of float32 are lost where a window is far from its mean: no edge is much farther than 10 of them.
            rows[name] = np.stack([zeros, zeros + 100, zeros - 100, climb, noise, 3 * noise])
        elif kind == "sound":
            loud = np.full(shape, 32767, np.int16)
            rows[name] = np.stack([zeros, zeros, zeros, loud, *rng.integers(-32768, 32767, (2, *shape), np.int16)])
        else:
            dark, bright = np.zeros(shape, np.uint8), np.full(shape, 255, np.uint8)
            rows[name] = np.stack([dark, bright, *rng.integers(0, 256, (4, *shape), np.uint8)])
    return rows
