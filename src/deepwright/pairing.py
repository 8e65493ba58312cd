"""Every user paired with every item: reading both, scoring the pairs, and ranking the items of each user (floor 5)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from deepwright.bundle import Bundle
from deepwright.datapath import DataPath, tidied
from deepwright.derive import needed_columns
from deepwright.errors import DataError, UsageError, nearest
from deepwright.families import Source
from deepwright.opening import Engine, open_predictor, read_rows
from deepwright.progress import Event, Listener
from deepwright.runtime import Outputs, Predictor
from deepwright.table import Table, cast

Rows = Source | Table | str
Indices = NDArray[np.int64]

AT_ONCE = 1 << 16
"""Pairs of a user and an item that are encoded and scored at once."""


@dataclass(frozen=True)
class Ranked:
    """The best items of each user, best first.

    Args:
        items: Rows of the items (U, K), -1 where there are no more.
        scores: Their scores (U, K), as they leave the graph.
    """

    items: Indices
    scores: NDArray[np.float64]


@dataclass(frozen=True)
class Pairing:
    """Tidy users and items, one row each, and what is needed to score their pairs.

    Args:
        predictor: The bundle's predictor.
        users: U rows.
        items: I rows.
        user: The column that tells users apart.
        item: The column that tells items apart.
        seen: Rows of ``users`` and of ``items`` that belong together, (pairs, 2), sorted by user.
        top: K.
        listener: Hears of progress.
    """

    predictor: Predictor
    users: Table
    items: Table
    user: str
    item: str
    seen: Indices
    top: int
    listener: Listener

    @classmethod
    def open(
        cls,
        bundle: Path,
        users: Rows,
        items: Rows,
        seen: Rows | None,
        user: str | None,
        item: str | None,
        top: int,
        engine: Engine,
        listener: Listener,
    ) -> Pairing:
        """Read and check users, items and seen pairs; see :func:`deepwright.steps.recommend.recommend` for arguments and errors."""
        if top < 1:
            raise UsageError("E701", "no items are asked for", where="top", got=top, expected="a positive number", fix="--top 10")
        opened = Bundle.open(bundle)
        predictor = open_predictor(opened, engine)
        scores_of(predictor.data)  # refuses an output that ranks nothing before anything is read
        own, others = (_read(predictor.data, rows, listener) for rows in (users, items))
        user = _key(predictor.data, own, user, "user", ())
        item = _key(predictor.data, others, item, "item", (user,))
        own, others = _sides(predictor.data, _once(own, user, listener), _once(others, item, listener), user, item)
        for table in (own, others):
            _check(predictor.data, table, listener)
        job = cls(predictor, own, others, user, item, np.zeros((0, 2), np.int64), top, listener)
        _tell_missing(predictor.data, job)
        if seen is None:
            listener(Event("note", "nothing is left out: no seen pairs are given", values={"what": "seen", "count": 0}))
            return job
        pairs = job.pairs(seen, "seen")
        pairs = pairs[pairs[:, 1] >= 0]
        return cls(predictor, own, others, user, item, pairs[np.argsort(pairs[:, 0], kind="stable")], top, listener)

    def pairs(self, rows: Rows, what: str) -> Indices:
        """Return the rows of users and of items (-1: none) of given pairs, each once; those of other users are left out."""
        table = _read(self.predictor.data, rows, self.listener)
        places = {}
        for name, side in ((self.user, self.users), (self.item, self.items)):
            if name not in table.columns:
                raise DataError(
                    "E275",
                    f"the {what} pairs have no column {name!r}{nearest(name, table.columns)}",
                    where=table.name,
                    got=", ".join(table.columns[:20]),
                )
            known = pl.DataFrame({"key": _text(side, name), "place": np.arange(len(side))})
            asked = pl.DataFrame({"key": _text(table, name)})
            places[name] = asked.join(known, on="key", how="left", maintain_order="left")["place"].fill_null(-1).to_numpy()
        lost = table.frame.select(pl.any_horizontal(pl.col(self.user, self.item).is_null())).to_series().to_numpy()
        if count := int(lost.sum()):
            text = f"{table.name}: {count:,} {what} pairs lack a user or an item, and do not count"
            self.listener(Event("note", text, values={"what": what, "count": count}))
        pairs = np.stack([places[self.user], places[self.item]], 1).astype(np.int64)
        keep = (pairs[:, 0] >= 0) & ~lost
        # Pairs with an item that is not on offer stay one each: they are missed, every one of them.
        frame = pl.DataFrame({"u": pairs[keep, 0], "i": pairs[keep, 1], "name": _text(table, self.item).filter(pl.Series(keep))})
        return frame.unique(maintain_order=True).select("u", "i").to_numpy()

    def ranked(self) -> Ranked:
        """Return the best items of each user."""
        score = scores_of(self.predictor.data)
        parts = []
        for first, chunk in self._chunks():
            scores = score(chunk).reshape(-1, len(self.items))
            parts.append(self._best(scores, first))
            done = first + len(scores)
            self.listener(Event("recommend", f"{done:,} of {len(self.users):,} users", done / len(self.users)))
        return _joined(parts)

    def popular(self) -> Ranked:
        """Return the same of the items that most seen pairs hold."""
        counts = np.bincount(self.seen[:, 1], minlength=len(self.items)).astype(np.float64)
        step = max(1, AT_ONCE // len(self.items))
        starts = range(0, len(self.users), step)
        return _joined([self._best(np.tile(counts, (min(step, len(self.users) - s), 1)), s) for s in starts])

    def frame(self, ranked: Ranked) -> pl.DataFrame:
        """Return a row for each recommendation; scores of numbers are in the output's own units."""
        rows, ranks = np.nonzero(ranked.items >= 0)
        data, scores = self.predictor.data, ranked.scores[rows, ranks]
        name, feature = next(iter(data.recipe.outputs.items()))
        if data.target_facts()[name].kind == "number":
            scores = feature.decode(name, scores.astype(np.float32), data.outputs[name])[name].to_numpy()
        return pl.DataFrame(
            [
                self.users.frame[self.user][rows],
                pl.Series("rank", ranks + 1, pl.Int32),
                self.items.frame[self.item][ranked.items[rows, ranks]],
                pl.Series("score", scores, pl.Float64),
            ]
        )

    def _chunks(self) -> Iterator[tuple[int, Outputs]]:
        """Yield the first user of each chunk, and the outputs of its users' pairs with all items."""
        step = max(1, AT_ONCE // len(self.items))
        for first in range(0, len(self.users), step):
            pairs = self.users.frame.slice(first, step).join(self.items.frame, how="cross", maintain_order="left_right")
            ready = self.predictor.data.prepare(Table(pairs, base=self.items.base), outputs=False)
            yield first, self.predictor.outputs(ready)

    def _best(self, scores: NDArray[np.float64], first: int) -> Ranked:
        """Return the best items of some users (rows, K); of equal scores the first item is the best, and seen ones are none."""
        low, high = np.searchsorted(self.seen[:, 0], (first, first + len(scores)))
        scores[self.seen[low:high, 0] - first, self.seen[low:high, 1]] = -np.inf
        best = np.argsort(-scores, axis=1, kind="stable")[:, : self.top]
        values = np.take_along_axis(scores, best, 1)
        return Ranked(np.where(np.isfinite(values), best, -1), values)


def _joined(parts: Sequence[Ranked]) -> Ranked:
    return Ranked(np.concatenate([part.items for part in parts]), np.concatenate([part.scores for part in parts]))


def scores_of(data: DataPath) -> Callable[[Outputs], NDArray[np.float64]]:
    """Return what makes one score a row, higher is better, of the outputs of the graph."""
    name, facts = next(iter(data.target_facts().items()))
    if facts.kind == "number":
        return lambda outputs: outputs[name].astype(np.float64)
    if facts.kind == "binary":
        return lambda outputs: outputs[name][:, 1].astype(np.float64)
    if facts.kind == "match":
        return lambda outputs: np.einsum("bd,bd->b", outputs[name][:, 0], outputs[name][:, 1]).astype(np.float64)
    if facts.kind == "ordinal":
        return lambda outputs: outputs[name].astype(np.float64) @ np.arange(len(facts.classes))
    raise UsageError(
        "E705",
        f"a {facts.kind} output ranks nothing",
        where=f"output {name}",
        expected="a first output that is a number, binary, ordinal or a match",
        fix="train with the rating, or whether there was one, as the output",
    )


def _read(data: DataPath, rows: Rows, listener: Listener) -> Table:
    """Return tidy rows; what reading them did or assumed is told."""
    table = tidied(data.recipe, read_rows(rows, data.recipe))
    for note in table.notes:
        listener(Event("note", f"{table.name}: {note.text}", values={"what": note.what, "count": note.count}))
    return Table(table.frame, table.name, base=table.base)


def _key(data: DataPath, table: Table, name: str | None, what: str, taken: tuple[str, ...]) -> str:
    """Return the column that tells users, or items, apart."""
    if name is not None and name in table.columns:
        return name
    if name is not None:
        raise DataError(
            "E275",
            f"there is no column {name!r}{nearest(name, table.columns)}",
            where=table.name,
            got=", ".join(table.columns[:20]),
            fix=f"--{what} COLUMN",
        )
    categories = [column for column, feature in data.recipe.inputs.items() if feature.type_name() == "category"]
    found = next((column for column in table.columns if column in categories and column not in taken), None)
    if found is None:
        raise DataError(
            "E275",
            f"no column tells the {what}s apart",
            where=table.name,
            got=", ".join(table.columns[:20]),
            expected="a column that is a category of the model: " + (", ".join(categories) or "it has none"),
            fix=f"--{what} COLUMN",
        )
    return found


def _once(table: Table, key: str, listener: Listener) -> Table:
    """Return a row for each value of the key, the first; rows without one are left out."""
    known = table.frame.filter(pl.col(key).is_not_null())
    kept = known.filter(_text(table.with_frame(known), key).is_first_distinct())
    for count, text in (
        (len(table) - len(known), f"rows without {key} are left out"),
        (len(known) - len(kept), f"rows repeat a value of {key}; the first row of each counts"),
    ):
        if count:
            listener(Event("note", f"{table.name}: {count:,} {text}", values={"what": "key", "count": count}))
    if not len(kept):
        raise DataError("E275", f"no row has a value of {key}", where=table.name, got=f"{len(table):,} rows")
    return table.with_frame(kept)


def _sides(data: DataPath, users: Table, items: Table, user: str, item: str) -> tuple[Table, Table]:
    """Leave both tables the columns that are needed, each in one of them.

    Raises:
        DataError: A column of the model is in both (E275).
    """
    inputs, derived = data.recipe.inputs, data.recipe.data.derive
    needed = {name for name in (*inputs, *needed_columns(derived)) if name not in derived and name not in data.recipe.outputs}
    mine = [name for name in users.columns if name == user or (name in needed and name != item)]
    theirs = [name for name in items.columns if name == item or (name in needed and name != user)]
    if both := [name for name in mine if name in theirs]:
        raise DataError(
            "E275",
            f"columns of the model are in both tables: {', '.join(both)}",
            where=f"{users.name}, {items.name}",
            expected="each column of the model with the users or with the items",
            fix="leave them out of one of the files",
        )
    return users.with_frame(users.frame.select(mine)), items.with_frame(items.frame.select(theirs))


def _check(data: DataPath, table: Table, listener: Listener) -> None:
    """Refuse values that do not fit the model, each told by its place in its own file, and tell how many are unseen."""
    if not any(name in data.recipe.inputs for name in table.columns):
        return
    for note in data.unseen(data.prepare(table, outputs=False)):
        listener(Event("note", note.text, values={"what": note.what, "count": note.count}))


def _tell_missing(data: DataPath, job: Pairing) -> None:
    both = pl.concat([job.users.frame.head(1), job.items.frame.head(1)], how="horizontal")
    for note in data.prepare(Table(both), outputs=False).notes:
        job.listener(Event("note", note.text, values={"what": note.what, "count": note.count}))


def _text(table: Table, name: str) -> pl.Series:
    """Return identifiers as texts, so that numbers and their numerals are the same."""
    return cast(table.frame[name], "text", where=f"{table.name}: column {name}")[0]


def codes_of(pairs: Indices, items: int) -> Indices:
    """Return one number for each pair (…, 2)."""
    codes: Indices = pairs[..., 0] * (items + 1) + pairs[..., 1] + 1
    return codes
