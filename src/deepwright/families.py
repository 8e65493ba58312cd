"""The base of each family: its contract and nothing else (floor 1).

Importing this module, or any part, never imports torch: the code that needs torch lives in ``blocks/`` and is imported
inside ``build``.

Shape letters: B rows of a batch, N number columns, C category columns (or channels), K ensemble members,
D width of a vector, O width of an output, H and W height and width of a map, T places of a sequence.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self

from pydantic import Field
from pydantic_core import PydanticCustomError

from deepwright.errors import nearest
from deepwright.facts import (
    Dtype,
    Examples,
    Facts,
    Normalization,
    RunFacts,
    Shape,
    TargetFacts,
    TargetKind,
    Wire,
)
from deepwright.parts import Part, Spec

if TYPE_CHECKING:
    import numpy as np
    import polars as pl
    import torch
    from numpy.typing import NDArray

    from deepwright.blocks.averaging import Averager
    from deepwright.blocks.contract import EncoderModule, FusionModule, HeadModule, ReaderModule, WriterModule
    from deepwright.blocks.logs import LogWriter
    from deepwright.scan import Scan
    from deepwright.spans import Places
    from deepwright.table import Note, Table


class Source(Part):
    """Where a table comes from. A path alone stands for the source that recognises it; so does one with options and no type."""

    family: ClassVar[str] = "sources"

    path: str = Field(min_length=1)
    """A file, a folder or a URL of the kind that the source reads; relative to the working directory."""

    @classmethod
    def recognises(cls, path: str) -> bool:
        """Return whether this source is the one for ``path``, by its name, by what lies inside it, or by how a file begins.

        Any path gets an answer, and little is read for it.
        """
        raise NotImplementedError

    @classmethod
    def nearly(cls, path: str) -> tuple[str, str] | None:
        """Return what keeps this source from a path that nobody recognises, and what to do, if it holds what the source reads."""
        del path
        return None

    def read(self) -> Table:
        """Read the whole table.

        Raises:
            DataError: The file is missing, unreadable or malformed; every problem found is listed.
        """
        raise NotImplementedError

    def scan(self) -> Scan | None:
        """Return the rows as a scan, which reads a few columns at a time, or None if the source can only be read as a whole.

        Raises:
            DataError: The file is missing or unreadable.
        """
        return None

    def files(self) -> list[str] | None:
        """Return the name of each row's file, where every row is a file of its own."""
        return None

    def held_out(self) -> Source | None:
        """Return the source of the official test rows that lie beside what :meth:`read` returns, or None if there are none."""
        return None

    @classmethod
    def forms(cls) -> list[dict[str, Any]]:
        """Return the schemas of a path alone, and of one with options."""
        return [{"type": "string"}, {"type": "object", "required": ["path"], "not": {"required": ["type"]}}]

    @classmethod
    def shorthand(cls, value: Any) -> Any:
        """Let a path stand for the source that recognises it.

        Raises:
            PydanticCustomError: No source recognises the path.
        """
        if isinstance(value, dict) and "type" not in value and isinstance(value.get("path"), str):
            return {**cls.shorthand(value["path"]), **value}
        if not isinstance(value, str):
            return value
        for name, part in cls.all().items():
            if part.recognises(value):
                return {"type": name, "path": value}
        why, fix = next(filter(None, (part.nearly(value) for part in cls.all().values())), None) or _why_unknown(value)
        known = "" if fix else f"a file or folder that one of these reads: {', '.join(cls.types())}"
        fix = fix or f"check the path, or name the type: {{type: csv, path: {value!r}}}"
        raise PydanticCustomError("unknown_source", "{why}", {"why": why, "known": known, "fix": fix})


def _why_unknown(path: str) -> tuple[str, str]:
    """Return what keeps every source from ``path`` and what to do, where that can be told: it is missing, or it is a pickle."""
    place = Path(path).expanduser()
    if place.suffix.lower() in (".pkl", ".pickle", ".pt", ".pth", ".joblib"):
        return f"{path}: a pickle can run any code when it is opened", "save the data as Parquet: frame.to_parquet(...)"
    if "://" in path or place.exists():
        return f"no source recognises {path!r}", ""
    beside = [other.name for other in place.parent.iterdir()] if place.parent.is_dir() else []
    where = "" if place.is_absolute() else f"; it was looked for in {Path.cwd()}"
    return f"{path} does not exist{nearest(place.name, beside)}", f"correct the path{where}"


