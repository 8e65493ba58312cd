"""Encoders that start from weights of others: files, bundles, libraries, LoRA, and modules of a program's own."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from torch import nn

import deepwright as dw
from deepwright.blocks import pretrained as blocks
from deepwright.blocks.custom import supplied
from deepwright.blocks.lora import LowRank, add_low_rank, has_low_rank, merged
from deepwright.blocks.rates import layers_of
from deepwright.blocks.recompute import keep, recompute
from deepwright.blocks.weights import load_weights, renamed
from deepwright.bundle import Bundle
from deepwright.encoders.pretrained import Pretrained
from deepwright.engine import assembly
from deepwright.errors import DataError, DeepwrightError, MissingExtra, RecipeError, UsageError
from deepwright.facts import Facts, ImageFacts
from deepwright.families import Encoder
from deepwright.recipe import Recipe
from deepwright.testing.networks import arrays_of, facts_of

CNN = {"type": "cnn", "channels": [4, 8]}
FACTS = Facts("image", image=ImageFacts(12, 12, 3, (120.0, 110.0, 100.0), (60.0, 61.0, 62.0)))


@pytest.fixture(autouse=True, scope="module")
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def pictures(folder, classes=("dark", "light"), count=24, side=12, channels=3):
    """Write pictures whose brightness tells their class."""
    rng = np.random.default_rng(0)
    for level, label in enumerate(classes):
        (folder / label).mkdir(parents=True)
        for number in range(count):
            pixels = rng.integers(0, 60, (side, side, 3), dtype=np.uint8) + level * min(60, 180 // (len(classes) - 1))
            image = Image.fromarray(pixels.astype(np.uint8))
            (image if channels == 3 else image.convert("L")).save(folder / label / f"{number}.png")
    return str(folder)


def recipe(data, encoder, **training):
    usual = {"epochs": 1, "batch": 16, "threads": 1, "precision": "fp32", "layout": "contiguous", "prefetch": 0, "compile": "off"}
    image = {"type": "image", "encoder": encoder, "augment": []}
    return {"data": data, "inputs": {"image": image}, "outputs": {"label": "category"}, "training": {**usual, **training}}


def tiny(seed=1):
    """Return a small encoder and its weights."""
    torch.manual_seed(seed)
    module = Encoder.parse(CNN).build(FACTS)
    module.train()({"image": torch.randint(0, 256, (8, 12, 12, 3), dtype=torch.uint8)})  # running statistics of its own
    return module.eval(), {name: tensor.clone() for name, tensor in module.state_dict().items()}


def started(part):
    part = part.settled("inputs.image.encoder")
    torch.manual_seed(0)
    module = part.build(FACTS)
    part.start(module, "inputs.image.encoder")
    return module


def batch(rows=5, channels=3, seed=0):
    return {"image": torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (rows, 12, 12, channels), dtype=np.uint8))}


# files of weights


@pytest.mark.parametrize("kind", ["npz", "safetensors"])
def test_weights_of_a_file_are_the_networks(tmp_path, kind):
    module, weights = tiny()
    wrapped = {f"module.{name}": tensor for name, tensor in weights.items()} | {"module.fc.weight": torch.ones(10, 8)}
    path = tmp_path / f"w.{kind}"
    if kind == "npz":
        np.savez(path, **{name: tensor.numpy() for name, tensor in wrapped.items()})
    else:
        save_file(wrapped, path)
    part = Pretrained(model=CNN, weights=str(path), rename={"^module\\.": "", "^fc\\.": None})
    assert torch.equal(started(part).eval()(batch()), module(batch()))


def test_float16_and_a_file_of_names(tmp_path):
    module, weights = tiny()
    np.savez(tmp_path / "w.npz", **{f"net.{name}": tensor.half().numpy() for name, tensor in weights.items()})
    (tmp_path / "names.yaml").write_text('"^net[.]": ""\n')
    part = Pretrained(model=CNN, weights="w.npz", rename="names.yaml").settled("here")
    assert part.rename == {"^net[.]": ""}
    torch.testing.assert_close(started(part).eval()(batch()), module(batch()), rtol=2e-2, atol=2e-2)


def test_bfloat16_safetensors(tmp_path):
    _, weights = tiny()
    save_file({n: t.bfloat16() if t.is_floating_point() else t for n, t in weights.items()}, tmp_path / "w.safetensors")
    assert started(Pretrained(model=CNN, weights="w.safetensors"))(batch()).dtype == torch.float32


def _saved(change):
    def write(folder):
        _, weights = tiny()
        np.savez(folder / "w.npz", **{name: np.asarray(value) for name, value in change(weights).items()})
        return "w.npz"

    return write


def _first(weights):
    return next(name for name in weights if name.startswith("body") and weights[name].ndim == 4)


def _written(name, data):
    def write(folder):
        (folder / name).write_bytes(data)
        return name

    return write


def _objects(folder):
    np.savez(folder / "w.npz", a=np.array([{"code": 1}], dtype=object))
    return "w.npz"


def _cut(folder):
    _, weights = tiny()
    save_file(weights, folder / "w.safetensors")
    (folder / "w.safetensors").write_bytes((folder / "w.safetensors").read_bytes()[:200])
    return "w.safetensors"


def _bomb(folder):
    np.savez_compressed(folder / "w.npz", a=np.zeros(50_000_000))
    return "w.npz"


def _plain_array(folder):
    np.save(folder / "w.npy", np.zeros(3))
    (folder / "w.npy").rename(folder / "w.npz")
    return "w.npz"


def _near_file(folder):
    _saved(lambda w: w)(folder)
    return "x.npz"


def _not_a_bundle(folder):
    (folder / "plain").mkdir()
    return "bundle:plain"


MALFORMED = {
    "missing": (lambda _: "nowhere.npz", "E200", ["nowhere.npz", "no such file"]),
    "missing, one near": (_near_file, "E200", ["did you mean 'w.npz'"]),
    "pickle": (_written("w.pth", b"\x80\x02."), "E204", ["pickle", "weights_only=True"]),
    "old pickle": (_written("w.th", b"\x80\x02."), "E204", ["safetensors"]),
    "another format": (_written("w.h5", b"\x89HDF"), "E202", [".npz or .safetensors"]),
    "objects": (_objects, "E202", ["w.npz"]),
    "texts": (_saved(lambda w: {**w, "name": np.array(["a"])}), "E202", ["not numbers"]),
    "empty": (_written("w.npz", b""), "E202", ["w.npz"]),
    "no archive": (_written("w.npz", b"hello"), "E202", ["w.npz"]),
    "a plain array": (_plain_array, "E202", ["not an archive"]),
    "cut safetensors": (_cut, "E202", ["w.safetensors"]),
    "lying safetensors": (_written("w.safetensors", b"\xff" * 64), "E202", ["w.safetensors"]),
    "a bomb": (_bomb, "E202", ["expand"]),
    "wrong shape": (_saved(lambda w: {**w, _first(w): np.zeros((2, 3, 3, 3))}), "E276", ["2×3×3×3 in the file", "4×3×3×3"]),
    "missing name": (_saved(lambda w: {k: v for k, v in w.items() if k != _first(w)}), "E276", ["not in the file"]),
    "unknown name": (_saved(lambda w: {**w, "extra.weight": np.ones(2)}), "E276", ["extra.weight", "null"]),
    "a prefix": (_saved(lambda w: {f"module.{k}": v for k, v in w.items()}), "E276", ["rename: {'^module\\.': ''}"]),
    "near names": (_saved(lambda w: {k.replace("body.1", "body.one"): v for k, v in w.items()}), "E276", ["near: "]),
    "NaN": (_saved(lambda w: {k: np.full_like(v, np.nan) if k == _first(w) else v for k, v in w.items()}), "E276", ["NaN"]),
    "not a bundle": (_not_a_bundle, "E301", ["plain", "manifest"]),
    "no bundle": (lambda _: "bundle:nothing", "E301", ["nothing"]),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_weights_are_one_clear_error(tmp_path, case):
    make, code, words = MALFORMED[case]
    with pytest.raises(DeepwrightError) as caught:
        started(Pretrained(model=CNN, weights=make(tmp_path)))
    assert caught.value.code == code
    for word in words:
        assert word in str(caught.value)
    assert "inputs.image.encoder" in str(caught.value) or code == "E301"


def test_all_that_does_not_fit_is_told_at_once():
    module, weights = tiny()
    first = _first(weights)
    weights["stranger"] = torch.ones(1)
    weights["body.0.1.bias"] = torch.ones(9)
    weights[first.replace("weight", "wait")] = weights.pop(first)
    with pytest.raises(DataError) as caught:
        load_weights(module, weights, "w.npz")
    assert len(caught.value.problems) == 3
    assert f"{first} (near: " in str(caught.value)


def test_names_that_become_equal_are_refused():
    with pytest.raises(DataError, match="a and b both become x"):
        renamed({"a": torch.ones(1), "b": torch.ones(1)}, {"^[ab]$": "x"}, "w.npz")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"model": "torchvison/resnet50", "weights": "none"}, "did you mean 'torchvision/'"),
        ({"model": "cnnn", "weights": "none"}, "did you mean 'cnn'"),
        ({"model": {"type": "lstm"}, "weights": "none"}, "cannot be a pretrained network"),
        ({"model": {"type": "pretrained", "model": CNN}, "weights": "none"}, "cannot be a pretrained network"),
        ({"model": CNN, "weights": "hub"}, "torchvision/ or timm/"),
        ({"model": "bundle:b", "weights": "w.npz"}, "leave weights out"),
        ({"model": CNN, "weights": "none", "lora": {}}, "lora"),
        ({"model": CNN, "weights": "w.npz", "rename": {"(": ""}}, "regular expression"),
        ({"model": CNN, "weights": "w.npz", "rename": {"a": "\\1"}}, "replacement"),
        ({"model": CNN, "weights": "w.npz", "lora": {"only": "["}}, "regular expression"),
        ({"model": CNN, "weights": "none", "expects": {"order": "grey", "mean": [1, 2, 3]}}, "3 values"),
    ],
)
def test_contradictions_are_refused(fields, words):
    with pytest.raises(ValidationError, match=words):
        Pretrained.model_validate(fields)


def test_a_mapping_file_must_hold_patterns(tmp_path):
    (tmp_path / "names.yaml").write_text("a: 3\n")
    with pytest.raises(RecipeError, match=r"names\.yaml"):
        Pretrained(model=CNN, weights="none", rename="names.yaml").settled("here")


def test_weights_must_be_named(tmp_path):
    with pytest.raises(RecipeError, match="E105"):
        Pretrained(model=CNN).settled("here")


def test_other_weights_than_those_of_the_recipe_are_refused(tmp_path):
    _saved(lambda w: w)(tmp_path)
    part = Pretrained(model=CNN, weights="w.npz").settled("here")
    assert part == part.settled("here")
    _saved(lambda w: {**w, "more": np.ones(1)})(tmp_path)
    with pytest.raises(DataError, match="not those that the recipe"):
        part.settled("here")


# what the network gets


def test_channels_are_what_the_network_was_trained_with():
    torch.manual_seed(0)
    rgb = Pretrained(model=CNN, weights="none", expects={"order": "rgb", "mean": [1, 2, 3], "std": [4, 5, 6]}).build(FACTS)
    bgr = Pretrained(model=CNN, weights="none", expects={"order": "bgr", "mean": [1, 2, 3], "std": [4, 5, 6]}).build(FACTS)
    bgr.load_state_dict(rgb.state_dict())
    turned = {"image": batch()["image"].flip(-1)}
    assert torch.equal(rgb.eval()(batch()), bgr.eval()(turned))
    assert bgr.network.entrance.mean.flatten().tolist() == [1, 2, 3]
    own = Pretrained(model=CNN, weights="none", expects={"order": "bgr"}).build(FACTS)
    assert own.network.entrance.mean.flatten().tolist() == [100, 110, 120]


def test_grey_and_colour():
    grey = Facts("image", image=ImageFacts(12, 12, 1, (100.0,), (50.0,)))
    wide = Pretrained(model=CNN, weights="none", expects={"order": "rgb"}).build(grey).eval()
    assert wide.network.entrance.mean.numel() == 3
    assert torch.isfinite(wide(batch(channels=1))).all()
    narrow = Pretrained(model=CNN, weights="none", expects={"order": "grey"}).build(FACTS).eval()
    assert narrow.network.entrance.mean.item() == pytest.approx(0.299 * 120 + 0.587 * 110 + 0.114 * 100)
    same = batch(channels=1)["image"]
    as_colour = narrow({"image": same.expand(-1, -1, -1, 3)})
    narrow.channels.channels = 1
    torch.testing.assert_close(narrow({"image": same}), as_colour)


def test_the_pool_can_be_another():
    wanted = {"avg": "avg", "max": "max"}
    for pool in wanted:
        assert Pretrained(model=CNN, weights="none", pool=pool).build(FACTS).network.exit.kind == pool
    with pytest.raises(RecipeError, match="no global pooling"):
        Pretrained(model={"type": "sequential", "layers": ["flatten"]}, weights="none", pool="max").build(FACTS)


def test_the_input_takes_the_size_of_the_network(tmp_path):
    data = pictures(tmp_path / "p", side=20)
    encoder = {"type": "pretrained", "model": CNN, "weights": "none", "expects": {"height": 16, "width": 14}}
    model = dw.train(recipe=recipe(data, encoder), out="m")
    assert (model.recipe.inputs["image"].height, model.recipe.inputs["image"].width) == (16, 14)
    told = {**recipe(data, encoder)["inputs"]["image"], "height": 10, "width": 10}
    model = dw.train(recipe={**recipe(data, encoder), "inputs": {"image": told}}, out="n")
    assert model.recipe.inputs["image"].height == 10


# libraries


def test_a_network_of_torchvision_without_its_classifier(tmp_path):
    models = pytest.importorskip("torchvision.models")
    torch.manual_seed(0)
    whole = models.squeezenet1_1()
    old = {f"features.{i}": f"fire{n}" for n, i in zip(range(2, 10), (3, 4, 6, 7, 9, 10, 11, 12), strict=True)}
    old |= {"features.0": "conv1", "classifier.1": "conv10"}
    arrays = {}
    for name, tensor in whole.state_dict().items():
        layer = next(key for key in old if name.startswith(key + "."))
        arrays[old[layer] + name.removeprefix(layer)] = tensor.half().numpy()
    np.savez(tmp_path / "w.npz", **arrays)
    rename = {f"^{new}\\.": f"{layer}." for layer, new in old.items()}
    part = Pretrained(model="torchvision/squeezenet1_1", weights="w.npz", rename=rename, expects={"height": 64, "width": 64})
    part = part.settled("here")
    assert part.expects.mean == pytest.approx((123.675, 116.28, 103.53))
    facts = Facts("image", image=ImageFacts(64, 64, 3, (1.0,) * 3, (1.0,) * 3))
    module = part.build(facts)
    part.start(module, "here")
    assert module.width == 512
    image = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    maps = (image.permute(0, 3, 1, 2) - module.network.entrance.mean) / module.network.entrance.std
    wanted = whole.half().float().eval().features(maps).mean((2, 3))
    torch.testing.assert_close(module.eval()({"image": image}), wanted, rtol=1e-4, atol=1e-5)
    assert len(layers_of(module)) == 9  # the first convolution and eight fire modules


def test_layers_of_a_resnet_of_torchvision():
    pytest.importorskip("torchvision")
    part = Pretrained(model="torchvision/resnet18", weights="none").settled("here")
    module = part.build(Facts("image", image=ImageFacts(64, 64, 3, (1.0,) * 3, (1.0,) * 3)))
    layers = layers_of(module)
    assert len(layers) == 9  # the stem and eight blocks
    assert layers[0][0] is module.network.body.conv1
    assert sum(p.numel() for layer in layers for m in layer for p in m.parameters()) == sum(p.numel() for p in module.parameters())
    assert module.width == 512
    pooled = Pretrained(model="torchvision/resnet18", weights="none", pool="max").settled("here")
    pooled.build(Facts("image", image=ImageFacts(64, 64, 3, (1.0,) * 3, (1.0,) * 3)))


def test_names_of_libraries_are_looked_up():
    pytest.importorskip("torchvision")
    with pytest.raises(RecipeError, match="did you mean 'resnet50'"):
        Pretrained(model="torchvision/resnet5O", weights="none").settled("here")
    with pytest.raises(RecipeError, match="three channels"):
        Pretrained(model="torchvision/resnet18", weights="none", expects={"order": "grey"}).settled("here")
    part = Pretrained(model="torchvision/vit_b_32", weights="none").settled("here")
    with pytest.raises(RecipeError, match="takes no pictures of 32 × 32"):
        part.build(Facts("image", image=ImageFacts(32, 32, 3, (1.0,) * 3, (1.0,) * 3)))


def test_a_network_of_timm():
    timm = pytest.importorskip("timm")
    part = Pretrained(model="timm/test_resnet", weights="none").settled("here")
    module = part.build(Facts("image", image=ImageFacts(64, 64, 3, (1.0,) * 3, (1.0,) * 3)))
    whole = timm.create_model("test_resnet", num_classes=7)
    load_weights(module.core, whole.state_dict(), "here", dropped=module.dropped)
    image = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    maps = (image.permute(0, 3, 1, 2) - module.network.entrance.mean) / module.network.entrance.std
    wanted = whole.eval().forward_head(whole.forward_features(maps), pre_logits=True)
    torch.testing.assert_close(module.eval()({"image": image}), wanted)
    with pytest.raises(RecipeError, match="timm has no network"):
        Pretrained(model="timm/no_such_network", weights="none").settled("here")


def test_a_library_that_is_not_installed_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision.models", None)
    with pytest.raises(MissingExtra, match=r"deepwright\[vision\]"):
        Pretrained(model="torchvision/resnet18", weights="none").settled("here")


def test_the_hub_is_asked_only_when_the_recipe_says_so(monkeypatch):
    models = pytest.importorskip("torchvision.models")
    asked = []

    def fetch(self, **options):
        asked.append(options)
        if len(asked) > 1:
            raise OSError("no route to host")
        torch.manual_seed(5)
        return models.resnet18().state_dict()

    monkeypatch.setattr(type(models.ResNet18_Weights.DEFAULT), "get_state_dict", fetch)
    facts = Facts("image", image=ImageFacts(64, 64, 3, (1.0,) * 3, (1.0,) * 3))
    plain = Pretrained(model="torchvision/resnet18", weights="none").settled("here")
    plain.start(plain.build(facts), "here")
    assert not asked
    part = Pretrained(model="torchvision/resnet18", weights="hub").settled("here")
    module = part.build(facts)
    assert not asked
    part.start(module, "here")
    assert asked[0]["weights_only"]
    assert asked[0]["check_hash"]
    torch.manual_seed(5)
    assert torch.equal(module.core.conv1.weight, models.resnet18().conv1.weight)
    with pytest.raises(DataError, match="E201"):
        part.start(module, "here")


# bundles


def test_a_bundle_goes_on_from_a_bundle_and_needs_neither_it_nor_the_file(tmp_path):
    _, weights = tiny()
    np.savez(tmp_path / "w.npz", **{name: tensor.numpy() for name, tensor in weights.items()})
    data = pictures(tmp_path / "two")
    encoder = {"type": "pretrained", "model": CNN, "weights": "w.npz"}
    first = dw.train(recipe=recipe(data, encoder), out="first")
    assert first.recipe.inputs["image"].encoder.sha256
    other = pictures(tmp_path / "three", ("a", "b", "c"), side=16)
    frozen = {"rates": {"image": {"frozen": "always"}}}
    second = dw.train(recipe=recipe(other, {"type": "pretrained", "model": "bundle:first"}, **frozen), out="second")
    assert second.recipe.inputs["image"].height == 12  # the bundle's own size
    one, two = (load_file(Path(name) / "weights.safetensors") for name in ("first", "second"))
    shared = [name for name in one if name.startswith("encoders.")]
    assert len(shared) == len(weights)
    for name in shared:  # running statistics included
        assert torch.equal(one[name], two[name]), name
    (tmp_path / "w.npz").unlink()
    shutil.rmtree("first")
    mean = "encoders.0.network.entrance.mean"  # the pictures are those that the network learnt from
    assert torch.equal(two[mean], one[mean])
    frame = second.predict(other, engine="torch")
    assert frame["label"].to_list() == second.predict(other).get_column("label").to_list()
    assert second.evaluate(other, engine="torch")
    third = dw.train(recipe=recipe(data, {"type": "pretrained", "model": "bundle:second#image"}), out="third")
    assert third.recipe.inputs["image"].encoder.model == Encoder.parse(CNN)
    with pytest.raises(DeepwrightError, match="E301"):  # training anew does need what it started from
        dw.train(recipe=second.recipe, out="again")


def test_bundles_of_other_encoders(tmp_path):
    data = pictures(tmp_path / "grey", channels=1)
    plain = recipe(data, CNN)
    plain["inputs"]["image"]["tta"] = "mirror"
    dw.train(recipe=plain, out="plain")
    module = Pretrained(model="bundle:plain").settled("here")
    assert module.expects.order == "grey"
    built = module.build(FACTS)  # colour
    module.start(built, "here")
    held = load_file("plain/weights.safetensors")
    assert torch.equal(built.state_dict()["network.body.0.0.weight"], held["encoders.0.encoder.body.0.0.weight"])
    with pytest.raises(DeepwrightError, match="did you mean 'image'"):
        Pretrained(model="bundle:plain#imag").settled("here")
    (Path("plain") / "weights.safetensors").write_bytes(b"other")
    with pytest.raises(DeepwrightError, match="E302"):
        Pretrained(model="bundle:plain").settled("here")


def test_a_bundle_without_pictures_is_refused(people):
    dw.train(people.frame, target="rich", out="people", settings=["training.epochs=1", "tabular=mlp"])
    with pytest.raises(DeepwrightError, match="E306"):
        Pretrained(model="bundle:people").settled("here")


def test_the_same_recipe_is_the_same_run(tmp_path):
    _, weights = tiny()
    np.savez(tmp_path / "w.npz", **{name: tensor.numpy() for name, tensor in weights.items()})
    data = pictures(tmp_path / "p")
    encoder = {"type": "pretrained", "model": CNN, "weights": "w.npz", "lora": {"rank": 2}}
    one = dw.train(recipe=recipe(data, encoder), out="one")
    dw.train(recipe=one.recipe, out="two")
    assert Path("one/weights.safetensors").read_bytes() == Path("two/weights.safetensors").read_bytes()
    assert Recipe.load("one/recipe.yaml") == one.recipe


# gentleness


def test_defaults_are_gentle_with_what_was_learnt(tmp_path):
    _saved(lambda w: w)(tmp_path)
    data = pictures(tmp_path / "p")
    encoder = {"type": "pretrained", "model": CNN, "weights": "w.npz"}
    bare = {"data": data, "inputs": {"image": {"type": "image", "encoder": encoder}}, "outputs": {"label": "category"}}
    learnt = dw.train(recipe=bare, out="learnt", settings=["training.steps=1"]).recipe.training
    assert learnt.rates["image"].lr == 0.1
    assert learnt.optimizer.type_name() == "adamw"
    bare["inputs"]["image"]["encoder"] = {**encoder, "weights": "none"}
    fresh = dw.train(recipe=bare, out="fresh", settings=["training.steps=1"]).recipe.training
    assert not fresh.rates
    assert fresh.optimizer.type_name() == "muon"
    assert fresh.batch > learnt.batch
    augment = Recipe.load("learnt/recipe.yaml").inputs["image"].augment
    assert [part.type_name() for part in augment] == ["crop"]


# low rank


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.point = nn.Conv2d(8, 6, 1, bias=False)
        self.groups = nn.Conv2d(6, 6, 3, groups=3)
        self.out = nn.Linear(6, 4)

    def forward(self, maps):
        return self.out(self.groups(self.point(self.norm(self.first(maps)).relu())).mean((2, 3)))


def test_low_rank_starts_as_nothing_learns_alone_and_merges():
    torch.manual_seed(0)
    network, maps = Net(), torch.randn(4, 3, 8, 8)
    plain = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    before = network.eval()(maps)
    assert add_low_rank(network, 3, 6.0) == 4
    assert torch.equal(network(maps), before)
    learning = {name for name, p in network.named_parameters() if p.requires_grad}
    assert len(learning) == 8
    assert all(name.endswith((".0.up", ".0.down")) for name in learning)
    optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], 0.5)
    for _ in range(3):
        optimizer.zero_grad()
        network(maps).square().sum().backward()
        optimizer.step()
    after = network(maps).detach()
    assert not torch.allclose(after, before)
    twin = Net()
    twin.load_state_dict(merged(network.state_dict()))
    torch.testing.assert_close(twin.eval()(maps), after, rtol=1e-5, atol=1e-6)
    change = twin.first.weight - plain["first.weight"]
    assert torch.linalg.matrix_rank(change.flatten(1).detach(), rtol=1e-4) <= 3
    assert torch.equal(twin.norm.running_mean, plain["norm.running_mean"])
    assert torch.equal(twin.out.bias, plain["out.bias"])
    assert merged(plain).keys() == plain.keys()


def test_low_rank_of_some_layers():
    network = Net()
    assert add_low_rank(network, 2, 2.0, only="^(point|out)$") == 2
    assert {type(m) for m in network.modules() if isinstance(m, LowRank)} == {LowRank}
    assert not network.first.weight.requires_grad


def test_a_bundle_holds_merged_weights(tmp_path):
    _, weights = tiny()
    np.savez(tmp_path / "w.npz", **{name: tensor.numpy() for name, tensor in weights.items()})
    data = pictures(tmp_path / "p")
    encoder = {"type": "pretrained", "model": CNN, "weights": "w.npz", "lora": {"rank": 2}}
    rates = {"image": {"frozen": 1}}  # what never learns must not begin to when the part does
    model = dw.train(recipe=recipe(data, encoder, epochs=3, rates=rates, optimizer={"type": "adamw", "lr": 0.01}), out="m")
    held = load_file("m/weights.safetensors")
    assert not [name for name in held if "parametrizations" in name]
    assert model.bundle.manifest["export"]["graph"]
    changed = [name for name, tensor in weights.items() if not torch.equal(held[f"encoders.0.network.{name}"], tensor)]
    assert changed
    assert all(name.endswith("weight") and weights[name].ndim == 4 for name in changed)
    import onnx

    plain = dw.train(recipe=recipe(data, {**encoder, "lora": None}), out="plain")
    counts = [len(onnx.load(str(m.bundle.file("model.onnx"))).graph.node) for m in (model, plain)]
    assert counts[0] == counts[1]


def test_low_rank_without_a_layer_is_an_error(tmp_path):
    _saved(lambda w: w)(tmp_path)
    with pytest.raises(RecipeError, match=r"lora\.only"):
        started(Pretrained(model=CNN, weights="w.npz", lora={"only": "nothing"}))


def test_a_still_network_keeps_its_statistics_while_it_trains(tmp_path):
    _saved(lambda w: w)(tmp_path)
    module = started(Pretrained(model=CNN, weights="w.npz", lora={"rank": 1}))
    assert has_low_rank(module)
    before = {name: value.clone() for name, value in module.named_buffers()}
    module.train()(batch())
    assert module.training
    assert all(torch.equal(value, before[name]) for name, value in module.named_buffers())


# modules of a program's own


def small():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 6, 3, stride=2), nn.ReLU(), nn.Conv2d(6, 8, 3))


def test_a_module_of_ones_own(tmp_path):
    data, module = pictures(tmp_path / "p"), small()
    weights = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    declared = recipe(data, None, rates={"image": {"frozen": "always"}})
    model = dw.train(recipe=declared, modules={"image": module}, out="m")
    assert all(torch.equal(value, weights[name]) for name, value in module.state_dict().items())  # a copy is trained
    held = load_file("m/weights.safetensors")
    assert all(torch.equal(held[f"encoders.0.module.{name}"], value) for name, value in weights.items())
    assert model.recipe.inputs["image"].encoder.sha256
    assert model.predict(data).height == 48
    text = json.dumps(model.recipe.dump())
    assert "Conv2d" not in text
    with pytest.raises(RecipeError, match=r"E111.*\n.*\n.*modules="):
        model.predict(data, engine="torch")
    with pytest.raises(RecipeError, match="E111"):
        dw.train(recipe=model.recipe, out="again")
    again = dw.train(recipe=model.recipe, modules={"image": module}, out="again")
    assert Path("again/weights.safetensors").read_bytes() == Path("m/weights.safetensors").read_bytes()
    assert again.bundle.manifest["export"]["graph"]
    with pytest.raises(RecipeError, match="not the one of this recipe"):
        dw.train(recipe=model.recipe, modules={"image": nn.Flatten()}, out="third")
    with pytest.raises(DeepwrightError, match="E306"):
        Pretrained(model="bundle:m").settled("here")


def test_a_module_for_the_columns_of_a_table(people):
    module = nn.Sequential(nn.LazyLinear(8), nn.ReLU())
    settings = ["training.epochs=2", "training.threads=1"]
    model = dw.train(people.frame, target="rich", modules={"tabular": module}, settings=settings, out="m")
    assert model.recipe.tabular.type_name() == "custom"
    assert model.predict(people.frame).height == 300


class Reader(nn.Module):
    """An embedding and a recurrent network as a tutorial has them, which knows nothing of what is behind a text's end."""

    def __init__(self, words):
        super().__init__()
        self.embedding = nn.Embedding(words, 8)
        self.lstm = nn.LSTM(8, 6, batch_first=True)

    def forward(self, ids):
        return self.lstm(self.embedding(ids))[0][:, -1]


