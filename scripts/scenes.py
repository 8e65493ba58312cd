"""Write the pictures of examples/ that are made by a script.

    python scripts/scenes.py

``scenes.zip`` holds pictures and their masks, ``grainy.zip`` noisy pictures and the same without noise, ``wares.parquet`` things
with a picture, a text and a number each, and ``numerals.zip`` digits in folders, as MNIST has them.

The scenes are made here and belong to nobody: they are in the public domain (CC0). Things and ground are textures of the same
brightness, so that no threshold tells them apart; things hide each other, and light and noise differ from scene to scene.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

FOLDER = Path(__file__).parents[1] / "examples"
SIDE = 48
CLASSES = ("ground", "disc", "box", "star")
MATTERS = {"wooden": 1.0, "brass": 4.0, "silver": 9.0}
"""What a unit of weight of each matter costs."""
UNKNOWN = 255
"""The value of a mask's edge pixels, as in PASCAL VOC."""

Floats = NDArray[np.float64]


def texture(draw: np.random.Generator, side: int = SIDE) -> Floats:
    """Return a texture (side, side, 3) in 0…1: waves of a random direction and width, blotches, and a random tint."""
    down, right = np.mgrid[:side, :side] / side
    angle, turns = draw.uniform(0, np.pi), draw.uniform(2, 9)
    waves = np.sin(2 * np.pi * (turns * (np.cos(angle) * right + np.sin(angle) * down) + draw.uniform()))
    small = draw.normal(size=(side // 6 + 1, side // 6 + 1))
    blotches = np.asarray(Image.fromarray(small).resize((side, side), Image.Resampling.BICUBIC))
    tint = draw.uniform(0.3, 0.7, 3)
    pattern = draw.uniform(0.06, 0.16) * waves + draw.uniform(0.03, 0.08) * blotches
    return np.clip(tint + pattern[..., None] * draw.uniform(0.6, 1.4, 3), 0, 1)


def shape(kind: int, draw: np.random.Generator, side: int = SIDE) -> NDArray[np.bool_]:
    """Return the pixels (side, side) of a thing at a random place, of a random size and turn."""
    down, right = np.mgrid[:side, :side].astype(np.float64)
    radius = draw.uniform(0.14, 0.26) * side
    y, x = down - draw.uniform(0.2, 0.8) * side, right - draw.uniform(0.2, 0.8) * side
    turn = draw.uniform(0, 2 * np.pi)
    along, across = np.cos(turn) * x + np.sin(turn) * y, np.cos(turn) * y - np.sin(turn) * x
    if kind == 1:
        return (along**2 + (across * draw.uniform(1, 1.4)) ** 2 < radius**2).astype(bool)
    if kind == 2:
        return (np.abs(along) < radius) & (np.abs(across) < radius * draw.uniform(0.5, 0.9))
    angle = np.arctan2(across, along)
    return np.hypot(along, across) < radius * (0.75 + 0.45 * np.cos(5 * angle))


def scene(draw: np.random.Generator, side: int = SIDE) -> tuple[Floats, NDArray[np.uint8]]:
    """Return a scene of one to four things, (side, side, 3) in 0…1, and the class of each pixel (side, side)."""
    picture, mask = texture(draw, side), np.zeros((side, side), np.uint8)
    for _ in range(int(draw.integers(1, 5))):
        kind = int(draw.integers(1, len(CLASSES)))
        there = shape(kind, draw, side)
        picture[there] = texture(draw, side)[there]
        mask[there] = kind
    down, right = np.mgrid[:side, :side] / side - 0.5
    light = 1 + draw.uniform(-0.4, 0.4) * down + draw.uniform(-0.4, 0.4) * right
    return np.clip(picture * light[..., None], 0, 1), mask


def edges(mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a mask whose pixels between two classes are unknown."""
    marked = mask.copy()
    marked[:, 1:][mask[:, 1:] != mask[:, :-1]] = UNKNOWN
    marked[1:][mask[1:] != mask[:-1]] = UNKNOWN
    return marked


def noisy(picture: Floats, draw: np.random.Generator, amount: float) -> NDArray[np.uint8]:
    """Return a picture in 0…255 with Gaussian noise of a standard deviation of ``amount``."""
    return np.rint(np.clip(picture + draw.normal(scale=amount, size=picture.shape), 0, 1) * 255).astype(np.uint8)


def file(pixels: NDArray[np.uint8], kind: str) -> bytes:
    """Return the bytes of a picture file."""
    box = io.BytesIO()
    Image.fromarray(pixels).save(box, kind, **({"quality": 85} if kind == "JPEG" else {"optimize": True}))
    return box.getvalue()


def scenes(rows: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Yield the files of so many training scenes and a third as many test scenes, with their masks."""
    draw = np.random.default_rng(seed)
    for row in range(rows + rows // 3):
        side, name = ("train", f"{row:04}") if row < rows else ("test", f"{row - rows:04}")
        picture, mask = scene(draw)
        yield f"scenes/{side}/images/{name}.jpg", file(noisy(picture, draw, 0.04), "JPEG")
        yield f"scenes/{side}/masks/{name}.png", file(edges(mask), "PNG")


def grainy(rows: int, seed: int, side: int = 32) -> Iterator[tuple[str, bytes]]:
    """Yield the files of so many pictures with noise (σ = 25 of 255), and without."""
    draw = np.random.default_rng(seed)
    for row in range(rows):
        picture, _ = scene(draw, side)
        yield f"grainy/noisy/{row:04}.png", file(noisy(picture, draw, 25 / 255), "PNG")
        yield f"grainy/clean/{row:04}.png", file(np.rint(picture * 255).astype(np.uint8), "PNG")


def wares(rows: int, seed: int, side: int = 24) -> pl.DataFrame:
    """Return things for sale: the picture tells the kind, the text the matter, and all three together the price."""
    draw = np.random.default_rng(seed)
    found: list[dict[str, object]] = []
    for _ in range(rows):
        kind, matter = int(draw.integers(1, len(CLASSES))), str(draw.choice(list(MATTERS)))
        there = shape(kind, draw, side)
        picture = texture(draw, side) * 0.5
        picture[there] = 0.4 + 0.6 * texture(draw, side)[there]
        weight = draw.uniform(1, 9)
        words = [matter, *draw.choice(["well kept", "from the attic", "hardly used", "with a scratch", "a gift"], 2, replace=False)]
        found.append(
            {
                "picture": file(noisy(picture, draw, 0.03), "JPEG"),
                "offer": ", ".join(draw.permutation(words).tolist()),
                "weight": round(weight, 2),
                "kind": CLASSES[kind],
                "price": round((5 * kind + MATTERS[matter] * weight) * draw.normal(1, 0.03), 2),
            }
        )
    return pl.DataFrame(found)


def numeral(digit: int, draw: np.random.Generator, side: int = 28) -> NDArray[np.uint8]:
    """Return a digit (side, side), bright on dark as in MNIST: of a random size, place, turn, slant and stroke."""
    font = ImageFont.load_default(size=draw.uniform(0.7, 0.95) * 2 * side)
    large = Image.new("L", (2 * side, 2 * side))
    stroke = int(draw.integers(0, 4))
    ImageDraw.Draw(large).text((side, side), str(digit), 255, font, "mm", stroke_width=stroke)
    turn, slant = np.radians(draw.uniform(-18, 18)), draw.uniform(-0.25, 0.25)
    cos, sin = np.cos(turn), np.sin(turn)
    matrix = np.array([[cos, -sin], [sin, cos]]) @ np.array([[1, slant], [0, 1]])
    shift = side - matrix @ np.full(2, float(side)) + draw.uniform(-4, 4, 2)
    values = (*matrix[0], shift[0], *matrix[1], shift[1])
    turned = large.transform(large.size, Image.Transform.AFFINE, values, Image.Resampling.BILINEAR)
    small = np.asarray(turned.resize((side, side), Image.Resampling.BOX), np.float64)
    return np.clip(small * draw.uniform(0.8, 1) + draw.normal(scale=4, size=small.shape), 0, 255).astype(np.uint8)


def numerals(rows: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Yield the files of so many pictures of each digit for training, and a quarter as many for the test."""
    draw = np.random.default_rng(seed)
    for row in range(rows + rows // 4):
        for digit in range(10):
            side = "train" if row < rows else "test"
            yield f"numerals/{side}/{digit}/{row:03}.png", file(numeral(digit, draw), "PNG")


def main() -> None:
    """Write all files."""
    wares(300, 2).write_parquet(FOLDER / "wares.parquet")
    for name, files in (("scenes.zip", scenes(150, 0)), ("grainy.zip", grainy(120, 1)), ("numerals.zip", numerals(60, 3))):
        with zipfile.ZipFile(FOLDER / name, "w", zipfile.ZIP_DEFLATED) as archive:
            for inner, data in files:
                archive.writestr(zipfile.ZipInfo(inner, (2000, 1, 1, 0, 0, 0)), data)


if __name__ == "__main__":
    main()
