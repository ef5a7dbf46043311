"""`benchmark`: the speed of a network on this device."""

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from infantjax.cli import common


@dataclass(frozen=True)
class Timing:
    """Speed of one network with random weights.

    Attributes:
        model: name of the network.
        device: what computed, as JAX names it.
        batch: windows of a call.
        compile_seconds: of tracing and compiling the program, without the compilation cache.
        windows_per_second: median over the calls.
        recording_milliseconds: all windows of one recording of `recording_seconds`.
        recording_seconds: length of that recording.
    """

    model: str
    device: str
    batch: int
    compile_seconds: float
    windows_per_second: float
    recording_milliseconds: float
    recording_seconds: float


@dataclass(frozen=True)
class Benchmark(common.Command):
    """Measure the speed of a network on this device.

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
    """Length in seconds of the recording that is counted; windows of 5 s start every 2.5 s."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Measure and print."""
        import json

        with common.checked("benchmark"):
            timing = self._measure()
        if self.json:
            print(json.dumps(dataclasses.asdict(timing), indent=2))
            return 0
        print(f"{timing.model} on {timing.device}, {timing.batch} windows a call, random weights")
        print(f"compilation       {timing.compile_seconds:8.2f} s")
        print(f"windows a second  {timing.windows_per_second:8.1f}")
        print(f"recording         {timing.recording_milliseconds:8.1f} ms for {timing.recording_seconds:g} s")
        return 0

    def _measure(self) -> Timing:
        import time

        import jax
        import numpy as np

        from infantjax import models
        from infantjax.nn.initializers import initialize

        for name in ("batch_size", "seconds", "recording"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")
        entry = models.get(self.model)
        if entry.task != "risk" or len(entry.input_shape) != 3:
            raise ValueError(f"{self.model} does not read windows of keypoints; choose a graph network")
        module = entry.build()
        x = np.random.default_rng(0).normal(size=(self.batch_size, *entry.input_shape)).astype(np.float32)
        variables = jax.device_put(initialize(module, jax.random.key(0), x[:1]))
        start = time.perf_counter()
        score = (
            jax.jit(lambda variables, x: jax.nn.softmax(module.apply(variables, x)[0])).lower(variables, x).compile()
        )
        compile_seconds = time.perf_counter() - start
        per_call = _median_seconds(lambda: jax.block_until_ready(score(variables, x)), self.seconds)
        frames = entry.input_shape[0]
        windows = max(1, int((self.recording * 30 - frames) // (frames // 2)) + 1)
        per_second = self.batch_size / per_call
        device = jax.devices()[0].device_kind
        return Timing(
            self.model,
            device,
            self.batch_size,
            compile_seconds,
            per_second,
            1e3 * windows / per_second,
            self.recording,
        )


def _median_seconds(call: Callable[[], Any], seconds: float) -> float:
    """Median time of a call, after one that is not counted, within about so many seconds and at least three calls."""
    import statistics
    import time

    call()
    times: list[float] = []
    while sum(times) < seconds or len(times) < 3:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return statistics.median(times)
