"""The modules of the heads: what turns raw predictions into a loss, and into values or probabilities.

Raw predictions are (B,) where the head's size is 1, (B, size) otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from deepwright.blocks.contract import HeadModule, RowLoss
from deepwright.blocks.crf import LinearChain
from deepwright.errors import Problem, RecipeError
from deepwright.facts import ForecastFacts, TargetFacts
from deepwright.families import Head, Loss
from deepwright.tagging import allowed


def head_loss(head: Head, facts: TargetFacts, loss: Loss | None, usual: str) -> RowLoss:
    """Build the loss of an output.

    Args:
        head: The head that asks.
        facts: What is known of the output.
        loss: The declared loss, if any.
        usual: The type of the loss that is taken otherwise.

    Raises:
        RecipeError: The head or the loss does not fit the output (E108), with those that do.
    """
    chosen = loss if loss is not None else Loss.resolve(usual)()
    where = f"outputs.{facts.name}"
    problems = [
        _misfit("head", head, f"{where}.head", facts, Head.all()) if facts.kind not in head.kinds else None,
        _misfit("loss", chosen, f"{where}.loss", facts, Loss.all()) if facts.kind not in chosen.kinds else None,
    ]
    if found := [problem for problem in problems if problem is not None]:
        raise RecipeError.of(found)
    return chosen.build(facts)


def expect_no_loss(head: Head, facts: TargetFacts, loss: Loss | None) -> None:
    """Refuse an output that a head with a loss of its own does not fit, or a declared loss.

    Raises:
        RecipeError: E108.
    """
    if facts.kind not in head.kinds:
        raise RecipeError.of([_misfit("head", head, f"outputs.{facts.name}", facts, Head.all())])
    if loss is not None:
        message = f"the head {head.type_name()} has a loss of its own"
        raise RecipeError("E108", message, where=f"outputs.{facts.name}.loss", fix="leave the loss out")


def _misfit(
    word: str, part: Head | Loss, where: str, facts: TargetFacts, known: dict[str, type[Head]] | dict[str, type[Loss]]
) -> Problem:
    fitting = [name for name, other in known.items() if facts.kind in other.kinds]
    return Problem(
        "E108",
        f"the {word} {part.type_name()} does not fit a {facts.kind} output",
        where,
        got=f"{part.type_name()}, for {' and '.join(part.kinds)} outputs",
        expected=f"a {word} for {facts.kind}: " + ", ".join(fitting),
        fix=f"{word}: {fitting[0]}" if fitting else "",
    )


def _log_odds(hits: Sequence[int], rows: int) -> Tensor:
    """Return log(hits / misses) with half a row added to each, so that it is finite."""
    yes = torch.tensor([float(h) for h in hits]) + 0.5
    return torch.log(yes / (rows + 1.0 - yes))


class RegressionHead(HeadModule):
    """A number: raw is the standardised value.

    Args:
        loss: The loss.
        center: The value that raw 0 stands for.
        scale: The distance that raw 1 stands for.
    """

    def __init__(self, loss: RowLoss, center: float, scale: float) -> None:
        super().__init__()
        self.size = 1
        self.loss = loss
        self.center = center
        self.scale = scale
        self.initial_bias = torch.zeros(1)

    def outputs(self, raw: Tensor) -> Tensor:
        """Return the values in the target's own units, (B,)."""
        return raw * self.scale + self.center


class BinaryHead(HeadModule):
    """One of two classes: raw is the logit of the second.

    Args:
        loss: The loss.
        counts: The training rows of the two classes, if known.
    """

    def __init__(self, loss: RowLoss, counts: Sequence[int] = ()) -> None:
        super().__init__()
        self.size = 1
        self.loss = loss
        if counts:
            self.initial_bias = _log_odds(counts[1:], sum(counts))

    def outputs(self, raw: Tensor) -> Tensor:
        """Return both probabilities, (B, 2)."""
        return torch.sigmoid(torch.stack([-raw, raw], -1))


