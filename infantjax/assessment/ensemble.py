"""The instances of an ensemble on the windows of a recording.

One program is compiled for each architecture and serves recordings of any length: windows go through it in chunks of a
fixed number, so memory is bounded and nothing is compiled twice. On a CPU the instances follow one another inside the
program (`lax.map`), on accelerators they run side by side (`vmap`).
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, NamedTuple

import flax.linen as nn
import jax
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from infantjax import models, skeletons
from infantjax.errors import InputError
from infantjax.explanation.class_activation import class_weights, contributions
from infantjax.motion import features, windows
from infantjax.motion.windows import WINDOW, Rotation
from infantjax.nn.conv import COMPILER_OPTIONS
from infantjax.weights.store import Member

Mapping = Literal["map", "vmap"]
Variables = dict[str, Any]

CHUNKS = {"cpu": 8, "gpu": 64, "tpu": 64}
"""Windows that go through a program at a time: on a CPU few, so that activations stay in the cache."""


class Scores(NamedTuple):
    """What the instances say of each window."""

    risk: Float[Array | np.ndarray, "instance window"]
    contributions: Float[Array | np.ndarray, "instance window joint"]


@dataclass(frozen=True)
class WindowProgram:
    """The program of one architecture: stacked variables and a chunk of standardised windows to their scores.

    Attributes:
        module: a graph network.
        features: names of its input channels.
        rotation: which rotation each window gets (`motion.windows.finish`).
        exact: contributions go through the spatial pooling layer; see `explanation.class_activation`.
        mapping: `map` runs the instances one after the other, `vmap` side by side; None chooses by backend.
    """

    module: nn.Module
    features: tuple[str, ...]
    rotation: Rotation = "frame"
    exact: bool = False
    mapping: Mapping | None = None

    def __call__(self, stack: Variables, positions: Float[Array, "window time joint 2"]) -> Scores:
        """Scores of the windows; pure, to be compiled by `jax.jit`."""
        skeleton = self.module.skeleton
        turned = windows.finish(positions, skeleton, self.rotation)
        inputs = features.stack(turned, skeleton, self.features)
        one = partial(self._instance, inputs=inputs)
        mapping = self.mapping or ("map" if jax.default_backend() == "cpu" else "vmap")
        # Published weights are exact only in full float32; accelerators round products of it by default.
        with jax.default_matmul_precision("highest"):
            return lax.map(one, stack) if mapping == "map" else jax.vmap(one)(stack)

    def _instance(self, variables: Variables, inputs: Array) -> Scores:
        logits, aux = self.module.apply(variables, inputs)
        weights = class_weights(variables["params"], exact=self.exact)
        return Scores(jax.nn.softmax(logits, -1)[:, 1], contributions(aux["features"], weights))


@dataclass
class EnsembleProgram:
    """The compiled programs of all members of an ensemble.

    Attributes:
        members: architectures with stacked weights.
        skeleton: the joints that the networks read.
        rotation: which rotation each window gets.
        exact: contributions go through the spatial pooling layer.
        chunk: windows that go through a program at a time; None chooses by backend.
    """

    members: Sequence[Member]
    skeleton: skeletons.Skeleton
    rotation: Rotation = "frame"
    exact: bool = False
    chunk: int | None = None
    _programs: list[Future] = field(default_factory=list, repr=False)

    def start(self) -> None:
        """Begin to trace and compile the programs in the background; done once, on the first use if not before.

        Raises:
            InputError: the weights of a member do not fit its architecture.
        """
        if self._programs:
            return
        self.chunk = self.chunk or CHUNKS.get(jax.default_backend(), 64)
        modules = [_module_of(member, models.get(member.model), self.skeleton) for member in self.members]
        # Tracing needs the interpreter, compiling and computing do not: the first member is compiled, and its windows
        # computed, while the next is traced.
        tracing = ThreadPoolExecutor(1, thread_name_prefix="tracing")
        compiling = ThreadPoolExecutor(thread_name_prefix="compiling")
        lowered = [tracing.submit(self._lower, m, module) for m, module in zip(self.members, modules)]
        self._programs = [compiling.submit(_compile, program) for program in lowered]
        tracing.shutdown(wait=False)
        compiling.shutdown(wait=False)

    def _lower(self, member: Member, module: nn.Module) -> tuple[Any, Variables]:
        assert self.chunk is not None
        shape = jax.ShapeDtypeStruct((self.chunk, WINDOW, len(self.skeleton.joints), 2), np.float32)
        stack = jax.device_put(member.variables)
        program = WindowProgram(module, models.get(member.model).features, self.rotation, self.exact)
        return jax.jit(program).lower(stack, shape), stack

    def compile(self) -> None:
        """Compile every member's program and wait for it.

        Raises:
            InputError: the weights of a member do not fit its architecture.
        """
        self.start()
        for program in self._programs:
            program.result()

    def scores(self, positions: Float[np.ndarray, "time joint 2"]) -> tuple[list[Scores], np.ndarray]:
        """Scores of every member on the evaluation windows of a standardised recording.

        Args:
            positions: float32, at least one window long.

        Returns:
            Scores by member, and the first frame of each window.

        Raises:
            ValueError: shorter than a window.
            InputError: the weights of a member do not fit its architecture.
        """
        starts = windows.window_starts(len(positions))
        self.start()
        pending = []
        for future in self._programs:
            program, stack = future.result()
            pending.append([program(stack, piece) for piece in self._pieces(positions, starts)])
        joined = [
            Scores(*(np.concatenate([np.asarray(p[i]) for p in parts], 1)[:, : len(starts)] for i in range(2)))
            for parts in pending
        ]
        return joined, starts

    def _pieces(self, positions: Float[np.ndarray, "time joint 2"], starts: np.ndarray) -> Iterator[Array]:
        """The windows, a chunk at a time; the last one is filled up with its last window."""
        assert self.chunk is not None
        for first in range(0, len(starts), self.chunk):
            chosen = starts[first : first + self.chunk]
            padded = np.pad(chosen, (0, self.chunk - len(chosen)), mode="edge")
            yield jax.device_put(np.asarray(positions[padded[:, None] + np.arange(WINDOW)], np.float32))


def _compile(lowered: Future) -> tuple[Any, Variables]:
    program, stack = lowered.result()
    return program.compile(compiler_options=COMPILER_OPTIONS.get(jax.default_backend())), stack


def _module_of(member: Member, entry: models.Entry, skeleton: skeletons.Skeleton) -> nn.Module:
    """The network of a member, once its weights are known to fit."""
    where, remedy = f"weights of {member.model}", "use the weights with the model and skeleton they were trained for"
    try:
        module = entry.build(skeleton=skeleton, **member.overrides)
        shapes = models.variable_shapes(module, (WINDOW, len(skeleton.joints), entry.input_shape[-1]))
    except (ValueError, TypeError) as error:
        reason = " ".join(str(error).split())[:120]
        raise InputError(where, f"name settings that the network does not take ({reason})", remedy) from error
    needed = {path: (member.instances, *leaf.shape) for path, leaf in _flat(shapes)}
    found = {path: leaf.shape for path, leaf in _flat(member.variables)}
    for path in sorted({*needed, *found}):
        if path not in found:
            raise InputError(where, f"lack {path}", remedy)
        if path not in needed:
            raise InputError(where, f"hold {path}, which the network has not", remedy)
        if found[path] != needed[path]:
            raise InputError(where, f"hold {path} of shape {found[path]}, the network needs {needed[path]}", remedy)
    return module


def _flat(tree: Variables) -> list[tuple[str, Any]]:
    """(path, leaf) of nested dicts."""
    return [("/".join(str(k.key) for k in path), leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)]
