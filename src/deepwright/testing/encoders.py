"""The conformance suite of encoders: what every encoder must do, on every wire that it accepts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import suppress

import torch
from torch import Tensor, nn

from deepwright.blocks.contract import EncoderModule, MapEncoderModule
from deepwright.datapath import trimmed
from deepwright.errors import RecipeError
from deepwright.facts import SEQUENCES, Facts
from deepwright.families import Encoder
from deepwright.testing.networks import (
    arrays_of,
    check_gradients,
    check_onnx,
    check_repeatable,
    expect_equal,
    facts_of,
    padded,
)


def _inputs(part: Encoder) -> Iterator[Facts]:
    """Yield all inputs that the encoder accepts, on every wire at least one: it may name columns that others lack."""
    for wire in part.accepts:
        taken = 0
        for facts in facts_of(wire):
            with suppress(RecipeError):
                part.build(facts)
                taken += 1
                yield facts
        assert taken, f"the example takes none of the inputs of wire {wire}"


def _cases(part: Encoder) -> Iterator[tuple[Facts, EncoderModule]]:
    """Yield freshly built modules for all inputs that the encoder accepts."""
    for facts in _inputs(part):
        torch.manual_seed(0)
        yield facts, part.build(facts)


def check_shape(part: Encoder) -> None:
    """The result is float32 of (B, width), or (B, members, width) for several members, and finite."""
    for facts, module in _cases(part):
        for rows in (1, 5):
            result = module.eval()(arrays_of(facts, rows))
            shape = (rows, module.width) if module.members == 1 else (rows, module.members, module.width)
            assert result.shape == shape, f"{facts.name}: shape {tuple(result.shape)}, expected {shape}"
            assert result.dtype == torch.float32, f"{facts.name}: {result.dtype}, expected float32"
            assert torch.isfinite(result).all(), f"{facts.name}: missing, unseen or extreme values give NaN or infinity"


def check_gradient_flow(part: Encoder) -> None:
    """Every parameter learns."""
    for facts, module in _cases(part):
        arrays = arrays_of(facts, 32)
        check_gradients(module, lambda module=module, arrays=arrays: _all_of(module, arrays))  # type: ignore[misc]


def _all_of(module: EncoderModule, arrays: dict[str, Tensor]) -> Tensor:
    """Return all that an encoder gives of each row, (B, …): its vector, and its map if it has one."""
    if not isinstance(module, MapEncoderModule):
        return module(arrays)  # type: ignore[no-any-return]
    return torch.cat([module(arrays).flatten(1), module.maps(arrays).flatten(1)], 1)


def check_maps(part: Encoder) -> None:
    """A map is as high and wide as the picture, finite, alone or among others; it learns, exports and takes other sizes."""
    if "map" not in part.produces:
        return
    for facts, module in _cases(part):
        assert isinstance(module, MapEncoderModule), "an encoder that produces a map has maps"
        assert facts.image is not None
        image = facts.image
        sizes = [(image.height, image.width)] + ([(image.height - 3, image.width + 1)] if part.any_size else [])
        for height, width in sizes:
            arrays = arrays_of(dataclasses.replace(facts, image=dataclasses.replace(image, height=height, width=width)), 4)
            torch.autograd.backward(module.train().maps({key: value[:1] for key, value in arrays.items()}).sum())
            with torch.inference_mode():
                maps = module.eval().maps(arrays)
                assert maps.shape == (4, module.maps_width, height, width), f"{facts.name}: shape {tuple(maps.shape)}"
                assert torch.isfinite(maps).all()
                alone = torch.cat([module.maps({key: value[i : i + 1] for key, value in arrays.items()}) for i in range(4)])
            expect_equal(alone, maps, f"{facts.name}: rows alone and together")
    facts = facts_of("image")[0]
    check_onnx(_Maps(part.build(facts)), lambda rows: tuple(arrays_of(facts, rows).values()))


class _Maps(nn.Module):
    """An encoder's maps, with positional inputs."""

    def __init__(self, module: EncoderModule) -> None:
        super().__init__()
        self.module = module

    def forward(self, *tensors: Tensor) -> Tensor:
        maps: Tensor = self.module.maps({"image": tensors[0]})  # type: ignore[operator]
        return maps


def check_lone_row(part: Encoder) -> None:
    """A training batch of one row works."""
    for facts, module in _cases(part):
        result = module.train()(arrays_of(facts, 1))
        assert torch.isfinite(result).all(), f"{facts.name}: one row in training gives NaN or infinity"
        if result.requires_grad:
            result.sum().backward()


