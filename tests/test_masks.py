"""Masks and pictures as outputs: reading, metrics, learning, the graph, files, and what is malformed."""

import io
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

import deepwright as dw
from deepwright import likeness, masks
from deepwright.augmentations.affine import Affine
from deepwright.augmentations.color import Color
from deepwright.augmentations.crop import Crop
from deepwright.augmentations.flip import Flip
from deepwright.batches import Batch, PictureChange
from deepwright.blocks.losses import dissimilarity
from deepwright.cli.main import run
from deepwright.errors import DataError, RecipeError
from deepwright.facts import ImageFacts, TargetFacts
from deepwright.families import Draw, Feature, Loss
from deepwright.kinds import infer_all, infer_target
from deepwright.losses.cross_entropy import CrossEntropy
from deepwright.metrics import evaluate
from deepwright.pixels import written
from deepwright.recipe import Recipe
from deepwright.sources.images import Images
from deepwright.sources.pairs import Pairs


def file(pixels, kind="PNG", mode=None, **options):
    """Return the bytes of a picture file."""
    box = io.BytesIO()
    image = Image.fromarray(np.asarray(pixels))
    (image.convert(mode) if mode else image).save(box, kind, **options)
    return box.getvalue()


def palette(ids, colours=((0, 0, 0), (255, 0, 0), (0, 255, 0))):
    image = Image.fromarray(np.asarray(ids, np.uint8), "P")
    image.putpalette([value for colour in colours for value in colour])
    box = io.BytesIO()
    image.save(box, "PNG")
    return box.getvalue()


GREY = np.array([[0, 1, 2], [2, 1, 0]], np.uint8)


@pytest.mark.parametrize(
    ("data", "colours", "codes"),
    [
        (file(GREY), False, GREY),
        (palette(GREY), False, GREY),
        (palette(GREY), True, [[0, masks.code_of("#ff0000"), masks.code_of("#00ff00")]]),
        (file(GREY * 255, mode="1"), False, [[0, 255, 255]]),
        (file(GREY.astype(np.uint16) * 300), False, GREY.astype(int) * 300),
        (file(np.stack([GREY * 9] * 3, -1)), False, GREY * 9),
        (file(GREY, mode="RGBA"), False, GREY),
        (file(GREY, mode="LA"), False, GREY),
    ],
    ids=["grey", "palette", "palette of colours", "one bit", "16 bits", "grey in RGB", "opaque RGBA", "opaque LA"],
)
def test_every_way_to_save_classes_is_read(data, colours, codes):
    assert masks.decode(data, colours=colours)[: len(codes)].tolist() == np.asarray(codes).tolist()


@given(st.integers(0, 0xFFFFFF))
def test_codes_have_names_that_say_them(value):
    """A grey level is its number, a colour its hexadecimal digits, and a colour that is grey is grey."""
    assert value > 65535 or masks.name_of(masks.code_of(value)) == str(value)
    colour = f"#{value:06x}"
    code = masks.code_of(colour)
    assert masks.name_of(code) == (colour if value % 0x10101 else str(value // 0x10101))
    assert masks.packed(np.array(list(bytes.fromhex(colour[1:])), np.uint8)) == code


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 40), st.integers(1, 40))
def test_masks_come_to_lie_where_their_pictures_do(height, width, rows, columns):
    """Padding is Pillow's own, to the pixel."""
    white = Image.new("L", (width, height), 255)
    padded = np.asarray(ImageOps.pad(white, (columns, rows), Image.Resampling.NEAREST)) > 0
    top, left, tall, wide = masks.box((height, width), (rows, columns), "pad")
    ours = np.zeros((rows, columns), bool)
    ours[top : top + tall, left : left + wide] = True
    if padded.any():  # a side that would vanish keeps a pixel here
        np.testing.assert_array_equal(ours, padded)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 30), st.integers(1, 30), st.integers(1, 3), st.sampled_from(["stretch", "pad"]), st.integers(0, 9))
def test_masks_survive_being_enlarged_and_written(height, width, times, resize, seed):
    """A mask brought to a larger size and written back at its own is itself."""
    ids = np.random.default_rng(seed).integers(0, 4, (height, width)).astype(np.int32)
    inside = (times * height + (3 if resize == "pad" else 0), times * width)
    placed = masks.placed(ids, lambda codes: codes.astype(np.int16), inside, resize)
    (back,) = written(placed[None], np.array([[height, width]]), resize, lambda v: v.astype(np.uint8), smooth=False)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(back))), ids)