class MulticlassHead(HeadModule):
    """One of several classes: raw holds a logit a class.

    Args:
        loss: The loss.
        classes: How many.
        counts: The training rows of each class, if known.
    """

    def __init__(self, loss: RowLoss, classes: int, counts: Sequence[int] = ()) -> None:
        super().__init__()
        self.size = classes
        self.loss = loss
        if counts:
            shares = torch.log(torch.tensor([float(c) for c in counts]) + 0.5)
            self.initial_bias = shares - shares.mean()

    def outputs(self, raw: Tensor) -> Tensor:
        """Return the probabilities, (B, classes)."""
        return torch.softmax(raw if self.size > 1 else raw.unsqueeze(-1), -1)


class MultilabelHead(HeadModule):
    """Any of several tags: raw holds a logit a tag.

    Args:
        loss: The loss.
        tags: How many.
        counts: The training rows that carry each tag, if known.
        rows: The training rows.
    """

    def __init__(self, loss: RowLoss, tags: int, counts: Sequence[int] = (), rows: int = 0) -> None:
        super().__init__()
        self.size = tags
        self.loss = loss
        if counts and rows:
            self.initial_bias = _log_odds(counts, rows)

    def outputs(self, raw: Tensor) -> Tensor:
        """Return the probability of each tag, (B, tags)."""
        return torch.sigmoid(raw if self.size > 1 else raw.unsqueeze(-1))


class OrdinalHead(HeadModule):
    """One of several ordered levels: raw[k] is the logit of "above level k" (Frank & Hall 2001; arXiv 1901.07884).

    Args:
        loss: The loss.
        classes: How many levels, at least 2.
        counts: The training rows of each level, if known.
    """

    later: Tensor

    def __init__(self, loss: RowLoss, classes: int, counts: Sequence[int] = ()) -> None:
        super().__init__()
        self.size = classes - 1
        self.loss = loss
        # later[k, j]: threshold j comes after threshold k
        later = torch.ones(self.size, self.size, dtype=torch.bool).triu(1)
        self.register_buffer("later", later, persistent=False)
        if counts:
            self.initial_bias = _log_odds([sum(counts[k + 1 :]) for k in range(self.size)], sum(counts))

    def outputs(self, raw: Tensor) -> Tensor:
        """Return the probability of each level, (B, classes).

        "Above k" cannot be likelier than "above j" for j < k: each is lowered to the least before it, and the levels are the
        differences, which are then at least 0 and sum to 1.
        """
        above = torch.sigmoid(raw if self.size > 1 else raw.unsqueeze(-1))
        least = above.unsqueeze(-2).masked_fill(self.later, 1.0).amin(-1)
        one, zero = torch.ones_like(least[..., :1]), torch.zeros_like(least[..., :1])
        return torch.cat([one, least], -1) - torch.cat([least, zero], -1)


class TaggingHead(HeadModule):
    """A label for each place of a sequence.

    Args:
        labels: Their names.
        chained: Whether the scores of labels that follow each other are learnt.
    """

    def __init__(self, labels: Sequence[str], *, chained: bool = True) -> None:
        super().__init__()
        self.size = len(labels)
        follow, begin = (torch.from_numpy(each) for each in allowed(labels))
        self.chain = LinearChain(follow, begin)
        self.chained = chained
        if not chained:
            self.chain.requires_grad_(requires_grad=False)

    def loss(self, raw: tuple[Tensor, Tensor], target: Tensor) -> Tensor:
        """Return -log p of each row's labels over their number, (B,).

        Args:
            raw: (B, T, K) scores and the mask (B, T).
            target: (B, U) labels, -1 behind the end or unknown, where any label is as good.
        """
        values, mask = raw
        target = target[:, : values.shape[1]]
        if target.shape[1] < values.shape[1]:
            target = F.pad(target, (0, values.shape[1] - target.shape[1]), value=-1)
        known = mask & (target >= 0)
        count = known.sum(1).clamp_min(1)
        if not self.chained:
            each = F.cross_entropy(values.float().transpose(1, 2), target.clamp_min(-1), ignore_index=-1, reduction="none")
            mean: Tensor = (each * known).sum(1) / count
            return mean
        # The chain ends at the last known label; an unknown one between others may be any.
        place = torch.arange(values.shape[1], device=values.device)
        end = torch.where(known, place, -1).amax(1, keepdim=True)
        likelihood: Tensor = self.chain(values, torch.where(known, target, -1), place <= end) / count
        return likelihood

    def extras(self) -> dict[str, Tensor]:
        """Return the scores of labels that follow each other."""
        transitions, first = self.chain.scores()
        return {"transitions": transitions, "first": first}

    def outputs(self, raw: tuple[Tensor, Tensor]) -> Tensor:
        """Return the scores (B, T, K), NaN behind a row's end."""
        values, mask = raw
        return values.float().masked_fill(~mask.unsqueeze(2), torch.nan)