def test_a_module_for_texts(tmp_path):
    draw = np.random.default_rng(0)
    kinds = draw.integers(0, 2, 80)
    texts = [" ".join([*draw.choice(["the", "a", "film"], draw.integers(0, 9)), "good" if kind else "bad"]) for kind in kinds]
    frame = pl.DataFrame({"text": texts, "label": ["yes" if kind else "no" for kind in kinds]})
    recipe = {"inputs": {"text": "text"}, "outputs": {"label": "category"}, "training": {"epochs": 2, "compile": "off"}}
    model = dw.train(frame, recipe=recipe, modules={"text": Reader(20)}, out="m")
    assert model.bundle.manifest["export"]["graph"]
    alone, among = (model.predict({"text": rows})["label:yes"][0] for rows in (["good"], ["good", "the film a " * 9]))
    assert alone == pytest.approx(among, abs=1e-6)


@pytest.mark.parametrize("wire", ["series", "window", "sound"])
def test_modules_see_as_many_places_of_every_row(wire):
    facts = facts_of(wire)[0]
    seen = []
    module = nn.Sequential(nn.Identity(), nn.Flatten(), nn.LazyLinear(3))
    module[0].register_forward_hook(lambda _, inputs, output: seen.append(output.shape[1:]))
    with supplied({"own": module}):
        encoder = Encoder.parse({"type": "custom", "module": "own"}).build(facts)
    arrays = arrays_of(facts, 3)
    result = encoder(arrays)
    short = {key: value[:1, : 5 * 16] if value.ndim > 1 and wire != "window" else value[:1] for key, value in arrays.items()}
    if "lengths" in short:
        short["lengths"] = torch.full((1,), 5)
    encoder(short)
    assert result.shape == (3, 3)
    assert len(set(seen)) == 1


