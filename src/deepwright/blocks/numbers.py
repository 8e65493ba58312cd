"""From number columns on the wire, (B, N) float32 with NaN for missing, to what a network can learn from.

Shape letters: B rows, N columns, T bins of the column that has most, S slots (T and one for the missing flag), D width.

All columns go through one broadcast, also those without bins: a column without edges has the single bin [0, 1], open on both
sides, so that its encoding is the value itself.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from deepwright.blocks.activations import ActivationName, activation
from deepwright.blocks.initialization import uniform_
from deepwright.facts import NumberFacts

RANK_REACH = math.sqrt(3.0)
"""Ranks are scaled to ±√3, the uniform distribution of mean 0 and variance 1."""

OPEN_REACH = 4.0
"""How many widths of the outermost bin a value beyond the edges counts at most, so that an outlier does not swamp its row."""

PERIODIC_REACH = 16.0
"""The largest magnitude that periodic embeddings tell apart: columns without edges reach the wire as far as 10,000 deviations."""

_FINITE = 1e30


class PiecewiseLinearEncoding(nn.Module):
    """Piecewise-linear encoding (arXiv 2203.05556, eq. 1): (B, N) → (B, N, T), zero beyond a column's own bins.

    Bin t of a column holds ``(x - edge_t) / (edge_{t+1} - edge_t)`` clamped to [0, 1]; the first bin is open below and the last
    above (up to ``OPEN_REACH`` bin widths), except for the view ``quantile``, whose ranks end at the edges. Missing values take
    the column's baseline.

    Attributes:
        bins: T.
        counts: The bins of each column, 1 for a column without edges.
        complete: Whether the training rows are known to have no missing values, so that training need not look for them.
    """

    complete = False
    lo: Tensor
    inverse: Tensor
    least: Tensor
    most: Tensor
    baseline: Tensor

    def __init__(self, numbers: Sequence[NumberFacts]) -> None:
        super().__init__()
        edges = [n.edges if len(n.edges) >= 2 else (0.0, 1.0) for n in numbers]
        self.counts = [len(e) - 1 for e in edges]
        self.bins = max(self.counts, default=0)
        shape = (len(numbers), self.bins)
        lo, inverse, least, most = torch.zeros(shape), torch.zeros(shape), torch.zeros(shape), torch.zeros(shape)
        for row, (facts, own) in enumerate(zip(numbers, edges, strict=True)):
            count = len(own) - 1
            # In double precision: the difference of two near edges must not round to zero.
            bounds = torch.tensor(own, dtype=torch.float64)
            lo[row, :count] = bounds[:-1].float()
            inverse[row, :count] = (1.0 / (bounds[1:] - bounds[:-1])).clamp(max=_FINITE).float()
            most[row, :count] = 1.0
            if len(facts.edges) < 2:
                least[row, 0], most[row, 0] = -math.inf, math.inf
            elif facts.view != "quantile":
                least[row, 0], most[row, count - 1] = -OPEN_REACH, 1.0 + OPEN_REACH
        for name, values in (("lo", lo), ("inverse", inverse), ("least", least), ("most", most)):
            self.register_buffer(name, values, persistent=False)
        self.register_buffer("baseline", torch.tensor([float(n.baseline) for n in numbers]), persistent=False)

    def filled(self, numbers: Tensor) -> Tensor:
        """Return the wire's values, finite, missing ones as the baseline: (B, N) → (B, N)."""
        if self.complete and self.training:
            return numbers
        # Infinity times a zero, that of the padding or of an edge, would be NaN.
        return torch.where(torch.isnan(numbers), self.baseline, numbers).clamp(-_FINITE, _FINITE)

    def forward(self, numbers: Tensor) -> Tensor:
        """Encode."""
        x = self.filled(numbers)
        return torch.clamp((x.unsqueeze(-1) - self.lo) * self.inverse, min=self.least, max=self.most)


