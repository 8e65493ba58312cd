"""The recipe: the whole declaration of a model, one section a step (floor 1).

YAML, JSON and Python are the same thing::

    Recipe.load("income.yaml") == Recipe.parse({...}) == Recipe(data=..., inputs=..., outputs=...)
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import yaml
from pydantic import BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from deepwright.errors import Problem, RecipeError, nearest
from deepwright.families import Average, Encoder, Feature, Fusion, Logger, Optimizer, Schedule, Source
from deepwright.mappings import override, read_mapping
from deepwright.parts import Part, Spec, families, json_schema

FORMAT = 1
"""The recipe format that this version writes; older ones are upgraded when they are loaded."""

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def _seconds(value: Any) -> Any:
    if isinstance(value, str) and (match := re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([smhd])\s*", value)):
        return float(match[1]) * _UNITS[match[2]]
    if isinstance(value, str) and not re.fullmatch(r"\s*\d+(\.\d+)?\s*", value):
        raise ValueError("expected a time such as 30s, 5m or 1.5h")
    return value


Duration = Annotated[float, BeforeValidator(_seconds, json_schema_input_type=float | str), Field(gt=0)]
"""Seconds, or a text such as ``90s``, ``5m``, ``1.5h``."""


def _switch(value: Any) -> Any:
    """YAML reads a bare ``on`` or ``off`` as true or false."""
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else value


Switch = Annotated[
    Literal["auto", "on", "off"], BeforeValidator(_switch, json_schema_input_type=Literal["auto", "on", "off"] | bool)
]
"""``on``, ``off``, or ``auto``, which measures."""

P = TypeVar("P", bound=Part)
Scalar = str | int | float | bool


class ColumnClean(Spec):
    """How one column is cleaned. Applied in the order of the fields, to training data and to every later row alike."""

    strip: str = ""
    """Characters removed from both ends of every text, blanks aside (which reading removes)."""
    normalize: bool = False
    """Unicode NFKC, inner blanks folded to one."""
    case: Literal["keep", "lower", "upper"] = "keep"
    """Change of case, which merges inconsistent spellings of a category."""
    replace: dict[str, str | None] = Field(default_factory=dict)
    """Exact values and what they become; ``null`` makes them missing."""
    convert: Literal["keep", "number", "text", "date"] = "keep"
    """The type that the column is made; a value that cannot be converted is an error unless ``on_error: missing``."""
    on_error: Literal["raise", "missing"] = "raise"
    """What becomes of a value that the column's type cannot hold."""
    outliers: Literal["keep", "clip", "drop"] = "keep"
    """Values outside the fences (quartiles ± ``fence`` × IQR, learnt from training rows); ``drop`` drops training rows only."""
    fence: float = Field(3.0, gt=0)
    """The distance of the outlier fences in interquartile ranges (Tukey 1977)."""
    missing: Literal["keep", "drop"] | Scalar = "keep"
    """``keep``: features handle them; ``drop``: training rows are dropped; any other value replaces them."""


def _with_columns(schema: dict[str, Any]) -> None:
    """Let a schema of cleaning tell that other keys are columns."""
    schema["additionalProperties"] = schema["properties"]["columns"]["additionalProperties"]


