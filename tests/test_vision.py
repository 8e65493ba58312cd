"""Layers, and the encoders of pictures."""

import io

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from deepwright.blocks.image import ImageInput
from deepwright.blocks.residual import resnet
from deepwright.blocks.shapes import slide
from deepwright.datapath import rows_at_once
from deepwright.encoders.cnn import CNN
from deepwright.encoders.resnet import ResNet
from deepwright.encoders.sequential import Sequential
from deepwright.errors import RecipeError
from deepwright.facts import CategoryFacts, Facts, ImageFacts, NumberFacts
from deepwright.families import Encoder, Layer
from deepwright.testing.layers import *  # noqa: F403

TUTORIAL = {
    "type": "sequential",
    "layers": [
        {"type": "conv2d", "channels": 32, "kernel": 3, "activation": "relu"},
        {"type": "maxpool2d", "size": 2},
        {"type": "conv2d", "channels": 64, "kernel": 3, "activation": "relu"},
        "flatten",
        {"type": "dense", "units": 64, "activation": "relu"},
    ],
}
EVERY_LAYER = {
    "type": "sequential",
    "layers": [
        {"type": "conv2d", "channels": 4, "kernel": 4, "stride": 2, "padding": "same", "batch_norm": True, "activation": "relu"},
        {"type": "maxpool2d", "size": 2, "stride": 1, "padding": "same"},
        "layernorm",
        {"type": "avgpool2d", "size": [3, 2], "padding": "same"},
        {"type": "dropout", "p": 0.2, "channels": True},
        {"type": "conv2d", "channels": 6, "kernel": [1, 3], "padding": "same", "groups": 2},
        "batchnorm",
        {"type": "activation", "name": "gelu"},
        {"type": "global_pool", "kind": "max"},
        {"type": "dense", "units": 5, "batch_norm": True},
        "batchnorm",
        "layernorm",
        "dropout",
    ],
}


def facts(height=28, width=None, channels=1):
    return Facts("picture", image=ImageFacts(height, width or height, channels, (100.0,) * channels, (50.0,) * channels))


def pictures(rows, height=28, width=None, channels=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (rows, height, width or height, channels), dtype=torch.uint8, generator=generator)


def build(part, about):
    torch.manual_seed(0)
    return part.build(about)


# shapes


