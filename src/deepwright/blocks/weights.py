"""Weights from files without code: ``.npz`` and ``.safetensors``, matched to a network by name and shape."""

from __future__ import annotations

import difflib
import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from deepwright.errors import DataError, Problem

Weights = dict[str, Tensor]

SHOWN = 10
"""How many names of each kind of mistake an error lists."""
MOST_EXPANSION = 100
"""How many times as large as the file its arrays may be: weights hardly compress."""
PREFIXES = ("module.", "model.", "backbone.", "encoder.", "network.", "net.")
"""What training scripts put before every name; an error proposes the renaming that takes one off."""


def read_weights(path: Path, where: str) -> Weights:
    """Read the tensors of a file, on the CPU.

    Args:
        path: The file.
        where: The file, for messages.

    Raises:
        DataError: The file is damaged, or holds what is no numbers (E202).
    """
    try:
        return _npz(path) if path.suffix.lower() == ".npz" else load_file(path)
    except (OSError, ValueError, EOFError, KeyError, MemoryError, SafetensorError, zipfile.BadZipFile) as error:
        raise DataError(
            "E202",
            "the file of weights cannot be read",
            where=where,
            got=str(error).splitlines()[0] if str(error) else type(error).__name__,
            expected=f"a whole {path.suffix} file of numbers by name",
            fix="fetch or write the file again",
        ) from None


def _npz(path: Path) -> Weights:
    if not zipfile.is_zipfile(path):
        raise ValueError("not an archive of arrays, or cut short")
    with zipfile.ZipFile(path) as names:
        size = sum(entry.file_size for entry in names.infolist())
    if size > MOST_EXPANSION * max(path.stat().st_size, 1 << 20):
        raise ValueError(f"it would expand to {size / 1e9:.1f} GB")
    with np.load(path, allow_pickle=False) as archive:
        found = {}
        for name in archive.files:
            array = archive[name]
            if array.dtype.kind not in "fiub":
                raise ValueError(f"{name} holds {array.dtype}, not numbers")
            found[name] = torch.from_numpy(np.array(array, order="C"))
        return found


def renamed(weights: Mapping[str, Tensor], rename: Mapping[str, str | None], where: str) -> Weights:
    """Return weights under new names.

    Args:
        weights: By the names of the file.
        rename: Regular expressions and what replaces them, all applied to each name in turn; ``None`` leaves the names out.
        where: The file.

    Raises:
        DataError: Names become equal (E276).
    """
    found: Weights = {}
    origin: dict[str, str] = {}
    clashes = []
    for old, tensor in weights.items():
        name: str | None = old
        for pattern, new in rename.items():
            if name is not None and new is None:
                name = None if re.search(pattern, name) else name
            elif name is not None and new is not None:
                name = re.sub(pattern, new, name)
        if name is None:
            continue
        if name in found:
            clashes.append(f"{origin[name]} and {old} both become {name}")
        found[name], origin[name] = tensor, old
    if clashes:
        raise DataError("E276", "renaming makes names equal", where=where, got=_few(clashes), fix="make the patterns narrower")
    return found


def load_weights(network: nn.Module, weights: Mapping[str, Tensor], where: str, *, dropped: Sequence[str] = ()) -> None:
    """Copy weights into a network; every parameter and every running statistic must be there.

    Other buffers (the mean of pictures, counters of batches) may be missing.

    Args:
        network: What takes them.
        weights: By the network's own names, of any numeric type.
        where: The file, for messages.
        dropped: Beginnings of names that the network left away, such as those of its classifier, which may be there.

    Raises:
        DataError: Names are missing or left over, shapes differ, or values are not finite; all of them in one error (E276).
    """
    known = dict(network.state_dict())
    needed = {name for name, _ in network.named_parameters()}
    needed |= {name for name in known if name.endswith(("running_mean", "running_var"))}
    missing = sorted(needed - set(weights))
    left = sorted(name for name in weights if name not in known and not name.startswith(tuple(dropped)))
    shared = [name for name in known if name in weights]
    shapes = [
        f"{name}: {_shape(weights[name])} in the file, {_shape(known[name])} in the network"
        for name in shared
        if weights[name].shape != known[name].shape
    ]
    # A float16 that overflowed, or a training that broke, would only be seen when the first loss is not finite.
    broken = [name for name in shared if weights[name].is_floating_point() and not bool(torch.isfinite(weights[name]).all())]
    problems = []
    if missing:
        got = [name + _near(name, left) for name in missing]
        fix = _renaming(missing, left)
        text = f"{len(missing)} of {len(needed)} names of the network are not in the file"
        problems.append(Problem("E276", text, where, _few(got), fix=fix))
    if left:
        got = [name + _near(name, missing) for name in left]
        text = f"{len(left)} of {len(weights)} names of the file are not in the network"
        fix = "rename them, or leave them out:  rename: {'^NAME': null}"
        problems.append(Problem("E276", text, where, _few(got), fix=fix))
    if shapes:
        fix = "choose the network that the weights were learnt with"
        problems.append(Problem("E276", f"{len(shapes)} shapes differ", where, _few(shapes), fix=fix))
    if broken:
        fix = "take weights from before the training broke"
        problems.append(Problem("E276", f"{len(broken)} tensors hold NaN or infinity", where, _few(broken), fix=fix))
    if problems:
        raise DataError.of(problems)
    with torch.no_grad():
        for name in shared:
            known[name].copy_(weights[name])


def _shape(tensor: Tensor) -> str:
    return "×".join(map(str, tensor.shape)) or "one value"


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN:,} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _near(name: str, others: Sequence[str]) -> str:
    """Return the nearest of the names that found no counterpart either: most likely it is the same tensor."""
    inside = [other for other in others if other.endswith("." + name) or name.endswith("." + other)]
    near = inside[:1] or difflib.get_close_matches(name, others, 1)
    return f" (near: {near[0]})" if near else ""


def _renaming(missing: Sequence[str], left: Sequence[str]) -> str:
    """Return the renaming that would help, if it is a beginning of every name."""
    for prefix in PREFIXES:
        if set(missing) <= {name.removeprefix(prefix) for name in left if name.startswith(prefix)}:
            pattern = "^" + re.escape(prefix)
            return f"rename: {{'{pattern}': ''}}"
    return "rename: {'PATTERN': 'REPLACEMENT'} maps the names of the file to those of the network"