def moods(count, seed=0):
    draw = np.random.default_rng(seed)
    kinds = draw.integers(0, 2, count)
    texts = [
        " ".join([*draw.choice(["the", "a", "film"], 3), str(draw.choice(["good", "fine"] if k else ["bad", "dull"]))])
        for k in kinds
    ]
    return pl.DataFrame({"text": texts, "label": ["yes" if k else "no" for k in kinds]})


def test_a_text_starts_from_the_encoder_of_another_bundle(tmp_path):
    small = {"type": "gru", "width": 8, "embedding": 8}
    training = {"epochs": 8, "batch": 16, "optimizer": {"type": "adamw", "lr": 0.02}, "threads": 1}
    old = {
        "inputs": {"text": {"type": "text", "min_count": 1, "encoder": small}},
        "outputs": {"label": "category"},
        "training": training,
    }
    first = dw.train(moods(200), recipe=old, out="first")
    fresh = moods(40, seed=1).select(words="text", mood=pl.col("label"))
    encoder = {"type": "from_bundle", "path": "first"}
    new = {"inputs": {"words": {"type": "text", "encoder": encoder}}, "outputs": {"mood": "category"}}
    new["training"] = {"epochs": 2, "rates": {"words": {"frozen": "always"}}, "threads": 1}
    model = dw.train(fresh, recipe=new, out="second")
    assert model.bundle.states["inputs"]["words"] == first.bundle.states["inputs"]["text"], "the vocabulary is the old one"
    held, before = (load_file(f"{name}/weights.safetensors") for name in ("second", "first"))
    weights = [name for name in before if name.startswith("encoders.0.")]
    assert weights
    assert all(torch.equal(held[name], before[name]) for name in weights), "frozen"
    again = dw.train(fresh, recipe=model.recipe, out="third")
    assert Path("third/weights.safetensors").read_bytes() == Path("second/weights.safetensors").read_bytes()
    shutil.rmtree("first")
    rows = {"words": ["the film good", "unseen"]}
    assert dw.load("second").predict(rows).height == 2
    with pytest.raises(DeepwrightError, match="first"):
        dw.train(fresh, recipe=again.recipe, out="fourth")


