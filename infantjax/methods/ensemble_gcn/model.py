"""Graph networks on keypoint windows: ST-GCN, the 20-choice network of Ensemble-NAS-GCN, and the ten published ones.

Source: Groos et al., "Development and validation of a deep learning method to predict cerebral palsy from spontaneous
movements in infants at high risk" (thesis Section 3.5, Appendix A; Paper III with supplement), and the behavior of the
released movement-outcome program, from which the published numbers come. Where paper and program differ the program is
followed and the docstring says so. Points that look unintended but are real, and are kept because parameter counts and
outputs need them:

1. basic blocks own two pointwise convolutions with norms that are never used, and a temporal block of one scale owns a
   fusing convolution and possibly a squeeze-and-excitation that are never used (`lean=True` leaves them out; outputs
   are the same);
2. the grouped graph convolution mixes channels (`nn.graph.GroupedGraphConv`);
3. inverted-residual temporal blocks always own an outer squeeze-and-excitation;
4. `bottleneck_factor` widens basic blocks too;
5. the first module of every main level has stride 2, the first level included;
6. linear temporal scales grow per level in the main branch, though the paper says per module.

Variables of both networks: `params` (trained), `batch_stats` (running statistics, changed by training mode),
`constants` (adjacency matrices; kept with the weights, never trained).

Activations inside are `[joint, batch, time, channel]`; inputs and outputs are in the order of the library.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import partial
from typing import Any, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from infantjax import skeletons
from infantjax.models.entry import ModelEntry, Published
from infantjax.nn import flops
from infantjax.nn.attention import ACTIVATIONS, Activation, Attention, AttentionKind, SqueezeExcitation
from infantjax.nn.graph import GraphConv, GroupedGraphConv
from infantjax.nn.initializers import Constant, HeNormalFanOut, UniformFanIn, parameter, variable
from infantjax.nn.kernels.convolution import equally_spaced, pointwise, sparse_temporal_convolution
from infantjax.nn.kernels.folding import is_folded
from infantjax.nn.layers import BatchNorm, Dense, DepthwiseConv, TemporalConv
from infantjax.skeletons import IN_MOTION_19, Skeleton

_SQRT2 = 2.0**0.5

Residual = Literal["null", "block", "module", "dense"]
BlockType = Literal["basic", "bottleneck", "mbconv"]

ALTERNATIVES: dict[str, tuple[str | int, ...]] = {
    "graph": ("spatial", "dis2", "dis4", "dis42"),
    "input_width": (6, 8, 10, 12),
    "num_input_modules": (1, 2, 3),
    "initial_block_type": ("basic", "bottleneck", "mbconv"),
    "initial_residual": ("null", "block", "module", "dense"),
    "input_temporal_scales": (1, 2, 3, "linear"),
    "initial_main_width": (6, 8, 10, 12),
    "num_main_levels": (1, 2),
    "num_main_level_modules": (1, 2, 3),
    "block_type": ("basic", "bottleneck", "mbconv"),
    "bottleneck_factor": (2, 4),
    "residual": ("null", "block", "module", "dense"),
    "main_temporal_scales": (1, 2, 3, "linear"),
    "temporal_kernel_size": (3, 5, 7, 9),
    "se": ("null", "inner", "outer", "both"),
    "se_ratio": (2, 4),
    "se_type": ("relative", "absolute"),
    "nonlinearity": ("relu", "swish"),
    "attention": ("null", "channel", "frame", "joint"),
    "pool": ("global", "spatial"),
}
"""The published search space: 20 choices in the order in which seeded candidates are drawn."""

MATRICES: dict[str, tuple[int, int]] = {"spatial": (3, 3), "dis2": (2, 2), "dis4": (4, 4), "dis42": (4, 2)}
"""Adjacency matrices of each graph, in the input branches and in the main branch."""


@dataclass(frozen=True)
class Architecture:
    """One candidate of the search space: 20 choices, each with the alternatives of `ALTERNATIVES`.

    Attributes:
        graph: adjacency of input and main branch (`dis42`: four matrices in the input branches, two in the main one).
        input_width: width of the input branches before the bottleneck factor.
        num_input_modules: modules of each of the three input branches.
        initial_block_type: block of the first module of each input branch.
        initial_residual: residual of the first module of each input branch.
        input_temporal_scales: parallel dilations in the input branches; `linear` grows per module.
        initial_main_width: width of the first main level before the bottleneck factor.
        num_main_levels: levels of the main branch; each halves time, each after the first doubles the width.
        num_main_level_modules: modules of each main level.
        block_type: block of all other modules.
        bottleneck_factor: ratio of outer to inner width (of inner to outer for mbconv).
        residual: residual of all other modules.
        main_temporal_scales: parallel dilations in the main branch; `linear` grows per level.
        temporal_kernel_size: taps of the temporal convolutions.
        se: where squeeze-and-excitation stands.
        se_ratio: its reduction.
        se_type: `relative` doubles the reduction with each main level.
        nonlinearity: of the whole network.
        attention: at the end of every module.
        pool: before the classifier.

    Raises:
        ValueError: an alternative outside the search space; the message lists the allowed ones.

    Source: Groos et al., Paper III, supplement (search space); thesis Appendix A.
    """

    graph: Literal["spatial", "dis2", "dis4", "dis42"]
    input_width: int
    num_input_modules: int
    initial_block_type: BlockType
    initial_residual: Residual
    input_temporal_scales: int | Literal["linear"]
    initial_main_width: int
    num_main_levels: int
    num_main_level_modules: int
    block_type: BlockType
    bottleneck_factor: int
    residual: Residual
    main_temporal_scales: int | Literal["linear"]
    temporal_kernel_size: int
    se: Literal["null", "inner", "outer", "both"]
    se_ratio: int
    se_type: Literal["relative", "absolute"]
    nonlinearity: Literal["relu", "swish"]
    attention: AttentionKind | Literal["null"]
    pool: Literal["global", "spatial"]

    def __post_init__(self) -> None:
        for choice, allowed in ALTERNATIVES.items():
            value = getattr(self, choice)
            if value not in allowed or isinstance(value, bool):
                listed = ", ".join(str(a) for a in allowed)
                raise ValueError(f"architecture: {choice} is {value!r}; allowed: {listed}")

    @classmethod
    def from_choices(cls, choices: Mapping[str, Any]) -> "Architecture":
        """An architecture from choice names and alternatives, as in search tables and saved weights.

        Numbers may come as text, and None stands for `null`. Without squeeze-and-excitation its ratio and type may be
        missing and then are 4 and `absolute`, the convention of the published table.

        Raises:
            ValueError: a choice is unknown or missing, or an alternative is outside the search space.
        """
        given: dict[str, Any] = {"se_ratio": 4, "se_type": "absolute"} if choices.get("se") in (None, "null") else {}
        given |= {name: _parsed(value) for name, value in choices.items()}
        if unknown := sorted(set(given) - set(ALTERNATIVES)):
            raise ValueError(f"architecture: unknown choices {', '.join(unknown)}; known: {', '.join(ALTERNATIVES)}")
        if missing := [name for name in ALTERNATIVES if name not in given]:
            raise ValueError(f"architecture: missing choices {', '.join(missing)}")
        return cls(**given)

    @classmethod
    def from_label(cls, label: str) -> "Architecture":
        """The inverse of `label`.

        Raises:
            ValueError: the text is not 20 pairs `choice-alternative` joined by `+`.
        """
        pairs = [part.partition("-") for part in label.split("+")]
        return cls.from_choices({name: value for name, _, value in pairs})

    def to_choices(self) -> dict[str, str | int]:
        """The choices as plain data."""
        return asdict(self)

    @property
    def label(self) -> str:
        """The candidate's text form: `choice-alternative` pairs joined by `+`, in the order of the search space."""
        return "+".join(f"{f.name}-{getattr(self, f.name)}" for f in fields(self))