class Clean(Spec):
    """How the data are cleaned: nothing unless declared. Keys other than the fields are columns."""

    model_config = ConfigDict(json_schema_extra=_with_columns)

    duplicates: Literal["keep", "drop"] = "keep"
    """Training rows that repeat an earlier one in every column."""
    strip: bool = True
    """Blanks around every value of a text file are removed; counted and reported."""
    missing: list[str] | None = None
    """Texts that mean a missing value; by default ``?``, ``NA``, ``N/A``, ``NaN``, ``null``, ``None``, ``-`` and empty."""
    columns: dict[str, ColumnClean] = Field(default_factory=dict)
    """One entry a column."""

    @model_validator(mode="before")
    @classmethod
    def _gather(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        own = {key: entry for key, entry in value.items() if key in cls.model_fields}
        rest = {key: entry for key, entry in value.items() if key not in cls.model_fields}
        if rest:
            own["columns"] = {**(own.get("columns") or {}), **rest}
        return own


def _span(value: Any) -> Any:
    if isinstance(value, str) and (match := SPAN.fullmatch(value)):
        return f"{int(match[1])} {match[2]}s"
    raise ValueError("expected a number of rows, minutes, hours, days, weeks, months or years, such as 12 months")


SPAN = re.compile(r"\s*([1-9]\d*)\s*(row|minute|hour|day|week|month|year)s?\s*")
"""A stretch of time, or of rows."""

Span = Annotated[str, BeforeValidator(_span)]
"""A stretch of time, or of rows: ``12 months``, ``360 days``, ``500 rows``. Months and years are those of the calendar."""


class Spans(Spec):
    """How long the sides of a split by time are; what is left over at the end, or at the beginning without ``train``, is unused."""

    train: Span | None = None
    """From the first row on; by default all that the others leave."""
    validation: Span | None = None
    """Behind the training rows."""
    test: Span | None = None
    """Behind the validation rows."""


def _with_stretches(schema: dict[str, Any]) -> None:
    """Let a schema of a split tell that its sides may be stretches of time."""
    for side in Spans.model_fields:
        held = schema["properties"].setdefault(side, {})
        held["anyOf"] = [*held.pop("anyOf", []), {"type": "string"}]
        if "type" in held:
            held["anyOf"].insert(0, {key: held.pop(key) for key in ("type", "minimum", "exclusiveMaximum") if key in held})


class Split(Spec):
    """How rows are divided into training, validation and test rows.

    By time, ``train``, ``validation`` and ``test`` may be stretches of it: ``{by: time, validation: 4 months, test: 4 months}``.
    """

    model_config = ConfigDict(json_schema_extra=_with_stretches)

    by: Literal["auto", "random", "stratified", "group", "time", "last", "column", "file"] = "auto"
    """``auto``: stratified for a class output, else random. ``last``: of each ``group`` (a user), the latest row tests and the one
    before it validates. ``file``: the test rows are those of ``data.test``."""
    column: str | None = None
    """The column of the group, the time, or the names ``train``, ``validation`` and ``test``."""
    group: str | None = None
    """``last`` only: the column that tells whose rows are whose; ``column`` tells their time."""
    validation: float | None = Field(None, ge=0, lt=1)
    """The fraction of the rows (after the test rows are set aside) that choose the best weights; by default 0.15, but at most
    5,000 rows, which tell well enough. 0: all rows train, and the last weights are kept."""
    test: float = Field(0.0, ge=0, lt=1)
    """The fraction of the rows that are never trained on."""
    folds: int | None = Field(None, ge=2)
    """k-fold: the rows are dealt into this many folds, of which ``fold`` is the validation set."""
    fold: int = Field(0, ge=0)
    """Which of ``folds`` validates."""
    spans: Spans | None = None
    """By time: the sides by how long they are, instead of fractions."""
    seed: int = 0
    """The seed of the division."""

    @model_validator(mode="before")
    @classmethod
    def _stretches(cls, value: Any) -> Any:
        """Let the sides of a split by time be given as stretches of it."""
        if not isinstance(value, Mapping):
            return value
        sides = {key: value[key] for key in Spans.model_fields if isinstance(value.get(key), str) and not _plain(value[key])}
        return {**{key: each for key, each in value.items() if key not in sides}, "spans": sides} if sides else value


def _plain(value: str) -> bool:
    """Return whether a text is a number alone, as overrides on the command line may give it."""
    return re.fullmatch(r"\s*[\d.]+\s*", value) is not None


class Select(Spec):
    """Choose input columns by how much they tell of the output, on training rows; reported, and written into the recipe."""

    by: Literal["mutual_information", "importance"] = "mutual_information"
    """``mutual_information`` of each column alone, or the permutation ``importance`` in a quick model of all columns."""
    keep: int | None = Field(None, ge=1)
    """How many columns stay; without it, all that score at least ``threshold``."""
    threshold: float = Field(0.0, ge=0)
    """The least score that stays (nats for mutual information)."""


class Negatives(Spec):
    """Implicit feedback: every row is a pair that was there, and pairs that were not are drawn beside it, by the split's seed.

    Items are drawn uniformly from those that the user has in no row, whatever its side of the split.
    """

    user: str
    """The column of the user."""
    item: str
    """The column of the item."""
    output: str
    """The column that is made, a binary output: ``yes`` for the rows that there are, ``no`` for those drawn."""
    columns: list[str] = Field(default_factory=list)
    """The item's other columns, which are drawn with it; all others are those of the row."""
    count: int = Field(4, ge=1)
    """Pairs drawn for each row."""


class Data(Spec):
    """What is learnt from."""

    source: Source | None = None
    """A path, or a source part."""
    test: Source | None = None
    """A file of test rows, never trained on."""
    clean: Clean = Clean()
    """Declared cleaning."""
    split: Split = Split()
    """Which rows train, validate and test."""
    drop: list[str] = Field(default_factory=list)
    """Columns that are not inputs (identifiers, constants, what leaks the target)."""
    columns: Literal["all", "declared"] = "all"
    """``all``: columns that ``inputs`` leaves out become inputs of inferred types; ``declared``: they are ignored."""
    derive: dict[str, str] = Field(default_factory=dict)
    """Constructed columns by expression: ``{ratio: rooms / households, kind: "cross(sex, race)", month: "month(day)"}``."""
    select: Select | None = None
    """Choose among the input columns."""
    weight: str | None = None
    """A column of row weights."""
    time: str | None = None
    """The column that tells the rows' time. Rows are then put in its order, and forecasts can be made."""
    series: str | None = None
    """The column that tells which of several series a row belongs to (long form); each becomes columns of its own, side by side."""
    negatives: Negatives | None = None
    """Learn from what users chose alone: draw what they did not."""
    stream: Literal["auto"] | bool = "auto"
    """Train from encoded rows on disk. Parquet files are then never held: they are read and encoded column by column. ``auto``:
    if the table, or its encoded rows, would fill more than a quarter of the available memory."""
    workers: int | None = Field(None, ge=1)
    """Threads that decode pictures and encode rows, by default one for each processor, at most 8; the arrays are the same."""


class Rate(Spec):
    """How fast one part of the network learns; a number alone is its ``lr``.

    Its layers, from the inputs to the top, are what its encoder lists one after the other: blocks, stages, dense layers.
    """

    model_config = ConfigDict(json_schema_extra={"type": ["object", "number"]})

    lr: float = Field(1.0, ge=0)
    """Times the optimizer's learning rate."""
    layer_decay: float = Field(1.0, gt=0, le=1)
    """Each layer learns at so much of the rate of the layer above it (arXiv 1801.06146, 2003.10555)."""
    frozen: Annotated[float, Field(ge=0)] | Literal["always"] = 0.0
    """Epochs at the start during which the part does not learn, normalisations included."""
    gradual: float = Field(0.0, ge=0)
    """Epochs between the unfreezing of one more layer, from the top (arXiv 1801.06146); 0: all layers at once."""

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, value: Any) -> Any:
        return {"lr": value} if isinstance(value, int | float) and not isinstance(value, bool) else value

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.frozen == "always" and self.gradual:
            raise ValueError("gradual says when layers unfreeze, and frozen: always that they never do; keep one of them")
        return self


