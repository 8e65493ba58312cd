"""Export to ONNX, and the gate that compares the graph with the model before anyone may use it (floor 5)."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from deepwright.datapath import Arrays
from deepwright.errors import ExportError, need
from deepwright.families import Facts
from deepwright.model import Model
from deepwright.runtime import OnnxBackend

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
    """

    difference: float
    batches: tuple[int, ...]
    rows: int
    edge_rows: int


class _Graph(nn.Module):
    """The model with positional inputs and outputs, which is what a graph has."""

    def __init__(self, model: Model, names: tuple[str, ...]) -> None:
        super().__init__()
        self.model = model
        self.names = names

    def forward(self, *tensors: Tensor) -> tuple[Tensor, ...]:
        predictions = self.model.predict(self.model(dict(zip(self.names, tensors, strict=True))))
        return tuple(predictions[name] for name in self.model.outputs)


def export(model: Model, arrays: Arrays, path: Path) -> None:
    """Write the graph from encoded arrays to values and probabilities, with a free batch size.

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
    example = tuple(torch.from_numpy(np.require(arrays[name][:2], requirements=["C", "W"])) for name in names)
    batch = torch.export.Dim("batch", min=1)
    try:
        with _quiet():
            torch.onnx.export(
                graph,
                example,
                path,
                dynamo=True,
                input_names=list(names),
                output_names=list(model.outputs),
                dynamic_shapes={"tensors": tuple({0: batch} for _ in names)},
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
    backend = OnnxBackend(path)
    model.eval()
    worst = 0.0
    for size in BATCHES:
        for start in range(0, min(total, size * 16), size):
            part = {name: np.ascontiguousarray(array[start : start + size]) for name, array in rows.items()}
            ours = backend.run(part)
            with torch.inference_mode():
                theirs = model.predict(model({name: torch.from_numpy(array) for name, array in part.items()}))
            for name, value in theirs.items():
                difference = _difference(ours[name], value.numpy(), scales[name])
                worst = max(worst, difference)
    if not worst <= TOLERANCE:
        raise ExportError(
            "E501",
            "the exported graph disagrees with the trained model",
            got=f"largest difference {worst:.2g}",
            expected=f"at most {TOLERANCE:g}",
            fix="the bundle is written without a graph and predicts with PyTorch only; please report this",
        )
    return Parity(worst, BATCHES, total, count)


def _difference(ours: NDArray[np.float32], theirs: NDArray[np.float32], scale: float) -> float:
    if ours.shape != theirs.shape:
        return float("inf")
    both_nan = np.isnan(ours) & np.isnan(theirs)
    gap = np.abs(ours.astype(np.float64) - theirs) / (scale + np.abs(theirs.astype(np.float64)))
    return float(np.where(both_nan, 0.0, gap).max(initial=0.0))


def edge_rows(arrays: Arrays, facts: Mapping[str, Facts]) -> Arrays:
    """Return rows at the edges of what the wire can carry: missing, unseen, extreme, all dark, all bright, noise."""
    rows: Arrays = {}
    rng = np.random.default_rng(0)
    for name, array in arrays.items():
        group, _, kind = name.rpartition(".")
        known = facts[group]
        shape = array.shape[1:]
        if kind == "numbers":
            low = np.array([n.edges[0] if n.edges else -3.0 for n in known.numbers], np.float32)
            high = np.array([n.edges[-1] if n.edges else 3.0 for n in known.numbers], np.float32)
            extreme = np.full(shape, 1e4, np.float32)
            rows[name] = np.stack([np.full(shape, np.nan, np.float32), low, high, -extreme, extreme, np.zeros(shape, np.float32)])
        elif kind == "categories":
            last = np.array([c.size - 1 for c in known.categories], np.int32)
            rows[name] = np.stack(
                [
                    np.zeros(shape, np.int32),
                    np.ones(shape, np.int32),
                    last,
                    np.zeros(shape, np.int32),
                    last,
                    np.ones(shape, np.int32),
                ]
            )
        else:
            dark, bright = np.zeros(shape, np.uint8), np.full(shape, 255, np.uint8)
            rows[name] = np.stack([dark, bright, *rng.integers(0, 256, (4, *shape), np.uint8)])
    return rows
