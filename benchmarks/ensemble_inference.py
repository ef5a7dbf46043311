"""Inference of the whole ensemble: ten published architectures, seven networks each, a recording of three minutes.

    python -m benchmarks.ensemble_inference
    python -m benchmarks.ensemble_inference --models kbest-gcn-2 --peers eager compile vmap --no-write

Against PyTorch twins of the same networks that hold the same weights: one after the other, in eager mode or through
`torch.compile`, or side by side through `torch.func.vmap`. Nothing is reported unless all sides give the same risks.
The peer is given the finished input features and its best of several batch sizes, and runs nothing but the networks;
our side computes features, risks and the contributions of the joints. GFLOP/s count the operations of the networks by
the published rule.
"""

import json
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import torch
import tyro

from benchmarks import common, torch_twin
from infantjax import cache as runtime
from infantjax import models
from infantjax.methods.ensemble_gcn.architecture import KBEST
from infantjax.methods.ensemble_gcn.assess import EnsembleGcnAssessor
from infantjax.methods.window_networks import EnsembleProgram
from infantjax.models.entry import count_flops
from infantjax.recording import features, windows
from infantjax.recording.preprocessing import REFERENCE, standardize
from infantjax.simulation import InfantConfig, simulate
from infantjax.skeletons import IN_MOTION_19
from infantjax.weights import import_movement_outcome
from infantjax.weights.ensemble import Ensemble, EnsembleInfo, Member

INFO = EnsembleInfo(skeleton="in-motion-19", preprocessing=REFERENCE, threshold=0.5)
TOLERANCE = 1e-4
"""On risks: the difference of two float32 libraries, after a softmax."""


@dataclass(frozen=True)
class Options:
    """What is measured."""

    models: tuple[str, ...] = tuple(f"kbest-gcn-{i}" for i in range(1, 11))
    """Networks."""
    runs: int = 7
    """Networks of each architecture."""
    seconds: float = 180.0
    """Length of the recording."""
    rounds: int = 3
    """Timed rounds."""
    warm_up: int = 1
    """Untimed rounds after the first call."""
    peers: tuple[Literal["eager", "compile", "vmap"], ...] = ("eager",)
    """How PyTorch runs the networks; a row each."""
    peer_batches: tuple[int, ...] = (8, 32, 71)
    """Batch sizes of which the peer gets its best."""
    write: bool = True
    """Keep the result in benchmarks/results."""


def main(options: Options) -> None:
    """Measure and print the table."""
    torch.manual_seed(0)
    recording = standardize(simulate(0, InfantConfig(duration=options.seconds)), REFERENCE)
    positions = recording.keypoints.astype(np.float32)
    starts = windows.window_starts(len(positions))
    cut = positions[starts[:, None] + np.arange(windows.WINDOW)]
    channels = features.build_features(jnp.asarray(cut), IN_MOTION_19, ("position", "velocity", "bone"))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    inputs = torch.as_tensor(np.asarray(channels).transpose(0, 3, 1, 2).copy(), device=device)

    rows: list[dict[str, Any]] = []
    where = common.environment()
    for name in options.models:
        twins = [_twin(name, inputs) for _ in range(options.runs)]
        ensemble = Ensemble((_member(name, twins),), INFO)
        program = EnsembleGcnAssessor(ensemble)._program
        ours = common.Contender("infantjax", partial(_first_scores, program, positions))
        peers: list[tuple[str, int, common.Contender]] = []
        for kind in options.peers:
            batch = min(options.peer_batches, key=lambda b: _peer(twins[:1], inputs, b, kind, twice=True).seconds())
            peers.append((kind, batch, _peer(twins, inputs, batch, kind)))
        comparisons = common.compare_all([ours], [peer for *_, peer in peers], options.rounds, options.warm_up)
        entry, found = models.get(name), ours.run().risk
        flops = count_flops(entry.build(), entry.input_shape) * len(starts) * options.runs
        for (label, size, peer), comparison in zip(peers, comparisons):
            expected = peer.run().softmax(-1)[..., 1].cpu().numpy()
            error = common.require_equal(found, expected, TOLERANCE, f"{name}, {label}")
            row = {"model": name, "peer": label, "peer_batch": size, "difference": error, **comparison.summary(flops)}
            rows.append(row)
            print(json.dumps(row), flush=True)
    ceilings = {"jax_matmul_gflops": common.jax_ceiling(), "torch_matmul_gflops": common.torch_ceiling()}
    rows += [_total([row for row in rows if row["peer"] == kind]) for kind in options.peers]
    shapes = {"networks": options.runs * len(options.models), "windows": len(starts), **ceilings}
    if options.write:
        print(common.write("ensemble_inference", rows, shapes, where))
    else:
        print(common.table(rows), shapes)


