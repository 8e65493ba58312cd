"""A head that compares the vectors of two inputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from deepwright.facts import Shape, TargetFacts, TargetKind
from deepwright.families import Head, Loss

if TYPE_CHECKING:
    from deepwright.blocks.contract import HeadModule


class Matching(Head):
    """The right partner of each row among those of its batch: in-batch negatives (InfoNCE, arXiv 1807.03748; arXiv 1705.00652).

    The loss of a row is -log of the softmax over the batch's partners of its likeness to them, divided by ``temperature``. The
    larger ``training.batch``, the more partners a row is told from.
    """

    kinds: ClassVar[tuple[TargetKind, ...]] = ("match",)
    reads: ClassVar[Shape] = "pair"

    width: int | None = Field(None, ge=1)
    """Each of the two vectors is brought to this width by a linear layer of its own first; by default they are compared as the
    encoders give them, which is right for two texts that share one."""
    measure: Literal["cosine", "dot"] = "cosine"
    """How alike two vectors are: the ``cosine`` of their angle, or their ``dot`` product, in which lengths count."""
    temperature: float = Field(0.05, gt=0)
    """What likeness is divided by: the smaller, the more the hardest negatives count. For ``dot`` 1 is usual."""
    both: bool = True
    """Whether the second inputs look for the first ones, too."""
    correct: bool = True
    """Whether partners that many training rows have, and that are negatives as often, are given less of a handicap for it: the
    logarithm of how often is taken off their likeness in training (sampled softmax, Yi et al. 2019)."""
    margin: float | None = Field(None, gt=0)
    """Instead of the softmax: the likeness to the right partner shall exceed the one to the hardest other of the batch by as much
    (triplet loss, arXiv 1503.03832)."""

    def build(self, facts: TargetFacts, loss: Loss | None) -> HeadModule:
        """Build the module; raw holds the vectors of both inputs.

        Raises:
            RecipeError: The head does not fit the output, or a loss is declared (E108).
        """
        from deepwright.blocks.heads import expect_no_loss
        from deepwright.blocks.matching import MatchingHead

        expect_no_loss(self, facts, loss)
        recurring = facts.recurring if self.correct else ()
        return MatchingHead(
            self.width or 0,
            recurring,
            cosine=self.measure == "cosine",
            temperature=self.temperature,
            both=self.both,
            margin=self.margin,
        )
