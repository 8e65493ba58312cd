"""Huber's loss."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from deepwright.facts import TargetFacts, TargetKind
from deepwright.families import Loss

if TYPE_CHECKING:
    from deepwright.blocks.contract import RowLoss


class Huber(Loss):
    """Squared near the target and absolute far from it (Huber 1964): smooth, and robust to outliers."""

    kinds: ClassVar[tuple[TargetKind, ...]] = ("number", "forecast", "image")

    delta: float = Field(1.0, gt=0)
    """Where squared turns into absolute, in units of the target's own scale."""

    def build(self, facts: TargetFacts) -> RowLoss:
        """Return ``d²/2`` for a distance d up to ``delta`` and ``delta (d - delta/2)`` beyond."""
        from deepwright.blocks.losses import huber_error

        return partial(huber_error, delta=self.delta)
