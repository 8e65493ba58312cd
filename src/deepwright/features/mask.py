"""Masks: a class for each pixel of a picture."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import AfterValidator, Field, model_validator

from deepwright import masks, pictures, pixels
from deepwright.encoding import no_values
from deepwright.errors import DataError
from deepwright.facts import Dtype, TargetFacts
from deepwright.families import Feature, State


def _is_value(value: int | str) -> int | str:
    masks.code_of(value)
    return value


Value = Annotated[int | str, AfterValidator(_is_value)]
"""What pixels of a class have: a grey level, a palette index, or a colour such as ``"#ff8800"``."""


class MaskState(State):
    """What a column of masks taught."""

    values: tuple[str, ...]
    """The classes."""
    codes: tuple[int, ...]
    """The pixels' code of each class."""
    counts: tuple[int, ...]
    """The pixels of the training masks that are of each class."""
    ignored: tuple[int, ...] = ()
    """Codes that are left out of loss and metrics."""
    rows: int
    """Training masks."""
    height: int
    """The height that masks are brought to."""
    width: int
    """The width that masks are brought to."""


class Mask(Feature):
    """A class for each pixel of a picture, an output: semantic segmentation.

    The column holds the bytes of a file, a path, or an array of integers. Grey levels (8 or 16 bits), palette indices and colours
    are classes; so are truth values. A mask is as large as its picture; pictures and masks are brought to size together, masks
    without smoothing, and predictions are PNG files of the pictures' own size, with the values of the training masks.
    """

    dtype: ClassVar[Dtype] = "mask"
    state: ClassVar[type[State]] = MaskState

    classes: dict[str, Value] | None = Field(None, min_length=2)
    """The classes by name and what their pixels have, ``{road: 0, car: 7}`` or ``{sky: "#0000ff"}``; by default each value of the
    training masks is a class, named by it."""
    ignore: tuple[Value, ...] | None = None
    """Values that are left out of loss and metrics; by default 255 where grey masks hold more than two values, as is usual."""
    threshold: int | None = Field(None, ge=1, le=65535)
    """If given, grey levels below it are the class 0 and the others 255, as for masks that were smoothed."""
    height: int | None = Field(None, ge=1, le=4096)
    """The height at which masks are learnt; that of the pictures by default, and no other."""
    width: int | None = Field(None, ge=1, le=4096)
    """The width at which masks are learnt, likewise."""
    resize: Literal["stretch", "pad"] = "stretch"
    """How masks are brought to size; as the pictures are."""

    @model_validator(mode="after")
    def _one_meaning(self) -> Self:
        given = [masks.code_of(value) for value in ([*(self.classes or {}).values(), *(self.ignore or ())])]
        if len({*given}) != len(given):
            raise ValueError("every value stands for one class, or is ignored")
        if self.threshold is not None and given:
            raise ValueError("threshold makes the two classes 0 and 255; leave classes and ignore out")
        return self

    def fit(self, column: pl.Series) -> MaskState:
        """Learn the classes, and how many pixels are of each.

        Raises:
            DataError: There is no mask (E260), masks cannot be read (E265), hold values that no class has (E269), or all pixels are
                of one class (E403).
        """
        if column.null_count() == len(column):
            raise no_values(column, "mask")
        counts = masks.counted(column, colours=self._colours)
        height, width = np.median(pictures.own_sizes(column.drop_nulls()), axis=0)
        if self.threshold is not None:
            high = sum(count for code, count in counts.items() if code >= self.threshold)
            counts = type(counts)({0: counts.total() - high, 255: high})
        ignored = self._ignored(list(counts))
        if self.classes is not None:
            codes = {name: masks.code_of(value) for name, value in self.classes.items()}
        else:
            codes = {masks.name_of(code): code for code in sorted(counts) if code not in ignored}
        present = [code for code in codes.values() if counts[code]]
        if len(present) < 2:
            raise DataError(
                "E403",
                "all pixels are of one class",
                where=f"column {column.name}",
                got=f"pixels: {', '.join(masks.name_of(code) for code in sorted(counts)[:10])}",
                expected="at least two classes",
            )
        return MaskState(
            values=tuple(codes),
            codes=tuple(codes.values()),
            counts=tuple(counts[code] for code in codes.values()),
            ignored=tuple(sorted(ignored)),
            rows=len(column) - column.null_count(),
            height=self.height or round(height),
            width=self.width or round(width),
        )

    @property
    def _colours(self) -> bool:
        """Whether palettes stand for their colours."""
        given = [*(self.classes or {}).values(), *(self.ignore or ())]
        return any(isinstance(value, str) for value in given)

    def _ignored(self, codes: list[int]) -> set[int]:
        """Return the codes that are left out."""
        if self.ignore is not None:
            return {masks.code_of(value) for value in self.ignore}
        named = {masks.code_of(value) for value in (self.classes or {}).values()}
        grey = max(codes, default=0) <= 255
        return {255} if grey and 255 not in named and (self.classes is not None or len(codes) > 2) else set()

    def beside(self, source: Feature, learnt: Any) -> Self:
        """Return this output at the size of an input's pictures.

        Raises:
            RecipeError: A size is declared that they do not have, or only the centre of pictures is seen (E106).
        """
        return pixels.same_scene(self, source, learnt)

    def target(self, column: pl.Series, state: MaskState) -> NDArray[np.int16]:
        """Return the class of each pixel, (B, H, W), -1 where it is ignored, and throughout where the mask is missing.

        Raises:
            DataError: Masks cannot be read (E265), or hold values that no class has (E269).
        """
        table = _Table(state, self.threshold)
        ids = masks.encode(column, table, (state.height, state.width), self.resize, colours=self._colours)
        wrong = np.flatnonzero((ids == masks.UNSEEN).any((1, 2)))
        if len(wrong):
            raise self._unseen(column, wrong, state)
        return ids

    def _unseen(self, column: pl.Series, wrong: NDArray[np.int64], state: MaskState) -> DataError:
        """Tell which masks hold values that no class has."""
        known = {*state.codes, *state.ignored}
        shown = []
        for row in wrong[:10].tolist():
            others = masks.counted(column[row : row + 1], colours=self._colours)
            values = ", ".join(masks.name_of(code) for code in sorted(others) if code not in known)
            shown.append(f"row {row + 1}: {values}")
        classes = ", ".join(f"{name}: {masks.name_of(code)}" for name, code in zip(state.values, state.codes, strict=True))
        return DataError(
            "E269",
            f"{len(wrong):,} of {len(column):,} masks hold values that no class has",
            where=f"column {column.name}",
            got="; ".join(shown),
            expected=classes,
            fix=f"mend the masks, declare the values as classes or to be ignored: "
            f"outputs: {{{column.name}: {{type: mask, ignore: [255]}}}}",
        )

    def target_facts(self, name: str, state: MaskState) -> TargetFacts:
        """Return the classes and their pixels."""
        return TargetFacts(name, "mask", state.values, state.counts, state.rows)

    def counts(
        self, outputs: NDArray[Any], target: NDArray[Any], state: MaskState, likelihood: NDArray[Any] | None = None
    ) -> NDArray[np.float64]:
        """Return the counts of :func:`deepwright.masks.counts`."""
        del likelihood
        return masks.counts(outputs, target, len(state.values))

    def decode(self, name: str, outputs: NDArray[Any], state: MaskState) -> pl.DataFrame:
        """Return PNG files with the values of the training masks, at the size of the outputs.

        Args:
            name: The output's name.
            outputs: (B, H, W) the class of each pixel.
            state: The learnt state.
        """
        sizes = np.tile(np.asarray(outputs.shape[1:3], np.int64), (len(outputs), 1))
        return self.model_copy(update={"resize": "stretch"}).decode_at(name, outputs, state, sizes)

    def decode_at(self, name: str, outputs: NDArray[Any], state: MaskState, sizes: NDArray[np.int64]) -> pl.DataFrame:
        """Return PNG files of the pictures' own sizes; see :meth:`deepwright.families.Feature.decode_at`."""
        draw = partial(masks.drawn, codes=state.codes)
        return pl.DataFrame({name: pixels.written(outputs, sizes, self.resize, draw, smooth=False)})

    @classmethod
    def columns(cls) -> dict[str, list[Any]]:
        """Return masks of two and three classes, with ignored pixels, and coloured ones, as the bytes of PNG files."""
        draw = np.random.default_rng(0)
        two = [pictures.png((draw.integers(0, 2, (32, 32)) * 255).astype(np.uint8)) for _ in range(3)]
        three = [pictures.png(draw.choice(np.array([0, 1, 7, 255], np.uint8), (32, 32))) for _ in range(3)]
        colours = np.array([[0, 0, 0], [255, 0, 0], [0, 9, 200]], np.uint8)
        return {"two": [*two, None], "three": [None, *three], "colours": [pictures.png(colours[draw.integers(0, 3, (32, 32))])]}


class _Table:
    """From codes to classes."""

    def __init__(self, state: MaskState, threshold: int | None) -> None:
        order = np.argsort(state.codes, kind="stable")
        codes = np.concatenate([np.asarray(state.codes)[order], np.asarray(state.ignored, np.int64)])
        ids = np.concatenate([order, np.full(len(state.ignored), masks.UNKNOWN)])
        again = np.argsort(codes, kind="stable")
        self.codes, self.ids = codes[again].astype(np.int32), ids[again].astype(np.int16)
        self.threshold = threshold

    def __call__(self, codes: masks.Codes) -> masks.Ids:
        if self.threshold is not None:
            return (codes >= self.threshold).astype(np.int16)
        place = np.minimum(np.searchsorted(self.codes, codes), len(self.codes) - 1)
        return np.where(self.codes[place] == codes, self.ids[place], np.int16(masks.UNSEEN))
