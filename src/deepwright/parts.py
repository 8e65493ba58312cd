"""Parts and families: the folder is the registry (floor 1).

A *family* is a folder of parts with a base class in :mod:`deepwright.families`. A *part* is one frozen pydantic class
in one file of that folder, and the file's name is its type: ``encoder: {type: resnet}`` means ``encoders/resnet.py``.
Nothing is registered, listed or imported anywhere else.

A field annotated with a family base is an *open slot*: it takes a part of any type of that family, those of plugins
included (entry-point group ``deepwright.<family>``, each entry naming a module that holds one part).
"""

from __future__ import annotations

import ast
import importlib
import inspect
import itertools
import pkgutil
import textwrap
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import EntryPoint, distributions
from typing import Any, ClassVar, Self, cast

from pydantic import BaseModel, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler, SerializationInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from deepwright.errors import RecipeError, nearest

PACKAGE = __name__.rpartition(".")[0]


class Spec(BaseModel):
    """A frozen declaration that refuses unknown keys; everything in a recipe is one."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)

    @classmethod
    @cache
    def field_help(cls) -> dict[str, str]:
        """Return the docstring below each field, inherited ones included.

        They are read from the source when somebody asks: pydantic would read every class's source when it is imported, which
        takes a third of the time of a cold prediction.
        """
        found: dict[str, str] = {}
        for base in reversed(cls.__mro__):
            if base is Spec or not issubclass(base, Spec):
                continue
            body = cast(ast.ClassDef, ast.parse(textwrap.dedent(inspect.getsource(base))).body[0]).body
            for field, below in itertools.pairwise(body):
                if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and isinstance(below, ast.Expr):
                    text = below.value.value if isinstance(below.value, ast.Constant) else None
                    if isinstance(text, str):
                        found[field.target.id] = inspect.cleandoc(text)
        return found


class Part(Spec):
    """One declarable part.

    Attributes:
        family: The folder of the family; set on family bases only.
        aliases: Former type names, which keep loading.
        typeless: Whether options of the family's own may be given without a type, which the data then decide; set on bases only.
        typed: Whether this is a part, not such options.
    """

    family: ClassVar[str] = ""
    aliases: ClassVar[tuple[str, ...]] = ()
    typeless: ClassVar[bool] = False
    typed: ClassVar[bool] = True

    @classmethod
    def is_family(cls) -> bool:
        """Return whether this class is the base of a family, not a part of one."""
        return "family" in cls.__dict__

    @classmethod
    def type_name(cls) -> str:
        """Return the part's type: the name of its file, or of its entry point if a plugin brought it."""
        for name, module in _discover(cls.family).items():
            if module == cls.__module__:
                return name
        return cls.__module__.rpartition(".")[2]

    @classmethod
    def types(cls) -> tuple[str, ...]:
        """Return the sorted type names of this family, without importing them."""
        return tuple(sorted(_discover(cls.family)))

    @classmethod
    def resolve(cls, name: str) -> type[Self]:
        """Return the class of the type ``name`` of this family.

        Raises:
            PydanticCustomError: No part of this family has that type or alias; the nearest name is suggested.
            RecipeError: The part's module does not hold exactly one part of this family (E110).
        """
        found = _discover(cls.family)
        if name in found:
            return cls._load(found[name])
        for module in found.values():
            part = cls._load(module)
            if name in part.aliases:
                return part
        raise PydanticCustomError(
            "unknown_type",
            "no {family} type {name}{hint}",
            {"family": cls.family, "name": repr(name), "hint": nearest(name, found), "known": ", ".join(sorted(found))},
        )

    @classmethod
    def all(cls) -> dict[str, type[Self]]:
        """Return every part of this family by its type name."""
        return {name: cls.resolve(name) for name in cls.types()}

    @classmethod
    def _load(cls, module: str) -> type[Self]:
        members = vars(importlib.import_module(module)).values()
        own = [m for m in members if isinstance(m, type) and issubclass(m, cls) and m.__module__ == module]
        if len(own) != 1:
            raise RecipeError(
                "E110",
                f"{module} must define exactly one {cls.__name__}",
                got=", ".join(c.__name__ for c in own) or "none",
                fix="put each part in a file of its own",
            )
        return own[0]

    @classmethod
    def example(cls) -> Self:
        """Return a tiny instance that the conformance suite trains in under a second on a CPU."""
        return cls()

    @classmethod
    def shorthand(cls, value: Any) -> Any:
        """Turn a value that stands for a part into the mapping that declares it; families may add forms of their own."""
        return {"type": value} if isinstance(value, str) else value

    @classmethod
    def forms(cls) -> list[dict[str, Any]]:
        """Return the JSON schemas of the forms that a family adds to :meth:`shorthand`."""
        return []

    @classmethod
    def parse(cls, value: Any) -> Self:
        """Build a part of this family from a type name, a mapping with a ``type`` key, or a part.

        A mapping without a type, of options that all parts of an :attr:`typeless` family have, makes one that is not :attr:`typed`.

        Raises:
            pydantic.ValidationError: The mapping does not fit the type's fields.
            PydanticCustomError: The type is missing or unknown.
        """
        if isinstance(value, cls):
            return value
        body = cls.shorthand(value)
        if cls.typeless and cls.is_family() and isinstance(body, dict) and body.keys() <= cls.model_fields.keys():
            return cast("Self", _untyped(cls).model_validate(body))
        if not isinstance(body, dict) or not isinstance(body.get("type"), str):
            raise PydanticCustomError(
                "missing_type",
                "expected a type name or a mapping with a 'type' key",
                {"family": cls.family, "known": ", ".join(cls.types()), "own": ", ".join(cls.model_fields) if cls.typeless else ""},
            )
        fields = {key: entry for key, entry in body.items() if key != "type"}
        return cls.resolve(body["type"]).model_validate(fields)

    def dump(self, *, defaults: bool = True) -> dict[str, Any]:
        """Return the mapping that declares this part; ``parse`` of it is equal to the part.

        Args:
            defaults: Whether fields that hold their default are written too.
        """
        if not self.typed:
            return self.model_dump(mode="json", exclude_unset=True)  # what is said counts, though it be the default
        return {"type": self.type_name(), **self.model_dump(mode="json", exclude_defaults=not defaults)}

    @classmethod
    def completed(cls, given: Self | None, usual: str | Mapping[str, Any]) -> Self:
        """Return the part of the type ``usual`` with its options, of which those of ``given``, without a type, come first."""
        own = {} if given is None else {name: getattr(given, name) for name in given.model_fields_set}
        return cls.parse({**({"type": usual} if isinstance(usual, str) else usual), **own})

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        if not cls.is_family():
            return handler(source)

        def serialize(part: Part, info: SerializationInfo) -> dict[str, Any]:
            return part.dump(defaults=not info.exclude_defaults)

        return core_schema.no_info_plain_validator_function(
            cls.parse, serialization=core_schema.plain_serializer_function_ser_schema(serialize, info_arg=True)
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        # pydantic cannot emit a $ref to a definition that it does not own: json_schema() links this placeholder.
        return {"x-family": cls.family} if cls.is_family() else handler(schema)


@cache
def _untyped(family: type[Part]) -> type[Part]:
    """Return what holds options of a family without a type. The base itself cannot: to validate it is to look for a type."""
    made: type[Part] = type(f"Untyped{family.__name__}", (family,), {"__module__": family.__module__, "typed": False})
    return made


@cache
def _entry_points() -> tuple[EntryPoint, ...]:
    """Return the entry points of all installed packages, whose metadata is read once for all families."""
    return tuple(entry for distribution in distributions() for entry in distribution.entry_points)


@cache
def _discover(family: str) -> dict[str, str]:
    """Return ``{type: module}`` of a family: the files of its folder and the plugins' entry points."""
    package = importlib.import_module(f"{PACKAGE}.{family}")
    own = {m.name: f"{package.__name__}.{m.name}" for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_")}
    plugins = {entry.name: entry.value for entry in _entry_points() if entry.group == f"{PACKAGE}.{family}"}
    return plugins | own


def families() -> dict[str, type[Part]]:
    """Return the base class of every family by its folder's name."""
    bases = vars(importlib.import_module(f"{PACKAGE}.families")).values()
    found = [b for b in bases if isinstance(b, type) and issubclass(b, Part) and b.is_family() and b is not Part]
    return {base.family: base for base in sorted(found, key=lambda base: base.family)}


def json_schema(root: type[BaseModel]) -> dict[str, Any]:
    """Return the whole JSON schema (draft 2020-12) of ``root``, every family linked.

    References go by name, so that parts that hold parts of their own family terminate.
    """
    definitions: dict[str, Any] = {}
    for family, base in families().items():
        for name, part in base.all().items():
            body = part.model_json_schema()
            definitions |= body.pop("$defs", {})
            _describe(part, body)
            body["properties"] = {"type": {"const": name}, **body.get("properties", {})}
            body["required"] = ["type", *body.get("required", [])]
            definitions[f"{family}.{name}"] = body
        if base.typeless:
            body = _untyped(base).model_json_schema()
            definitions |= body.pop("$defs", {})
            _describe(base, body)
            definitions[family] = body
    schema = root.model_json_schema()
    definitions |= schema.pop("$defs", {})
    for spec in (root, *_specs(Spec)):
        for body in (schema, *definitions.values()):
            if body.get("title") == spec.__name__ and issubclass(spec, Spec) and not issubclass(spec, Part):
                _describe(spec, body)

    def link(node: Any) -> Any:
        if isinstance(node, list):
            return [link(item) for item in node]
        if not isinstance(node, dict):
            return node
        if family := node.get("x-family"):
            names = [key for key in definitions if key.startswith(f"{family}.")]
            keep = {key: node[key] for key in ("description", "default", "title") if key in node}
            typeless = [family] if family in definitions else []
            refs: list[dict[str, Any]] = [{"$ref": f"#/$defs/{key}"} for key in (*names, *typeless)]
            short = [{"enum": [key.partition(".")[2] for key in names]}, *families()[family].forms()]
            return {**keep, "anyOf": [*short, *refs]}
        return {key: link(value) for key, value in node.items()}

    linked: dict[str, Any] = link({"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "$defs": definitions})
    return linked


def _specs(base: type[Spec]) -> Iterator[type[Spec]]:
    for spec in base.__subclasses__():
        yield spec
        yield from _specs(spec)


def _describe(spec: type[Spec], schema: dict[str, Any]) -> None:
    """Write the help of the fields into a schema."""
    for name, text in spec.field_help().items():
        if name in schema.get("properties", {}):
            schema["properties"][name]["description"] = text
