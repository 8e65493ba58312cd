"""find: a learning rate or a batch size, tried on the user's own model and rows; nothing is trained or written."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepwright import forecasting
from deepwright.errors import need
from deepwright.origins import foretells
from deepwright.preparation import open_tables, prepare
from deepwright.progress import Event, Listener, silent
from deepwright.recipe import Recipe
from deepwright.table import Table

if TYPE_CHECKING:
    from deepwright.engine.finders import BatchTest, RateTest
    from deepwright.engine.loop import Task


def find_lr(
    recipe: Recipe, *, table: Table | None = None, target: list[str] | None = None, steps: int = 100, listener: Listener = silent
) -> tuple[RateTest, Recipe]:
    """Suggest a peak learning rate by a range test (L. Smith, arXiv 1506.01186).

    Args:
        recipe: As for training.
        table: Rows from memory, instead of ``data.source``.
        target: Output columns whose types are inferred.
        steps: Steps of the test.
        listener: Hears of progress.

    Returns:
        What was found, and the resolved recipe with the suggestion in it.

    Raises:
        RecipeError: The recipe is wrong or does not fit the data.
        DataError: The data are wrong.
        TrainingError: The loss is never finite (E401), or falls at no rate (E407).
    """
    task, recipe = _task(recipe, table, target, listener)
    from deepwright.engine.finders import find_rate

    found = find_rate(task, recipe, listener, steps=steps)
    listener(Event("stopped", f"learning rate {found.suggestion:g}", values={"lr": found.suggestion, "steepest": found.steepest}))
    optimizer = recipe.training.optimizer
    chosen = None if optimizer is None else optimizer.model_copy(update={"lr": found.suggestion})
    return found, recipe.replace(training={"optimizer": chosen})


def find_batch(
    recipe: Recipe, *, table: Table | None = None, target: list[str] | None = None, listener: Listener = silent
) -> tuple[BatchTest, Recipe]:
    """Suggest a batch size: the smallest whose rate is within 5 % of the best, and the largest that fits.

    Arguments, results and errors are as for :func:`find_lr`.
    """
    task, recipe = _task(recipe, table, target, listener)
    from deepwright.engine.finders import find_batch as find

    found = find(task, recipe, listener)
    listener(Event("stopped", f"batch {found.suggestion:,}", values={"batch": found.suggestion, "largest": found.largest}))
    return found, recipe.replace(training={"batch": found.suggestion})


def _task(recipe: Recipe, table: Table | None, target: list[str] | None, listener: Listener) -> tuple[Task, Recipe]:
    need("torch", extra="train")
    from deepwright.engine.assembly import Encoded, assemble

    table, held, name, recipe = open_tables(recipe, table, target or [])
    if foretells(recipe):
        prepared = forecasting.prepare(recipe, table, held, name, listener)
    else:
        prepared = prepare(recipe, table, held, name, listener)
    rows = prepared.train
    listener(Event("data", f"{len(rows):,} training rows", values={"train": len(rows)}))
    train, validation = (
        Encoded(part.arrays, part.targets, part.weights, None, part.stored) for part in (rows, prepared.validation)
    )
    task, _ = assemble(prepared.recipe, prepared.data, train, validation, lambda outputs: {})
    return task, prepared.recipe