def _parsed(value: Any) -> Any:
    if value is None:
        return "null"
    return int(value) if isinstance(value, str) and value.isdigit() else value


@dataclass(frozen=True)
class ModuleSpec:
    """Sizes of one module; see `plan`. Modules are alike whose sizes are equal, whatever their names."""

    name: str = field(compare=False)
    inputs: int
    features: int
    block_type: BlockType
    residual: Residual
    scales: int
    stride: int
    se_inner: int
    se_outer: int
    matrices: int
    factor: int
    kernel_size: int
    attention: AttentionKind | Literal["null"]

    @property
    def block_residual(self) -> bool:
        """Whether there are residuals within the spatial and within the temporal block."""
        return self.residual in ("block", "dense")

    @property
    def module_residual(self) -> bool:
        """Whether there is a residual around both blocks."""
        return self.residual in ("module", "dense")

    @property
    def inner(self) -> int:
        """Channels within a scale of the temporal block."""
        return self.features // self.factor if self.block_type == "bottleneck" else self.features * self.factor

    @property
    def composable(self) -> bool:
        """Whether the last convolutions of several scales and their fusion are one affine map."""
        return self.scales > 1 and (not self.se_inner or self.block_type == "mbconv")

    @property
    def frames(self) -> list[range]:
        """Frames that the scales of a basic block read together, relative to the output's."""
        reach = self.kernel_size // 2
        read = {(i + 1) * frame for i in range(self.scales) for frame in range(-reach, reach + 1)}
        return equally_spaced(read, self.features)

    @property
    def outer_ratio(self) -> int:
        """Reduction of the squeeze-and-excitation behind the fused scales; 0 is none."""
        return max(1, self.se_outer // self.factor) if self.block_type == "mbconv" else self.se_outer


def plan(architecture: Architecture) -> tuple[tuple[tuple[ModuleSpec, ...], ...], int, tuple[ModuleSpec, ...]]:
    """The modules of an architecture with their sizes.

    Returns:
        Three input branches (position, velocity, bone), the width after their fusion, and the main modules in order.
    """
    a = architecture

    def width(base: int, block_type: BlockType) -> int:
        return base if block_type == "mbconv" else base * a.bottleneck_factor

    def common(ratio: int) -> dict[str, Any]:
        return {
            "se_inner": ratio if a.se in ("inner", "both") else 0,
            "se_outer": ratio if a.se in ("outer", "both") else 0,
            "factor": a.bottleneck_factor,
            "kernel_size": a.temporal_kernel_size,
            "attention": a.attention,
        }

    input_matrices, main_matrices = MATRICES[a.graph]
    branches = []
    for branch in range(3):
        modules, inputs = [], 2
        for i in range(a.num_input_modules):
            block_type, residual = (a.block_type, a.residual) if i else (a.initial_block_type, a.initial_residual)
            features = width(a.input_width, block_type)
            scales = i + 1 if a.input_temporal_scales == "linear" else a.input_temporal_scales
            name = f"branch_{branch}_{i}"
            sizes = ModuleSpec(
                name, inputs, features, block_type, residual, scales, 1, matrices=input_matrices, **common(a.se_ratio)
            )
            modules.append(sizes)
            inputs = features
        branches.append(tuple(modules))
    fused = inputs = width(a.initial_main_width, a.block_type)
    main: list[ModuleSpec] = []
    for level in range(a.num_main_levels):
        features = fused * 2**level
        scales = level + 1 if a.main_temporal_scales == "linear" else a.main_temporal_scales
        ratio = a.se_ratio * (2**level if a.se_type == "relative" else 1)
        for i in range(a.num_main_level_modules):
            name, stride = f"main_{len(main)}", 1 if i else 2
            main.append(
                ModuleSpec(
                    name,
                    inputs,
                    features,
                    a.block_type,
                    a.residual,
                    scales,
                    stride,
                    matrices=main_matrices,
                    **common(ratio),
                )
            )
            inputs = features
    return tuple(branches), fused, tuple(main)


class SpatialBlock(nn.Module):
    """Convolution over the joints: basic, bottleneck or inverted residual."""

    spec: ModuleSpec
    activation: Activation
    lean: bool

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "joint batch time in"],
        adjacency: Float[Array, "matrix joint joint"],
        train: bool,
    ) -> Float[Array, "joint batch time out"]:
        """Convolve, excite, add the block residual, activate."""
        s, act = self.spec, self.activation
        if s.block_type == "basic":
            if self.is_initializing() and not self.lean:
                nothing = jnp.zeros((1, 1, 1, s.inputs))
                nothing = TemporalConv(s.inputs, s.features, gain=_SQRT2, name="down")(nothing, False)
                TemporalConv(s.features, s.features, gain=_SQRT2, name="up")(nothing, False)
            y = GraphConv(s.inputs, s.features, s.matrices, name="graph")(x, adjacency, train)
        elif s.block_type == "bottleneck":
            inner = s.features // s.factor
            y = act(TemporalConv(s.inputs, inner, gain=_SQRT2, name="down")(x, train))
            y = act(GraphConv(inner, inner, s.matrices, name="graph")(y, adjacency, train))
            y = TemporalConv(inner, s.features, gain=_SQRT2, name="up")(y, train)
        else:
            inner = max(12, s.inputs * s.factor)
            y = act(TemporalConv(s.inputs, inner, gain=_SQRT2, use_bias=False, name="up")(x, train))
            y = act(GroupedGraphConv(inner, s.matrices, name="graph")(y, adjacency, train))
            if s.se_inner:
                y = SqueezeExcitation(inner, s.se_inner, act, name="se")(y)
            y = TemporalConv(inner, s.features, gain=_SQRT2, use_bias=False, name="down")(y, train)
        if s.se_inner and s.block_type != "mbconv":
            y = SqueezeExcitation(s.features, s.se_inner, act, name="se")(y)
        if s.block_residual:
            y = y + (x if s.inputs == s.features else TemporalConv(s.inputs, s.features, name="residual")(x, train))
        return act(y)


