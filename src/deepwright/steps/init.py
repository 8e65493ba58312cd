"""Write a first recipe: complete, commented, ready to train and to change (floor 6)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from deepwright.defaults import target_feature
from deepwright.errors import UsageError
from deepwright.families import Feature, Source
from deepwright.features.forecast import Forecast
from deepwright.features.window import Window
from deepwright.parts import Spec
from deepwright.profiling import ColumnProfile, Profile, profile
from deepwright.recipe import Clean, ColumnClean, Data, Recipe, Split, Training, parse_part
from deepwright.reference import fields, flow
from deepwright.steps.inspect import check_targets
from deepwright.table import Table, tidy, unused

WIDTH = 40
"""The column at which comments behind a key begin, in characters."""
_OF_OUTPUTS = {"head", "loss", "of", "asks", "weight", "same_as"}
_OF_INPUTS = {"encoder", "same_as", "of", "asks"}
ACTIVE = {"clean": "strip", "split": "by", "training": "seed"}
"""The key of each section that is written out, so that uncommenting any other line is all it takes."""


def init(
    source: Source | str,
    targets: Sequence[str] | str,
    *,
    test: Source | str | None = None,
    time: str | None = None,
    horizon: int | None = None,
) -> str:
    """Return a commented recipe in YAML for predicting ``targets`` from the other columns, or with ``time`` the next rows.

    Types are inferred, each with its reason; what the profile finds stands beside the line that mends it; every other key
    is there with its default, commented out.

    Args:
        source: The data: a path or a source part.
        targets: The columns to predict; with ``time`` those to foretell, by default all of numbers.
        test: Test rows, never trained on.
        time: The column of the rows' time.
        horizon: How many rows are foretold; by default as :class:`deepwright.features.forecast.Forecast` says.

    Raises:
        DataError: The data cannot be read.
        RecipeError: No source recognises the path.
        UsageError: E701, no target is given, or it is not a column.
    """
    wanted = [targets] if isinstance(targets, str) else list(targets)
    origin = parse_part(Source, source, where="data")
    rest = None if test is None else parse_part(Source, test, where="data.test")
    table = tidy(origin.read())
    if not wanted and time is None:
        raise UsageError("E701", "no target is given", expected="the column to predict", fix=f"--target {table.columns[-1]}")
    check_targets(table, wanted if time is None else [*wanted, time])
    seen = profile(table, target=wanted[0] if wanted else None, test=None if rest is None else tidy(rest.read()))
    columns = _columns(seen, table, wanted) if time is None else _foretold(seen, wanted, time, horizon)
    lines = [*_head(seen), "", *_data(origin, rest, seen, wanted, time), "", *columns]
    return "\n".join([*lines, *_networks(), "", *_training(), ""])


def _head(seen: Profile) -> Iterator[str]:
    yield f"# A recipe for {seen.name}: {seen.rows:,} rows × {len(seen.columns)} columns, written by `deepwright init`."
    yield "# A line that is commented out with its key shows the default. `deepwright parts` lists what can stand for a part."
    yield "format: 1"


def _data(origin: Source, rest: Source | None, seen: Profile, targets: Sequence[str], time: str | None) -> Iterator[str]:
    ignored = [column.name for column in seen.columns if column.name not in targets and not _known(column)]
    yield "data:"
    yield f"  source: {_source(origin)}"
    written = {"source", "clean", "split"}
    if rest is not None:
        yield f"  test: {_source(rest)}"
        written.add("test")
    if time is not None:
        yield _commented(f"  time: {flow(time)}", "The rows are put in its order, and those that come next are foretold.")
        written.add("time")
    for finding in seen.findings:
        sign = {"error": "!!", "warn": "! ", "info": "  "}[finding.severity]
        yield f"  # {sign} {finding.text}"
        if finding.fix:
            yield f"  #      {finding.fix}"
    if ignored and time is None:
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


def _foretold(seen: Profile, targets: Sequence[str], time: str, horizon: int | None) -> Iterator[str]:
    names = [column.name for column in seen.columns]
    beside = [name for name in names if name not in (*targets, time)]
    yield "inputs:"
    yield f"  {unused('history', names)}:"
    yield "    type: window"
    yield from _defaults(Window, indent=4, without=_OF_OUTPUTS)
    yield _commented(f"  # {unused('later', names)}:", "Columns that are known for the rows to come, such as those of a calendar.")
    yield "  #   type: ahead"
    yield f"  #   channels: {flow(beside[:2] or ['COLUMN'])}"
    yield ""
    yield "outputs:"
    yield f"  {unused('future', names)}:"
    yield "    type: forecast"
    told = {"channels": list(targets) or None, "horizon": horizon}
    yield from (f"    {key}: {flow(value)}" for key, value in told.items() if value is not None)
    yield from _defaults(Forecast, indent=4, without={key for key, value in told.items() if value} | _OF_INPUTS)
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


def _defaults(spec: type[Spec], *, indent: int, inner: int = 0, without: set[str] | None = None) -> Iterator[str]:
    for help_ in fields(spec):
        if help_.name not in (without or ()):
            yield _commented(f"{' ' * indent}# {' ' * inner}{help_.name}: {help_.default}", help_.help)


def _commented(text: str, comment: str) -> str:
    return f"{text:<{WIDTH}} # {comment}" if comment else text
