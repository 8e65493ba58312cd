"""Series of numbers, of one channel or several, as long as each is."""

from __future__ import annotations

import base64
from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray
from pydantic import Field

from deepwright.encoding import LIMIT, Floats, no_values, spread
from deepwright.errors import DataError
from deepwright.facts import Dtype, Facts, SeriesFacts
from deepwright.families import Augmentation, Feature, State

_MOST = 10_000
"""The most places of a series unless the recipe says otherwise."""
_SAMPLE_VALUES, _SAMPLE_ROWS, _SAMPLE_LEAST = 1 << 16, 256, 8
"""Values and rows of the sample at most, and the rows that there is room for however long they are."""
_MIX = np.uint64(0x9E3779B97F4A7C15)


class SeriesState(State):
    """What a column of series taught."""

    length: int
    """Places of a series at most; what is longer is cut."""
    centers: tuple[float, ...]
    """The value of each channel that becomes 0: its mean."""
    scales: tuple[float, ...]
    """The distance that becomes 1: its standard deviation."""
    missing: bool
    """Whether any value is missing."""
    sample: str
    """Some training series as they are encoded: float32, little-endian, place by place, in base64."""
    sample_lengths: tuple[int, ...]
    """How long they are."""


class Series(Feature):
    """A series of numbers: places in order, with a value of each channel at every place. Series need not be equally long.

    A value is a list of numbers, or a list of places that are lists of their channels' numbers. A missing and an empty series are
    the same: no place at all. Channels are standardised by what the training rows taught; of infinite values the sign stays.
    """

    dtype: ClassVar[Dtype] = "series"
    state: ClassVar[type[State]] = SeriesState
    usual_encoder: ClassVar[str] = "rocket"

    channels: int | None = Field(None, ge=1, le=100_000)
    """How many channels there must be; by default as many as the training rows have."""
    max_length: int | None = Field(None, ge=1, le=1_000_000)
    """The most places of a series; by default as many as the longest of the training rows has, but no more than 10,000."""
    across: str | tuple[str, ...] = ()
    """The wide form: the columns, each of which holds one place of every row's series, in order; a pattern such as ``t*`` names all
    that fit, in the order of the table. The input's name is then no column's."""
    keep: Literal["start", "end"] = "start"
    """What stays of a longer series."""
    augment: tuple[Augmentation, ...] = ()
    """Random changes of training series."""

    def fit(self, column: pl.Series) -> SeriesState:
        """Learn the channels, their mean and deviation, and the length.

        Raises:
            DataError: There is no number (E260), or places differ in their number of channels (E271).
        """
        values, counts, widths = _unpacked(column)
        self._check_channels(column, counts, widths, self.channels or int(widths[0]) if len(widths) else 0)
        known = np.isfinite(values)
        if not known.any():
            raise no_values(column, "number")
        length = self.max_length or min(_MOST, int(counts.max()))
        # Sorted, so that sums do not depend on the order of the rows.
        ordered = [np.sort(channel[there]) for channel, there in zip(values.T, known.T, strict=True)]
        plain = SeriesState(
            length=max(1, length),
            centers=tuple(float(each.mean()) if len(each) else 0.0 for each in ordered),
            scales=tuple(spread(each) if len(each) else 1.0 for each in ordered),
            missing=bool(np.isnan(values).any()),
            sample="",
            sample_lengths=(),
        )
        scaled, counts = _cut(_scaled(values, plain), counts, plain.length, self.keep)
        sample, lengths = _sample(scaled, counts)
        text = base64.b64encode(sample.astype("<f4").tobytes()).decode()
        return plain.model_copy(update={"sample": text, "sample_lengths": lengths})

    def check(self, column: pl.Series, state: SeriesState) -> None:
        """Refuse places that have another number of channels than those of the training rows.

        Raises:
            DataError: E271.
        """
        _, counts, widths = _unpacked(column, len(state.centers))
        self._check_channels(column, counts, widths, len(state.centers))

    @staticmethod
    def _check_channels(column: pl.Series, counts: NDArray[np.int64], widths: NDArray[np.int64], wanted: int) -> None:
        """Refuse places that have more or fewer channels than ``wanted``."""
        wrong = np.unique(np.repeat(np.arange(len(counts)), counts)[widths != wanted])
        if len(wrong):
            row = int(wrong[0])
            start = int(counts[:row].sum())
            raise DataError(
                "E271",
                f"{len(wrong):,} of {len(counts):,} series have places without exactly {wanted} channel{'s' if wanted > 1 else ''}",
                where=f"column {column.name}",
                got=f"row {row + 1}: {sorted(set(widths[start : start + int(counts[row])].tolist()))} channels",
                expected=f"{wanted} in every place of every row",
                fix="a series is a list of places, each a list of its channels' numbers; write null where a number is missing",
            )

    def encode(self, column: pl.Series, state: SeriesState) -> dict[str, NDArray[np.generic]]:
        """Return ``series`` (B, T, C), NaN where a number is missing and 0 behind the end, and ``lengths`` (B,)."""
        values, counts, _ = _unpacked(column, len(state.centers))
        scaled, counts = _cut(_scaled(values, state), counts, state.length, self.keep)
        series = np.zeros((len(counts), state.length, len(state.centers)), np.float32)
        series[np.arange(state.length) < counts[:, None]] = scaled
        return {"series": series, "lengths": counts.astype(np.int32)}

    def facts(self, name: str, state: SeriesState) -> Facts:
        """Return the series' facts; on the wire every channel has mean 0 and deviation 1."""
        channels = len(state.centers)
        places = np.frombuffer(base64.b64decode(state.sample), "<f4").reshape(-1, channels)
        rows = np.split(places, np.cumsum(state.sample_lengths)[:-1])
        sample = tuple(tuple(map(tuple, row.tolist())) for row in rows)
        zeros, ones = (0.0,) * channels, (1.0,) * channels
        return Facts(name, series=SeriesFacts(channels, state.length, zeros, ones, state.missing, sample))

    @classmethod
    def columns(cls) -> dict[str, list[Any]]:
        """Return series of one channel and of several, with gaps, empty, missing, of one place and constant."""
        return {
            "curve": [[1.0, 2.0, 3.0], [2.5], None, [], [4.0, None, 5.0, 1e9], [float("inf"), 1.0]],
            "channels": [[[1.0, -1.0], [2.0, -2.0]], [[0.5, None]], None, [], [[3.0, 9.0], [None, None], [1.0, 1.0]]],
            "constant": [[2.0, 2.0], [2.0]],
            "tiny": [[1e-300, 2e-300], [3e-300]],
        }


