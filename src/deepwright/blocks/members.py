"""Parallel ensemble members that share most weights: shapes (B, K, D) for B rows, K members and width D."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepwright.blocks.contract import EncoderModule, SequenceEncoderModule
from deepwright.blocks.initialization import ScalingStart, scaling_, uniform_


class MemberScale(nn.Module):
    """One scaling vector for each member: (B, D) or (B, K, D) → (B, K, D). The adapter of arXiv 2002.06715.

    Args:
        members: K.
        width: D.
        start: How the vectors start; ``signs`` or ``normal`` make the members differ, ``ones`` leaves them alike.
        sections: Widths of columns that share one draw; they sum to D.
    """

    decay_exempt = True

    def __init__(self, members: int, width: int, start: ScalingStart = "signs", sections: Sequence[int] | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(members, width))
        scaling_(self.weight, start, sections)

    def forward(self, x: Tensor) -> Tensor:
        """Scale."""
        return (x if x.ndim == 3 else x.unsqueeze(1)) * self.weight


class MemberLinear(nn.Module):
    """K linear layers side by side that share nothing: (B, K, inputs) → (B, K, outputs)."""

    def __init__(self, members: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(members, inputs, outputs))
        self.bias = nn.Parameter(torch.empty(members, outputs))
        uniform_(self.weight, inputs)
        uniform_(self.bias, inputs)

    def forward(self, x: Tensor) -> Tensor:
        """Map each member by its own layer."""
        if self.weight.shape[2] == 1:
            # K dot products: four times as fast as as many products with a matrix of one column.
            return (x * self.weight[..., 0]).sum(-1, keepdim=True) + self.bias
        # (K, B, inputs) @ (K, inputs, outputs) → (K, B, outputs)
        return torch.bmm(x.transpose(0, 1).contiguous(), self.weight).transpose(0, 1) + self.bias


class BatchEnsembleLinear(nn.Module):
    """K linear layers that share their weight (arXiv 2002.06715): y_k = s_k ∘ ((r_k ∘ x_k) Wᵀ) + b_k.

    All start alike (r = s = 1 and one bias); (B, K, inputs) → (B, K, outputs).
    """

    def __init__(self, members: int, inputs: int, outputs: int) -> None:
        super().__init__()
        self.before = MemberScale(members, inputs, "ones")
        self.linear = nn.Linear(inputs, outputs, bias=False)
        self.after = MemberScale(members, outputs, "ones")
        self.bias = nn.Parameter(uniform_(torch.empty(outputs), inputs).repeat(members, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Map each member."""
        return torch.addcmul(self.bias, self.linear(self.before(x)), self.after.weight)


class EnsembleEncoder(EncoderModule):
    """Encoders of one input side by side, (B, K, D); what is narrower than the widest of them is filled up with zeros.

    Args:
        encoders: The encoders.
    """

    def __init__(self, encoders: Sequence[EncoderModule]) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(encoders)
        self.width = max(encoder.width for encoder in encoders)
        self.members = sum(encoder.members for encoder in encoders)

    def each(self) -> Iterator[EncoderModule]:
        """Yield the encoders."""
        for encoder in self.encoders:
            yield cast(EncoderModule, encoder)

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """Encode a batch by each of them."""
        found = []
        for encoder in self.each():
            vector = F.pad(encoder(inputs), (0, self.width - encoder.width))
            found.append(vector if vector.ndim == 3 else vector.unsqueeze(1))
        return torch.cat(found, 1)


class SequenceEnsembleEncoder(EnsembleEncoder, SequenceEncoderModule):
    """Encoders of one sequence side by side, which have a vector for each place, too: (B, K, T, D).

    Args:
        encoders: The encoders, none of which has members.
    """

    def __init__(self, encoders: Sequence[SequenceEncoderModule]) -> None:
        super().__init__(encoders)
        self.states_width = max(encoder.states_width for encoder in encoders)

    def states(self, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return the vectors of each of them for every place, and the mask (B, T), which they share."""
        found = [cast(SequenceEncoderModule, encoder).states(inputs) for encoder in self.each()]
        return torch.stack([F.pad(values, (0, self.states_width - values.shape[2])) for values, _ in found], 1), found[0][1]


def output_layer(width: int, size: int, members: int) -> nn.Module:
    """Build the last layer: (B, width) → (B, size), or for several members (B, K, width) → (B, K, size) with a layer each."""
    return nn.Linear(width, size) if members == 1 else MemberLinear(members, width, size)


def align_members(vectors: Sequence[Tensor]) -> list[Tensor]:
    """Give every vector the members axis that some have: (B, D_i) → (B, K, D_i), without copying.

    Vectors that all lack the axis are returned as they are; those that have it must agree on K.
    """
    ensemble = next((v for v in vectors if v.ndim == 3), None)
    if ensemble is None:
        return list(vectors)
    return [v if v.ndim == 3 else v.unsqueeze(1).expand(-1, ensemble.shape[1], -1) for v in vectors]