def test_counts_are_those_of_a_plain_loop():
    draw = np.random.default_rng(0)
    ours, true = draw.integers(0, 3, (5, 6, 7)), draw.integers(-1, 3, (5, 6, 7))
    true[3] = -1
    counts = masks.counts(ours, true, 3)
    assert np.isnan(counts[3]).all()
    for row in (0, 1, 2, 4):
        known = true[row] >= 0
        one, other = ours[row][known], true[row][known]
        assert counts[row, :2].tolist() == [(one == other).sum(), known.sum()]
        ious = []
        for k in range(3):
            right, found, there = ((one == k) & (other == k)).sum(), (one == k).sum(), (other == k).sum()
            assert counts[row, 3 + 3 * k : 6 + 3 * k].tolist() == [right, found, there]
            ious.append(right / (found + there - right))
        assert counts[row, 2] == pytest.approx(np.mean(ious))
    constant = masks.counts(np.full_like(ours, 2), true, 3)
    known_rows = [0, 1, 2, 4]
    np.testing.assert_allclose(masks.always(counts[known_rows], 2), constant[known_rows])


def test_metrics_of_masks_are_sums_over_all_pixels():
    draw = np.random.default_rng(1)
    true = draw.integers(0, 3, (40, 8, 8))
    ours = np.where(draw.random(true.shape) < 0.8, true, draw.integers(0, 3, true.shape))
    facts = TargetFacts("mask", "mask", ("a", "b", "c"), (1000, 10, 10), 40)
    report = evaluate(facts, masks.counts(ours, true, 3), np.zeros(40, int), rounds=100)
    ious = [((ours == k) & (true == k)).sum() / ((ours == k) | (true == k)).sum() for k in range(3)]
    assert report.headline.value == pytest.approx(np.mean(ious))
    assert report.headline.low < report.headline.value < report.headline.high
    assert report.metrics["pixel_accuracy"].value == pytest.approx((ours == true).mean())
    assert [row.iou for row in report.per_class] == pytest.approx(ious)
    assert report.baseline["pixel_accuracy"] == pytest.approx((true == 0).mean())
    assert report.baseline_text == 'always "a"'
    assert len(report.best) == len(report.middle) == 4


def plain_ssim(one, two):
    """SSIM of two grey pictures as the paper writes it, window by window."""
    size = 11
    at = np.exp(-((np.arange(size) - 5) ** 2) / (2 * 1.5**2))
    window = np.outer(at, at) / np.outer(at, at).sum()
    found = []
    for y in range(one.shape[0] - size + 1):
        for x in range(one.shape[1] - size + 1):
            a, b = (each[y : y + size, x : x + size].astype(float) for each in (one, two))
            ma, mb = (window * a).sum(), (window * b).sum()
            va, vb = (window * (a - ma) ** 2).sum(), (window * (b - mb) ** 2).sum()
            both = (window * (a - ma) * (b - mb)).sum()
            c1, c2 = 6.5025, 58.5225
            found.append((2 * ma * mb + c1) * (2 * both + c2) / ((ma**2 + mb**2 + c1) * (va + vb + c2)))
    return np.mean(found)


def test_likeness_is_that_of_the_papers_and_of_the_loss():
    draw = np.random.default_rng(2)
    one = draw.integers(0, 256, (2, 15, 13, 1)).astype(np.uint8)
    two = np.clip(one + draw.normal(scale=30, size=one.shape), 0, 255).astype(np.uint8)
    counts = likeness.counts(one, two.astype(np.int16))
    ssim = [plain_ssim(a[..., 0], b[..., 0]) for a, b in zip(one, two, strict=True)]
    assert counts[:, 1] == pytest.approx(ssim, abs=1e-5)
    error = ((one.astype(float) - two) ** 2).mean((1, 2, 3))
    assert counts[:, 0] == pytest.approx(10 * np.log10(255**2 / error), abs=1e-4)
    assert likeness.counts(one, one.astype(np.int16))[:, 0].tolist() == [100, 100]
    assert np.isnan(likeness.counts(one, np.full(one.shape, -1, np.int16))).all()
    raw, target = ((torch.from_numpy(each).permute(0, 3, 1, 2).float() - 100) / 50 for each in (one, two))
    assert (1 - dissimilarity(raw, target, 100.0, 50.0)).tolist() == pytest.approx(ssim, abs=1e-4)


