"""`benchmark`: the speed of a network on this device."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from infantjax.cli import common

FPS = 30.0
"""Frames per second of the windows that the networks read."""


@dataclass(frozen=True)
class Benchmark(common.Command):
    """Measure the speed of a network on this device: compilation, windows a second, milliseconds a recording.

    Weights are random, and the compilation cache is not used. Windows of a recording start every half window.

    Example:
        infantjax benchmark --model kbest-gcn-2
    """

    model: str = "kbest-gcn-2"
    """Network that reads windows of keypoints; `infantjax models` lists them."""
    batch_size: int = 8
    """Windows of a call."""
    seconds: float = 5.0
    """Time to measure for."""
    recording: float = 180.0
    """Length of the recording in seconds."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Measure and print."""
        import json

        common.require_backend()
        with common.checked("benchmark"):
            found = self._measure()
        if self.json:
            print(json.dumps(found, indent=2))
            return 0
        print(f"{self.model} on {found['device']}, {self.batch_size} windows a call, random weights")
        print(f"compilation       {found['compile_seconds']:8.2f} s")
        print(f"windows a second  {found['windows_per_second']:8.1f}")
        print(f"recording         {found['recording_milliseconds']:8.1f} ms for {self.recording:g} s")
        return 0

    def _measure(self) -> dict[str, Any]:
        import jax
        import numpy as np

        from infantjax import models
        from infantjax.nn.initializers import initialize
        from infantjax.recording.windows import window_starts

        for name in ("batch_size", "seconds", "recording"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        entry = models.get(self.model)
        if entry.task != "risk" or len(entry.input_shape) != 3:
            raise ValueError(f"{self.model} does not read windows of keypoints; choose a graph network")
        module, frames = entry.build(), entry.input_shape[0]
        x = np.random.default_rng(0).normal(size=(self.batch_size, *entry.input_shape)).astype(np.float32)
        variables = jax.device_put(initialize(module, jax.random.key(0), x[:1]))
        start = time.perf_counter()
        program = jax.jit(lambda variables, x: module.apply(variables, x)[0]).lower(variables, x).compile()
        compile_seconds = time.perf_counter() - start
        per_second = self.batch_size / _seconds(lambda: program(variables, x).block_until_ready(), self.seconds)
        windows = len(window_starts(max(frames, round(self.recording * FPS))))
        return {
            "model": self.model,
            "device": jax.devices()[0].device_kind,
            "batch_size": self.batch_size,
            "compile_seconds": compile_seconds,
            "windows_per_second": per_second,
            "recording_seconds": self.recording,
            "recording_milliseconds": 1e3 * windows / per_second,
        }


def _seconds(call: Callable[[], Any], least: float) -> float:
    """Median time of a call, after one that is not counted; at least three calls and so many seconds in all."""
    call()
    times: list[float] = []
    while sum(times) < least or len(times) < 3:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)