class TemporalBlock(nn.Module):
    """Convolutions over time at several dilations side by side: basic, bottleneck or inverted residual."""

    spec: ModuleSpec
    activation: Activation
    lean: bool

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "joint batch time channel"],
        residual: Float[Array, "joint batch time_out channel"] | float,
        train: bool,
    ) -> Float[Array, "joint batch time_out channel"]:
        """Convolve, fuse the scales, excite, add the residuals, activate."""
        s, act = self.spec, self.activation
        if s.composable and is_folded(self, "fuse"):
            y = self._composed_scales(x)
        else:
            scales = []
            for i in range(s.scales):
                y = self._last(i)(self._hidden(i, self._opened(i, x, train), train), train)
                if s.se_inner and s.block_type != "mbconv":
                    y = SqueezeExcitation(s.features, s.se_inner, act, name=f"se_{i}")(y)
                scales.append(y)
            y = scales[0]
            if s.scales > 1:
                fuse = TemporalConv(s.scales * s.features, s.features, name="fuse")
                y = fuse(jnp.concatenate(scales, -1), train)
        if s.outer_ratio and s.scales > 1:
            y = SqueezeExcitation(s.features, s.outer_ratio, act, name="outer_se")(y)
        if self.is_initializing() and not self.lean:
            self._own_unused()
        if s.block_residual:
            down = TemporalConv(s.features, s.features, stride=s.stride, name="residual") if s.stride > 1 else None
            y = y + (down(x, train) if down else x)
        return act(y + residual)

    def _opened(self, i: int, x: Array, train: bool) -> Array:
        """The pointwise convolution that scale i begins with; a basic block has none."""
        s = self.spec
        if s.block_type == "basic":
            return x
        if s.block_type == "bottleneck":
            return TemporalConv(s.features, s.inner, gain=_SQRT2, name=f"down_{i}")(x, train)
        return TemporalConv(s.features, s.inner, gain=_SQRT2, use_bias=False, name=f"up_{i}")(x, train)

    def _hidden(self, i: int, x: Array, train: bool) -> Array:
        """Scale i from behind its opening up to its last convolution."""
        s, act = self.spec, self.activation
        if s.block_type == "basic":
            return x
        if s.block_type == "bottleneck":
            conv = TemporalConv(s.inner, s.inner, s.kernel_size, s.stride, i + 1, _SQRT2, name=f"conv_{i}")
            return act(conv(act(x), train))
        y = act(DepthwiseConv(s.inner, s.kernel_size, s.stride, i + 1, _SQRT2, name=f"conv_{i}")(act(x), train))
        return SqueezeExcitation(s.inner, s.se_inner, act, name=f"se_{i}")(y) if s.se_inner else y

    def _last(self, i: int) -> TemporalConv:
        """The last convolution of scale i."""
        s = self.spec
        if s.block_type == "basic":
            return TemporalConv(s.features, s.features, s.kernel_size, s.stride, i + 1, _SQRT2, name=f"conv_{i}")
        if s.block_type == "bottleneck":
            return TemporalConv(s.inner, s.features, gain=_SQRT2, name=f"up_{i}")
        return TemporalConv(s.inner, s.features, gain=_SQRT2, use_bias=False, name=f"down_{i}")

    def _composed_scales(self, x: Array) -> Array:
        """All scales and their fusion, of the variables that `folding.compose_scales` makes."""
        s = self.spec
        bias = parameter(self, "bias", Constant(0), (s.features,))
        if s.block_type == "basic":
            kernels = {
                frames: parameter(self, f"taps_{n}", Constant(0), (len(frames), s.features, s.features))
                for n, frames in enumerate(s.frames)
            }
            return sparse_temporal_convolution(x, kernels, s.stride) + bias
        openings = parameter(self, "openings", Constant(0), (s.features, s.scales * s.inner))
        y = bias
        for i, opened in enumerate(jnp.split(pointwise(x, openings), s.scales, axis=-1)):
            opened = opened + parameter(self, f"opening_bias_{i}", Constant(0), (s.inner,))
            last = parameter(self, f"last_{i}", Constant(0), (s.inner, s.features))
            y = y + pointwise(self._hidden(i, opened, False), last)
        return y

    def _own_unused(self) -> None:
        s, act = self.spec, self.activation
        nothing = jnp.zeros((1, 1, 1, s.features))
        if s.block_type == "basic":
            for i in range(s.scales):
                TemporalConv(s.features, s.features, gain=_SQRT2, name=f"down_{i}")(nothing, False)
                TemporalConv(s.features, s.features, gain=_SQRT2, name=f"up_{i}")(nothing, False)
        if s.scales == 1:
            TemporalConv(s.features, s.features, name="fuse")(nothing, False)
            if s.outer_ratio:
                SqueezeExcitation(s.features, s.outer_ratio, act, name="outer_se")(nothing)


