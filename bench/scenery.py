"""Pictures with masks, and pictures with noise, made of public data sets; and what simple rules reach on them.

    python bench/scenery.py DATA_DIRECTORY

``garments``: garments of Fashion-MNIST in textures of their own, some of them hidden by textured bars, on textured ground; their
brightness is that of the ground, so that a threshold hardly finds them. ``grainy``: 64 × 64 pixels of photographs of cats and dogs
with Gaussian noise of a standard deviation of 25 (of 255).
"""

from __future__ import annotations

import gzip
import io
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

sys.path.append(str(Path(__file__).parents[1] / "scripts"))

from scenes import file, noisy, texture

SIDE = 48
DEVIATION = 25

Pixels = NDArray[np.uint8]


def garments(data: Path, part: str, rows: int) -> list[dict[str, Any]]:
    """Return so many scenes of garments of the part ``train`` or ``test``: ``image`` and ``mask`` (0 and 255), both PNG files."""
    name = {"train": "train", "test": "t10k"}[part]
    with gzip.open(data / f"fashion-mnist/{name}-images-idx3-ubyte.gz") as packed:
        pieces = np.frombuffer(packed.read(), np.uint8, offset=16).reshape(-1, 28, 28)
    draw = np.random.default_rng({"train": 0, "test": 1}[part])
    found = []
    for _ in range(rows):
        picture, mask = texture(draw, SIDE), np.zeros((SIDE, SIDE), np.uint8)
        for _ in range(int(draw.integers(1, 4))):
            size = int(draw.integers(18, 33))
            piece = np.asarray(Image.fromarray(pieces[draw.integers(len(pieces))]).resize((size, size), Image.Resampling.BILINEAR))
            top, left = draw.integers(0, SIDE - size + 1, 2)
            place = np.zeros((SIDE, SIDE))
            place[top : top + size, left : left + size] = piece / 255
            there = place > 0.1
            picture[there] = (texture(draw, SIDE) * (0.7 + 0.5 * place[..., None]))[there]
            mask[there] = 255
        for _ in range(int(draw.integers(0, 3))):
            bar = np.zeros((SIDE, SIDE), bool)
            at, wide = int(draw.integers(0, SIDE)), int(draw.integers(3, 7))
            bar[at : at + wide] = True
            bar = bar if draw.random() < 0.5 else bar.T
            picture[bar] = texture(draw, SIDE)[bar]
            mask[bar] = 0
        found.append({"image": file(noisy(np.clip(picture, 0, 1), draw, 0.05), "PNG"), "mask": file(mask, "PNG")})
    return found


def grainy(data: Path, part: str, side: int = 64) -> list[dict[str, Any]]:
    """Return the photographs of a part: ``noisy`` and ``clean``, the middle of each, both PNG files."""
    draw = np.random.default_rng({"train": 0, "test": 1}[part])
    found = []
    with zipfile.ZipFile(data / "cats_dogs/cats_dogs_128.zip") as archive:
        for name in sorted(each for each in archive.namelist() if f"/{part}/" in each and each.endswith(".jpg")):
            photo = Image.open(io.BytesIO(archive.read(name))).convert("RGB")
            left, top = (photo.width - side) // 2, (photo.height - side) // 2
            clean = np.asarray(photo.crop((left, top, left + side, top + side)))
            found.append({"noisy": file(noisy(clean / 255, draw, DEVIATION / 255), "PNG"), "clean": file(clean, "PNG")})
    return found


def otsu(grey: Pixels) -> int:
    """Return the threshold that divides the grey levels best into two groups (Otsu 1979)."""
    counts = np.bincount(grey.ravel(), minlength=256).astype(float)
    weight, total = np.cumsum(counts), np.cumsum(counts * np.arange(256))
    with np.errstate(all="ignore"):
        between = (total[-1] * weight / weight[-1] - total) ** 2 / (weight * (weight[-1] - weight))
    return int(np.nanargmax(between))


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def main() -> None:
    from deepwright import likeness, masks

    data = Path(sys.argv[1])
    rows = garments(data, "test", 500)
    true = np.stack([np.asarray(opened(row["mask"])) for row in rows]) // 255
    grey = [np.asarray(opened(row["image"]).convert("L")) for row in rows]
    found = np.stack([each > otsu(each) for each in grey])
    # Of each picture the side that fits its mask better, which only who knows the mask could choose.
    better = np.where((found == true).mean((1, 2)) >= 0.5, 1, 0)[:, None, None]
    for name, ours in (
        ("threshold", found),
        ("threshold, the better side", found == better),
        ("nothing but ground", found & False),
    ):
        sums = masks.counts(ours.astype(np.int64), true, 2)[:, 3:].sum(0).reshape(2, 3)
        iou = sums[:, 0] / (sums[:, 1] + sums[:, 2] - sums[:, 0])
        print(f"garments: {name}: mean IoU {iou.mean():.3f}, of garments {iou[1]:.3f}")
    photos = grainy(data, "test")
    clean = np.stack([np.asarray(opened(row["clean"])) for row in photos])
    rules = {"as they are": None, "median 3": ImageFilter.MedianFilter(3), "median 5": ImageFilter.MedianFilter(5)}
    rules |= {f"Gaussian {sigma}": ImageFilter.GaussianBlur(sigma) for sigma in (0.6, 0.8, 1.0, 1.2, 1.5)}
    for name, rule in rules.items():
        seen = [opened(row["noisy"]) for row in photos]
        ours = np.stack([np.asarray(each if rule is None else each.filter(rule)) for each in seen])
        decibels, ssim, *_ = likeness.counts(ours, clean.astype(np.int16)).mean(0)
        print(f"photos: {name}: PSNR {decibels:.2f} dB, SSIM {ssim:.3f}")


if __name__ == "__main__":
    main()
