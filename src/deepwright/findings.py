"""What deserves attention in a table: each check returns findings, with the recipe line that mends it (floor 2)."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, Literal

import numpy as np
import polars as pl

from deepwright.clean import CleanState, apply_values
from deepwright.errors import Problem
from deepwright.parts import Spec
from deepwright.recipe import Clean, ColumnClean
from deepwright.selection import Codes, binned, value_codes
from deepwright.split import overlap
from deepwright.table import Table

Severity = Literal["info", "warn", "error"]

LEAK_AUC = 0.98
"""A column that alone reaches this area under the ROC curve, cross-fitted, is reported as leakage."""
LEAK_SKILL = 0.97
"""The same for the share of the majority rule's errors that a one-column rule avoids."""
LEAK_R2 = 0.98
"""The same for the explained variance of a number's ranks."""
SHORT_CLASS = 10
"""A class with fewer rows than this is short."""

_MARKERS = {
    "unknown",
    "missing",
    "n.a.",
    "#n/a",
    "not available",
    "nil",
    "undefined",
    "<na>",
    "(null)",
    "nan",
    "null",
    "none",
    "na",
}
_MARKER_NUMBERS = (-999.0, -9999.0, -99999.0)
_MANY_VALUES = 1000
FILES = ("image", "mask", "sound")
"""The types of columns whose cells are files."""
_PUNCTUATION = " .,;:!?'\"`"


class Finding(Spec):
    """One thing that deserves attention."""

    code: str
    """A stable key: ``missing``, ``missing_marker``, ``duplicates``, ``overlap``, ``constant``, ``identifier``,
    ``same_information``, ``leakage``, ``outliers``, ``class_shortage``, ``imbalance``, ``mixed_types``, ``date_as_text``,
    ``inconsistent_categories``, ``target_missing``, ``time``, ``unseen_labels``, ``unseen_values``, ``test_columns``; of files
    ``unreadable``, ``empty_files``, ``same_files``, ``not_opened``."""
    severity: Severity
    """``error``: training or evaluation would be wrong or impossible; ``warn``: look at it; ``info``: worth knowing."""
    columns: tuple[str, ...] = ()
    """The columns concerned."""
    text: str
    """What is the matter, in one line."""
    fix: str = ""
    """The recipe line to write, such as ``data: {clean: {duplicates: drop}}``; empty if there is none."""


def recipe_line(value: Mapping[str, Any]) -> str:
    """Return a mapping as one line of YAML, such as ``data: {clean: {income: {strip: "."}}}``."""
    return ", ".join(f"{_flow(key)}: {_flow(entry)}" for key, entry in value.items())


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + recipe_line(value) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if isinstance(value, str):
        plain = re.fullmatch(r"[A-Za-z_][\w-]*( [A-Za-z_][\w-]*)*", value, re.ASCII)
        words = {"yes", "no", "on", "off", "true", "false", "null"}
        return value if plain and value.lower() not in words else json.dumps(value, ensure_ascii=False)
    return "null" if value is None else json.dumps(value)


def percent(share: float) -> str:
    """Return a share in [0, 1] as people write it: ``0 %``, ``5.6 %``, ``92 %``, ``< 0.1 %``."""
    value = 100 * share
    if 0 < value < 0.1:
        return "< 0.1 %"
    return f"{value:.1f} %" if 0 < value < 10 and round(value, 1) % 1 else f"{value:.0f} %"


