"""What is told of a loss that is not finite."""

import pytest
import torch

from deepwright.batches import Rows
from deepwright.engine.diagnose import diagnose, words
from deepwright.model import build_model
from deepwright.preparation import open_tables, prepare
from deepwright.progress import silent
from deepwright.recipe import Recipe


@pytest.fixture
def made(people):
    """A model of two outputs, a batch, the facts of its inputs, and the training rows of the batch."""
    recipe = Recipe.parse({"tabular": {"type": "mlp", "hidden": [8, 8], "normalization": "batch", "dropout": 0.2}})
    table, held, name, recipe = open_tables(recipe, people, ["rich", "pay"])
    prepared = prepare(recipe, table, held, name, silent)
    torch.manual_seed(0)
    index = torch.arange(100, 132)
    batch = Rows(prepared.train.arrays, prepared.train.targets).take(index)
    return build_model(prepared.recipe, prepared.data), batch, prepared.data.facts(), index


def told(made, precision="fp32", **more):
    model, batch, facts, index = made
    return diagnose(model, batch, precision, facts, step=7, lr=0.1, index=index, **more)


def test_the_first_layer_whose_output_is_not_finite(made):
    model = made[0]
    layer = model.encoders[0].layers[1]
    layer.act.register_forward_hook(lambda module, given, output: output.index_fill(0, torch.tensor([3, 5]), float("inf")))
    problem = told(made)
    assert problem.where == "input tabular, layers.1.act (ReLU)"
    assert "the first output that is not finite" in problem.message
    assert "training rows 103, 105 (from 0)" in problem.got
    assert "lower training.optimizer.lr" in problem.fix


def test_the_first_layer_whose_gradient_is_not_finite(made):
    model = made[0]
    head = model.layers[1]
    # the root of zero: a finite value with an infinite slope
    head.register_forward_hook(lambda module, given, output: output + ((given[0][:, :1] * 0).sqrt()))
    model.encoders[0].layers[1].dropout.rate = 0.0
    batch = made[1]
    assert torch.isfinite(model.total(model.loss(model(batch.arrays), batch.targets)))
    problem = told(made)
    assert "the first gradient that is not finite" in problem.message
    assert problem.where.startswith("input tabular")


def test_weights_that_are_not_finite_already(made):
    with torch.no_grad():
        made[0].layers[1].weight[0, 0] = float("nan")
    problem = told(made)
    assert problem.where == "output pay, weight (weights)"
    assert "in an earlier step" in problem.message


def test_a_column_with_an_extreme_value(made):
    _, batch, facts, _ = made
    column = [number.label for number in facts["tabular"].numbers].index("gain")
    batch.arrays["tabular.numbers"][4, column] = float("inf")
    batch.arrays["tabular.numbers"][9, :] = float("nan")  # missing: nothing wrong with that
    problem = told(made)
    assert "column gain is inf standard deviations from its mean in training row 104 (from 0)" in problem.got
    assert "age" not in problem.got
    assert "data: {clean: {gain: {outliers: clip}}}" in problem.fix


def test_a_target_with_an_extreme_value(made):
    made[1].targets["pay"][2] = 1e30
    problem = told(made)
    assert "output pay is 1e+30 standard deviations from its mean in training row 102" in problem.got


def test_overflow_of_a_precision(made):
    model = made[0]

    def overflow(module, given, output):
        return output * float("inf") if torch.is_autocast_enabled("cpu") else output

    model.encoders[0].layers[0].linear.register_forward_hook(overflow)
    problem = told(made, "bf16")
    assert problem.where == "input tabular, layers.0.linear (Linear)"
    assert "precision: fp32" in problem.fix


def test_nothing_is_changed(made):
    model, batch, _, _ = made
    model.train()
    model.total(model.loss(model(batch.arrays), batch.targets)).backward()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    gradients = [parameter.grad for parameter in model.parameters()]
    copies = [gradient.clone() for gradient in gradients]
    state = torch.get_rng_state()
    problem = told(made, random=torch.Generator().manual_seed(5).get_state())
    assert "finite when the step was computed again" in problem.message
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(p.grad is g and torch.equal(g, c) for p, g, c in zip(model.parameters(), gradients, copies, strict=True))
    assert not any(module._forward_hooks for module in model.modules())


def test_words(made):
    model = made[0]
    assert words(model, "layers.0") == "output rich (Linear)"
    assert words(model, "encoders.0.layers.0.norm") == "input tabular, layers.0.norm (VectorBatchNorm)"
    assert words(model, "layers.1.bias") == "output pay, bias (weights)"
