"""``deepwright recommend``: the best items for each user, without PyTorch."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from deepwright.cli.options import Bundle, Json, Quiet, check_out
from deepwright.cli.predict import check_ending, render
from deepwright.console import Console, emit, emit_json


def recommend(
    bundle: Bundle,
    users: Annotated[str, typer.Argument(metavar="USERS", help="A file of users, and columns of them.", show_default=False)],
    items: Annotated[str, typer.Argument(metavar="ITEMS", help="A file of items to choose from.", show_default=False)],
    top: Annotated[int, typer.Option("--top", metavar="K", help="Items a user.")] = 10,
    seen: Annotated[
        str | None,
        typer.Option("--seen", metavar="FILE", help="Pairs to leave out, such as the training rows.", show_default=False),
    ] = None,
    relevant: Annotated[
        str | None,
        typer.Option("--relevant", metavar="FILE", help="Pairs that came true: tell recall and NDCG instead.", show_default=False),
    ] = None,
    user: Annotated[
        str | None, typer.Option("--user", metavar="COLUMN", help="The column that tells users apart.", show_default=False)
    ] = None,
    item: Annotated[
        str | None, typer.Option("--item", metavar="COLUMN", help="The column that tells items apart.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="A .csv, .parquet, .json or .jsonl file; CSV to stdout by default.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Rank the items for each user with a bundle, those already seen left out."""
    check_ending(out)
    check_out(out, users, items, seen, relevant)

    from deepwright.bundle import write_atomically
    from deepwright.cli.render import render_metrics
    from deepwright.steps.recommend import evaluate_top
    from deepwright.steps.recommend import recommend as step

    report = None
    with Console(quiet=quiet) as console:
        told: dict[str, Any] = {"seen": seen, "top": top, "user": user, "item": item, "listener": console}
        if relevant is None:
            frame = step(Path(bundle), users, items, **told)
        else:
            report, frame = evaluate_top(Path(bundle), users, items, relevant, **told)
        if out is not None:
            write_atomically(out, render(frame, out.suffix.lower()))
            console.say("recommended", f"{frame.height:,} rows → {out}")
    if as_json:
        emit_json(frame.to_dicts() if report is None else report.as_json())
    elif report is not None:
        emit(render_metrics({"bundle": bundle, **report.as_json()}))
    elif out is None:
        sys.stdout.write(render(frame, ".csv").decode())
