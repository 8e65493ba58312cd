"""What the optimizers share, and those that PyTorch does not have in the form needed."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, overload

import torch
from torch import Tensor

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""The coefficients of the quintic iteration; chosen for a steep rise at zero, so that 5 steps do."""


def rated(groups: list[dict[str, Any]], lr: float) -> list[dict[str, Any]]:
    """Return the parameter groups with ``lr`` and ``initial_lr``: ``lr``, or what a group brings itself, times its ``rate`` if any.

    The engine sets ``group["lr"] = group["initial_lr"] * multiplier`` before each step.
    """
    peaks = [group.get("lr", lr) * group.get("rate", 1.0) for group in groups]
    return [{**group, "lr": peak, "initial_lr": peak} for group, peak in zip(groups, peaks, strict=True)]


def advance(optimizer: torch.optim.Optimizer) -> None:
    """Make one step of an optimizer, as its ``step`` does.

    What surrounds the fused kernels of Adam, AdamW and SGD (hooks, records for the profiler, groups by device) takes three times as
    long as the kernel itself for a network of 75,000 parameters, measured on two cores: 150 of 1,300 µs a step. The parameters of a
    model are of one device and one type, so that the kernel can be called at once.
    """
    if type(optimizer) not in _FUSED:
        optimizer.step()
        return
    tensors_of, kernel = _FUSED[type(optimizer)]
    found = [tensors for group in optimizer.param_groups if (tensors := tensors_of(optimizer, group)) is not None]
    if len(found) < len(optimizer.param_groups):
        optimizer.step()
        return
    with torch.no_grad():
        for group, tensors in zip(optimizer.param_groups, found, strict=True):
            if tensors[0]:
                kernel(group, tensors)


Tensors = list[list[Tensor]]


def _learning(group: dict[str, Any]) -> list[Tensor] | None:
    """Return the parameters of a group that have a gradient; nothing where the kernel is not for them: they are sharded."""
    found = [p for p in group["params"] if p.grad is not None]
    return found if group["fused"] and all(type(p) is torch.nn.Parameter for p in found) else None


def _adam_tensors(optimizer: torch.optim.Optimizer, group: dict[str, Any]) -> Tensors | None:
    """Return what Adam's kernel works on; nothing before the first step, which makes the state."""
    learning = _learning(group)
    states = [optimizer.state[p] for p in learning or () if p in optimizer.state]
    if learning is None or len(states) < len(learning):
        return None
    largest = [state["max_exp_avg_sq"] for state in states] if group["amsgrad"] else []
    means, squares, steps = ([state[key] for state in states] for key in ("exp_avg", "exp_avg_sq", "step"))
    return [learning, [p.grad for p in learning if p.grad is not None], means, squares, largest, steps]


def _adam(group: dict[str, Any], tensors: Tensors) -> None:
    torch._foreach_add_(tensors[-1], 1)
    (torch._fused_adamw_ if group["decoupled_weight_decay"] else torch._fused_adam_)(
        *tensors,
        amsgrad=group["amsgrad"],
        lr=group["lr"],
        beta1=group["betas"][0],
        beta2=group["betas"][1],
        weight_decay=group["weight_decay"],
        eps=group["eps"],
        maximize=group["maximize"],
    )


def _sgd_tensors(optimizer: torch.optim.Optimizer, group: dict[str, Any]) -> Tensors | None:
    """Return what SGD's kernel works on; nothing before the first step with momentum, which makes the state."""
    learning = _learning(group)
    momenta = [optimizer.state[p].get("momentum_buffer") for p in learning or () if group["momentum"]]
    if learning is None or any(momentum is None for momentum in momenta):
        return None
    return [learning, [p.grad for p in learning if p.grad is not None], momenta]


def _sgd(group: dict[str, Any], tensors: Tensors) -> None:
    torch._fused_sgd_(
        *tensors,
        weight_decay=group["weight_decay"],
        momentum=group["momentum"],
        lr=group["lr"],
        dampening=group["dampening"],
        nesterov=group["nesterov"],
        maximize=group["maximize"],
        is_first_step=False,
    )


_FUSED: dict[type, tuple[Callable[..., Tensors | None], Callable[[dict[str, Any], Tensors], None]]] = {
    torch.optim.Adam: (_adam_tensors, _adam),
    torch.optim.AdamW: (_adam_tensors, _adam),
    torch.optim.SGD: (_sgd_tensors, _sgd),
}


