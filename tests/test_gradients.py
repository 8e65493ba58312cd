"""Weight gradients of convolutions by products of matrices are those of torch's own convolutions."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from deepwright.blocks.gradients import SMALL, ProductsConv2d, small_maps

SIDES = st.tuples(st.integers(1, 3), st.integers(1, 3))


def gradients(network, maps, weights):
    """Return the result and the gradients of maps and parameters, computed in bf16."""
    maps = maps.clone().requires_grad_()
    network.zero_grad()
    with torch.autocast("cpu", torch.bfloat16):
        result = network(maps)
    (result.float() * weights).sum().backward()
    return [result.detach().float(), maps.grad, *(parameter.grad for parameter in network.parameters())]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 5), st.integers(1, 5), SIDES, SIDES, SIDES, SIDES, st.booleans(), st.booleans())
def test_products_are_the_same_gradients(inputs, outputs, kernel, stride, padding, more, bias, last):
    padding = tuple(min(p, (k - 1)) for p, k in zip(padding, kernel, strict=True))
    torch.manual_seed(0)
    own = nn.Conv2d(inputs, outputs, kernel, stride, padding, bias=bias)
    maps = torch.randn(3, inputs, kernel[0] + more[0], kernel[1] + more[1])
    if last:
        own.to(memory_format=torch.channels_last)
        maps = maps.contiguous(memory_format=torch.channels_last)
    weights = torch.randn(own(maps).shape)
    products = copy.deepcopy(own)
    small_maps(products, products=True)
    assert type(products) is ProductsConv2d
    for ours, theirs in zip(gradients(products, maps, weights), gradients(own, maps, weights), strict=True):
        assert ours.shape == theirs.shape
        torch.testing.assert_close(ours, theirs, rtol=0.02, atol=0.02 * float(theirs.abs().max()) + 1e-6)


@pytest.mark.parametrize(
    "options",
    [{"groups": 2}, {"dilation": 2}, {"padding_mode": "circular"}, {"padding": "same"}],
    ids=lambda options: next(iter(options)),
)
def test_others_stay_as_they_are(options):
    network = nn.Sequential(nn.Conv2d(4, 4, 3, **{"padding": 1} | options))
    small_maps(network, products=True)
    assert type(network[0]) is nn.Conv2d


def test_it_is_switched_off_again_and_weights_keep_their_names():
    network = nn.Sequential(nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4))
    names = list(network.state_dict())
    small_maps(network, products=True)
    assert type(network[0]) is ProductsConv2d
    assert list(network.state_dict()) == names
    small_maps(network, products=False)
    assert type(network[0]) is nn.Conv2d


@pytest.mark.parametrize("side", [7, 8])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_only_small_maps_in_bf16_are_products(side, precision):
    network = nn.Conv2d(2, 3, 3, padding=1)
    small_maps(network, products=True)
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        result = network(torch.randn(2, 2, side, side))
    assert ("Products" in result.grad_fn.name()) == (precision == "bf16" and side * side <= SMALL)


def test_frozen_weights_are_products_too_and_get_no_gradient():
    """What learns may change along a training; how it is computed may not, or a resumed one would differ."""
    network = nn.Conv2d(2, 3, 3, padding=1)
    network.weight.requires_grad_(requires_grad=False)
    small_maps(network, products=True)
    assert type(network) is ProductsConv2d
    maps = torch.randn(2, 2, 5, 5, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        network(maps).sum().backward()
    assert network.weight.grad is None
    assert network.bias.grad is not None
    assert maps.grad is not None