FACTS = TargetFacts("mask", "mask", ("a", "b", "c"), (90, 10, 10), 5)


def test_ignored_pixels_neither_cost_nor_teach():
    raw = torch.randn(2, 3, 4, 5, requires_grad=True)
    target = torch.randint(0, 3, (2, 4, 5))
    target[:, 2:] = -1
    for part in ("cross_entropy", "focal", "dice"):
        loss = Loss.resolve(part).example().build(FACTS)
        (gradient,) = torch.autograd.grad(loss(raw, target).sum(), raw)
        assert not gradient[:, :, 2:].any()
        assert gradient[:, :, :2].any()
        assert loss(raw[:1], target[:1] * 0 - 1).item() < 1e-6


def test_weights_of_classes_weigh_pixels():
    facts = TargetFacts("mask", "mask", ("a", "b"), (90, 10), 5)
    raw, target = torch.zeros(1, 2, 1, 4), torch.tensor([[[0, 0, 0, 1]]])
    even = float(CrossEntropy().build(facts)(raw, target))
    assert float(CrossEntropy(weights=(0, 4)).build(facts)(raw, target)) == pytest.approx(even)
    assert float(CrossEntropy(weights="balanced").build(facts)(raw, target)) == pytest.approx(even * (3 / 1.8 + 5) / 4)
    with pytest.raises(RecipeError, match="E106"):
        CrossEntropy(weights=(1, 2, 3)).build(facts)


def test_pictures_and_masks_are_changed_together():
    """What is drawn for a picture moves its mask and nothing else: classes are where their colours are."""
    parts = [Color(), Flip(), Crop(shift=0.2), Affine(degrees=40, edge="zero"), Flip(axis="vertical")]
    facts = ImageFacts(32, 32, 3, (100.0,) * 3, (50.0,) * 3)
    mask = torch.zeros(16, 32, 32, dtype=torch.int16)
    mask[:, 4:20, 6:26] = 1
    mask[8:] = -1
    picture = (mask.clamp_min(0) * 200).to(torch.uint8).unsqueeze(-1).expand(-1, -1, -1, 3).contiguous()
    picture[8:, 4:20, 6:26] = 200
    along = {
        "mask": [part.build_along(facts, classes=True) for part in parts],
        "clean": [part.build_along(facts, classes=False) for part in parts],
    }
    batch = Batch({"image.image": picture}, {"mask": mask, "clean": picture.to(torch.int16)})
    PictureChange([part.build(facts) for part in parts], along)(batch, "image.image", Draw(torch.Generator(), torch.arange(16)))
    seen, moved, clean = batch.arrays["image.image"], batch.targets["mask"], batch.targets["clean"]
    assert moved.dtype == torch.int16
    assert (moved[8:] == -1).all()
    assert set(moved[:8].unique().tolist()) == {-1, 0, 1}, "beyond the edge nothing is known"
    known = moved[:8] >= 0
    agree = (seen[:8, ..., 0] > 100) == (moved[:8] == 1)
    assert agree[known].float().mean() > 0.98
    assert ((clean[..., 0] > 100) == (seen[..., 0] > 100)).float().mean() > 0.99
    assert not torch.equal(clean[0], clean[1])


# Sources and kinds ----------------------------------------------------------------------------------------------------------


def scene(draw, size=(16, 16)):
    """Return a picture with a bright square, and its mask of 0 and 255."""
    mask = np.zeros(size, np.uint8)
    top, left = draw.integers(0, size[0] - 6), draw.integers(0, size[1] - 6)
    mask[top : top + 6, left : left + 6] = 255
    noise = draw.integers(0, 90, (*size, 3))
    return (noise + 110 * (mask[..., None] > 0)).astype(np.uint8), mask


def folder(path, rows=24, sizes=((16, 16),), test=0, mask="masks/{}.png"):
    """Write pictures and masks below ``path``."""
    draw = np.random.default_rng(0)
    for row in range(rows + test):
        picture, ids = scene(draw, sizes[row % len(sizes)])
        side = path / ("test" if row >= rows else "train") if test else path
        for place, data in ((side / "images" / f"{row:03}.png", file(picture)), (side / mask.format(f"{row:03}"), file(ids))):
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(data)
    return path


