"""What makes networks of pictures learn fast: whitening, Dirac starts, bias rates, progressive resizing, views."""

import hashlib

import numpy as np
import polars as pl
import pytest
import torch

from deepwright.batches import shrunk
from deepwright.blocks.decay import weight_decay_groups
from deepwright.blocks.views import Views
from deepwright.blocks.whitening import Whitening
from deepwright.bundle import Bundle
from deepwright.encoders.airbench import Airbench
from deepwright.encoders.cnn import CNN
from deepwright.errors import RecipeError
from deepwright.facts import Facts, ImageFacts
from deepwright.families import Optimizer
from deepwright.features.image import Image
from deepwright.recipe import Recipe
from deepwright.steps.predict import predict
from deepwright.steps.train import train
from deepwright.table import Table
from deepwright.testing.networks import check_onnx


def facts(height=32, width=None, channels=3, patches=()):
    return Facts("p", image=ImageFacts(height, width or height, channels, (100.0,) * channels, (50.0,) * channels, patches))


def smooth(rows, height, width, channels, seed=0):
    """Pictures whose neighbouring pixels are alike, as those of the world are."""
    rough = np.random.default_rng(seed).integers(0, 256, (rows, height + 2, width + 2, channels)).astype(float)
    mean = sum(rough[:, y : y + height, x : x + width] for y in range(3) for x in range(3)) / 9
    return mean.round().astype(np.uint8)


def patches_of(pixels):
    """Every 2 × 2 patch as a row in the order (C, 2, 2)."""
    corners = [pixels[:, y : pixels.shape[1] - 1 + y, x : pixels.shape[2] - 1 + x] for y in (0, 1) for x in (0, 1)]
    return np.stack(corners, -1).reshape(-1, 4 * pixels.shape[3]).astype(float)


# whitening


@pytest.mark.parametrize("channels", [1, 3])
def test_the_state_holds_the_covariance_of_patches(channels):
    pixels = smooth(60, 9, 12, channels)
    part = Image()
    state = part.fit(pl.Series("p", pixels))
    assert state.channels == channels
    np.testing.assert_allclose(state.patches, np.cov(patches_of(pixels), rowvar=False, bias=True), rtol=1e-9)
    assert part.facts("p", state).image.patches == state.patches
    assert type(state).model_validate(state.model_dump(mode="json")) == state


def test_colour_that_turns_out_grey_keeps_one_channel_of_patches():
    pixels = np.repeat(smooth(20, 6, 6, 1), 3, axis=3)
    state = Image().fit(pl.Series("p", pixels))
    assert state.channels == 1
    np.testing.assert_allclose(state.patches, np.cov(patches_of(pixels[..., :1]), rowvar=False, bias=True), rtol=1e-9)


def test_many_patches_are_sampled_evenly_and_a_line_has_none():
    pixels = smooth(600, 40, 40, 1)
    state = Image().fit(pl.Series("p", pixels))
    np.testing.assert_allclose(state.patches, np.cov(patches_of(pixels), rowvar=False, bias=True), rtol=0.05, atol=10)
    assert Image().fit(pl.Series("p", smooth(5, 1, 9, 1))).patches == ()


def test_whitened_patches_are_uncorrelated():
    pixels = smooth(200, 10, 10, 3)
    covariance = np.cov(patches_of(pixels), rowvar=False, bias=True)
    std = pixels.std((0, 1, 2))
    maps = torch.from_numpy((pixels - pixels.mean((0, 1, 2))) / std).float().permute(0, 3, 1, 2)
    module = Whitening(3, std, covariance.tolist())
    whitened = module(maps)
    assert whitened.shape == (200, 24, 9, 9)
    assert torch.equal(whitened[:, 12:], -whitened[:, :12])
    rows = whitened[:, :12].permute(0, 2, 3, 1).reshape(-1, 12)
    torch.testing.assert_close(torch.cov(rows.T), torch.eye(12), rtol=0, atol=0.03)
    assert [name for name, _ in module.named_parameters()] == ["bias"]
    without = Whitening(3, std, ())  # bundles of before know no covariance
    assert without.weight.shape == module.weight.shape
    assert torch.isfinite(without.weight).all()


# starts and rates


