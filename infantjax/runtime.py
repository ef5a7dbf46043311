"""Settings of the whole process that make computing faster; for programs, which own their process.

The commands call these before they compute. A library that is imported must not, so nothing here happens by itself.
"""

import ctypes
import os
import sys
from pathlib import Path

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX, _M_ARENA_MAX = -1, -2, -4, -8
_KEPT_BYTES, _GROWTH_BYTES = 2**31 - 1, 2**26


def keep_freed_memory() -> None:
    """Let the allocator of the C library keep freed memory for the next use, where it is glibc's.

    XLA's CPU backend allocates the activations of each call and frees them; by default glibc returns such blocks to the
    system at once, which hands them back page by page, cleared. Peak memory does not change, but it is kept till the
    process ends. To be called before JAX starts its threads.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library
        return
    mallopt(_M_ARENA_MAX, 1)
    mallopt(_M_MMAP_MAX, 0)
    mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
    mallopt(_M_TOP_PAD, _GROWTH_BYTES)


def use_compilation_cache(folder: str | Path | None = None) -> None:
    """Keep compiled programs between processes, in a folder that only this user can write: they are executable code.

    Args:
        folder: None is `xla` in what the environment variable INFANTJAX_CACHE names, or in `~/.cache/infantjax`. A
            folder that cannot be made, or that others can write, is not used.
    """
    import jax

    if folder is None:
        folder = Path(os.environ.get("INFANTJAX_CACHE") or Path.home() / ".cache" / "infantjax") / "xla"
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if hasattr(os, "getuid") and (folder.stat().st_uid != os.getuid() or folder.stat().st_mode & 0o022):
            return
    except OSError:
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
