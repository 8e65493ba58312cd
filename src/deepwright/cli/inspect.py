"""``deepwright inspect``: what a data set holds and what is wrong with it."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from deepwright.cli.options import Json, Reading, Test, Time, check_out, read_as
from deepwright.console import emit, emit_json


def inspect(
    data: Annotated[str, typer.Argument(metavar="DATA", help="A file or a folder.", show_default=False)],
    target: Annotated[
        str | None, typer.Option("--target", "-t", metavar="COLUMN", help="The column to predict.", show_default=False)
    ] = None,
    test: Test = None,
    time: Time = None,
    settings: Reading = None,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="FILE.html", help="Also write a page with pictures.", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """Look at a data set: types, missing values, distributions, and what to mend before training."""
    check_out(report, data, test, page=True)

    from deepwright.cli.render import render_profile
    from deepwright.steps.inspect import inspect as step

    profile = step(read_as(data, settings), target=target, test=test, time=time)
    if report is not None:
        from deepwright.bundle import write_atomically
        from deepwright.reporting.inspection import inspection_html

        write_atomically(report, inspection_html(profile).encode())
    if as_json:
        emit_json(profile.model_dump(mode="json"))
    else:
        wanted = f" --target {shlex.quote(target or 'COLUMN')}" if target or time is None else ""
        wanted += "".join(f" --set {shlex.quote(setting)}" for setting in settings or [])
        wanted += f" --time {shlex.quote(time)} --horizon N" if time is not None else ""
        known = [f"{each.command}\n        {each.why}" for each in profile.advice]
        emit(render_profile(profile, advice="\n    or: ".join([*known, f"deepwright train {shlex.quote(data)}{wanted}"])))
