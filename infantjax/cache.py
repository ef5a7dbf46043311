"""Settings of the whole process that make computing faster; for programs, which own their process.

The commands call these before they compute. A library that is imported must not, so nothing here happens by itself.
"""

import contextlib
import ctypes
import importlib.util
import os
from collections.abc import Callable
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from infantjax.files import canonical_json, sha256, write_atomically

if TYPE_CHECKING:
    from jax import export

COMPILER_OPTIONS: dict[str, dict[str, Any]] = {"cpu": {"xla_disable_hlo_passes": "cse_barrier_expander"}}
"""Options of `jax.jit` by backend, for programs that run networks over keypoints often.

The CPU backend removes optimization barriers before it fuses; without the named pass they last: see
`nn.kernels.lowering.fusion_barrier`. Where a version of XLA has no such pass the option does nothing.
"""

_MALLOPT = {"M_ARENA_MAX": (-8, 1), "M_MMAP_MAX": (-4, 0), "M_TRIM_THRESHOLD": (-1, -1), "M_TOP_PAD": (-2, 2**26)}
"""Numbers and values of the options of glibc's `mallopt`."""


def keep_freed_memory() -> None:
    """Let glibc keep freed memory for the next use; other C libraries are left alone.

    XLA's CPU backend allocates and frees the activations of every step. By default glibc returns such blocks to the
    system at once, which hands them back page by page, cleared: an epoch of kbest-gcn-2 takes 2.3 times as long, one of
    kbest-gcn-5 1.5 times. To be called before JAX starts its threads.
    """
    with contextlib.suppress(OSError, AttributeError, TypeError):  # another C library, or none to load
        mallopt = ctypes.CDLL(None).mallopt
        for option, value in _MALLOPT.values():
            mallopt(option, value)


def use_two_threads() -> None:
    """Let XLA's CPU backend have two threads also on one core, unless the environment sets their number.

    With a single thread it computes sums in another order, which changes a seventh digit. With two or more the result
    does not depend on their number. To be called before JAX starts a backend.
    """
    if cores() == 1:
        os.environ.setdefault("NPROC", "2")


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_SHORT_LOOPS = "--xla_backend_extra_options=-unroll-full-max-count=4,-unroll-runtime=false"


def shorten_compilation() -> None:
    """Let XLA's CPU backend compile trainings of graph networks in two thirds of the time.

    LLVM unrolls every loop over a few channels, to thousands of instructions a kernel, and then takes most of its time
    to optimize them; the kernels are no faster for it. Those of image networks are, by a tenth, so this is not for
    them. It is for this process and those that it starts, to be called before JAX starts a backend. Nothing is changed
    where JAX may find another backend, which would read the options too, or where the environment has such options.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    if "xla_backend_extra_options" not in flags and _finds_only_a_cpu():
        os.environ["XLA_FLAGS"] = f"{flags} {_SHORT_LOOPS}".strip()


def divide_cpu(devices: int) -> None:
    """Let a CPU that is the only backend appear as so many devices, to be called before JAX starts a backend."""
    flags = os.environ.get("XLA_FLAGS", "")
    if "device_count" not in flags and _finds_only_a_cpu():
        os.environ["XLA_FLAGS"] = f"{flags} --xla_force_host_platform_device_count={devices}".strip()


def loops_are_short() -> bool:
    """Whether this process compiles as `shorten_compilation` asks for."""
    return _SHORT_LOOPS in os.environ.get("XLA_FLAGS", "")


def _finds_only_a_cpu() -> bool:
    """Whether JAX has no other backend to look for."""
    plugins = any(importlib.util.find_spec(name) for name in ("jax_plugins", "libtpu"))
    return os.environ.get("JAX_PLATFORMS") == "cpu" or not plugins


_CACHE_BYTES = {"programs": 2**31 - 2**28, "kept": 2**28}


def user_folder() -> Path:
    """The user's folder of things that can be had again: INFANTJAX_CACHE of the environment, or ~/.cache/infantjax."""
    return Path(os.environ.get("INFANTJAX_CACHE") or Path.home() / ".cache" / "infantjax")


def use_compilation_cache(folder: str | Path | None = None) -> None:
    """Keep programs between processes, in a folder that only this user can write: they are executable code.

    The folder may grow to 2 GiB, then what was not used for longest goes. Any number of threads and processes may share
    it: one writes or reads at a time. What a process left half written when it was killed is removed.

    Args:
        folder: None is `xla` in `user_folder()`. A folder that cannot be made, or that others can write, is not used.
    """
    import jax
    from filelock import FileLock, Timeout

    global _folder
    if folder is None:
        folder = user_folder() / "xla"
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if hasattr(os, "getuid") and (folder.stat().st_uid != os.getuid() or folder.stat().st_mode & 0o022):
            return
        with FileLock(folder / ".lockfile", timeout=10):  # JAX's own
            for program in folder.glob("*-cache"):
                # When a program was last used JAX writes behind the program itself.
                if not program.with_name(program.name.removesuffix("-cache") + "-atime").exists():
                    program.unlink()
    except (OSError, Timeout):
        return
    _folder = folder
    # With a limit JAX takes the lock around every read and write; without one it reads what another is still writing.
    jax.config.update("jax_compilation_cache_max_size", _CACHE_BYTES["programs"])
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)


_folder: Path | None = None


def traced(key: Any, trace: Callable[[], "export.Exported"]) -> "export.Exported":
    """A program as JAX traced it, from the folder of `use_compilation_cache` or else traced and kept there.

    JAX's own cache spares the compiler, but not Python's way through the networks to what is compiled, which takes
    longer than loading the result.

    Args:
        key: as of `kept`, so also with the platform.
        trace: makes the program.
    """
    from jax import export

    made: list[export.Exported] = []

    def make() -> bytes:
        made.append(trace())
        return bytes(made[0].serialize()) if _folder else b""

    content = kept("traced", key, make)
    return made[0] if made else export.deserialize(bytearray(content))


def kept(kind: str, key: Any, make: Callable[[], bytes]) -> bytes:
    """Bytes from the folder of `use_compilation_cache`, or else made, and kept there where one is in use.

    Args:
        kind: ending of the file's name.
        key: everything that the bytes depend on but this package's code and the versions of its libraries; plain data.
        make: gives the bytes.
    """
    if _folder is None:
        return make()
    path = _folder / f"{sha256(canonical_json([_code(), key]).encode())}.{kind}"
    try:
        digest, content = path.read_bytes().split(b"\n", 1)
        if digest.decode() == sha256(content):
            os.utime(path)
            return content
    except (OSError, ValueError):  # absent, or damaged: then it is made again
        pass
    content = make()
    with contextlib.suppress(OSError):
        write_atomically(path, sha256(content).encode() + b"\n" + content)
        _remove_oldest(path.parent)
    return content


def _remove_oldest(folder: Path) -> None:
    """Remove what was kept beside JAX's programs and not used for longest, down to its share of the limit."""
    files = [path for path in folder.iterdir() if path.suffix and path.is_file() and path.name != ".lockfile"]
    total = 0
    for path in sorted(files, key=lambda path: path.stat().st_mtime, reverse=True):
        total += path.stat().st_size
        if total > _CACHE_BYTES["kept"]:
            path.unlink(missing_ok=True)


@cache
def _code() -> list[str]:
    """Digest of all that decides how this package's code is traced."""
    import jax
    import jaxlib

    sources = sorted(Path(__file__).parent.rglob("*.py"))
    digest = sha256(b"".join(path.read_bytes() for path in sources))
    return [digest, jax.__version__, jaxlib.__version__, version("flax")]