def _unpacked(column: pl.Series, channels: int | None = None) -> tuple[Floats, NDArray[np.int64], NDArray[np.int64]]:
    """Return the places of all rows one behind the other, (P, C), NaN where missing; how many each row has; their channels.

    Args:
        column: List(Float64), or List(List(Float64)) of places and channels.
        channels: C; of places that have more the first stay, those that have fewer miss the rest. By default the most there are.
    """
    counts = column.list.len().fill_null(0).to_numpy().astype(np.int64)
    places = column.filter(pl.Series(counts > 0, dtype=pl.Boolean)).explode()
    if not isinstance(places.dtype, pl.List):
        values = places.cast(pl.Float64).fill_null(np.nan).to_numpy()[:, None]
        widths = np.ones(len(values), np.int64)
    else:
        # A place that is missing as a whole has as many channels as all others.
        known = places.is_not_null().to_numpy()
        found = places.list.len().to_numpy().astype(np.float64)
        most = channels or int(np.nanmax(found, initial=1))
        widths = np.where(known, np.nan_to_num(found), most).astype(np.int64)
        inner = places.filter(pl.Series(known & (widths > 0), dtype=pl.Boolean))
        flat = inner.explode().cast(pl.Float64).fill_null(np.nan).to_numpy()
        each = np.where(known, widths, 0)
        place = np.repeat(np.arange(len(each)), each)
        channel = np.arange(len(flat)) - np.repeat(np.cumsum(each) - each, each)
        values = np.full((len(each), most), np.nan)
        values[place[channel < most], channel[channel < most]] = flat[channel < most]
    if channels is not None and values.shape[1] < channels:
        values = np.concatenate([values, np.full((len(values), channels - values.shape[1]), np.nan)], 1)
    return values, counts, widths


def _scaled(values: Floats, state: SeriesState) -> NDArray[np.float32]:
    """Return standardised values (P, C), computed in float64; NaN stays, and what is infinite is as large as the wire carries."""
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = (values - np.array(state.centers)) / np.array(state.scales)
    return np.asarray(np.clip(scaled, -LIMIT, LIMIT), np.float32)


def _cut(
    values: NDArray[np.float32], counts: NDArray[np.int64], length: int, keep: Literal["start", "end"]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Cut rows to ``length`` places; return their places one behind the other and how many each has."""
    kept = np.minimum(counts, length)
    if not (counts > length).any():
        return values, kept
    place = np.arange(len(values)) - np.repeat(np.cumsum(counts) - counts, counts)
    first = np.repeat(counts - kept if keep == "end" else np.zeros_like(counts), counts)
    return values[(place >= first) & (place < first + np.repeat(kept, counts))], kept


def _sample(values: NDArray[np.float32], counts: NDArray[np.int64]) -> tuple[NDArray[np.float32], tuple[int, ...]]:
    """Return some rows that have places, chosen by what they hold, so that the order of the rows does not matter.

    Args:
        values: The places of all rows one behind the other, (P, C).
        counts: The places of each row (B,).
    """
    starts = np.cumsum(counts) - counts
    place = (np.arange(len(values)) - np.repeat(starts, counts)).astype(np.uint64)
    # + 0.0: there is one zero only.
    bits = (values + np.float32(0)).view(np.uint32).astype(np.uint64)
    channel = np.arange(values.shape[1], dtype=np.uint64)
    codes = (_mixed(_mixed(bits + _MIX * channel) + _MIX * place[:, None])).sum(1, dtype=np.uint64)
    rows = np.flatnonzero(counts > 0)
    order = rows[np.argsort(_mixed(np.add.reduceat(codes, starts[rows])), kind="stable")]
    longest = max(1, _SAMPLE_VALUES // _SAMPLE_LEAST // values.shape[1])
    lengths = np.minimum(counts[order], longest)[:_SAMPLE_ROWS]
    some = max(1, int((np.cumsum(lengths) * values.shape[1] <= _SAMPLE_VALUES).sum()))
    picked = [values[starts[row] : starts[row] + n] for row, n in zip(order[:some], lengths[:some], strict=True)]
    return np.concatenate(picked), tuple(int(n) for n in lengths[:some])


def _mixed(code: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return codes whose bits all depend on all bits (the finaliser of SplitMix64)."""
    code = (code ^ (code >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    code = (code ^ (code >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return code ^ (code >> np.uint64(31))
