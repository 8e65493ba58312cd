"""What every schedule keeps: ``from deepwright.testing.schedules import *`` in a test file runs it over the whole folder."""

from __future__ import annotations

import math

import pytest

from deepwright.families import Schedule

__all__ = ["test_schedule_is_a_pure_factor", "test_schedule_round_trips", "test_schedule_warms_up"]

SCHEDULES = Schedule.all()
SCORES: tuple[tuple[float, ...], ...] = (
    (),
    (0.5,),
    (0.1, 0.2, 0.3),
    (0.9,) * 50,
    (math.nan, 0.1, math.nan),
    (-math.inf, -3.0, math.inf),
)


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedule_round_trips(name: str) -> None:
    """Dumping and parsing a schedule gives it back."""
    part = SCHEDULES[name].example()
    assert Schedule.parse(part.dump()) == part
    assert Schedule.parse(part.dump(defaults=False)) == part


@pytest.mark.parametrize("scores", SCORES, ids=str)
@pytest.mark.parametrize("name", SCHEDULES)
def test_schedule_is_a_pure_factor(name: str, scores: tuple[float, ...]) -> None:
    """The factor is in [0, 1] all along, depends on its arguments only, in any order of asking, and somewhere reaches the peak."""
    part, again = SCHEDULES[name].example(), SCHEDULES[name].example()
    places = [step / 1000 for step in range(1001)]
    factors = [part.factor(progress, scores) for progress in places]
    assert all(isinstance(factor, float) and 0.0 <= factor <= 1.0 for factor in factors)
    assert factors == [again.factor(progress, scores) for progress in reversed(places)][::-1]
    assert max(part.factor(progress, ()) for progress in places) == pytest.approx(1.0)


@pytest.mark.parametrize("name", SCHEDULES)
def test_schedule_warms_up(name: str) -> None:
    """With a warm-up the multiplier rises linearly from zero, and after it is the factor."""
    part = SCHEDULES[name].example().model_copy(update={"warmup": 0.1})
    assert part.multiplier(0.0, ()) == 0.0
    assert part.multiplier(0.05, ()) == pytest.approx(part.factor(0.05, ()) / 2)
    assert [part.multiplier(p, ()) for p in (0.1, 0.4, 1.0)] == [part.factor(p, ()) for p in (0.1, 0.4, 1.0)]