def check_row_independence(part: Encoder) -> None:
    """In evaluation a row's result does not depend on the other rows."""
    for facts, module in _cases(part):
        arrays = arrays_of(facts, 7)
        module.eval()
        with torch.inference_mode():
            together = module(arrays)
            alone = torch.cat([module({key: value[i : i + 1] for key, value in arrays.items()}) for i in range(7)])
        expect_equal(alone, together, f"{facts.name}: rows alone and together")


def check_determinism(part: Encoder) -> None:
    """One seed repeats building and training; evaluation is free of chance and changes nothing."""
    for facts in _inputs(part):
        arrays = arrays_of(facts, 6)
        check_repeatable(lambda facts=facts: part.build(facts), lambda module, arrays=arrays: module(arrays))  # type: ignore[misc]


def check_state(part: Encoder) -> None:
    """The state dictionary and the facts are all that a trained module is."""
    for facts, module in _cases(part):
        arrays = arrays_of(facts, 6)
        module.train()(arrays)  # moves running statistics
        torch.manual_seed(1)
        twin = part.build(facts)
        twin.load_state_dict(module.state_dict())
        with torch.inference_mode():
            assert torch.equal(twin.eval()(arrays), module.eval()(arrays)), f"{facts.name}: weights do not carry over"


def check_half_precision(part: Encoder) -> None:
    """Under bfloat16 autocast, training runs and stays near."""
    for facts, module in _cases(part):
        arrays = arrays_of(facts, 6)
        module.eval()
        with torch.autocast("cpu", torch.bfloat16):
            result = module(arrays)
        if result.requires_grad:
            result.float().sum().backward()
        with torch.inference_mode():
            expect_equal(result.detach().float(), module(arrays), f"{facts.name}: bfloat16", tolerance=0.1)


class _Positional(nn.Module):
    """The encoder with positional inputs, as a graph has them."""

    def __init__(self, module: EncoderModule, names: tuple[str, ...]) -> None:
        super().__init__()
        self.module = module
        self.names = names

    def forward(self, *tensors: Tensor) -> Tensor:
        encoded: Tensor = self.module(dict(zip(self.names, tensors, strict=True)))
        return encoded


def check_export(part: Encoder) -> None:
    """The exported graph agrees with the module, missing and unseen values included. The richest input of each wire."""
    for wire in part.accepts:
        facts = facts_of(wire)[0]
        torch.manual_seed(0)
        names = tuple(arrays_of(facts, 1))
        module = _Positional(part.build(facts), names)
        sequences = [index for index, name in enumerate(names) if name in SEQUENCES]

        def inputs(rows: int, facts: Facts = facts, *, cut: bool = bool(sequences)) -> tuple[Tensor, ...]:
            arrays = arrays_of(facts, rows)
            # Of one row the sequence is lengthened, so that graphs meet lengths that they were not traced with.
            return tuple((padded(arrays) if cut and rows == 1 else arrays).values())

        check_onnx(module, inputs, sequences=sequences)


def check_padding(part: Encoder) -> None:
    """What stands behind the end of a sequence does not count; a sequence without a place has a finite vector."""
    for facts, module in _cases(part):
        arrays = arrays_of(facts, 5)
        if not any(key in SEQUENCES for key in arrays):
            continue
        module.eval()
        with torch.inference_mode():
            expect_equal(module(padded(arrays)), module(arrays), f"{facts.name}: with more padding")
            short = {key: value[2:] for key, value in arrays.items()}
            expect_equal(module(trimmed(short)), module(short), f"{facts.name}: cut to the longest row")


def check_any_size(part: Encoder) -> None:
    """An encoder that says so takes pictures of another size than that of the facts."""
    if not part.any_size:
        return
    for facts, module in _cases(part):
        if facts.image is not None:
            image = dataclasses.replace(facts.image, height=facts.image.height - 4, width=facts.image.width - 4)
            result = module(arrays_of(dataclasses.replace(facts, image=image), 3))
            assert result.shape == (3, module.width), f"{facts.name}: shape {tuple(result.shape)}"
            assert torch.isfinite(result).all(), f"{facts.name}: smaller pictures give NaN or infinity"


CHECKS: tuple[Callable[[Encoder], None], ...] = (
    check_shape,
    check_any_size,
    check_padding,
    check_gradient_flow,
    check_lone_row,
    check_row_independence,
    check_determinism,
    check_state,
    check_half_precision,
    check_export,
    check_maps,
)
"""Every check of this suite."""


def conforms(part: Encoder) -> None:
    """Run every check on one part.

    Raises:
        AssertionError: The part breaks the contract of its family.
    """
    for check in CHECKS:
        check(part)
