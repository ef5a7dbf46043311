"""What the benchmarks share: paired timing, the matrix-product ceiling of the machine, and how results are kept.

A benchmark shows first that both sides give the same numbers (`require_equal`), then times them in turns (`compare`):
A B A B ..., so that whatever else the machine does falls on both. The result is the median of the paired ratios with
its quartiles, and that of processor time, which others on the machine disturb less; absolute times are reported beside
the product of two square matrices, the ceiling of the machine. No benchmark asserts a time.

PyTorch's OpenMP threads spin at every barrier: where other programs use the same cores it loses far more than its share
(ten times, seen), and ratios say nothing. `environment()` records the load; measure on an idle machine.
"""

import importlib.metadata
import math
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from infantjax.files import canonical_json, write_atomically

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True)
class Contender:
    """One side of a comparison.

    Attributes:
        name: as in the table, with the version where it is not ours.
        run: does the work once and returns its result, which may still be under way.
        wait: returns when that result is there, for example `jax.block_until_ready`; the default does nothing.
    """

    name: str
    run: Callable[[], Any]
    wait: Callable[[Any], object] = field(default=lambda result: result)

    def seconds(self) -> float:
        """Wall-clock seconds of one run, result included."""
        start = time.perf_counter()
        self.wait(self.run())
        return time.perf_counter() - start


@dataclass(frozen=True)
class Comparison:
    """Paired times of two contenders.

    Attributes:
        ours: name of the first contender.
        peer: name of the second.
        first_call: seconds of the very first call of each (ours, peer), compilation included.
        ours_seconds: steady-state seconds of each round.
        peer_seconds: the same of the peer, in the same rounds.
        cpu_ratios: processor time of the peer over ours, of all threads of this process, in each round.
    """

    ours: str
    peer: str
    first_call: tuple[float, float]
    ours_seconds: tuple[float, ...]
    peer_seconds: tuple[float, ...]
    cpu_ratios: tuple[float, ...] = (math.nan,)

    @property
    def ratio_quartiles(self) -> tuple[float, float, float]:
        """Quartiles of peer time over our time, round by round; above 1 we are faster. The second is the median."""
        ratios = np.asarray(self.peer_seconds) / np.asarray(self.ours_seconds)
        low, middle, high = np.quantile(ratios, (0.25, 0.5, 0.75))
        return float(low), float(middle), float(high)

    def summary(self, flops: float | None = None) -> dict[str, Any]:
        """Figures for a table; with the floating-point operations of one run also GFLOP/s at the median time."""
        low, middle, high = self.ratio_quartiles
        ours, peer = float(np.median(self.ours_seconds)), float(np.median(self.peer_seconds))
        return {
            "rounds": len(self.ours_seconds),
            "ours_first_call_s": self.first_call[0],
            "peer_first_call_s": self.first_call[1],
            "ours_median_s": ours,
            "peer_median_s": peer,
            "ours_gflops": flops / ours / 1e9 if flops else None,
            "peer_gflops": flops / peer / 1e9 if flops else None,
            "ratio": middle,
            "ratio_q1": low,
            "ratio_q3": high,
            "cpu_ratio": float(np.median(self.cpu_ratios)),
        }


def compare(ours: Contender, peer: Contender, rounds: int = 15, warm_up: int = 2) -> Comparison:
    """Time two contenders in turns.

    Args:
        ours: the first.
        peer: the second.
        rounds: timed rounds, one run of each; at least 1.
        warm_up: untimed rounds after the first call of each.
    """
    return compare_all((ours,), (peer,), rounds, warm_up)[0]


def compare_all(
    ours: Sequence[Contender], peers: Sequence[Contender], rounds: int = 15, warm_up: int = 2
) -> list[Comparison]:
    """Time several contenders in turns, and compare each of ours with each peer, ours in the outer loop.

    The order is reversed from round to round, so that none always finds the same one's cache.

    Args:
        ours: one side.
        peers: the other.
        rounds: timed rounds, one run of each; at least 1.
        warm_up: untimed rounds after the first call of each.
    """
    if rounds < 1:
        raise ValueError(f"rounds must be at least 1, not {rounds}")
    contenders = (*ours, *peers)
    first_calls = [one.seconds() for one in contenders]
    for _ in range(warm_up):
        for one in contenders:
            one.seconds()
    times: list[list[float]] = [[] for _ in contenders]
    used: list[list[float]] = [[] for _ in contenders]
    for i in range(rounds):
        for side in range(len(contenders))[:: -1 if i % 2 else 1]:
            before = time.process_time()
            times[side].append(contenders[side].seconds())
            used[side].append(time.process_time() - before)
    return [
        Comparison(
            contenders[a].name,
            contenders[b].name,
            (first_calls[a], first_calls[b]),
            tuple(times[a]),
            tuple(times[b]),
            tuple((np.array(used[b]) / np.maximum(used[a], 1e-9)).tolist()),
        )
        for a in range(len(ours))
        for b in range(len(ours), len(contenders))
    ]