def orthogonalize(matrix: Tensor, steps: int = 5) -> Tensor:
    """Move all singular values of ``matrix`` (…, rows, columns) near 1 by Newton–Schulz iterations.

    ``X ← aX + (bA + cA²)X`` with ``A = XXᵀ``, from ``X = G / ‖G‖``. The singular values end in about 0.7…1.2.
    """
    a, b, c = NEWTON_SCHULZ
    tall = matrix.shape[-2] > matrix.shape[-1]
    x = matrix.mT if tall else matrix
    # bfloat16 has tensor cores to run on; a CPU without them is slower and less exact with it.
    x = x.to(torch.bfloat16 if matrix.is_cuda else torch.float32)
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    result: Tensor = x.mT if tall else x
    return result.to(matrix.dtype)


class Muon(torch.optim.Optimizer):
    """Muon for the weights of linear layers and 2-D convolutions, AdamW for everything else, in one optimizer.

    Muon (K. Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/) steps along the orthogonalised momentum of each weight
    matrix; a convolution's weight is taken as (channels out, all else). Its step is scaled by ``0.2 √max(rows, columns)``
    (arXiv 2502.16982), so that one learning rate serves both rules.

    A group with ``"matrices": True`` follows Muon, others AdamW (arXiv 1711.05101).

    Args:
        groups: Parameter groups with ``lr``, ``weight_decay`` and ``matrices``.
        momentum: Muon's momentum, in Nesterov's form.
        betas: AdamW's decay of the mean and of the square of gradients.
        eps: AdamW's epsilon.
        steps: Newton–Schulz iterations.
    """

    def __init__(
        self,
        groups: list[dict[str, Any]],
        momentum: float = 0.95,
        betas: tuple[float, float] = (0.9, 0.95),
        eps: float = 1e-8,
        steps: int = 5,
    ) -> None:
        super().__init__(groups, {"momentum": momentum, "betas": betas, "eps": eps, "steps": steps, "matrices": False})

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Make one step along the gradients that the parameters hold."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            update = self._muon if group["matrices"] else self._adamw
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    update(parameter, parameter.grad, self.state[parameter], group)
        return loss

    @staticmethod
    def _muon(parameter: Tensor, gradient: Tensor, state: dict[str, Tensor], group: dict[str, Any]) -> None:
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        state["momentum"].lerp_(gradient, 1 - group["momentum"])
        ahead = gradient.lerp(state["momentum"], group["momentum"]).flatten(1)
        scale = 0.2 * math.sqrt(max(ahead.shape))
        parameter.add_(orthogonalize(ahead, group["steps"]).view(parameter.shape), alpha=-group["lr"] * scale)

    @staticmethod
    def _adamw(parameter: Tensor, gradient: Tensor, state: dict[str, Tensor], group: dict[str, Any]) -> None:
        if not state:
            state["step"] = torch.zeros(())
            state["mean"] = torch.zeros_like(parameter)
            state["square"] = torch.zeros_like(parameter)
        first, second = group["betas"]
        state["step"] += 1
        count = state["step"].item()
        state["mean"].lerp_(gradient, 1 - first)
        state["square"].mul_(second).addcmul_(gradient, gradient, value=1 - second)
        root = (state["square"] / (1 - second**count)).sqrt_().add_(group["eps"])
        parameter.addcdiv_(state["mean"], root, value=-group["lr"] / (1 - first**count))


def split_matrices(groups: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Divide each group into the weights that Muon is for, ``"matrices": True``, and the rest.

    Those are weights of 2 or 4 axes with more than one row. Groups without weight decay, beside one that has it, hold
    embeddings, which AdamW suits better.
    """
    decays = any(group["weight_decay"] > 0 for group in groups)
    divided = []
    for group in groups:
        open_to = group["weight_decay"] > 0 or not decays
        fits = [p for p in group["params"] if open_to and p.ndim in (2, 4) and p.shape[0] > 1]
        taken = {id(p) for p in fits}
        rest = [p for p in group["params"] if id(p) not in taken]
        divided += [{**group, "params": some, "matrices": flag} for some, flag in ((fits, True), (rest, False)) if some]
    return divided