def missing_values(table: Table, missing: Mapping[str, int], target: str | None) -> Iterator[Finding]:
    """Find columns with missing values; those with more than half, and a target, deserve a look."""
    rows = max(len(table), 1)
    some = {name: count for name, count in missing.items() if count and name != target}
    if target is not None and (count := missing.get(target, 0)):
        severity: Severity = "error" if count == rows else "warn"
        text = f"{target} has no value in {_rows(count)} ({percent(count / rows)}); they are left out of training"
        yield Finding(code="target_missing", severity=severity, columns=(target,), text=text)
    for name, count in some.items():
        if count < rows and count > 0.95 * rows:
            text = f"{name} is missing in {percent(count / rows)} of the rows"
            yield Finding(code="missing", severity="warn", columns=(name,), text=text, fix=_drop(name))
    rest = {name: count for name, count in some.items() if count <= 0.95 * rows}
    if rest:
        worst = sorted(rest.items(), key=lambda item: -item[1])
        named = ", ".join(f"{name} {percent(count / rows)}" for name, count in worst[:5]) + (", …" if len(worst) > 5 else "")
        text = f"missing values in {len(rest)} {'column' if len(rest) == 1 else 'columns'}: {named}"
        severity = "warn" if worst[0][1] > 0.5 * rows else "info"
        yield Finding(code="missing", severity=severity, columns=tuple(rest), text=text)


def duplicate_rows(table: Table) -> Iterator[Finding]:
    """Find rows that repeat an earlier one in every column."""
    if table.frame.width == 0 or any(isinstance(dtype, pl.Binary | pl.Array | pl.Object) for dtype in table.frame.dtypes):
        return
    if count := len(table) - table.frame.n_unique():
        text = f"{count:,} duplicate {'row' if count == 1 else 'rows'}"
        yield Finding(code="duplicates", severity="warn", text=text, fix=recipe_line({"data": {"clean": {"duplicates": "drop"}}}))


def uninformative(types: Mapping[str, str], target: str | None) -> Iterator[Finding]:
    """Find columns that tell nothing of new rows: those inferred to be empty, constant or identifiers."""
    said = {"empty": "has no value at all", "constant": "holds one value only", "identifier": "identifies the rows"}
    for name, type_ in types.items():
        if type_ not in said:
            continue
        code = "identifier" if type_ == "identifier" else "constant"
        if name == target:
            yield Finding(code=code, severity="error", columns=(name,), text=f"the target {name} {said[type_]}")
        else:
            text = f"{name} {said[type_]}: it is not an input unless declared"
            yield Finding(code=code, severity="info", columns=(name,), text=text, fix=_drop(name))


def same_information(columns: Mapping[str, pl.Series], target: str | None) -> list[tuple[str, ...]]:
    """Return groups of columns that carry the same information: one value of one stands for one value of the other.

    Number columns that are proportional (correlation at least 0.9999) count too.

    Args:
        columns: The typed columns.
        target: Left out.
    """
    groups: dict[bytes, list[str]] = {}
    numbers: dict[str, np.ndarray[Any, np.dtype[np.float64]]] = {}
    for name, column in columns.items():
        if name == target or isinstance(column.dtype, pl.Binary | pl.Array):
            continue
        codes, counts = value_codes(column)
        if 2 <= len(counts) <= len(column) / 2:
            groups.setdefault(codes.tobytes(), []).append(name)
        if column.dtype.is_numeric() and len(counts) > 20:
            numbers[name] = column.fill_null(strategy="mean").to_numpy().astype(np.float64)
    found = [tuple(names) for names in groups.values() if len(names) > 1]
    known = {name for names in found for name in names[1:]}
    names = [name for name in numbers if name not in known]
    if len(names) > 1:
        with np.errstate(all="ignore"):
            matrix = np.abs(np.corrcoef(np.stack([numbers[name] for name in names])))
        pairs = np.argwhere(np.triu(np.nan_to_num(matrix), 1) >= 0.9999)
        found += [(names[i], names[j]) for i, j in pairs]
    return found