def require_equal(found: Any, expected: Any, tolerance: float, what: str) -> float:
    """Largest difference of two results relative to the largest expected value (at least 1).

    Raises:
        AssertionError: the shapes differ, a value is not finite, or the difference exceeds the tolerance.
    """
    found, expected = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    if found.shape != expected.shape:
        raise AssertionError(f"{what}: shapes {found.shape} and {expected.shape} differ")
    if not (np.isfinite(found).all() and np.isfinite(expected).all()):
        raise AssertionError(f"{what}: not all values are finite")
    error = float(np.abs(found - expected).max(initial=0.0) / max(1.0, np.abs(expected).max(initial=0.0)))
    if error > tolerance:
        raise AssertionError(f"{what}: the results differ by {error:.2g}, allowed {tolerance:.2g}")
    return error


def _best_gflops(product: Contender, size: int, repeats: int) -> float:
    product.seconds()
    return 2 * size**3 / min(product.seconds() for _ in range(repeats)) / 1e9


def jax_ceiling(size: int = 1024, repeats: int = 20) -> float:
    """GFLOP/s of a square float32 matrix product in JAX on the default device, best of several."""
    import jax

    a = jax.random.normal(jax.random.key(0), (size, size))
    product = jax.jit(lambda a: jax.numpy.matmul(a, a, precision="highest"))
    return _best_gflops(Contender("jax", lambda: product(a), jax.block_until_ready), size, repeats)


def torch_ceiling(size: int = 1024, repeats: int = 20) -> float:
    """GFLOP/s of a square float32 matrix product in PyTorch on its GPU if there is one, best of several."""
    import torch

    a = torch.randn(size, size, device="cuda" if torch.cuda.is_available() else "cpu")
    return _best_gflops(Contender("torch", lambda: a @ a, torch_wait), size, repeats)


def torch_wait(result: Any) -> None:
    """Wait for PyTorch's GPU, where there is one; on the CPU eager results are there already."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()


def environment() -> dict[str, Any]:
    """Where a figure was measured: device, cores, load average over one minute, threads and versions."""
    import jax

    versions: dict[str, str | None] = {}
    for name in ("infantjax", "jax", "jaxlib", "flax", "torch", "numpy"):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = None
    found: dict[str, Any] = {
        "device": jax.devices()[0].device_kind if jax.default_backend() != "cpu" else _processor(),
        "backend": jax.default_backend(),
        "devices": jax.device_count(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "versions": versions,
    }
    if versions["torch"]:
        import torch

        found["torch_threads"] = torch.get_num_threads()
    return found


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


@dataclass(frozen=True)
class Run:
    """A process from start to end: seconds, and its largest memory in MB."""

    wall_s: float
    cpu_s: float
    peak_mb: float


def measured(arguments: Sequence[str], cache: Path) -> Run:
    """Run a command of infantjax with its compilation cache in a folder."""
    command = [sys.executable, "-c", "from infantjax.cli import main; main()", *arguments]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env={**os.environ, "INFANTJAX_CACHE": str(cache)})
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    # In kilobytes, and beginning with the memory of this process (350 MB): less than that would not be seen.
    return Run(time.perf_counter() - start, used.ru_utime + used.ru_stime, used.ru_maxrss / 1e3)


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """A Markdown table with the columns of the first row; numbers with three figures."""
    columns = list(rows[0])
    cells = [[_cell(row.get(column)) for column in columns] for row in rows]
    widths = [max(len(column), *(len(line[i]) for line in cells)) for i, column in enumerate(columns)]

    def line(texts: Sequence[str]) -> str:
        return "| " + " | ".join(text.ljust(width) for text, width in zip(texts, widths, strict=True)) + " |"

    return "\n".join([line(columns), line(["-" * width for width in widths]), *map(line, cells)]) + "\n"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def write(
    name: str,
    rows: Sequence[Mapping[str, Any]],
    shapes: Mapping[str, Any],
    where: Mapping[str, Any] | None = None,
    folder: Path = RESULTS,
) -> str:
    """Keep the result of one benchmark: `NAME.json` and `NAME.md`.

    Args:
        name: of the benchmark.
        rows: one mapping of figures a line of the table, equal keys.
        shapes: sizes of the input, for example windows, networks, batch.
        where: the environment; measured now if None.
        folder: where to write; made if missing.

    Returns:
        the table, to be printed.

    Raises:
        ValueError: no rows.
    """
    if not rows:
        raise ValueError(f"{name}: no rows to write")
    folder.mkdir(parents=True, exist_ok=True)
    where = dict(environment() if where is None else where)
    text = table(rows)
    document = {"benchmark": name, "environment": where, "shapes": dict(shapes), "rows": [dict(row) for row in rows]}
    write_atomically(folder / f"{name}.json", canonical_json(document))
    versions = where.get("versions", {})
    setting = ", ".join(f"{k} {v}" for k, v in {**where, **versions, **shapes}.items() if k != "versions")
    write_atomically(folder / f"{name}.md", f"# {name}\n\n{setting}\n\n{text}")
    return text