class GraphModule(nn.Module):
    """Spatial block, temporal block, attention, with the module's edge importance and residual."""

    spec: ModuleSpec
    activation: Activation
    lean: bool

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "joint batch time in"],
        adjacency: Float[Array, "matrix joint joint"],
        train: bool,
    ) -> Float[Array, "joint batch time_out out"]:
        """Apply the module."""
        s, act = self.spec, self.activation
        importance = parameter(self, "edge_importance", Constant(1), adjacency.shape)
        flops.record("multiplication", adjacency.size)
        residual: Array | float = 0.0
        if s.module_residual:
            same = s.stride == 1 and s.inputs == s.features
            residual = x if same else TemporalConv(s.inputs, s.features, stride=s.stride, name="residual")(x, train)
        y = SpatialBlock(s, act, self.lean, name="spatial")(x, adjacency * importance, train)
        y = TemporalBlock(s, act, self.lean, name="temporal")(y, residual, train)
        if s.attention != "null":
            y = Attention(s.attention, s.features, x.shape[0], s.kernel_size, act, name="attention")(y, train)
        return y


Applied = Callable[
    [Mapping[str, Any], Float[Array, "joint batch time in"], Float[Array, "matrix joint joint"]],
    tuple[Float[Array, "joint batch time_out out"], Mapping[str, Any]],
]
"""A module as a function of its variables, input and adjacency: its output, and the collections that it changes."""


