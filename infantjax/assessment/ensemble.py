"""The instances of an ensemble on the windows of a recording.

One program is compiled for each architecture and serves recordings of any length: windows go through it in chunks of a
fixed number, so memory is bounded and nothing is compiled twice. On a CPU a call computes one instance, and as many
calls run side by side as there are cores; on accelerators a call computes all instances side by side (`vmap`).
"""

import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import numpy as np
from jax import export
from jaxtyping import Array, Float

from infantjax import models, runtime, skeletons
from infantjax.errors import InputError
from infantjax.explanation.class_activation import class_weights, contributions
from infantjax.motion import features, windows
from infantjax.motion.windows import WINDOW, Rotation
from infantjax.nn.conv import COMPILER_OPTIONS
from infantjax.weights.store import Member

Variables = dict[str, Any]

CHUNKS = {"cpu": 6, "gpu": 64, "tpu": 64}
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
    """

    module: nn.Module
    features: tuple[str, ...]
    rotation: Rotation = "frame"
    exact: bool = False

    def __call__(self, stack: Variables, positions: Float[Array, "window time joint 2"]) -> Scores:
        """Scores of the windows; pure, to be compiled by `jax.jit`."""
        skeleton = self.module.skeleton
        turned = windows.finish(positions, skeleton, self.rotation)
        inputs = features.stack(turned, skeleton, self.features)
        one = partial(self._instance, inputs=inputs)
        # Published weights are exact only in full float32; accelerators round products of it by default.
        with jax.default_matmul_precision("highest"):
            if jax.tree.leaves(stack)[0].shape[0] > 1:
                return jax.vmap(one)(stack)
            # Over one instance `vmap` would still turn convolutions into grouped ones.
            return jax.tree.map(lambda a: a[None], one(jax.tree.map(lambda a: a[0], stack)))

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
        window: frames of a window.
    """

    members: Sequence[Member]
    skeleton: skeletons.Skeleton
    rotation: Rotation = "frame"
    exact: bool = False
    chunk: int | None = None
    window: int = WINDOW
    _programs: list["Future[_Compiled]"] = field(default_factory=list, repr=False)

    def start(self) -> None:
        """Begin to trace and compile the programs in the background; done once, on the first use if not before."""
        if self._programs:
            return
        self.chunk = self.chunk or CHUNKS.get(jax.default_backend(), 64)
        # Tracing needs the interpreter, compiling and computing do not: the first member is compiled, and its windows
        # computed, while the next is traced.
        tracing = ThreadPoolExecutor(1, thread_name_prefix="tracing")
        compiling = ThreadPoolExecutor(thread_name_prefix="compiling")
        lowered = [tracing.submit(self._lower, member) for member in self.members]
        self._programs = [compiling.submit(_compile, program) for program in lowered]
        tracing.shutdown(wait=False)
        compiling.shutdown(wait=False)

    def _lower(self, member: Member) -> tuple[Any, list[Variables]]:
        assert self.chunk is not None
        groups = [jax.device_put(jax.tree.map(lambda a, g=g: a[g], member.variables)) for g in _groups(member)]
        given = groups[0], jax.ShapeDtypeStruct((self.chunk, self.window, len(self.skeleton.joints), 2), np.float32)
        kept = runtime.traced(self._key(member, given), lambda: export.export(self._program(member))(*given))
        return (jax.jit(kept.call) if kept else self._program(member)).lower(*given), groups

    def _program(self, member: Member) -> Any:
        entry = models.get(member.model)
        program = WindowProgram(
            _module_of(member, entry, self.skeleton, self.window), entry.features, self.rotation, self.exact
        )
        return jax.jit(lambda stack, positions: tuple(program(stack, positions)))

    def _key(self, member: Member, given: Any) -> Any:
        """All that the member's program depends on, which includes the shapes that were checked when it was traced."""
        shapes = [[path, leaf.shape, str(leaf.dtype)] for path, leaf in _flat(given)]
        settings = [member.model, member.overrides, self.rotation, self.exact, COMPILER_OPTIONS]
        return [settings, shapes, asdict(self.skeleton)]

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
        starts = windows.window_starts(len(positions), self.window)
        self.start()
        assert self.chunk is not None
        chunks = [starts[first : first + self.chunk] for first in range(0, len(starts), self.chunk)]
        pool = ThreadPoolExecutor(_workers(), thread_name_prefix="computing")
        try:
            pending = [
                [
                    [pool.submit(self._run, program, i, positions, c) for c in chunks]
                    for i in range(len(_groups(member)))
                ]
                for member, program in zip(self.members, self._programs)
            ]
            parts = [[_join([chunk.result() for chunk in group], 1) for group in member] for member in pending]
        finally:
            pool.shutdown(cancel_futures=True)
        joined = [_join(member, 0) for member in parts]
        return [Scores(s.risk[:, : len(starts)], s.contributions[:, : len(starts)]) for s in joined], starts

    def _run(
        self, program: "Future[_Compiled]", group: int, positions: Float[np.ndarray, "time joint 2"], chosen: np.ndarray
    ) -> Scores:
        """Scores of one group of instances on one chunk, which is filled up with its last window."""
        assert self.chunk is not None
        padded = np.pad(chosen, (0, self.chunk - len(chosen)), mode="edge")
        piece = jax.device_put(np.asarray(positions[padded[:, None] + np.arange(self.window)], np.float32))
        compiled, groups = program.result()
        return Scores(*map(np.asarray, compiled(groups[group], piece)))