@pytest.mark.parametrize(
    ("encoder", "feature", "words"),
    [
        ({"input": "other"}, "text", "no input of texts, series or sounds 'other'"),
        ({"sha256": "0" * 64}, "text", "not those that the recipe"),
        ({}, "series", "of another type"),
        ({"path": "nowhere"}, "text", "nowhere"),
    ],
)
def test_what_is_wrong_with_the_other_bundle_is_told(encoder, feature, words):
    small = {"type": "gru", "width": 4, "embedding": 4}
    old = {"inputs": {"text": {"type": "text", "encoder": small}}, "outputs": {"label": "category"}, "training": {"epochs": 1}}
    dw.train(moods(40), recipe=old, out="first")
    new = {
        "inputs": {"text": {"type": feature, "encoder": {"type": "from_bundle", "path": "first", **encoder}}},
        "outputs": {"label": "category"},
    }
    with pytest.raises(DeepwrightError, match=words):
        dw.train(moods(40), recipe=new, out="second")
    assert not Path("second").exists()


class Pair(nn.Module):
    def forward(self, maps):
        return maps, maps


@pytest.mark.parametrize(
    ("modules", "code", "words"),
    [
        ({"image": "resnet"}, "E701", "is not a module"),
        ({"imag": nn.Flatten()}, "E701", "did you mean 'image'"),
        ({"image": nn.Linear(7, 2)}, "E108", "a tensor of (2, 3, 12, 12)"),
        ({"image": Pair()}, "E108", "a tuple"),
        ({"image": nn.Flatten(0)}, "E108", "neither a vector nor a map"),
    ],
)
def test_modules_that_do_not_fit(tmp_path, modules, code, words):
    with pytest.raises(DeepwrightError) as caught:
        dw.train(recipe=recipe(pictures(tmp_path / "p"), None), modules=modules, out="m")
    assert caught.value.code == code
    assert words in str(caught.value)
    assert not Path("m").exists()


