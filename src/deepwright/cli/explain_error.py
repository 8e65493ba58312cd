"""``deepwright explain-error``: what a code means."""

from __future__ import annotations

from typing import Annotated

import typer

from deepwright.cli.options import Json
from deepwright.console import emit, emit_json
from deepwright.errors import CODES, UsageError, nearest

KINDS = {
    "E1": "RecipeError",
    "E2": "DataError",
    "E3": "BundleError",
    "E4": "TrainingError",
    "E5": "ExportError",
    "E6": "MissingExtra",
    "E7": "UsageError",
}
"""The exception class of each range of codes."""


def explain_error(
    code: Annotated[str | None, typer.Argument(metavar="[CODE]", help="Such as E214; all of them without.")] = None,
    as_json: Json = False,
) -> None:
    """Explain an error code."""
    codes = sorted(CODES) if code is None else [code.strip().upper()]
    if code is not None and codes[0] not in CODES:
        raise UsageError(
            "E701", f"no error has the code {code!r}{nearest(codes[0], CODES)}", fix="deepwright explain-error lists them all"
        )
    if as_json:
        emit_json([{"code": c, "class": KINDS[c[:2]], "meaning": CODES[c]} for c in codes])
        return
    emit("\n".join(f"{c}  {CODES[c]}" + (f"\n      {KINDS[c[:2]]}" if code else "") for c in codes))
