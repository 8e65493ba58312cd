"""The pages of ``deepwright find`` (floor 7)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from deepwright.reporting import charts
from deepwright.reporting.page import Page, code, figures, paragraph, section, table

if TYPE_CHECKING:
    from deepwright.engine.finders import BatchTest, RateTest


def rate_html(found: RateTest, line: str, title: str) -> str:
    """Return the page of a learning-rate range test.

    Args:
        found: The test.
        line: The line for the recipe.
        title: What was trained.
    """
    places = [math.log10(rate) for rate in found.rates]
    marks = [
        (math.log10(found.suggestion), f"suggested: {found.suggestion:g}"),
        (math.log10(found.steepest), f"steepest: {found.steepest:g}"),
    ]
    # Beyond a few times the first loss a curve only hides what comes before.
    top = max(1.5 * max(found.smoothed[0], 1e-12), min(found.losses) + 1e-12)
    shown = {
        name: (places, [value if value <= top or found.smoothed[0] <= 0 else None for value in values])
        for name, values in (("smoothed loss", found.smoothed), ("loss", found.losses))
    }
    drawn = charts.line(
        shown,
        title="Loss while the learning rate rises",
        x_label="learning rate, as a power of 10",
        y_label="loss",
        marks=marks,
        y_range=(min(found.losses), top) if found.smoothed[0] > 0 else None,
    )
    ended = "ended where the loss diverged" if found.diverged else "went through the whole range without diverging"
    about = (
        f"The network was trained for {len(found.rates)} steps while the learning rate rose from {found.rates[0]:.2g} to "
        f"{found.rates[-1]:.2g}, and the test {ended}. The suggestion is the middle of the fall of the smoothed loss."
    )
    page = Page(f"Learning rate: {title}", f"suggested peak learning rate {found.suggestion:g}")
    rows = [[rate, loss, smooth] for rate, loss, smooth in zip(found.rates, found.losses, found.smoothed, strict=True)]
    return page.add(
        section("Suggestion", paragraph(about), code(line), figures(drawn)),
        section("Steps", table(["learning rate", "loss", "smoothed"], rows)),
    ).render()


def batch_html(found: BatchTest, line: str, title: str) -> str:
    """Return the page of a batch-size search.

    Args:
        found: What was measured.
        line: The line for the recipe.
        title: What was trained.
    """
    fitting = [trial for trial in found.trials if trial.fits]
    places = [math.log2(trial.batch) for trial in fitting]
    drawn = charts.line(
        {"rows per second": (places, [trial.rows_per_second for trial in fitting])},
        title="Rows per second by batch size",
        x_label="batch, as a power of 2",
        marks=[(math.log2(found.suggestion), f"suggested: {found.suggestion:,}")],
    )
    about = (
        f"Suggested is the smallest batch within 5 % of the best rate. The largest that was tried and fitted is {found.largest:,}."
    )
    rows = [[t.batch, t.rows_per_second, t.seconds, t.memory or None, t.fits] for t in found.trials]
    chosen = [index for index, trial in enumerate(found.trials) if trial.batch == found.suggestion]
    measured = table(["batch", "rows per second", "seconds a step", "bytes on the device", "fits"], rows, strong=chosen)
    page = Page(f"Batch size: {title}", f"suggested batch {found.suggestion:,}")
    return page.add(section("Suggestion", paragraph(about), code(line), figures(drawn), measured)).render()
