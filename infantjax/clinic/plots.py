"""Plots of clinical tables, by Matplotlib."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from infantjax.clinic.columns import entries_of
from infantjax.evaluation.plots import new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def groups(values: ArrayLike, column: pd.Series, label: str = "risk") -> "Figure":
    """Box plots of the values of infants by the entries of a category, with each infant as a point.

    Args:
        values: `[infant]`, NaN where missing.
        column: `[infant]`, a category with entries.
        label: of the values.
    """
    entries, numbers = entries_of(column) or [], np.asarray(values, np.float64)
    # A dollar sign would begin a formula.
    title, *names = [name.replace("$", r"\$") for name in (str(column.name), *entries)]
    figure, axes = new_figure(title, label)
    of = [numbers[(column == entry).to_numpy() & np.isfinite(numbers)] for entry in entries]
    axes.boxplot(of, tick_labels=[f"{e}, {len(v)}" for e, v in zip(names, of)], showfliers=False)
    for place, found in enumerate(of, 1):
        # Spread evenly, not at random: the same values give the same bytes.
        axes.plot(place + np.linspace(-0.15, 0.15, len(found)), found, "o", color="0.4", markersize=3)
    return figure