class Encoder(Part):
    """From the arrays of one input, or of all single-valued columns together, to a vector."""

    family: ClassVar[str] = "encoders"
    accepts: ClassVar[tuple[Wire, ...]] = ("table",)
    produces: ClassVar[tuple[Shape, ...]] = ("vector",)
    """What heads may read of it. One that produces a ``sequence`` has ``states(arrays) -> (B, T, states_width), mask (B, T)``,
    one that produces a ``map`` has ``maps(arrays) -> (B, maps_width, H, W)``, as high and wide as the picture."""
    any_size: ClassVar[bool] = False
    """Whether the module takes pictures of another size than that of the facts, too (``training.resize``)."""
    fixed: ClassVar[bool] = False
    """Whether no step changes the module, so that a linear layer is all that learns."""
    normalized_by: ClassVar[Normalization] = "instance"
    """What is taken from a window before it, unless the input says otherwise."""

    def build(self, facts: Facts) -> EncoderModule:
        """Build the module: ``forward({array: tensor}) -> (B, D)``, or ``(B, K, D)`` for K parallel members.

        The module never sees the part; it offers ``width`` (D) and ``members`` (K). Building reads no file: what a bundle holds
        is built again from its recipe alone.
        """
        raise NotImplementedError

    def settled(self, where: str) -> Self:
        """Return this encoder with all that files decide written down, before anything is learnt from the data; most are complete.

        Args:
            where: The recipe's path, for messages.

        Raises:
            RecipeError: What it names does not exist, or does not fit.
            DataError: A file is missing, or not what it should be.
        """
        return self

    def taken(self, feature: Feature, where: str) -> Feature:
        """Return an input with the options that this encoder was trained with; most take any.

        Raises:
            RecipeError: The input does not fit.
        """
        del where
        return feature

    def state(self) -> State | None:
        """Return what its input must have learnt, if it was trained with that; by default the training rows teach it."""
        return None

    def start(self, module: EncoderModule, where: str, examples: Examples | None = None) -> str | None:
        """Give a module that :meth:`build` made what training starts from; by default the weights that it was built with.

        Called once before training, and never for a bundle, whose weights follow.

        Args:
            module: The module.
            where: The recipe's path, for messages.
            examples: The training rows.

        Returns:
            What there is to tell of it, if anything.

        Raises:
            DataError: Weights cannot be read, or do not fit.
        """

    def shapes(self) -> tuple[Shape, ...]:
        """Return what heads may read of it as it is declared; by default all that its kind produces."""
        return self.produces

    @property
    def pace(self) -> int:
        """How many of a sequence's places one of its states stands for."""
        return 1

    @property
    def size(self) -> tuple[int | None, int | None]:
        """The height and width of pictures that suit it, where the input declares none; ``None``: as the data are."""
        return None, None

    @property
    def tokenizer(self) -> str | None:
        """The file that tells how the texts that it was trained with were split, if there is one."""
        return None

    @property
    def learnt(self) -> bool:
        """Whether training starts from weights that were learnt before, so that it should be gentle with them."""
        return False


class Loss(Part):
    """How far an output is from its target."""

    family: ClassVar[str] = "losses"
    kinds: ClassVar[tuple[TargetKind, ...]] = ()

    def build(self, facts: TargetFacts) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
        """Return ``loss(raw, target) -> (B,)``, one loss a row, unreduced.

        ``raw`` is what the network predicts before any link function: (B,) for number and binary (a logit), (B, classes) for
        multiclass and multilabel, (B, classes - 1) cumulative logits for ordinal, (B, H, C) for a forecast, or (B, H, C, Q) of
        quantiles, (B, classes, H, W) for a mask, (B, C, H, W) for an image. ``target`` is as :meth:`Feature.target` encodes it,
        without missing rows (multilabel and number: float; others: int64); of a forecast (B, H, C); of a mask (B, H, W) with -1
        where the class is unknown, which counts for nothing; of an image (B, C, H, W), scaled as raw is.
        """
        raise NotImplementedError


