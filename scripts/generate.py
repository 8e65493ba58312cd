"""Write what is derived from the code: the reference pages, the JSON schema and the stub of the public names.

    python scripts/generate.py [--check]

``--check`` writes nothing and fails if a file is stale.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

os.environ |= {"COLUMNS": "100", "NO_COLOR": "1", "TERM": "dumb"}  # the help of the command line, the same on every terminal

import deepwright
from deepwright.errors import CODES
from deepwright.parts import Part, families
from deepwright.recipe import Recipe
from deepwright.reference import FieldHelp, example, fields, sections, summary

ROOT = Path(__file__).parents[1]
NOTE = "<!-- Written by scripts/generate.py; change the code, not this page. -->\n\n"


def cell(text: str) -> str:
    """Return text that a cell of a Markdown table can hold."""
    return text.replace("|", "\\|") or " "


def table(rows: tuple[FieldHelp, ...]) -> Iterator[str]:
    """Yield the fields as a Markdown table."""
    yield "| key | takes | default | meaning |"
    yield "|---|---|---|---|"
    for row in rows:
        takes = ", ".join(filter(None, [row.type, row.bounds]))
        default = "required" if row.default is None else f"`{row.default}`"
        yield f"| `{row.name}` | {cell(takes)} | {cell(default)} | {cell(row.help)} |"


def parts_page() -> str:
    """Return the reference of every part of every family."""
    lines = [
        "# Parts",
        "",
        "Where a recipe takes a part, write its type alone (`adam`) or with its fields (`{type: adam, lr: 0.001}`).",
    ]
    for family, base in families().items():
        lines += ["", f"## {family}", "", summary(base)]
        common = tuple(field for field in fields(base))
        if common:
            lines += ["", f"Every part of {family} takes:", "", *table(common)]
        for name, part in base.all().items():
            lines += ["", f"### {name}", "", summary(part), "", *_own(part, base), f"Example: `{example(part)}`"]
    return NOTE + "\n".join(lines) + "\n"


def _own(part: type[Part], base: type[Part]) -> Iterator[str]:
    inherited = {field.name: field for field in fields(base)}
    own = tuple(field for field in fields(part) if inherited.get(field.name) != field)
    if own:
        yield from table(own)
        yield ""


def recipe_page() -> str:
    """Return the reference of the recipe's sections."""
    lines = [
        "# The recipe",
        "",
        "Every key of a recipe. The types of parts are in [parts.md](parts.md).",
        "An editor that reads JSON schemas completes keys with [recipe.schema.json](recipe.schema.json).",
    ]
    for path, spec in sections(Recipe).items():
        lines += ["", f"## {path or 'top level'}", "", summary(spec), "", *table(fields(spec))]
    return NOTE + "\n".join(lines) + "\n"


def errors_page() -> str:
    """Return the catalogue of the error codes."""
    from deepwright.cli.explain_error import KINDS

    lines = [
        "# Errors",
        "",
        "Codes are stable. `deepwright explain-error CODE` shows the same.",
        "",
        "| code | class | meaning |",
        "|---|---|---|",
    ]
    lines += [f"| {code} | `{KINDS[code[:2]]}` | {cell(CODES[code])} |" for code in sorted(CODES)]
    return NOTE + "\n".join(lines) + "\n"


def cli_page() -> str:
    """Return the help of every command."""
    from typer.testing import CliRunner

    from deepwright.cli.main import COMMANDS, app

    runner = CliRunner()
    lines = ["# The command line"]
    for command in ("", *COMMANDS):
        arguments = [command, "--help"] if command else ["--help"]
        text = runner.invoke(app, arguments, prog_name="deepwright", terminal_width=100).output.strip()
        lines += ["", f"## deepwright {command}".rstrip(), "", "```", *(line.rstrip() for line in text.splitlines()), "```"]
    return NOTE + "\n".join(lines) + "\n"


def schema_file() -> str:
    """Return the JSON schema of recipes."""
    return json.dumps(Recipe.full_schema(), indent=2, ensure_ascii=False) + "\n"


def stub() -> str:
    """Return the type stub of the package's public names."""
    names = {name: (f"deepwright.{module}", name) for name, module in deepwright._PLACES.items()} | deepwright._part_names()
    lines = ["# Written by scripts/generate.py: the names that deepwright/__init__.py looks up when they are used.", ""]
    for name, (module, own) in sorted(names.items(), key=lambda item: (item[1][0], item[0])):
        lines.append(f"from {module} import {own} as {name}")
    lines += [
        "",
        "__version__: str",
        "_PLACES: dict[str, str]",
        "_FAMILIES: dict[str, str]",
        "",
        "def _part_names() -> dict[str, tuple[str, str]]: ...",
    ]
    lines += ["", "__all__ = [", *(f'    "{name}",' for name in sorted(names)), "]"]
    return "\n".join(lines) + "\n"


FILES = {
    "docs/reference/parts.md": parts_page,
    "docs/reference/recipe.md": recipe_page,
    "docs/reference/errors.md": errors_page,
    "docs/reference/cli.md": cli_page,
    "docs/reference/recipe.schema.json": schema_file,
    "src/deepwright/__init__.pyi": stub,
}
"""Every derived file and what makes it."""


def main() -> int:
    """Write the files, or compare them; return the exit code."""
    stale = []
    for name, make in FILES.items():
        path, text = ROOT / name, make()
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(name)
        if "--check" not in sys.argv:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
    check = "--check" in sys.argv
    print(f"generate: {'stale' if check else 'written'}: {', '.join(stale)}" if stale else "generate: all files are up to date")
    return 1 if check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