def leakage(columns: Mapping[str, pl.Series], types: Mapping[str, str], target: str, number: bool) -> Iterator[Finding]:
    """Find columns that alone predict the target, cross-fitted, so that identifiers do not count.

    The values are binned; the target's mean or classes in the bins of one half of the rows predict the other half.

    Args:
        columns: The typed columns.
        types: Their feature types.
        target: The target.
        number: Whether the target is a number, not a class.
    """
    known = columns[target].is_not_null()
    y = columns[target].filter(known)
    if len(y) < 40:
        return
    half = np.random.Generator(np.random.PCG64(0)).permutation(len(y)) % 2 == 0
    if number:
        truth = y.rank("average").to_numpy() / len(y)
    else:
        codes, _ = value_codes(y)
        truth = np.minimum(codes, 50).astype(np.float64)
    for name, column in columns.items():
        if name == target or types[name] not in ("number", "date", "category", "binary", "ordinal"):
            continue
        bins = binned(column.filter(known), types[name], bins=min(64, len(y) // 10))
        score, what = _number_skill(bins, truth, half) if number else _class_skill(bins, truth.astype(np.int64), half)
        if score:
            text = f"{name} alone predicts {target} ({what}): is it known before {target} is, or does it leak the answer?"
            yield Finding(code="leakage", severity="warn", columns=(name,), text=text, fix=_drop(name))


def _number_skill(
    bins: Codes, truth: np.ndarray[Any, np.dtype[np.float64]], half: np.ndarray[Any, np.dtype[np.bool_]]
) -> tuple[bool, str]:
    size = int(bins.max()) + 1
    counts = np.bincount(bins[half], minlength=size)
    mean = truth[half].mean()
    means = np.where(counts > 0, np.bincount(bins[half], truth[half], minlength=size) / np.maximum(counts, 1), mean)
    held = truth[~half]
    r2 = 1 - ((held - means[bins[~half]]) ** 2).sum() / max(((held - mean) ** 2).sum(), 1e-12)
    return bool(r2 >= LEAK_R2), f"it explains {percent(max(r2, 0.0))} of the order"


def _class_skill(bins: Codes, truth: Codes, half: np.ndarray[Any, np.dtype[np.bool_]]) -> tuple[bool, str]:
    size, classes = int(bins.max()) + 1, int(truth.max()) + 1
    fit, held = (
        np.bincount(bins[side] * classes + truth[side], minlength=size * classes).reshape(size, classes) for side in (half, ~half)
    )
    total = held.sum()
    base = held[:, fit.sum(axis=0).argmax()].sum() / max(total, 1)
    rows = fit.sum(axis=1, keepdims=True)
    shares = np.where(rows > 0, fit, fit.sum(axis=0)) / np.where(rows > 0, rows, max(fit.sum(), 1))
    right = held[np.arange(size), shares.argmax(axis=1)].sum() / max(total, 1)
    if classes == 2 and held.sum(axis=0).min() >= 10:
        auc = _auc(shares[:, 1], held)
        if auc >= LEAK_AUC:
            return True, f"ROC AUC {auc:.3f}"
    skill = (right - base) / (1 - base) if base < 1 else 0.0
    enough = total * (1 - base) >= 10
    return bool(enough and skill >= LEAK_SKILL), f"accuracy {percent(float(right))}"


def _auc(scores: np.ndarray[Any, np.dtype[np.float64]], held: Codes) -> float:
    """Return the area under the ROC curve of bins with ``scores`` (bins,) and counts ``held`` (bins, 2)."""
    _, place = np.unique(scores, return_inverse=True)
    negative, positive = (np.bincount(place, held[:, side]) for side in (0, 1))
    below = np.cumsum(negative) - negative
    return float((positive * (below + negative / 2)).sum() / (positive.sum() * negative.sum()))


def outliers(columns: Mapping[str, pl.Series], target: str | None) -> Iterator[Finding]:
    """Find number columns with few values (at most 1 %) beyond the quartiles ± 3 IQR, some beyond ± 10 IQR."""
    for name, column in columns.items():
        if not column.dtype.is_numeric() or name == target:
            continue
        known = column.drop_nulls()
        low, high = known.quantile(0.25, "linear"), known.quantile(0.75, "linear")
        if low is None or high is None or high <= low:
            continue
        distance = pl.select(pl.max_horizontal(low - known, known - high) / (high - low)).to_series()
        share = float((distance > 3).mean() or 0.0)  # type: ignore[arg-type]
        if 0 < share <= 0.01 and float(distance.max() or 0.0) > 10:  # type: ignore[arg-type]
            far = known.gather(distance.arg_max() or 0).item()
            text = f"{name}: {int((distance > 3).sum()):,} values lie far outside the others, the farthest is {far:,.10g}"
            yield Finding(code="outliers", severity="info", columns=(name,), text=text, fix=_clean(name, {"outliers": "clip"}))


def classes(column: pl.Series) -> Iterator[Finding]:
    """Find classes of the target with too few rows, and imbalance beyond 10 to 1."""
    name = column.name
    counts = column.drop_nulls().cast(pl.String).value_counts(sort=True).rows()
    short = [(label, count) for label, count in counts if count < SHORT_CLASS]
    if len(counts) < 2:
        return
    if short:
        named = ", ".join(f"{label[:40]!r} {_rows(count)}" for label, count in short[:5]) + (", …" if len(short) > 5 else "")
        text = f"{name}: {len(short)} {'class has' if len(short) == 1 else 'classes have'} fewer than {SHORT_CLASS} rows: {named}"
        yield Finding(code="class_shortage", severity="warn", columns=(name,), text=text)
    (most, many), (least, few) = counts[0], counts[-1]
    if many >= 10 * few:
        total = sum(count for _, count in counts)
        text = f"{name} is imbalanced: {most[:40]!r} {percent(many / total)}, {least[:40]!r} {percent(few / total)}"
        fix = recipe_line({"training": {"balance": "weights"}})
        yield Finding(code="imbalance", severity="info", columns=(name,), text=text, fix=fix)


def mixed_types(frame: pl.DataFrame, types: Mapping[str, str]) -> Iterator[Finding]:
    """Find text columns of which most values, not all, are numbers or dates."""
    for name, type_ in types.items():
        if frame.schema[name] != pl.String or type_ in ("number", "date", "image", "tags"):
            continue
        known = frame[name].drop_nulls()
        if not len(known):
            continue
        numbers = known.cast(pl.Float64, strict=False)
        if 0.8 * len(known) <= (count := len(known) - numbers.null_count()) < len(known):
            others = known.filter(numbers.is_null())
            text = f"{name} mixes types: {percent(count / len(known))} are numbers, {_rows(len(others))} hold {_quoted(others)}"
            fix = _clean(name, {"convert": "number", "on_error": "missing"})
            yield Finding(code="mixed_types", severity="warn", columns=(name,), text=text, fix=fix)
            continue
        dated = known.str.contains(r"^\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|^\d{1,2}[-/.]\d{1,2}[-/.]\d{2,4}\b")
        if float(dated.mean() or 0.0) >= 0.8:  # type: ignore[arg-type]
            text = f"{name} holds dates as text that are not all of one format, such as {_quoted(known)}"
            fix = _clean(name, {"convert": "date", "on_error": "missing"})
            yield Finding(code="date_as_text", severity="warn", columns=(name,), text=text, fix=fix)


def inconsistent_categories(frame: pl.DataFrame, types: Mapping[str, str]) -> Iterator[Finding]:
    """Find spellings of one category that differ in case, blanks, width or punctuation only, and texts that mean missing."""
    for name, type_ in types.items():
        if frame.schema[name] != pl.String or type_ not in ("category", "binary", "ordinal"):
            continue
        counts = dict(frame[name].drop_nulls().value_counts(sort=True).iter_rows())
        if len(counts) > _MANY_VALUES:
            continue
        groups: dict[str, list[str]] = {}
        for value in counts:
            groups.setdefault(_canonical(value), []).append(value)
        several = [values for values in groups.values() if len(values) > 1]
        if several:
            named = "; ".join(" = ".join(map(json.dumps, values[:4])) for values in several[:3])
            replace = {other: values[0] for values in several for other in values[1:]}
            rule: dict[str, Any] = {"replace": replace} if len(replace) <= 6 else {"normalize": True, "case": "lower"}
            text = (
                f"{name}: {len(several)} {'category is' if len(several) == 1 else 'categories are'} spelt in several ways: {named}"
            )
            yield Finding(code="inconsistent_categories", severity="warn", columns=(name,), text=text, fix=_clean(name, rule))
        marks = [value for value in counts if value.lower() in _MARKERS]
        if marks:
            total = sum(counts[value] for value in marks)
            text = f"{name}: {', '.join(map(json.dumps, marks))} in {_rows(total)} may mean a missing value"
            fix = _clean(name, {"replace": dict.fromkeys(marks)})
            yield Finding(code="missing_marker", severity="info", columns=(name,), text=text, fix=fix)


def marker_numbers(columns: Mapping[str, pl.Series]) -> Iterator[Finding]:
    """Find numbers such as -999 that usually mean a missing value: repeated, and far below all others."""
    for name, column in columns.items():
        if not column.dtype.is_numeric():
            continue
        for marker in _MARKER_NUMBERS:
            rows = int((column == marker).sum())
            others = column.filter(column != marker)
            if rows >= 2 and len(others) and float(others.min() or 0.0) > marker / 2:  # type: ignore[arg-type]
                text = f"{name}: {marker:g} in {_rows(rows)} may mean a missing value"
                fix = _clean(name, {"replace": {f"{marker:g}": None}})
                yield Finding(code="missing_marker", severity="warn", columns=(name,), text=text, fix=fix)


def against_test(table: Table, test: Table, types: Mapping[str, str], target: str | None) -> Iterator[Finding]:
    """Compare with the test table: its columns, rows that stand in both, labels and categories that training never saw."""
    lost = [name for name in table.columns if name not in test.columns]
    extra = [name for name in test.columns if name not in table.columns]
    if lost:
        severity: Severity = "error" if target in lost else "warn"
        text = f"{test.name} lacks {', '.join(lost)}"
        yield Finding(code="test_columns", severity=severity, columns=tuple(lost), text=text)
    if extra:
        text = f"{test.name} has further columns, which are ignored: {', '.join(extra)}"
        yield Finding(code="test_columns", severity="info", columns=tuple(extra), text=text)
    unseen = False
    for name, type_ in types.items():
        if name not in test.columns or type_ not in ("category", "binary", "ordinal"):
            continue
        if name == target and (problem := unseen_labels(table.frame[name], test.frame[name], name, test.name)):
            text = f"{problem.where}: {problem.message}: {problem.got}; {problem.expected}"
            fix, unseen = problem.fix.partition("   ")[2], True
            yield Finding(code="unseen_labels", severity="error", columns=(name,), text=text, fix=fix)
        elif name != target:
            yield from _unseen_values(table.frame[name], test.frame[name], test.name)
    if any(types[name] in FILES for name in table.columns):
        return  # such rows are the same if their files are, which their paths do not tell
    # labels of another spelling would hide the rows that are the same
    shared = overlap(table, test, ignore=[target] if unseen and target else ())
    if shared.exact or shared.near:
        parts = [f"{count:,} {how}" for count, how in ((shared.exact, "exactly"), (shared.near, "nearly")) if count]
        i, j = shared.examples[0]
        text = f"{' and '.join(parts)} of {len(test):,} test rows are among the training rows (test row {j + 1} = row {i + 1})"
        yield Finding(code="overlap", severity="warn", text=text)


def _unseen_values(train: pl.Series, test: pl.Series, where: str) -> Iterator[Finding]:
    known, values = train.cast(pl.String).unique(), test.cast(pl.String).drop_nulls()
    unseen = values.filter(~values.is_in(known.to_list()))
    if len(unseen) > 0.05 * max(len(values), 1):
        text = (
            f"{where}: {percent(len(unseen) / len(values))} of {train.name} hold values that training never saw: {_quoted(unseen)}"
        )
        rule = _mend(unseen.unique().to_list(), known.drop_nulls().to_list())
        fix = _clean(train.name, rule) if rule else ""
        yield Finding(code="unseen_values", severity="warn", columns=(train.name,), text=text, fix=fix)


def unseen_labels(train_values: pl.Series, test_values: pl.Series, column: str, where: str) -> Problem | None:
    """Return the problem (E214) that the test rows hold labels that training never saw, or nothing.

    Args:
        train_values: The labels of the training rows.
        test_values: The labels of the test rows.
        column: What messages call the column.
        where: What messages call the test rows, usually the file.

    Returns:
        A problem with up to ten unseen labels and their rows, the nearest known labels, and the recipe line that makes the labels
        known, if stripping, case, normalising or replacing does.
    """
    known = train_values.drop_nulls().cast(pl.String).unique().sort().to_list()
    values = test_values.drop_nulls().cast(pl.String)
    counts = values.filter(~values.is_in(known)).value_counts(sort=True).rows()
    if not counts:
        return None
    counts.sort(key=lambda item: (-item[1], item[0]))
    unseen = [label for label, _ in counts]
    got = ", ".join(f"{json.dumps(label, ensure_ascii=False)} ({_rows(count)})" for label, count in counts[:10])
    near = [match for label in unseen[:10] for match in get_close_matches(label, known, 1, 0.5)]
    rule = _mend(unseen, known)
    fix = f"if they mean the same, add to the recipe   {_clean(column, rule)}" if rule else ""
    return Problem(
        "E214",
        f"column {column} holds {len(unseen)} {'value' if len(unseen) == 1 else 'values'} that training never saw",
        where,
        got + (", …" if len(counts) > 10 else ""),
        f"nearest known values: {', '.join(json.dumps(label, ensure_ascii=False) for label in dict.fromkeys(near))}"
        if near
        else f"known values: {', '.join(json.dumps(label, ensure_ascii=False) for label in known[:10])}",
        fix,
    )


def _mend(unseen: Sequence[str], known: Sequence[str]) -> dict[str, Any]:
    """Return the cleaning rule that makes every unseen label known without merging known ones, or nothing."""
    marks = {mark for label in unseen for mark in (label[:1], label[-1:]) if mark in _PUNCTUATION}
    strip = "".join(sorted(marks - {" "}))
    options: list[dict[str, Any]] = [{"strip": strip}] if strip else []
    options += [{"normalize": True}, {"case": "lower"}, {"normalize": True, "case": "lower"}]
    options += [{"strip": strip, "case": "lower"}, {"strip": strip, "normalize": True, "case": "lower"}] if strip else []
    for option in options:
        if set(_ruled(unseen, option)) <= (after := set(_ruled(known, option))) and len(after) == len(known):
            return option
    pairs = {label: match for label in unseen for match in get_close_matches(label, known, 1, 0.8)}
    return {"replace": pairs} if len(pairs) == len(unseen) <= 10 else {}


def _ruled(values: Iterable[str], option: Mapping[str, Any]) -> list[str | None]:
    """Apply a cleaning rule by the code that cleans, so that the advice does what it says."""
    table = Table(pl.DataFrame({"value": list(values)}, schema={"value": pl.String}))
    cleaned = apply_values(table, Clean(columns={"value": ColumnClean(**option)}), CleanState())
    return cleaned.frame["value"].to_list()


def _canonical(value: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", value).strip(_PUNCTUATION).casefold().split()) or value


def _quoted(values: pl.Series) -> str:
    return ", ".join(json.dumps(value, ensure_ascii=False) for value in values.unique(maintain_order=True).head(3))


def _rows(count: int) -> str:
    return f"{count:,} {'row' if count == 1 else 'rows'}"


def _drop(name: str) -> str:
    return recipe_line({"data": {"drop": [name]}})


def _clean(name: str, rule: Mapping[str, Any]) -> str:
    # a column named like a key of `clean` must go under `columns`
    inner = {"columns": {name: rule}} if name in Clean.model_fields else {name: rule}
    return recipe_line({"data": {"clean": inner}})