class Resize(Spec):
    """Progressive resizing: train on smaller pictures first, which costs less a picture (J. Howard, DAWNBench 2018)."""

    start: float = Field(0.6, gt=0, lt=1)
    """The side of the pictures at the start, as a fraction of its full size; it grows in steps of 4 pixels."""
    until: float = Field(0.6, gt=0, le=1)
    """The fraction of all steps after which pictures have their full size."""


class Training(Spec):
    """How it is learnt. ``auto`` and ``null`` are decided from the data and written into the resolved recipe."""

    epochs: int | None = Field(None, ge=1)
    """Passes over the training rows, at most."""
    steps: int | None = Field(None, ge=1)
    """Optimizer steps, instead of epochs."""
    budget: Duration | None = None
    """Time for training (``5m``); the schedule fits itself to it, and the steps that fit are written into the recipe."""
    batch: int | None = Field(None, ge=1)
    """Rows a step."""
    accumulate: int | None = Field(None, ge=1)
    """Micro-batches a step, whose gradients are added up so that less memory is needed; by default what fits."""
    optimizer: Optimizer | None = None
    """How gradients become steps."""
    schedule: Schedule | None = None
    """How the learning rate changes."""
    rates: dict[str, Rate] = Field(default_factory=dict)
    """Learning rates, freezing and unfreezing, by part: an input with an encoder of its own, ``tabular``, ``fusion``, an output."""
    average: Average | None = None
    """Weights averaged along training (``ema``, ``swa``, ``lookahead``), which are evaluated and kept."""
    evaluate_every: float = Field(1.0, gt=0)
    """Epochs between two evaluations; 0.25: four times an epoch."""
    patience: int | None = Field(None, ge=0)
    """Epochs without a better validation score before stopping; 0: never stop early."""
    monitor: str | None = None
    """A metric of the first output, by default its kind's first; the best epoch's weights are kept."""
    seed: int = Field(0, ge=0)
    """The seed of initial weights, order and augmentation."""
    clip: float | None = Field(None, gt=0)
    """The largest norm of the whole gradient."""
    l1: float = Field(0.0, ge=0)
    """L1 penalty on weights; with ``l2`` an elastic net."""
    l2: float = Field(0.0, ge=0)
    """L2 penalty on weights, added to the loss."""
    balance: Literal["none", "weights", "resample"] = "none"
    """Class imbalance of the first class output: weight its rows, or draw them, inversely to their class's share."""
    multitask: Literal["weighted", "uncertainty"] = "weighted"
    """Several outputs: the declared weights, or learnt uncertainties (Kendall et al., arXiv 1705.07115)."""
    mixup: float = Field(0.0, ge=0)
    """Mixup's alpha (arXiv 1710.09412), pictures only; 0 is off."""
    cutmix: float = Field(0.0, ge=0)
    """CutMix's alpha (arXiv 1905.04899), pictures only; 0 is off."""
    resize: Resize | None = None
    """Train on smaller pictures first; pictures only, and encoders that take any size."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """Where to train."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """``auto`` takes bf16 where it is measured to be faster and agrees with fp32."""
    layout: Literal["auto", "contiguous", "channels_last"] = "auto"
    """Memory layout of pictures and sounds; ``auto`` measures."""
    weight_gradients: Literal["auto", "direct", "products"] = "auto"
    """How a CPU computes weight gradients of convolutions of small maps in bf16: ``products`` of matrices are several times as fast
    where it has AMX; ``auto`` measures."""
    threads: int | None = Field(None, ge=1)
    """CPU threads, which the last bits of the weights depend on; by default as many as are measured to be fastest."""
    prefetch: int | None = Field(None, ge=0)
    """Batches that a background thread makes ahead; by default measured."""
    compile: Switch = "auto"
    """Whether the network is compiled (torch.compile); ``auto`` counts its warm-up against the work ahead."""
    gradient_checkpointing: bool = False
    """Whether activations are computed again in the backward pass instead of kept (arXiv 1604.06174): less memory, more time."""
    parallel: Literal["auto", "data", "sharded"] = "auto"
    """What several processes divide: ``data``: the rows of each batch; ``sharded``: the weights and the optimizer's state too
    (FSDP2), for models that no single device holds. ``auto`` is ``data``. One process does not ask."""
    checkpoint_every: Duration = 30.0
    """Time between two checkpoints within an epoch, which a stopped run goes on from; evaluations make one after a sixth of it."""
    loggers: list[Logger] = Field(default_factory=list)
    """Where figures go while training runs (``tensorboard``, ``mlflow``, ``csv``), beside the bundle's own log."""
    profile: int | None = Field(None, ge=1)
    """Steps to profile: a trace of them for a browser, and the costliest operations."""


