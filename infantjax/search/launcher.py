"""Starts the worker processes of a search on this machine, replaces those that die, and takes them with it."""

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing.process import BaseProcess
from typing import Any

from infantjax.errors import InputError, MissingExtraError
from infantjax.progress import LOGGER, configure_logging
from infantjax.search.storage import OUTAGE, close, open_storage
from infantjax.search.study import LIMIT, join_study
from infantjax.search.worker import MAX_FAILURES, SearchTask, run_worker

try:
    import optuna
except ImportError:
    raise MissingExtraError("optuna", "search") from None

INTERRUPTED = 130
"""Exit status of an interrupted worker, as of a command."""


def run_search(task: SearchTask, workers: int = 1, devices: int | None = None) -> None:
    """Run a study to its end with worker processes of this machine; others may join from elsewhere.

    A worker that is killed is replaced. Called again, an interrupted study continues.

    Args:
        task: the search.
        workers: processes; devices are shared where there are fewer.
        devices: of each process, which evaluates as many candidates at a time; None is all local devices for a single
            process and one for each of several.

    Raises:
        InputError: the storage holds another search of this name, or cannot be used; or the workers gave up.
        KeyboardInterrupt: interrupted; the trials in progress continue when the search does.
    """
    if workers < 1 or (devices is not None and devices < 1):
        raise ValueError(f"workers and devices must be at least 1, got {workers} and {devices}")
    start = partial(_start, task, workers, devices)
    try:
        task.directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(task.directory, f"cannot be made ({error.strerror})", "give another place") from None
    # Creates tables and study here, once: processes that start at the same moment would collide.
    storage = open_storage(task.storage, task.heartbeat)
    try:
        study = join_study(task.study, storage, task.sampler, task.setup)
        study.set_user_attr(LIMIT, task.trials)
        with _interrupted_by_sigterm():
            faults = _supervise(task, study, workers, start)
    finally:
        close(storage)
    if faults:
        raise InputError(f"study {task.study}", f"{faults} of {workers} workers gave up", "see the lines above")


def _supervise(task: SearchTask, study: "optuna.Study", workers: int, start: Callable[[int], BaseProcess]) -> int:
    """Keep workers running until all have ended by themselves; the number of those that gave up."""
    running = {number: start(number) for number in range(workers)}
    deaths, before, faults = 0, 0, 0
    try:
        while running:
            multiprocessing.connection.wait([process.sentinel for process in running.values()])
            for number, process in list(running.items()):
                if process.is_alive():
                    continue
                process.join()
                del running[number]
                if process.exitcode == INTERRUPTED:
                    raise KeyboardInterrupt
                if process.exitcode is None or process.exitcode >= 0:
                    faults += process.exitcode != 0
                    continue
                LOGGER.warning("%s: a worker died (signal %d)", task.study, -process.exitcode)
                # Deaths without a result between them have a cause that a new worker does not remove.
                now = _results(study)
                deaths, before = (0, now) if now > before else (deaths + 1, before)
                if deaths == MAX_FAILURES:
                    remedy = "if memory ran out, use fewer workers or a larger machine"
                    LOGGER.error("%s: %d workers died and none had a result; %s", task.study, deaths, remedy)
                    faults += 1
                    continue
                time.sleep(min(deaths, 10))
                running[number] = start(number)
    except KeyboardInterrupt:
        for process in running.values():
            process.terminate()
        for process in running.values():
            process.join()
        raise
    return faults


def _results(study: "optuna.Study") -> int:
    """Number of trials with a value; 0 if the storage does not answer."""
    with contextlib.suppress(*OUTAGE):
        return sum(trial.value is not None for trial in study.get_trials(deepcopy=False))
    return 0


@contextlib.contextmanager
def _interrupted_by_sigterm() -> Iterator[None]:
    """Handle SIGTERM like Ctrl-C. Python allows that in the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _start(task: SearchTask, workers: int, devices: int | None, number: int) -> BaseProcess:
    context = multiprocessing.get_context("spawn")
    arguments = (task, workers, devices, number)
    process = context.Process(target=_worker_process, args=arguments, name=f"{task.study}-{number}")
    process.start()
    return process


def _end_with_launcher() -> None:
    """End this process at once when the launcher has died, so that the next launcher meets none of its workers.

    What it leaves is that of a killed worker. Not left to the worker's loop, since one trial may take hours.
    """
    launcher = multiprocessing.parent_process()
    assert launcher is not None
    launcher.join()  # a pipe that the system closes when the launcher dies, however it dies
    os._exit(INTERRUPTED)


def _devices_of(task: SearchTask, workers: int, devices: int | None, number: int) -> list[int] | None:
    """Numbers of the local devices of a worker, which `Objective.on_device` takes modulo their number.

    Raises:
        InputError: one process is to use more devices than it has, or JAX finds none.
    """
    if not hasattr(task.objective, "on_device"):
        return None if devices is None else list(range(devices))
    from infantjax.devices import require_backend

    require_backend()
    if workers > 1:
        devices = devices or 1
        return list(range(number * devices, (number + 1) * devices))
    import jax

    found = jax.local_device_count()
    if (devices or 1) > found:
        raise InputError("--devices", f"is {devices}, this machine has {found}", f"give at most {found}")
    return list(range(devices or found))


def _worker_process(task: SearchTask, workers: int, devices: int | None, number: int) -> None:
    """A worker in a process of its own; its exit status is that of a command."""
    from infantjax import cache

    def stop(signum: int, frame: Any) -> None:
        # Once: the terminal and the launcher may both send a signal, and releasing a trial must not be interrupted.
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_IGN)
        raise KeyboardInterrupt

    for each in (signal.SIGINT, signal.SIGTERM):
        signal.signal(each, stop)
    threading.Thread(target=_end_with_launcher, daemon=True).start()
    # Workers that share an accelerator must not each take all of its memory at once.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    configure_logging(quiet=task.quiet)
    LOGGER.propagate = False
    cache.shorten_compilation()
    cache.keep_freed_memory()
    if "jax" in sys.modules:  # the objective has imported what it computes with
        cache.use_compilation_cache()
    try:
        run_worker(task, _devices_of(task, workers, devices, number))
    except InputError as error:
        LOGGER.error("%s: %s", task.study, error)
        sys.exit(2)
    except KeyboardInterrupt:
        # At once: threads that compile or train are not waited for, their trials continue from the last epoch.
        os._exit(INTERRUPTED)
