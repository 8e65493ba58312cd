"""How a profile and the figures of an evaluation look in a terminal: plain text, aligned, nothing but Unicode."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from deepwright.console import printable
from deepwright.reporting.text import number, percent

if TYPE_CHECKING:
    from deepwright.profiling import ColumnProfile, Profile

MOST_COLUMNS = 60
"""How many columns a listing shows; ``--json`` and ``--report`` have all of them."""
WIDEST = 48
"""The most characters of one cell."""
BARS = 7
"""The bars of a small histogram."""


def render_profile(profile: Profile, *, advice: str = "") -> str:
    """Return the listing of a profile: a line a column, then the findings with the lines that mend them."""
    sampled = f"  (statistics of {profile.sampled:,} rows)" if profile.sampled is not None else ""
    test = f", {profile.test_rows:,} test rows" if profile.test_rows is not None else ""
    lines = [f"{profile.name}  {profile.rows:,} rows × {len(profile.columns)} columns{test}{sampled}"]
    lines += [*(f"  · {printable(note)}" for note in profile.notes), ""]
    rows = [
        (
            "target" if column.name == profile.target else "",
            column.name,
            column.type,
            percent(column.missing_share),
            values_of(column),
            "; ".join(column.notes),
        )
        for column in profile.columns[:MOST_COLUMNS]
    ]
    lines += grid([("", "column", "type", "missing", "values", "note"), *rows])
    if len(profile.columns) > MOST_COLUMNS:
        lines.append(f"  … and {len(profile.columns) - MOST_COLUMNS} more columns (--json and --report show all)")
    if profile.findings:
        lines.append("")
    for finding in profile.findings:
        sign = {"error": "✗", "warn": "!", "info": "·"}[finding.severity]
        lines.append(f"  {sign} {printable(finding.text)}")
        lines += [f"      {printable(finding.fix)}"] if finding.fix else []
    return "\n".join([*lines, "", f"  next: {advice}"] if advice else lines)


def values_of(column: ColumnProfile) -> str:
    """Return the values of a column in a few words: its range and histogram, or its most frequent values."""
    if column.numbers is not None:
        from deepwright.profiling import spark

        span = f"{number(column.numbers.min)} … {number(column.numbers.max)}"
        return f"{span:<24}{spark(_coarse(column.numbers.counts))}"
    if column.first is not None and column.last is not None:
        return f"{column.first} … {column.last}"
    if column.length is not None:
        return f"{column.distinct:,} texts, {column.length:.0f} characters on average"
    shown = [f"{cut(top.value, 12)} {percent(top.share)}" for top in column.top[:2] if top.count > 1]
    rest = f"{column.distinct:,} values" if column.distinct > len(shown) else ""
    return f"{', '.join(shown)}, … {rest}" if shown and rest else ", ".join(shown) or rest


def render_metrics(result: Mapping[str, Any]) -> str:
    """Return the figures of an evaluation: a line a metric, with its interval and the baseline where there is one."""
    lines: list[str] = []
    if "rows" in result:
        lines.append(f"{result.get('bundle', '')}  {result['rows']:,} rows".strip())
    for output, metrics in result["metrics"].items():
        naive = result.get("baseline", {}).get(output, {})
        rows = [("", output, "value", "interval", "baseline")]
        for name, entry in metrics.items():
            if entry.get("value") is not None:
                rows.append(("", name, _measure(entry["value"]), _interval(entry), _measure(naive[name]) if name in naive else ""))
        lines += ["", *grid(rows)]
    if result.get("report"):
        lines += ["", f"  report  {result['report']}"]
    return "\n".join(lines)


def figure(entry: Mapping[str, Any]) -> str:
    """Return ``value [low, high]``."""
    return f"{_measure(entry['value'])} {_interval(entry)}".rstrip()


def grid(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return aligned lines, two blanks between columns; the first row is the header, and empty columns are left out."""
    cells = [[cut(cell, WIDEST) if index < len(row) - 1 else cell for index, cell in enumerate(row)] for row in rows]
    keep = [index for index in range(len(rows[0])) if any(row[index] for row in cells[1:]) or index == 1]
    widths = {index: max(_width(row[index]) for row in cells) for index in keep}
    return [("  " + "  ".join(row[index] + " " * (widths[index] - _width(row[index])) for index in keep)).rstrip() for row in cells]


def cut(text: str, width: int) -> str:
    """Return ``text`` on one line, shortened to ``width`` characters."""
    one_line = printable(text).replace("\n", " ")
    return one_line if len(one_line) <= width else one_line[: width - 1].rstrip(" ,…") + "…"


def _coarse(counts: Sequence[int]) -> list[int]:
    """Add up neighbouring bins until there are few enough to show."""
    size = max(1, -(-len(counts) // BARS))
    return [sum(counts[start : start + size]) for start in range(0, len(counts), size)]


def _measure(value: float | None) -> str:
    return "—" if value is None else f"{value:.4f}" if abs(value) < 1000 else f"{value:,.1f}"


def _interval(entry: Mapping[str, Any]) -> str:
    low, high = entry.get("low"), entry.get("high")
    return "" if low is None or high is None else f"[{_measure(low)}, {_measure(high)}]"


def _width(text: str) -> int:
    """Return the columns that ``text`` takes in a terminal; East Asian signs take two."""
    return sum(2 if unicodedata.east_asian_width(sign) in "WF" else 0 if unicodedata.combining(sign) else 1 for sign in text)
