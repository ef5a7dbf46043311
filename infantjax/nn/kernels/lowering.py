"""How an operation is lowered on a backend, and where XLA must not fuse."""

from contextvars import ContextVar
from typing import Any, Literal

from jax import lax

from infantjax.devices import current_platform

Lowering = Literal["convolution", "matmul"]
"""How a temporal convolution is lowered.

`convolution` is XLA's own, which every backend takes by itself; `matmul` gathers the frames that a kernel reads along
the channel axis and multiplies once. On the CPU the choice is measured (`benchmarks/lowering.py`). For GPU and TPU it
follows from what their compilers report of one training step of seven runs of kbest-gcn-5: with `matmul` an H100 moves
118.1 GB in place of 86.6 GB and takes 11.6 GB of temporary memory in place of 6.0 GB; a TPU v5e moves 60.6 GB in place
of 40 GB in inference.
"""

_lowering: ContextVar[Lowering | None] = ContextVar("lowering", default=None)


class use_lowering:
    """Context manager: trace networks inside the block with this lowering instead of the backend's own.

    With `convolution` depthwise convolutions of images are grouped convolutions too, on every backend.
    """

    def __init__(self, lowering: Lowering) -> None:
        self._lowering = lowering

    def __enter__(self) -> None:
        self._token = _lowering.set(self._lowering)

    def __exit__(self, *_: object) -> None:
        _lowering.reset(self._token)


def current_lowering() -> Lowering | None:
    """The lowering that the innermost `use_lowering` block asks for; None outside of such blocks."""
    return _lowering.get()


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