@pytest.mark.parametrize("mask", ["masks/{}.png", "masks/{}_mask.png", "Annotations/{}.png", "gt/{}_seg.png"])
def test_masks_are_found_beside_their_pictures(tmp_path, mask):
    folder(tmp_path, 12, mask=mask)
    (tmp_path / mask.format("000")).unlink()
    (tmp_path / mask.format("extra")).write_bytes(b"")
    assert Pairs.recognises(str(tmp_path))
    assert not Images.recognises(str(tmp_path))
    table = Pairs(path=str(tmp_path)).read()
    assert table.columns == ["image", "mask"]
    assert len(table) == 12
    assert table.frame["mask"].null_count() == 1
    assert [note.count for note in table.notes] == [1, 1]
    assert all(Path(a).stem == Path(b).stem.split("_")[0] for a, b in table.frame.drop_nulls().iter_rows())
    kinds = infer_all(table)
    assert (kinds["image"].type, kinds["mask"].type) == ("image", "mask")
    assert infer_target(table.frame["image"], "image").type == "image"


def test_parts_lie_above_or_below_and_in_archives(tmp_path):
    folder(tmp_path / "a", 12, test=6)
    source = Pairs(path=str(tmp_path / "a"))
    assert len(source.read()) == 12
    assert len(source.held_out().read()) == 6
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        for side, rows in (("train", 12), ("val", 4)):
            for row in range(rows):
                for kind in ("images", "masks"):
                    archive.writestr(f"all/{kind}/{side}/{row}.png", file(np.full((4, 4), row, np.uint8)))
    source = Pairs(path=str(tmp_path / "b.zip"))
    assert source.read().frame.schema == {"image": pl.Binary, "mask": pl.Binary}
    assert (len(source.read()), len(source.held_out().read())) == (12, 4)


def test_folders_of_other_names_are_declared(tmp_path):
    folder(tmp_path, 12)
    (tmp_path / "images").rename(tmp_path / "photographs")
    assert not Pairs.recognises(str(tmp_path))
    with pytest.raises(DataError, match=r"E216[\s\S]*folders"):
        Pairs(path=str(tmp_path)).read()
    table = Pairs(path=str(tmp_path), folders={"photo": "photographs", "mask": "masks"}).read()
    assert table.columns == ["photo", "mask"]
    assert not table.frame["mask"].null_count()


# What cannot be learnt from -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("feature", "values", "state"),
    [
        ({}, [0, 255], (("0", "255"), (0, 255), ())),
        ({}, [0, 1, 255], (("0", "1"), (0, 1), (255,))),
        ({"ignore": []}, [0, 1, 255], (("0", "1", "255"), (0, 1, 255), ())),
        ({"ignore": [0]}, [0, 1, 7], (("1", "7"), (1, 7), (0,))),
        ({"threshold": 100}, [3, 99, 100, 250], (("0", "255"), (0, 255), ())),
        ({"classes": {"sky": 7, "road": 0}}, [0, 7, 255], (("sky", "road"), (7, 0), (255,))),
    ],
)
def test_classes_are_values_unless_declared(feature, values, state):
    part = Feature.parse({"type": "mask", **feature})
    column = pl.Series("mask", [file(np.resize(np.array(values, np.uint8), (4, 4)))] * 3)
    learnt = part.fit(column)
    assert (learnt.values, learnt.codes, learnt.ignored) == state
    assert sum(learnt.counts) == 48 - 3 * sum(np.resize(values, 16).tolist().count(code) for code in learnt.ignored)
    assert (part.target(column, learnt) >= -1).all()


def test_arrays_are_masks_too():
    part = Feature.parse("mask")
    for values, dtype in ((np.arange(12) % 3, pl.Int64), (np.arange(12) % 2 == 0, pl.Boolean)):
        column = pl.Series("mask", [values.reshape(3, 4).tolist(), None], dtype=pl.Array(dtype, (3, 4)))
        state = part.fit(column)
        ids = part.target(column, state)
        np.testing.assert_array_equal(ids[0], values.reshape(3, 4))
        assert (ids[1] == -1).all()


