"""The optimizer ``muon``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from deepwright.families import Optimizer

if TYPE_CHECKING:
    import torch

Unit = Annotated[float, Field(ge=0, lt=1)]


class Muon(Optimizer):
    """Muon (Jordan et al. 2024) for weight matrices and convolutions, AdamW for the rest, at one learning rate."""

    lr: float = Field(3e-3, gt=0)
    """The peak learning rate of both rules, two or three times what AdamW alone would take; the schedule multiplies it."""
    weight_decay: float = Field(0.01, ge=0)
    """Weight decay, times the learning rate; biases, normalisations and embeddings are exempt."""
    momentum: float = Field(0.95, ge=0, lt=1)
    """How slowly Muon's mean of the gradients forgets."""
    betas: tuple[Unit, Unit] = (0.9, 0.95)
    """How slowly AdamW's means of the gradient and of its square forget."""
    steps: int = Field(5, ge=1, le=20)
    """Newton–Schulz iterations, each of three matrix products a weight."""

    def build(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """Build the optimizer over parameter groups, whose ``weight_decay`` is already set."""
        from deepwright.blocks import optimization

        divided = optimization.split_matrices(optimization.rated(groups, self.lr))
        return optimization.Muon(divided, momentum=self.momentum, betas=self.betas, steps=self.steps)
