"""The conformance suite of fusions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from deepwright.blocks.contract import FusionModule
from deepwright.families import Fusion
from deepwright.testing.networks import check_gradients, check_onnx, check_repeatable, expect_equal

MEMBERS = 4
"""K, where the second vector has members."""


PLACES = (6, 4)
"""T of two sequences."""


def _vectors(part: Fusion, rows: int, members: bool) -> list[Any]:
    draw = torch.Generator().manual_seed(rows)
    if part.reads == "sequence":
        states = [torch.randn(rows, t, width, generator=draw) for t, width in zip(PLACES, part.example_widths(), strict=True)]
        lengths = [torch.randint(0, t + 1, (rows, 1), generator=draw) for t in PLACES]
        return [(x, torch.arange(x.shape[1]) < length) for x, length in zip(states, lengths, strict=True)]
    plain, other = (
        torch.randn(rows, part.example_widths()[0], generator=draw),
        torch.randn(rows, MEMBERS, part.example_widths()[1], generator=draw),
    )
    return [plain, other if members else other[:, 0]]


def _build(part: Fusion) -> FusionModule:
    torch.manual_seed(0)
    return part.build(part.example_widths())


def check_shape(part: Fusion) -> None:
    """The result is (B, width), or (B, K, width) if any vector has members."""
    module = _build(part).eval()
    for rows in (1, 5):
        assert module(_vectors(part, rows, False)).shape == (rows, module.width), "vectors give the wrong shape"
        if part.reads == "vector":
            assert module(_vectors(part, rows, True)).shape == (rows, MEMBERS, module.width), "members give the wrong shape"


def check_members(part: Fusion) -> None:
    """Member k is fused as if it were alone with the vectors that have no members."""
    if part.reads == "sequence":
        return
    module = _build(part).eval()
    plain, members = _vectors(part, 5, True)
    together = module([plain, members])
    for k in range(MEMBERS):
        expect_equal(together[:, k], module([plain, members[:, k]]), f"member {k}")


def check_gradient_flow(part: Fusion) -> None:
    """Every parameter learns, with and without members."""
    for members in (False, True):
        module = _build(part)
        check_gradients(module, lambda module=module, members=members: module(_vectors(part, 16, members)))  # type: ignore[misc]


def check_row_independence(part: Fusion) -> None:
    """In evaluation a row's result does not depend on the other rows."""
    module = _build(part).eval()
    vectors = _vectors(part, 7, True)
    alone = torch.cat([module([_rows(v, slice(i, i + 1)) for v in vectors]) for i in range(7)])
    expect_equal(alone, module(vectors), "rows alone and together")


def check_padding(part: Fusion) -> None:
    """What stands behind the end of a sequence does not count, however long it is, nor learns."""
    if part.reads == "vector":
        return
    module = _build(part).eval()
    vectors = _vectors(part, 9, False)
    padded = [
        (
            torch.cat([x.masked_fill(~mask.unsqueeze(2), 7.0), x[:, :more]], 1),
            torch.cat([mask, torch.zeros_like(mask[:, :more])], 1),
        )
        for more, (x, mask) in zip((3, 1), vectors, strict=True)
    ]
    expect_equal(module(padded), module(vectors), "with something else behind the end")


def _rows(vector: Any, chosen: slice) -> Any:
    return tuple(each[chosen] for each in vector) if isinstance(vector, tuple) else vector[chosen]


def check_determinism(part: Fusion) -> None:
    """One seed repeats building and training; evaluation is free of chance and changes nothing."""
    check_repeatable(lambda: part.build(part.example_widths()), lambda module: module(_vectors(part, 6, True)))


class _Positional(nn.Module):
    """The fusion with positional inputs, as a graph has them."""

    def __init__(self, module: FusionModule, *, sequences: bool) -> None:
        super().__init__()
        self.module = module
        self.sequences = sequences

    def forward(self, *tensors: Tensor) -> Tensor:
        pairs = [(tensors[i], tensors[i + 1]) for i in range(0, len(tensors), 2)] if self.sequences else list(tensors)
        fused: Tensor = self.module(pairs)
        return fused


def check_export(part: Fusion) -> None:
    """The exported graph agrees with the module; members included."""
    sequences = part.reads == "sequence"

    def inputs(rows: int) -> list[Tensor]:
        vectors = _vectors(part, rows, True)
        return [tensor for pair in vectors for tensor in pair] if sequences else vectors

    check_onnx(_Positional(_build(part), sequences=sequences), inputs)


CHECKS: tuple[Callable[[Fusion], None], ...] = (
    check_shape,
    check_members,
    check_gradient_flow,
    check_row_independence,
    check_padding,
    check_determinism,
    check_export,
)
"""Every check of this suite."""


def conforms(part: Fusion) -> None:
    """Run every check on one part.

    Raises:
        AssertionError: The part breaks the contract of its family.
    """
    for check in CHECKS:
        check(part)