WRONG = {
    "values that no class has": ([file(GREY), file(GREY + 7)], {"classes": {"a": 0, "b": 1, "c": 2}}, "E269", "7, 8, 9"),
    "a photograph": ([file(np.arange(512).reshape(16, 32).astype(np.uint16))], {}, "E269", "threshold"),
    "one class": ([file(GREY * 0)], {}, "E403", "one class"),
    "transparent parts": ([file(np.dstack([GREY] * 3 + [GREY * 9]).astype(np.uint8))], {}, "E265", "transparent"),
    "CMYK": ([file(GREY, "JPEG", mode="CMYK")], {}, "E265", "CMYK"),
    "floating point": ([file(GREY.astype(np.float32), "TIFF")], {}, "E265", "mode F"),
    "cut short": ([file(np.random.default_rng(0).integers(0, 3, (64, 64)).astype(np.uint8))[:150]], {}, "E265", "truncated"),
    "no picture": ([b"no picture"], {}, "E265", "known format"),
    "no bytes": ([b""], {}, "E265", "known format"),
    "no mask at all": ([None, None], {}, "E260", "no mask"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_mask_is_refused(name):
    values, options, code, said = WRONG[name]
    part = Feature.parse({"type": "mask", **options})
    column = pl.Series("mask", values, dtype=pl.Binary)
    with pytest.raises(DataError) as refused:
        part.target(column, part.fit(column))
    assert refused.value.code == code
    assert said in str(refused.value)
    assert "mask" in str(refused.value)


@pytest.mark.parametrize(
    "options",
    [{"classes": {"a": 0, "b": 0}}, {"classes": {"a": "red", "b": 1}}, {"threshold": 9, "ignore": [0]}, {"classes": {"a": 1}}],
)
def test_what_contradicts_itself_is_refused(options):
    with pytest.raises(RecipeError):
        Recipe.parse({"outputs": {"mask": {"type": "mask", **options}}})


# Whole trainings ------------------------------------------------------------------------------------------------------------

TINY = {"type": "unet", "width": 4, "depth": 2}


def recipe(**more):
    return {
        "inputs": {"image": {"type": "image", "encoder": TINY, "augment": ["flip"]}},
        "outputs": {"mask": "mask"},
        "training": {"epochs": 12, "batch": 8, "precision": "fp32", "optimizer": {"type": "adamw", "lr": 0.02}},
        **more,
    }


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """Train on pictures of several sizes, padded, with a test part beside."""
    place = tmp_path_factory.mktemp("masks")
    folder(place / "data", 40, sizes=((16, 16), (12, 20), (24, 12)), test=20)
    declared = recipe(data=str(place / "data"))
    declared["inputs"]["image"] |= {"height": 16, "width": 16, "resize": "pad"}
    return dw.train(recipe=declared, out=place / "bundle"), place


def test_masks_are_learnt_exported_and_judged(bundle):
    _, place = bundle
    report = json.loads((place / "bundle" / "report.json").read_text())
    judged = report["evaluation"]["mask"]
    assert report["export"]["graph"], report["export"]
    assert judged["metrics"]["mean_iou"]["value"] > max(0.75, judged["baseline"]["mean_iou"])
    assert judged["metrics"]["mean_iou"]["low"] < judged["metrics"]["mean_iou"]["high"]
    page = (place / "bundle" / "report.html").read_text()
    assert "Examples" in page
    assert page.count("<img") >= 30


def test_masks_are_predicted_without_torch_as_files_of_the_pictures_size(bundle, capsys):
    _, place = bundle
    code = (
        "import sys; from deepwright.cli.main import run\n"
        f"code = run(['predict', {str(place / 'bundle')!r}, {str(place / 'data/test')!r}, '-o', {str(place / 'found.csv')!r}])\n"
        "assert 'torch' not in sys.modules\nsys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = pl.read_csv(place / "found.csv")
    assert len(found) == 20
    right = total = 0
    for path in found["mask"]:
        ours = np.asarray(Image.open(place / path))
        true = np.asarray(Image.open(place / "data" / "test" / "masks" / Path(path).name))
        assert ours.shape == true.shape
        assert set(np.unique(ours)) <= {0, 255}
        right, total = right + (ours == true).sum(), total + true.size
    assert right / total > 0.9
    again = run(["predict", str(place / "bundle"), str(place / "data/test"), "-o", str(place / "found.csv")])
    assert again == 2
    said = capsys.readouterr().err
    assert "E703" in said
    assert "found" in said
    assert run(["predict", str(place / "bundle"), str(place / "data/test")]) == 2
    assert "E704" in capsys.readouterr().err


def test_the_same_recipe_gives_the_same_weights(bundle, tmp_path):
    _, place = bundle
    dw.train(recipe=place / "bundle" / "recipe.yaml", out=tmp_path / "again")
    assert (tmp_path / "again" / "weights.safetensors").read_bytes() == (place / "bundle" / "weights.safetensors").read_bytes()


def test_pictures_are_made_of_pictures(tmp_path):
    """Noise is taken away: better than leaving the picture as it is, in the file's own size, from the graph alone."""
    draw = np.random.default_rng(1)
    for row in range(40):
        down, right = np.mgrid[:16, :12] / 16
        tint = (
            draw.uniform(0.2, 0.8, 3) + draw.uniform(-0.4, 0.4, 3) * down[..., None] + draw.uniform(-0.4, 0.4, 3) * right[..., None]
        )
        clean = (np.clip(tint, 0, 1) * 255).astype(np.uint8)
        noisy = np.clip(clean + draw.normal(scale=30, size=clean.shape), 0, 255).astype(np.uint8)
        for place, pixels in (("noisy", noisy), ("clean", clean)):
            (tmp_path / "data" / place).mkdir(parents=True, exist_ok=True)
            (tmp_path / "data" / place / f"{row}.png").write_bytes(file(pixels))
    model = dw.train(
        recipe={
            "data": {"source": str(tmp_path / "data"), "split": {"test": 0.25}},
            "inputs": {"noisy": {"type": "image", "encoder": TINY}},
            "outputs": {"clean": "image"},
            "training": {"epochs": 30, "batch": 4, "precision": "fp32", "optimizer": {"type": "adamw", "lr": 0.01}},
        },
        out=tmp_path / "bundle",
    )
    assert (tmp_path / "bundle" / "model.onnx").exists()
    report = json.loads((tmp_path / "bundle" / "report.json").read_text())["evaluation"]["clean"]
    # Noise of a standard deviation of 30 leaves about 18.6 dB.
    assert report["metrics"]["psnr"]["value"] > 20
    assert 0 < report["metrics"]["ssim"]["value"] < 1
    found = model.predict(str(tmp_path / "data"))
    assert np.asarray(Image.open(io.BytesIO(found["clean"][0]))).shape == (16, 12, 3)


def test_a_class_and_a_mask_come_of_one_network(tmp_path):
    """Two tasks of one picture: the mask reads the U-Net's map, the class its vector."""
    draw, rows = np.random.default_rng(3), []
    for _ in range(32):
        picture, mask = scene(draw)
        rows.append({"image": file(picture), "mask": file(mask), "side": "left" if np.argwhere(mask)[:, 1].mean() < 8 else "right"})
    model = dw.train(
        pl.DataFrame(rows),
        recipe={
            "inputs": {"image": {"type": "image", "encoder": TINY}},
            "outputs": {"mask": "mask", "side": "category"},
            "training": {"epochs": 2, "batch": 8, "precision": "fp32"},
        },
        out=tmp_path / "bundle",
    )
    assert (tmp_path / "bundle" / "model.onnx").exists()
    found = model.predict(pl.DataFrame(rows[:3]).select("image"))
    assert found.columns == ["mask", "side", "side:left", "side:right"]
    assert found.schema["mask"] == pl.Binary


@pytest.mark.parametrize(
    ("inputs", "training", "code", "said"),
    [
        ({"image": {"type": "image", "encoder": "cnn"}}, {}, "E108", "unet"),
        ({"image": {"type": "image", "resize": "crop"}}, {}, "E106", "crop"),
        ({"image": {"type": "image", "tta": "mirror"}}, {}, "E106", "tta"),
        ({"image": "image"}, {"mixup": 0.2}, "E106", "mixup"),
        ({"image": "image"}, {"resize": {"start": 0.5, "until": 0.5}}, "E106", "resize"),
        ({"image": "image", "other": "image"}, {}, "E108", "of: image"),
        ({"image": "image", "note": "category"}, {}, "E106", "note"),
    ],
)
def test_what_does_not_fit_masks_is_refused_before_training(inputs, training, code, said, tmp_path):
    draw = np.random.default_rng(3)
    rows = []
    for row in range(16):
        picture, mask = scene(draw)
        rows.append({"image": file(picture), "other": file(picture), "note": "ab"[row % 2], "mask": file(mask)})
    declared = {
        "inputs": inputs,
        "outputs": {"mask": "mask"},
        "data": {"columns": "declared"},
        "training": {"epochs": 1, **training},
    }
    with pytest.raises(RecipeError) as refused:
        dw.train(pl.DataFrame(rows), recipe=declared, out=tmp_path / "bundle")
    assert refused.value.code == code
    assert said in str(refused.value)
