"""The logger ``tensorboard``."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from deepwright.blocks.logs import LogWriter
from deepwright.errors import need
from deepwright.facts import RunFacts
from deepwright.families import Logger

ENDING = ".deepwright"
"""What our event files end in, so that a new run removes no others."""


class TensorBoard(Logger):
    """Event files for ``tensorboard --logdir FOLDER``, which draws the figures and shows the recipe (extra ``tensorboard``)."""

    def open(self, directory: Path, run: RunFacts) -> LogWriter:
        """Open an event file in ``directory``.

        Raises:
            MissingExtra: TensorBoard is not installed (E601).
        """
        need("tensorboard", extra="tensorboard")
        directory.mkdir(parents=True, exist_ok=True)
        files = sorted(directory.glob(f"events.out.tfevents.*{ENDING}"))
        if run.step == 0:
            for file in files:
                file.unlink()
            files = []
        writer = _Events(directory, max((_last_step(file) for file in files), default=-1))
        if not files:
            writer.text(
                "recipe", "    " + yaml.safe_dump(dict(run.recipe), sort_keys=False, allow_unicode=True).replace("\n", "\n    ")
            )
        return writer


class _Events(LogWriter):
    """One more event file of a folder; TensorBoard reads them as one run, in the order of their names."""

    def __init__(self, directory: Path, last: int) -> None:
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter

        super().__init__(last)
        self._event = Event
        self._file: Any = RecordWriter((directory / f"events.out.tfevents.{time.time_ns()}{ENDING}").open("xb"))
        self._add(file_version="brain.Event:2")

    def write(self, step: int, figures: Mapping[str, float]) -> None:
        """Add one event that holds all figures of the step."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        values = [Summary.Value(tag=name, simple_value=value) for name, value in figures.items()]
        self._add(step=step, summary=Summary(value=values))

    def text(self, name: str, text: str) -> None:
        """Add a text in Markdown."""
        from tensorboard.plugins.text.summary import text_pb

        self._add(step=0, summary=text_pb(name, text))

    def _add(self, **content: Any) -> None:
        self._file.write(self._event(wall_time=time.time(), **content).SerializeToString())
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _last_step(file: Path) -> int:
    """Return the last step whose figures an event file holds whole, -1 if it holds none."""
    from tensorboard.backend.event_processing.event_file_loader import LegacyEventFileLoader

    steps = (
        event.step
        for event in LegacyEventFileLoader(str(file)).Load()
        if any(value.WhichOneof("value") == "simple_value" for value in event.summary.value)
    )
    return max(steps, default=-1)
