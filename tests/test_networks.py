"""Tabular networks, fusions, heads and losses: the conformance suites over the folders, and what is special."""

from __future__ import annotations

import pytest

from deepwright.families import Encoder, Fusion, Head, Loss
from deepwright.testing import encoders, fusions, heads, losses

SUITES = ((Encoder, encoders), (Fusion, fusions), (Head, heads), (Loss, losses))
CONFORMANCE = [
    pytest.param(part, check, id=f"{family.family}-{name}-{check.__name__.removeprefix('check_')}")
    for family, suite in SUITES
    for name, part in family.all().items()
    for check in suite.CHECKS
]


@pytest.mark.parametrize(("part", "check"), CONFORMANCE)
def test_conformance(part, check):
    check(part.example())
