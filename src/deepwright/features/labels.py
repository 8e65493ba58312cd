"""Labels of tokens."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from deepwright.encoding import Labels as Known
from deepwright.encoding import label_counts, no_values
from deepwright.facts import Dtype, TargetFacts
from deepwright.families import Feature, State
from deepwright.spans import Places
from deepwright.table import Note
from deepwright.tagging import as_iob2, counts, is_iob2, labelled, marked, scheme

_SOME = pl.element().filter(pl.element() != "")


class LabelsState(Known):
    """What a column of labels taught: ``values`` are the labels in natural order, ``counts`` the tokens that have each."""


class Labels(Feature):
    """One label for each token of a text, an output: named entities (``B-PER I-PER O``), parts of speech; or spans of a text.

    The column holds lists of labels as long as the lists of tokens of the input; texts of labels are split at blanks. Labels in
    IOB2, IOB1, IOBES, BILOU, BMES or BMEWO mean spans, which F1 counts strictly: a span is right if its type and both of its ends
    are. They are read as IOB2, and predicted so. Or it holds spans of characters, ``[start, end, type]`` with the end behind the
    last one, that do not overlap; predictions then are such spans.
    """

    dtype: ClassVar[Dtype] = "labels"
    state: ClassVar[type[State]] = LabelsState

    form: Literal["tokens", "characters"] | None = None
    """Whether the labels are those of ``tokens``, or spans of ``characters``; by default what the training rows hold."""

    @property
    def in_text(self) -> bool:
        """Whether labels are spans of characters."""
        return self.form == "characters"

    def remark(self, column: pl.Series) -> Note | None:
        """Return how many labels of spans are not in IOB2, if any are."""
        if column.dtype not in (pl.String, pl.List(pl.String)):
            return None
        lists = _lists(column)
        flat = lists.explode().drop_nulls()
        kind = scheme(flat.unique().to_list())
        if kind == "plain":
            return None
        changed = int((as_iob2(lists).explode().drop_nulls() != flat).sum())
        how = "spans that begin with I-" if kind == "IOB" else f"labels of {kind}"
        text = f"{column.name}: {changed:,} of {len(flat):,} labels become those of IOB2, from {how}"
        return Note("labels", text, changed, column.name) if changed else None

    def placed(self, column: pl.Series, texts: pl.Series, places: Places, where: str) -> tuple[pl.Series, dict[int, str]]:
        """Return the labels of the tokens of texts that spans of characters mean, and what is wrong with which rows."""
        del where
        return labelled(column, texts, places) if isinstance(column.dtype.inner, pl.Struct) else (column, {})  # type: ignore[attr-defined]

    def located(self, frame: pl.DataFrame, name: str, texts: pl.Series, places: Places) -> pl.DataFrame:
        """Return the spans that labels mean, in characters, with the text of each."""
        return frame.with_columns(marked(frame[name], texts, places))

    def fit(self, column: pl.Series) -> LabelsState:
        """Learn the labels.

        Raises:
            DataError: There is no label (E260).
        """
        lists = _lists(column).drop_nulls()
        flat = lists.explode().drop_nulls().alias(column.name)
        if flat.is_empty():
            raise no_values(column, "label")
        if scheme(flat.unique().to_list()) != "plain":
            flat = as_iob2(lists).explode().drop_nulls().alias(column.name)
        found = label_counts(flat)
        return LabelsState(values=tuple(found), counts=tuple(found.values()))

    def actual(self, column: pl.Series, state: LabelsState) -> pl.Series:
        """Return labels of spans in IOB2, as :meth:`decode` does, whatever they are written in."""
        return as_iob2(_lists(column)) if is_iob2(state.values) else _lists(column)

    def target(self, column: pl.Series, state: LabelsState) -> NDArray[np.int32]:
        """Return (B, T) the index of each token's label, -1 behind the end, and where it is missing or unseen."""
        lists = self.actual(column, state)
        sizes = lists.list.len().fill_null(0).to_numpy().astype(np.int64)
        target = np.full((len(column), max(1, int(sizes.max(initial=0)))), -1, np.int32)
        flat = lists.filter(pl.Series(sizes > 0)).explode()
        target[np.arange(target.shape[1]) < sizes[:, None]] = state.targets(flat)
        return target

    def target_facts(self, name: str, state: LabelsState) -> TargetFacts:
        """Return the labels."""
        return TargetFacts(name, "labels", state.values, state.counts)

    def counts(
        self, outputs: NDArray[Any], target: NDArray[Any], state: LabelsState, likelihood: NDArray[Any] | None = None
    ) -> NDArray[np.float64]:
        """Return the counts of :func:`deepwright.tagging.counts`."""
        del likelihood
        return counts(outputs, target, state.values)

    def decode(self, name: str, outputs: NDArray[Any], state: LabelsState) -> pl.DataFrame:
        """Return the label of each token as List(String).

        Args:
            name: The output's name.
            outputs: (B, T) the index of each token's label, -1 behind the end.
            state: The learnt state.
        """
        there = outputs >= 0
        labels = pl.Series(state.values, dtype=pl.String).gather(outputs[there].astype(np.int64))
        rows = pl.Series("row", np.repeat(np.arange(len(outputs)), there.sum(1)), dtype=pl.Int64)
        grouped = pl.DataFrame({"row": rows, name: labels}).group_by("row", maintain_order=True).agg(pl.col(name))
        every = pl.DataFrame({"row": pl.Series(np.arange(len(outputs)), dtype=pl.Int64)})
        joined = every.join(grouped, on="row", how="left", maintain_order="left")
        return joined.select(pl.col(name).fill_null(pl.lit([], pl.List(pl.String))))

    @classmethod
    def columns(cls) -> dict[str, list[Any]]:
        """Return lists of labels, empty and missing ones."""
        return {
            "spans": [["B-PER", "I-PER", "O"], ["O"], None, [], ["B-LOC"]],
            "plain": [["NOUN", "VERB"], ["NOUN"]],
        }


def _lists(column: pl.Series) -> pl.Series:
    """Return labels as List(String)."""
    if column.dtype == pl.String:
        return (
            column.str.strip_chars().str.replace_all(r"\s+", " ").str.split(" ").list.eval(pl.element().filter(pl.element() != ""))
        )
    return column
