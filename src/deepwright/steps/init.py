"""Write a first recipe: complete, commented, ready to train and to change (floor 6)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deepwright.defaults import target_feature
from deepwright.errors import UsageError
from deepwright.families import Feature, Source
from deepwright.profiling import ColumnProfile, Profile, profile
from deepwright.recipe import Clean, ColumnClean, Data, Recipe, Split, Training, parse_part
from deepwright.reference import fields, flow
from deepwright.steps.inspect import check_targets
from deepwright.table import Table, tidy

WIDTH = 40
"""The column at which comments behind a key begin, in characters."""
ACTIVE = {"clean": "strip", "split": "by", "training": "seed"}
"""The key of each section that is written out, so that uncommenting any other line is all it takes."""


def init(source: Source | str, targets: Sequence[str] | str, *, test: Source | str | None = None) -> str:
    """Return a commented recipe in YAML for predicting ``targets`` from the other columns.

    Types are inferred, each with its reason; what the profile finds stands beside the line that mends it; every other key
    is there with its default, commented out.

    Args:
        source: The data: a path or a source part.
        targets: The columns to predict.
        test: Test rows, never trained on.

    Raises:
        DataError: The data cannot be read.
        RecipeError: No source recognises the path.
        UsageError: E701, no target is given, or it is not a column.
    """
    wanted = [targets] if isinstance(targets, str) else list(targets)
    origin = parse_part(Source, source, where="data")
    rest = None if test is None else parse_part(Source, test, where="data.test")
    table = tidy(origin.read())
    if not wanted:
        raise UsageError("E701", "no target is given", expected="the column to predict", fix=f"--target {table.columns[-1]}")
    check_targets(table, wanted)
    seen = profile(table, target=wanted[0], test=None if rest is None else tidy(rest.read()))
    lines = [*_head(seen), "", *_data(origin, rest, seen, wanted), "", *_columns(seen, table, wanted)]
    return "\n".join([*lines, *_networks(), "", *_training(), ""])


def _head(seen: Profile) -> Iterator[str]:
    yield f"# A recipe for {seen.name}: {seen.rows:,} rows × {len(seen.columns)} columns, written by `deepwright init`."
    yield "# A line that is commented out with its key shows the default. `deepwright parts` lists what can stand for a part."
    yield "format: 1"


def _data(origin: Source, rest: Source | None, seen: Profile, targets: Sequence[str]) -> Iterator[str]:
    ignored = [column.name for column in seen.columns if column.name not in targets and not _known(column)]
    yield "data:"
    yield f"  source: {_source(origin)}"
    written = {"source", "clean", "split"}
    if rest is not None:
        yield f"  test: {_source(rest)}"
        written.add("test")
    for finding in seen.findings:
        sign = {"error": "!!", "warn": "! ", "info": "  "}[finding.severity]
        yield f"  # {sign} {finding.text}"
        if finding.fix:
            yield f"  #      {finding.fix}"
    if ignored:
        yield _commented(f"  drop: {flow(ignored)}", "their types are not inputs (see below)")
        written.add("drop")
    yield from _defaults(Data, indent=2, without=written)
    yield "  clean:"
    yield from _section(Clean, "clean", indent=4, without={"columns"})
    yield "    # COLUMN:"
    yield from _defaults(ColumnClean, indent=4, inner=2)
    yield "  split:"
    yield from _section(Split, "split", indent=4)


def _source(source: Source) -> str:
    """Return a path alone where that says it all, or the whole part."""
    if source == Source.parse(source.path):
        return flow(source.path)
    return flow(source.dump(defaults=False))


def _columns(seen: Profile, table: Table, targets: Sequence[str]) -> Iterator[str]:
    inputs = [column for column in seen.columns if column.name not in targets]
    yield "inputs:" if any(_known(column) for column in inputs) else "# inputs: none of the columns is of a known type"
    for column in inputs:
        prefix = "  " if _known(column) else "  # "
        yield _commented(f"{prefix}{flow(column.name)}: {column.type}", "; ".join(filter(None, [column.why, *column.notes])))
    yield ""
    yield "outputs:"
    for name in targets:
        feature, kind = target_feature(table, name)
        yield _commented(f"  {flow(name)}: {feature.type_name()}", kind.why)
    yield ""


def _known(column: ColumnProfile) -> bool:
    return column.type in Feature.types()


def _networks() -> Iterator[str]:
    for help_ in fields(Recipe):
        if help_.name in ("tabular", "fusion"):
            yield _commented(f"# {help_.name}: {help_.default}", help_.help)


def _training() -> Iterator[str]:
    yield "training:"
    yield from _section(Training, "training", indent=2)


def _section(spec: type[Clean | Split | Training], name: str, *, indent: int, without: set[str] | None = None) -> Iterator[str]:
    active = ACTIVE[name]
    for help_ in fields(spec):
        if help_.name == active:
            yield _commented(f"{' ' * indent}{help_.name}: {help_.default}", help_.help)
    yield from _defaults(spec, indent=indent, without={active, *(without or ())})


def _defaults(
    spec: type[Data | Clean | ColumnClean | Split | Training], *, indent: int, inner: int = 0, without: set[str] | None = None
) -> Iterator[str]:
    for help_ in fields(spec):
        if help_.name not in (without or ()):
            yield _commented(f"{' ' * indent}# {' ' * inner}{help_.name}: {help_.default}", help_.help)


def _commented(text: str, comment: str) -> str:
    return f"{text:<{WIDTH}} # {comment}" if comment else text
