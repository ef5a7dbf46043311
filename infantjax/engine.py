"""Runs many tasks, each on a device of its own: in threads of this process, or in processes of a Ray cluster.

A task is a function that is called with its arguments and `device=`, the number of a local device. `results` keeps all
devices of an engine busy and yields what the tasks give.
"""

import contextlib
import os
import queue
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from functools import cache, partial
from itertools import takewhile
from typing import Any, Protocol

from infantjax.errors import InputError, MissingExtraError, one_line
from infantjax.progress import INTERVAL, LOGGER

Arguments = tuple[Any, ...]

THREAD = "infantjax-engine"
"""Name of the threads of tasks."""
MAX_CRASHES = 4
"""Processes that a task ends before it has failed: the first and three repetitions (our choice)."""


class CrashError(Exception):
    """A task ended its process, also when it was repeated."""


class Engine(Protocol):
    """Runs tasks.

    Attributes:
        shares_memory: whether tasks see the objects of this process, such as compiled programs.
    """

    shares_memory: bool

    @property
    def devices(self) -> int:
        """Number of tasks at the same time, now."""

    def submit(self, task: Callable[..., Any], *arguments: Any) -> "Future[Any]":
        """Begin `task(*arguments, device=number)` as soon as a device is free.

        The future has the result, the exception of the task, or `CrashError`.
        """


class Local:
    """Threads of this process, one for each of its devices: XLA releases the GIL while it compiles and computes.

    Threads do not keep the process alive.

    Args:
        devices: number of devices to use, from the first one on; None is all of JAX's local devices.

    Raises:
        ValueError: fewer than one device.
    """

    shares_memory = True

    def __init__(self, devices: int | None = None) -> None:
        if devices is None:
            import jax

            devices = jax.local_device_count()
        if devices < 1:
            raise ValueError(f"devices must be at least 1, got {devices}")
        self.devices = devices
        self._free: queue.SimpleQueue[int] = queue.SimpleQueue()
        for number in range(devices):
            self._free.put(number)

    def submit(self, task: Callable[..., Any], *arguments: Any) -> "Future[Any]":
        """Begin the task in a thread as soon as a device is free."""

        def call() -> Any:
            number = self._free.get()
            try:
                return task(*arguments, device=number)
            finally:
                self._free.put(number)

        return in_thread(call)


class Ray:
    """Processes of a Ray cluster, each with one device: a GPU or TPU where the cluster has some, else a core.

    A task whose node died is repeated elsewhere, one that ended its process three times. Tasks get their arguments from
    this process and files from a file system that all machines share.

    Args:
        address: `HOST:PORT` or `ray://HOST:PORT` of a cluster; `auto` is the one of this machine or of the environment
            (RAY_ADDRESS), or a private one that is started on this machine.

    Raises:
        InputError: there is no such cluster.
        MissingExtraError: Ray is not installed.
    """

    shares_memory = False

    def __init__(self, address: str = "auto") -> None:
        # Before the import: no statistics leave the machine, and a token keeps strangers from running code.
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        try:
            import ray
        except ImportError:
            raise MissingExtraError("ray", "cluster") from None
        _require_listener(address)
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "ignore_reinit_error": True}
        if os.environ["RAY_AUTH_MODE"] != "token":
            LOGGER.warning("the cluster has no token: whoever reaches its ports can run code (RAY_AUTH_MODE=token)")
        try:
            try:
                ray.init(address=address, **options)
            except ConnectionError:
                if address != "auto":
                    raise
                ray.init(address="local", include_dashboard=False, **options)
        except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
            what = f"cannot be joined ({one_line(str(error))[:200]})"
            raise InputError(f"cluster {address}", what, "start it by ray start --head") from None
        self._ray = ray

    @property
    def _kind(self) -> str:
        known = self._ray.cluster_resources()
        return next((kind for kind in ("TPU", "GPU") if known.get(kind)), "CPU")

    @property
    def devices(self) -> int:
        """Devices of the cluster now; nodes may join and die."""
        return max(1, int(self._ray.cluster_resources().get(self._kind, 0)))

    def submit(self, task: Callable[..., Any], *arguments: Any) -> "Future[Any]":
        """Begin the task in a process of the cluster as soon as a device is free."""

        def begin() -> Any:
            return self._ray.get(self._remote(1, task, arguments, {"device": 0}))

        return in_thread(partial(self._repeated, begin))

    def run_together(self, task: Callable[..., Any], *arguments: Any) -> list[Any]:
        """Call a task at the same time in one process of each machine, which has all of its devices.

        Args:
            task: called with the arguments and `distributed=`, the text that `jax.distributed` of each process is
                started with, see `training.execution.distributed.join`. If one process dies, all begin again on the
                machines that are left.
            arguments: of the task.

        Returns:
            The result of each process; process 0 comes first.

        Raises:
            CrashError: processes died too often.
        """
        util = self._ray.util

        def begin() -> list[Any]:
            alive = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
            counts = [node[self._kind] for node in alive if node.get(self._kind)]
            LOGGER.info("%d processes work together, one on each machine", len(counts))
            group = util.placement_group([{self._kind: count} for count in counts], "STRICT_SPREAD")
            try:
                self._ray.get(group.ready())
                strategies = [
                    util.scheduling_strategies.PlacementGroupSchedulingStrategy(group, n) for n in range(len(counts))
                ]
                address = self._ray.get(
                    self._ray.remote(_free_address).options(num_cpus=0, scheduling_strategy=strategies[0]).remote()
                )
                # A process that has computed cannot join others: an environment of its own gives it a new one.
                environment = {"env_vars": {"INFANTJAX_PROCESSES": address}}
                tasks = [
                    self._remote(
                        count,
                        task,
                        arguments,
                        {"distributed": f"{address},{len(counts)},{number}"},
                        scheduling_strategy=strategies[number],
                        runtime_env=environment,
                        max_calls=1,
                    )
                    for number, count in enumerate(counts)
                ]
                waiting = tasks
                while waiting:  # one by one: the others wait for a process that failed
                    ended, waiting = self._ray.wait(waiting)
                    self._ray.get(ended)
                return self._ray.get(tasks)
            finally:
                util.remove_placement_group(group)  # ends what is left of the processes

        return self._repeated(begin)

    def _remote(
        self, devices: float, task: Callable[..., Any], arguments: Arguments, named: Any, **options: Any
    ) -> Any:
        """Begin a task in a process that has so many devices."""
        needs = {"resources": {"TPU": devices}} if self._kind == "TPU" else {f"num_{self._kind.lower()}s": devices}
        remote = self._ray.remote(max_retries=0, **needs, **options)(_in_process)
        return remote.remote(task, arguments, named, os.getcwd())

    def _repeated(self, begin: Callable[[], Any]) -> Any:
        """The result of a task, which is begun again after a crash."""
        ray, crashes = self._ray, 0
        while True:
            try:
                return begin()
            except (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError) as error:
                crashes += 1
                LOGGER.warning("a task ended its process, %d of %d times", crashes, MAX_CRASHES)
                if crashes == MAX_CRASHES:
                    memory = isinstance(error, ray.exceptions.OutOfMemoryError)
                    why = "memory ran out" if memory else "a crash or a kill"
                    raise CrashError(f"its process ended {crashes} times: {why}") from None
            except (ray.exceptions.NodeDiedError, ray.exceptions.ObjectLostError):
                LOGGER.warning("a node died; its task is repeated elsewhere")
            except ray.exceptions.RayTaskError as error:
                raise error.cause from None


