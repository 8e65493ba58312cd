"""Two towers: a network for the user and one for the item, and the product of what they give (Covington et al., RecSys 2016)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field, PositiveInt

from deepwright.errors import RecipeError, nearest
from deepwright.facts import Facts, Wire
from deepwright.families import Encoder

if TYPE_CHECKING:
    from deepwright.blocks.contract import EncoderModule


class TwoTowers(Encoder):
    """Two networks, one on the user's columns and one on the item's, whose vectors are multiplied (Covington et al. 2016).

    Unlike in a factorisation machine, each side is a network of its own, and columns of one side meet those of the other in the
    product only.
    """

    accepts: ClassVar[tuple[Wire, ...]] = ("table",)

    users: list[str] = Field(min_length=1)
    """The columns of the user's tower; all others are the item's."""
    factors: int = Field(16, ge=1)
    """The width of both vectors."""
    hidden: list[PositiveInt] = Field([])
    """The widths of the layers of each tower; by default a single linear layer."""
    category_width: int = Field(16, ge=1)
    """The width of a category's embedding."""
    dropout: float = Field(0.4, ge=0, lt=1)
    """The fraction of values dropped in training, of the columns' vectors and after each layer."""
    unseen_dropout: float = Field(0.02, ge=0, lt=1)
    """The fraction of category ids that training replaces by "unseen", so that new users and items have a learnt meaning."""

    def build(self, facts: Facts) -> EncoderModule:
        """Build the module; its vector is the products and the sum of both biases.

        Raises:
            RecipeError: ``users`` names what is no input (E107), or leaves one tower without a column (E106).
        """
        numbers = [self._owner(column.label) for column in facts.numbers]
        categories = [self._owner(column.label) for column in facts.categories]
        known = [column.label for column in facts.numbers] + [column.label for column in facts.categories]
        if unknown := [name for name in self.users if name not in (*numbers, *categories)]:
            raise RecipeError(
                "E107",
                f"the user's tower names what is no input that shares the tabular encoder: {', '.join(unknown)}"
                + nearest(unknown[0], known),
                where="tabular.users",
                got=", ".join(known[:30]),
            )
        if all((*numbers, *categories)):
            raise RecipeError(
                "E106",
                "the item's tower has no column",
                where="tabular.users",
                got=", ".join(self.users),
                fix="leave the item's columns out of users",
            )
        from deepwright.blocks.factors import Tower, TwoTowersEncoder

        towers = [
            Tower(
                facts.numbers,
                facts.categories,
                ([i for i, o in enumerate(numbers) if bool(o) == user], [i for i, o in enumerate(categories) if bool(o) == user]),
                factors=self.factors,
                category_width=self.category_width,
                dropout=self.dropout,
                unseen_dropout=self.unseen_dropout,
                hidden=self.hidden,
            )
            for user in (True, False)
        ]
        return TwoTowersEncoder(towers[0], towers[1], self.factors)

    def _owner(self, label: str) -> str:
        """Return which of ``users`` a column of the wire comes from, if any: ``born.month_sin`` comes from ``born``."""
        return next((name for name in self.users if label == name or label.startswith(f"{name}.")), "")

    @classmethod
    def example(cls) -> TwoTowers:
        """Return tiny towers."""
        return cls(users=["plain", "binned", "few"], factors=4, hidden=[8], category_width=4)
