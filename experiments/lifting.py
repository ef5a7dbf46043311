"""Trains VideoPose3D on simulated infants, and prints its errors on others beside the published ones, of adults.

    python experiments/lifting.py -o lifting
    infantjax lift clip.csv -o clip3d.npz --weights lifting/lifting.npz

The public weights were trained on adults who stand and walk, and are for non-commercial use. The simulated infants lie
under a camera; their keypoints have the errors of a detector. The errors say nothing about real infants.

Published (Pavllo et al. 2019): Human3.6M, detected keypoints, Adam with AMSGrad at 0.001, falling by 0.95 an epoch,
batches of 1024 frames, mirror images. Our choice: a smaller network, batches of 256, cosine decay, a square about the
infant in place of the image.
"""

import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import tyro
from lifting_metrics import export_videopose3d, mpjpe, n_mpjpe, p_mpjpe, velocity_error
from support import markdown, run

from infantjax.errors import InputError
from infantjax.files import write_atomically
from infantjax.nn.initializers import initialize
from infantjax.pose import lifting
from infantjax.pose.networks.videopose3d import LiftingNetwork
from infantjax.progress import Progress
from infantjax.recording.conversion import convert
from infantjax.recording.recording import Recording
from infantjax.simulation import InfantConfig, draw_infant, simulate
from infantjax.simulation.infant import to_camera
from infantjax.simulation.movement import move
from infantjax.skeletons import HUMAN36M_17, IN_MOTION_19

PUBLISHED = {
    "published, 27 frames, adults": ("48.8", "38.0", "-", "-"),
    "published, 243 frames, adults": ("46.8", "36.5", "-", "-"),
}
METRICS = {
    "MPJPE": mpjpe,
    "P-MPJPE": p_mpjpe,
    "N-MPJPE": n_mpjpe,
    "velocity": velocity_error,
}
MIRROR = np.array(HUMAN36M_17.mirror)


@dataclass(frozen=True)
class Options:
    """What is trained.

    Attributes:
        output: folder for `lifting.npz`.
        infants: that are trained on; an eighth as many others are tested.
        seconds: of each infant.
        steps: of the training.
        batch: output frames of a step.
        channels: of the network; 1024 in the paper.
        widths: taps of each stage.
        dropout: share of units that training drops; 0.25 in the paper.
        rate: of Adam at the start.
        seed: of infants and training.
    """

    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    infants: int = 128
    seconds: float = 20.0
    steps: int = 5000
    batch: int = 256
    channels: int = 128
    widths: tuple[int, ...] = (3, 3, 3)
    dropout: float = 0.0
    rate: float = 0.001
    seed: int = 0


class Infants(NamedTuple):
    """Simulated infants.

    Attributes:
        keypoints: `[infant, time, keypoint, 2]` `screen` coordinates.
        positions: `[infant, time, joint, 3]` meters from the pelvis; x to the right, y downwards, z away.
    """

    keypoints: np.ndarray
    positions: np.ndarray