def test_modules_stay_in_this_process(tmp_path):
    with pytest.raises(UsageError, match="other processes"):
        dw.train(recipe=recipe(pictures(tmp_path / "p"), None), modules={"image": nn.Flatten()}, on="local:2")


# the classic program


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_a_resnet50_of_torchvision_learns_in_three_steps_and_resumes(tmp_path):
    pytest.importorskip("torchvision")
    data = pictures(tmp_path / "p", tuple("abcdefghij"), count=4, side=32)
    encoder = {"type": "pretrained", "model": "torchvision/resnet50", "weights": "none"}
    training = {
        "optimizer": {"type": "sgd", "lr": 0.001, "momentum": 0.9},
        "schedule": "constant",
        "epochs": None,
        "steps": 3,
        "batch": 34,
        "patience": 0,
        "checkpoint_every": 0.01,
    }
    plain = recipe(data, encoder, **training)
    plain["inputs"]["image"] |= {"height": 32, "width": 32}
    Recipe.parse(plain).save(tmp_path / "recipe.yaml")

    def run(out, *point):
        command = [sys.executable, str(Path(__file__).with_name("killed.py")), "recipe.yaml", out, *map(str, point)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    whole = run("whole")
    assert whole.returncode == 0, whole.stderr
    losses = [json.loads(line)["train_loss"] for line in (tmp_path / "whole/log.jsonl").read_text().splitlines()]
    assert len(losses) == 3
    assert losses[-1] < losses[0]
    assert run("killed", "step", 3, 0).returncode == -9
    last = run("killed")
    assert last.returncode == 0, last.stderr
    assert (tmp_path / "killed/weights.safetensors").read_bytes() == (tmp_path / "whole/weights.safetensors").read_bytes()
    assert Bundle.open(tmp_path / "killed").manifest["export"]["graph"]


def test_what_a_frozen_encoder_gives_is_computed_once(tmp_path, monkeypatch):
    _, weights = tiny()
    np.savez(tmp_path / "w.npz", **{name: tensor.numpy() for name, tensor in weights.items()})
    data = pictures(tmp_path / "p")
    encoder = {"type": "pretrained", "model": CNN, "weights": "w.npz"}
    seen = []
    forward = blocks.Pretrained.forward

    def counted(self, inputs):
        if not torch.compiler.is_exporting():
            seen.append(len(inputs["image"]))
        return forward(self, inputs)

    monkeypatch.setattr(blocks.Pretrained, "forward", counted)
    frozen = {"rates": {"image": {"frozen": "always"}}, "epochs": 5}
    dw.train(recipe=recipe(data, encoder, **frozen), out="once")
    once = sum(seen)
    seen.clear()
    monkeypatch.setattr(assembly, "_encode_ahead", lambda *_: None)
    dw.train(recipe=recipe(data, encoder, **frozen), out="each")
    assert sum(seen) >= once + 3 * 40
    one, two = (load_file(f"{name}/weights.safetensors") for name in ("once", "each"))
    for name, value in one.items():
        torch.testing.assert_close(value, two[name], rtol=1e-4, atol=1e-5)


class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.one = nn.Linear(6, 6)
        self.two = nn.Linear(6, 6)
        self.two.weight = self.one.weight

    def forward(self, vectors):
        return self.two(self.one(vectors).relu())


def test_a_module_may_use_one_weight_twice(people):
    module = nn.Sequential(nn.LazyLinear(6), Tied())
    model = dw.train(people.frame, target="rich", modules={"tabular": module}, settings=["training.epochs=1"], out="m")
    held = load_file("m/weights.safetensors")
    assert torch.equal(held["encoders.0.module.1.one.weight"], held["encoders.0.module.1.two.weight"])
    assert model.bundle.manifest["export"]["graph"]


KERAS = """
import keras, deepwright as dw
from keras import layers
steps = [keras.Input((12, 12, 3)), layers.Conv2D(4, 3), layers.BatchNormalization(), layers.Dropout(0.2)]
model = keras.Sequential([*steps, layers.GlobalAveragePooling2D()])
recipe = {"data": "p", "inputs": {"image": "image"}, "outputs": {"label": "category"}, "training": {"epochs": 1, "compile": "off"}}
trained = dw.train(recipe=recipe, modules={"image": model}, out="m")
assert trained.bundle.manifest["export"]["graph"]
assert trained.predict("p").height == 48
"""


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("keras") is None, reason="keras is not installed")
def test_a_keras_model(tmp_path):
    pictures(tmp_path / "p")
    environment = {**os.environ, "KERAS_BACKEND": "torch"}
    done = subprocess.run([sys.executable, "-c", KERAS], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_stages_of_a_wrapped_network_are_computed_again(tmp_path):
    pytest.importorskip("torchvision")
    part = Pretrained(model="torchvision/squeezenet1_1", weights="none").settled("here")
    torch.manual_seed(0)
    module = part.build(Facts("image", image=ImageFacts(40, 40, 3, (100.0,) * 3, (50.0,) * 3)))
    image = torch.randint(0, 256, (2, 40, 40, 3), dtype=torch.uint8)

    def gradients():
        torch.manual_seed(1)
        module.zero_grad()
        module.train()({"image": image}).square().sum().backward()
        return [p.grad.clone() for p in module.parameters()]

    plain = gradients()
    assert recompute(module) == 9
    assert all(torch.equal(one, two) for one, two in zip(plain, gradients(), strict=True))
    keep(module)
    assert "forward" not in module.network.body.features[3].__dict__
