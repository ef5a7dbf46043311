"""A search whose candidates are not trained: the value of each follows from its name. Also a program, for processes.

python pretend.py DIRECTORY [--seconds S] [--trials N] [--aborts LABEL] [--devices N] [--cluster ADDRESS]
"""

import argparse
import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from infantjax import engine, search
from infantjax.progress import configure_logging
from infantjax.search import KBest, Observation, RandomSearch, SearchResult, SearchSpace, TrialResult, kbest

SPACE = SearchSpace(
    {
        "graph": ("spatial", "dis2", "dis4"),
        "width": (6, 8, 10, 12),
        "taps": (3, 5, 7, 9, 11, 13, 15, 17),
        "scales": (1, 2, "linear"),
    }
)


RULE = KBest(3, 0.9)


def value(label: str) -> float:
    """Between 0.7 and 1, by the candidate's name."""
    return round(0.7 + 0.3 * int(hashlib.sha256(label.encode()).hexdigest()[:8], 16) / 2**32, 3)


@dataclass(frozen=True)
class Pretend:
    """Takes ten steps, with a checkpoint after each; everything is written down in a journal."""

    space: SearchSpace = SPACE
    seconds: float = 0.0
    aborts: str = ""

    @property
    def description(self) -> dict[str, Any]:
        return {"objective": "pretend"}

    def __call__(self, choices: Any, directory: Path, report: Any) -> TrialResult:
        label = self.space.label(self.space.candidate(choices))
        directory.mkdir(parents=True, exist_ok=True)
        journal = directory.parents[2] / "journal.txt"

        def note(event: str) -> None:
            with journal.open("a") as stream:
                stream.write(f"{event} {label}\n")

        note("begin")
        if label == self.aborts:
            os.abort()
        steps = directory / "steps"
        for step in range(len(steps.read_text()) if steps.exists() else 0, 10 if self.seconds else 0):
            time.sleep(self.seconds / 10)
            steps.write_text("." * (step + 1))
            note("step")
        reached = value(label)
        report(10, reached - 0.1)
        note("end")
        if reached < 0.78:
            return TrialResult("stopped", reached, "AUC below 0.78 at epoch 10", ((10, reached),))
        return TrialResult("finished", reached, "", ((10, reached - 0.1), (20, reached)), {"epochs": 20})


def run(directory: Path, strategy: Any = RULE, objective: Any = None, **settings: Any) -> SearchResult:
    """A search of the pretended space."""
    space = settings.pop("space", SPACE)
    defaults = {"study": "pretend", "seed": 1}
    return search.run(space, objective or Pretend(space), strategy, directory, **defaults | settings)


def by_hand(strategy: Any = RULE, trials: int | None = None, space: SearchSpace = SPACE) -> list[Observation]:
    """The whole search without a study."""
    return kbest.run(strategy, space, lambda candidate: value(space.label(candidate)), 1, trials)


def journal(directory: Path, event: str) -> list[str]:
    """The candidates with an event, in order.

    Args:
        directory: of the search.
        event: `begin`, `step` or `end`.
    """
    path = directory / "journal.txt"
    lines = path.read_text().splitlines() if path.exists() else []
    return [label for kind, _, label in (line.partition(" ") for line in lines) if kind == event]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--trials", type=int)
    parser.add_argument("--aborts", default="")
    parser.add_argument("--devices", type=int, default=1)
    parser.add_argument("--cluster")
    given = parser.parse_args()
    configure_logging(quiet=True)
    strategy = RandomSearch() if given.trials else RULE
    objective = Pretend(SPACE, given.seconds, given.aborts)
    used = engine.Ray(given.cluster) if given.cluster else engine.Local(given.devices)
    run(given.directory, strategy, objective, engine=used, trials=given.trials)
    print("done")


if __name__ == "__main__":
    import pretend  # as processes of a cluster know it

    pretend.main()
