"""Plain values from YAML and JSON, safely, and settings applied to them (floor 1)."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from deepwright.errors import Problem, RecipeError

MOST_NODES = 100_000
"""A recipe that holds more values than this, aliases followed, is refused: a few lines of aliases can stand for billions."""


if TYPE_CHECKING:
    _SafeLoader = yaml.SafeLoader
else:
    # The parser in C where PyYAML was built with it: ten times as fast, and as safe.
    _SafeLoader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _UniqueKeyLoader(_SafeLoader):
    """YAML that refuses a key given twice, where plain YAML would silently keep the last, and aliases without measure."""

    def get_single_node(self) -> Any:
        """Compose the document, and refuse it if its aliases stand for more than :data:`MOST_NODES` values."""
        node = super().get_single_node()
        if node is not None and _expanded(node, {}) > MOST_NODES:
            problem = "its aliases (*name) stand for themselves, or for too many values"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        return node


def _expanded(node: Any, known: dict[int, float]) -> float:
    """Return how many nodes a node stands for once its aliases are written out: infinitely many if it holds itself."""
    if isinstance(node, yaml.ScalarNode):
        return 1
    if id(node) not in known:
        known[id(node)] = float("inf")
        parts = [part for pair in node.value for part in pair] if isinstance(node, yaml.MappingNode) else node.value
        known[id(node)] = 1 + sum(_expanded(part, known) for part in parts)
    return known[id(node)]


def _load_yaml(text: str) -> Any:
    """Return the plain values of a YAML text.

    Raises:
        YAMLError: It is not YAML, gives a key twice, or is nested or expands beyond all measure.
    """
    try:
        return yaml.load(text, Loader=_UniqueKeyLoader)  # noqa: S506  a SafeLoader
    except RecursionError:
        raise yaml.YAMLError("values nested too deep") from None


def _unique_mapping(loader: yaml.SafeLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    seen: set[Any] = set()
    for key_node, _ in node.value:
        key = loader.construct_object(key_node, deep=True)
        if not isinstance(key, str | int | float | bool | None):
            raise yaml.constructor.ConstructorError(None, None, "a key must be a plain value", key_node.start_mark)
        if key in seen:
            raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} is given twice", key_node.start_mark)
        seen.add(key)
    loader.flatten_mapping(node)
    pairs = [(loader.construct_object(a, deep=True), loader.construct_object(b, deep=True)) for a, b in node.value]
    return {str(key) if isinstance(key, bool | int | float) else key: value for key, value in pairs}


_UniqueKeyLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _unique_mapping)


def read_mapping(path: Path) -> dict[str, Any]:
    """Read a YAML or JSON mapping.

    Raises:
        RecipeError: E101, with the line and column of the first mistake.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise RecipeError(
            "E101", "the recipe does not exist", where=str(path), fix="deepwright init DATA --target COLUMN writes one"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise RecipeError(
            "E101", "the recipe cannot be read", where=str(path), got=_cause(error), expected="a text file in UTF-8"
        ) from None
    return parse_mapping(text, where=str(path))


def _cause(error: OSError | UnicodeDecodeError) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else f"{error.reason} at byte {error.start}"


def parse_mapping(text: str, *, where: str) -> dict[str, Any]:
    """Parse a YAML or JSON mapping (JSON is YAML).

    Raises:
        RecipeError: E101, with the line and column of the first mistake.
    """
    try:
        value = _load_yaml(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"{where}, line {mark.line + 1}, column {mark.column + 1}" if mark else where
        raise RecipeError(
            "E101", f"not valid YAML: {error.problem}", where=place, fix="check indentation, colons and quotes there"
        ) from None
    except yaml.YAMLError as error:
        raise RecipeError(
            "E101", "not valid YAML", where=where, got=str(error).splitlines()[0], fix="write plain text in UTF-8"
        ) from None
    if not isinstance(value, dict):
        kind = "nothing" if value is None else f"a {type(value).__name__}"
        raise RecipeError(
            "E101", "the top level is not a mapping", where=where, got=kind, expected="keys such as data, inputs, outputs, training"
        )
    return value


def override(value: Mapping[str, Any], settings: Iterable[str]) -> dict[str, Any]:
    """Apply ``KEY.PATH=VALUE`` settings (values are YAML) to plain values; list items go by index.

    Raises:
        RecipeError: E109, for each setting that cannot be applied.
    """
    result: dict[str, Any] = json.loads(json.dumps(value, default=str))
    problems: list[Problem] = []
    for setting in settings:
        path, equals, text = setting.partition("=")
        keys = [key for key in path.strip().split(".") if key]
        if not equals or not keys:
            problems.append(
                Problem("E109", f"cannot apply --set {setting}", expected="KEY.PATH=VALUE, such as training.optimizer.lr=1e-3")
            )
            continue
        try:
            new = _load_yaml(text)
        except yaml.YAMLError:
            problems.append(Problem("E109", f"cannot apply --set {setting}", got=f"{text!r}, which is not a YAML value"))
            continue
        if isinstance(new, str) and re.fullmatch(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+", new):
            new = float(new)  # YAML 1.1 reads 1e-3 as text
        try:
            _assign(result, keys, new)
        except (LookupError, TypeError, ValueError):
            problems.append(Problem("E109", f"cannot apply --set {setting}", got=f"no place {path!r} in the recipe"))
    if problems:
        raise RecipeError.of(problems)
    return result


def _assign(tree: dict[str, Any], keys: list[str], value: Any) -> None:
    node: Any = tree
    for key in keys[:-1]:
        if isinstance(node, list):
            node = node[int(key)]
            continue
        if not isinstance(node, dict):
            raise TypeError(key)
        if isinstance(node.get(key), str):
            # a type name alone stands for {type: name}, a path for {source: path} or {path: path}
            stands = {"data": "source", "source": "path", "test": "path"}
            node[key] = {stands.get(key, "type"): node[key]}
        if node.get(key) is None:
            node[key] = {}
        node = node[key]
    if isinstance(node, list):
        node[int(keys[-1])] = value
    elif isinstance(node, dict):
        node[keys[-1]] = value
    else:
        raise TypeError(keys[-1])
