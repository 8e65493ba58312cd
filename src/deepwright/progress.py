"""What a long work tells whoever watches it (floor 0). No step prints; the command line and notebooks listen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Event:
    """One thing worth telling.

    Args:
        stage: What the work is at: ``data``, ``clean``, ``model``, ``machine``, ``training``, ``stopped``, ``export``, ``test``,
            ``bundle``, ``resume``, ``warning``, ``note``.
        text: One line for people.
        done: The fraction done, in [0, 1], where the stage has a length; ``None`` for a plain line.
        left: Seconds left, if known.
        values: Figures for programs, such as ``{"epoch": 3, "loss": 0.31}``.
    """

    stage: str
    text: str
    done: float | None = None
    left: float | None = None
    values: dict[str, Any] = field(default_factory=dict)


Listener = Callable[[Event], None]
"""Takes events as they come; must not raise."""


def silent(event: Event) -> None:
    """Listen and say nothing."""
