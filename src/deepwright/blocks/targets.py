"""Encoded targets, some of which may be unknown."""

from __future__ import annotations

import torch
from torch import Tensor


def known(target: Tensor) -> Tensor:
    """Return which rows (B,) of an encoded target have a value; see :meth:`deepwright.families.Feature.target`."""
    if target.is_floating_point():
        there = ~torch.isnan(target)
        # Of a forecast one value is enough: its loss leaves out the others.
        return there if there.ndim == 1 else there.all(dim=1) if there.ndim == 2 else there.flatten(1).any(dim=1)
    # Of the labels of a sequence or of pixels one is enough: the others stand behind its end, or are unknown themselves.
    return target >= 0 if target.ndim == 1 else (target >= 0).flatten(1).any(dim=1)


def weight(target: Tensor, rows: Tensor | None) -> Tensor:
    """Return what each row (B,) counts: its weight if there are any, else 1; nothing where the target is unknown."""
    there = known(target)
    return there.float() if rows is None else there * rows