class _Compiled(NamedTuple):
    """An executable and the weights that go into it, a group of instances a call."""

    call: Any
    groups: list[Variables]


def _groups(member: Member) -> list[slice]:
    """The instances that a call computes."""
    together = 1 if jax.default_backend() == "cpu" else member.instances
    return [slice(i, i + together) for i in range(0, member.instances, together)]


def _join(parts: list[Scores], axis: int) -> Scores:
    return Scores(*(np.concatenate(arrays, axis) for arrays in zip(*parts)))


def _workers() -> int:
    """Calls that run side by side.

    XLA's CPU backend spreads each operation over the cores, and most operations of these networks are too short for
    that to pay; a call for each core, and one more for the moments in which one waits, keeps them busy. On accelerators
    one chunk is copied while another is computed.
    """
    return min(os.cpu_count() or 1, 8) + 1 if jax.default_backend() == "cpu" else 2


def _compile(lowered: Future) -> _Compiled:
    program, groups = lowered.result()
    return _Compiled(program.compile(compiler_options=COMPILER_OPTIONS.get(jax.default_backend())), groups)


_OTHER_WEIGHTS = "use the weights with the model and skeleton they were trained for"


def _module_of(member: Member, entry: models.Entry, skeleton: skeletons.Skeleton, window: int) -> nn.Module:
    """The network of a member, once its weights are known to fit."""
    where, remedy = f"weights of {member.model}", _OTHER_WEIGHTS
    try:
        module = entry.build(skeleton=skeleton, **member.overrides)
        shapes = models.variable_shapes(module, (window, len(skeleton.joints), entry.input_shape[-1]))
    except (ValueError, TypeError) as error:
        reason = " ".join(str(error).split())[:120]
        raise InputError(where, f"name settings that the network does not take ({reason})", remedy) from error
    require_fit(member, shapes)
    return module


def require_fit(member: Member, shapes: Any) -> None:
    """Refuse weights that are not those of a network.

    Args:
        member: the weights.
        shapes: of the network's variables.

    Raises:
        InputError: a variable that is missing, too many, or of another shape.
    """
    where, remedy = f"weights of {member.model}", _OTHER_WEIGHTS
    needed = {path: (member.instances, *leaf.shape) for path, leaf in _flat(shapes)}
    found = {path: leaf.shape for path, leaf in _flat(member.variables)}
    for path in sorted({*needed, *found}):
        if path not in found:
            raise InputError(where, f"lack {path}", remedy)
        if path not in needed:
            raise InputError(where, f"hold {path}, which the network has not", remedy)
        if found[path] != needed[path]:
            raise InputError(where, f"hold {path} of shape {found[path]}, the network needs {needed[path]}", remedy)


def _flat(tree: Any) -> list[tuple[str, Any]]:
    """(path, leaf) of nested containers."""
    return [
        (jax.tree_util.keystr(path, simple=True, separator="/"), leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    ]
