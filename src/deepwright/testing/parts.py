"""What holds for every part of every family (floor 8)."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from deepwright.errors import RecipeError
from deepwright.parts import Part, families, json_schema
from deepwright.recipe import Recipe

SUFFIXES = {
    "augmentations": "augmentation",
    "averages": "average",
    "encoders": "encoder",
    "features": "feature",
    "fusions": "fusion",
    "heads": "head",
    "layers": "layer",
    "loggers": "logger",
    "losses": "loss",
    "optimizers": "optimizer",
    "schedules": "schedule",
    "sources": "source",
}
"""What a class's name may end in beside its type: ``CrossEntropy`` or ``CrossEntropyLoss`` for ``cross_entropy``."""

_TORCH_FREE = """
import sys
from deepwright.parts import families
for family, base in families().items():
    for name, part in base.all().items():
        part.example()
        assert "torch" not in sys.modules, f"{family}.{name}: importing it, or making its example, imports torch"
"""

_SIMPLE = {"string", "number", "integer", "boolean", "null", "array", "object"}


def discovered(family: str | None = None) -> list[tuple[str, str]]:
    """Return (family, type) of every part, or of one family's, without importing them."""
    return [(key, name) for key, base in families().items() if family in (None, key) for name in base.types()]


def find(family: str, name: str) -> type[Part]:
    """Return the class of a discovered part."""
    return families()[family].resolve(name)


def check_name(check: Callable[..., None]) -> str:
    """Return a check's name for the test's id."""
    return check.__name__.removeprefix("check_")


def check_documentation(part: type[Part]) -> None:
    """The class and every field say what they are."""
    assert (part.__doc__ or "").strip(), f"{part.__name__} has no docstring"
    assert part.__doc__ != Part.__doc__, f"{part.__name__} has no docstring of its own"
    missing = [name for name in part.model_fields if not part.field_help().get(name, "").strip()]
    assert not missing, f"{part.__name__}: fields without a docstring below them: {missing}"


def check_class_name(part: type[Part]) -> None:
    """The class is the type in camel case, with or without the family's suffix."""
    plain = part.type_name().replace("_", "")
    known = {plain, plain + SUFFIXES.get(part.family, "")}
    assert part.__name__.lower() in known, f"{part.__module__} defines {part.__name__}, which is not its type in camel case"
    assert part.__name__[0].isupper()


def check_strict(part: type[Part]) -> None:
    """Parts are frozen and refuse unknown keys."""
    assert part.model_config.get("frozen"), f"{part.__name__} is not frozen"
    assert part.model_config.get("extra") == "forbid", f"{part.__name__} takes unknown keys"
    example = part.example()
    assert isinstance(example, part)
    with pytest.raises(ValidationError):
        part.parse({**example.dump(), "an_unknown_key": 1})
    for name in part.model_fields:
        with pytest.raises(ValidationError):
            setattr(example, name, getattr(example, name))


def check_round_trip(part: type[Part]) -> None:
    """Load, dump, load is equal, with defaults and without, through plain values, JSON and YAML."""
    example = part.example()
    base = families()[part.family]
    for defaults in (True, False):
        plain = example.dump(defaults=defaults)
        assert plain["type"] == part.type_name()
        for value in (plain, json.loads(json.dumps(plain)), yaml.safe_load(yaml.safe_dump(plain))):
            again = base.parse(value)
            assert type(again) is part
            assert again == example
            assert again.dump(defaults=defaults) == plain
    assert base.parse(example) is example
    if not any(field.is_required() for field in part.model_fields.values()):
        assert base.parse({"type": part.type_name()}) == part()
    for alias in part.aliases:
        assert base.resolve(alias) is part, f"the alias {alias} leads elsewhere"


def check_schema(part: type[Part]) -> None:
    """The part has a valid JSON schema that pins its type, links its references and fits its example."""
    definitions = _recipe_schema()["$defs"]
    schema = definitions[f"{part.family}.{part.type_name()}"]
    assert schema["properties"]["type"] == {"const": part.type_name()}
    assert schema["additionalProperties"] is False
    assert set(part.example().dump()) <= set(schema["properties"])
    assert set(schema["required"]) <= set(part.example().dump())
    for node in _nodes(schema):
        if "$ref" in node:
            assert node["$ref"].removeprefix("#/$defs/") in definitions, f"{node['$ref']} is not defined"
        kinds = node.get("type", [])
        if isinstance(kinds, str | list):  # a mapping is a property called "type"
            assert {kinds} if isinstance(kinds, str) else set(kinds) <= _SIMPLE
        assert "x-family" not in node, f"a family is not linked: {node}"


def check_torch_free(part: type[Part]) -> None:
    """Importing the parts, and making them, does not import torch (one process for all, run once)."""
    message = _torch_free()
    assert f"{part.family}.{part.type_name()}:" not in message, message.strip().splitlines()[-1]


CHECKS: tuple[Callable[[type[Part]], None], ...] = (
    check_documentation,
    check_class_name,
    check_strict,
    check_round_trip,
    check_schema,
    check_torch_free,
)
"""Every check of this suite."""


def conforms(part: type[Part]) -> None:
    """Run every check on one part.

    Raises:
        AssertionError: The part breaks a convention.
    """
    for check in CHECKS:
        check(part)


@cache
def _recipe_schema() -> dict[str, Any]:
    schema: dict[str, Any] = json.loads(json.dumps(json_schema(Recipe)))
    return schema


@cache
def _torch_free() -> str:
    """Return what the process that imports everything has to complain of; nothing if all is well."""
    done = subprocess.run([sys.executable, "-W", "error", "-c", _TORCH_FREE], capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode and "imports torch" not in done.stderr:
        raise RecipeError("E110", "a part cannot be imported or made", got=done.stderr.strip())
    return done.stderr


def _nodes(node: Any) -> Iterator[dict[str, Any]]:
    """Yield every mapping of a JSON schema, ``const`` and ``default`` values left aside."""
    if isinstance(node, list):
        for item in node:
            yield from _nodes(item)
    elif isinstance(node, dict):
        yield node
        for key, value in node.items():
            if key not in ("const", "default", "enum", "examples"):
                yield from _nodes(value)
