"""A head for forecasts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from deepwright.errors import RecipeError
from deepwright.facts import Shape, TargetFacts, TargetKind
from deepwright.families import Head, Loss

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from deepwright.blocks.contract import HeadModule


class Forecast(Head):
    """The next rows of several columns, in their own units; with quantiles, several values of each."""

    kinds: ClassVar[tuple[TargetKind, ...]] = ("forecast",)
    reads: ClassVar[Shape] = "window"

    def build(self, facts: TargetFacts, loss: Loss | None) -> HeadModule:
        """Build the module; raw are the standardised values.

        Raises:
            RecipeError: The head or the loss does not fit the output (E108).
        """
        from deepwright.blocks.heads import ForecastHead, head_loss

        quantiles = facts.forecast.quantiles if facts.forecast is not None else ()
        if loss is not None and (loss.type_name() == "pinball") != bool(quantiles):
            message = "quantiles need the loss pinball" if quantiles else "the loss pinball needs quantiles"
            fix = f"outputs: {{{facts.name}: {{type: forecast, quantiles: [0.1, 0.5, 0.9]}}}}"
            raise RecipeError("E108", message, where=f"outputs.{facts.name}.loss", got=loss.type_name(), fix=fix)
        build = head_loss(self, facts, loss, "pinball" if quantiles else "mse")
        if facts.forecast is None:
            raise RecipeError("E108", "the output foretells no columns", where=f"outputs.{facts.name}")
        return ForecastHead(build, facts.forecast)

    def search(self, outputs: NDArray[Any], extras: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """Return quantiles (B, H, C, Q) in their order, whatever the network said."""
        del extras
        return np.sort(outputs, axis=-1) if outputs.ndim == 4 else outputs