class Recipe(Spec):
    """The whole declaration of a model.

    Raises:
        RecipeError: From :meth:`load` and :meth:`parse`, with all problems at once, each with its path.
    """

    format: int = Field(FORMAT, ge=1, le=FORMAT)
    """The recipe format."""
    data: Data = Data()
    """What is learnt from; a path alone is its source."""
    inputs: dict[str, Feature] = Field(default_factory=dict)
    """Input columns and their types; columns left out are inferred."""
    outputs: dict[str, Feature] = Field(default_factory=dict)
    """Output columns and their types."""
    tabular: Encoder | None = None
    """The encoder that single-valued columns (number, category, date, …) share; by default chosen by the data."""
    fusion: Fusion | None = None
    """How the vectors of several encoders become one."""
    training: Training = Training()
    """How it is learnt."""

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and isinstance(value.get("data"), str):
            return {**value, "data": {"source": value["data"]}}
        return value

    @classmethod
    def parse(cls, value: Mapping[str, Any], *, where: str = "recipe") -> Self:
        """Build a recipe from plain values.

        Raises:
            RecipeError: With every problem found, each with its path and the nearest known name.
        """
        try:
            recipe = cls.model_validate(value)
        except ValidationError as error:
            raise RecipeError.of(_problems(error, where, value)) from None
        if problems := list(_contradictions(recipe, where)):
            raise RecipeError.of(problems)
        return recipe

    @classmethod
    def load(cls, path: str | Path, overrides: Iterable[str] = ()) -> Self:
        """Read a YAML or JSON file, with ``KEY.PATH=VALUE`` overrides applied.

        Raises:
            RecipeError: The file is missing, is not YAML or JSON, or does not declare a valid recipe.
        """
        value = read_mapping(Path(path))
        return cls.parse(override(value, overrides), where=str(path))

    def dump(self, *, defaults: bool = True) -> dict[str, Any]:
        """Return the recipe as plain values; ``parse`` of them is equal to the recipe."""
        dumped = self.model_dump(mode="json", exclude_defaults=not defaults)
        return {"format": self.format, **dumped}

    def yaml(self, *, defaults: bool = False) -> str:
        """Return the recipe as YAML."""
        text: str = yaml.safe_dump(self.dump(defaults=defaults), sort_keys=False, allow_unicode=True, width=120)
        return text

    def save(self, path: str | Path, *, defaults: bool = False) -> None:
        """Write the recipe as YAML, or as JSON if the path ends in ``.json``."""
        target = Path(path)
        as_json = target.suffix == ".json"
        text = json.dumps(self.dump(defaults=defaults), indent=2, ensure_ascii=False) if as_json else self.yaml(defaults=defaults)
        target.write_text(text, encoding="utf-8")

    def replace(self, **sections: Any) -> Self:
        """Return a copy with fields replaced, validated; ``training={"epochs": 3}`` merges into the section."""
        merged = {
            key: getattr(self, key).model_copy(update=value)
            if isinstance(value, dict) and isinstance(getattr(self, key), Spec)
            else value
            for key, value in sections.items()
        }
        return type(self).model_validate({**{k: getattr(self, k) for k in type(self).model_fields}, **merged})

    @classmethod
    def full_schema(cls) -> dict[str, Any]:
        """Return the JSON schema of recipes, all parts included."""
        schema = json_schema(cls)
        properties = schema["properties"]
        properties["data"] = {"anyOf": [{"type": "string"}, properties["data"]]}
        return schema


