"""What every layer keeps: ``from deepwright.testing.layers import *`` in a test file runs it over the whole folder."""

from __future__ import annotations

import pytest

from deepwright.errors import RecipeError
from deepwright.families import Layer

__all__ = ["test_layer_maps_its_shape", "test_layer_refuses_or_fits_any_shape", "test_layer_round_trips"]

LAYERS = Layer.all()
SHAPES = ((6,), (1,), (3, 8, 8), (1, 1, 1), (4, 2, 9))


@pytest.mark.parametrize("name", LAYERS)
def test_layer_round_trips(name: str) -> None:
    """Dumping and parsing a layer gives it back."""
    layer = LAYERS[name].example()
    assert Layer.parse(layer.dump()) == layer
    assert Layer.parse(layer.dump(defaults=False)) == layer


@pytest.mark.parametrize("name", LAYERS)
def test_layer_maps_its_shape(name: str) -> None:
    """The output has the shape that ``build`` told, for one row and several, and gradients flow back."""
    import torch

    part = LAYERS[name]
    module, shape = part.example().build(part.example_shape())
    for rows in (1, 5):
        for training in (True, False):
            inputs = torch.randn(rows, *part.example_shape(), requires_grad=True)
            outputs = module.train(training)(inputs)
            assert outputs.shape == (rows, *shape)
            assert torch.isfinite(outputs).all()
            outputs.sum().backward()
            assert inputs.grad is not None
            assert torch.isfinite(inputs.grad).all()


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", LAYERS)
def test_layer_refuses_or_fits_any_shape(name: str, shape: tuple[int, ...]) -> None:
    """A shape either fits, and the output is as told, or is refused with a code, what was got and what to do."""
    import torch

    try:
        module, out = LAYERS[name].example().build(shape)
    except RecipeError as error:
        problem = error.problems[0]
        assert problem.code == "E108"
        assert problem.got
        assert problem.expected
        assert problem.fix
        return
    assert module.eval()(torch.randn(2, *shape)).shape == (2, *out)
