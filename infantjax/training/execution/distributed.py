"""One training in several processes, on one host or on many: what the loop does differently there.

Every process calls the same functions with the same arguments after `jax.distributed.initialize`; the work is spread
over the devices of all, and each process gets the whole result. Only the first one reads and writes files. With one
process all of this is plain JAX.
"""

import json
import re
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Sharding

from infantjax.errors import InputError, one_line

Tree = TypeVar("Tree")


def is_multi_process() -> bool:
    """Whether more than one process takes part."""
    return jax.process_count() > 1


def is_main_process() -> bool:
    """Whether this is process 0, the only one that reads and writes files."""
    return jax.process_index() == 0


def device_put_global(tree: Tree, sharding: Sharding) -> Tree:
    """Put arrays that every process holds on the devices of all processes."""
    if not is_multi_process():
        return jax.device_put(tree, sharding)

    def placed(leaf: Any) -> jax.Array:
        if jnp.issubdtype(getattr(leaf, "dtype", np.float32), jax.dtypes.prng_key):
            return jax.random.wrap_key_data(placed(jax.random.key_data(leaf)))
        host = np.asarray(leaf)
        return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])

    return jax.tree.map(placed, tree)


def fetch(tree: Tree) -> Tree:
    """Gather arrays from the devices of all processes to every host; all processes must call it."""
    if not is_multi_process():
        return jax.device_get(tree)
    from jax.experimental import multihost_utils

    return multihost_utils.process_allgather(tree, tiled=True)


def broadcast_from_host0(tree: Tree) -> Tree:
    """Broadcast a pytree from process 0; the others pass one of the same structure and shapes."""
    if not is_multi_process():
        return tree
    from jax.experimental import multihost_utils

    return multihost_utils.broadcast_one_to_all(tree)


def agree(value: Tree) -> Tree:
    """The JSON-compatible value of process 0, on every process."""
    if not is_multi_process():
        return value
    content = np.frombuffer(json.dumps(value).encode(), np.uint8)
    length = int(broadcast_from_host0(np.int64(len(content))))
    sent = broadcast_from_host0(np.resize(content, length))
    return json.loads(np.asarray(sent, np.uint8).tobytes())


def join(text: str) -> None:
    """Become one of several processes; before anything is computed.

    Args:
        text: `auto` where JAX finds the others by itself (Slurm, TPU pods, Kubernetes, Open MPI), or
            `ADDRESS:PORT,COUNT,NUMBER` with the address of the first process, how many there are, and which this is.

    Raises:
        InputError: the text is neither, or the others cannot be found.
    """
    given: dict[str, Any] = {}
    if text != "auto":
        # A host, a port, a number of processes and the number of this one.
        matched = re.fullmatch(r"(.+:\d+),(\d+),(\d+)", text)
        if matched is None or int(matched[3]) >= int(matched[2]):
            remedy = "give auto, or ADDRESS:PORT,COUNT,NUMBER with NUMBER from 0"
            raise InputError("--distributed", f'is "{text}"', remedy)
        given = {
            "coordinator_address": matched[1],
            "num_processes": int(matched[2]),
            "process_id": int(matched[3]),
        }
    try:
        jax.distributed.initialize(**given)
    except (RuntimeError, ValueError) as error:
        reason = f"the other processes cannot be found ({one_line(str(error))[:160]})"
        raise InputError("--distributed", reason, "name them") from None