class ForecastHead(HeadModule):
    """The next rows of several columns: raw holds the standardised values, (B, H × C × Q).

    Args:
        loss: The loss, of (B, H, C), or (B, H, C, Q) of quantiles.
        facts: What is foretold.
    """

    masks = True
    scale: Tensor
    center: Tensor

    def __init__(self, loss: RowLoss, facts: ForecastFacts) -> None:
        super().__init__()
        self.each = loss
        self.shape = (facts.horizon, len(facts.channels), *([len(facts.quantiles)] if facts.quantiles else []))
        self.size = math.prod(self.shape)
        self.facts = facts
        ahead = (1,) * bool(facts.quantiles)
        # Not in float32 weights: what the target's units are is the data path's affair, which the bundle holds.
        self.register_buffer("scale", torch.tensor(facts.scales).view(-1, *ahead), persistent=False)
        self.register_buffer("center", torch.tensor(facts.centers).view(-1, *ahead), persistent=False)

    def loss(self, raw: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each row (B,); values that are not known cost nothing.

        Args:
            raw: (B, H × C × Q).
            target: (B, M + H, C), NaN where missing; the M rows before the horizon do not count.
        """
        told = raw.reshape(-1, *self.shape)
        wanted = target[:, -self.shape[0] :]
        lost = torch.isnan(wanted)
        beside = lost.unsqueeze(-1) if told.ndim == 4 else lost
        return self.each(torch.where(beside, 0.0, told), torch.where(lost, 0.0, wanted))

    def outputs(self, raw: Tensor) -> Tensor:
        """Return the values in the columns' own units, (B, H, C) or (B, H, C, Q)."""
        return raw.reshape(-1, *self.shape) * self.scale + self.center


class SegmentationHead(HeadModule):
    """A class for each pixel: raw holds a logit for each class and pixel, (B, classes, H, W).

    Args:
        loss: The loss.
        classes: How many.
        counts: The pixels of each class, if known.
    """

    def __init__(self, loss: RowLoss, classes: int, counts: Sequence[int] = ()) -> None:
        super().__init__()
        self.size = classes
        self.loss = loss
        if counts:
            shares = torch.log(torch.tensor([float(c) for c in counts]) + 0.5)
            self.initial_bias = shares - shares.mean()

    def outputs(self, raw: Tensor) -> Tensor:
        """Return the probabilities, (B, classes, H, W)."""
        return torch.softmax(raw, 1)


class PictureHead(HeadModule):
    """The colours of each pixel: raw holds them standardised, (B, C, H, W).

    Args:
        loss: The loss of standardised pictures.
        channels: C.
        center: The brightness in 0…255 that raw 0 stands for.
        scale: The distance that raw 1 stands for.
    """

    def __init__(self, loss: RowLoss, channels: int, center: float, scale: float) -> None:
        super().__init__()
        self.size = channels
        self.compare = loss
        self.center = center
        self.scale = scale
        self.initial_bias = torch.zeros(channels)

    def loss(self, raw: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each picture, (B,).

        Args:
            raw: (B, C, H, W).
            target: (B, H, W, C) in 0…255.
        """
        return self.compare(raw, (target.permute(0, 3, 1, 2).to(raw.dtype) - self.center) / self.scale)

    def outputs(self, raw: Tensor) -> Tensor:
        """Return the pictures in 0…255, (B, H, W, C)."""
        return (raw * self.scale + self.center).clamp(0.0, 255.0).permute(0, 2, 3, 1)
