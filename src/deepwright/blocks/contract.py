"""What the assembler expects of the modules that parts build."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

Raw = Tensor | tuple[Tensor, Tensor]
"""What a head predicts from before any link function: (B, O); of a sequence (B, T, O), of K members (B, K, T, O), and its mask
(B, T); of a pair two (B, D);
of a text that is known the scores of all next tokens (N, V) and those tokens (B, U), of one that is not the memory (B, T, M); of a
map (B, O, H, W)."""

RowLoss = Callable[[Any, Tensor], Tensor]
"""``loss(raw, target) -> (B,)``: one loss a row."""


class EncoderModule(nn.Module):
    """``forward({array: tensor}) -> (B, width)``, or ``(B, members, width)`` if ``members`` > 1.

    The vector of a window may be made of as many parts, one behind the other, as a season has ``phases``: of each one, the rows of
    that phase are foretold.
    """

    width: int
    members: int = 1
    phases: int = 1

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """Encode a batch."""
        raise NotImplementedError


class SequenceEncoderModule(EncoderModule):
    """An encoder that has a vector for each place of its input, too."""

    states_width: int

    def states(self, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Return a vector for every place, (B, T, states_width) or (B, members, T, states_width), and the mask (B, T)."""
        raise NotImplementedError


class MapEncoderModule(EncoderModule):
    """An encoder that has a vector for each pixel of its picture, too."""

    maps_width: int

    def maps(self, inputs: dict[str, Tensor]) -> Tensor:
        """Return a vector for every pixel, (B, maps_width, H, W)."""
        raise NotImplementedError


class FusionModule(nn.Module):
    """``forward([(B, D_i)…]) -> (B, width)``; a members axis, if any, stands before the last.

    Of one that reads sequences the first two are states and their mask, ((B, T, D_i), (B, T)).
    """

    width: int

    def forward(self, vectors: list[Any]) -> Tensor:
        """Fuse the vectors of all encoders."""
        raise NotImplementedError


class HeadModule(nn.Module):
    """What turns raw predictions into a loss and into what leaves the graph. The assembler makes the output layer.

    For a head that reads a sequence, raw is ``(values (B, T, size), mask (B, T))``, for one that reads a map (B, size, H, W), and
    so is what ``loss`` and ``outputs`` get. For one that reads a pair it is the two vectors, each brought to ``size`` values, or as
    they are if that is 0; its loss may compare the rows of a batch. Several members of a sequence are given to the head in turn.

    ``size`` is the width of the raw prediction (1 is squeezed away: raw is (B,) then). ``initial_bias`` (size,), if any, is where
    the bias of the output layer starts: at what the class shares alone predict, so that training need not find them first.
    ``masks`` says that the loss itself leaves out what is not known of a target (NaN).
    """

    size: int
    loss: RowLoss
    initial_bias: Tensor | None = None
    masks: bool = False

    def extras(self) -> dict[str, Tensor]:
        """Return what else leaves the graph, the same for all rows; see :attr:`deepwright.families.Head.extras`."""
        return {}

    def lacking(self, raw: Any, target: Tensor) -> Tensor | None:
        """Return how many places a sequence has too few for its target, (B,), where that makes a loss infinite."""
        del raw, target
        return None

    def outputs(self, raw: Any) -> Tensor:
        """Return values (B,) in the target's own units, or probabilities (B, classes); members are averaged afterwards."""
        raise NotImplementedError


class ReaderModule(HeadModule):
    """A head's network that reads the states of one input with those of another in mind."""

    states_width: int
    """The width of what :meth:`read` returns."""

    def read(self, states: tuple[Tensor, Tensor], asked: tuple[Tensor, Tensor], same: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the output layer reads, (B, T, states_width), and the mask.

        Args:
            states: The states of the input that is read (B, T, D), and its mask (B, T).
            asked: Those of the other, (B, J, E) and (B, J).
            same: Which tokens of the two are known to be the same, (B, T, J); none where their vocabularies differ.
        """
        raise NotImplementedError


class WriterModule(HeadModule):
    """A head's network that writes a text: what is read and what is written so far tell the next token.

    ``forward(states, mask, written)`` returns the raw prediction of known texts, from which ``loss`` and ``outputs`` follow. See
    :mod:`deepwright.blocks.writing` for memories and states.
    """

    grows: bool
    """Whether a state has a line for each token; else its one line is replaced at each step."""
    state_width: int
    """C, the width of a state's line."""

    def remember(self, states: Tensor, mask: Tensor) -> Tensor:
        """Return the memory (B, T, M) of states (B, T, D) with a mask (B, T)."""
        raise NotImplementedError

    def step(self, memory: Tensor, state: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Return log p of the tokens behind each of ``tokens`` (B, U), (B, U, V), and the state's further lines."""
        raise NotImplementedError
