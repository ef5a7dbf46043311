"""Which backend a program is traced for, and where XLA must not fuse on it."""

from typing import Any

from jax import lax

from infantjax.devices import current_platform


def on_cpu() -> bool:
    """Whether the program is traced for the CPU backend."""
    return current_platform() == "cpu"


def fusion_barrier(arrays: Any) -> Any:
    """The same arrays, written to memory before anything reads them, on the CPU backend.

    Fusing is right almost everywhere. But on a CPU it is slow to compute an activation inside a reshape, a padding or a
    concatenation, whose loops are not vectorized, or to repeat the operations behind an offset for every value. The
    barrier holds where the program is compiled with `cache.COMPILER_OPTIONS`; on other backends it does nothing.
    """
    return lax.optimization_barrier(arrays) if on_cpu() else arrays
