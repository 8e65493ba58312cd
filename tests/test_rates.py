"""Learning rates of parts and layers, freezing and unfreezing."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from deepwright.blocks.decay import weight_decay_groups
from deepwright.blocks.image import ImageInput
from deepwright.blocks.pipeline import Pipeline
from deepwright.blocks.rates import Rates, layers_of
from deepwright.blocks.tabular import FTTransformerEncoder
from deepwright.errors import RecipeError
from deepwright.facts import CategoryFacts, NumberFacts
from deepwright.families import Optimizer
from deepwright.recipe import Rate


def cnn():
    body = nn.Sequential(
        nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)), nn.MaxPool2d(2), nn.Conv2d(4, 4, 3), nn.Conv2d(4, 4, 3)
    )
    return Pipeline(ImageInput([0.0], [1.0]), body, nn.AdaptiveAvgPool2d(1), 4)


class Two(nn.Module):
    """A picture and an output."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.photo, self.out = cnn(), nn.Linear(4, 1)

    def parts(self):
        return {"photo": self.photo, "price": nn.Sequential(self.out)}

    def forward(self, pictures):
        return self.out(self.photo({"image": pictures}).flatten(1))


def rates(model, **declared):
    return Rates(model, model.parts(), {name: Rate.model_validate(value) for name, value in declared.items()})


def rate_of(groups):
    """Return {id of a parameter: rate}, each parameter once."""
    found = [(id(p), group.get("rate", 1.0)) for group in groups for p in group["params"]]
    assert len(found) == len(dict(found))
    return dict(found)


def test_nothing_declared_is_what_it_was():
    model = Two()
    ours, usual = rates(model).groups(0.1), weight_decay_groups(model, 0.1)
    assert [{**g, "params": [id(p) for p in g["params"]]} for g in ours] == [
        {**g, "params": [id(p) for p in g["params"]]} for g in usual
    ]
    assert not rates(model, photo=0.1).freezes


def test_layer_decay_by_depth():
    model = Two()
    groups = rates(model, photo={"lr": 0.5, "layer_decay": 0.1}, price=3).groups(0.1)
    found = rate_of(groups)
    assert set(found) == {id(p) for p in model.parameters()}
    first, _, second, third = model.photo.body
    for module, rate in ((first, 0.005), (second, 0.05), (third, 0.5), (model.out, 3)):
        assert [found[id(p)] for p in module.parameters()] == pytest.approx([rate] * len(list(module.parameters())))
    decayed = {id(p) for group in groups if group["weight_decay"] for p in group["params"]}
    assert decayed == {id(p) for p in model.parameters() if p.ndim > 1}


def test_layers_of_a_transformer():
    encoder = FTTransformerEncoder(
        [NumberFacts("a")], [CategoryFacts("b", 4)], embedding="linear", width=8, heads=2, hidden=8, depth=2
    )
    stem, first, second, top = layers_of(encoder)
    assert stem == (encoder.numbers, encoder.categories, encoder.column)
    assert (first, second, top) == ((encoder.blocks[0],), (encoder.blocks[1],), (encoder.norm,))
    model = nn.Sequential(encoder, nn.Linear(8, 1))
    made = Rates(model, {"tabular": encoder}, {"tabular": Rate(layer_decay=0.5, gradual=1)})
    found = rate_of(made.groups(0.0))
    assert found[id(encoder.cls)] == found[id(encoder.column.weight)] == 0.125
    assert found[id(encoder.norm.weight)] == found[id(model[1].weight)] == 1.0
    made.freeze(2.5)
    assert not encoder.cls.requires_grad
    assert encoder.blocks[0].attention.out.weight.requires_grad


def test_unfreezing_from_the_top():
    model = Two()
    made = rates(model, photo={"frozen": 2, "gradual": 0.5})
    first, _, second, third = model.photo.body
    learning = {
        0.0: [],
        1.99: [],
        2.0: [third],
        2.5: [third, second],
        2.99: [third, second],
        3.0: [third, second, first],
        9: [third, second, first],
    }
    for epoch in (*learning, *reversed(learning)):  # in any order: a pure function of the epoch
        model.train()
        made.freeze(epoch)
        expected = {id(p) for module in (*learning[epoch], model.out) for p in module.parameters()}
        assert {id(p) for p in model.parameters() if p.requires_grad} == expected
        assert made.frozen(epoch) == sum(p.numel() for p in model.parameters() if id(p) not in expected)
        assert first[1].training is (first in learning[epoch])
    model.eval()
    made.freeze(9.0)
    assert not first[1].training
    assert made.freezes


@pytest.mark.parametrize("name", Optimizer.all())
def test_optimizers_leave_frozen_weights_and_statistics_alone(name):
    model = Two()
    made = rates(model, photo={"frozen": "always", "layer_decay": 0.5}, price=0.5)
    part = Optimizer.resolve(name)(weight_decay=0.1, lr=0.01)
    optimizer = part.build(made.groups(part.weight_decay))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    for step in range(3):
        model.train()
        made.freeze(step)
        optimizer.zero_grad()
        model(torch.randn(4, 12, 12, 1, generator=torch.Generator().manual_seed(step))).square().mean().backward()
        optimizer.step()
    changed = {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
    assert changed == {"out.weight", "out.bias"}
    peaks = {group["initial_lr"] for group in optimizer.param_groups for p in group["params"] if p is model.out.weight}
    assert peaks == {0.005}
    assert math.inf in {group.get("thaw") for group in optimizer.param_groups}


@given(st.floats(0, 5), st.floats(0, 3), st.floats(0, 20), st.floats(0, 20))
def test_more_epochs_never_freeze(frozen, gradual, a, b):
    made = rates(Two(), photo={"frozen": frozen, "gradual": gradual})
    assert made.frozen(min(a, b)) >= made.frozen(max(a, b))


def test_errors_name_the_part():
    with pytest.raises(RecipeError, match="no part 'foto', did you mean 'photo'") as error:
        rates(Two(), foto=1, prize=2)
    assert [problem.where for problem in error.value.problems] == ["training.rates.foto", "training.rates.prize"]
    with pytest.raises(RecipeError, match="every part is frozen"):
        rates(Two(), photo={"frozen": 1}, price={"frozen": "always"})