class NumberValues(nn.Module):
    """One value a column: the wire value, or for a column with edges its rank among them in ±√3: (B, N, T) → (B, N).

    The rank is the sum of the piecewise-linear encoding, which interpolates linearly between the edges.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, numbers: Sequence[NumberFacts]) -> None:
        super().__init__()
        binned = [len(n.edges) >= 2 for n in numbers]
        scale = [2.0 * RANK_REACH / (len(n.edges) - 1) if ranked else 1.0 for n, ranked in zip(numbers, binned, strict=True)]
        self.register_buffer("scale", torch.tensor(scale), persistent=False)
        self.register_buffer("shift", torch.tensor([RANK_REACH if ranked else 0.0 for ranked in binned]), persistent=False)

    def forward(self, encoded: Tensor) -> Tensor:
        """Sum the bins and scale."""
        return encoded.sum(-1) * self.scale - self.shift


class NumberViews(nn.Module):
    """Every column in its own view, side by side: (B, N) → (B, width).

    First the columns with one value (``standard`` and ``quantile``), then the bins of the columns viewed ``piecewise``, then a flag
    of 0 or 1 for each column whose missing values are to be flagged.

    Attributes:
        plain: Whether every column is just its value, which needs none of this.
        width: The number of channels.
        sections: How many channels belong together: 1 for values and flags, the number of bins for a piecewise column.
    """

    single: Tensor
    slots: Tensor
    flagged: Tensor

    def __init__(self, numbers: Sequence[NumberFacts]) -> None:
        super().__init__()
        self.encoding = PiecewiseLinearEncoding(numbers)
        self.values = NumberValues(numbers)
        self.plain = all(len(n.edges) < 2 and not n.missing for n in numbers)
        spread = [i for i, n in enumerate(numbers) if n.view == "piecewise" and len(n.edges) >= 2]
        single = [i for i in range(len(numbers)) if i not in set(spread)]
        slots = [i * self.encoding.bins + t for i in spread for t in range(self.encoding.counts[i])]
        flagged = [i for i, n in enumerate(numbers) if n.missing]
        for name, index in (("single", single), ("slots", slots), ("flagged", flagged)):
            self.register_buffer(name, torch.tensor(index, dtype=torch.int64), persistent=False)
        self.sections = [1] * len(single) + [self.encoding.counts[i] for i in spread] + [1] * len(flagged)
        self.width = sum(self.sections)

    def forward(self, numbers: Tensor) -> Tensor:
        """See each column."""
        if self.plain:
            return self.encoding.filled(numbers)
        encoded = self.encoding(numbers)
        channels = []
        if len(self.single):
            channels.append(self.values(encoded)[:, self.single])
        if len(self.slots):
            channels.append(encoded.flatten(1)[:, self.slots])
        if len(self.flagged):
            channels.append(torch.isnan(numbers[:, self.flagged]).to(encoded.dtype))
        return torch.cat(channels, 1)


class _ColumnLinear(nn.Module):
    """One linear layer without bias for each column: (B, N, S) → (B, N, D)."""

    decay_exempt = True

    def __init__(self, columns: int, slots: int, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(columns, slots, width))

    def forward(self, x: Tensor) -> Tensor:
        """Map each column by its own layer."""
        # (N, B, S) @ (N, S, D) → (N, B, D)
        return torch.bmm(x.transpose(0, 1), self.weight).transpose(0, 1)


class _Flags(nn.Module):
    """The missing flags of the columns that have one, 0 for the others: (B, N) → (B, N, 1)."""

    flagged: Tensor

    def __init__(self, numbers: Sequence[NumberFacts]) -> None:
        super().__init__()
        self.register_buffer("flagged", torch.tensor([n.missing for n in numbers]), persistent=False)

    def forward(self, numbers: Tensor) -> Tensor:
        """Flag."""
        return (torch.isnan(numbers) & self.flagged).to(numbers.dtype).unsqueeze(-1)


class PiecewiseLinearEmbeddings(nn.Module):
    """An embedding of each column, linear plus piecewise-linear: (B, N) → (B, N, width).

    ``a_n · v_n + c_n + PLE(x_n) W_n`` with W starting at zero, so that training begins with a linear embedding and bends it
    (the version "B" of arXiv 2410.24210, its code); v is the value of :class:`NumberValues`. A missing value adds a learnt vector.

    Args:
        numbers: The columns; those without edges get the linear embedding only.
        width: D.
        bend: Whether there is a piecewise-linear term at all.
    """

    decay_exempt = True

    def __init__(self, numbers: Sequence[NumberFacts], width: int, bend: bool = True) -> None:
        super().__init__()
        self.bend = bend
        self.encoding = PiecewiseLinearEncoding(numbers)
        self.values = NumberValues(numbers)
        self.flags = _Flags(numbers) if any(n.missing for n in numbers) else None
        self.slope = nn.Parameter(uniform_(torch.empty(len(numbers), width), width))
        self.offset = nn.Parameter(uniform_(torch.empty(len(numbers), width), width))
        # A slot for each bin and one for the missing flag; nothing where there is neither.
        slots = (self.encoding.bins if bend else 0) + any(n.missing for n in numbers)
        self.columns = _ColumnLinear(len(numbers), slots, width) if slots else None

    def forward(self, numbers: Tensor) -> Tensor:
        """Embed."""
        encoded = self.encoding(numbers)
        linear = torch.addcmul(self.offset, self.values(encoded).unsqueeze(-1), self.slope)
        slots = [encoded] if self.bend else []
        if self.flags is not None:
            slots.append(self.flags(numbers))
        return linear if self.columns is None else linear + self.columns(torch.cat(slots, -1))


class PeriodicEmbeddings(nn.Module):
    """Periodic embeddings of numbers, PLR (arXiv 2203.05556, eq. 2): (B, N) → (B, N, width).

    ``act([cos 2πc_n v_n, sin 2πc_n v_n] W_n + b_n)`` with learnt frequencies c; v is the value of :class:`NumberValues`. A missing
    value adds a learnt vector before the activation.

    Args:
        numbers: The columns.
        width: D.
        frequencies: How many frequencies a column has.
        sigma: The standard deviation of the frequencies at the start: the larger, the finer the structure seen.
        act: The activation function.
    """

    decay_exempt = True

    def __init__(
        self, numbers: Sequence[NumberFacts], width: int, frequencies: int = 24, sigma: float = 0.1, act: ActivationName = "relu"
    ) -> None:
        super().__init__()
        self.encoding = PiecewiseLinearEncoding(numbers)
        self.values = NumberValues(numbers)
        self.flags = _Flags(numbers)
        self.frequency = nn.Parameter(torch.randn(len(numbers), frequencies) * sigma)
        self.mix = _ColumnLinear(len(numbers), 2 * frequencies + 1, width)
        with torch.no_grad():
            uniform_(self.mix.weight[:, :-1], 2 * frequencies)
        self.bias = nn.Parameter(uniform_(torch.empty(len(numbers), width), 2 * frequencies))
        self.act = activation(act)

    def forward(self, numbers: Tensor) -> Tensor:
        """Embed."""
        # Far out, an angle turns so fast that the last bits of a float decide the wave.
        values = self.values(self.encoding(numbers)).clamp(-PERIODIC_REACH, PERIODIC_REACH)
        angle = 2.0 * math.pi * values.unsqueeze(-1) * self.frequency  # (B, N, frequencies)
        waves = torch.cat([torch.cos(angle), torch.sin(angle), self.flags(numbers)], -1)
        embedded: Tensor = self.act(self.mix(waves) + self.bias)
        return embedded
