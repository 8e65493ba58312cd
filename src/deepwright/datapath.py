"""The data path: from a table to arrays, the same for training, prediction and serving (floor 5, free of torch).

Everything here that learns, learns from the training rows only; what it learnt is the bundle's ``states.json``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from deepwright.clean import CleanState, apply_values, fit_clean
from deepwright.decoding import likelihoods
from deepwright.derive import derive, needed_columns
from deepwright.encoding import UNKNOWN, Labels
from deepwright.errors import DataError, DeepwrightError, Problem, RecipeError, nearest
from deepwright.facts import COUNTED, SEQUENCES, Dtype, Facts, TargetFacts
from deepwright.families import Feature, State, Step, Writer
from deepwright.media import DTYPES, rooted
from deepwright.pictures import own_sizes
from deepwright.pixels import DTYPES as PICTURES
from deepwright.pixels import check_sizes, source_of
from deepwright.recipe import Recipe
from deepwright.spans import Places, is_spans
from deepwright.table import Note, Table, cast, tidy

Arrays = dict[str, NDArray[np.generic]]

TABULAR = "tabular"
"""The group of all single-valued columns, which share one encoder."""

LIKELIHOOD = "likelihood"
"""What :meth:`DataPath.decided` adds to an output that is a text, as ``OUTPUT.likelihood``, if its head tells it."""

AT_ONCE = 1 << 16
"""Places of sequences, padding included, that a network gets at once: what flows through it must fit in memory."""
PIXELS_AT_ONCE = 1 << 22
"""Pixels of pictures that a network gets at once: the first maps of most hold 16 to 64 numbers for each of them."""


@dataclass(frozen=True)
class DataPath:
    """What stands between a raw table and the network.

    Args:
        recipe: The resolved recipe: every input and output is declared.
        clean: What cleaning learnt.
        inputs: What each input learnt.
        outputs: What each output learnt.
    """

    recipe: Recipe
    clean: CleanState
    inputs: Mapping[str, State]
    outputs: Mapping[str, State]

    @classmethod
    def fit(cls, recipe: Recipe, table: Table) -> DataPath:
        """Learn from the training rows, which :func:`tidied` made tidy. Of outputs of pixels, their picture is written down.

        Raises:
            DataError: With the problems of every column at once.
            RecipeError: An output of pixels has no picture, or none that fits (E106, E108).
        """
        clean = fit_clean(table, recipe.data.clean, column_types({**recipe.inputs, **recipe.outputs}))
        ready = prepared(recipe, clean, table, outputs=True)
        problems: list[Problem] = []
        learnt: dict[str, State] = {}
        outputs = dict(recipe.outputs)
        for name, feature in {**recipe.inputs, **recipe.outputs}.items():
            if feature.same_as is not None:
                continue
            if name in outputs and (source := pictured(recipe).get(name)) in learnt:
                feature = feature.beside(recipe.inputs[source], learnt[source])
                outputs[name] = feature = feature.model_copy(update={"of": source})
            twins = [other for other, each in {**recipe.inputs, **recipe.outputs}.items() if each.same_as == name]
            try:
                learnt[name] = feature.learn(pl.concat([ready.frame[name], *(ready.frame[twin].alias(name) for twin in twins)]))
            except DeepwrightError as error:
                problems += error.problems
                continue
            learnt |= dict.fromkeys(twins, learnt[name])
        if problems:
            raise DataError.of(problems)
        recipe = recipe if outputs == recipe.outputs else recipe.replace(outputs=outputs)
        return cls(recipe, clean, {name: learnt[name] for name in recipe.inputs}, {name: learnt[name] for name in recipe.outputs})

    def prepare(self, table: Table, *, outputs: bool) -> Table:
        """Clean, derive and cast the columns that the model knows; others are left out, and rows are never dropped.

        Args:
            table: A tidy table. A missing input column is filled with missing values, and a note says so.
            outputs: Whether the output columns are needed.

        Raises:
            DataError: A value does not fit its column's type, or an output column is missing.
        """
        ready = prepared(self.recipe, self.clean, table, outputs=outputs, states=self.inputs)
        for name, feature in self.recipe.inputs.items():
            feature.check(ready.frame[name], self.inputs[name])
        return ready

    def groups(self) -> dict[str, list[str]]:
        """Return the inputs of each encoder by the group's name, in order."""
        found: dict[str, list[str]] = {}
        for name, feature in self.recipe.inputs.items():
            own = feature.encoder is not None or feature.usual_encoder  # one that is not chosen yet will be its own, too
            found.setdefault(name if own else TABULAR, []).append(name)
        return found

    def facts(self) -> dict[str, Facts]:
        """Return what each group's encoder may know."""
        recipe = self.recipe
        return {
            group: Facts.merge(group, (recipe.inputs[n].facts(n, self.inputs[n]) for n in names))
            if group == TABULAR
            else recipe.inputs[group].facts(group, self.inputs[group])
            for group, names in self.groups().items()
        }

    def target_facts(self) -> dict[str, TargetFacts]:
        """Return what each head may know."""
        return {name: feature.target_facts(name, self.outputs[name]) for name, feature in self.recipe.outputs.items()}

    def encode(self, table: Table) -> Arrays:
        """Encode prepared rows into the arrays of the wire, named ``group.array``.

        Raises:
            DataError: A picture or a sound cannot be decoded.
        """
        arrays: Arrays = {}
        for group, names in self.groups().items():
            parts = [self.recipe.inputs[n].encode(table.frame[n], self.inputs[n]) for n in names]
            arrays |= {f"{group}.{key}": array for key, array in (_merged(parts) if group == TABULAR else parts[0]).items()}
        if not self.recipe.inputs:
            begun = {name: feature.target(table.frame[name], self.outputs[name]) for name, feature in self.recipe.outputs.items()}
            arrays |= {f"{name}.prompt": np.maximum(ids, 0) for name, ids in begun.items()}
        return arrays

    def unseen(self, table: Table) -> list[Note]:
        """Tell how many values of each category of prepared rows training never saw; they are predicted from nonetheless."""
        counts = {
            name: int((state.positions(_each(table.frame[name])) == UNKNOWN).sum())
            for name, state in self.inputs.items()
            if isinstance(state, Labels)
        }
        return [
            Note("unseen", f"{name}: {count:,} values that training never saw, read as unknown", count, name)
            for name, count in counts.items()
            if count
        ]

    def targets(self, table: Table) -> Arrays:
        """Encode the outputs of prepared rows as :meth:`Feature.target` does."""
        return {name: feature.target(table.frame[name], self.outputs[name]) for name, feature in self.recipe.outputs.items()}

    def check_prompts(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Refuse texts to be continued that had to be cut, so that nothing of them would be lost in silence.

        Raises:
            DataError: E267, with the first ten rows.
        """
        for name, facts in self.target_facts().items():
            prompt = arrays.get(f"{name}.prompt")
            if prompt is None or facts.tokens is None or prompt.shape[1] < 2 * facts.tokens.length:
                continue
            long = np.flatnonzero(prompt[:, -1])
            if len(long):
                raise DataError(
                    "E267",
                    f"{len(long):,} texts are too long to be continued",
                    where="rows " + ", ".join(map(str, (long[:10] + 1).tolist())),
                    got=f"{prompt.shape[1]:,} tokens or more",
                    expected=f"fewer than {2 * facts.tokens.length:,}, twice the length of the training texts",
                    fix="give the end of these texts only",
                )

    def written(self, targets: Mapping[str, NDArray[Any]]) -> Arrays:
        """Return the arrays ``OUTPUT.written`` of texts that are known, whose likelihood is told."""
        outputs = self.recipe.outputs
        return {f"{name}.written": np.maximum(targets[name], 0) for name in outputs if isinstance(outputs[name].head, Writer)}

    def decided(
        self,
        outputs: Mapping[str, NDArray[Any]],
        arrays: Mapping[str, NDArray[Any]] | None = None,
        steps: Mapping[str, Step] | None = None,
        rows: NDArray[np.int64] | None = None,
    ) -> dict[str, NDArray[Any]]:
        """Return the values of each output for what left the graph: what is a search, is searched.

        Args:
            outputs: What left the graph.
            arrays: What went into it; needed where texts are written.
            steps: The graph that each text is written with; without it only their likelihood is told, if they are known.
            rows: The number of each row (B,).
        """
        found: dict[str, NDArray[Any]] = {}
        for name, feature in self.recipe.outputs.items():
            if isinstance(feature.head, Writer):
                step = None if steps is None else steps[name]
                found |= _texts(name, feature.head, outputs[name], arrays or {}, step, rows)
                continue
            extras = {key: outputs[f"{name}.{key}"] for key in feature.head.extras} if feature.head is not None else {}
            found[name] = outputs[name] if feature.head is None else feature.head.search(outputs[name], extras)
        return found

    def measured(
        self, outputs: Mapping[str, NDArray[Any]], targets: Mapping[str, NDArray[Any]], ready: pl.DataFrame
    ) -> dict[str, tuple[NDArray[Any], NDArray[Any]]]:
        """Return each output and its target as metrics want them: numbers in the column's own units, classes as they are."""
        found: dict[str, tuple[NDArray[Any], NDArray[Any]]] = {}
        for name, facts in self.target_facts().items():
            output, target = outputs[name], targets[name]
            feature, state = self.recipe.outputs[name], self.outputs[name]
            if facts.kind in COUNTED:
                if type(feature).judged is not Feature.judged:
                    texts = ready[text_of(self.recipe, name)]
                    output = feature.judged(output, ready[name], texts, self._places(texts))
                else:
                    output = feature.counts(output, target, state, outputs.get(f"{name}.{LIKELIHOOD}"))
                target = np.where(np.isnan(output).any(1), -1, 0)
                output = np.nan_to_num(output)
            if facts.kind == "number":
                values = target.astype(np.float64) * facts.scale + facts.center
                output, target = (feature.decode(name, part, state)[name].to_numpy() for part in (output, values))
            found[name] = (output, target)
        return found

    def measured_facts(self) -> dict[str, TargetFacts]:
        """Return the facts of the outputs with a number's centre in the column's own units, as its naive prediction."""
        found = {}
        for name, facts in self.target_facts().items():
            if facts.kind == "number":
                center = self.recipe.outputs[name].decode(name, np.array([facts.center], np.float32), self.outputs[name])[name][0]
                facts = dataclasses.replace(facts, center=float(center))
            found[name] = facts
        return found

    def decode(self, outputs: Mapping[str, NDArray[Any]], ready: pl.DataFrame) -> pl.DataFrame:
        """Turn what leaves the graph for prepared rows into prediction columns."""
        return pl.concat([self.decode_one(name, outputs[name], ready) for name in self.recipe.outputs], how="horizontal")

    def decode_one(self, name: str, output: NDArray[Any], ready: pl.DataFrame) -> pl.DataFrame:
        """Turn the values of one output for prepared rows into its columns; of pixels, at the size of the rows' own pictures."""
        feature, state = self.recipe.outputs[name], self.outputs[name]
        if (source := pictured(self.recipe).get(name)) is not None:
            return feature.decode_at(name, output, state, own_sizes(ready[source]))
        frame = feature.decode(name, output, state)
        if feature.in_text:
            texts = ready[text_of(self.recipe, name)]
            frame = feature.located(frame, name, texts, self._places(texts))
        return frame

    def _places(self, texts: pl.Series) -> Places:
        """Return where the tokens of an input's texts stand in them."""
        return self.recipe.inputs[texts.name].places(texts, self.inputs[texts.name])

    def dump(self) -> dict[str, Any]:
        """Return what was learnt as plain values."""
        return {
            "clean": self.clean.model_dump(mode="json"),
            "inputs": {name: state.model_dump(mode="json") for name, state in self.inputs.items()},
            "outputs": {name: state.model_dump(mode="json") for name, state in self.outputs.items()},
        }

    @classmethod
    def load(cls, recipe: Recipe, states: Mapping[str, Any]) -> DataPath:
        """Read what :meth:`dump` wrote."""

        def read(features: Mapping[str, Feature], values: Mapping[str, Any]) -> dict[str, State]:
            return {name: feature.state.model_validate(values[name]) for name, feature in features.items()}

        clean = CleanState.model_validate(states["clean"])
        return cls(recipe, clean, read(recipe.inputs, states["inputs"]), read(recipe.outputs, states["outputs"]))


def _texts(
    name: str,
    head: Writer,
    given: NDArray[Any],
    arrays: Mapping[str, NDArray[Any]],
    step: Step | None,
    rows: NDArray[np.int64] | None,
) -> dict[str, NDArray[Any]]:
    """Return the texts that are written (B, T), and the likelihood of those that are known (B, 2).

    Of a text that is known and was made of nothing that was read, only the likelihood is told.
    """
    if step is None:
        return {name: np.zeros((len(given), 0), np.int64), f"{name}.{LIKELIHOOD}": given}
    found: dict[str, NDArray[Any]] = {name: np.zeros((len(given), 0), np.int64)}
    written, prompt = arrays.get(f"{name}.written"), arrays.get(f"{name}.prompt")
    if written is not None:
        found[f"{name}.{LIKELIHOOD}"] = likelihoods(step, given, written)
    if written is None or prompt is None:
        found[name] = head.write(step, given, prompt, np.arange(len(given)) if rows is None else rows)
    return found


def pictured(recipe: Recipe) -> dict[str, str]:
    """Return the input of pictures that each output of pixels belongs to.

    Raises:
        RecipeError: There is none, or several (E108).
    """
    return {name: source_of(name, feature, recipe.inputs) for name, feature in recipe.outputs.items() if feature.dtype in PICTURES}


def _each(column: pl.Series) -> pl.Series:
    """Return the labels of a column, those of lists one after the other."""
    return column.filter(column.list.len() > 0).explode() if isinstance(column.dtype, pl.List) else column


def lengths(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Return how long the sequence of each row (B,) is, for every array of the wire that holds sequences (NumPy or torch)."""
    found = {}
    for key, array in arrays.items():
        kind = key.rpartition(".")[2]
        if kind in SEQUENCES:
            group = key.removesuffix(kind)
            found[key] = (
                arrays[f"{group}lengths"] if kind in ("series", "sound") else (_ids(arrays, group, array, kind) != 0).sum(1)
            )
    return found


def _ids(arrays: Mapping[str, Any], group: str, array: Any, kind: str) -> Any:
    """Return the ids (B, T) whose end is that of an array's sequences: letters end with their tokens, trees with their merges."""
    return arrays[f"{group}tokens"] if kind == "letters" else array[:, :, 0] if kind == "tree" else array


def trimmed(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Return a batch with its sequences cut to the longest one among its rows, without copying (NumPy or torch)."""
    cuts = {key: max(1, int(each.max())) for key, each in lengths(arrays).items() if len(each)}
    return {key: array[:, : cuts[key]] if key in cuts else array for key, array in arrays.items()}


def joined(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Return arrays below each other; sequences of different lengths are padded with -1."""
    longest = max((part.shape[1] for part in parts if part.ndim > 1), default=0)
    if any(part.ndim > 1 and part.shape[1] < longest for part in parts):
        beyond = [[(0, 0), (0, longest - part.shape[1])] + [(0, 0)] * (part.ndim - 2) for part in parts]
        parts = [np.pad(part, each, constant_values=-1) for part, each in zip(parts, beyond, strict=True)]
    return np.concatenate(parts)


def rows_at_once(arrays: Mapping[str, Any], most: int, *, dense: bool = False) -> int:
    """Return how many rows a network may get at once: ``most``, or fewer if they are long sequences or large pictures.

    Args:
        arrays: Encoded rows.
        most: The most.
        dense: Whether each pixel has a value of its own, so that several large maps are held at once.
    """
    # Of a sound's samples, some hundred are a frame, which becomes several maps.
    share = {"tokens": 1, "series": 1, "sound": 32, "window": 1, "written": 1, "prompt": 1}
    counts: list[int] = [
        array.shape[1] * (array.shape[2] if kind == "window" else 1) // share[kind]
        for key, array in arrays.items()
        if (kind := key.rpartition(".")[2]) in share
    ]
    sizes: list[int] = [array.shape[1] * array.shape[2] for key, array in arrays.items() if key.rpartition(".")[2] == "image"]
    return max(1, min(most, AT_ONCE // max([1, *counts]), PIXELS_AT_ONCE // (8 if dense else 1) // max([1, *sizes])))


def tidied(recipe: Recipe, table: Table) -> Table:
    """Strip blanks and read missing markers as the recipe declares; each is noted with its count.

    Texts whose characters are counted keep their blanks.
    """
    counted = set[str]()
    if any(feature.in_text for feature in recipe.outputs.values()):
        counted = {name for name, feature in recipe.inputs.items() if feature.dtype == "words"} or {*table.columns}
    if any(is_spans(dtype) for dtype in table.frame.schema.values()):
        counted |= {*table.columns}
    return tidy(table, strip=recipe.data.clean.strip, missing=recipe.data.clean.missing, whole=counted)


def text_of(recipe: Recipe, output: str) -> str:
    """Return the input in whose text an output lies.

    Raises:
        RecipeError: There is none, or several (E108).
    """
    texts = [name for name, feature in recipe.inputs.items() if feature.dtype == "words"]
    feature = recipe.outputs[output]
    chosen = [name for name in texts if feature.of in (None, name) and (feature.of or name != feature.asks)]
    if len(chosen) != 1:
        raise RecipeError(
            "E108",
            f"the output {output} lies in a text, and " + ("there are several" if chosen else "there is no such input"),
            where=f"outputs.{output}.of",
            got=", ".join(texts) or ", ".join(recipe.inputs) or "no input",
            expected="one input of the type text",
        )
    return chosen[0]


def missing_targets(table: Table, names: Iterable[str]) -> tuple[Table, NDArray[np.int64]]:
    """Drop the rows that lack every output, with a note, and return the indices that stay."""
    known = [name for name in names if name in table.columns]
    if not known:  # all of them are constructed later
        return table, np.arange(len(table))
    keep = table.frame.select(pl.any_horizontal(pl.col(name).is_not_null() for name in known)).to_series().to_numpy()
    rows = np.flatnonzero(keep)
    if len(rows) == len(table):
        return table, rows
    dropped = len(table) - len(rows)
    note = Note("missing_target", f"{dropped:,} rows without a value of {', '.join(known)} are left out", dropped)
    return table.with_frame(table.frame[rows], note), rows


def prepared(recipe: Recipe, clean: CleanState, table: Table, *, outputs: bool, states: Mapping[str, State] | None = None) -> Table:
    """Clean, derive and cast the columns that a recipe declares; see :meth:`DataPath.prepare`."""
    # Without inputs, texts are continued: what is there of them is where they begin.
    features = {**recipe.inputs, **(recipe.outputs if outputs or not recipe.inputs else {})}
    derived = recipe.data.derive
    wanted = [name for name in {*_read_columns(features), *needed_columns(derived)} if name not in derived]
    table = _with_columns(recipe, table, sorted(wanted), outputs=outputs)
    table = apply_values(table, recipe.data.clean, clean)
    table = derive(table, {name: text for name, text in derived.items() if outputs or name not in recipe.outputs})
    problems: list[Problem] = []
    notes: list[Note] = []
    columns: list[pl.Series] = []
    for name, feature in features.items():
        parts, dtype = [], _column_dtype(feature)
        for own in _read_columns({name: feature}):
            rule = recipe.data.clean.columns.get(own)
            try:
                column, note = cast(
                    feature.read(table.frame[own]),
                    dtype,
                    where=f"{table.name}: column {own}",
                    on_error=rule.on_error if rule else "raise",
                )
            except DeepwrightError as error:
                problems += error.problems
                continue
            parts.append(rooted(column, table.base) if dtype in (*DTYPES, *PICTURES) else column)
            notes += [note] if note and note not in notes else []
        columns += (
            parts if dtype == feature.dtype else [_beside(name, parts)] if feature.dtype == "numbers" else [_across(name, parts)]
        )
    if problems:
        raise DataError.of(dict.fromkeys(problems))
    ready = pl.DataFrame(columns)
    if outputs:
        remarks = [feature.remark(ready[name]) for name, feature in recipe.outputs.items() if name in ready.columns]
        notes += [note for note in remarks if note is not None]
        _check_tokens(recipe, ready, table.name)
        ready, more = _placed(recipe, ready, table.name, states or {})
        notes += more
        if any(feature.dtype in PICTURES for feature in recipe.outputs.values()):
            check_sizes(ready, pictured(recipe), table.name)
    return table.with_frame(ready, *notes)


def _placed(recipe: Recipe, frame: pl.DataFrame, name: str, states: Mapping[str, State]) -> tuple[pl.DataFrame, list[Note]]:
    """Turn outputs that are told by the characters of a text into those of its tokens.

    Raises:
        DataError: Some do not fit (E227, the first ten rows), unless ``on_error`` of their cleaning is ``missing``.
    """
    notes, problems = [], []
    for key, feature in recipe.outputs.items():
        if not feature.in_text:
            continue
        texts = frame[text_of(recipe, key)]
        places = recipe.inputs[texts.name].places(texts, states.get(texts.name))
        column, wrong = feature.placed(frame[key], texts, places, f"{name}: column {key}")
        rule = recipe.data.clean.columns.get(key)
        if wrong and rule is not None and rule.on_error == "missing":
            gone = np.isin(np.arange(len(frame)), list(wrong))
            column = pl.select(pl.when(~pl.Series(gone)).then(column)).to_series().alias(key)
            notes.append(Note("cast", f"{key}: {len(wrong):,} values do not fit their text and became missing", len(wrong), key))
        elif wrong:
            rows = sorted(wrong)
            shown = "; ".join(f"row {row + 1}: {wrong[row]}" for row in rows[:10])
            more = f"; … {len(rows) - 10:,} more rows" if len(rows) > 10 else ""
            fix = f"data: {{clean: {{{key}: {{on_error: missing}}}}}} leaves these rows out"
            if any("cuts a token" in each for each in wrong.values()):
                fix = f"inputs: {{{texts.name}: {{type: text, tokens: char}}}} where words are cut, or {fix}"
            text = f"{len(wrong):,} of {len(frame):,} values do not fit their text"
            problems.append(Problem("E227", text, f"{name}: column {key}", shown + more, fix=fix))
        frame = frame.with_columns(column)
    if problems:
        raise DataError.of(problems)
    return frame, notes


def column_types(features: Mapping[str, Feature]) -> dict[str, str]:
    """Return what each column of a table is cast to that features are made of."""
    return {own: _column_dtype(feature) for name, feature in features.items() for own in _read_columns({name: feature})}


def _column_dtype(feature: Feature) -> Dtype:
    """Return what the columns are cast to that a feature is made of."""
    return "number" if feature.dtype == "numbers" or bool(getattr(feature, "across", None)) else feature.dtype


def _read_columns(features: Mapping[str, Feature]) -> list[str]:
    """Return the columns of a table that features are made of."""
    found: dict[str, None] = {}
    for name, feature in features.items():
        chosen = getattr(feature, "channels", ()) if feature.dtype == "numbers" else getattr(feature, "across", ()) or (name,)
        found |= dict.fromkeys(() if isinstance(chosen, str) else chosen)
    return list(found)


def _beside(name: str, parts: Sequence[pl.Series]) -> pl.Series:
    """Return columns of numbers side by side, as Array(Float64)."""
    if not parts:
        return pl.Series(name, [], dtype=pl.Array(pl.Float64, 1))
    values = np.stack([part.cast(pl.Float64).fill_null(np.nan).to_numpy() for part in parts], 1)
    return pl.Series(name, values, dtype=pl.Array(pl.Float64, len(parts)))


def _across(name: str, parts: Sequence[pl.Series]) -> pl.Series:
    """Return columns of numbers as the places of a series each, List(Float64), which ends at the last known one."""
    if not parts:
        return pl.Series(name, [], dtype=pl.List(pl.Float64))
    values = np.stack([part.cast(pl.Float64).fill_null(np.nan).to_numpy() for part in parts], 1)
    ends = np.where(np.isnan(values), 0, np.arange(1, len(parts) + 1)).max(1, initial=0)
    lists = pl.Series(name, values, dtype=pl.Array(pl.Float64, len(parts))).arr.to_list()
    known = lists.list.eval(pl.element().fill_nan(None))
    return pl.select(pl.lit(known).list.head(pl.lit(pl.Series(ends)))).to_series().alias(name)


def _check_tokens(recipe: Recipe, frame: pl.DataFrame, name: str) -> None:
    """Refuse rows with another number of labels than of tokens, where both are given as lists.

    Raises:
        DataError: E226, with the first ten rows.
    """
    given = [key for key in recipe.inputs if frame[key].dtype == pl.List(pl.String) and recipe.inputs[key].dtype == "words"]
    for label, feature in recipe.outputs.items():
        split = [key for key, each in recipe.inputs.items() if getattr(each, "tokenizer", None) is not None and key not in given]
        if feature.dtype != "labels" or is_spans(frame.schema[label]):
            continue
        if feature.of in split or (feature.of is None and split):
            raise RecipeError(
                "E106",
                "a label for each token needs the tokens, since a tokenizer splits texts in its own way",
                where=f"inputs.{split[0]}",
                got="texts",
                expected="lists of words, as long as the lists of labels",
            )
        of = feature.of or (given[0] if len(given) == 1 else None)
        if of not in given or frame[label].dtype != pl.List(pl.String):
            continue
        wrong = (frame[label].list.len() != frame[of].list.len()).fill_null(False).arg_true()
        if len(wrong):
            shown = [f"row {row + 1}: {len(frame[of][row])} tokens, {len(frame[label][row])} labels" for row in wrong[:10]]
            raise DataError(
                "E226",
                f"{len(wrong):,} rows have another number of labels than of tokens",
                where=f"{name}: columns {of} and {label}",
                got="; ".join(shown),
                expected="one label for each token",
            )


def _with_columns(recipe: Recipe, table: Table, wanted: list[str], *, outputs: bool) -> Table:
    absent = [name for name in wanted if name not in table.columns]
    needed = _read_columns(recipe.outputs)
    # A column that is foretold from its own past cannot be missing either.
    past = _read_columns({name: feature for name, feature in recipe.inputs.items() if feature.dtype == "numbers"})
    lost = [name for name in absent if (outputs and name in needed) or name in past]
    if lost:
        raise DataError.of(
            Problem(
                "E107",
                f"the column {name!r} is missing{nearest(name, table.columns)}",
                where=table.name,
                got=", ".join(table.columns[:20]),
                expected="the output column" if name in needed else "the column that windows are made of",
            )
            for name in lost
        )
    notes = [] if outputs else _unused(recipe, table, wanted)
    fill = [name for name in absent if name not in recipe.outputs or not recipe.inputs]
    if not fill:
        return table.with_frame(table.frame, *notes)
    if recipe.inputs and len(fill) == len([n for n in wanted if n not in recipe.outputs]):
        raise DataError(
            "E107",
            "none of the model's input columns is there",
            where=table.name,
            got=", ".join(table.columns[:20]),
            expected=", ".join(fill[:20]),
            fix="check the header, the separator, and that this is the right file",
        )
    if any(note.what == "header" for note in table.notes):
        # Without names, a column is known by its place only; with one missing, every other might be the wrong one.
        raise DataError(
            "E107",
            "the file has no header, and not the columns that the model was trained on",
            where=table.name,
            got=f"{len(table.columns)} columns",
            expected=f"also {', '.join(fill[:20])}",
            fix="write a header line with the names of the training columns",
        )
    notes.append(Note("missing_column", f"missing columns are read as missing values: {', '.join(fill)}", len(fill)))
    return table.with_frame(table.frame.with_columns(pl.lit(None, pl.String).alias(name) for name in fill), *notes)


def _unused(recipe: Recipe, table: Table, wanted: Iterable[str]) -> list[Note]:
    """Tell of columns to predict from that the model does not know; those that training left out are no news."""
    data = recipe.data
    known = {*wanted, *recipe.inputs, *_read_columns(recipe.outputs), *data.drop, *data.derive, data.weight, data.split.column}
    known |= {data.time, data.series}
    extra = [name for name in table.columns if name not in known]
    text = f"columns that the model does not know are left out: {', '.join(extra[:20])}" + (", …" if len(extra) > 20 else "")
    return [Note("unused_column", text, len(extra))] if extra else []


def _merged(parts: Iterable[Mapping[str, NDArray[np.generic]]]) -> Arrays:
    collected: dict[str, list[NDArray[np.generic]]] = {}
    for arrays in parts:
        for key, array in arrays.items():
            collected.setdefault(key, []).append(array)
    return {key: np.ascontiguousarray(np.concatenate(arrays, axis=1)) for key, arrays in collected.items()}
