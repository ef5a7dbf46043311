"""`infantjax assess` as a user runs it: the whole process from start to end, with and without compiled programs.

    python -m benchmarks.assess_command

The bundled ensemble on a simulated recording of three minutes. `cold` begins with an empty compilation cache, `warm`
with that of the first cold run. Every run is a process of its own. CPU seconds are those of all of its threads: over
wall-clock seconds they tell how many cores were busy, and others on the machine disturb them least. The benchmark stops
unless every run wrote the same bytes.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro

from benchmarks import common
from benchmarks.common import Run, measured


@dataclass(frozen=True)
class Options:
    """What is measured."""

    duration: float = 180.0
    """Seconds of the recording."""
    cold: int = 3
    """Runs without compiled programs, at least 1."""
    warm: int = 7
    """Runs with them."""
    write: bool = True
    """Keep the result in benchmarks/results."""


def main(options: Options) -> None:
    """Measure and print the table."""
    where = common.environment()
    runs: dict[str, list[Run]] = {"cold": [], "warm": []}
    reports = set()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        length = ["--duration", str(options.duration)]
        measured(["simulate", "-n", "2", *length, "-o", str(folder / "infants"), "--quiet"], folder)
        recording, report = folder / "infants" / "orgcoords_sim0000.csv", folder / "report"
        for state in ["cold"] * options.cold + ["warm"] * options.warm:
            cache = folder / f"cache{len(runs['cold']) if state == 'cold' else 0}"
            runs[state].append(measured(["assess", str(recording), "--fps", "30", "-o", str(report), "--quiet"], cache))
            print(state, runs[state][-1], flush=True)
            reports.add(next(report.glob("*.json")).read_bytes())
            if len(reports) > 1:
                raise SystemExit("two runs gave different results")
    rows = [summary(state, found) for state, found in runs.items() if found]
    shapes = {"duration": options.duration}
    print(common.write("assess_command", rows, shapes, where) if options.write else common.table(rows))


def summary(state: str, runs: Sequence[Run]) -> dict[str, Any]:
    """Medians of several runs, their least and largest wall-clock time, and the largest memory of any."""
    wall = [run.wall_s for run in runs]
    return {
        "programs": state,
        "runs": len(runs),
        "wall_s": float(np.median(wall)),
        "least_s": min(wall),
        "largest_s": max(wall),
        "cpu_s": float(np.median([run.cpu_s for run in runs])),
        "peak_mb": max(run.peak_mb for run in runs),
    }


if __name__ == "__main__":
    main(tyro.cli(Options))
