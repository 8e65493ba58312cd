"""``deepwright show``: what a bundle is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from deepwright.cli.options import Bundle, Json
from deepwright.console import emit, emit_json


def show(bundle: Bundle, as_json: Json = False) -> None:
    """Show what a bundle holds: inputs, outputs, figures, sizes, lineage; every file is verified."""
    from deepwright.steps.show import show as step

    found = step(Path(bundle))
    if as_json:
        emit_json(found)
    else:
        emit("\n".join(_lines(found, 0)))


def _lines(value: dict[str, Any], depth: int) -> list[str]:
    pad = "  " * depth
    width = max((len(str(key)) for key in value), default=0) + 2
    lines: list[str] = []
    for key, entry in value.items():
        if isinstance(entry, dict) and entry and {"value", "low", "high"} <= entry.keys():
            from deepwright.cli.render import figure

            lines.append(f"{pad}{key:<{width}}{figure(entry)}")
        elif isinstance(entry, dict):
            lines += [f"{pad}{key}", *_lines(entry, depth + 1)] if entry else []
        elif entry is not None:
            lines.append(f"{pad}{key:<{width}}{_words(key, entry)}")
    return lines


def _words(key: str, entry: Any) -> str:
    if isinstance(entry, bool):
        return "yes" if entry else "no"
    if isinstance(entry, int) and not isinstance(entry, bool):
        return f"{entry:,}"
    if isinstance(entry, list):
        return ", ".join(map(str, entry))
    return f"{entry:.4g}" if isinstance(entry, float) else str(entry)
