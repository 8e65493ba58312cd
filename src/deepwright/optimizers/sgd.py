"""The optimizer ``sgd``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from deepwright.families import Optimizer

if TYPE_CHECKING:
    import torch


class SGD(Optimizer):
    """Stochastic gradient descent with momentum (Polyak 1964, Sutskever et al. 2013); the usual choice for convolutions."""

    lr: float = Field(0.05, gt=0)
    """The peak learning rate; the schedule multiplies it."""
    momentum: float = Field(0.9, ge=0, lt=1)
    """How much of the last step goes on; 0 is plain gradient descent."""
    nesterov: bool = True
    """Whether the gradient is looked at ahead, after the momentum (Nesterov 1983); nothing without momentum."""

    def build(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """Build the optimizer over parameter groups, whose ``weight_decay`` is already set."""
        import torch

        from deepwright.blocks.optimization import rated

        nesterov = self.nesterov and self.momentum > 0
        return torch.optim.SGD(rated(groups, self.lr), lr=self.lr, momentum=self.momentum, nesterov=nesterov, fused=True)