def applied(module: GraphModule, train: bool) -> Applied:
    """A module that is traced once, however often it is called."""

    def apply(variables: Mapping[str, Any], x: Array, adjacency: Array) -> tuple[Array, Mapping[str, Any]]:
        return module.apply(variables, x, adjacency, train, mutable=["batch_stats"] if train else [])

    return jax.jit(apply)


class SpatialPool(nn.Module):
    """Mean over time, then one linear layer over joints and channels; no norm, no activation."""

    @nn.compact
    def __call__(self, x: Float[Array, "joint batch time channel"]) -> Float[Array, "batch channel"]:
        """Pool."""
        joints, batch, _, channels = x.shape
        shape = (joints, channels, channels)
        kernel = parameter(self, "kernel", HeNormalFanOut(1.0, (2,)), shape)
        bias = parameter(self, "bias", UniformFanIn(joints * channels), (channels,))
        pooled = x.mean(2)
        _count_final_pooling(pooled)
        flops.record("convolution", batch * joints * channels * channels)
        return jnp.einsum("vbc,vco->bo", pooled, kernel) + bias


def classify(
    x: Float[Array, "joint batch time channel"], pooled: Float[Array, "batch channel"], classes: int
) -> tuple[Float[Array, "batch classes"], dict[str, Array]]:
    """Scores, and what they come from; called within a module, which owns the layer `classifier`."""
    bias = UniformFanIn(pooled.shape[-1])
    logits = Dense(pooled.shape[-1], classes, HeNormalFanOut(1.0), bias, name="classifier")(pooled)
    return logits, {"features": jnp.transpose(x, (1, 2, 0, 3)), "pooled": pooled}