def _require_listener(address: str) -> None:
    """Refuse an address at which nothing answers: Ray would end this process."""
    host, _, port = address.rpartition("/")[2].rpartition(":")
    if address == "auto":
        return
    try:
        socket.create_connection((host, int(port)), 10).close()
    except (OSError, ValueError) as error:
        raise InputError(f"cluster {address}", f"cannot be joined ({error})", "start it by ray start --head") from None


def _free_address() -> str:
    """Where process 0 of several can listen, on the machine of this process."""
    import ray

    with socket.socket() as listener:
        listener.bind(("", 0))
        return f"{ray.util.get_node_ip_address()}:{listener.getsockname()[1]}"


def _in_process(task: Callable[..., Any], arguments: Arguments, named: dict[str, Any], folder: str) -> Any:
    """Call a task in a process of a cluster, to which Ray shows its devices; relative paths are those of the driver."""
    with contextlib.suppress(OSError):
        os.chdir(folder)
    _prepare_process()
    return task(*arguments, **named)


@cache
def _prepare_process() -> None:
    if not os.environ.get("CUDA_VISIBLE_DEVICES") and not os.environ.get("TPU_VISIBLE_CHIPS"):
        import ray

        # XLA need not start a thread for each core of the machine, only for those of the task.
        cores = ray.get_runtime_context().get_assigned_resources().get("CPU", 1)
        os.environ.setdefault("NPROC", str(max(2, int(cores))))
    from infantjax.cache import keep_freed_memory, use_compilation_cache
    from infantjax.files import umask

    os.umask(umask())
    keep_freed_memory()
    use_compilation_cache()


def in_thread(call: Callable[[], Any]) -> "Future[Any]":
    """Begin a call in a thread that does not keep the process alive, as those of `ThreadPoolExecutor` do."""
    future: Future[Any] = Future()

    def work(future: "Future[Any]") -> None:
        try:
            future.set_result(call())
        except BaseException as error:
            future.set_exception(error)
        finally:
            del future  # the traceback of an error would hold it for ever, with all that the call had open

    threading.Thread(target=work, args=(future,), name=THREAD, daemon=True).start()
    return future


def results(
    engine: Engine,
    task: Callable[..., Any],
    source: Iterable[Arguments] | Callable[[], Arguments | None],
    *,
    ordered: bool = False,
    tick: Callable[[], None] = lambda: None,
) -> "Iterator[tuple[Arguments, Future[Any]]]":
    """Run a task for many arguments, on all devices of an engine.

    Args:
        engine: runs them.
        task: see `Engine.submit`.
        source: the arguments of each task. A function is called when a device is free, after the results before were
            consumed; None says that there is nothing to do until another result is there.
        ordered: yield in the order of submission, not of completion.
        tick: called every 30 seconds without a result, for a line of progress.

    Yields:
        The arguments of each task with its finished future. Tasks that run when the consumer stops are not awaited.
    """
    following = source if callable(source) else partial(next, iter(source), None)
    running: dict[Future[Any], Arguments] = {}
    while True:
        # In order, a task that ended early waits here while others use its device.
        while _count(running, ordered) < engine.devices and (arguments := following()) is not None:
            running[engine.submit(task, *arguments)] = arguments
        if not running:
            return
        ready = list(takewhile(Future.done, running)) if ordered else [each for each in running if each.done()]
        if not ready and not wait([each for each in running if not each.done()], INTERVAL, FIRST_COMPLETED).done:
            tick()
        for future in ready:
            yield running.pop(future), future


def _count(running: "Iterable[Future[Any]]", ordered: bool) -> int:
    return sum(not (ordered and future.done()) for future in running)