def _total(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The line over all networks: sums of the medians; its quartiles are those of the networks' ratios."""
    ratios = [row["ratio"] for row in rows]
    ours, peer = (sum(row[f"{side}_median_s"] for row in rows) for side in ("ours", "peer"))
    flops = sum(row["ours_gflops"] * row["ours_median_s"] for row in rows)
    return {
        "model": "all",
        "peer": rows[0]["peer"],
        "peer_batch": None,
        "difference": max(row["difference"] for row in rows),
        "rounds": rows[0]["rounds"],
        "ours_first_call_s": sum(row["ours_first_call_s"] for row in rows),
        "peer_first_call_s": sum(row["peer_first_call_s"] for row in rows),
        "ours_median_s": ours,
        "peer_median_s": peer,
        "ours_gflops": flops / ours,
        "peer_gflops": flops / peer,
        "ratio": peer / ours,
        "ratio_q1": float(np.quantile(ratios, 0.25)),
        "ratio_q3": float(np.quantile(ratios, 0.75)),
    }


def _first_scores(program: EnsembleProgram, positions: np.ndarray) -> Any:
    return program.scores(positions)[0][0]


def _twin(name: str, inputs: torch.Tensor) -> torch.nn.Module:
    """A twin with random weights, running statistics that are not those of a fresh network, and scores of about 1.

    Random networks may give scores of several hundred, whose rounding errors alone would be differences of risk.
    """
    network = torch_twin.GraphNetwork(KBEST[int(name.rsplit("-", 1)[1]) - 1].to_choices())
    for part in network.modules():
        if isinstance(part, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            part.running_mean.normal_(0, 0.1)
            part.running_var.uniform_(0.8, 1.2)
    network = network.to(inputs.device).eval()
    with torch.no_grad():
        scale = network(inputs[:8])[0].abs().max()
        for parameter in network.fcn.parameters():
            parameter /= scale
    return network


def _member(name: str, twins: list[torch.nn.Module]) -> Member:
    architecture = KBEST[int(name.rsplit("-", 1)[1]) - 1]
    states = [{k: v.cpu().numpy() for k, v in twin.state_dict().items()} for twin in twins]
    variables = [import_movement_outcome(state, architecture) for state in states]
    return Member(name, jax.tree.map(lambda *leaves: np.stack(leaves), *variables), {})


def _peer(
    twins: list[torch.nn.Module], inputs: torch.Tensor, batch: int, kind: str = "eager", twice: bool = False
) -> common.Contender:
    version = torch.__version__.partition("+")[0]
    if kind == "vmap":
        run = partial(torch_twin.torch_vmapped_inference, twins, inputs, batch)
    else:
        torch.compiler.reset()  # so that the first call compiles
        networks = [torch.compile(twin, dynamic=False) for twin in twins] if kind == "compile" else twins
        run = partial(torch_twin.torch_inference, networks, inputs, batch)
    peer = common.Contender(f"torch {version} {kind}", run, common.torch_wait)
    if twice:
        peer.seconds()
    return peer


if __name__ == "__main__":
    runtime.keep_freed_memory()
    main(tyro.cli(Options, description=__doc__))
