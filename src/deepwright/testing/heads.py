"""The conformance suite of heads, with every loss that fits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepwright.blocks.contract import HeadModule, WriterModule
from deepwright.blocks.writing import shifted
from deepwright.decoding import likelihoods
from deepwright.errors import RecipeError
from deepwright.facts import TargetFacts, TargetKind
from deepwright.families import Head, Loss, Step, Writer
from deepwright.testing.losses import perfect, target_facts, targets
from deepwright.testing.networks import check_onnx, expect_equal


def _cases(part: Head) -> Iterator[tuple[TargetFacts, HeadModule]]:
    for kind in part.kinds if part.reads == "vector" else ():
        facts = target_facts(kind)
        yield facts, part.build(facts, None)


def _raw(module: HeadModule, rows: int, scale: float = 3.0) -> Tensor:
    raw = scale * torch.randn(rows, module.size, generator=torch.Generator().manual_seed(rows))
    return raw.squeeze(1) if module.size == 1 else raw


def check_outputs(part: Head) -> None:
    """Numbers leave in their own units, classes as probabilities that sum to 1, tags as probabilities; extremes included."""
    for facts, module in _cases(part):
        for scale in (0.0, 3.0, 1e4):
            result = module.outputs(_raw(module, 7, scale))
            assert torch.isfinite(result).all(), f"{facts.kind}: not finite"
            if facts.kind == "number":
                expect_equal(result, _raw(module, 7, scale) * facts.scale + facts.center, "values")
                continue
            assert result.shape == (7, len(facts.classes)), f"{facts.kind}: shape {tuple(result.shape)}"
            assert ((result >= 0) & (result <= 1)).all(), f"{facts.kind}: a probability outside [0, 1]"
            if facts.kind != "multilabel":
                expect_equal(result.sum(1), torch.ones(7), f"{facts.kind}: the sum of the probabilities")


def check_agreement(part: Head) -> None:
    """What the loss calls perfect, the outputs call it too."""
    for facts, module in _cases(part):
        target = targets(facts.kind, 9)
        raw = perfect(facts.kind, target)
        assert module.loss(raw, target).max() < 1e-3, f"{facts.kind}: the perfect prediction has a loss"
        result = module.outputs(raw)
        if facts.kind == "number":
            expect_equal(result, target * facts.scale + facts.center, "perfect values")
        elif facts.kind == "multilabel":
            assert torch.equal((result > 0.5).float(), target), "tags: the likely ones are not the true ones"
        else:
            assert torch.equal(result.argmax(1), target), f"{facts.kind}: the likeliest class is not the true one"


def check_losses(part: Head) -> None:
    """Every loss for the kind is taken; any other is refused (E108), and the message names those that fit."""
    for kind in part.kinds if part.reads == "vector" else ():
        facts = target_facts(kind)
        for name, loss in Loss.all().items():
            example = loss.example()
            if kind in loss.kinds:
                module = part.build(facts, example)
                target = targets(kind, 5)
                assert module.loss(perfect(kind, target), target).shape == (5,), f"{kind}: {name} gives the wrong shape"
                continue
            with pytest.raises(RecipeError) as refused:
                part.build(facts, example)
            assert refused.value.code == "E108", f"{kind}: {name} is refused by another code"
            assert all(n in str(refused.value) for n, o in Loss.all().items() if kind in o.kinds), "E108 does not name what fits"


def check_refusal(part: Head) -> None:
    """Other kinds of output are refused (E108)."""
    for kind in ("number", "binary", "multiclass", "multilabel", "ordinal", "forecast"):
        if kind not in part.kinds:
            with pytest.raises(RecipeError, match="E108"):
                part.build(target_facts(kind), None)


def check_initial_bias(part: Head) -> None:
    """Where it starts from, a head predicts the shares of the training rows."""
    for facts, module in _cases(part):
        bias = module.initial_bias
        if bias is None or facts.kind == "number":
            continue
        assert bias.shape == (module.size,), f"{facts.kind}: initial bias of shape {tuple(bias.shape)}"
        assert torch.isfinite(bias).all(), f"{facts.kind}: the initial bias is not finite"
        shares = torch.tensor(facts.counts) / facts.rows
        start = module.outputs(bias if module.size == 1 else bias.unsqueeze(0))[0]
        expect_equal(start, shares, f"{facts.kind}: the first prediction", tolerance=0.02)
        empty = part.build(replace(facts, counts=(0, *facts.counts[1:])), None).initial_bias
        assert empty is not None, f"{facts.kind}: no initial bias where a class has no rows"
        assert torch.isfinite(empty).all(), f"{facts.kind}: the initial bias of a class without rows is not finite"


class _Outputs(nn.Module):
    """A head's outputs as a module."""

    def __init__(self, module: HeadModule) -> None:
        super().__init__()
        self.module = module

    def forward(self, *tensors: Tensor) -> Tensor:
        return self.module.outputs(tensors[0])


