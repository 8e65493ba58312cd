"""The pinball loss."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from deepwright.facts import TargetFacts, TargetKind
from deepwright.families import Loss

if TYPE_CHECKING:
    from deepwright.blocks.contract import RowLoss


class Pinball(Loss):
    """The loss whose minimum are quantiles (Koenker & Bassett 1978), averaged over those that are foretold."""

    kinds: ClassVar[tuple[TargetKind, ...]] = ("forecast",)

    def build(self, facts: TargetFacts) -> RowLoss:
        """Return ``2 max(q d, (q - 1) d)`` of ``d = target - raw``: of the median alone, the absolute error."""
        from deepwright.blocks.losses import pinball_error

        quantiles = facts.forecast.quantiles if facts.forecast is not None else ()
        return partial(pinball_error, quantiles=quantiles or (0.5,))
