"""What every average keeps: ``from deepwright.testing.averages import *`` in a test file runs it over the whole folder."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest

from deepwright.families import Average

if TYPE_CHECKING:
    import torch

    from deepwright.blocks.averaging import Averager

__all__ = [
    "test_average_is_of_what_the_weights_were",
    "test_average_leaves_a_constant_as_it_is",
    "test_average_resumes_exactly",
    "test_average_state_is_plain",
]

AVERAGES = Average.all()
STEPS = 12


def _network() -> torch.nn.Module:
    import torch
    from torch import nn

    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))


def _train(network: torch.nn.Module, average: Averager, steps: range) -> None:
    """Take steps that depend on the step and the weights only."""
    import torch

    for step in steps:
        batch = torch.randn(8, 3, generator=torch.Generator().manual_seed(step))
        network.zero_grad()
        network(batch).square().mean().backward()
        with torch.no_grad():
            for parameter in network.parameters():
                if parameter.grad is not None:
                    parameter.add_(parameter.grad, alpha=-0.05)
        average.update(network, step + 1, STEPS)


def _equal(a: dict[str, Any], b: dict[str, Any]) -> bool:
    return a.keys() == b.keys() and all(bool((value == b[name]).all()) for name, value in a.items())


@pytest.mark.parametrize("name", AVERAGES)
def test_average_is_of_what_the_weights_were(name: str) -> None:
    """A whole state dictionary: each number lies between the least and the greatest that it was, integers are the model's."""
    import torch

    network, average = _network(), AVERAGES[name].example().build()
    average.start(network)
    seen = [copy.deepcopy(network.state_dict())]
    for step in range(STEPS):
        _train(network, average, range(step, step + 1))
        seen.append(copy.deepcopy(network.state_dict()))
    held = copy.deepcopy(network.state_dict())
    weights = average.weights(network)
    assert list(weights) == list(held)
    assert _equal(held, network.state_dict()), "asking for the weights changes the model"
    for key, value in weights.items():
        history = torch.stack([state[key] for state in seen])
        if value.is_floating_point():
            assert (value >= history.amin(0) - 1e-6).all()
            assert (value <= history.amax(0) + 1e-6).all()
        else:
            assert torch.equal(value, held[key])
    _network().load_state_dict(weights)


@pytest.mark.parametrize("name", AVERAGES)
def test_average_leaves_a_constant_as_it_is(name: str) -> None:
    """Weights that never change are their own average, to the bit."""
    network, average = _network(), AVERAGES[name].example().build()
    before = copy.deepcopy(network.state_dict())
    average.start(network)
    for step in range(1, STEPS + 1):
        average.update(network, step, STEPS)
    assert _equal(average.weights(network), before)
    assert _equal(network.state_dict(), before)


@pytest.mark.parametrize("at", [1, 5, 11])
@pytest.mark.parametrize("name", AVERAGES)
def test_average_resumes_exactly(name: str, at: int) -> None:
    """Weights and average are the same to the bit if both were saved and loaded on the way."""
    part = AVERAGES[name].example()
    whole, average = _network(), part.build()
    average.start(whole)
    _train(whole, average, range(STEPS))

    first, begun = _network(), part.build()
    begun.start(first)
    _train(first, begun, range(at))
    second, resumed = _network(), part.build()
    second.load_state_dict(first.state_dict())
    resumed.load_state_dict(copy.deepcopy(begun.state_dict()))
    _train(first, begun, range(at, STEPS))  # what was saved is not shared with what goes on
    _train(second, resumed, range(at, STEPS))
    assert _equal(average.weights(whole), resumed.weights(second))
    assert _equal(whole.state_dict(), second.state_dict())


@pytest.mark.parametrize("name", AVERAGES)
def test_average_state_is_plain(name: str) -> None:
    """A checkpoint can hold the state: tensors, numbers, texts, lists and mappings only."""
    import torch

    network, average = _network(), AVERAGES[name].example().build()
    average.start(network)
    _train(network, average, range(STEPS))

    def plain(node: Any) -> Any:
        if isinstance(node, torch.Tensor):
            return "tensor"
        if isinstance(node, dict):
            return {key: plain(value) for key, value in node.items()}
        return [plain(value) for value in node] if isinstance(node, list) else node

    json.dumps(plain(average.state_dict()))
