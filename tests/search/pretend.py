"""A search whose candidates are not trained: the value of each follows from its name. Also a program, for processes.

python pretend.py DIRECTORY STORAGE [--workers N] [--seconds S] [--trials N] [--grace S] [--seed N] [--aborts LABEL]
    [--devices N] [--serve HOST:PORT]
"""

import argparse
import contextlib
import hashlib
import json
import os
import random
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import optuna

from infantjax.progress import configure_logging
from infantjax.search.kbest import KBest, RandomSearch
from infantjax.search.launcher import run_search
from infantjax.search.objective import TrialResult
from infantjax.search.space import SearchSpace
from infantjax.search.storage import Heartbeat, open_storage
from infantjax.search.study import join_study
from infantjax.search.worker import SearchTask

SPACE = SearchSpace(
    {
        "graph": ("spatial", "dis2", "dis4"),
        "width": (6, 8, 10, 12),
        "taps": (3, 5, 7, 9, 11, 13, 15, 17),
        "scales": (1, 2, "linear"),
    }
)


def value(label: str) -> float:
    """Between 0.7 and 1, by the candidate's name."""
    return round(0.7 + 0.3 * int(hashlib.sha256(label.encode()).hexdigest()[:8], 16) / 2**32, 3)


@dataclass(frozen=True)
class Pretend:
    """Takes some seconds; every evaluation is written down, begun and ended."""

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
        with journal.open("a") as stream:
            stream.write(f"begin {label}\n")
        if label == self.aborts:
            os.abort()
        time.sleep(self.seconds * random.uniform(0.5, 1.5))
        reached = value(label)
        report(10, reached - 0.1)
        with journal.open("a") as stream:
            stream.write(f"end {label}\n")
        if reached < 0.78:
            return TrialResult("stopped", reached, "AUC below 0.78 at epoch 10", ((10, reached),))
        return TrialResult("finished", reached, "", ((10, reached - 0.1), (20, reached)), {"epochs": 20})


def task(directory: Path, storage: str, study: str = "pretend", **settings: Any) -> SearchTask:
    """A search of the pretended space."""
    settings = {"strategy": KBest(3, 0.9), "space": SPACE, "objective": Pretend(), "quiet": True} | settings
    return SearchTask(study, storage, directory, **settings)


def journal(directory: Path, event: str) -> list[str]:
    """The candidates whose evaluation began, or came to its end, in order.

    Args:
        directory: of the search.
        event: `begin` or `end`.
    """
    path = directory / "journal.txt"
    lines = path.read_text().splitlines() if path.exists() else []
    return [label for kind, _, label in (line.partition(" ") for line in lines) if kind == event]


_opened = lru_cache(maxsize=4)(open_storage)  # to open one takes longer than a trial


def begin(search: SearchTask) -> optuna.Study:
    """The study of a search, as the launcher makes it."""
    return join_study(search.study, _opened(search.storage, search.heartbeat), search.sampler, search.setup)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("directory", type=Path)
    parser.add_argument("storage")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--trials", type=int)
    parser.add_argument("--grace", type=int, default=180)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--aborts", default="")
    parser.add_argument("--devices", type=int)
    parser.add_argument("--serve", default="")
    given = parser.parse_args()
    settings = {
        "objective": Pretend(SPACE, given.seconds, given.aborts),
        "trials": given.trials,
        "seed": given.seed,
        "heartbeat": Heartbeat(max(given.grace // 3, 1), given.grace),
        "strategy": RandomSearch() if given.trials else KBest(3, 0.9),
    }
    configure_logging(quiet=True)
    with contextlib.ExitStack() as stack:
        storage = given.storage
        if given.serve:
            from infantjax.search.remote import serving

            stack.enter_context(serving(storage, given.serve, settings["heartbeat"]))
            storage = f"grpc://{given.serve}"
        run_search(task(given.directory, storage, **settings), given.workers, given.devices)
    print(json.dumps("done"))


if __name__ == "__main__":
    main()