def parse_part(family: type[P], value: Any, *, where: str) -> P:
    """Build one part from plain values, outside a recipe.

    Raises:
        RecipeError: With every problem found.
    """
    try:
        return TypeAdapter(family).validate_python(value)
    except ValidationError as error:
        raise RecipeError.of(_problems(error, where, value)) from None


def _path(loc: tuple[int | str, ...]) -> str:
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in loc)
    return text.lstrip(".")


def _problems(error: ValidationError, where: str, value: Any) -> Iterator[Problem]:
    """Turn pydantic's errors into problems with a recipe path and a hint."""
    for item in error.errors(include_url=False):
        kind, context = item["type"], item.get("ctx", {})
        loc = _keys_of(item["loc"], value)
        place = f"{where}: {_path(loc)}" if loc else where
        got = repr(item["input"])
        got = got if len(got) <= 80 else got[:77] + "..."
        if kind == "extra_forbidden":
            known = _part_keys(value, loc[:-1]) or _known_keys(loc[:-1])
            yield Problem(
                "E102",
                f"unknown key {loc[-1]!r}{nearest(loc[-1], known)}",
                place,
                expected="one of " + ", ".join(known) if known else "",
            )
        elif kind == "unknown_type":
            yield Problem("E104", item["msg"], place, expected=f"one of {context['known']}")
        elif kind == "unknown_source":
            yield Problem("E104", item["msg"], place, expected=context["known"], fix=context["fix"])
        elif kind == "missing_type":
            open_ = f"; of a type that the data decide only {context['own']}" if context["own"] else ""
            fix = "add the key type" if isinstance(item["input"], dict) else "write a type"
            yield Problem("E105", item["msg"], place, got, f"type: one of {context['known']}{open_}", fix=fix)
        elif kind == "missing":
            yield Problem("E105", f"the key {loc[-1]!r} is required", place)
        else:
            yield Problem("E103", item["msg"], place, got)


