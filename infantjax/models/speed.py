"""The speed of a network on the devices of this process, beside that of their matrix product."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import PartitionSpec as P

from infantjax import models
from infantjax.devices import BATCH, local_mesh, platform_of, shard, sharding_over
from infantjax.models.entry import ModelEntry
from infantjax.models.summary import kept_counts, summarize
from infantjax.nn.initializers import initialize
from infantjax.recording.windows import window_starts
from infantjax.settings import Count, Positive, Precision, check_fields

FPS = 30.0
"""Frames per second of a recording, for networks that read its images or windows of its keypoints."""


@dataclass(frozen=True)
class SpeedConfig:
    """Settings of one measurement.

    Attributes:
        model: registry name of a network.
        batch_size: samples (`ModelEntry.sample`) that each device computes in a call.
        precision: of weights and activations; with float32 products are computed in full precision, as in an
            assessment.
        devices: how many local devices divide the samples of a call.
        seconds: time to measure for, at least.
        recording: length of the recording whose time is given, seconds.
        train: measure a training step in place of a prediction: the gradient of the mean square of the output, and an
            update by Adam. The loss, augmentation and validation of a method come on top.

    Raises:
        ValueError: a value out of its range, or an unknown network.
    """

    model: str = "kbest-gcn-2"
    batch_size: Count = 8
    precision: Precision = "float32"
    devices: Count = 1
    seconds: Positive = 5.0
    recording: Positive = 180.0
    train: bool = False

    def __post_init__(self) -> None:
        check_fields(self)
        if self.devices > (there := jax.local_device_count()):
            raise ValueError(f"devices must be at most {there}, those of this process, got {self.devices}")
        models.require_known(self.model)


def measure(config: SpeedConfig) -> dict[str, Any]:
    """Measure a network with random weights.

    Returns:
        The settings, and `device` (its kind), `sample` (what is counted), `compile_seconds`, `samples_per_second`,
        `recording_milliseconds` (None in training, and of networks that read neither images nor windows of half a
        window apart), `flops_per_second` (by the published counting rule; of a training step three times those of a
        prediction, our choice), `matmul_flops_per_second` of a square matrix product in the same precision on the same
        devices, `share` of one in the other, `program_mb` (arguments, results and temporary memory on a device; None
        where the compiler does not say), and `peak_mb` (most memory of a device so far; None where it is not known, as
        on a CPU).
    """
    entry = models.get(config.model)
    module, mesh = entry.build(), local_mesh(devices=jax.local_devices()[: config.devices])
    x = np.random.default_rng(0).normal(size=(config.batch_size * config.devices, *entry.input_shape))
    weights = initialize(module, jax.random.key(0), np.asarray(x[:1], np.float32))
    variables = jax.tree.map(lambda leaf: jnp.asarray(leaf, config.precision), weights)
    optimizer = optax.adam(1e-3)

    def outputs(variables: Any, x: jax.Array) -> jax.Array:
        return module.apply(variables, x)[0]

    def step(state: tuple[Any, Any], x: jax.Array) -> tuple[Any, Any]:
        variables, opt_state = state
        changing = [name for name in variables if name != "params"]

        def loss(params: Any) -> tuple[jax.Array, Any]:
            given, keys = {**variables, "params": params}, {"dropout": jax.random.key(0)}
            found, updates = module.apply(given, x, train=True, mutable=changing, rngs=keys)
            return jnp.square(found[0]).mean(), updates

        gradients, updates = jax.grad(loss, has_aux=True)(variables["params"])
        if mesh.size > 1:
            gradients = jax.lax.pmean(gradients, BATCH)
        changes, opt_state = optimizer.update(gradients, opt_state)
        return {**updates, "params": optax.apply_updates(variables["params"], changes)}, opt_state

    state = (variables, optimizer.init(variables["params"])) if config.train else variables
    function, result = (step, P()) if config.train else (outputs, P(BATCH))
    arguments = (
        jax.device_put(state, sharding_over(mesh)),
        jax.device_put(jnp.asarray(x, config.precision), sharding_over(mesh, BATCH)),
    )
    began = time.perf_counter()
    with jax.default_matmul_precision("highest" if config.precision == "float32" else "default"):
        program = jax.jit(shard(function, mesh, (P(), P(BATCH)), result)).lower(*arguments).compile()
    compile_seconds = time.perf_counter() - began
    per_second = len(x) / median(_times(lambda: program(*arguments), config.seconds, 3))
    samples = None if config.train else _samples_of(entry, config.recording)
    counted = summarize(entry, counts=kept_counts()[entry.name][entry.skeleton]).flops
    flops, ceiling = per_second * counted * (3 if config.train else 1), matmul_flops(mesh, config.precision)
    memory = program.memory_analysis()
    parts = memory and (memory.argument_size_in_bytes, memory.output_size_in_bytes, memory.temp_size_in_bytes)
    peak = (mesh.devices.flat[0].memory_stats() or {}).get("peak_bytes_in_use")
    return {
        **{name: getattr(config, name) for name in ("model", "train", "batch_size", "precision", "devices")},
        "device": mesh.devices.flat[0].device_kind,
        "sample": entry.sample,
        "compile_seconds": compile_seconds,
        "samples_per_second": per_second,
        "recording_seconds": config.recording,
        "recording_milliseconds": None if samples is None else 1e3 * samples / per_second,
        "flops_per_second": flops,
        "matmul_flops_per_second": ceiling,
        "share": flops / ceiling,
        "program_mb": sum(parts) / 1e6 if parts else None,
        "peak_mb": None if peak is None else peak / 1e6,
    }


def _samples_of(entry: ModelEntry, seconds: float) -> int | None:
    """Samples of a recording: its images, or windows every half window; None for networks that read something else."""
    frames = round(seconds * FPS)
    if entry.task == "pose":
        return frames
    return len(window_starts(max(entry.input_shape[0], frames))) if entry.task == "risk" else None


def matmul_flops(mesh: jax.sharding.Mesh, precision: Precision, repeats: int = 10) -> float:
    """Floating-point operations a second of a square matrix product on each device of a mesh, the best of several."""
    size = 1024 if platform_of(mesh) == "cpu" else 4096
    a = jax.random.normal(jax.random.key(0), (mesh.size, size, size), precision)
    full = "highest" if precision == "float32" else "default"

    def product(a: jax.Array) -> jax.Array:
        return jnp.matmul(a, a, precision=full)

    placed = jax.device_put(a, sharding_over(mesh, BATCH))
    program = jax.jit(shard(product, mesh, (P(BATCH),), P(BATCH))).lower(placed).compile()
    return 2 * size**3 * mesh.size / min(_times(lambda: program(placed), 0.0, repeats))


def _times(call: Callable[[], Any], least: float, calls: int) -> list[float]:
    """Times of so many calls at least, and so many seconds in all, after one that is not counted."""
    jax.block_until_ready(call())
    times: list[float] = []
    while sum(times) < least or len(times) < calls:
        began = time.perf_counter()
        jax.block_until_ready(call())
        times.append(time.perf_counter() - began)
    return times
