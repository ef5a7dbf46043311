"""The 20-choice graph network of Ensemble-NAS-GCN, and the ten published ones by name.

Source: Groos et al., "Development and validation of a deep learning method to predict cerebral palsy from spontaneous
movements in infants at high risk" (thesis Section 3.5, Appendix A; Paper III with supplement), and the behavior of the
reference implementation, movement-outcome, from which the published numbers come. Where the two differ the reference
implementation is followed and the docstring says so.

Variables: `params` (trained), `batch_stats` (running statistics, changed by training mode), `constants` (adjacency
matrices; kept with the weights, never trained).
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from infantjax import skeletons
from infantjax.methods.ensemble_gcn.architecture import KBEST, Architecture
from infantjax.methods.ensemble_gcn.blocks import GraphModule
from infantjax.methods.ensemble_gcn.config import FEATURES, Feature
from infantjax.methods.ensemble_gcn.head import SpatialPool, classify, global_mean
from infantjax.methods.ensemble_gcn.plan import ModuleSpec, plan
from infantjax.models.entry import ModelEntry, Published
from infantjax.nn import flops
from infantjax.nn.attention import ACTIVATIONS
from infantjax.nn.graph import joints_first
from infantjax.nn.initializers import variable
from infantjax.nn.kernels.folding import fold_batch_norm
from infantjax.nn.kernels.lowering import on_cpu
from infantjax.nn.layers import BatchNorm, TemporalConv
from infantjax.skeletons import IN_MOTION_19, Skeleton

Applied = Callable[
    [Mapping[str, Any], Float[Array, "joint batch time in"], Float[Array, "matrix joint joint"]],
    tuple[Float[Array, "joint batch time_out out"], Mapping[str, Any]],
]
"""A module as a function of its variables, input and adjacency: its output, and the collections that it changes."""
Branches = Sequence[Sequence[ModuleSpec]]
"""The modules of each input branch."""


def applied(module: GraphModule, train: bool) -> Applied:
    """A module that is traced once, however often it is called."""

    def apply(variables: Mapping[str, Any], x: Array, adjacency: Array) -> tuple[Array, Mapping[str, Any]]:
        return module.apply(variables, x, adjacency, train, mutable=["batch_stats"] if train else [])

    return jax.jit(apply)


class GraphNetwork(nn.Module):
    """The 20-choice graph network: three input branches, fusion, main branch, pooling, two scores.

    Attributes:
        architecture: the 20 choices.
        skeleton: joints, tree and center.
        lean: leave out parameters that never influence the output (not the published counts).
        classes: number of scores.
        without: feature whose input branch is left out; none in the published networks.

    Source: Groos et al., Paper III with supplement.
    """

    architecture: Architecture
    skeleton: Skeleton = IN_MOTION_19
    lean: bool = False
    classes: int = 2
    without: Feature | None = None

    @property
    def branches(self) -> dict[int, tuple[ModuleSpec, ...]]:
        """The modules of each input branch, by the number of its feature."""
        planned = enumerate(plan(self.architecture)[0])
        return {number: modules for number, modules in planned if FEATURES[number] != self.without}

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch time joint 6"], train: bool = False
    ) -> tuple[Float[Array, "batch classes"], dict[str, Array]]:
        """Scores of windows.

        Args:
            x: position, velocity and bone, two channels each, of standardized windows.
            train: normalize by the batch and update `batch_stats`.

        Returns:
            Scores (index 1: CP), and a dict with `features [batch, time', joint, channel]` before pooling and
            `pooled [batch, channel]`, the classifier's input.
        """
        a = self.architecture
        _, fused, main = plan(a)
        branches = self.branches
        input_graph, main_graph = self._graphs()
        x = joints_first(x, self.skeleton, 6)
        x = BatchNorm((x.shape[0], 1, 1, 6), (1, 2), name="data_norm")(x, train)
        # Of this pass alone: JAX keeps what it knows of a function as long as that lives, and a search has no end.
        traced: dict[ModuleSpec, Applied] = {}
        inputs = [x[..., 2 * number : 2 * number + 2] for number in branches]
        apply = self._in_turn if on_cpu() or self._is_asked() else self._side_by_side
        outputs = apply(tuple(branches.values()), inputs, input_graph, train, traced)
        y = TemporalConv(sum(o.shape[-1] for o in outputs), fused, name="fuse")(jnp.concatenate(outputs, -1), train)
        for spec in main:
            y = self._module(spec, y, main_graph, train, traced)
        pooled = SpatialPool(name="pool")(y) if a.pool == "spatial" else global_mean(y)
        return classify(y, pooled, self.classes)

    def _in_turn(
        self, branches: Branches, inputs: list[Array], adjacency: Array, train: bool, traced: dict[ModuleSpec, Applied]
    ) -> list[Array]:
        """Outputs of the branches, one computed after the other."""
        outputs = []
        for y, modules in zip(inputs, branches, strict=True):
            for spec in modules:
                y = self._module(spec, y, adjacency, train, traced)
            outputs.append(y)
        return outputs

    def _side_by_side(
        self, branches: Branches, inputs: list[Array], adjacency: Array, train: bool, traced: dict[ModuleSpec, Applied]
    ) -> list[Array]:
        """Outputs of the branches, all computed by the same operations: their modules are alike.

        For an accelerator, where that is a third of the kernels of a training step (`benchmarks/compile_targets.py`).
        On a CPU grouped convolutions are slow.
        """
        y = jnp.stack(inputs)
        for specs in zip(*branches, strict=True):
            variables = jax.tree.map(lambda *leaves: jnp.stack(leaves), *map(self._variables_of, specs))
            apply = traced.setdefault(specs[0], applied(self._make(specs[0])(parent=None), train))
            y, changed = jax.vmap(apply, in_axes=(0, 0, None))(variables, y, adjacency)
            for number, spec in enumerate(specs):
                self._put(spec, jax.tree.map(lambda leaf, number=number: leaf[number], changed))
        return list(y)

    def _module(
        self, spec: ModuleSpec, x: Array, adjacency: Array, train: bool, traced: dict[ModuleSpec, Applied]
    ) -> Array:
        """Apply a module; those that are alike are traced once, since tracing takes longer than computing."""
        make = self._make(spec)
        if self._is_asked():
            return make(name=spec.name)(x, adjacency, train)
        if spec not in traced:
            traced[spec] = applied(make(parent=None), train)
        y, changed = traced[spec](self._variables_of(spec), x, adjacency)
        self._put(spec, changed)
        return y

    def _is_asked(self) -> bool:
        """Whether every module is needed for itself: to draw variables, count operations, or give what lies between."""
        return flops.is_open() or any(map(self.is_mutable_collection, ("params", "intermediates")))

    def _make(self, spec: ModuleSpec) -> Callable[..., GraphModule]:
        return partial(GraphModule, spec, ACTIVATIONS[self.architecture.nonlinearity], self.lean)

    def _variables_of(self, spec: ModuleSpec) -> Mapping[str, Any]:
        return {name: of[spec.name] for name, of in self.variables.items() if spec.name in of}

    def _put(self, spec: ModuleSpec, changed: Mapping[str, Any]) -> None:
        for name, of in changed.items():
            self.put_variable(name, spec.name, of)

    def _graphs(self) -> tuple[Array, Array]:
        kind = self.architecture.graph

        def graph(name: str, kind: str) -> Array:
            make = partial(skeletons.adjacency, self.skeleton, kind)
            return variable(self, "constants", name, make).value

        first = graph("adjacency_input", "dis4" if kind == "dis42" else kind)
        return (first, graph("adjacency_main", "dis2")) if kind == "dis42" else (first, first)


def fold(network: nn.Module, variables: Any) -> dict[str, Any]:
    """Variables with which a network computes the same in evaluation mode, with fewer operations."""
    folded = fold_batch_norm(variables)
    if isinstance(network, GraphNetwork):
        _, _, main = plan(network.architecture)
        for spec in chain(*network.branches.values(), main):
            if spec.composable:
                module = folded["params"][spec.name]
                module["temporal"] = compose_scales(spec, module["temporal"])
    return folded


def compose_scales(spec: ModuleSpec, temporal: dict[str, Any]) -> dict[str, Any]:
    """Compose the scales of a temporal block with their fusion.

    Behind the last convolution of each scale stands a linear fusion: together they are one affine map. Composed, and
    with the taps of all dilations in one convolution, assessing takes a third less time.

    Args:
        spec: sizes of the module.
        temporal: parameters of its temporal block, whose norms are folded.

    Returns:
        The parameters with `taps_n` of all scales (basic blocks), or `openings` of all scales side by side,
        `opening_bias_i` and `last_i`, and with `bias`, in place of openings, last convolutions and fusion.
    """
    first, last = {"basic": (None, "conv"), "bottleneck": ("down", "up"), "mbconv": ("up", "down")}[spec.block_type]
    left, fuse = dict(temporal), temporal["fuse"]
    del left["fuse"]
    lasts = [left.pop(f"{last}_{i}") for i in range(spec.scales)]
    parts = [fuse["kernel"][0][i * spec.features :][: spec.features] for i in range(spec.scales)]
    left["bias"] = fuse["bias"] + sum(each["bias"] @ part for each, part in zip(lasts, parts))
    kernels = [each["kernel"] @ part for each, part in zip(lasts, parts)]
    arrays = kernels[0].__array_namespace__()
    if first is None:
        taps = {frame: arrays.zeros_like(kernels[0][0]) for frames in spec.frames for frame in frames}
        for i, kernel in enumerate(kernels):
            for row, weights in enumerate(kernel):
                taps[(i + 1) * (row - len(kernel) // 2)] += weights
        return left | {f"taps_{n}": arrays.stack([taps[f] for f in frames]) for n, frames in enumerate(spec.frames)}
    openings = [left.pop(f"{first}_{i}") for i in range(spec.scales)]
    left["openings"] = arrays.concatenate([each["kernel"][0] for each in openings], -1)
    left |= {f"opening_bias_{i}": each["bias"] for i, each in enumerate(openings)}
    return left | {f"last_{i}": kernel[0] for i, kernel in enumerate(kernels)}


def build_kbest(index: int, skeleton: Skeleton | str = IN_MOTION_19, **overrides: Any) -> GraphNetwork:
    """Published architecture `index` (1..10) as a module; choices of `Architecture` may be overridden by name."""
    settings = {name: overrides.pop(name) for name in ("lean", "classes", "without") if name in overrides}
    architecture = Architecture.from_choices(KBEST[index - 1].to_choices() | overrides)
    return GraphNetwork(architecture, skeletons.get(skeleton), **settings)


_PARAMETERS = (233_362, 75_764, 174_767, 430_812, 107_233, 236_180, 1_691_288, 400_962, 554_652, 559_899)
_GFLOPS = ("0.76", "0.26", "0.58", "1.62", "0.32", "0.44", "2.48", "0.60", "0.63", "1.81")
_AUC = (0.921, 0.917, 0.903, 0.906, 0.921, 0.931, 0.918, 0.904, 0.929, 0.916)
_SOURCE = "Groos et al., Paper III with supplement; thesis Appendix A, Tables A.2 to A.5"

ENTRIES = tuple(
    ModelEntry(
        name=f"kbest-gcn-{i}",
        method="ensemble-gcn",
        task="risk",
        input_shape=(150, 19, 6),
        skeleton="in-motion-19",
        features=FEATURES,
        published=Published(_PARAMETERS[i - 1], _GFLOPS[i - 1], 1e9, _SOURCE, {"test AUC": _AUC[i - 1]}),
        build=partial(build_kbest, i),
    )
    for i in range(1, 11)
)
