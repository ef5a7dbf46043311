"""One program for many architectures: the graph networks of a whole space, by masks and selects.

`SuperNetwork(space)` has the sizes of the largest candidate. Which candidate it is comes with the variables, so that
candidates are runs of a stack like folds and seeds, and one compiled program serves them one after the other or side by
side. `Embedding` carries the variables of a candidate's own network over and back:

- `params` and `batch_stats` lie in larger arrays, with zeros around them;
- `masks` is 1 where a parameter is the candidate's own: all others are zero for the network and get no gradient;
- `constants` holds the adjacency matrices, with zero matrices behind them, and `choices`, the number of each choice's
  alternative.

Scores, gradients and statistics are those of the candidate's own network, up to the order of additions. Of a choice for
which the space has one alternative nothing remains in the program. The others become:

| choice | as data |
| --- | --- |
| widths, bottleneck factor, reductions | masks: without kernel, scale and offset a channel is zero behind every norm |
| temporal kernel | a short kernel lies in the middle of the longest one |
| temporal scales | masks; and whether scales are fused, or the first one is taken alone, is selected |
| numbers of modules and levels | all are computed, and the output of the candidate's last one is selected |
| graph | the matrices |
| residuals, squeeze-and-excitation, attention, nonlinearity, pooling | computed and selected; means, maxima and the |
| | softmax over channels leave masked ones out |

The block types decide which operations follow each other, and what of one could be masked in another is next to
nothing: a space has one alternative of each (`group_of`). Nothing has dropout.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from operator import eq, le
from typing import Any, TypeVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from jaxtyping import Array, Float

from infantjax.methods.ensemble_gcn import model as gcn
from infantjax.methods.ensemble_gcn.model import Architecture, GraphModule, GraphNetwork, ModuleSpec, Parts
from infantjax.nn import initializers as initializers
from infantjax.nn.attention import relu, swish
from infantjax.nn.conv import Conv, Norm
from infantjax.nn.flags import Flag, select
from infantjax.search.space import Choices, SearchSpace
from infantjax.skeletons import IN_MOTION_19, Skeleton

GROUPING = ("initial_block_type", "block_type")
"""Choices that candidates of one program have in common."""

Path = tuple[str, ...]
T = TypeVar("T")


def group_of(space: SearchSpace, choices: Choices, shared: Collection[str]) -> SearchSpace:
    """The part of a space whose candidates share a program with this one.

    Args:
        space: of the names and alternatives of `models.gcn.ALTERNATIVES`.
        choices: of a candidate.
        shared: choices in which candidates of one program may differ.

    Raises:
        ValueError: block types cannot differ, or the space has no such choice.
    """
    if wrong := sorted(set(shared) - set(space.names) | set(shared) & set(GROUPING)):
        raise ValueError(f"one program cannot serve several alternatives of {', '.join(wrong)}")
    return space.restricted({name: choices[name] for name in space.names if name not in shared})


class SuperNetwork(nn.Module):
    """The graph network of any candidate of a space; see the module's docstring.

    Variables: `params`, `masks`, `batch_stats` and `constants`, as `Embedding.pack` makes them.

    Attributes:
        space: of the names and alternatives of `models.gcn.ALTERNATIVES`, with one alternative of each block type.
        skeleton: joints, tree and center.
        classes: number of scores.
    """

    space: SearchSpace
    skeleton: Skeleton = IN_MOTION_19
    classes: int = 2

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch time joint 6"], train: bool = False
    ) -> tuple[Float[Array, "batch classes"], dict[str, Array]]:
        """Scores of windows, as those of `GraphNetwork`.

        Args:
            x: position, velocity and bone, two channels each, of standardized windows.
            train: normalize by the batch and update `batch_stats`.

        Returns:
            Scores (index 1: CP), and a dict with `pooled [batch, channel]`, whose masked channels are zero.
        """
        gcn.check_input(x, self.skeleton, 6)
        branches, fused, main = largest(self.space)
        joints, alternatives = x.shape[2], _alternatives(self.space)

        def constant(name: str, *shape: int) -> Array:
            return self.variable("constants", name, jnp.zeros, shape).value

        graphs = [
            constant(f"adjacency_{place}", spec.matrices, joints, joints)
            for place, spec in (("input", branches[0][0]), ("main", main[0]))
        ]
        candidate = _Candidate(self.space, constant("choices", len(alternatives)))
        act = partial(_activation, candidate.of("nonlinearity", lambda value: value == "swish"))

        x = jnp.transpose(x, (2, 0, 1, 3))
        x = Norm((joints, 1, 1, 6), (1, 2), name="data_norm")(x, train)
        ends = []
        for branch, modules in enumerate(branches):
            y, outputs = x[..., 2 * branch : 2 * branch + 2], []
            for i, spec in enumerate(modules):
                y = GraphModule(spec, act, True, name=spec.name)(y, graphs[0], candidate.input_parts(spec, i), train)
                outputs.append(y)
            ends.append(candidate.last("num_input_modules", outputs))
        y = Conv(sum(end.shape[-1] for end in ends), fused, name="fuse")(jnp.concatenate(ends, -1), train)
        means = []
        for level, modules_of_level in enumerate(_levels(main, max(alternatives["num_main_level_modules"]))):
            outputs = []
            for i, spec in enumerate(modules_of_level):
                parts = candidate.main_parts(spec, level, i)
                y = GraphModule(spec, act, True, name=spec.name)(y, graphs[1], parts, train)
                outputs.append(y)
            y = candidate.last("num_main_level_modules", outputs)
            means.append(y.mean(2, keepdims=True))
        mean = candidate.last("num_main_levels", means)
        pooled = mean.mean((0, 2))
        spatial = candidate.of("pool", lambda value: value == "spatial")
        if spatial is not False:
            pooled = select(spatial, gcn.SpatialPool(name="pool")(mean), pooled)
        logits, aux = gcn.classify(mean, pooled, self.classes)
        return logits, {"pooled": aux["pooled"]}


def _activation(is_swish: Flag, x: Array) -> Array:
    if isinstance(is_swish, bool):
        return swish(x) if is_swish else relu(x)
    return select(is_swish, swish(x), relu(x))


def _alternatives(space: SearchSpace) -> dict[str, tuple[Any, ...]]:
    return dict(space.alternatives)


def _levels(main: Sequence[ModuleSpec], modules: int) -> list[Sequence[ModuleSpec]]:
    """The modules of the main branch by level."""
    return [main[i : i + modules] for i in range(0, len(main), modules)]


@lru_cache
def largest(space: SearchSpace) -> tuple[tuple[tuple[ModuleSpec, ...], ...], int, tuple[ModuleSpec, ...]]:
    """The modules of a super-network: as `models.gcn.plan`, with sizes that hold every candidate.

    Raises:
        ValueError: the space has several alternatives of a block type, or choices of other networks.
    """
    alternatives = _alternatives(space)
    if several := [name for name in GROUPING if len(alternatives.get(name, ())) > 1]:
        raise ValueError(f"one program cannot serve several alternatives of {', '.join(several)}")

    def most(name: str, values: tuple[Any, ...]) -> Any:
        if name == "se_ratio":
            return min(values)
        if all(isinstance(value, int) for value in values):
            return max(values)
        return next((value for value in ("both", "absolute") if value in values), values[0])

    base = {name: most(name, values) for name, values in alternatives.items()}
    varied = ("graph", "input_temporal_scales", "main_temporal_scales", "se")
    plans = [
        gcn.plan(Architecture.from_choices(base | {name: value})) for name in varied for value in alternatives[name]
    ]

    def merged(specs: Sequence[ModuleSpec]) -> ModuleSpec:
        inner, outer = [s.se_inner for s in specs if s.se_inner], [s.se_outer for s in specs]
        if specs[0].block_type != "mbconv":
            outer = [ratio for ratio in outer if ratio]
        return replace(
            specs[0],
            scales=max(s.scales for s in specs),
            matrices=max(s.matrices for s in specs),
            se_inner=min(inner, default=0),
            se_outer=min(outer, default=0),
        )

    branches = tuple(
        tuple(merged(specs) for specs in zip(*modules, strict=True))
        for modules in zip(*(plan[0] for plan in plans), strict=True)
    )
    return branches, plans[0][1], tuple(merged(specs) for specs in zip(*(plan[2] for plan in plans), strict=True))


@dataclass(frozen=True)
class _Candidate:
    """The choices of a candidate: what all candidates of the space agree in is known, the rest is data.

    Attributes:
        space: of the candidates.
        numbers: `[choice]` of the alternatives, as floating point like all constants.
    """

    space: SearchSpace
    numbers: Array

    def of(self, choice: str, meaning: Callable[[Any], T]) -> Any:
        """What the candidate's alternative of a choice means."""
        values = [meaning(value) for value in _alternatives(self.space)[choice]]
        if len(set(values)) == 1:
            return values[0]
        return jnp.asarray(values)[self.numbers[self.space.names.index(choice)].astype(int)]

    def last(self, choice: str, outputs: Sequence[Array]) -> Array:
        """The output of the last of so many modules; channels that it does not have are zero."""
        depths = sorted(_alternatives(self.space)[choice])
        channels = max(outputs[depth - 1].shape[-1] for depth in depths)
        y = _widened(outputs[depths[0] - 1], channels)
        for depth in depths[1:]:
            y = select(self.of(choice, partial(le, depth)), _widened(outputs[depth - 1], channels), y)
        return y

    def input_parts(self, spec: ModuleSpec, i: int) -> Parts:
        """Of module i of the input branches."""
        inputs = self._width("input_width", "block_type" if i > 1 else "initial_block_type") if i else 2
        features = self._width("input_width", "block_type" if i else "initial_block_type")
        several = self.of("input_temporal_scales", lambda value: (i + 1 if value == "linear" else value) > 1)
        matrices = self.of("graph", lambda graph: gcn.MATRICES[graph][0])
        return self._parts(spec, "residual" if i else "initial_residual", inputs, features, several, matrices)

    def main_parts(self, spec: ModuleSpec, level: int, i: int) -> Parts:
        """Of module i of a level of the main branch."""
        width = self._width("initial_main_width", "block_type")
        features = width * 2**level
        inputs = features if i or not level else width * 2 ** (level - 1)
        several = self.of("main_temporal_scales", lambda value: (level + 1 if value == "linear" else value) > 1)
        matrices = self.of("graph", lambda graph: gcn.MATRICES[graph][1])
        return self._parts(spec, "residual", inputs, features, several, matrices)

    def _width(self, base: str, block_type: str) -> Any:
        factor = 1 if self.of(block_type, str) == "mbconv" else self.of("bottleneck_factor", int)
        return self.of(base, int) * factor

    def _parts(
        self, spec: ModuleSpec, residual: str, inputs: Any, features: Any, several: Flag, matrices: Any
    ) -> Parts:
        attention = {kind: self.of("attention", partial(eq, kind)) for kind in ("channel", "frame", "joint")}
        mbconv = spec.block_type == "mbconv"
        return Parts(
            block=self.of(residual, lambda value: value in ("block", "dense")),
            module=self.of(residual, lambda value: value in ("module", "dense")),
            fused=several,
            se_inner=self.of("se", lambda value: value in ("inner", "both")),
            se_outer=mbconv or self.of("se", lambda value: value in ("outer", "both")),
            attention={kind: flag for kind, flag in attention.items() if flag is not False},
            channels=None if isinstance(features, int) else jnp.arange(spec.features) < features,
            sources=self._sources(spec, inputs, matrices) if mbconv else None,
        )

    def _sources(self, spec: ModuleSpec, inputs: Any, matrices: Any) -> Array | None:
        inner = inputs * self.of("bottleneck_factor", int)
        if isinstance(inner, int) and isinstance(matrices, int):
            return None
        places = jnp.arange(spec.matrices)[:, None] * jnp.maximum(12, inner)
        return (places + jnp.arange(max(12, spec.inputs * spec.factor))) // matrices


