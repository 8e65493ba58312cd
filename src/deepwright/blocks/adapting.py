"""What encoders with weights of others declare alike. Importing this file does not import torch, so that parts can use it."""

from __future__ import annotations

import re

from pydantic import Field, field_validator

from deepwright.parts import Spec


class LowRank(Spec):
    """Low-rank adaptation (LoRA, arXiv 2106.09685): the weights stay, and what is added to them is a product of thin matrices."""

    rank: int = Field(8, ge=1)
    """The rank of what is added to each weight."""
    alpha: float = Field(16.0, gt=0)
    """What is added is scaled by ``alpha / rank``."""
    only: str = ""
    """A regular expression of the names of the layers that learn; by default all linear layers and convolutions."""

    @field_validator("only")
    @classmethod
    def _regular(cls, value: str) -> str:
        return regular(value)


def regular(value: str, new: str | None = None) -> str:
    """Return a regular expression that is one, and whose replacement fits it.

    Raises:
        ValueError: It is not.
    """
    try:
        re.compile(value)
        re.sub(value, new or "", "")  # looks at the groups that the replacement names
    except (re.error, IndexError) as error:
        raise ValueError(f"{value!r} is not a regular expression, or {new!r} not its replacement: {error}") from None
    return value