@given(size=st.integers(1, 40), kernel=st.integers(1, 7), stride=st.integers(1, 4))
def test_windows_agree_with_torch(size, kernel, stride):
    same = slide(size, kernel, stride, "same")
    assert same.size == -(-size // stride)
    assert 0 <= same.after - same.before <= 1
    row = torch.nn.functional.pad(torch.zeros(1, 1, size), (same.before, same.after))
    assert torch.nn.functional.max_pool1d(row, kernel, stride).shape[2] == same.size
    valid = slide(size, kernel, stride, "valid")
    if kernel <= size:
        assert torch.nn.functional.max_pool1d(torch.zeros(1, 1, size), kernel, stride).shape[2] == valid.size
    else:
        assert valid.size <= 0


@pytest.mark.parametrize("name", ["maxpool2d", "avgpool2d"])
@pytest.mark.parametrize(("size", "stride"), [(2, 2), (3, 2), (2, 1), (3, 3)])
def test_padding_never_counts_in_a_pool(name, size, stride):
    layer = Layer.parse({"type": name, "size": size, "stride": stride, "padding": "same"})
    module, shape = layer.build((2, 7, 5))
    assert shape == (2, -(-7 // stride), -(-5 // stride))
    flat = torch.full((3, 2, 7, 5), -4.0)
    torch.testing.assert_close(module(flat), torch.full((3, *shape), -4.0))


# layers and the sequential encoder


def test_the_small_cnn_of_every_tutorial():
    module = build(Encoder.parse(TUTORIAL), facts())
    assert module.width == 64
    dense = module.body[4][0]
    assert dense.in_features == 64 * 11 * 11
    assert module({"image": pictures(3)}).shape == (3, 64)


def test_recipe_forms_of_layers_are_equal():
    short = Encoder.parse({"type": "sequential", "layers": ["flatten", {"type": "conv2d", "channels": 2, "kernel": 3}]})
    long = Encoder.parse(
        {"type": "sequential", "layers": [{"type": "flatten"}, {"type": "conv2d", "channels": 2, "kernel": [3, 3]}]}
    )
    assert short == long
    assert Encoder.parse(short.dump()) == short
    assert short.dump(defaults=False)["layers"][1] == {"type": "conv2d", "channels": 2}


def test_a_list_that_ends_with_a_map_is_pooled():
    part = Encoder.parse({"type": "sequential", "layers": [{"type": "conv2d", "channels": 7}]})
    module = build(part, facts(9, 12, 3))
    assert module.width == 7
    assert module({"image": pictures(2, 9, 12, 3)}).shape == (2, 7)


@pytest.mark.parametrize(
    ("layers", "index", "words"),
    [
        (
            [{"type": "conv2d", "channels": 2}, {"type": "dense", "units": 3}],
            1,
            ["2 channels × 6 × 6", "add flatten", "before dense"],
        ),
        (["flatten", {"type": "conv2d", "channels": 2}], 1, ["a vector of 64", "move conv2d before flatten"]),
        ([{"type": "maxpool2d", "size": 5}, "maxpool2d", "flatten"], 1, ["1 × 1", "padding: same"]),
        ([{"type": "conv2d", "channels": 4, "groups": 2}], 0, ["1 channels", "a multiple of 2"]),
    ],
)
def test_layers_that_do_not_fit_say_where_and_what_to_do(layers, index, words):
    part = Encoder.parse({"type": "sequential", "layers": layers})
    with pytest.raises(RecipeError) as caught:
        part.build(facts(8))
    problem = caught.value.problems[0]
    assert problem.code == "E108"
    assert f"layers[{index}]" in problem.where
    assert "picture" in problem.where
    for word in words:
        assert word in str(problem)


@pytest.mark.parametrize(
    "layer",
    [
        {"type": "conv2d", "channels": 0},
        {"type": "conv2d", "channels": 3, "groups": 2},
        {"type": "conv2d", "channels": 3, "kernel": 0},
        {"type": "conv2d", "channels": 3, "kernel": [3, 3, 3]},
        {"type": "dropout", "p": 1.0},
        {"type": "dense"},
        {"type": "maxpool2d", "padding": "full"},
    ],
    ids=str,
)
def test_layers_have_bounds(layer):
    with pytest.raises(ValidationError):
        Sequential(layers=[layer])


def test_sequential_takes_a_table():
    about = Facts("tabular", numbers=(NumberFacts("a"), NumberFacts("b", missing=True)), categories=(CategoryFacts("c", 5),))
    part = Encoder.parse({"type": "sequential", "layers": [{"type": "dense", "units": 6, "activation": "relu"}, "batchnorm"]})
    module = build(part, about)
    numbers = torch.tensor([[1.0, float("nan")], [2.0, 3.0]])
    vectors = module({"numbers": numbers, "categories": torch.tensor([[0], [4]], dtype=torch.int32)})
    assert vectors.shape == (2, module.width) == (2, 6)
    assert torch.isfinite(vectors).all()
    with pytest.raises(RecipeError, match="conv2d needs a map"):
        Encoder.parse({"type": "sequential", "layers": [{"type": "conv2d", "channels": 1}]}).build(about)


# pictures


def test_pictures_are_standardised_without_a_copy_of_their_layout():
    entrance = ImageInput((10.0, 20.0, 30.0), (2.0, 4.0, 0.0))
    batch = torch.tensor([12, 16, 30], dtype=torch.uint8).expand(2, 4, 5, 3).contiguous()
    maps = entrance({"image": batch})
    assert maps.shape == (2, 3, 4, 5)
    assert maps.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(maps[0, :, 0, 0], torch.tensor([1.0, -1.0, 0.0]))
    torch.testing.assert_close(entrance({"image": batch.float()}), maps)


@pytest.mark.parametrize(
    "size", [(28, 28, 1), (32, 32, 3), (7, 45, 1), (96, 64, 3), (128, 128, 3), (1, 1, 1), (200, 301, 3)], ids=str
)
@pytest.mark.parametrize(
    "part", [CNN(width=8), CNN.example(), ResNet(blocks=(1, 1), width=4), ResNet(blocks=(1,), width=4, bottleneck=True)]
)
def test_encoders_take_pictures_of_any_size(part, size):
    module = build(part, facts(*size))
    for rows in (1, 3):
        vectors = module.train()({"image": pictures(rows, *size)})
        assert vectors.shape == (rows, module.width)
        assert torch.isfinite(vectors).all()
        vectors.square().mean().backward()
    assert all(torch.isfinite(p.grad).all() for p in module.parameters())


def macs(module, about):
    """Multiply-accumulates of the convolutions for one picture."""
    total = 0

    def count(layer, _, output):
        nonlocal total
        total += output[0].numel() * layer.weight[0].numel()

    for layer in module.modules():
        if isinstance(layer, torch.nn.Conv2d):
            layer.register_forward_hook(count)
    module.eval()({"image": pictures(1, about.image.height, about.image.width, about.image.channels)})
    return total


@pytest.mark.parametrize("size", [(28, 28, 1), (32, 32, 3), (64, 64, 3), (128, 128, 3), (224, 224, 3), (512, 512, 3)], ids=str)
def test_the_cost_of_a_cnn_hardly_depends_on_the_size(size):
    assert macs(build(CNN(), facts(*size)), facts(*size)) < 45e6


def test_the_default_cnn_stays_cheap():
    # 20 million multiply-accumulates a picture are what two AVX2 cores train 60,000 × 10 times in some minutes.
    assert macs(build(CNN(), facts()), facts()) < 15e6


@pytest.mark.parametrize(
    ("depth", "parameters"), [(18, 11_176_512), (34, 21_284_672), (50, 23_508_032), (101, 42_500_160), (152, 58_143_808)]
)
def test_resnets_are_the_standard_ones(depth, parameters):
    with torch.device("meta"):
        from deepwright.encoders.resnet import BLOCKS

        network, width = resnet(3, BLOCKS[depth], bottleneck=depth >= 50)
    assert width == (2048 if depth >= 50 else 512)
    assert sum(p.numel() for p in network.parameters()) == parameters


def test_resnet_stem_follows_the_size_and_blocks_start_as_the_identity():
    small, large = build(ResNet(blocks=(1, 1), width=4), facts(64)), build(ResNet(blocks=(1, 1), width=4), facts(96))
    assert small.body[0][0].kernel_size == (3, 3)
    assert large.body[0][0].kernel_size == (7, 7)
    assert build(ResNet(blocks=(1,), width=4, stem="imagenet"), facts(64)).body[0][0].kernel_size == (7, 7)
    block = small.eval().body[1]
    maps = torch.rand(2, 4, 8, 8)
    assert torch.equal(block(maps), maps)


@pytest.mark.parametrize("norm", ["none", "batch", "layer", "group", "instance"])
def test_normalisations_and_activations(norm):
    for part in (CNN(channels=(4, 8), norm=norm, activation="silu"), ResNet(blocks=(1, 1), width=4, norm=norm, activation="gelu")):
        assert build(part, facts(16))({"image": pictures(2, 16)}).isfinite().all()


def test_a_strided_1x1_convolution_is_exact_and_does_not_crash():
    layer = Layer.parse({"type": "conv2d", "channels": 8, "kernel": 1, "stride": [2, 3], "bias": False})
    module, shape = layer.build((4, 28, 28))
    maps = torch.randn(16, 4, 28, 28).contiguous(memory_format=torch.channels_last).requires_grad_()
    outputs = module.to(memory_format=torch.channels_last)(maps)
    assert outputs.shape == (16, *shape) == (16, 8, 14, 10)
    outputs.sum().backward()
    weight = module[-1].weight.detach().view(8, 4)
    torch.testing.assert_close(outputs, torch.einsum("oc,bchw->bohw", weight, maps.detach()[:, :, ::2, ::3]))


def test_encoders_of_pictures_refuse_a_table():
    for part in (CNN(), ResNet()):
        with pytest.raises(RecipeError, match="E108"):
            part.build(Facts("tabular", numbers=(NumberFacts("a"),)))


@pytest.mark.parametrize("part", [CNN(channels=(8, 16)), ResNet(blocks=(1, 1), width=8), Encoder.parse(EVERY_LAYER)])
def test_training_is_exact_and_learns(part):
    """The same seed gives the same weights to the bit, and dark pictures are told from light ones."""

    def train():
        module = build(part, facts(12))
        head = torch.nn.Linear(module.width, 2)
        parameters = [*module.parameters(), *head.parameters()]
        optimizer = torch.optim.SGD(parameters, lr=0.05, momentum=0.9, nesterov=True, fused=True)
        target = torch.arange(32) % 2
        for step in range(12):
            batch = (pictures(32, 12, seed=step).float() * 0.5 + target.view(-1, 1, 1, 1) * 100).to(torch.uint8)
            loss = torch.nn.functional.cross_entropy(head(module({"image": batch})), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return loss.item(), module.state_dict()

    (loss, first), (_, second) = train(), train()
    assert loss < 0.5
    assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize(
    ("part", "size"),
    [
        (CNN(width=8), (28, 28, 1)),
        (ResNet(blocks=(1, 1), width=4), (96, 100, 3)),
        (Encoder.parse(EVERY_LAYER), (13, 11, 3)),
    ],
    ids=["cnn", "resnet", "sequential"],
)
def test_exported_graph_agrees_for_any_batch(part, size):
    module = build(part, facts(*size))
    for _ in range(2):  # statistics that are not those of the start
        module.train()({"image": pictures(16, *size)})
    module.eval()
    file = io.BytesIO()
    program = torch.onnx.export(
        module,
        kwargs={"inputs": {"image": pictures(2, *size)}},
        dynamic_shapes={"inputs": {"image": {0: torch.export.Dim("rows")}}},
        dynamo=True,
        verbose=False,
    )
    program.save(file)
    session = onnxruntime.InferenceSession(file.getvalue())
    name = session.get_inputs()[0].name
    for rows in (1, 2, 7):
        batch = pictures(rows, *size, seed=rows)
        expected = module({"image": batch}).detach().numpy()
        np.testing.assert_allclose(session.run(None, {name: batch.numpy()})[0], expected, rtol=1e-4, atol=1e-4)


def test_large_pictures_go_through_a_network_few_at_a_time():
    assert rows_at_once({"a.image": np.zeros((1, 28, 28, 1))}, 1024) == 1024
    assert rows_at_once({"a.image": np.zeros((1, 256, 256, 3))}, 1024) == 64
    assert rows_at_once({"a.image": np.zeros((1, 4096, 4096, 3))}, 1024) == 1
    assert rows_at_once({"a.image": np.zeros((1, 256, 256, 3))}, 1024, dense=True) == 8
