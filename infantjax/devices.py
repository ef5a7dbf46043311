"""The devices of this process as a mesh: networks are sharded over one axis, windows and frames over the other.

Every device computes an independent part of a call by the program of one device, so the result does not depend on the
number of devices, and nothing is sent between them.

A program that is built for devices other than those of JAX's default backend says so by `for_platform`: its networks
are then traced in the form that suits them.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from functools import wraps
from queue import SimpleQueue
from typing import Any, TypeVar

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, Sharding, SingleDeviceSharding
from jax.sharding import PartitionSpec as P

from infantjax.errors import InputError, one_line

T = TypeVar("T")
S = TypeVar("S")

NETWORK = "network"
"""Name of the mesh axis over which the networks of an ensemble are sharded."""
BATCH = "batch"
"""Name of the mesh axis over which windows or frames are sharded."""

_platform: ContextVar[str | None] = ContextVar("platform", default=None)


def for_platform(function: Callable[..., T], platform: str) -> Callable[..., T]:
    """A new function that computes the same, with the layers of `nn` in the form that suits a platform.

    JAX finds a traced function by its identity, so the new one is never taken for one of another platform. A function
    that is jitted inside keeps the form of the platform that it was first traced for: apply this outside of `jax.jit`
    of networks that one process builds for several platforms.

    Args:
        function: to be traced by JAX.
        platform: `cpu`, `gpu` or `tpu` as `jax.Device.platform`, or `plain`: every operation as one of XLA's own, for
            readers that know operations by their form.
    """

    @wraps(function)
    def traced(*args: Any, **kwargs: Any) -> T:
        token = _platform.set(platform)
        try:
            return function(*args, **kwargs)
        finally:
            _platform.reset(token)

    return traced


def current_platform() -> str:
    """The platform that the innermost `for_platform` is for; outside of it that of JAX's default backend."""
    return _platform.get() or jax.default_backend()


def require_backend() -> None:
    """Refuse a backend of JAX that this machine does not have.

    Raises:
        InputError: JAX finds no device; `JAX_PLATFORMS` names those that it may use.
    """
    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:  # an empty AssertionError where a GPU is asked for and is missing
        named = f'"{os.environ.get("JAX_PLATFORMS", "the default")}"'
        reason = f" ({one_line(str(error))[:200]})" if str(error) else ""
        remedy = "set the environment variable to cpu, or unset it"
        raise InputError("JAX_PLATFORMS", f"{named} cannot be used on this machine{reason}", remedy) from None


def local_mesh(networks: int = 1, devices: Sequence[jax.Device] | None = None) -> Mesh:
    """A mesh `[network, batch]` over devices of this process.

    Args:
        networks: parts into which networks can be divided; the network axis is the largest divisor of the number of
            devices that is at most this.
        devices: to use; None is all local devices.
    """
    used = list(devices or jax.local_devices())
    across = max(size for size in range(1, min(networks, len(used)) + 1) if len(used) % size == 0)
    return Mesh(np.reshape(used, (across, -1)), (NETWORK, BATCH))


def sharding_over(mesh: Mesh, *axes: str) -> Sharding:
    """Of arrays whose leading axes lie along these axes of a mesh; without axes every device holds the whole."""
    # A mesh is a part of an array's type and of the compiled program; one device needs neither.
    return NamedSharding(mesh, P(*axes)) if mesh.size > 1 else SingleDeviceSharding(mesh.devices.item())


def shard(function: Callable, mesh: Mesh, inputs: Sequence[P], outputs: P) -> Callable:
    """A function that computes its part of sharded arrays on each device of a mesh.

    Args:
        function: of the arrays that one device holds.
        mesh: of `local_mesh`.
        inputs: how each argument is sharded.
        outputs: how the results are sharded.
    """
    function = for_platform(function, platform_of(mesh))
    if mesh.size == 1:
        return function
    return jax.shard_map(function, mesh=mesh, in_specs=tuple(inputs), out_specs=outputs, check_vma=False)


def platform_of(mesh: Mesh) -> Any:
    """The kind of its devices: `cpu`, `gpu` or `tpu`."""
    return mesh.devices.flat[0].platform


def map_over_devices(function: Callable[[T], S], items: Sequence[T]) -> list[S]:
    """The results of a function of each item; every device of this process computes one item at a time, in a thread.

    Args:
        function: computes on JAX's default device; may be called by several threads.
        items: its arguments.
    """
    used = jax.local_devices()
    if min(len(used), len(items)) < 2:
        return [function(item) for item in items]
    free: SimpleQueue[jax.Device] = SimpleQueue()
    for device in used:
        free.put(device)

    def compute(item: T) -> S:
        device = free.get()
        try:
            with jax.default_device(device):
                return function(item)
        finally:
            free.put(device)

    pool = ThreadPoolExecutor(min(len(used), len(items)), "device")
    try:
        return list(pool.map(compute, items))
    finally:
        pool.shutdown(cancel_futures=True)


class PerDevice:
    """Arrays that lie once on each device that computes with them.

    Args:
        tree: of host arrays.
    """

    def __init__(self, tree: Any) -> None:
        self._tree = tree
        self._placed: dict[jax.Device | str | None, Any] = {}

    def get(self) -> Any:
        """The arrays on JAX's default device."""
        device = jax.config.jax_default_device  # type: ignore[attr-defined]
        if device not in self._placed:
            self._placed[device] = jax.device_put(self._tree)
        return self._placed[device]