def _widened(x: Array, channels: int) -> Array:
    return jnp.pad(x, [(0, 0)] * (x.ndim - 1) + [(0, channels - x.shape[-1])])


@dataclass(frozen=True, eq=False)
class Embedding:
    """Where the variables of one candidate's own network lie in those of a super-network.

    Attributes:
        network: the super-network.
        choices: of the candidate.
        module: the candidate's own network, without parameters that never influence its output.
        shapes: of the super-network's parameters and statistics, by path.
        places: for each of the candidate's, the path and the indices there.
    """

    network: SuperNetwork
    choices: Choices
    module: GraphNetwork
    shapes: Mapping[Path, jax.ShapeDtypeStruct]
    places: Mapping[Path, tuple[Path, tuple[np.ndarray, ...]]]

    @classmethod
    def of(cls, network: SuperNetwork, choices: Choices) -> "Embedding":
        """Of a candidate of the network's space.

        Raises:
            ValueError: it is none.
        """
        network.space.candidate(choices)
        architecture = Architecture.from_choices(choices)
        module = GraphNetwork(architecture, network.skeleton, lean=True, classes=network.classes)
        modules = max(_alternatives(network.space)["num_main_level_modules"])
        shapes, places = _shapes(network), {}
        for path, own in _shapes(module).items():
            there = _renamed(path, architecture.num_main_level_modules, modules)
            places[path] = there, _indices(path, own.shape, shapes[there].shape)
        return cls(network, choices, module, shapes, places)

    def pack(self, variables: Mapping[str, Any]) -> dict[str, Any]:
        """The super-network's variables on the host, from those of the candidate's own network."""
        flat = flatten_dict(dict(variables))
        packed = {path: np.zeros(shape.shape, shape.dtype) for path, shape in self.shapes.items()}
        packed |= {("masks", *path[1:]): np.zeros_like(zeros) for path, zeros in packed.items() if path[0] == "params"}
        for path, (there, indices) in self.places.items():
            packed[there] = packed[there].astype(flat[path].dtype)
            packed[there][indices] = flat[path]
            if path[0] == "params":
                packed["masks", *there[1:]][indices] = 1
        return unflatten_dict(packed) | {"constants": self._constants(variables["constants"])}

    def unpack(self, variables: Mapping[str, Any]) -> dict[str, Any]:
        """The inverse of `pack` for parameters, statistics and gradients, with any leading axes, as far as given."""
        flat = flatten_dict(dict(variables))
        return unflatten_dict(
            {path: flat[there][..., *indices] for path, (there, indices) in self.places.items() if there in flat}
        )

    def _constants(self, constants: Mapping[str, Any]) -> dict[str, np.ndarray]:
        space = self.network.space
        branches, _, main = largest(space)
        graphs = {}
        for name, spec in (("adjacency_input", branches[0][0]), ("adjacency_main", main[0])):
            matrices = np.asarray(constants.get(name, constants["adjacency_input"]))
            graphs[name] = np.pad(matrices, ((0, spec.matrices - len(matrices)), (0, 0), (0, 0)))
        numbers = [values.index(self.choices[name]) for name, values in space.alternatives]
        return {**graphs, "choices": np.asarray(numbers, np.float32)}