class Head(Part):
    """From the fused vector, or the states of a sequence, to an output."""

    family: ClassVar[str] = "heads"
    kinds: ClassVar[tuple[TargetKind, ...]] = ()
    reads: ClassVar[Shape] = "vector"
    """What it reads."""
    asks: ClassVar[bool] = False
    """Whether it reads the states of a second input, too, see :attr:`Feature.asks`."""
    extras: ClassVar[tuple[str, ...]] = ()
    """What else leaves the graph for :meth:`search`, as ``OUTPUT.NAME``."""
    monitor: ClassVar[str] = ""
    """The metric that training watches unless the recipe says otherwise; empty: the first of the output's kind."""

    def build(self, facts: TargetFacts, loss: Loss | None) -> HeadModule:
        """Build the module; see :class:`deepwright.blocks.contract.HeadModule`."""
        raise NotImplementedError

    def build_reader(self, facts: TargetFacts, width: int, asked: int) -> ReaderModule:
        """Build the module of a head that :attr:`asks`.

        Args:
            facts: The output's facts.
            width: The width of the states that are read.
            asked: The width of the states of what is asked.
        """
        raise NotImplementedError

    def search(self, outputs: NDArray[Any], extras: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """Return the output's values for what left the graph: as they are, unless decoding is a search. Free of torch."""
        del extras
        return outputs


class Writer(Head):
    """A head that writes a text token by token: the graph gives what was read, and a second graph is asked for each next token.

    The module is a :class:`deepwright.blocks.contract.WriterModule`.
    """

    reads: ClassVar[Shape] = "sequence"

    def build_writer(self, facts: TargetFacts, width: int | None, shared: torch.nn.Embedding | None) -> WriterModule:
        """Build the module.

        Args:
            facts: The output's facts.
            width: The width of the states that are read; nothing if there is no input, and texts go on from their own beginning.
            shared: The embedding of the input that has the same tokens (``same_as``), if its weights can be those of the output.
        """
        raise NotImplementedError

    def write(self, step: Step, memory: NDArray[Any], prompt: NDArray[Any] | None, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the texts that are found, (B, T) ids, the prompt's included, -1 behind their end. Free of torch.

        Args:
            step: What is asked for each next token.
            memory: (B, T, M) what was read, NaN behind a row's end.
            prompt: (B, P) ids of what the texts begin with, 0 behind their end.
            rows: The number of each row (B,), which random choices depend on.
        """
        raise NotImplementedError


class Step(Protocol):
    """The graph that a text is written with, token by token.

    Args:
        memory: (B, T, M) what was read, NaN behind a row's end.
        state: (B, L, C) what was written; at first one line of NaN.
        tokens: (B, U) the ids that are read next; 0 begins a text.

    Returns:
        log p of each token behind each of those (B, U, V), and the state with them.
    """

    state_width: int
    """C."""

    def __call__(
        self, memory: NDArray[np.float32], state: NDArray[np.float32], tokens: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Ask."""
        ...


class State(Spec):
    """What a feature learnt from the training rows: small, typed, saved as JSON."""


class Feature(Part):
    """A kind of column: how its values become arrays, and predictions become values. Free of torch."""

    family: ClassVar[str] = "features"
    typeless: ClassVar[bool] = True
    state: ClassVar[type[State]] = State
    dtype: ClassVar[Dtype] = "text"
    """What the data path casts the column to before ``fit`` and ``encode``."""
    strata: ClassVar[bool] = True
    """Outputs only: whether a split keeps the shares of its values, if they are texts."""
    usual_encoder: ClassVar[str] = ""
    """Inputs only: the encoder that is chosen if none is declared; empty: columns share the recipe's ``tabular`` encoder."""

    encoder: Encoder | None = None
    """Inputs only: an encoder of this input's own; without it, columns share the recipe's ``tabular`` encoder."""
    same_as: str | None = None
    """Another input of this type, with which this one shares what is learnt and all options; inputs share the encoder with its
    weights, too, as two texts do that are compared, and an output that is a text has the vocabulary of the input."""
    head: Head | None = None
    """Outputs only: the head; the type's usual one by default."""
    loss: Loss | None = None
    """Outputs only: the loss; the head's usual one by default."""
    of: str | None = None
    """Outputs of the tokens of a text, or of the pixels of a picture, only: the input that they belong to; by default the only one
    of its kind."""
    asks: str | None = None
    """Outputs that answer a question only: the input that holds it; by default the one of that name, or the only other text."""
    weight: float = Field(1.0, gt=0)
    """Outputs only: the weight of this output's loss among several."""

    def read(self, column: pl.Series) -> pl.Series:
        """Return a column as it was given, brought into a form that its cast takes in one way only; by default unchanged."""
        return column

    def check(self, column: pl.Series, state: Any) -> None:
        """Refuse cast rows that are not of the form of those that were learnt from; :meth:`encode` takes any. By default all are.

        Raises:
            DataError: They are not.
        """

    def remark(self, column: pl.Series) -> Note | None:
        """Return what there is to tell of a cast column before it is encoded, if anything; by default nothing."""
        del column
        return None

    def actual(self, column: pl.Series, state: Any) -> pl.Series:
        """Outputs only: return true values of any rows as predictions tell them, for the report; by default unchanged."""
        del state
        return column

    def learn(self, column: pl.Series) -> State:
        """Return what the encoder brings, if it was trained with that, or what the training rows teach.

        Raises:
            DataError: There is nothing to learn from.
        """
        held = self.encoder.state() if self.encoder is not None else None
        return self.fit(column) if held is None else held

    def fit(self, column: pl.Series) -> State:
        """Learn from the training rows (nulls are missing values).

        Raises:
            DataError: The column cannot serve as this type, e.g. it has no value at all.
        """
        raise NotImplementedError

    def encode(self, column: pl.Series, state: Any) -> dict[str, NDArray[np.generic]]:
        """Encode any rows into the arrays of the wire (see :class:`Facts`), vectorised; total: every value has a code."""
        raise NotImplementedError

    def facts(self, name: str, state: Any) -> Facts:
        """Return what the encoder may know."""
        raise NotImplementedError

    def target(self, column: pl.Series, state: Any) -> NDArray[np.generic]:
        """Encode any rows as a target.

        Returns:
            number: float32 (B,), ``(value - center) / scale``, NaN if missing;
            binary, multiclass, ordinal: int32 (B,) class index, -1 if missing or unseen;
            multilabel: float32 (B, classes) of 0 and 1, NaN rows if missing;
            labels: int32 (B, T) class index, -1 behind a row's end, -1 throughout if missing, and where unseen;
            text: int32 (B, U) the ids of its tokens, 1 where unknown, -1 behind its end, and throughout if it is missing or empty;
            match: int64 (B,) the same for rows that belong together, -1 if missing;
            answer: int32 (B, 2) the first and the last token, -1 if missing;
            forecast: float32 (B, C) of each row alone, ``(value - center) / scale``, NaN if missing: the data path makes windows;
            mask: int16 (B, H, W) class index, -1 where it is to be ignored, -1 throughout if missing;
            image: int16 (B, H, W, C) in 0…255, -1 throughout if missing.
        """
        raise NotImplementedError

    def beside(self, source: Feature, learnt: Any) -> Self:
        """Outputs of pixels only: return this output as it is for the pictures of an input.

        Args:
            source: The input.
            learnt: What it learnt.

        Raises:
            RecipeError: They do not fit each other (E106).
        """
        del source, learnt
        return self

    def counts(
        self, outputs: NDArray[Any], target: NDArray[Any], state: Any, likelihood: NDArray[Any] | None = None
    ) -> NDArray[np.float64]:
        """Return what the metrics of a counted kind add up, (B, S), NaN rows where the target is missing.

        Args:
            outputs: The values as :meth:`Head.search` returned them.
            target: As :meth:`target` returned it.
            state: The learnt state.
            likelihood: Texts only: (B, 2) -log p of the target and its tokens, if the head tells it.
        """
        raise NotImplementedError

    def target_facts(self, name: str, state: Any) -> TargetFacts:
        """Return what the head may know."""
        raise NotImplementedError

    def decode(self, name: str, outputs: NDArray[Any], state: Any) -> pl.DataFrame:
        """Turn what leaves the graph into prediction columns.

        Args:
            name: The output's name; the first column is ``name``, others are ``f"{name}:{class}"`` probabilities.
            outputs: (B,) values, or (B, classes) probabilities.
            state: The learnt state.
        """
        raise NotImplementedError

    def decode_at(self, name: str, outputs: NDArray[Any], state: Any, sizes: NDArray[np.int64]) -> pl.DataFrame:
        """Outputs of pixels only: :meth:`decode` to the sizes that the pictures have themselves.

        Args:
            name: The output's name.
            outputs: (B, H, W) classes, or (B, H, W, C) pictures.
            state: The learnt state.
            sizes: The height and width of each row's picture, (B, 2); 0 where there is none.
        """
        del sizes
        return self.decode(name, outputs, state)

    @property
    def in_text(self) -> bool:
        """Outputs only: whether values are told by the characters of the text that is an input, see :attr:`of`."""
        return False

    def places(self, column: pl.Series, state: Any = None) -> Places:
        """Inputs that are texts only: return where their tokens stand in them.

        Args:
            column: The texts.
            state: The learnt state, if there is one already.

        Raises:
            RecipeError: The places of such tokens are not known (E106).
        """
        raise NotImplementedError

    def judged(self, outputs: NDArray[Any], column: pl.Series, texts: pl.Series, places: Places) -> NDArray[np.float64]:
        """Outputs :attr:`in_text` whose metrics look at texts only: return what :meth:`counts` does.

        Args:
            outputs: The values as :meth:`Head.search` returned them.
            column: What was to be found, as :meth:`placed` returned it.
            texts: The texts.
            places: Where their tokens stand.
        """
        raise NotImplementedError

    def placed(self, column: pl.Series, texts: pl.Series, places: Places, where: str) -> tuple[pl.Series, dict[int, str]]:
        """Outputs :attr:`in_text` only: return values told by the characters of texts as those of their tokens.

        Returns:
            The column, which :meth:`fit` and :meth:`target` take, and what is wrong with which rows.
        """
        raise NotImplementedError

    def located(self, frame: pl.DataFrame, name: str, texts: pl.Series, places: Places) -> pl.DataFrame:
        """Outputs :attr:`in_text` only: return what :meth:`decode` gave, told by the characters of the texts."""
        raise NotImplementedError

    @property
    def can_input(self) -> bool:
        """Whether this type can be an input."""
        return type(self).encode is not Feature.encode

    @property
    def can_output(self) -> bool:
        """Whether this type can be an output."""
        return type(self).target is not Feature.target

    @classmethod
    def columns(cls) -> dict[str, list[Any]]:
        """Return tiny example columns ``{description: values}`` (None for missing) for the conformance suite."""
        raise NotImplementedError


class Layer(Part):
    """One layer of a ``sequential`` encoder."""

    family: ClassVar[str] = "layers"

    def build(self, shape: tuple[int, ...]) -> tuple[torch.nn.Module, tuple[int, ...]]:
        """Build the layer for inputs of ``shape`` (no batch axis; (C, H, W) or (D,)) and return it with its output shape.

        Raises:
            RecipeError: The layer does not fit the shape (E108).
        """
        raise NotImplementedError

    @classmethod
    def example_shape(cls) -> tuple[int, ...]:
        """Return an input shape that the example accepts."""
        return (3, 8, 8)


class Fusion(Part):
    """From the vectors of several encoders to one."""

    family: ClassVar[str] = "fusions"
    reads: ClassVar[Shape] = "vector"
    """What it reads of the first two inputs: their vectors, or their states, a ``sequence``."""

    def build(self, widths: Sequence[int]) -> FusionModule:
        """Build the module: ``forward([(B, D_i)…]) -> (B, D)``; a members axis (B, K, D_i) passes through.

        Of one that reads sequences the first two are states and their mask, ((B, T, D_i), (B, T)), and there are no members.
        """
        raise NotImplementedError

    @classmethod
    def example_widths(cls) -> tuple[int, int]:
        """Return two widths that the example joins."""
        return (3, 5)


class Optimizer(Part):
    """How gradients become steps."""

    family: ClassVar[str] = "optimizers"
    typeless: ClassVar[bool] = True

    lr: float = Field(1e-3, gt=0)
    """The peak learning rate; the schedule multiplies it."""
    weight_decay: float = Field(0.0, ge=0)
    """Weight decay; biases, normalisations and embeddings are exempt."""

    def build(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """Build the optimizer over parameter groups, whose ``weight_decay`` is already set."""
        raise NotImplementedError


class Schedule(Part):
    """How the learning rate changes. A pure function of progress, so that a resumed run needs no state of it."""

    family: ClassVar[str] = "schedules"
    typeless: ClassVar[bool] = True

    warmup: float = Field(0.0, ge=0, le=1)
    """The fraction of all steps over which the learning rate rises linearly from zero."""

    def factor(self, progress: float, scores: Sequence[float]) -> float:
        """Return the multiplier of the peak learning rate, warm-up left aside.

        Args:
            progress: The fraction of all steps done, in [0, 1].
            scores: The validation score after each evaluation so far; higher is better.
        """
        raise NotImplementedError

    def multiplier(self, progress: float, scores: Sequence[float]) -> float:
        """Return the multiplier with the warm-up applied."""
        rise = min(1.0, progress / self.warmup) if self.warmup else 1.0
        return rise * self.factor(progress, scores)


@dataclass(frozen=True)
class Draw:
    """What an augmentation may take its choices from; all of it repeats when a run is repeated or resumed.

    Args:
        generator: Of this step, on the CPU; the source of all randomness.
        rows: The index of each row of the batch among the training rows, (B,) int64 on the CPU.
        epoch: Epochs done, from 0.
        seed: The training's seed, for a choice that stays the same for a row over the whole training.
    """

    generator: torch.Generator
    rows: torch.Tensor
    epoch: int = 0
    seed: int = 0


class Augmentation(Part):
    """A random change of training pictures, sounds or series that keeps their meaning, batched and on the device."""

    family: ClassVar[str] = "augmentations"
    accepts: ClassVar[Wire] = "image"
    """What it changes: ``image``, ``sound`` or ``series``."""

    def build(self, facts: Any) -> Callable[..., Any]:
        """Return the change; each row is changed on its own, and all randomness comes from ``draw``, so that runs can be repeated.

        Args:
            facts: The input's :class:`ImageFacts`, :class:`SoundFacts` or :class:`SeriesFacts`.

        Returns:
            Pictures: ``augment(pictures, draw)``, (B, C, H, W) float in 0…255 to the same.
            Sounds: ``augment(sound, lengths, draw)``, (B, T) float in ±32768 and the samples of each row (B,), to the same; T may
            become another, and what stands behind the end of a row does not count.
            Series: ``augment(series, lengths, draw)``, (B, T, C) float, NaN where missing, and the places of each row, likewise.
        """
        raise NotImplementedError

    def build_along(self, facts: Any, *, classes: bool) -> Callable[..., Any] | None:
        """Return the change of what lies on the pictures pixel by pixel, or None where things stay in their places.

        It gets the same draw as the change of the pictures, and takes the same numbers from it.

        Args:
            facts: The input's :class:`ImageFacts`.
            classes: Whether the pixels are classes, of which no mean can be taken; else they are colours.
        """
        del facts, classes
        return None


class Average(Part):
    """Weights averaged along training, which are evaluated and kept instead of those that the last step left."""

    family: ClassVar[str] = "averages"

    def build(self) -> Averager:
        """Build what keeps the average; see :class:`deepwright.blocks.averaging.Averager`."""
        raise NotImplementedError


class Logger(Part):
    """Where the figures of a training go while it runs, beside the bundle's own log."""

    family: ClassVar[str] = "loggers"

    def open(self, directory: Path, run: RunFacts) -> LogWriter:
        """Open the log of a run; see :class:`deepwright.blocks.logs.LogWriter`.

        A new run (``run.step`` 0) replaces what an earlier one left in ``directory``; a resumed one goes on, and writes no step
        twice.

        Args:
            directory: A folder of the run's own; it is made if need be.
            run: What is known of the run.

        Raises:
            MissingExtra: The library behind it is not installed (E601).
        """
        raise NotImplementedError
