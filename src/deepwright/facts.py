"""What parts may know of the data and of a run: the kinds of columns, arrays and outputs, and the facts of each (floor 1).

Shape letters are those of :mod:`deepwright.families`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from numpy.typing import NDArray

Wire = Literal["table", "image", "tokens", "series", "sound", "window"]
"""What travels from a feature to its encoder: single values in columns, a picture, a text, a series of numbers, a sound, or the
latest rows of a table in order of time."""

Dtype = Literal["number", "text", "date", "image", "mask", "tags", "series", "sound", "words", "labels", "answer", "numbers"]
"""What the data path casts a column to before ``fit`` and ``encode``: Float64, String, Datetime("us"), Binary or String (a
picture's or sound's bytes or its path), List(String), List(Float64) or List(List(Float64)) of places and channels; ``mask`` is as
``image``, arrays of pixels of other integers allowed; ``words`` is String, or List(String) where the tokens of a text are given;
``labels`` may be spans of characters, too, and an ``answer`` is a text with its start; ``numbers`` is Array(Float64) of several
columns side by side."""

SEQUENCES = ("tokens", "words", "grams", "letters", "tree", "series", "sound", "written", "prompt")
"""The arrays of the wire whose second axis is a sequence, as long as the longest row; shorter rows are padded at their end.
``OUTPUT.written`` are the ids of a text that is known, ``OUTPUT.prompt`` of one that is to be continued, 0 behind their end."""

TargetKind = Literal[
    "number", "binary", "multiclass", "multilabel", "ordinal", "labels", "text", "match", "answer", "forecast", "mask", "image"
]
"""What an output is; it decides the head, the loss, the metrics and the pictures of the report. ``labels`` are one a token, a
``text`` is as long as its head makes it, a ``match`` tells which rows of one input belong to which of the other, an ``answer`` is a
span of a text that is an input, a ``forecast`` is the next rows of some columns, a ``mask`` has a class for each pixel of a
picture, and an ``image`` is another picture of its size."""

PIXELS = frozenset({"mask", "image"})
"""The kinds that have a value for each pixel of a picture."""

COUNTED = frozenset({"labels", "text", "match", "answer", "forecast"}) | PIXELS
"""The kinds whose metrics are ratios of sums over rows: see :meth:`deepwright.families.Feature.counts`."""

Shape = Literal["vector", "sequence", "pair", "window", "map"]
"""What a head reads: one vector of all inputs, (B, D), or a vector for each place of one input, (B, T, D), with a mask, or the
vectors of two inputs, (B, D) each, or what each window of latest rows foretells of each column, or a vector for each pixel of a
picture, (B, D, H, W)."""

Normalization = Literal["instance", "mean", "last", "none"]
"""What is taken from each column of a window before its encoder, and given back to the forecast: its mean, and its deviation, which
divides it (reversible instance normalisation, Kim et al. 2022), its mean, its last value, or nothing."""

EMBEDDING = "⟨vector⟩ "
"""Outputs of the graph that begin so are the vectors of groups of inputs by their names, and without a name the fused one."""


@dataclass(frozen=True)
class NumberFacts:
    """One number column of the wire: ``float32``, NaN where the value is missing.

    Args:
        label: The column's name, with the part behind a dot when a feature yields several (``"date.month_sin"``).
        view: How the network shall see it: ``standard`` (as it comes), ``quantile`` (its rank) or ``piecewise`` (bins).
        edges: Strictly increasing bin edges in the units of the wire, for ``quantile`` and ``piecewise``.
        missing: Whether a missing value is to be flagged by a channel of its own.
        baseline: The value of the wire that explanations start from.
    """

    label: str
    view: Literal["standard", "quantile", "piecewise"] = "standard"
    edges: tuple[float, ...] = ()
    missing: bool = False
    baseline: float = 0.0


@dataclass(frozen=True)
class CategoryFacts:
    """One category column of the wire: ``int32`` ids, 0 missing, 1 unseen or rare, 2… the known values.

    Args:
        label: The column's name.
        size: The number of ids, 0 and 1 included.
        baseline: The id that explanations start from: the most frequent one.
    """

    label: str
    size: int
    baseline: int = 0


@dataclass(frozen=True)
class ImageFacts:
    """A picture on the wire: ``uint8`` of shape (B, H, W, C).

    Args:
        height: H.
        width: W.
        channels: C, 1 (grey) or 3 (RGB).
        mean: The mean of each channel over the training rows, in 0…255.
        std: The standard deviation of each channel over the training rows, in 0…255.
        patches: The covariance of 2 × 2 patches of the training rows, in 0…255 squared: 4C rows of 4C, in the order (C, 2, 2);
            empty if it is not known.
    """

    height: int
    width: int
    channels: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    patches: tuple[tuple[float, ...], ...] = ()


@dataclass(frozen=True)
class TokensFacts:
    """A text on the wire: ``tokens`` (B, T) and, if ``grams`` is not 0, ``grams`` (B, G), both ``int32`` and 0 behind the end.

    Args:
        vocabulary: The token of each id: 0 is padding, 1 unknown; a missing or empty text is padding alone.
        length: T of the longest training row.
        grams: The number of ids that runs of several tokens are hashed to, 0 (padding) included; 0: there are none.
        idf: The inverse document frequency of each id of tokens, 1 for what every training text holds; 0 for padding.
        gram_idf: The same of each id of grams.
        letters: The number of ids of characters, 0 (padding) included, if ``letters`` (B, T, 16) ``uint8`` holds those of each
            token; 0: there are none.
        tree: The height of the highest tree, if ``tree`` (B, T - 1, 3) ``int32`` holds one over each text's tokens, as
            :mod:`deepwright.trees` tells; 0: there are none.
        words: Whether ``words`` (B, W) ``int32`` holds the place, from 1 on, of the first token of each word, 0 behind the end.
    """

    vocabulary: tuple[str, ...]
    length: int
    grams: int = 0
    idf: tuple[float, ...] = ()
    gram_idf: tuple[float, ...] = ()
    letters: int = 0
    tree: int = 0
    words: bool = False

    @property
    def size(self) -> int:
        """The number of ids of tokens."""
        return len(self.vocabulary)


@dataclass(frozen=True)
class SeriesFacts:
    """A series on the wire: ``series`` (B, T, C) ``float32``, NaN where missing, and ``lengths`` (B,) ``int32``.

    Args:
        channels: C.
        length: T of the longest training row.
        mean: The mean of each channel over the training rows.
        std: The standard deviation of each channel over the training rows, 1 for a constant.
        missing: Whether any training value is missing.
        sample: Some training series: their places, and the channels of each, NaN where missing.
    """

    channels: int
    length: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    missing: bool = False
    sample: tuple[tuple[tuple[float, ...], ...], ...] = ()


@dataclass(frozen=True)
class WindowFacts:
    """The latest rows of a table on the wire: ``window`` (B, T, C) ``float32``, without a missing value.

    Args:
        channels: C, the columns.
        length: T, the rows.
        season: Rows after which columns repeat, such as 24 of hours; 1: none are known.
    """

    channels: int
    length: int
    season: int = 1


@dataclass(frozen=True)
class SoundFacts:
    """A sound on the wire: ``sound`` (B, T) ``int16``, one channel, and ``lengths`` (B,) ``int32``, in samples.

    Args:
        rate: Samples a second.
        length: T of the longest training row.
        mels: Bands of the mel spectrogram that encoders begin with.
        window: Samples of a frame of it.
        hop: Samples from one frame to the next.
        mean: The mean of the log-mel spectrogram over the training rows.
        std: Its standard deviation.
        cepstra: If not 0, so many coefficients of its cosine transform take the place of the bands (MFCC).
    """

    rate: int
    length: int
    mels: int
    window: int
    hop: int
    mean: float
    std: float
    cepstra: int = 0


@dataclass(frozen=True)
class Facts:
    """All that an encoder may know of its inputs.

    The arrays on the wire are ``numbers`` (B, N) float32, ``categories`` (B, C) int32, ``image`` (B, H, W, C) uint8 and those of
    :class:`TokensFacts`, :class:`SeriesFacts`, :class:`SoundFacts` and :class:`WindowFacts`; those that do not apply are absent.
    """

    name: str
    numbers: tuple[NumberFacts, ...] = ()
    categories: tuple[CategoryFacts, ...] = ()
    image: ImageFacts | None = None
    tokens: TokensFacts | None = None
    series: SeriesFacts | None = None
    sound: SoundFacts | None = None
    window: WindowFacts | None = None

    @property
    def wire(self) -> Wire:
        """What kind of input this is."""
        own: tuple[Wire, ...] = ("image", "tokens", "series", "sound", "window")
        return next((wire for wire in own if getattr(self, wire) is not None), "table")

    @staticmethod
    def merge(name: str, parts: Iterable[Facts]) -> Facts:
        """Return the facts of single-valued columns that share one encoder, in order."""
        listed = list(parts)
        return Facts(name, tuple(n for f in listed for n in f.numbers), tuple(c for f in listed for c in f.categories))


@dataclass(frozen=True)
class ForecastFacts:
    """What is foretold.

    Args:
        channels: The columns, C of them.
        centers: The value of each that the network predicts as 0.
        scales: The distance of each that the network predicts as 1.
        horizon: H, the rows foretold.
        season: M, the rows before them that a target holds, which the seasonal naive forecast repeats.
        quantiles: The Q quantiles that are foretold, rising, 0.5 among them; empty: one value.
        naive: The mean error of the seasonal naive forecast one row ahead on the training rows, in units of ``scales``.
        step: The time from one row to the next, in words.
    """

    channels: tuple[str, ...]
    centers: tuple[float, ...]
    scales: tuple[float, ...]
    horizon: int
    season: int = 1
    quantiles: tuple[float, ...] = ()
    naive: tuple[float, ...] = ()
    step: str = ""

    @property
    def shape(self) -> tuple[int, int, int]:
        """H, C and how many values each has."""
        return self.horizon, len(self.channels), max(1, len(self.quantiles))


@dataclass(frozen=True)
class TargetFacts:
    """All that a head or a loss may know of an output.

    Args:
        name: The output's name.
        kind: What the output is.
        classes: The labels in the order of the probabilities; empty for a number.
        counts: The training rows of each class; for ``multilabel`` the rows that carry each tag.
        rows: The training rows with a known target.
        center: A number's value, or a picture's brightness in 0…255, that the network predicts as 0.
        scale: The distance that the network predicts as 1.
        channels: Of a picture: 1 for grey, 3 for RGB.
        tokens: A text's: its tokens; 0, which no token of a text has, is free for a head to mean an end or a blank by it.
        recurring: Of a match: the code of each value that several training rows have, and how many.
        forecast: What is foretold, of a forecast.
        longest: The tokens of the longest answer.
    """

    name: str
    kind: TargetKind
    classes: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()
    rows: int = 0
    center: float = 0.0
    scale: float = 1.0
    tokens: TokensFacts | None = None
    recurring: tuple[tuple[int, int], ...] = ()
    forecast: ForecastFacts | None = None
    channels: int = 0
    longest: int = 0


@dataclass(frozen=True)
class Examples:
    """The training rows of one input, and the classes that they have.

    Args:
        arrays: The arrays of the wire.
        classes: The class of each row in the first output of classes, -1 if unknown; nothing if there is no such output.
        count: How many classes there are.
    """

    arrays: Mapping[str, NDArray[Any]]
    classes: NDArray[Any] | None = None
    count: int = 0


@dataclass(frozen=True)
class RunFacts:
    """All that a logger may know of a training.

    Args:
        name: What the run is called: the bundle's name.
        recipe: The resolved recipe as plain values.
        step: Steps that were done when it was resumed; 0 for a new run.
    """

    name: str
    recipe: Mapping[str, Any] = field(default_factory=dict)
    step: int = 0
