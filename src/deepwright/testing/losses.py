"""The conformance suite of losses: every kind of output that a loss fits."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from deepwright.blocks.contract import RowLoss
from deepwright.facts import ForecastFacts, TargetFacts, TargetKind, TokensFacts
from deepwright.families import Loss
from deepwright.testing.networks import expect_equal

SURE = 12.0
"""A logit that is as good as certain."""


def target_facts(kind: TargetKind) -> TargetFacts:
    """Return tiny facts of an output of ``kind``."""
    if kind == "image":
        return TargetFacts("output", kind, rows=100, center=120.0, scale=60.0, channels=3)
    if kind == "text":
        return TargetFacts("output", kind, tokens=TokensFacts(("<pad>", "<unk>", *"abcd"), 5))
    plain: dict[str, tuple[str, ...]] = {"number": (), "match": (), "forecast": (), "binary": ("no", "yes")}
    classes = plain.get(kind, ("a", "b", "c", "d"))
    counts = {"number": (), "match": (), "forecast": (), "binary": (75, 25)}.get(kind, (10, 20, 30, 40))
    ahead = ForecastFacts(("one", "other"), (5.0, -1.0), (2.0, 10.0), horizon=3, season=2) if kind == "forecast" else None
    return TargetFacts("output", kind, classes, counts, rows=100, center=5.0, scale=2.0, forecast=ahead, longest=5)


def targets(kind: TargetKind, rows: int) -> Tensor:
    """Return random targets, as the data path encodes them and the assembler hands them on."""
    draw = torch.Generator().manual_seed(rows)
    if kind == "number":
        return torch.randn(rows, generator=draw)
    if kind == "forecast":
        return torch.randn(rows, 3, 2, generator=draw)
    if kind == "multilabel":
        return (torch.rand(rows, 4, generator=draw) < 0.5).float()
    if kind == "mask":
        return torch.randint(-1, 4, (rows, 6, 7), generator=draw)
    if kind == "image":
        return torch.rand(rows, 3, 12, 13, generator=draw) * 4 - 2
    return torch.randint(0, 2 if kind == "binary" else 4, (rows,), generator=draw)


def perfect(kind: TargetKind, target: Tensor) -> Tensor:
    """Return raw predictions that say ``target`` with near certainty."""
    if kind in ("number", "forecast", "image"):
        return target.clone()
    if kind == "mask":
        return SURE * torch.nn.functional.one_hot(target.clamp_min(0), 4).permute(0, 3, 1, 2).float()
    if kind == "multiclass":
        return SURE * torch.nn.functional.one_hot(target, 4).float()
    if kind == "ordinal":
        return SURE * (2.0 * (target.unsqueeze(1) > torch.arange(3)).float() - 1.0)
    return SURE * (2.0 * target.float() - 1.0)


def _cases(part: Loss) -> Iterator[tuple[TargetKind, RowLoss]]:
    for kind in part.kinds:
        yield kind, part.build(target_facts(kind))


def check_rows(part: Loss) -> None:
    """One finite loss of at least 0 for each row, in float32, that no other row changes."""
    for kind, loss in _cases(part):
        target = targets(kind, 6)
        raw = perfect(kind, target) * 0.1 + 0.3
        losses = loss(raw, target)
        assert losses.shape == (6,), f"{kind}: shape {tuple(losses.shape)}, expected (6,)"
        assert losses.dtype == torch.float32, f"{kind}: {losses.dtype}, expected float32"
        assert (torch.isfinite(losses) & (losses >= 0)).all(), f"{kind}: a loss is negative or not finite"
        expect_equal(loss(raw[2:3], target[2:3]), losses[2:3], f"{kind}: a row alone")
        assert loss(raw[:0], target[:0]).shape == (0,), f"{kind}: no rows"


def check_minimum(part: Loss) -> None:
    """The perfect prediction costs (nearly) nothing; others cost more; every step towards it costs less."""
    for kind, loss in _cases(part):
        target = targets(kind, 8)
        best, wrong = perfect(kind, target), perfect(kind, targets(kind, 8).flip(0))
        assert loss(best, target).max() < 1e-3, f"{kind}: the perfect prediction costs something"
        path = torch.stack([loss(best + step * (wrong - best), target).mean() for step in torch.linspace(0, 1, 5)])
        assert (path.diff() > 0).all(), f"{kind}: the loss does not fall towards the target"


def check_gradient(part: Loss) -> None:
    """Gradients are finite even for extreme predictions, and a step against them lowers the loss."""
    for kind, loss in _cases(part):
        target = targets(kind, 8)
        for factor in (0.0, 1.0, -1.0, 1e4, -1e4):
            raw = (perfect(kind, target) * factor).requires_grad_()
            losses = loss(raw, target)
            (gradient,) = torch.autograd.grad(losses.sum(), raw)
            assert torch.isfinite(losses).all(), f"{kind}: not finite at {factor:g} × perfect"
            assert torch.isfinite(gradient).all(), f"{kind}: gradient not finite at {factor:g} × perfect"
        raw = (perfect(kind, target) * 0.1 + 0.2).requires_grad_()
        before = loss(raw, target).sum()
        (gradient,) = torch.autograd.grad(before, raw)
        assert loss(raw - 1e-2 * gradient, target).sum() < before, f"{kind}: a gradient step raises the loss"


CHECKS: tuple[Callable[[Loss], None], ...] = (check_rows, check_minimum, check_gradient)
"""Every check of this suite."""


def conforms(part: Loss) -> None:
    """Run every check on one part.

    Raises:
        AssertionError: The part breaks the contract of its family.
    """
    for check in CHECKS:
        check(part)