def _keys_of(loc: tuple[int | str, ...], value: Any) -> tuple[int | str, ...]:
    """Leave out of an error's location the steps that name a validator of pydantic instead of a key of ``value``."""
    steps: list[int | str] = []
    for step in loc:
        if not (isinstance(value, Mapping) and step in value) and str(step).startswith(("function-", "nullable")):
            continue
        steps.append(step)
        value = _at(value, step)
    return tuple(steps)


def _at(value: Any, step: int | str) -> Any:
    """Return what stands under one key or position of plain values, None where there is nothing."""
    if isinstance(value, list) and isinstance(step, int) and step < len(value):
        return value[step]
    return value.get(step) if isinstance(value, Mapping) else None


def _known_keys(loc: Iterable[int | str]) -> list[str]:
    """Return the keys that the mapping at ``loc`` of a recipe takes, where the path alone tells."""
    spec: Any = Recipe
    for step in loc:
        field = spec.model_fields.get(str(step)) if isinstance(spec, type) and issubclass(spec, Spec) else None
        if field is None:
            return []
        candidates = [field.annotation, *getattr(field.annotation, "__args__", ())]
        spec = next((c for c in candidates if isinstance(c, type) and issubclass(c, Spec)), None)
    return list(spec.model_fields) if isinstance(spec, type) and issubclass(spec, Spec) else []


def _part_keys(value: Any, loc: Iterable[int | str]) -> list[str]:
    """Return the keys of the part that stands at ``loc`` of the plain values, by its ``type``."""
    for step in loc:
        value = _at(value, step)
    value = Source.shorthand(value) if isinstance(value, dict) and "path" in value else value
    kind = value.get("type") if isinstance(value, Mapping) else None
    bases = [base for base in families().values() if kind in base.types()]
    return list(dict.fromkeys(name for base in bases for name in base.resolve(str(kind)).model_fields))


