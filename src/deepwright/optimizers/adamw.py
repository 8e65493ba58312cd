"""The optimizer ``adamw``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from deepwright.families import Optimizer

if TYPE_CHECKING:
    import torch

Unit = Annotated[float, Field(ge=0, lt=1)]


class AdamW(Optimizer):
    """Adam with weight decay apart from the gradient (Loshchilov & Hutter, arXiv 1711.05101); the usual choice."""

    lr: float = Field(1e-3, gt=0)
    """The peak learning rate; the schedule multiplies it."""
    weight_decay: float = Field(0.01, ge=0)
    """Weight decay, times the learning rate; biases, normalisations and embeddings are exempt."""
    betas: tuple[Unit, Unit] = (0.9, 0.999)
    """How slowly the means of the gradient and of its square forget."""
    eps: float = Field(1e-8, gt=0)
    """Added to the root of the squares' mean, against a division by zero."""
    amsgrad: bool = False
    """Whether the squares' mean never falls (arXiv 1904.09237)."""

    def build(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """Build the optimizer over parameter groups, whose ``weight_decay`` is already set."""
        import torch

        from deepwright.blocks.optimization import rated

        return torch.optim.AdamW(
            rated(groups, self.lr), lr=self.lr, betas=self.betas, eps=self.eps, amsgrad=self.amsgrad, fused=True
        )