def _global_mean(x: Float[Array, "joint batch time channel"]) -> Float[Array, "batch channel"]:
    pooled = x.mean((0, 2))
    _count_final_pooling(pooled)
    return pooled


def _count_final_pooling(pooled: Array) -> None:
    # The published program averages over the persons of a video as well, of whom there is one: counted twice.
    flops.record("pooling", 2 * pooled.size)


class GraphNetwork(nn.Module):
    """The 20-choice graph network: three input branches, fusion, main branch, pooling, two scores.

    Attributes:
        architecture: the 20 choices.
        skeleton: joints, tree and center.
        lean: leave out parameters that never influence the output (not the published counts).
        classes: number of scores.

    Source: Groos et al., Paper III with supplement.
    """

    architecture: Architecture
    skeleton: Skeleton = IN_MOTION_19
    lean: bool = False
    classes: int = 2

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
        check_input(x, self.skeleton, 6)
        a = self.architecture
        branches, fused, main = plan(a)
        input_graph, main_graph = self._graphs()
        x = jnp.transpose(x, (2, 0, 1, 3))
        x = BatchNorm((x.shape[0], 1, 1, 6), (1, 2), name="data_norm")(x, train)
        # Of this pass alone: JAX keeps what it knows of a function as long as that lives, and a search has no end.
        traced: dict[ModuleSpec, Applied] = {}
        outputs = []
        for branch, modules in enumerate(branches):
            y = x[..., 2 * branch : 2 * branch + 2]
            for spec in modules:
                y = self._module(spec, y, input_graph, train, traced)
            outputs.append(y)
        y = TemporalConv(sum(o.shape[-1] for o in outputs), fused, name="fuse")(jnp.concatenate(outputs, -1), train)
        for spec in main:
            y = self._module(spec, y, main_graph, train, traced)
        pooled = SpatialPool(name="pool")(y) if a.pool == "spatial" else _global_mean(y)
        return classify(y, pooled, self.classes)

    def _module(
        self, spec: ModuleSpec, x: Array, adjacency: Array, train: bool, traced: dict[ModuleSpec, Applied]
    ) -> Array:
        """Apply a module; those that are alike are traced once, since tracing takes longer than computing."""
        make = partial(GraphModule, spec, ACTIVATIONS[self.architecture.nonlinearity], self.lean)
        # Who draws the variables, counts operations or asks for what lies between the layers wants every module itself.
        if flops.is_open() or any(map(self.is_mutable_collection, ("params", "intermediates"))):
            return make(name=spec.name)(x, adjacency, train)
        variables = {name: of[spec.name] for name, of in self.variables.items() if spec.name in of}
        if spec not in traced:
            traced[spec] = applied(make(parent=None), train)
        y, changed = traced[spec](variables, x, adjacency)
        for name, of in changed.items():
            self.put_variable(name, spec.name, of)
        return y

    def _graphs(self) -> tuple[Array, Array]:
        kind = self.architecture.graph

        def graph(name: str, kind: str) -> Array:
            make = partial(skeletons.adjacency, self.skeleton, kind)
            return variable(self, "constants", name, make).value

        first = graph("adjacency_input", "dis4" if kind == "dis42" else kind)
        return (first, graph("adjacency_main", "dis2")) if kind == "dis42" else (first, first)