def _contradictions(recipe: Recipe, where: str) -> Iterator[Problem]:
    """Find what no field alone can see."""
    for name, feature in recipe.inputs.items():
        if feature.typed and not feature.can_input:
            yield Problem("E106", f"the type {feature.type_name()} cannot be an input", f"{where}: inputs.{name}")
        for key in ("head", "loss", "of"):
            if getattr(feature, key) is not None:
                yield Problem("E106", f"{key} belongs to an output, and {name} is an input", f"{where}: inputs.{name}.{key}")
    for name, feature in recipe.outputs.items():
        if feature.encoder is not None:
            yield Problem("E106", f"encoder belongs to an input, and {name} is an output", f"{where}: outputs.{name}.encoder")
        if feature.same_as is not None and not feature.can_input:
            yield Problem("E106", f"same_as belongs to an input, and {name} is an output", f"{where}: outputs.{name}.same_as")
        if feature.typed and not feature.can_output:
            yield Problem("E106", f"the type {feature.type_name()} cannot be an output", f"{where}: outputs.{name}")
        if name in recipe.inputs:
            yield Problem("E106", f"{name} is an input and an output", f"{where}: inputs.{name}", fix="remove it from one of them")
    if recipe.training.epochs is not None and recipe.training.steps is not None:
        yield Problem("E106", "epochs and steps are both given", f"{where}: training", fix="keep one of them")
    split = recipe.data.split
    times = split.column or recipe.data.time
    if (split.by in ("group", "column") and split.column is None) or (split.by == "time" and times is None):
        yield Problem(
            "E106",
            f"split by {split.by} needs the column",
            f"{where}: data.split",
            fix=f"data: {{split: {{by: {split.by}, column: NAME}}}}",
        )
    if split.by == "last" and (split.column is None or split.group is None):
        yield Problem(
            "E106",
            "split by last needs the group and the column of the time",
            f"{where}: data.split",
            fix="data: {split: {by: last, group: USER, column: TIME}}",
        )
    if split.by != "last" and split.group is not None:
        yield Problem(
            "E106",
            "group belongs to split by last",
            f"{where}: data.split.group",
            fix=f"data: {{split: {{column: {split.group}}}}}",
        )
    if split.by == "last" and (split.test or split.validation is not None or split.folds is not None or recipe.data.test):
        yield Problem(
            "E106",
            "split by last sets one row of each group aside to test and one to validate: neither fractions, folds nor a test file",
            f"{where}: data.split",
            fix="data: {split: {by: last, group: USER, column: TIME}}",
        )
    rule = recipe.data.negatives
    if rule is not None and (rule.output not in recipe.outputs or recipe.outputs[rule.output].type_name() != "binary"):
        yield Problem(
            "E106",
            f"negatives make the output {rule.output!r}, which is not declared as binary",
            f"{where}: data.negatives.output",
            fix=f"outputs: {{{rule.output}: binary}}",
        )
    yield from _of_time(recipe, where)
    if split.by == "file" and recipe.data.test is None:
        yield Problem("E106", "split by file needs the test file", f"{where}: data.split", fix="data: {test: FILE}")
    if split.folds is not None and split.fold >= split.folds:
        yield Problem("E106", f"fold {split.fold} does not exist", f"{where}: data.split.fold", expected=f"0 … {split.folds - 1}")


def _of_time(recipe: Recipe, where: str) -> Iterator[Problem]:
    """Find what contradicts itself about forecasts and time."""
    data, forecasts = recipe.data, [name for name, each in recipe.outputs.items() if each.type_name() == "forecast"]
    if forecasts and data.time is None:
        yield Problem("E105", "a forecast needs the column of the rows' time", f"{where}: data.time", fix="data: {time: COLUMN}")
    if data.time is not None and recipe.outputs and not forecasts:
        yield Problem(
            "E106",
            "time belongs to forecasts, and no output is one",
            f"{where}: data.time",
            got=", ".join(f"{name}: {feature.type_name()}" for name, feature in recipe.outputs.items()),
            fix=f"data: {{split: {{by: time, column: {data.time}}}}} to divide rows by time, or outputs: {{NAME: forecast}}",
        )
    if data.series is not None and data.time is None:
        yield Problem("E106", "series are told apart where rows have a time", f"{where}: data.series", fix="data: {time: COLUMN}")
    if data.split.spans is not None and (data.time is None or data.split.by not in ("auto", "time")):
        yield Problem(
            "E106",
            "stretches of time divide the rows of forecasts",
            f"{where}: data.split",
            fix="data: {time: COLUMN, split: {by: time, test: 4 months}}",
        )
