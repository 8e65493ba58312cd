"""Weights averaged along training: what is evaluated and kept instead of the weights that the last step left.

Parameters and floating-point buffers are averaged alike, so that the statistics of batch normalisations fit the averaged
weights; integer buffers are copied. All arithmetic is in place and in order of the state dictionary: the same run gives the same
bits.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class Averager:
    """Keeps an average of a model's weights; a checkpoint holds :meth:`state_dict`.

    Attributes:
        average: The averaged floating-point tensors by their names in the model's state dictionary; empty before :meth:`start`.
    """

    def __init__(self) -> None:
        self.average: dict[str, Tensor] = {}

    def start(self, model: nn.Module) -> None:
        """Take the weights that training starts from; called once, before the first step of a new run."""
        self.average = {name: value.detach().clone() for name, value in _floating(model).items()}

    def update(self, model: nn.Module, step: int, steps: int) -> None:
        """Take in the weights after an optimizer step.

        Args:
            model: The model that is trained.
            step: Steps done, from 1.
            steps: Steps in all.
        """
        raise NotImplementedError

    def weights(self, model: nn.Module) -> dict[str, Tensor]:
        """Return a state dictionary of the model with the average in it, to be evaluated and kept; the model stays as it is.

        The tensors are the averager's own, or the model's where nothing is averaged yet: clone what is to be kept.
        """
        return {name: self.average.get(name, value) for name, value in model.state_dict().items()}

    def state_dict(self) -> dict[str, Any]:
        """Return all that a resumed run needs, of tensors and plain values."""
        return {"average": self.average}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state_dict` gave; the tensors may lie on another device."""
        self.average = {name: value.clone() for name, value in state["average"].items()}

    def to(self, device: torch.device | str) -> None:
        """Move the average, as after loading a checkpoint, whose tensors are on the CPU."""
        self.average = {name: value.to(device) for name, value in self.average.items()}

    @torch.no_grad()
    def _approach(self, model: nn.Module, share: float) -> None:
        """Move the average towards the model's weights: ``average += share (weights - average)``."""
        live = _floating(model)
        pairs = [(self.average[name], value) for name, value in live.items()]
        for dtype in dict.fromkeys(value.dtype for _, value in pairs):
            some = [(own, value) for own, value in pairs if value.dtype == dtype]
            torch._foreach_lerp_([own for own, _ in some], [value for _, value in some], share)


class ExponentialAverage(Averager):
    """``average ← d average + (1 - d) weights`` after every step.

    With the warm-up, d is at most ``(1 + t) / (10 + t)`` after t steps: the start of training is forgotten soon.

    Args:
        decay: d, in [0, 1).
        warmup: Whether d rises to ``decay`` from 0.1.
    """

    def __init__(self, decay: float, *, warmup: bool) -> None:
        super().__init__()
        self.decay = decay
        self.warmup = warmup

    def update(self, model: nn.Module, step: int, steps: int) -> None:
        """Take in the weights after a step."""
        decay = min(self.decay, (1 + step) / (10 + step)) if self.warmup else self.decay
        self._approach(model, 1 - decay)


class EqualAverage(Averager):
    """The mean of the weights at every k-th step of the last part of training (SWA, arXiv 1803.05407).

    Args:
        start: The fraction of training after which averaging begins, in [0, 1).
        every: k.
    """

    def __init__(self, start: float, every: int) -> None:
        super().__init__()
        self.begin = start
        self.every = every
        self.count = 0

    def start(self, model: nn.Module) -> None:
        """Begin with nothing: until averaging begins, the weights are the model's."""
        self.average, self.count = {}, 0

    def update(self, model: nn.Module, step: int, steps: int) -> None:
        """Take in the weights after a step, if it is one that counts; the last step always is."""
        since = step - int(self.begin * steps) - 1
        if since < 0 or (since % self.every and step != steps):
            return
        if not self.count:
            super().start(model)
        self.count += 1
        self._approach(model, 1 / self.count)

    def state_dict(self) -> dict[str, Any]:
        """Return all that a resumed run needs, of tensors and plain values."""
        return {**super().state_dict(), "count": self.count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what :meth:`state_dict` gave."""
        super().load_state_dict(state)
        self.count = state["count"]


class SlowWeights(Averager):
    """Lookahead (arXiv 1907.08610): every k steps slow weights move towards the trained ones, which start again from there.

    Slow weights keep a share of ``decay * progress ** power`` of themselves, as in airbench (arXiv 2404.00498), where it rises to
    0.95⁵ with the cube of progress; after the last step the model holds the slow weights.

    Args:
        every: k.
        decay: The share at the end; the paper's α is 1 - decay.
        power: How late it rises; 0 keeps it constant, as in the paper.
    """

    def __init__(self, every: int, decay: float, power: float) -> None:
        super().__init__()
        self.every = every
        self.decay = decay
        self.power = power

    def update(self, model: nn.Module, step: int, steps: int) -> None:
        """Take in the weights after a step; every k-th changes the model's weights, too."""
        if step % self.every == 0:
            self._approach(model, 1 - self.decay * (step / steps) ** self.power)
        if step % self.every == 0 or step == steps:
            with torch.no_grad():
                for name, value in _floating(model).items():
                    value.copy_(self.average[name])


@torch.no_grad()
def swap(model: nn.Module, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Put weights into a model, in place, and return those that it held, as clones.

    Args:
        model: The model.
        weights: A whole state dictionary, such as :meth:`Averager.weights` gives.
    """
    held = {name: value.clone() for name, value in model.state_dict().items()}
    for name, value in model.state_dict().items():
        value.copy_(weights[name])
    return held


def _floating(model: nn.Module) -> dict[str, Tensor]:
    return {name: value for name, value in model.state_dict().items() if value.is_floating_point()}