def check_export(part: Head) -> None:
    """The exported outputs agree."""
    for _, module in _cases(part):
        check_onnx(_Outputs(module), lambda rows, module=module: (_raw(module, rows),))  # type: ignore[misc]


def check_sequence(part: Head) -> None:
    """Of a head that reads a sequence: the search finds what the loss calls perfect; what is behind the end does not count."""
    for kind in part.kinds if part.reads == "sequence" and not isinstance(part, Writer) else ():
        facts = target_facts(kind)
        module = part.build_reader(facts, 3, 5) if part.asks else part.build(facts, None)
        mask = torch.arange(5) < torch.tensor([5, 0, 3, 1])[:, None]
        target, hot = _sequences(kind, mask)
        raw = 30.0 * hot
        loss = module.loss((raw, mask), target)
        assert loss.shape == (4,)
        assert loss.max() < 1e-3, "the perfect prediction has a loss"
        other = raw.clone()
        other[~mask] = 7.0
        expect_equal(module.loss((other, mask), target), loss, "with something else behind the end")
        extras = {name: value.detach().numpy() for name, value in module.extras().items()}
        assert set(extras) == set(part.extras)
        found = part.search(module.outputs((raw, mask)).detach().numpy(), extras)
        assert torch.equal(torch.from_numpy(found), target), "the search does not find what the loss calls perfect"
        noise = torch.randn(4, 5, hot.shape[2], requires_grad=True)
        torch.autograd.backward(module.loss((noise, mask), target).sum())
        assert noise.grad is not None
        assert torch.isfinite(noise.grad).all()
        assert not noise.grad[~mask].any(), "what is behind the end learns"


