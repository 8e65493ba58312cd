"""The tasks of engine.py: data, recipe and training of each, the same for every contender.

The data are encoded once, by Deepwright, and every contender gets these arrays; Deepwright itself starts from the table.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]
Frames = tuple[pl.DataFrame, pl.DataFrame]

EMBEDDING = 16
"""The width of a category's embedding."""
WORDS, STATE = 128, 64
"""The widths of a word's embedding and of the LSTM's state."""


@dataclass(frozen=True)
class Task:
    """One model on one data set.

    Args:
        title: What it is, in words.
        frames: From the data folder to training and test rows.
        target: The output column.
        inputs: The recipe's inputs.
        tabular: The recipe's encoder of tables.
        batch: Rows a step.
        epochs: Epochs; the first is the warm-up.
        rows: Training rows; a multiple of ``batch``, so that every contender takes the same steps.
        optimizer: ``adam`` or ``sgd`` with its settings.
        hidden: The widths of the network's layers; empty for ResNet-18 and the LSTM.
        wanted: The least ratios of Deepwright's rate to those of others.
    """

    title: str
    frames: Callable[[Path], Frames]
    target: str
    inputs: Mapping[str, Any]
    batch: int
    epochs: int
    rows: int
    optimizer: Mapping[str, Any]
    hidden: tuple[int, ...] = ()
    wanted: Mapping[str, float] = field(default_factory=dict)

    def recipe(self, epochs: int, seed: int) -> dict[str, Any]:
        """Return the recipe: model, batch, epochs and optimizer are pinned, what depends on the machine is left to Deepwright."""
        tabular = {"tabular": {"type": "mlp", "hidden": list(self.hidden), "dropout": 0.0, "category_width": EMBEDDING}}
        return {
            "data": {"columns": "declared", "split": {"validation": 0}},
            "inputs": dict(self.inputs),
            "outputs": {self.target: "category"},
            **(tabular if self.hidden else {}),
            "training": {
                "epochs": epochs,
                "batch": self.batch,
                "optimizer": dict(self.optimizer),
                "schedule": "constant",
                "seed": seed,
            },
        }

    def table(self, root: Path, rows: int | None = None) -> Frames:
        """Return training and test rows."""
        train, test = self.frames(root)
        return train.head((rows or self.rows) // self.batch * self.batch), test


@dataclass(frozen=True)
class Data:
    """Encoded rows, as the peers take them.

    Args:
        inputs: ``numbers`` (N, columns) float32, ``categories`` (N, columns) int64, ``image`` (N, C, H, W) float32, standardised,
            ``tokens`` (N, T) int64, 0 behind the end of a text; those that there are.
        targets: (N,) float32 of 0 and 1 for two classes, else int64.
        test_inputs: The same of the test rows.
        test_targets: The same of the test rows.
        classes: The number of classes.
        sizes: The number of ids of each category column, or of tokens.
    """

    inputs: Arrays
    targets: NDArray[Any]
    test_inputs: Arrays
    test_targets: NDArray[Any]
    classes: int
    sizes: tuple[int, ...]

    @classmethod
    def load(cls, path: Path) -> Data:
        """Read what :func:`encode` wrote."""
        with np.load(path) as held:
            arrays = {key: held[key] for key in held.files}
        inputs: dict[str, Arrays] = {"train": {}, "test": {}}
        for side, found in inputs.items():
            for key in ("numbers", "categories", "image", "tokens"):
                if f"{side}.{key}" in arrays:
                    found[key] = arrays[f"{side}.{key}"]
            for key in {"categories", "tokens"} & found.keys():
                found[key] = found[key].astype(np.int64)
            if "image" in found:
                scaled = (found["image"].astype(np.float32) - arrays["mean"]) / arrays["std"]
                found["image"] = np.ascontiguousarray(scaled.transpose(0, 3, 1, 2), np.float32)
        classes = int(arrays["classes"])
        dtype = np.float32 if classes == 2 else np.int64
        targets = [arrays[f"{side}.target"].astype(dtype) for side in inputs]
        return cls(inputs["train"], targets[0], inputs["test"], targets[1], classes, tuple(arrays["sizes"].tolist()))


def encode(task: Task, root: Path, path: Path, rows: int | None = None) -> None:
    """Encode a task's rows with Deepwright and write them as NumPy arrays."""
    from deepwright.preparation import prepare
    from deepwright.progress import silent
    from deepwright.recipe import Recipe
    from deepwright.table import Table, tidy

    train, test = (tidy(Table.of(frame)) for frame in task.table(root, rows))
    prepared = prepare(Recipe.parse(task.recipe(1, 0)), train, test, "test", silent)
    facts = next(iter(prepared.data.facts().values()))
    target = prepared.data.target_facts()[task.target]
    sizes = [c.size for c in facts.categories] if facts.tokens is None else [facts.tokens.size]
    held: Arrays = {"classes": np.array(len(target.classes)), "sizes": np.array(sizes, np.int64)}
    for side, part in (("train", prepared.train), ("test", prepared.test)):
        held |= {f"{side}.{key.rpartition('.')[2]}": array for key, array in part.arrays.items()}
        held[f"{side}.target"] = part.targets[task.target]
    if facts.image is not None:
        held |= {"mean": np.float32(facts.image.mean), "std": np.float32(facts.image.std)}
    np.savez(path, **held)


def generated(columns: int, rows: int) -> Callable[[Path], Frames]:
    """Return rows of independent normal columns whose class a random network of one hidden layer tells, with a tenth of noise."""

    def frames(root: Path) -> Frames:
        draw = np.random.default_rng(0)
        x = draw.normal(size=(rows + 8_000, columns)).astype(np.float32)
        score = np.tanh(x @ draw.normal(size=(columns, 16)) / columns**0.5) @ draw.normal(size=16)
        label = (score > np.median(score)) ^ (draw.random(len(x)) < 0.1)
        frame = pl.DataFrame({f"x{i}": x[:, i] for i in range(columns)} | {"y": np.where(label, "yes", "no")})
        return frame.head(rows), frame.tail(8_000)

    return frames


def adult(root: Path) -> Frames:
    """Return UCI Adult's training and test rows, blanks stripped, numbers as numbers."""
    frames = []
    for part in ("data", "test"):
        text = pl.read_csv(root / f"adult/adult.{part}.csv.gz", infer_schema_length=0).with_columns(pl.all().str.strip_chars())
        frames.append(text.with_columns(pl.col(NUMBERS).cast(pl.Float64), pl.col("income").str.strip_chars(".")))
    return frames[0], frames[1]


def fashion(root: Path) -> Frames:
    """Return Fashion-MNIST in 32×32 (two black pixels on each side): the first 12,800 training pictures and 2,000 test pictures."""
    from deepwright.sources.idx import Idx

    frames = []
    for split, count in (("train", 12_800), ("test", 2_000)):
        frame = Idx(path=str(root / "fashion-mnist"), split=split).read().frame.head(count)
        pictures = np.pad(frame["image"].to_numpy().reshape(-1, 28, 28), ((0, 0), (2, 2), (2, 2)))
        frames.append(pl.DataFrame([pl.Series("image", pictures), frame["label"]]))
    return frames[0], frames[1]


def imdb(root: Path) -> Frames:
    """Return IMDB reviews: the training texts and the first 2,000 test texts (both are shuffled)."""
    train, test = (pl.read_parquet(root / f"imdb/{part}.parquet", columns=["text", "label"]) for part in ("train", "test"))
    return train, test.head(2_000)


NUMBERS = ("age", "fnlwgt", "education-num", "capital-gain", "capital-loss", "hours-per-week")
CATEGORIES = ("workclass", "education", "marital-status", "occupation", "relationship", "race", "sex", "native-country")
LSTM = {"type": "lstm", "embedding": WORDS, "width": STATE, "bidirectional": False, "pool": "last"}
REVIEW = {"type": "text", "max_size": 10_000, "min_count": 1, "max_length": 500, "keep": "start"}
STANDARD = {"type": "number", "view": "standard"}
TABLE_GOALS = {"plain": 2.0, "peers": 1.5, "hand_tuned": 0.97}

TASKS = {
    "mlp": Task(
        "a 32→256→256→2 network with ReLU on 40,000 generated rows",
        generated(32, 40_000),
        "y",
        {f"x{i}": STANDARD for i in range(32)},
        batch=128,
        epochs=20,
        rows=40_000,
        optimizer={"type": "adam", "lr": 1e-3},
        hidden=(256, 256),
        wanted=TABLE_GOALS,
    ),
    "adult": Task(
        "UCI Adult, numbers and embedded categories into a 256→256→2 network with ReLU",
        adult,
        "income",
        dict.fromkeys(NUMBERS, STANDARD) | dict.fromkeys(CATEGORIES, "category"),
        batch=128,
        epochs=20,
        rows=32_561,
        optimizer={"type": "adam", "lr": 1e-3},
        hidden=(256, 256),
        wanted=TABLE_GOALS,
    ),
    "resnet18": Task(
        "ResNet-18 with a 3×3 stem on pictures of Fashion-MNIST at 32×32",
        fashion,
        "label",
        {"image": {"type": "image", "augment": [], "encoder": {"type": "resnet", "depth": 18, "stem": "small"}}},
        batch=64,
        epochs=3,
        rows=3_200,
        optimizer={"type": "sgd", "lr": 0.02, "momentum": 0.9, "nesterov": False},
        wanted={"plain": 2.2, "peers": 1.8, "hand_tuned": 0.97},
    ),
    "imdb": Task(
        "an embedding of 10,000 words, an LSTM and a sigmoid on the first 500 words of IMDB reviews",
        imdb,
        "label",
        {"text": {**REVIEW, "encoder": LSTM | dict.fromkeys(("embedding_dropout", "unknown", "dropout"), 0.0)}},
        batch=64,
        epochs=3,
        rows=1_280,
        optimizer={"type": "adam", "lr": 2e-3},
        wanted={"plain": 2.0, "peers": 2.0, "hand_tuned": 0.97},
    ),
    "toy": Task(
        "three layers of 128 on 40,000 generated rows: a step of about 1 ms, most of it calls",
        generated(16, 40_000),
        "y",
        {f"x{i}": STANDARD for i in range(16)},
        batch=128,
        epochs=20,
        rows=40_000,
        optimizer={"type": "sgd", "lr": 0.02, "momentum": 0.9, "nesterov": False},
        hidden=(128,) * 3,
        wanted={"hand_tuned": 0.97},
    ),
}
