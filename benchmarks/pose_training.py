"""Seconds of a training step of the pose networks against the same networks in PyTorch.

    python -m benchmarks.pose_training

Both sides take the same images and weights; their losses and what a step makes of the weights are shown to be equal.
Ours are steps of `training.pose.PoseTask` as an epoch has them, normalization and targets included, without and with
random views ("views"). The peer gets normalized images and finished targets, channels last, and its own AMSGrad.
Stochastic depth is off on both sides: it is random.
"""

import json
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
import tyro

from benchmarks import common
from benchmarks.pose_inference import lively
from benchmarks.torch_pose import TorchPose
from infantjax import cache as runtime
from infantjax import models
from infantjax.devices import local_mesh
from infantjax.models import count_image
from infantjax.nn.initializers import initialize
from infantjax.pose.codec.heatmap import HeatmapCodec
from infantjax.pose.codec.limb import affinity_fields
from infantjax.pose.images import normalize
from infantjax.pose.training.augmentation import ImageAugmentation
from infantjax.pose.training.task import ImageData, PoseTask, PoseTrainingConfig, pose_runs
from infantjax.skeletons import MPII_16, segments
from infantjax.training.execution.layout import compiler_options
from infantjax.training.splits import Split

TOLERANCE = 1e-3
"""Of the losses of later steps: sums over a batch in another order, through norms and a root."""


@dataclass(frozen=True)
class Options:
    """What is measured."""

    models: tuple[str, ...] = ("efficientpose-rt-lite", "efficientpose-rt", "efficientpose-i")
    """Networks of the EfficientPose family."""
    batch_size: int = 8
    """Images of a step."""
    steps: int = 2
    """Steps of a round."""
    rounds: int = 3
    """Timed rounds."""
    warm_up: int = 1
    """Untimed rounds after the first call."""
    write: bool = True
    """Keep the result in benchmarks/results."""


def main(options: Options) -> None:
    """Measure and print the table."""
    runtime.keep_freed_memory()
    where = common.environment()
    rows: list[dict[str, Any]] = []
    for name in options.models:
        for row in _measure(name, options):
            print(json.dumps(row), flush=True)
            rows.append(row)
    ceilings = {"jax_matmul_gflops": common.jax_ceiling(), "torch_matmul_gflops": common.torch_ceiling()}
    shapes = {"batch": options.batch_size, "steps": options.steps, **ceilings}
    print(common.write("pose_training", rows, shapes, where) if options.write else common.table(rows))


def _measure(name: str, options: Options) -> list[dict[str, Any]]:
    entry = models.get(name)
    network: Any = entry.build(upscale=False, branch_dropout=0.0)
    side, count, rng = entry.input_shape[0], options.batch_size * options.steps, np.random.default_rng(0)
    squares = rng.integers(0, 256, (count, side, side, 3)).astype(np.uint8)
    points = rng.uniform(0.1, 0.9, (count, 16, 2)).astype(np.float32)
    shown, marked = jnp.asarray(squares), jnp.asarray(points)
    variables = jax.device_get(dict(initialize(network, jax.random.key(0), jnp.zeros((1, side, side, 3)))))
    variables["params"] = jax.tree_util.tree_map_with_path(lively, variables["params"])
    data = jax.device_put(ImageData(shown, marked, variables, MPII_16, entry.normalization or "imagenet"))
    split = Split(tuple(range(count)), (0,))

    def ours(views: ImageAugmentation | None) -> tuple[Any, PoseTask]:
        config = PoseTrainingConfig(epochs=1, batch_size=options.batch_size, augmentation=views)
        task = PoseTask.create(network, data, [split], config)
        runs = pose_runs([split], 1)
        run, drawn = jax.tree.map(lambda leaf: leaf[0], jax.device_put((runs, task.draw_variables(runs.key))))
        state = jax.jit(task.init_state)(drawn, jnp.bool_(True), run, data)
        given = (state.variables, state.opt_state), state.epoch, run, data, run.key
        compiled = (
            jax.jit(partial(_take_steps, task)).lower(*given).compile(compiler_options=compiler_options(local_mesh()))
        )
        return (lambda: compiled(*given)), task

    run_ours, task = ours(None)
    run = jax.tree.map(lambda leaf: leaf[0], jax.device_put(pose_runs([split], 1)))
    order = np.asarray(task.plan_epoch(jnp.int32(0), run, data, run.key)[0].order)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    batches = [
        _peer_batch(
            squares[rows], points[rows], data.normalization, float(task.sigmas[0]), float(task.widths[0]), device
        )
        for rows in np.split(order, options.steps)
    ]

    def peer() -> list[float]:
        twin = TorchPose(network, variables, trained=True).to(device).train()
        optimizer = torch.optim.Adam(twin.parameters(), 1e-3, (0.9, 0.999), 1e-7, amsgrad=True)
        losses = []
        for x, wanted in batches:
            optimizer.zero_grad(set_to_none=True)
            loss = sum(((maps - w) ** 2).mean() for maps, w in zip(twin(x), wanted))
            loss.backward()
            optimizer.step()
            losses.append(loss)
        return [float(loss.detach()) for loss in losses]

    expected, found = peer(), np.asarray(run_ours()[1])
    error = common.require_equal(found, np.array(expected), TOLERANCE, f"losses of {name}")
    flops = 3 * count_image(network, entry.input_shape).executed * count
    rows = []
    given = common.Contender("PyTorch", peer)
    for what, run in (("steps", run_ours), ("views", ours(ImageAugmentation())[0])):
        contender = common.Contender(what, run, jax.block_until_ready)
        comparison = common.compare(contender, given, options.rounds, options.warm_up).summary(flops)
        rates = {
            "ours_pictures_s": count / comparison["ours_median_s"],
            "peer_pictures_s": count / comparison["peer_median_s"],
        }
        rows.append({"model": name, "what": what, "difference": error, **rates, **comparison})
    return rows


def _take_steps(task: PoseTask, carry: tuple, epoch: Any, run: Any, data: ImageData, key: Any) -> tuple:
    """The steps of an epoch with the loss of each; `carry` is variables as vectors, and the state of the optimizer."""
    plan, step_key = task.plan_epoch(epoch, run, data, key)

    def step(carry: tuple, number: Any) -> tuple:
        rngs = {"dropout": jax.random.fold_in(step_key, number)}
        loss = partial(task.loss, batch=task.batch(plan, number, run, data), rngs=rngs)
        variables, opt_state, value = task.step(carry[0], carry[1], loss)
        return (variables, opt_state), value

    return jax.lax.scan(step, carry, jnp.arange(task.steps))


def _peer_batch(
    squares: np.ndarray, points: np.ndarray, pixels: Any, sigma: float, width: float, device: str
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Normalized images and the targets of the three passes, channels last in memory."""
    map_side = squares.shape[1] // 8
    fields = affinity_fields(jnp.asarray(points), segments(MPII_16), map_side, width * map_side / 32)
    peaks = HeatmapCodec().encode(jnp.asarray(points), map_side, sigma)

    def given(array: Any) -> torch.Tensor:
        tensor = torch.as_tensor(np.asarray(array).transpose(0, 3, 1, 2).copy(), device=device)
        return tensor.contiguous(memory_format=torch.channels_last)

    return given(normalize(jnp.asarray(squares), pixels)), [given(fields), given(peaks), given(peaks)]


if __name__ == "__main__":
    main(tyro.cli(Options))