def _sequences(kind: TargetKind, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return targets of four rows of 5, 0, 3 and 1 places, and scores (4, 5, size) of 0 and 1 that say them."""
    if kind == "answer":  # the first and the last place
        target = torch.tensor([[1, 3], [-1, -1], [0, 2], [0, 0]])
        return target, F.one_hot(target.clamp_min(0), 5).transpose(1, 2).float()
    if kind == "text":  # a token a frame, 0 between the same ones and where nothing is said
        frames = torch.tensor([[2, 0, 2, 3, 0], [0] * 5, [1, 2, 3, 0, 0], [0] * 5])
        target = torch.tensor([[2, 2, 3], [-1, -1, -1], [1, 2, 3], [-1, -1, -1]])
        return target, F.one_hot(frames, 4).float()
    target = torch.where(mask, torch.randint(0, 4, (4, 5), generator=torch.Generator().manual_seed(0)), -1)
    return target, F.one_hot(target.clamp_min(0), 4).float()


def check_pair(part: Head) -> None:
    """Of a head that reads a pair: partners that are alike have less loss than others; those of one code are no negatives."""
    for kind in part.kinds if part.reads == "pair" else ():
        module = part.build(target_facts(kind), None)
        vectors = 3.0 * torch.eye(5)
        loss = module.loss((vectors, vectors), torch.arange(5))
        assert loss.shape == (5,)
        assert loss.max() < 1e-3, "the perfect prediction has a loss"
        wrong = module.loss((vectors, vectors.roll(1, 0)), torch.arange(5))
        assert (wrong > loss + 0.1).all(), "a wrong partner has no more loss than the right one"
        assert module.loss((vectors, vectors.roll(1, 0)), torch.zeros(5, dtype=torch.long)).max() < wrong.min()
        out = module.outputs((vectors, 0 * vectors))
        assert out.shape == (5, 2, 5)
        assert torch.isfinite(out).all()
        noise = [torch.zeros(4, 3, requires_grad=True), torch.randn(4, 3, requires_grad=True)]
        torch.autograd.backward(module.loss((noise[0], noise[1]), torch.tensor([0, 1, 0, 2])).sum())
        assert all(each.grad is not None and torch.isfinite(each.grad).all() for each in noise)


def check_window(part: Head) -> None:
    """Of a head that foretells: the season before does not count, nor what is unknown; perfect values leave in their own units."""
    for kind in part.kinds if part.reads == "window" else ():
        facts = target_facts(kind)
        ahead = facts.forecast
        assert ahead is not None
        for quantiles in ((), (0.1, 0.5, 0.9)):
            module = part.build(replace(facts, forecast=replace(ahead, quantiles=quantiles)), None)
            wanted = targets(kind, 4)
            target = torch.cat([torch.full((4, ahead.season, 2), 99.0), wanted], 1)
            told = wanted.unsqueeze(-1).expand(-1, -1, -1, len(quantiles)) if quantiles else wanted
            loss = module.loss(told.flatten(1), target)
            assert loss.shape == (4,)
            assert loss.max() < 1e-6, "the perfect prediction has a loss"
            values = module.outputs(told.flatten(1))
            assert values.shape == told.shape
            scale, center = (torch.tensor(each) for each in (ahead.scales, ahead.centers))
            middle = values[..., 0] if quantiles else values
            expect_equal(middle, wanted * scale + center, "perfect values")
            lost = target.clone()
            lost[0, ahead.season :] = torch.nan
            raw = torch.randn(4, module.size, requires_grad=True)
            each = module.loss(raw, lost)
            assert torch.isfinite(each).all()
            assert each[0] == 0
            torch.autograd.backward(each.sum())
            assert raw.grad is not None
            assert torch.isfinite(raw.grad).all()
            assert not raw.grad[0].any(), "what is not known teaches"
            found = part.search(values.flip(-1).detach().numpy() if quantiles else values.detach().numpy(), {})
            expect_equal(torch.from_numpy(found), values, "what leaves the search")


def check_writer(part: Head) -> None:
    """Of a head that writes texts: all at once, and step by step, a text is as likely; what is behind an end does not count."""
    if not isinstance(part, Writer):
        return
    facts = target_facts("text")
    written = torch.tensor([[2, 3, 4], [5, 0, 0], [0, 0, 0], [3, 3, 0]])
    mask = torch.arange(4) < torch.tensor([[4], [1], [0], [3]])
    for width in (None, 6):
        torch.manual_seed(0)
        module = part.build_writer(facts, width, None).eval()
        states = None if width is None else torch.randn(4, 4, width)
        raw = module(states, mask, written)
        loss = module.loss(raw, written)
        assert loss.shape == (4,)
        assert torch.isfinite(loss).all()
        likely = module.outputs(raw)
        assert likely[:, 1].tolist() == [4, 2, 1, 3], "tokens, the end included"
        more = F.pad(written, (0, 2))
        other = None if states is None else F.pad(states.masked_fill(~mask.unsqueeze(2), 7.0), (0, 0, 0, 2), value=3.0)
        expect_equal(module.loss(module(other, F.pad(mask, (0, 2)), more), more), loss, "with something else behind the end")
        memory = torch.full((4, 1, 1), torch.nan) if states is None else module.remember(states, mask)
        step, given = _asked(module), memory.detach().numpy()
        expect_equal(torch.from_numpy(likelihoods(step, given, written.numpy())).float(), likely, "asked for all at once")
        state = np.full((4, 1, module.state_width), np.nan, np.float32)
        sums = np.zeros(4)
        read, after = (each.numpy() for each in shifted(written))
        for place in range(read.shape[1]):
            log_p, state = step(given, state, read[:, place : place + 1])
            there = after[:, place] >= 0
            sums[there] -= log_p[there, 0, after[there, place]]
        expect_equal(torch.from_numpy(sums).float(), likely[:, 0], "asked step by step")
        found = part.write(step, given, None, np.arange(4))
        assert found.ndim == 2
        assert ((found == -1) | ((found > 1) & (found < 6))).all(), "an unknown token or an end within a text"
        alone = part.write(step, given[:1], None, np.arange(1))
        assert (alone == found[:1, : alone.shape[1]]).all(), "a row's text depends on the others"
        module.train()
        torch.autograd.backward(module.loss(module(states, mask, written), written).sum())
        asleep = [name for name, parameter in module.named_parameters() if parameter.grad is None]
        assert not asleep, f"no gradient reaches {', '.join(asleep)}"


def _asked(module: WriterModule) -> Step:
    from deepwright.engine.torch_backend import TorchStep

    return TorchStep(module)


def check_map(part: Head) -> None:
    """Of a head that reads a map: all losses that fit are taken; what they call perfect, the search finds; the graph agrees."""
    for kind in part.kinds if part.reads == "map" else ():
        facts = target_facts(kind)
        target = targets(kind, 3)
        raw = perfect(kind, target)
        given = target
        if kind == "image":
            given = (target * facts.scale + facts.center).round().clamp(0, 255).permute(0, 2, 3, 1).short()
            raw = (given.permute(0, 3, 1, 2).float() - facts.center) / facts.scale
        for name, loss in Loss.all().items():
            if kind not in loss.kinds:
                with pytest.raises(RecipeError, match="E108"):
                    part.build(facts, loss.example())
                continue
            each = part.build(facts, loss.example()).loss(raw, given)
            assert each.shape == (3,), f"{kind}: {name} gives the wrong shape"
            assert each.max() < 1e-3, f"{kind}: {name} calls the perfect prediction wrong"
        module = part.build(facts, None)
        found = part.search(module.outputs(raw).numpy(), {})
        assert found.shape == given.shape
        known = given >= 0
        assert torch.equal(torch.from_numpy(found).long()[known], given.long()[known]), f"{kind}: the search does not find it"
        assert module.initial_bias is not None
        assert module.initial_bias.shape == (module.size,)
        noise = torch.randn(3, module.size, *given.shape[1:3], requires_grad=True)
        torch.autograd.backward(module.loss(noise, given).sum())
        assert noise.grad is not None
        assert torch.isfinite(noise.grad).all()

        def maps(rows: int, size: int = module.size) -> tuple[Tensor]:
            return (torch.randn(rows, size, 6, 7, generator=torch.Generator().manual_seed(rows)),)

        check_onnx(_Outputs(module), maps)


CHECKS: tuple[Callable[[Head], None], ...] = (
    check_outputs,
    check_agreement,
    check_losses,
    check_refusal,
    check_initial_bias,
    check_export,
    check_sequence,
    check_pair,
    check_window,
    check_writer,
    check_map,
)
"""Every check of this suite."""


def conforms(part: Head) -> None:
    """Run every check on one part.

    Raises:
        AssertionError: The part breaks the contract of its family.
    """
    for check in CHECKS:
        check(part)
