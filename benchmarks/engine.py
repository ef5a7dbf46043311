"""Tasks on devices: what the engine and the driver of a search cost, and where one driver becomes the limit.

    python -m benchmarks.engine

A task that does nothing is run many times by threads of this process and by a Ray cluster that is started for it, whose
nodes have one core each. A search whose objective sleeps gives the trials an hour of one and of two devices, and, with
an objective that does nothing, the time that the driver itself needs for a trial: it asks the rule for a candidate,
records it, submits it, and records the result. The last rows are computed, not measured: how many trials an hour 256
chips ask of the driver at several lengths of a trial, and the share of its time that this takes.
"""

import os
import secrets
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import tyro

from benchmarks import common
from infantjax.engine import Engine, Local, Ray, results
from infantjax.search import RandomSearch, run


@dataclass(frozen=True)
class Options:
    """What is measured."""

    tasks: int = 300
    """Empty tasks on each engine."""
    trials: int = 100
    """Trials of each search."""
    seconds: float = 0.5
    """That a trial sleeps, where devices are compared."""
    chips: int = 256
    """Of the pod that is computed."""
    ray: bool = True
    """Start a Ray cluster on this machine too."""
    write: bool = True
    """Keep the result in benchmarks/results."""


def nothing(number: int, *, device: int) -> int:
    """A task that does nothing."""
    return number


def value(choices: dict[str, Any], *, seconds: float) -> float:
    """The objective of a trial: some time, and a value."""
    time.sleep(seconds)
    return float(sum(choices.values()))


SPACE = {f"choice_{number}": tuple(range(6)) for number in range(20)}
"""As many choices as the published space."""


TOKEN = secrets.token_hex(16)
"""Of all clusters of this process."""


@contextmanager
def cluster(nodes: int) -> Iterator[Engine]:
    """A Ray cluster of this machine, with a token."""
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}
    os.environ["PYTHONPATH"] = os.getcwd()
    from ray.cluster_utils import Cluster

    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    for _ in range(nodes - 1):
        made.add_node(num_cpus=1)
    try:
        yield Ray(made.address)
    finally:
        import ray

        ray.shutdown()
        made.shutdown()


def seconds_of(call: Callable[[], object]) -> float:
    """Seconds that a call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def overhead(engine: Engine, tasks: int) -> dict[str, Any]:
    """Milliseconds of an empty task, after as many as there are devices."""
    rest = [(number,) for number in range(tasks)]
    list(results(engine, nothing, rest[: engine.devices]))
    taken = seconds_of(lambda: list(results(engine, nothing, rest)))
    return {"devices": engine.devices, "task_ms": 1000 * taken / tasks}


def search(engine: Engine, trials: int, seconds: float) -> dict[str, Any]:
    """Trials an hour of a search with trials of a given length."""
    with tempfile.TemporaryDirectory() as folder:
        objective = partial(value, seconds=seconds)
        call = partial(run, SPACE, objective, RandomSearch(), folder, trials=trials, engine=engine)
        taken = seconds_of(call)
    return {"devices": engine.devices, "trial_s": seconds, "trials_an_hour": 3600 * trials / taken}


def main(options: Options) -> None:
    """Measure and print the table."""
    where = common.environment()
    local = [Local(devices) for devices in (1, 2)]
    rows: list[dict[str, Any]] = [{"engine": "local", **overhead(engine, options.tasks)} for engine in local]
    rows += [{"engine": "local", **search(engine, options.trials, options.seconds)} for engine in local]
    rows.append({"engine": "local", **search(Local(1), options.trials, 0.0)})
    driver = 3600 / rows[-1]["trials_an_hour"]
    if options.ray:
        for nodes in (1, 2):
            with cluster(nodes) as engine:
                rows.append({"engine": "ray", **overhead(engine, options.tasks)})
    for minutes in (1, 10, 60):
        trials = options.chips * 60 / minutes
        computed = {"devices": options.chips, "trial_s": 60.0 * minutes, "trials_an_hour": trials}
        rows.append({"engine": "computed", **computed, "driver_share": trials * driver / 3600})
    columns = ("engine", "devices", "task_ms", "trial_s", "trials_an_hour", "driver_share")
    rows = [{name: row.get(name) for name in columns} for row in rows]
    settings = {"driver_ms": 1000 * driver, "tasks": options.tasks, "trials": options.trials}
    print(common.write("engine", rows, settings, where) if options.write else common.table(rows))


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
