"""``deepwright parts``: what can be declared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from deepwright.cli.options import Json
from deepwright.console import emit, emit_json
from deepwright.errors import UsageError, nearest

if TYPE_CHECKING:
    from deepwright.parts import Part


def parts(
    family: Annotated[
        str | None, typer.Argument(metavar="[FAMILY]", help="Such as encoders; all families without.", show_default=False)
    ] = None,
    name: Annotated[
        str | None, typer.Argument(metavar="[TYPE]", help="Such as resnet; all types of the family without.", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """List the parts that recipes are made of, and their fields."""
    from deepwright.parts import families
    from deepwright.reference import summary

    known = families()
    if family is None:
        if as_json:
            emit_json({key: list(base.types()) for key, base in known.items()})
        else:
            emit("\n".join(f"{key:<16}{', '.join(base.types()) or '—'}" for key, base in known.items()))
        return
    base = known.get(family) or known.get(f"{family}s")
    if base is None:
        raise UsageError("E701", f"no family {family!r}{nearest(family, known)}", expected="one of " + ", ".join(known))
    if name is None:
        listing = {key: summary(part) for key, part in base.all().items()}
        emit_json(listing) if as_json else emit("\n".join([summary(base), "", *(f"{k:<18}{v}" for k, v in listing.items())]))
        return
    if name not in base.types():
        raise UsageError(
            "E701", f"no {base.family} type {name!r}{nearest(name, base.types())}", expected="one of " + ", ".join(base.types())
        )
    _show(base.resolve(name), as_json)


def _show(part: type[Part], as_json: bool) -> None:
    from dataclasses import asdict

    from deepwright.reference import example, fields, summary

    if as_json:
        emit_json(
            {"type": part.type_name(), "family": part.family, "help": summary(part), "fields": [asdict(f) for f in fields(part)]}
        )
        return
    lines = [f"{part.type_name()}  ({part.family})", summary(part), ""]
    for field in fields(part):
        default = "required" if field.default is None else f"default {field.default}"
        lines.append(f"  {field.name:<18}{', '.join(filter(None, [field.type, field.bounds, default]))}")
        lines += [f"  {'':<18}{field.help}"] if field.help else []
    emit("\n".join([*lines, "", f"example  {example(part)}"]))
