"""Gradient checkpointing changes nothing but memory and time."""

import copy

import pytest
import torch
from torch import nn

from deepwright.blocks.image import ImageInput
from deepwright.blocks.pipeline import Pipeline
from deepwright.blocks.recompute import keep, recompute
from deepwright.facts import CategoryFacts, Facts, ImageFacts, NumberFacts
from deepwright.families import Encoder

TABLE = Facts("tabular", tuple(NumberFacts(f"n{i}") for i in range(3)), (CategoryFacts("c", 5),))
PHOTO = Facts("photo", image=ImageFacts(16, 16, 3, (120.0,) * 3, (60.0,) * 3))
PARTS = {
    "cnn": (PHOTO, {"channels": (8, 16), "dropout": 0.2}),
    "resnet": (PHOTO, {"depth": 18, "width": 8}),
    "mlp": (TABLE, {"hidden": [16, 16], "normalization": "batch", "dropout": 0.3}),
    "tabm": (TABLE, {"k": 3, "width": 16, "dropout": 0.3}),
    "ft_transformer": (TABLE, {"width": 16, "heads": 2}),
    "sequential": (
        TABLE,
        {"layers": [{"type": "dense", "units": 8}, "batchnorm", {"type": "dropout", "p": 0.5}, {"type": "dense", "units": 4}]},
    ),
}


def batch(facts):
    generator = torch.Generator().manual_seed(1)
    if facts.image:
        return {"image": torch.randint(0, 256, (6, 16, 16, 3), dtype=torch.uint8, generator=generator)}
    return {"numbers": torch.randn(6, 3, generator=generator), "categories": torch.randint(0, 5, (6, 1), generator=generator)}


def train(network, inputs, precision="fp32"):
    """Take three steps and return all that could differ."""
    torch.manual_seed(3)
    losses = []
    network.train()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    for _ in range(3):
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
            loss = network(inputs).float().square().mean()
        optimizer.zero_grad()
        loss.backward()
        gradients = [p.grad.clone() for p in network.parameters() if p.grad is not None]
        optimizer.step()
        losses.append(loss.detach())
    return [*losses, *gradients, *network.state_dict().values(), torch.get_rng_state()]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", PARTS)
def test_the_same_bits(name, precision):
    facts, fields = PARTS[name]
    torch.manual_seed(0)
    plain = Encoder.parse({"type": name, **fields}).build(facts)
    again = copy.deepcopy(plain)
    assert recompute(again) > 0
    again = copy.deepcopy(again)  # as the tune-up does
    assert list(again.state_dict()) == list(plain.state_dict())
    inputs = batch(facts)
    for ours, theirs in zip(train(again, inputs, precision), train(plain, inputs, precision), strict=True):
        assert torch.equal(ours, theirs)
    assert torch.equal(again.eval()(inputs), plain.eval()(inputs))


class Counted(nn.Module):
    """A linear layer that counts how often it runs."""

    def __init__(self):
        super().__init__()
        self.layer, self.runs = nn.Linear(4, 4), 0

    def forward(self, x):
        self.runs += 1
        return torch.tanh(self.layer(x))


def test_stages_run_twice_in_training_only_and_keep_their_inputs_only():
    body = nn.Sequential(*(nn.Sequential(Counted(), nn.Dropout(0.1), Counted()) for _ in range(4)))
    network = Pipeline(nn.Identity(), body, nn.Identity(), 4)
    x = torch.randn(8, 4)

    def kept():
        """Return how many values a forward pass keeps for the backward pass, those of checkpointed stages aside."""
        sizes = []
        with torch.autograd.graph.saved_tensors_hooks(lambda t: sizes.append(t.numel()) or t, lambda t: t):
            network.train()(x)
        return sum(sizes)

    before = kept()
    assert recompute(network) == 4
    assert kept() < before / 2
    counted = [module for module in network.modules() if isinstance(module, Counted)]
    for each in counted:
        each.runs = 0
    network.train()(x).sum().backward()
    assert [each.runs for each in counted] == [2] * 8
    network.eval()(x).sum().backward()
    with torch.no_grad():
        network.train()(x)
    assert [each.runs for each in counted] == [4] * 8
    keep(network)
    network(x).sum().backward()
    assert [each.runs for each in counted] == [5] * 8
    assert not any("forward" in vars(module) for module in network.modules())


def test_no_stages_no_harm():
    assert recompute(Pipeline(ImageInput([0.0], [1.0]), nn.Identity(), nn.Flatten(), 4)) == 0
