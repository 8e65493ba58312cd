"""Learning rates of parts and layers, freezing and gradual unfreezing (Howard & Ruder 2018, arXiv 1801.06146).

Which parameters learn at an epoch is a pure function of that epoch, so that a resumed run needs no state of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import nn

from deepwright.blocks.decay import weight_decay_groups
from deepwright.blocks.pretrained import Pretrained
from deepwright.errors import Problem, RecipeError, nearest

if TYPE_CHECKING:
    from deepwright.recipe import Rate


@dataclass(frozen=True)
class Layer:
    """Modules that learn at one rate and unfreeze at one time.

    Args:
        modules: The modules, whose parameters belong to no other layer.
        rate: Times the optimizer's learning rate.
        thaw: The epoch at which they begin to learn; infinite for never.
    """

    modules: tuple[nn.Module, ...]
    rate: float = 1.0
    thaw: float = 0.0


class Rates:
    """How fast each layer of a model learns, and from when on.

    Args:
        model: The whole model.
        parts: Its parts by the names that a recipe has for them.
        rates: What is declared of some of them; the rest learns at the optimizer's rate from the start.

    Attributes:
        layers: The layers of the declared parts; parameters that are in none learn from the start.
        freezes: Whether any layer is frozen at any time, that is, whether :meth:`freeze` has anything to do.

    Raises:
        RecipeError: Names are no parts of the model, all of them listed, or nothing is left that learns from the start (E106).
    """

    def __init__(self, model: nn.Module, parts: Mapping[str, nn.Module], rates: Mapping[str, Rate]) -> None:
        if unknown := [name for name in rates if name not in parts]:
            raise RecipeError.of(_unknown(name, parts) for name in unknown)
        self._model = model
        self._learning = {id(parameter) for parameter in model.parameters() if parameter.requires_grad}
        self._held = [module for module in model.modules() if isinstance(module, Pretrained)]
        self._asleep = [parts[name] for name, rate in rates.items() if rate.frozen == "always"]
        self.layers = [layer for name, rate in rates.items() for layer in _rated(parts[name], rate)]
        self.freezes = any(layer.thaw > 0 for layer in self.layers)
        if self.frozen(0.0) == sum(parameter.numel() for parameter in model.parameters()):
            raise RecipeError(
                "E106", "every part is frozen at the start", where="training.rates", fix="leave one part, best the output, unfrozen"
            )

    def groups(self, weight_decay: float) -> list[dict[str, Any]]:
        """Return the parameter groups of an optimizer, each parameter once.

        Groups have ``params``, ``weight_decay``, ``rate`` (times the learning rate) and ``thaw`` (the epoch at which they begin to
        learn). Without declared rates they are those of :func:`deepwright.blocks.decay.weight_decay_groups`.
        """
        groups = []
        taken: set[int] = set()
        rest = Layer((self._model,))
        for layer in (*self.layers, rest):
            for group in weight_decay_groups(nn.ModuleList(layer.modules), weight_decay, without=taken):
                rate = layer.rate * group.get("rate", 1.0)
                groups.append({**group, "rate": rate, "thaw": layer.thaw} if layer is not rest else group)
                taken |= {id(parameter) for parameter in group["params"]}
        return groups

    def freeze(self, epoch: float) -> None:
        """Let each layer learn, or not, as is right at ``epoch`` (with its fraction); called after ``model.train()``.

        Frozen layers take no gradient, and are in evaluation mode: their batch normalisations keep their statistics, and nothing
        of them is dropped out.
        """
        for layer in self.layers:
            learns = epoch >= layer.thaw
            for module in layer.modules:
                for parameter in module.parameters():
                    # What never learns, such as the weights below LoRA, does not begin to.
                    parameter.requires_grad_(learns and id(parameter) in self._learning)
                module.train(learns and self._model.training)
        for part in self._asleep:
            part.eval()  # what has no parameters, too: a frozen part drops out nothing
        for held in self._held:
            held.hold()

    def frozen(self, epoch: float) -> int:
        """Return how many parameters do not learn at ``epoch``."""
        held = {
            id(p): p.numel() for each in self.layers if epoch < each.thaw for module in each.modules for p in module.parameters()
        }
        return sum(held.values())


def layers_of(part: nn.Module) -> list[tuple[nn.Module, ...]]:
    """Return the layers of a part from its inputs to its top, those without parameters left aside.

    Children that are sequences count as many layers as they have entries; other children that follow each other are one layer
    together: the entrance, or the last normalisation. Parameters of the part itself (tokens) belong to its first layer. A part
    all of whose parameters are in one child only wraps it, and has that child's layers.
    """
    part = unwrapped(part)
    if isinstance(part, nn.Sequential):
        return _learning([(child,) for child in part])
    layers: list[tuple[nn.Module, ...]] = []
    beside: list[nn.Module] = []
    for child in part.children():
        if isinstance(inside := unwrapped(child), nn.ModuleList):
            child = inside  # such as the layers of a Transformer, which its encoder only wraps
        if isinstance(child, nn.Sequential | nn.ModuleList):
            layers += [tuple(beside), *((entry,) for entry in child)]
            beside = []
        else:
            beside.append(child)
    return _learning([*layers, tuple(beside)])


def unwrapped(part: nn.Module) -> nn.Module:
    """Return the module inside all that only wraps it: a picture's entrance, a pool without parameters."""
    while not list(part.parameters(recurse=False)):
        inside = [child for child in part.children() if any(True for _ in child.parameters())]
        if len(inside) != 1 or isinstance(part, nn.Sequential | nn.ModuleList):
            break
        part = inside[0]
    return part


def _learning(layers: Sequence[tuple[nn.Module, ...]]) -> list[tuple[nn.Module, ...]]:
    return [layer for layer in layers if any(True for module in layer for _ in module.parameters())]


def _rated(part: nn.Module, rate: Rate) -> Iterator[Layer]:
    """Yield the layers of a part, the top one first."""
    start = math.inf if rate.frozen == "always" else rate.frozen
    part = unwrapped(part)
    layers = layers_of(part)
    for depth, modules in enumerate(reversed(layers)):
        yield Layer(modules, rate.lr * rate.layer_decay**depth, start + rate.gradual * depth)
    own = list(part.parameters(recurse=False))
    if own:
        depth = max(len(layers) - 1, 0)
        yield Layer((_Own(part, own),), rate.lr * rate.layer_decay**depth, start + rate.gradual * depth)


class _Own(nn.Module):
    """The parameters that a part holds itself, as a module."""

    def __init__(self, part: nn.Module, parameters: Sequence[nn.Parameter]) -> None:
        super().__init__()
        self.own = nn.ParameterList(parameters)
        self.own.decay_exempt = getattr(part, "decay_exempt", False)  # type: ignore[assignment]


def _unknown(name: str, parts: Mapping[str, nn.Module]) -> Problem:
    return Problem(
        "E106",
        f"the model has no part {name!r}{nearest(name, parts)}",
        where=f"training.rates.{name}",
        expected="one of " + ", ".join(parts),
        fix="an input without an encoder of its own shares tabular: name that, or give the input an encoder",
    )
