"""What people see of a long work: events and errors to stderr, results to stdout (floor 0).

On a terminal, training shows a live bar; in a pipe or CI there are plain lines, at most one an epoch.
"""

from __future__ import annotations

import json
import math
import os
import re
import sys
from collections.abc import Mapping
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self

from deepwright.errors import DeepwrightError, Problem
from deepwright.progress import Event

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

STAGE_WIDTH = 11
"""The width of the first column, in characters."""
MOST_PROBLEMS = 50
"""How many problems are printed; all of them are in ``--json``."""

_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_COLORS = {"warning": "33", "stopped": "33", "test": "1", "bundle": "1", "next": "36", "error": "31"}


def is_live(stream: IO[str]) -> bool:
    """Return whether ``stream`` is a terminal with a person before it: not a pipe, not CI, not a dumb terminal."""
    return stream.isatty() and not os.environ.get("CI") and os.environ.get("TERM") != "dumb"


def is_leader() -> bool:
    """Return whether this process, of those that ``torchrun`` started together, is the one that talks."""
    return os.environ.get("WORLD_SIZE", "1") == "1" or os.environ.get("RANK", "0") == "0"


def paint(text: str, style: str, stream: IO[str]) -> str:
    """Return ``text`` in the colour of ``style``, where ``stream`` shows colours and ``NO_COLOR`` is not set."""
    color = _COLORS.get(style)
    return f"\x1b[{color}m{text}\x1b[0m" if color and is_live(stream) and not os.environ.get("NO_COLOR") else text


def printable(text: str) -> str:
    """Return ``text`` without control characters (line feeds aside): what data hold must not steer the terminal."""
    return _CONTROL.sub("�", text)


def line(stage: str, text: str, stream: IO[str]) -> str:
    """Return one line of the log: two blanks, the stage in its column, the text; further lines of the text are aligned."""
    first, *rest = printable(text).splitlines() or [""]
    indent = " " * (2 + STAGE_WIDTH)
    return "\n".join([f"  {paint(f'{stage:<{STAGE_WIDTH - 1}} ', stage, stream)}{first}", *(indent + more for more in rest)])


def clock(seconds: float) -> str:
    """Return a time left: ``0:07``, ``1:12``, ``2:03:00``."""
    whole = max(0, round(seconds))
    hours, rest = divmod(whole, 3600)
    minutes, second = divmod(rest, 60)
    return f"{hours}:{minutes:02d}:{second:02d}" if hours else f"{minutes}:{second:02d}"


class Console:
    """A listener that prints events; a context manager, so that the live bar is always taken down.

    Args:
        quiet: Print warnings only.
        stream: Where to print; stderr by default.
    """

    def __init__(self, *, quiet: bool = False, stream: IO[str] | None = None) -> None:
        self._quiet = quiet
        self._mute = not is_leader()
        self._stream = stream if stream is not None else sys.stderr
        self._live = is_live(self._stream)
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        self._mark: tuple[str, object] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end_bar()

    def __call__(self, event: Event) -> None:
        """Print one event."""
        if self._mute or (self._quiet and event.stage != "warning"):
            return
        if event.done is None:
            # a plain line amid training scrolls above the bar; the end of training takes the bar down
            if event.stage not in ("training", "warning", "note"):
                self._end_bar()
            self._print(event.stage, event.text)
        elif self._live:
            self._update_bar(event)
        elif self._is_news(event):
            left = f"   {clock(event.left)} left" if event.left is not None else ""
            self._print(event.stage, event.text + left)

    def say(self, stage: str, text: str) -> None:
        """Print one line of the command's own, such as what to do next."""
        self(Event(stage, text))

    def _print(self, stage: str, text: str) -> None:
        shown = line(stage, text, self._stream)
        if self._bar is not None:
            from rich.text import Text

            self._bar.console.print(Text.from_ansi(shown), highlight=False, soft_wrap=True)
        else:
            self._stream.write(shown + "\n")
            self._stream.flush()

    def _is_news(self, event: Event) -> bool:
        """Return whether a plain log shall tell of it: at the end of an epoch, or where there is none once a tenth."""
        if "evaluated" in event.values:
            return bool(event.values["evaluated"])
        mark = (event.stage, event.values.get("epoch", math.floor(10 * (event.done or 0.0))))
        if mark == self._mark:
            return False
        self._mark = mark
        return True

    def _update_bar(self, event: Event) -> None:
        if self._bar is not None and self._mark != (event.stage, None):
            self._end_bar()
        if self._bar is None:
            from rich.console import Console as RichConsole
            from rich.progress import BarColumn, Progress, TextColumn

            columns = (
                TextColumn("  {task.fields[stage]:<" + str(STAGE_WIDTH - 1) + "}", markup=False),
                BarColumn(24),
                TextColumn("{task.description}", markup=False),
                TextColumn("{task.fields[left]}", markup=False),
            )
            self._bar = Progress(*columns, console=RichConsole(file=self._stream, highlight=False), refresh_per_second=8)
            self._task = self._bar.add_task("", total=1.0, stage=event.stage, left="")
            self._mark = (event.stage, None)
            self._bar.start()
        if self._task is not None:
            left = f"{clock(event.left)} left" if event.left is not None else ""
            self._bar.update(self._task, completed=event.done or 0.0, description=event.text, left=left)

    def _end_bar(self) -> None:
        if self._bar is not None:
            self._bar.stop()
        self._bar = self._task = None


def print_errors(error: DeepwrightError, *, as_json: bool) -> None:
    """Print all problems of ``error`` to stderr, and to stdout as ``{"errors": […]}`` if programs listen."""
    if as_json:
        emit_json({"errors": error.as_json()})
    stream = sys.stderr
    shown = error.problems[:MOST_PROBLEMS]
    blocks = [_problem(problem, stream) for problem in shown]
    if len(error.problems) > len(shown):
        blocks.append(f"         … and {len(error.problems) - len(shown)} more (--json shows all)")
    if shown[0].code != "E701":
        blocks.append(f"         deepwright explain-error {shown[0].code} tells more")
    stream.write("\n".join(blocks) + "\n")


def _problem(problem: Problem, stream: IO[str]) -> str:
    place = f"{problem.where}: " if problem.where else ""
    lines = [f"  {paint('error', 'error', stream)}  {problem.code}  {printable(place + problem.message)}"]
    facts = (("got", problem.got), ("expected", problem.expected), ("do", problem.fix))
    for label, text in facts:
        first, *rest = printable(text).splitlines() or [""]
        if text:
            lines += [f"         {label:<{STAGE_WIDTH}}{first}", *(" " * (9 + STAGE_WIDTH) + more for more in rest)]
    return "\n".join(lines)


def plain(value: Any) -> Any:
    """Return ``value`` in the types of JSON: numbers that JSON lacks become null, anything unknown its text."""
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(entry) for entry in value]
    if isinstance(value, bool | int | str | None):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return plain(value.item()) if hasattr(value, "item") else str(value)


def emit_json(value: Any) -> None:
    """Print ``value`` to stdout as JSON."""
    sys.stdout.write(json.dumps(plain(value), indent=2, ensure_ascii=False) + "\n")


def emit(text: str) -> None:
    """Print ``text`` to stdout."""
    sys.stdout.write(text if text.endswith("\n") else text + "\n")