@lru_cache
def _shapes(module: SuperNetwork | GraphNetwork) -> dict[Path, jax.ShapeDtypeStruct]:
    """Of parameters and statistics, by path."""
    variables = initializers.shapes(module, jnp.zeros((1, 8, len(module.skeleton.joints), 6), jnp.float32))
    return {path: leaf for path, leaf in flatten_dict(variables).items() if path[0] in ("params", "batch_stats")}


def _renamed(path: Path, modules: int, largest_modules: int) -> Path:
    """The path in the super-network: modules of the main branch are counted over all levels."""
    name, _, number = path[1].partition("_")
    if name != "main":
        return path
    level, i = divmod(int(number), modules)
    return path[0], f"main_{level * largest_modules + i}", *path[2:]


def _indices(path: Path, shape: tuple[int, ...], large: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """Where an array lies in a larger one: at the beginning, but for taps and for channels that were concatenated."""
    axes = [np.arange(length) for length in shape]
    if path[-1] == "kernel" and path[-2].startswith("conv"):
        axes[0] += (large[0] - shape[0]) // 2
    if path[-2:] == ("fuse", "kernel"):
        # Three branches, or the scales of a block, each as wide as the output.
        parts, largest_parts = (3, 3) if len(path) == 3 else (shape[1] // shape[2], large[1] // large[2])
        starts = np.arange(parts) * (large[1] // largest_parts)
        axes[1] = (starts[:, None] + np.arange(shape[1] // parts)).ravel()
    return np.ix_(*axes)
