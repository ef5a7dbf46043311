"""SMA CNN, the reading of MAM and VideoPose3D: prediction and a training step against PyTorch, and a stack of subjects.

    python -m benchmarks.systems

The twins in PyTorch have the same weights, and are shown to give the same outputs, and without dropout the same
change of weights by a step. Then the same is timed in turns with dropout as published. A prediction is what a
recording needs: the 55 windows of two minutes for the SMA CNN, the 64 clips that localize in one minute for MAM,
distances of joints included, and all frames of one minute for VideoPose3D. A step of the SMA CNN and of MAM is that of
`infantjax train`, in its loop and with its draws; the peer gets finished batches. VideoPose3D has no training here: its
step is that of the published program (strided form, AMSGrad), of fewer output frames than the published 1024.

The stack trains one SMA CNN for each of fifteen subjects for a few iterations with compilation, as a user waits for
them; the loop trains one run after the other, each compiled again as in separate programs.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import torch
import tyro

from benchmarks import common
from benchmarks.torch_systems import TorchLifting, TorchMam, TorchSmaCnn
from infantjax import cache as runtime
from infantjax import models
from infantjax.devices import local_mesh
from infantjax.methods.mam import preprocessing as motion
from infantjax.methods.mam import training as mam_training
from infantjax.methods.mam.model import MAM
from infantjax.methods.sma_cnn import training as sma_cnn
from infantjax.methods.sma_cnn.model import SmaCnn
from infantjax.nn.initializers import initialize
from infantjax.training.execution.layout import compiler_options
from infantjax.training.fitting import fit
from infantjax.training.splits import leave_one_group_out
from infantjax.training.state import Run
from infantjax.training.task import SupervisedTask

TOLERANCE = 1e-3
"""On how a step changes weights, relative to the largest change, beside the rounding of the weights."""

Pair = tuple[common.Contender, common.Contender]


@dataclass(frozen=True)
class Options:
    """What is measured."""

    systems: tuple[str, ...] = ("sma-cnn", "mam", "videopose3d")
    """Of which systems."""
    rounds: int = 7
    """Timed rounds."""
    windows: int = 400
    """Of a step of the SMA CNN; 400 as published."""
    output_frames: int = 128
    """Of a step of VideoPose3D; 1024 as published."""
    subjects: int = 15
    """Runs of the stack; 15 as published. 0 leaves it out."""
    iterations: int = 2
    """Of each run of the stack, of 40 windows each."""
    write: bool = True
    """Keep the result in benchmarks/results."""


def main(options: Options) -> None:
    """Measure and print the table."""
    torch.manual_seed(0)
    where = common.environment()
    rows = []
    known: dict[str, Callable[[Options], Iterator[tuple[str, Pair]]]] = {
        "sma-cnn": score_network,
        "mam": video_network,
        "videopose3d": lifting_network,
    }
    for system in options.systems:
        for work, (ours, peer) in known[system](options):
            comparison = common.compare(ours, peer, options.rounds)
            rows.append({"system": system, "work": work, **comparison.summary()})
            print(json.dumps(rows[-1]), flush=True)
    if options.subjects:
        work = f"stack of {options.subjects} subjects"
        rows.append({"system": "sma-cnn", "work": work, **stack_against_loop(options)})
        print(json.dumps(rows[-1]), flush=True)
    names = ("windows", "output_frames", "subjects", "iterations")
    shapes = {name: getattr(options, name) for name in names}
    shapes |= {"jax_matmul_gflops": common.jax_ceiling()}
    print(common.write("systems", rows, shapes, where) if options.write else common.table(rows))


def score_network(options: Options) -> Iterator[tuple[str, Pair]]:
    """The SMA CNN."""
    entry = models.get("sma-cnn")
    rng = np.random.default_rng(0)
    windows = rng.standard_normal((options.windows + 1, 12, 900)).astype(np.float32)
    scores = rng.uniform(0, 72, len(windows)).astype(np.float32)
    variables = drawn(entry.build(), (1, *entry.input_shape))
    recording = windows[:55, :, :, None]
    yield (
        "prediction",
        predicted(
            lambda v, x: entry.build().apply(v, x)[0],
            variables,
            recording,
            TorchSmaCnn(variables["params"]),
            torch.as_tensor(recording.transpose(0, 3, 1, 2).copy()),
        ),
    )

    config = sma_cnn.TrainingConfig(iterations=1, report=1, batch_size=options.windows)
    # All windows but one are those of the step.
    every = jnp.arange(options.windows)
    count, last = jnp.int32(options.windows), jnp.array([options.windows])
    run = Run(jax.random.key(0), every, count, last, jnp.int32(1))
    data: Any = jax.device_put(sma_cnn.ScoredWindows(windows, scores))  # type: ignore[arg-type]
    x, y = torch.as_tensor(windows[:-1, None]), torch.as_tensor(scores[:-1])

    def descent(dropout: float) -> tuple[Any, Callable[[], Any], TorchSmaCnn]:
        task = sma_cnn.ScoreTask(SmaCnn(dropout=dropout), config, (1, *entry.input_shape))
        twin = TorchSmaCnn(variables["params"], dropout).train()
        optimizer = twin.optimizer(config)
        return task, lambda: descend(optimizer, (twin(x) - y).square().mean() / 2), twin

    def kernels(params: Any, twin: TorchSmaCnn) -> list[tuple[Any, torch.Tensor]]:
        return [
            (params["conv1_kernel"], twin.convs[0].weight.permute(2, 3, 1, 0)),
            (params["conv3_kernel"], twin.convs[2].weight.permute(2, 3, 1, 0)),
            (params["score"]["kernel"], twin.score.weight.T),
        ]

    yield "training step", trained(variables, run, data, descent, kernels, 0.5)


def video_network(options: Options) -> Iterator[tuple[str, Pair]]:
    """The reading of MAM."""
    entry = models.get("mam")
    rng = np.random.default_rng(0)
    positions = rng.standard_normal((2, 240 + 15 * motion.STEP, 17, 3)).astype(np.float32)
    clips = rng.standard_normal((32, 240, 17, 3)).astype(np.float32)
    labels = np.arange(32) % 2
    module = entry.build()
    variables = drawn(module, (1, *entry.input_shape))
    minute, _ = motion.cut(positions[0], motion.localization_starts(1500))
    twin = TorchMam(variables["params"], module.token, module.heads)
    yield (
        "prediction",
        predicted(
            lambda v, x: module.apply(v, motion.inputs(x), method="encode")[1],
            variables,
            minute,
            lambda x: twin.eval().encode(x)[1],
            torch.as_tensor(minute),
        ),
    )

    config = mam_training.TrainingConfig(pretraining=0, joint=1)
    videos = mam_training.Videos.create(list(positions), [0, 1], clips, labels)
    data: Any = jax.device_put(videos)
    one, both = jnp.int32(1), jnp.arange(2)
    # Both videos have as many instances as a step draws.
    normal = mam_training.NormalVideos(both[:1], one)
    run = Run(jax.random.key(0), both[1:], one, both[:1], one, normal)
    pair = torch.as_tensor(np.stack([motion.cut(video, motion.clip_starts(len(video)))[0] for video in positions]))
    given, classes = torch.as_tensor(clips), torch.as_tensor(labels)

    def descent(dropout: float) -> tuple[Any, Callable[[], Any], TorchMam]:
        task = mam_training.VideoTask(MAM(dropout=dropout), config, (1, *entry.input_shape))
        twin, centers = TorchMam(variables["params"], module.token, module.heads, dropout).train(), torch.zeros(2, 64)
        optimizer = torch.optim.SGD(twin.parameters(), config.lowest_rate, 0.9, weight_decay=config.decay)
        return task, lambda: descend(optimizer, twin.loss(given, classes, pair, centers, config)), twin

    def kernels(params: Any, twin: TorchMam) -> list[tuple[Any, torch.Tensor]]:
        return [
            (params["embed"]["kernel"], twin.embed.weight.T),
            (params["transformer_0"]["over_time"]["read"]["kernel"], twin.blocks[0].over_time.read.weight.T),
            (params["instance_attention"]["gate"]["kernel"], twin.gate.weight.T),
        ]

    yield "training step", trained(variables, run, data, descent, kernels, module.dropout)


def lifting_network(options: Options) -> Iterator[tuple[str, Pair]]:
    """VideoPose3D."""
    module = models.get("videopose3d").build()
    rng = np.random.default_rng(0)
    keypoints = rng.standard_normal((1, 1500 + 242, 17, 2)).astype(np.float32)
    variables = drawn(module, (1, 243, 17, 2))
    twin = TorchLifting(variables, module.widths)
    yield (
        "prediction",
        predicted(lambda v, x: module.apply(v, x)[0], variables, keypoints, twin, torch.as_tensor(keypoints)),
    )

    cut = rng.standard_normal((options.output_frames, 243, 17, 2)).astype(np.float32)
    goal = rng.standard_normal((options.output_frames, 1, 17, 3)).astype(np.float32)
    rate = 0.001
    optimizer = optax.amsgrad(rate)

    def descent(dropout: float) -> tuple[Any, Callable[[], Any], TorchLifting]:
        network = models.get("videopose3d").build(dropout=dropout)

        def step(variables: Any, memory: Any, key: jax.Array, x: jax.Array, y: jax.Array) -> Any:
            def loss(params: Any) -> Any:
                given = {**variables, "params": params}
                (found, _), updates = network.apply(
                    given, x, train=True, strided=True, rngs={"dropout": key}, mutable=["batch_stats"]
                )
                return jnp.linalg.norm(found - y, axis=-1).mean(), updates

            gradient, updates = jax.grad(loss, has_aux=True)(variables["params"])
            change, memory = optimizer.update(gradient, memory)
            return {"params": optax.apply_updates(variables["params"], change), **updates}, memory

        compiled = jax.jit(step, compiler_options=compiler_options(local_mesh()))
        state, arrays = jax.device_put(variables), jax.device_put((cut, goal))
        memory = optimizer.init(state["params"])
        twin = TorchLifting(variables, network.widths, dropout).train()
        peer = torch.optim.Adam(twin.parameters(), rate, amsgrad=True)
        x, y = torch.as_tensor(cut), torch.as_tensor(goal)
        ours = lambda: compiled(state, memory, jax.random.key(1), *arrays)[0]["params"]  # noqa: E731
        return ours, lambda: descend(peer, torch.linalg.norm(twin(x, strided=True) - y, dim=-1).mean()), twin

    ours, peer, twin = descent(0.0)
    before = twin.shrink.weight.detach().clone()
    stepped = ours()
    peer()
    # Adam's first step has the size of the rate, whatever the gradient: what is compared is the change.
    change, expected = (
        stepped["shrink"]["kernel"] - variables["params"]["shrink"]["kernel"],
        twin.shrink.weight - before,
    )
    agreed = np.isclose(change / rate, expected.detach().numpy()[..., 0].T / rate, atol=1e-2).mean()
    if agreed < 0.999:
        raise AssertionError(f"videopose3d: {1 - agreed:.2%} of the weights differ after a step")
    ours, peer, _ = descent(0.25)
    yield "training step", contenders(ours, peer)


def drawn(module: Any, shape: tuple[int, ...]) -> Any:
    """Random variables of a network, on the host."""
    x = jnp.zeros(shape)
    return jax.device_get(dict(initialize(module, jax.random.key(0), x)))


def predicted(predict: Callable, variables: Any, x: np.ndarray, twin: Callable, given: torch.Tensor) -> Pair:
    """Both sides of a prediction, after they were shown to be equal."""
    compiled = jax.jit(predict, compiler_options=compiler_options(local_mesh()))
    state, on_device = jax.device_put((variables, x))
    if isinstance(twin, torch.nn.Module):
        twin.eval()

    def infer() -> torch.Tensor:
        with torch.inference_mode():
            return twin(given)

    common.require_equal(compiled(state, on_device), infer().numpy(), 1e-5, "prediction")
    return contenders(lambda: compiled(state, on_device), infer)


def trained(
    variables: Any,
    run: Any,
    data: Any,
    descent: Callable[[float], tuple[Any, Callable[[], Any], Any]],
    kernels: Callable[[Any, Any], list[tuple[Any, torch.Tensor]]],
    dropout: float,
) -> Pair:
    """Both sides of an epoch of one step of a task, after they were shown to be equal without dropout."""

    def ours(task: SupervisedTask) -> tuple[Callable[[], Any], Any]:
        packed = jax.jit(task.pack)(variables)
        state = task.init_state(packed, jnp.array(True), run, data)._replace(variables=packed)
        epoch = jax.jit(lambda s, r, d: task.train_epoch(s, r, d, r.key, jnp.array(True)))
        compiled = epoch.lower(state, run, data).compile(compiler_options=compiler_options(local_mesh()))
        return lambda: compiled(state, run, data), task

    task, peer, twin = descent(0.0)
    step, _ = ours(task)
    found = step()
    peer()
    changed = kernels(task.unpack(found.variables)["params"], twin)
    for number, ((here, there), (before, _)) in enumerate(zip(changed, kernels(variables["params"], twin))):
        change = there.detach().numpy() - before
        size = np.abs(change).max()
        rounding = 2e-7 * np.abs(before).max() / size
        what = f"change of kernel {number} in a step"
        common.require_equal((here - before) / size, change / size, TOLERANCE + rounding, what)
    task, peer, _ = descent(dropout)
    step, _ = ours(task)
    return contenders(step, peer)


def descend(optimizer: torch.optim.Optimizer, loss: torch.Tensor) -> torch.Tensor:
    """One step; the loss before it."""
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.detach()


def contenders(ours: Callable[[], Any], peer: Callable[[], Any]) -> Pair:
    """With their names."""
    return (
        common.Contender("infantjax", ours, jax.block_until_ready),
        common.Contender(f"torch {torch.__version__}", peer, common.torch_wait),
    )


def stack_against_loop(options: Options) -> dict[str, float]:
    """Seconds of runs as one stack, and of the same runs one after the other; their errors are equal."""
    rng = np.random.default_rng(0)
    subjects = np.repeat(np.arange(options.subjects), 4).tolist()
    windows = rng.standard_normal((len(subjects), 12, 900)).astype(np.float32)
    scores = rng.uniform(0, 72, len(subjects)).tolist()
    config = sma_cnn.TrainingConfig(
        iterations=options.iterations, report=options.iterations, batch_size=min(40, 4 * options.subjects - 4)
    )
    module = SmaCnn()
    begun = time.perf_counter()
    data, splits = sma_cnn.ScoredWindows(jnp.asarray(windows), jnp.asarray(scores)), leave_one_group_out(subjects)
    together = fit(*sma_cnn.setup(module, data, splits, config))
    stack = time.perf_counter() - begun
    begun = time.perf_counter()
    # The first run alone has the number, and so the key, of the first of the stack.
    alone = [fit(*sma_cnn.setup(module, data, [split], config)) for split in splits]
    loop_seconds = time.perf_counter() - begun
    of_first = [result.validation_outputs(splits[:1])[0] for result in (alone[0], together)]
    common.require_equal(of_first[0], of_first[1], 1e-5, "scores of the first subject")
    return {"ours_median_s": stack, "peer_median_s": loop_seconds, "ratio": loop_seconds / stack}


if __name__ == "__main__":
    runtime.keep_freed_memory()
    main(tyro.cli(Options, description=__doc__))
