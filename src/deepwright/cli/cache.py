"""``deepwright cache``: what is kept between runs."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from deepwright.cli.options import Json
from deepwright.console import emit, emit_json


def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Remove everything that is kept.")] = False, as_json: Json = False
) -> None:
    """List the encoded rows that are kept between runs, and their size; --clear removes them."""
    from deepwright.steps.cache import cache as step

    found = step(clear=clear)
    if as_json:
        emit_json(found)
    else:
        emit("\n".join(_lines(found)))


def _lines(found: dict[str, Any]) -> list[str]:
    if found["path"] is None:
        return ["  the cache is off (DEEPWRIGHT_CACHE)"]
    lines = [f"  {found['path']}   {found['bytes'] / 1e6:,.1f} MB of at most {found['limit'] / 1e9:,.1f} GB"]
    lines += [f"  {found['removed']:,} entries removed"] if found["removed"] else []
    for entry in found["entries"]:
        rows = f"{entry['rows']:>12,} rows" if entry["rows"] is not None else f"{'file':>17}"
        names = ", ".join(entry["arrays"][:4]) + (", …" if len(entry["arrays"]) > 4 else "")
        lines.append(f"  {entry['key'][:12]}  {entry['used']}  {entry['bytes'] / 1e6:>10,.1f} MB  {rows}  {names}")
    return lines
