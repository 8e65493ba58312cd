"""Encoded targets, some of which may be unknown."""

from __future__ import annotations

import torch
from torch import Tensor


def known(target: Tensor) -> Tensor:
    """Return which rows (B,) of an encoded target have a value; see :meth:`deepwright.families.Feature.target`."""
    there = ~torch.isnan(target) if target.is_floating_point() else target >= 0
    return there if there.ndim == 1 else there.all(dim=1)


def weight(target: Tensor, rows: Tensor | None) -> Tensor:
    """Return what each row (B,) counts: its weight if there are any, else 1; nothing where the target is unknown."""
    there = known(target)
    return there.float() if rows is None else there * rows
