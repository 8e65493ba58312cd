"""The optimizer ``adagrad``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field

from deepwright.families import Optimizer

if TYPE_CHECKING:
    import torch


class Adagrad(Optimizer):
    """Adagrad (Duchi et al., JMLR 12, 2011): steps scaled by the sum of all squared gradients; for rare, sparse features."""

    lr: float = Field(1e-2, gt=0)
    """The peak learning rate; the schedule multiplies it."""
    eps: float = Field(1e-10, gt=0)
    """Added to the root of the squares' sum, against a division by zero."""

    def build(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """Build the optimizer over parameter groups, whose ``weight_decay`` is already set."""
        import torch

        from deepwright.blocks.optimization import rated

        return torch.optim.Adagrad(rated(groups, self.lr), lr=self.lr, eps=self.eps)
