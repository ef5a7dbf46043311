"""Baby Moves: the metrics of a cross-validation beside those of Passmore et al.

    infantjax crossval FOLDER --method baby-moves --network.metadata -o ensemble
    python experiments/baby_moves.py ensemble

`infantjax crossval --method baby-moves` preprocesses, trains, stops, calibrates and evaluates as the reference
implementation does, by default on 25 random splits, and keeps the metrics of the test videos of each. Printed are mean
and standard deviation over the splits. The published metrics are of 484 videos of 327 infants, which are not public.
"""

import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from method_runs import exit_status, read_record

PUBLISHED = {
    "AUC": ((0.795, 0.080), (0.749, 0.077)),
    "balanced_accuracy": ((0.703, 0.083), None),
    "sensitivity": ((0.755, 0.150), None),
    "specificity": ((0.651, 0.078), None),
    "ppv": ((0.277, 0.077), None),
    "npv": ((0.941, 0.035), None),
    "AUC of cohort alone": ((0.69, math.nan), None),
}
"""Mean and standard deviation over the repeats with age and cohort, and without; 0.70 without in the discussion."""


def main(ensemble: tyro.conf.Positional[Path], /) -> None:
    """Print the table.

    Args:
        ensemble: folder that `infantjax crossval --method baby-moves` wrote.
    """
    print(table(read_record(ensemble, "baby-moves")))


def table(record: Mapping[str, Any]) -> str:
    """Mean and standard deviation over the runs, and the published ones."""
    runs, metadata = [run["metrics"] for run in record["runs"]], record["settings"]["network"]["metadata"]
    lines = [
        f"{len(runs)} random splits of {record['cohort']['recordings']} videos; as they share infants, SD is no error",
        f"of the mean. Published: 484 videos, {'with age and cohort' if metadata else 'movement only'}.",
        f"{'metric':<22}{'mean':>8}{'SD':>8}{'published':>18}",
    ]
    for name, known in PUBLISHED.items():
        values = [value for run in runs if (value := run.get(name)) is not None]
        if values:
            deviation = np.std(values, ddof=1) if len(values) > 1 else math.nan
            row = f"{name:<22}{np.mean(values):>8.3f}{deviation:>8.3f}"
            lines.append(f"{row}{published(known[0 if metadata else 1]):>18}")
    return "\n".join(lines)


def published(known: tuple[float, float] | None) -> str:
    """Mean and standard deviation, as far as they are published."""
    if known is None:
        return "-"
    return f"{known[0]:.3f}" + ("" if math.isnan(known[1]) else f" +- {known[1]:.3f}")


if __name__ == "__main__":
    sys.exit(exit_status(lambda: tyro.cli(main, description=__doc__)))