def test_dirac_starts_hand_on_their_input():
    module = Airbench(widths=(32, 32), whiten=False).build(facts(channels=1))
    wide, *square = (m for m in module.modules() if isinstance(m, torch.nn.Conv2d) and m.kernel_size == (3, 3))
    maps = torch.randn(2, 32, 5, 5)
    assert len(square) == 3
    for layer in square:
        torch.testing.assert_close(layer(maps), maps)
    torch.testing.assert_close(wide(maps[:, :8])[:, :8], maps[:, :8])
    assert wide(maps[:, :8])[:, 8:].abs().max() > 0
    he = CNN(channels=(8, 8)).build(facts())
    dirac = CNN(channels=(8, 8), init="dirac").build(facts())
    assert (he.body[1].body[0].weight[0, 0, 1, 1] - 1).abs() > 1e-3
    assert dirac.body[1].body[0].weight[0, 0, 1, 1] == 1


@pytest.mark.parametrize("name", ["sgd", "muon", "adamw"])
def test_scaled_biases_are_a_group_of_their_own(name):
    module = Airbench(widths=(8, 16), bias_rate=64.0).build(facts())
    groups = weight_decay_groups(module, 0.1)
    norms = [m for m in module.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    fast = [group for group in groups if group.get("rate") == 64.0]
    assert {id(p) for group in fast for p in group["params"]} == {id(m.bias) for m in norms}
    assert sorted(id(p) for group in groups for p in group["params"]) == sorted(id(p) for p in module.parameters())
    optimizer = Optimizer.parse({"type": name, "lr": 0.01}).build(groups)
    rates = {id(p): group["initial_lr"] for group in optimizer.param_groups for p in group["params"]}
    assert rates[id(norms[0].bias)] == pytest.approx(0.64)
    assert rates[id(norms[0].weight)] == pytest.approx(0.01)
    plain = weight_decay_groups(Airbench(widths=(8, 16)).build(facts()), 0.1)
    assert len(plain) == 2
    assert all("rate" not in group for group in plain)


# the network


def test_airbench_is_that_of_the_paper():
    module = Airbench().build(facts())
    total = 0

    def count(layer, _, output):
        nonlocal total
        total += output[0].numel() * layer.weight[0].numel()

    for layer in module.modules():
        if isinstance(layer, torch.nn.Conv2d | Whitening):
            layer.register_forward_hook(count)
    vectors = module.eval()({"image": torch.zeros(1, 32, 32, 3, dtype=torch.uint8)})
    assert vectors.shape == (1, 256)
    # 1.97 million weights with those of the whitening and of the output layer; 9.9 epochs of 50,000 take 3.6e14 FLOPs (table 1).
    weights = sum(p.numel() for p in module.parameters()) + 24 * 12 + 256 * 10
    assert weights == pytest.approx(1.97e6, rel=0.005)
    assert 2 * 3 * total * 9.9 * 50_000 == pytest.approx(3.6e14, rel=0.03)


def test_airbench_refuses_pictures_that_its_groups_use_up():
    Airbench(widths=(8, 8)).build(facts(5, 64))
    with pytest.raises(RecipeError, match="at least 9 pixels") as caught:
        Airbench(widths=(8, 8, 8)).build(facts(8, 64))
    assert caught.value.problems[0].code == "E108"


# progressive resizing


def test_pictures_shrink_in_few_steps_and_keep_their_brightness():
    pictures = torch.rand(2, 3, 28, 20, generator=torch.Generator().manual_seed(0)) * 255
    sizes = {tuple(shrunk(pictures, share).shape[2:]) for share in np.linspace(0.5, 1, 200)}
    assert {(16, 12), (28, 20)} <= sizes
    assert len(sizes) <= 8
    assert all(height % 4 == 0 and width % 4 == 0 for height, width in sizes)
    torch.testing.assert_close(shrunk(pictures, 0.5).mean((2, 3)), pictures.mean((2, 3)), rtol=0.05, atol=0)
    assert shrunk(pictures, 1.0) is pictures


def table_of(rows=96, side=16):
    """Pictures that are bright on the left or on the right."""
    pixels = smooth(rows, side, side, 1) // 2
    labels = np.arange(rows) % 2
    pixels[labels == 0, :, : side // 2] += 90
    pixels[labels == 1, :, side // 2 :] += 90
    return Table(pl.DataFrame({"p": pixels, "y": ["left" if label == 0 else "right" for label in labels]}), "pictures")


def declared(encoder="cnn", image=None, **training):
    shape = {"type": "airbench", "widths": [8, 8]} if encoder == "airbench" else {"type": "cnn", "channels": [4, 8]}
    return Recipe.parse(
        {
            "inputs": {"p": {"type": "image", "encoder": shape, **(image or {})}},
            "outputs": {"y": "binary"},
            "training": {"epochs": 3, "batch": 16, "patience": 0, "layout": "channels_last", "precision": "fp32", **training},
        }
    )


def digest(path):
    return hashlib.sha256((path / "weights.safetensors").read_bytes()).hexdigest()


class _StopError(Exception):
    pass


def test_resized_and_alternating_runs_resume_to_the_same_bits(tmp_path):
    augment = [{"type": "flip", "axis": "vertical", "alternate": True}, "crop"]
    recipe = declared("airbench", {"augment": augment}, resize={"start": 0.5, "until": 0.7}, checkpoint_every=1e-6)
    whole = train(recipe, table=table_of(), out=tmp_path / "whole")

    def stop(event):
        if event.stage == "training" and event.values["step"] >= 7:
            raise _StopError

    with pytest.raises(_StopError):
        train(recipe, table=table_of(), out=tmp_path / "m", listener=stop)
    assert digest(train(recipe, table=table_of(), out=tmp_path / "m")) == digest(whole)


def test_sizes_grow_with_progress(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr("deepwright.engine.feed.shrunk", lambda picture, share: seen.append(share) or shrunk(picture, share))
    train(declared(resize={"start": 0.5, "until": 0.6}, epochs=2), table=table_of(), out=tmp_path / "m")
    assert seen[0] == 0.5
    assert seen == sorted(seen)
    assert max(seen) < 1
    assert len(seen) == 6  # of 10 steps, those before 0.6


def test_resizing_is_refused_where_the_encoder_knows_one_size(tmp_path):
    recipe = declared(resize={})
    flat = recipe.replace(
        inputs={"p": Image(encoder={"type": "sequential", "layers": ["flatten"]})}, training={"resize": recipe.training.resize}
    )
    with pytest.raises(RecipeError, match="takes any size") as caught:
        train(flat, table=table_of(), out=tmp_path / "m")
    assert caught.value.problems[0].where == "training.resize"


# views


class _Corner(torch.nn.Module):
    """An encoder that returns one row of the picture."""

    width, members = 12, 1

    def forward(self, inputs):
        return inputs["image"][:, 0, :, 0].float()


@pytest.mark.parametrize(("kind", "count"), [("mirror", 2), ("mirror_translate", 6)])
def test_views_are_the_mean_of_what_an_encoder_sees(kind, count):
    pictures = torch.randint(0, 256, (3, 10, 12, 1), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    views = Views(_Corner(), 10, 12, kind)
    assert torch.equal(views.train()({"image": pictures}), _Corner()({"image": pictures}))
    assert len(views.rows) == count
    wide = torch.nn.functional.pad(pictures.permute(0, 3, 1, 2).float(), (1, 1, 1, 1), mode="reflect")[:, 0]
    places = [(0.5, 1, 1), (0.25, 0, 0), (0.25, 2, 2)] if kind == "mirror_translate" else [(1.0, 1, 1)]
    seen = sum(weight * wide[:, y, x : x + 12] for weight, y, x in places)
    torch.testing.assert_close(views.eval()({"image": pictures}), (seen + seen.flip(1)) / 2)


def test_mirrored_pictures_are_predicted_alike_from_the_exported_graph(tmp_path):
    path = train(declared(image={"tta": "mirror", "augment": []}, epochs=1), table=table_of(), out=tmp_path / "m")
    assert Bundle.open(path).manifest["export"]["graph"]
    table = table_of()
    mirrored = table.with_frame(table.frame.with_columns(p=pl.Series("p", table.frame["p"].to_numpy()[:, :, ::-1].copy())))
    ours, other, theirs = predict(path, table), predict(path, mirrored), predict(path, table, engine="torch")
    np.testing.assert_allclose(ours["y:left"].to_numpy(), other["y:left"].to_numpy(), atol=1e-5)
    np.testing.assert_allclose(ours["y:left"].to_numpy(), theirs["y:left"].to_numpy(), atol=1e-5)
    assert ours["y:left"].std() > 1e-4


def test_shifted_views_export():
    module = Views(CNN(channels=(4, 8)).build(facts(9, 12)), 9, 12, "mirror_translate")
    wrapped = _Named(module)
    check_onnx(wrapped, lambda rows: (torch.from_numpy(smooth(rows, 9, 12, 3)),))


class _Named(torch.nn.Module):
    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, *tensors):
        return self.module({"image": tensors[0]})
