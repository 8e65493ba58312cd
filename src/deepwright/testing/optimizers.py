"""What every optimizer keeps: ``from deepwright.testing.optimizers import *`` in a test file runs it over the whole folder."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest

from deepwright.families import Optimizer

if TYPE_CHECKING:
    import torch

__all__ = [
    "test_optimizer_decays_weights",
    "test_optimizer_groups_carry_rates",
    "test_optimizer_learns",
    "test_optimizer_resumes_exactly",
    "test_optimizer_round_trips",
]

OPTIMIZERS = Optimizer.all()


def _network() -> torch.nn.Module:
    import torch
    from torch import nn

    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 1)
    )


def _groups(network: torch.nn.Module, weight_decay: float = 0.0) -> list[dict[str, Any]]:
    parameters = list(network.parameters())
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def _train(network: torch.nn.Module, optimizer: torch.optim.Optimizer, steps: range) -> list[float]:
    """Train on batches that depend on the step only, with a learning rate that the step scales."""
    import torch

    losses = []
    for step in steps:
        batch = torch.randn(32, 1, 6, 6, generator=torch.Generator().manual_seed(step % 3))
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * (1.0 - step / 1000)
        loss = (network(batch).squeeze(1) - batch.mean((1, 2, 3)) * 6).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer_round_trips(name: str) -> None:
    """Dumping and parsing an optimizer gives it back."""
    part = OPTIMIZERS[name].example()
    assert Optimizer.parse(part.dump()) == part
    assert Optimizer.parse(part.dump(defaults=False)) == part


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer_groups_carry_rates(name: str) -> None:
    """Every parameter is in one group, which tells its learning rate, the peak of it, and the weight decay it was given."""
    network = _network()
    part = OPTIMIZERS[name].example().model_copy(update={"lr": 0.025})
    groups = _groups(network, 0.125)
    groups[1]["lr"] = 0.005
    optimizer = part.build(groups)
    held = [p for group in optimizer.param_groups for p in group["params"]]
    assert sorted(map(id, held)) == sorted(map(id, network.parameters()))
    for group in optimizer.param_groups:
        decays = {id(p): 0.125 if p.ndim > 1 else 0.0 for p in group["params"]}
        assert {group["weight_decay"]} == set(decays.values())
        assert group["initial_lr"] == group["lr"] == (0.005 if group["weight_decay"] == 0.0 else 0.025)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer_learns(name: str) -> None:
    """At its usual learning rate the loss falls, and every parameter moves."""
    import torch

    network = _network()
    before = copy.deepcopy(list(network.parameters()))
    losses = _train(network, OPTIMIZERS[name].example().build(_groups(network)), range(60))
    assert sum(losses[-3:]) < 0.7 * sum(losses[:3])
    # The bias before a normalisation has no gradient but rounding noise.
    assert all(not torch.equal(a, b) for a, b in zip(before[1:], list(network.parameters())[1:], strict=True))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer_resumes_exactly(name: str) -> None:
    """Weights after six steps are the same to the bit if optimizer and network were saved and loaded after three."""
    import torch

    whole, first, second = _network(), _network(), _network()
    part = OPTIMIZERS[name].example()
    _train(whole, part.build(_groups(whole, 0.01)), range(6))
    begun = part.build(_groups(first, 0.01))
    _train(first, begun, range(3))
    second.load_state_dict(first.state_dict())
    resumed = part.build(_groups(second, 0.01))
    resumed.load_state_dict(copy.deepcopy(begun.state_dict()))
    _train(second, resumed, range(3, 6))
    assert all(torch.equal(a, b) for a, b in zip(whole.state_dict().values(), second.state_dict().values(), strict=True))


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer_decays_weights(name: str) -> None:
    """Weight decay makes weights smaller where gradients are none; a learning rate of 0 leaves all as it is."""
    import torch

    weight = torch.nn.Parameter(torch.ones(4, 4))
    optimizer = OPTIMIZERS[name].example().build([{"params": [weight], "weight_decay": 0.1}])
    for factor in (0.0, 1.0):
        before = weight.detach().clone()
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor
        weight.grad = torch.zeros_like(weight)
        optimizer.step()
        assert torch.equal(weight, before) if factor == 0.0 else bool((weight < before).all())
