"""The optimizer ``rmsprop``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from deepwright.families import Optimizer

if TYPE_CHECKING:
    import torch


class RMSprop(Optimizer):
    """RMSprop (Tieleman & Hinton 2012): steps scaled by the recent root mean square of each gradient."""

    lr: float = Field(1e-3, gt=0)
    """The peak learning rate; the schedule multiplies it."""
    alpha: float = Field(0.99, ge=0, lt=1)
    """How slowly the mean of the squares forgets."""
    eps: float = Field(1e-8, gt=0)
    """Added to the root of the squares' mean, against a division by zero."""
    momentum: float = Field(0.0, ge=0, lt=1)
    """How much of the last step goes on."""
    centered: bool = False
    """Whether the gradient's mean is taken out of the squares (arXiv 1308.0850)."""

    def build(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """Build the optimizer over parameter groups, whose ``weight_decay`` is already set."""
        import torch

        from deepwright.blocks.optimization import rated

        return torch.optim.RMSprop(
            rated(groups, self.lr),
            lr=self.lr,
            alpha=self.alpha,
            eps=self.eps,
            momentum=self.momentum,
            centered=self.centered,
            foreach=True,
        )
