"""Networks with their weights as programs of their own: StableHLO, which any JAX computes, behind a digest."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import jax
import numpy as np

from infantjax.errors import InputError
from infantjax.files import MAX_FILE_BYTES, sha256, write_atomically

Platform = Literal["cpu", "cuda", "rocm", "tpu"]

_MAGIC = b"infantjax stablehlo 1\n"


def write_program(
    function: Callable[[Any], Any], argument: jax.ShapeDtypeStruct, path: str | Path, platforms: Sequence[Platform]
) -> None:
    """Write a function of one array, with the arrays that it holds, as a program that `load_program` reads.

    Args:
        function: traced once, for the backend of this process.
        argument: its shape and dtype.
        path: file to write, whole or not at all.
        platforms: where it can run.

    Raises:
        OSError: the file cannot be written.
    """
    from jax import export

    content = bytes(export.export(jax.jit(function), platforms=tuple(platforms))(argument).serialize())
    write_atomically(Path(path), _MAGIC + sha256(content).encode() + b"\n" + content)


def load_program(path: str | Path) -> Callable[[Any], Any]:
    """The function of a program that `write_program` wrote.

    Raises:
        InputError: no such file, or damaged: a damaged program could end the process.
    """
    from jax import export

    path = Path(path)
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise InputError(path, f"is larger than {MAX_FILE_BYTES} bytes")
        content = path.read_bytes()
    except OSError as error:
        raise InputError(path, f"cannot be read ({error.strerror})", "check the path") from None
    if not content.startswith(_MAGIC):
        raise InputError(path, "is not a program of infantjax", "make one with infantjax export")
    digest, _, program = content.removeprefix(_MAGIC).partition(b"\n")
    if sha256(program) != digest.decode("ascii", "replace"):
        raise InputError(path, "is damaged: its content has another digest", "export it again")
    return export.deserialize(bytearray(program)).call


def write_compared(
    function: Callable[[Any], Any], shape: tuple[int, ...], path: str | Path, platforms: Sequence[Platform]
) -> float:
    """Write a function of a float32 array as a program, and compare it with the program.

    Args:
        function: traced once, for the backend of this process.
        shape: of its argument.
        path: file to write.
        platforms: where it can run.

    Returns:
        The largest difference of their results, for random numbers.

    Raises:
        OSError: the file cannot be written.
    """
    write_program(function, jax.ShapeDtypeStruct(shape, np.float32), path, platforms)
    x = np.random.default_rng(0).normal(0, 0.1, shape).astype(np.float32)
    return float(np.abs(np.asarray(load_program(path)(x)) - np.asarray(jax.jit(function)(x))).max())