class StGcnLayer(nn.Module):
    """One layer of ST-GCN: graph convolution, norm, ReLU, temporal convolution, norm, dropout, residual, ReLU.

    Attributes:
        inputs: input channels.
        features: output channels.
        stride: of the temporal convolution.
        residual: whether there is one.
        dropout: rate.
        kernel_size: of the temporal convolution.
        importance: whether every edge of the graph has a trained weight.
    """

    inputs: int
    features: int
    stride: int
    residual: bool
    dropout: float
    kernel_size: int = 9
    importance: bool = True

    @nn.compact
    def __call__(
        self, x: Float[Array, "joint batch time in"], adjacency: Float[Array, "matrix joint joint"], train: bool
    ) -> Float[Array, "joint batch time_out out"]:
        """Apply the layer."""
        if self.importance:
            adjacency = adjacency * parameter(self, "edge_importance", Constant(1), adjacency.shape)
            flops.record("multiplication", adjacency.size)
        y = GraphConv(self.inputs, self.features, adjacency.shape[0], name="graph")(x, adjacency, train)
        temporal = TemporalConv(self.features, self.features, self.kernel_size, self.stride, gain=_SQRT2, name="conv")
        y = temporal(jax.nn.relu(y), train)
        if self.dropout:
            y = nn.Dropout(self.dropout, deterministic=not train)(y)
        if self.residual:
            same = self.stride == 1 and self.inputs == self.features
            y = y + (
                x if same else TemporalConv(self.inputs, self.features, stride=self.stride, name="residual")(x, train)
            )
        return jax.nn.relu(y)


class StGcn(nn.Module):
    """ST-GCN as used for comparison: ten layers on positions alone.

    Attributes:
        skeleton: joints, tree and center.
        dropout: rate behind every temporal convolution but the first (the original leaves layer 1 out). The paper does
            not state the rate; 0 is the choice here.
        widths: channels of the layers; time halves where the width doubles.
        classes: number of scores.

    Source: Yan et al. 2018; Groos et al., Paper III (3 075 740 parameters, which only two input channels give).
    """

    skeleton: Skeleton = IN_MOTION_19
    dropout: float = 0.0
    widths: tuple[int, ...] = (64, 64, 64, 64, 128, 128, 128, 256, 256, 256)
    classes: int = 2

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch time joint 2"], train: bool = False
    ) -> tuple[Float[Array, "batch classes"], dict[str, Array]]:
        """Scores of windows; see `GraphNetwork`, with positions as the only input."""
        check_input(x, self.skeleton, 2)
        make = partial(skeletons.adjacency, self.skeleton, "spatial")
        adjacency = variable(self, "constants", "adjacency", make).value
        x = jnp.transpose(x, (2, 0, 1, 3))
        y = BatchNorm((x.shape[0], 1, 1, 2), (1, 2), name="data_norm")(x, train)
        inputs = 2
        for i, features in enumerate(self.widths):
            stride = 2 if i and features > inputs else 1
            dropout = self.dropout if i else 0.0
            y = StGcnLayer(inputs, features, stride, i > 0, dropout, name=f"layer_{i}")(y, adjacency, train)
            inputs = features
        return classify(y, _global_mean(y), self.classes)


def check_input(x: Array, skeleton: Skeleton, channels: int) -> None:
    """Refuse an input of another shape.

    Raises:
        ValueError: with both shapes.
    """
    joints = len(skeleton.joints)
    if x.ndim != 4 or x.shape[2:] != (joints, channels):
        raise ValueError(f"input must be [batch, time, {joints} joints, {channels} channels], got {x.shape}")


