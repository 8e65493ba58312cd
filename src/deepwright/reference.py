"""What can be declared, in words: the fields of a part or a section with type, default, bounds and help (floor 1).

The command line, the commented recipes of ``init`` and docs/reference are all made of it.
"""

from __future__ import annotations

import inspect
import json
import re
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from deepwright.parts import Part, Spec, families

BOUNDS = {
    "gt": ">",
    "ge": "≥",
    "lt": "<",
    "le": "≤",
    "min_length": "length ≥",
    "max_length": "length ≤",
    "multiple_of": "multiple of",
}
"""The constraints of a field and how they are written."""


@dataclass(frozen=True)
class FieldHelp:
    """One field of a declaration.

    Args:
        name: Its key in a recipe.
        type: What it takes, in words: ``integer``, ``encoders part``, ``"keep" or "drop"``.
        default: The default as it would be written in a recipe, or ``None`` if a value is required.
        bounds: The bounds, such as ``> 0, ≤ 1``.
        help: What it means.
    """

    name: str
    type: str
    default: str | None
    bounds: str
    help: str


def fields(spec: type[Spec]) -> tuple[FieldHelp, ...]:
    """Return the fields of a part or a section, in order."""
    return tuple(
        FieldHelp(name, type_words(info.annotation), _default(info), _bounds(info), _one_line(spec.field_help().get(name, "")))
        for name, info in spec.model_fields.items()
    )


def summary(spec: type[Any]) -> str:
    """Return the first sentence of a class's docstring, without markup."""
    text = _one_line((inspect.getdoc(spec) or "").split("\n\n")[0])
    return re.sub(r":(class|func|meth|data):", "", text)


def example(part: type[Part]) -> str:
    """Return the part's own example as one line of a recipe."""
    return flow(part.example().dump(defaults=False))


def flow(value: Any) -> str:
    """Return a value as one line of YAML: ``{type: adam, lr: 0.001}``."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{flow(str(key))}: {flow(entry)}" for key, entry in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(flow(entry) for entry in value) + "]"
    if isinstance(value, str):
        plain = re.fullmatch(r"[A-Za-z_./][\w ./-]*(?<! )", value) and not re.fullmatch(
            r"(?i)(y|n|yes|no|on|off|true|false|null)", value
        )
        return value if plain else json.dumps(value, ensure_ascii=False)
    return "null" if value is None else json.dumps(value)


def type_words(annotation: Any) -> str:
    """Return what an annotation takes, in words."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if hasattr(annotation, "__value__"):
        return type_words(annotation.__value__)
    if hasattr(annotation, "__metadata__"):
        return type_words(arguments[0])
    if origin is Literal:
        return " or ".join(flow(value) for value in arguments)
    if origin is list or (origin is tuple and arguments[-1:] == (...,)):
        return f"list of {type_words(arguments[0])}"
    if origin is tuple:
        return "[" + ", ".join(type_words(entry) for entry in arguments) + "]"
    if origin is dict:
        return f"mapping of {type_words(arguments[0])} to {type_words(arguments[1])}"
    if arguments:
        words = dict.fromkeys(type_words(entry) for entry in arguments)
        return " or ".join(words)
    if isinstance(annotation, type) and issubclass(annotation, Part):
        return f"{annotation.family} part" if annotation.is_family() else annotation.type_name()
    if isinstance(annotation, type) and issubclass(annotation, Spec):
        return f"section {annotation.__name__}"
    names = {int: "integer", float: "number", str: "text", bool: "true or false", type(None): "null", Any: "anything"}
    return names.get(annotation, getattr(annotation, "__name__", str(annotation)))


def sections(root: type[Spec]) -> dict[str, type[Spec]]:
    """Return the sections of a recipe by path, ``root`` first as ``""``: what is declared, without the parts."""
    found: dict[str, type[Spec]] = {"": root}
    for name, info in root.model_fields.items():
        for candidate in (info.annotation, *_nested(info.annotation)):
            if isinstance(candidate, type) and issubclass(candidate, Spec) and not issubclass(candidate, Part):
                inner = name if get_origin(info.annotation) is not dict else f"{name}.COLUMN"
                found |= {f"{inner}.{path}".rstrip("."): spec for path, spec in sections(candidate).items()}
    return found


def family_of(part: type[Part]) -> type[Part]:
    """Return the base class of the part's family."""
    return families()[part.family]


def _nested(annotation: Any) -> list[Any]:
    return [entry for argument in get_args(annotation) for entry in (argument, *_nested(argument))]


def _default(info: FieldInfo) -> str | None:
    value = info.get_default(call_default_factory=True) if info.default_factory is None else info.default_factory()  # type: ignore[call-arg]
    if value is PydanticUndefined:
        return None
    if isinstance(value, Part):
        return flow(value.dump(defaults=False))
    return flow(value.model_dump(mode="json", exclude_defaults=True) if isinstance(value, Spec) else value)


def _bounds(info: FieldInfo) -> str:
    found = [
        f"{sign} {getattr(item, key)}"
        for item in info.metadata
        for key, sign in BOUNDS.items()
        if getattr(item, key, None) is not None
    ]
    return ", ".join(found)


def _one_line(text: str) -> str:
    return " ".join(text.replace("``", "`").split())
