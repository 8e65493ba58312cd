"""``deepwright doctor``: whether this machine is ready."""

from __future__ import annotations

import sys
from dataclasses import asdict

import typer

from deepwright.cli.options import Json
from deepwright.console import STAGE_WIDTH, emit, emit_json, paint


def doctor(as_json: Json = False) -> None:
    """Check Python, libraries, accelerator, processor, disk and permissions."""
    from deepwright.steps.doctor import doctor as step

    checks = step()
    if as_json:
        emit_json([asdict(check) for check in checks])
    else:
        lines = []
        width = max(STAGE_WIDTH + 4, 1 + max(len(check.name) for check in checks))
        for check in checks:
            sign = "ok   " if check.ok else paint("wrong", "error", sys.stdout)
            lines.append(f"  {sign}  {check.name:<{width}}{check.detail}")
            lines += [f"  {'':<5}  {'':<{width}}→ {check.fix}"] if check.fix else []
        emit("\n".join(lines))
    if not all(check.ok for check in checks):
        raise typer.Exit(1)