_PUBLISHED_CHOICES: dict[str, tuple[str | int, ...]] = {
    "graph": ("dis2", "dis42", "spatial", "dis4", "dis4", "dis2", "dis2", "dis4", "dis2", "spatial"),
    "input_width": (10, 10, 12, 10, 10, 12, 8, 6, 6, 12),
    "num_input_modules": (3, 2, 3, 3, 2, 3, 1, 2, 3, 2),
    "initial_block_type": (
        *("bottleneck", "basic", "basic", "basic", "bottleneck"),
        *("basic", "basic", "mbconv", "bottleneck", "basic"),
    ),
    "initial_residual": ("null", "dense", "null", "block", "dense", "dense", "module", "block", "dense", "dense"),
    "input_temporal_scales": (1, 3, 2, 2, 3, 1, 3, 2, 1, 2),
    "initial_main_width": (12, 12, 8, 8, 6, 10, 12, 12, 12, 10),
    "num_main_levels": (1, 1, 1, 1, 2, 2, 2, 2, 2, 1),
    "num_main_level_modules": (1, 3, 2, 1, 1, 3, 3, 2, 1, 3),
    "block_type": ("basic", "mbconv", "basic", "basic", "basic", "bottleneck", "basic", "basic", "basic", "basic"),
    "bottleneck_factor": (4, 2, 2, 4, 2, 4, 4, 4, 4, 4),
    "residual": ("null", "block", "module", "dense", "null", "block", "null", "dense", "null", "null"),
    "main_temporal_scales": (1, 2, 2, "linear", 3, "linear", 3, 1, "linear", 3),
    "temporal_kernel_size": (9, 7, 7, 7, 7, 3, 9, 5, 9, 7),
    "se": ("null", "outer", "inner", "null", "outer", "null", "null", "outer", "outer", "null"),
    "se_ratio": (4, 4, 2, 4, 2, 4, 4, 4, 4, 4),
    "se_type": ("absolute",) * 10,
    "nonlinearity": ("relu", "swish", "relu", "swish", "relu", "swish", "swish", "relu", "relu", "swish"),
    "attention": (
        *("channel", "channel", "null", "channel", "channel"),
        *("channel", "null", "null", "channel", "channel"),
    ),
    "pool": ("global", "global", "global", "spatial", "global", "global", "spatial", "global", "spatial", "spatial"),
}

_PARAMETERS = (233_362, 75_764, 174_767, 430_812, 107_233, 236_180, 1_691_288, 400_962, 554_652, 559_899)
_GFLOPS = ("0.76", "0.26", "0.58", "1.62", "0.32", "0.44", "2.48", "0.60", "0.63", "1.81")
_AUC = (0.921, 0.917, 0.903, 0.906, 0.921, 0.931, 0.918, 0.904, 0.929, 0.916)
_SOURCE = "Groos et al., Paper III with supplement; thesis Appendix A, Tables A.2 to A.5"

KBEST: tuple[Architecture, ...] = tuple(
    Architecture.from_choices({name: values[i] for name, values in _PUBLISHED_CHOICES.items()}) for i in range(10)
)
"""The ten published architectures, in the paper's order (`kbest-gcn-1` is `KBEST[0]`)."""


def build_kbest(index: int, skeleton: Skeleton | str = IN_MOTION_19, **overrides: Any) -> GraphNetwork:
    """Published architecture `index` (1..10) as a module; choices of `Architecture` may be overridden by name."""
    settings = {name: overrides.pop(name) for name in ("lean", "classes") if name in overrides}
    architecture = Architecture.from_choices(KBEST[index - 1].to_choices() | overrides)
    return GraphNetwork(architecture, skeletons.get(skeleton), **settings)


def build_st_gcn(skeleton: Skeleton | str = IN_MOTION_19, **overrides: Any) -> StGcn:
    """ST-GCN as a module; its fields may be overridden by name (`widths` also as a list, which is what JSON holds)."""
    settings = overrides | ({"widths": tuple(overrides["widths"])} if "widths" in overrides else {})
    return StGcn(skeletons.get(skeleton), **settings)


ENTRIES = (
    ModelEntry(
        name="st-gcn",
        method="ensemble-gcn",
        task="risk",
        input_shape=(150, 19, 2),
        skeleton="in-motion-19",
        features=("position",),
        published=Published(3_075_740, "6.21", 1e9, "Groos et al., Paper III (comparison method)", {"test AUC": 0.851}),
        build=build_st_gcn,
    ),
    *(
        ModelEntry(
            name=f"kbest-gcn-{i}",
            method="ensemble-gcn",
            task="risk",
            input_shape=(150, 19, 6),
            skeleton="in-motion-19",
            features=("position", "velocity", "bone"),
            published=Published(_PARAMETERS[i - 1], _GFLOPS[i - 1], 1e9, _SOURCE, {"test AUC": _AUC[i - 1]}),
            build=partial(build_kbest, i),
        )
        for i in range(1, 11)
    ),
)