def main(options: Options) -> None:
    """Train, test, save."""
    if options.infants < 8 or options.steps < 1:
        raise InputError("--infants", f"is {options.infants} for {options.steps} steps", "give at least 8 and 1")
    known = draw(options, range(options.infants))
    others = draw(options, range(options.infants, options.infants + options.infants // 8))
    network = LiftingNetwork(widths=options.widths, channels=options.channels, dropout=options.dropout)
    variables = jax.device_get(train(network, known, options))
    stream = io.BytesIO()
    np.savez(stream, **export_videopose3d(network, variables))
    options.output.mkdir(parents=True, exist_ok=True)
    write_atomically(options.output / "lifting.npz", stream.getvalue())
    found = [np.asarray(lifting.lift(network, variables, x, HUMAN36M_17), np.float64) for x in others.keypoints]
    mean = np.broadcast_to(known.positions.mean(axis=(0, 1)), others.positions.shape[1:])
    rows = [
        *([name, *values] for name, values in PUBLISHED.items()),
        [f"ours, {network.receptive_field} frames, simulated infants", *errors(found, others)],
        ["mean pose, simulated infants", *errors([mean] * len(found), others)],
    ]
    print(markdown("Errors in mm; velocity in mm a frame", ("weights", *METRICS), rows))


def draw(options: Options, numbers: Iterable[int]) -> Infants:
    """Some infants of the cohort."""
    keypoints, positions = [], []
    base = InfantConfig(duration=options.seconds, dropout_rate=0)
    for number in numbers:
        seed, config = (options.seed, number), draw_infant(options.seed, number, number % 2, base)
        seen = convert(simulate(seed, config), HUMAN36M_17)
        space = to_camera(move(seed, config).positions, config) * np.array([1, -1, -1]) / 100
        joints = convert(Recording(space, seen.fps, IN_MOTION_19), HUMAN36M_17).keypoints
        keypoints.append(lifting.about_the_infant(seen.keypoints))
        positions.append(joints - joints[:, :1])
    return Infants(np.array(keypoints, np.float32), np.array(positions, np.float32))


def train(network: LiftingNetwork, infants: Infants, options: Options) -> Any:
    """The variables after training: random windows, half of them mirrored, and their middle positions."""
    reach, frames = network.receptive_field, infants.positions.shape[1]
    edges = [(0, 0), (reach // 2, reach // 2), (0, 0), (0, 0)]
    keypoints, positions = jnp.asarray(np.pad(infants.keypoints, edges, mode="edge")), jnp.asarray(infants.positions)
    variables = initialize(network, jax.random.key(options.seed), keypoints[:1, :reach])
    optimizer = optax.amsgrad(optax.cosine_decay_schedule(options.rate, options.steps))

    def window(infant: jax.Array, frame: jax.Array, mirrored: jax.Array) -> tuple[jax.Array, jax.Array]:
        x = jax.lax.dynamic_slice_in_dim(keypoints[infant], frame, reach)
        y = positions[infant, frame]
        flipped = x[:, MIRROR].at[..., 0].multiply(-1), y[MIRROR].at[..., 0].multiply(-1)
        return jnp.where(mirrored, flipped[0], x), jnp.where(mirrored, flipped[1], y)

    @jax.jit
    def step(variables: Any, memory: Any, key: jax.Array) -> tuple[Any, Any]:
        which, when, side, units = jax.random.split(key, 4)
        rows = jax.random.randint(which, (options.batch,), 0, len(positions))
        at = jax.random.randint(when, (options.batch,), 0, frames)
        x, y = jax.vmap(window)(rows, at, jax.random.bernoulli(side, shape=(options.batch,)))

        def loss(params: Any) -> Any:
            given = {**variables, "params": params}
            applied = network.apply(
                given, x, train=True, strided=True, rngs={"dropout": units}, mutable=["batch_stats"]
            )
            (found, _), updates = applied
            return jnp.linalg.norm(found[:, 0] - y, axis=-1).mean(), updates

        gradient, updates = jax.grad(loss, has_aux=True)(variables["params"])
        change, memory = optimizer.update(gradient, memory)
        return {"params": optax.apply_updates(variables["params"], change), **updates}, memory

    memory = optimizer.init(variables["params"])
    with Progress(options.steps, "training") as progress:
        for number in range(options.steps):
            variables, memory = step(variables, memory, jax.random.key(number + 1))
            progress.update(number + 1)
    return variables


def errors(found: list[np.ndarray], infants: Infants) -> list[str]:
    """Mean of each metric over infants, in mm."""
    pairs = list(zip(found, infants.positions.astype(np.float64)))
    return [f"{1000 * np.mean([metric(a, b) for a, b in pairs]):.1f}" for metric in METRICS.values()]


if __name__ == "__main__":
    raise SystemExit(run(lambda: main(tyro.cli(Options, description=__doc__))))
