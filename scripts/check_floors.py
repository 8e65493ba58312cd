"""Check that every file imports from floors below its own only; imports inside functions count.

    python scripts/check_floors.py [SOURCE_DIRECTORY]

``TYPE_CHECKING`` blocks do not count. Reported are upward imports, sideways imports between the entries of one floor, imports
between the members of a family, files without a floor, and cycles.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PACKAGE = "deepwright"
FAMILIES = (
    "sources", "features", "encoders", "fusions", "heads", "losses", "layers", "optimizers", "schedules", "augmentations",
    "averages", "loggers",
)  # fmt: skip
FLOORS: tuple[tuple[str, ...], ...] = (
    ("errors", "progress", "machine"),
    ("store",),
    ("console",),
    ("parts",),
    ("facts", "mappings"),
    ("families",),
    ("recipe",),
    ("reference",),
    ("spans",),
    ("frames",),
    ("casting",),
    ("table",),
    ("media", "scan"),
    ("pictures", "sounds"),
    ("files", "masks", "likeness"),
    ("text", "layout", "remote", "folders", "pixels"),
    (
        "delimited",
        "encoding",
        "expressions",
        "kinds",
        "words",
        "vectors",
        "trees",
        "tagging",
        "ctc",
        "answers",
        "retrieval",
        "forecasts",
        "windows",
        "paired",
    ),
    ("textscores", "decoding"),
    ("derive", "clean", "timeline"),
    ("split", "selection", "negatives"),
    ("metrics",),
    ("findings", "advising"),
    ("examining",),
    ("profiling",),
    ("bundle",),
    ("blocks",),
    FAMILIES,
    ("datapath",),
    ("defaults", "caching", "origins"),
    ("preparation",),
    ("streaming", "forecasting"),
    ("model", "batches", "runtime"),
    ("blockwise",),
    ("engine",),
    ("opening",),
    ("pairing", "detecting"),
    ("reporting",),
    ("steps",),
    ("api",),
    ("cli", "testing"),
    ("__main__",),
)
"""From the ground up. An entry is a file or a folder of the package; entries of one floor do not import each other."""


@dataclass(frozen=True)
class Violation:
    """One import that goes the wrong way."""

    file: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}"


def imports(tree: ast.AST, module: str, *, package: bool) -> Iterator[tuple[int, str]]:
    """Yield ``(line, dotted name)`` of what a module imports of the package, wherever in the file."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.If) and _is_type_checking(node.test):
            waiting += node.orelse
            continue
        waiting += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names if _ours(alias.name))
        elif isinstance(node, ast.ImportFrom):
            base = _absolute(node, module, package=package)
            if _ours(base):
                yield from ((node.lineno, f"{base}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in ("import_module", "__import__") and _ours(str(node.args[0].value)):
                yield node.lineno, str(node.args[0].value)


def check(source: Path) -> list[Violation]:
    """Return every violation below ``source``, the directory that holds the package."""
    files = sorted((source / PACKAGE).rglob("*.py"))
    modules = {_module(file, source): file for file in files}
    found: list[Violation] = []
    graph: dict[str, set[str]] = {}
    for module, file in modules.items():
        if module == PACKAGE:
            continue  # the package's own names are looked up when they are used
        own = module.split(".")[1]
        if _floor(own) is None:
            found.append(Violation(file, 1, f"{own} stands on no floor; add it to FLOORS in scripts/check_floors.py"))
            continue
        tree = ast.parse(file.read_text(encoding="utf-8"), str(file))
        for line, name in imports(tree, module, package=file.name == "__init__.py"):
            target = _existing(name, modules)
            if target in (PACKAGE, module):
                continue
            graph.setdefault(module, set()).add(target)
            if text := _wrong(module, target):
                found.append(Violation(file, line, text))
    return found + [Violation(modules[cycle[0]], 1, "a cycle: " + " → ".join(cycle)) for cycle in _cycles(graph)]


def _wrong(module: str, target: str) -> str:
    own, other = module.split(".")[1], target.split(".")[1]
    here, there = _floor(own), _floor(other)
    if there is None or here is None:
        return ""
    if there > here:
        return f"upward: {module} (floor {here}) imports {target} (floor {there})"
    if own != other and here == there:
        return f"sideways: {module} imports {target}, on the same floor"
    if own == other and own in FAMILIES and len(target.split(".")) > 2:
        return f"sideways: {module} imports {target}, a member of the same family"
    return ""


def _floor(entry: str) -> int | None:
    return next((level for level, names in enumerate(FLOORS) if entry in names), None)


def _ours(name: str) -> bool:
    return name == PACKAGE or name.startswith(f"{PACKAGE}.")


def _is_type_checking(test: ast.expr) -> bool:
    return (isinstance(test, ast.Name) and test.id == "TYPE_CHECKING") or (
        isinstance(test, ast.Attribute) and test.attr == "TYPE_CHECKING"
    )


def _absolute(node: ast.ImportFrom, module: str, *, package: bool) -> str:
    if not node.level:
        return node.module or ""
    parts = module.split(".")
    base = parts[: len(parts) - node.level + (1 if package else 0)]
    return ".".join([*base, *([node.module] if node.module else [])])


def _existing(name: str, modules: dict[str, Path]) -> str:
    """Return the longest prefix of ``name`` that is a module: the rest is a name inside it."""
    parts = name.split(".")
    while len(parts) > 1 and ".".join(parts) not in modules:
        parts.pop()
    return ".".join(parts)


def _module(file: Path, source: Path) -> str:
    parts = file.relative_to(source).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _cycles(graph: dict[str, set[str]]) -> Iterator[list[str]]:
    """Yield one cycle for each edge that closes one in a depth-first walk."""
    done: set[str] = set()

    def walk(node: str, path: list[str]) -> Iterator[list[str]]:
        if node in path:
            yield [*path[path.index(node) :], node]
            return
        if node in done:
            return
        done.add(node)
        for target in sorted(graph.get(node, ())):
            yield from walk(target, [*path, node])

    for start in sorted(graph):
        yield from walk(start, [])


def main() -> int:
    """Check the package; return the exit code."""
    source = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1] / "src"
    violations = check(source)
    for violation in violations:
        print(violation)
    if not violations:
        print("floors: every import goes down")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
