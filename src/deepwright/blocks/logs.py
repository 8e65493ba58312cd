"""What a logger opens (free of torch)."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Self


class LogWriter:
    """Takes the figures of a run, each step once; a context manager that closes itself.

    A killed run may have logged steps that its last checkpoint does not hold: the resumed run makes them again, to the same bits,
    and they are left out.

    Args:
        last: The last step that is written already; -1 for none.
    """

    def __init__(self, last: int = -1) -> None:
        self.last = last

    def log(self, step: int, figures: Mapping[str, float]) -> None:
        """Write the figures of a step, all of them in one call; steps up to the last one written are left out.

        Args:
            step: Steps done.
            figures: Values by name, such as ``{"train_loss": 0.3, "lr": 0.001}``.
        """
        if step > self.last:
            self.write(step, figures)
            self.last = step

    def write(self, step: int, figures: Mapping[str, float]) -> None:
        """Write the figures of a new step, so that they outlast a kill."""
        raise NotImplementedError

    def close(self) -> None:
        """Write what is left and let go; may be called twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()
