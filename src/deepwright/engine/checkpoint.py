"""Checkpoints without pickle: tensors in safetensors, everything else in JSON, written atomically and hashed."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from safetensors.torch import load, save
from torch import Tensor

from deepwright.bundle import write_atomically
from deepwright.errors import TrainingError

NAME = "checkpoint.safetensors"
_DIGEST = hashlib.sha256().digest_size


def save_checkpoint(directory: Path, state: dict[str, Any]) -> None:
    """Write a nested state of dictionaries, lists, tensors and plain values; the former checkpoint stays until it is whole.

    The file is a SHA-256 followed by the safetensors bytes, so that a torn file is told from a whole one. The one before is
    kept as ``checkpoint.safetensors.1``.
    """
    tensors: dict[str, Tensor] = {}
    tree = _flatten(state, tensors)
    body = save(tensors, {"tree": json.dumps(tree)})
    target = directory / NAME
    if target.exists():
        target.replace(target.with_suffix(".safetensors.1"))
    write_atomically(target, hashlib.sha256(body).digest() + body)


def load_checkpoint(directory: Path) -> tuple[dict[str, Any], list[str]] | None:
    """Read the newest whole checkpoint, or ``None`` if there is none.

    Returns:
        The state, and one line for each newer file that had to be passed over.

    Raises:
        TrainingError: E404, there are checkpoints but all are damaged.
    """
    body, skipped = read_checkpoint(directory)
    return None if body is None else (parse_checkpoint(body), skipped)


def parse_checkpoint(body: bytes) -> dict[str, Any]:
    """Return the state that the bytes of a checkpoint hold."""
    header = json.loads(body[8 : 8 + int.from_bytes(body[:8], "little")])
    state: dict[str, Any] = _unflatten(json.loads(header["__metadata__"]["tree"]), load(body))
    return state


def read_checkpoint(directory: Path) -> tuple[bytes | None, list[str]]:
    """Read the bytes of the newest whole checkpoint, or ``None`` if there is none.

    Returns:
        The bytes, and one line for each newer file that had to be passed over.

    Raises:
        TrainingError: E404, there are checkpoints but all are damaged.
    """
    skipped: list[str] = []
    for file in (directory / NAME, (directory / NAME).with_suffix(".safetensors.1")):
        if not file.exists():
            continue
        data = file.read_bytes()
        if hashlib.sha256(data[_DIGEST:]).digest() != data[:_DIGEST]:
            skipped.append(f"{file.name} is damaged (its hash does not match); the one before it is used")
            continue
        return data[_DIGEST:], skipped
    if skipped:
        raise TrainingError("E404", "every checkpoint is damaged", where=str(directory), fix=f"remove {directory} and train again")
    return None, skipped


def _flatten(node: Any, tensors: dict[str, Tensor]) -> Any:
    if isinstance(node, Tensor):
        key = str(len(tensors))
        # safetensors refuses shared storage: weights kept as the best ones may be views of the same memory.
        tensors[key] = node.detach().cpu().contiguous().clone()
        return {"#tensor": key}
    if isinstance(node, dict):
        return {"#dict": [[key, _flatten(value, tensors)] for key, value in node.items()]}
    if isinstance(node, list | tuple):
        return {"#list": [_flatten(value, tensors) for value in node]}
    if node is None or isinstance(node, bool | int | float | str):
        return node
    raise TypeError(f"a checkpoint cannot hold a {type(node).__name__}")


def _unflatten(node: Any, tensors: dict[str, Tensor]) -> Any:
    if not isinstance(node, dict):
        return node
    if "#tensor" in node:
        return tensors[node["#tensor"]]
    if "#dict" in node:
        return {key: _unflatten(value, tensors) for key, value in node["#dict"]}
    return [_unflatten(value, tensors) for value in node["#list"]]
