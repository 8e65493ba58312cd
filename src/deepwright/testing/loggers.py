"""What every logger keeps: ``from deepwright.testing.loggers import *`` in a test file runs it over the whole folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from deepwright.blocks.logs import LogWriter
from deepwright.errors import MissingExtra
from deepwright.facts import RunFacts
from deepwright.families import Logger

__all__ = [
    "test_logger_goes_on_where_it_was",
    "test_logger_outlasts_a_kill",
    "test_logger_starts_a_new_run_afresh",
]

LOGGERS = Logger.all()
RECIPE = {
    "training": {"seed": 0, "optimizer": {"type": "adamw", "betas": [0.9, 0.999]}},
    "outputs": {"größe: a/b": {"type": "number"}},
}


def _opened(name: str, directory: Path, step: int) -> LogWriter:
    try:
        return LOGGERS[name].example().open(directory, RunFacts("a run", RECIPE, step))
    except MissingExtra as missing:
        pytest.skip(str(missing))


@pytest.mark.parametrize("name", LOGGERS)
def test_logger_goes_on_where_it_was(name: str, tmp_path: Path) -> None:
    """A resumed run finds the last step that was written, by reading it back, and writes none again."""
    with _opened(name, tmp_path / "logs", 0) as log:
        assert log.last == -1
        log.log(0, {"train_loss": 2.0})
        log.log(7, {"train_loss": 0.5, "größe: a/b.rmse": float("nan")})
    log.close()
    for more in (9, 12):
        with _opened(name, tmp_path / "logs", 5) as log:
            assert log.last == (7 if more == 9 else 9)
            log.log(6, {"train_loss": -1.0})
            log.log(log.last, {"train_loss": -1.0})
            log.log(more, {"train_loss": 0.25, "new": 1})


@pytest.mark.parametrize("name", LOGGERS)
def test_logger_outlasts_a_kill(name: str, tmp_path: Path) -> None:
    """What was logged is on disk though the log was never closed."""
    killed = _opened(name, tmp_path / "logs", 0)
    killed.log(3, {"train_loss": 0.5})
    with _opened(name, tmp_path / "logs", 2) as log:
        assert log.last == 3
    killed.close()


@pytest.mark.parametrize("name", LOGGERS)
def test_logger_starts_a_new_run_afresh(name: str, tmp_path: Path) -> None:
    """A new run in a folder that an earlier one used holds nothing of it."""
    with _opened(name, tmp_path / "logs", 0) as log:
        log.log(3, {"train_loss": 0.5})
    with _opened(name, tmp_path / "logs", 0) as log:
        assert log.last == -1
        log.log(1, {"train_loss": 0.5})
    with _opened(name, tmp_path / "logs", 1) as log:
        assert log.last == 1
