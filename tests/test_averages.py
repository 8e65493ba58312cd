"""Averages of weights: their formulas, and what they leave alone."""

import pytest
import torch
from torch import nn

from deepwright.averages.ema import EMA
from deepwright.averages.lookahead import Lookahead
from deepwright.averages.swa import SWA
from deepwright.blocks.averaging import swap
from deepwright.testing.averages import *  # noqa: F403


class Number(nn.Module):
    """One weight, and a count."""

    def __init__(self, value=0.0):
        super().__init__()
        self.value = nn.Parameter(torch.tensor([value]))
        self.register_buffer("count", torch.tensor(0))


def run(part, values, steps=None):
    """Return the averages after each of ``values`` is the weight in turn, and the weight itself after the update."""
    model, average = Number(), part.build()
    average.start(model)
    found, left = [], []
    for index, value in enumerate(values):
        with torch.no_grad():
            model.value.fill_(value)
            model.count.fill_(index)
        average.update(model, index + 1, steps or len(values))
        weights = average.weights(model)
        assert weights["count"].item() == index
        found.append(weights["value"].item())
        left.append(model.value.item())
    return found, left


def test_ema_by_its_formula():
    found, left = run(EMA(decay=0.5, warmup=False), [1.0, 1.0, 3.0])
    assert found == [0.5, 0.75, 1.875]
    assert left == [1.0, 1.0, 3.0]


def test_ema_warms_up():
    found, _ = run(EMA(decay=0.999), [1.0, 1.0])
    assert found == pytest.approx([1 - 2 / 11, 1 - 2 / 11 * 3 / 12])
    slow, _ = run(EMA(decay=0.1), [1.0] * 3)
    assert slow == pytest.approx([0.9, 0.99, 0.999])


def test_swa_is_the_mean_of_the_last_part():
    values = [float(value) for value in range(1, 11)]
    found, left = run(SWA(start=0.5, every=2), values)
    assert found[:5] == values[:5]  # before it begins
    # averaged are the steps 6, 8, 10, and the last one in any case
    assert found[5:] == pytest.approx([6, 6, 7, 7, 8])
    assert left == values
    assert run(SWA(start=0.5, every=3), values)[0][-1] == pytest.approx((6 + 9 + 10) / 3)
    assert run(SWA(start=0.0, every=1), values)[0][-1] == pytest.approx(5.5)


def test_lookahead_moves_slow_weights_and_starts_again_there():
    found, left = run(Lookahead(every=2, decay=0.5, power=0.0), [1.0, 2.0, 3.0, 5.0, 9.0])
    assert left == [1.0, 1.0, 3.0, 3.0, 3.0]  # after the last step the model holds the slow weights
    assert found == [0.0, 1.0, 1.0, 3.0, 3.0]


def test_lookahead_as_airbench_does_it():
    steps, values = 20, torch.randn(20, generator=torch.Generator().manual_seed(0)).tolist()
    alphas = 0.95**5 * (torch.arange(steps + 1) / steps) ** 3
    slow = 0.0
    for step, value in enumerate(values, 1):
        if step % 5 == 0:
            slow += (value - slow) * (1 - alphas[step].item())
    assert run(Lookahead(decay=0.95**5), values)[0][-1] == pytest.approx(slow, rel=1e-5)
    assert Lookahead().decay == pytest.approx(0.95**5, abs=1e-3)


def test_swap_exchanges_in_place():
    model, other = Number(1.0), Number(2.0)
    place = model.value.data_ptr()
    held = swap(model, other.state_dict())
    assert (model.value.item(), model.value.data_ptr()) == (2.0, place)
    swap(model, held)
    assert model.value.item() == 1.0


def test_averages_take_several_dtypes_and_tied_weights():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2).double(), nn.Linear(2, 2).to(torch.bfloat16))
    model.append(model[0])
    average = EMA(decay=0.5, warmup=False).build()
    average.start(model)
    average.update(model, 1, 1)
    assert {name: value.dtype for name, value in average.weights(model).items()} == {
        name: value.dtype for name, value in model.state_dict().items()
    }
