"""The instances of an ensemble on the windows of a recording.

One program is compiled for each architecture and serves recordings of any length: windows go through it in chunks of a
fixed number, so memory is bounded and nothing is compiled twice. On a CPU a call computes one instance, and as many
calls run side by side as there are cores; on accelerators a call computes all instances side by side (`vmap`). What
depends on the weights alone is computed once for each instance (`nn.folding`), and kept with the programs.
"""

import io
import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import numpy as np
from jax import export
from jax.stages import Lowered
from jaxtyping import Array, Float

from infantjax import models, runtime, skeletons
from infantjax.errors import InputError
from infantjax.explanation.class_activation import class_weights, contributions
from infantjax.files import sha256
from infantjax.motion import features, windows
from infantjax.motion.windows import WINDOW, Rotation
from infantjax.nn.conv import COMPILER_OPTIONS
from infantjax.nn.folding import Folded, Split, split
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
    """The program of one instance: its variables and a chunk of standardised windows to their scores.

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

    def __call__(
        self, variables: Variables, positions: Float[Array, "window time joint 2"]
    ) -> tuple[Float[Array, " window"], Float[Array, "window joint"]]:
        """Risk and contributions of the windows; pure, to be compiled by `jax.jit`."""
        skeleton = self.module.skeleton
        turned = windows.finish(positions, skeleton, self.rotation)
        inputs = features.stack(turned, skeleton, self.features)
        # Published weights are exact only in full float32; accelerators round products of it by default.
        with jax.default_matmul_precision("highest"):
            logits, aux = self.module.apply(variables, inputs)
            weights = class_weights(variables["params"], exact=self.exact)
            return jax.nn.softmax(logits, -1)[:, 1], contributions(aux["features"], weights)


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
        # Tracing and folding need the interpreter, compiling and computing do not: each member is compiled as soon
        # as it is traced, folded while the compiler works, and its windows computed while the next is traced.
        tracing = ThreadPoolExecutor(1, thread_name_prefix="tracing")
        compiling = ThreadPoolExecutor(thread_name_prefix="compiling")
        members = [_Traced(self, member) for member in self.members]
        prepared = [(tracing.submit(member.lower), tracing.submit(member.fold)) for member in members]
        self._programs = [compiling.submit(_compile, *both) for both in prepared]
        tracing.shutdown(wait=False)
        compiling.shutdown(wait=False)

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


class _Traced:
    """A member on its way to an executable: `lower`, then `fold`."""

    def __init__(self, ensemble: EnsembleProgram, member: Member) -> None:
        assert ensemble.chunk is not None
        self.ensemble, self.member = ensemble, member
        shape = (ensemble.chunk, ensemble.window, len(ensemble.skeleton.joints), 2)
        self.positions = jax.ShapeDtypeStruct(shape, np.float32)
        self.one = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape[1:], a.dtype), member.variables)

    @cached_property
    def key(self) -> Any:
        """All that the program depends on, which includes the shapes that were checked when it was traced."""
        ensemble, member = self.ensemble, self.member
        shapes = [[path, leaf.shape, str(leaf.dtype)] for path, leaf in _flat((member.variables, self.positions))]
        settings = [member.model, member.overrides, ensemble.rotation, ensemble.exact, COMPILER_OPTIONS]
        return [settings, shapes, asdict(ensemble.skeleton)]

    @cached_property
    def divided(self) -> Split:
        """The program of one instance, traced and divided, once its weights are known to fit."""
        ensemble, member = self.ensemble, self.member
        entry = models.get(member.model)
        module = _module_of(member, entry, ensemble.skeleton)
        program = WindowProgram(module, entry.features, ensemble.rotation, ensemble.exact)
        shape = (ensemble.window, len(ensemble.skeleton.joints), entry.input_shape[-1])
        try:
            found = split(program, self.one, self.positions)
        except Exception:
            require_fit(member, models.variable_shapes(module, shape))
            raise
        # The layers compare the shapes of what they read. What none reads may be another network's.
        if not found.reads_all:
            require_fit(member, models.variable_shapes(module, shape))
        return found

    def lower(self) -> Lowered:
        """The program that reads folded weights, from the folder of the compilation cache if it is there."""
        first, *_ = _groups(self.member)

        def computed(folded: Folded, positions: Array) -> tuple[Array, Array]:
            return over_instances(self.divided, folded, positions)

        def exported() -> export.Exported:
            together = first.stop - first.start
            folded = [jax.ShapeDtypeStruct((together, *leaf.shape), leaf.dtype) for leaf in self.divided.shapes()]
            return export.export(jax.jit(computed))(folded, self.positions)

        kept = runtime.traced(self.key, exported) or exported()
        *folded, positions = (jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in kept.in_avals)
        return jax.jit(kept.call).lower(folded, positions)

    def fold(self) -> list[Folded]:
        """The folded weights of each group of instances, on the device."""
        member = self.member

        def folded() -> bytes:
            instances = [
                self.divided.fold(jax.tree.map(lambda a, i=i: np.asarray(a[i]), member.variables))
                for i in range(member.instances)
            ]
            content = io.BytesIO()
            np.savez(content, *map(np.stack, zip(*instances)))
            return content.getvalue()

        weights = sha256(b"".join(np.ascontiguousarray(leaf).tobytes() for leaf in jax.tree.leaves(member.variables)))
        with np.load(io.BytesIO(runtime.kept("folded", [self.key, weights], folded)), allow_pickle=False) as arrays:
            stack = [arrays[f"arr_{i}"] for i in range(len(arrays))]
        device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
        return [jax.device_put([leaf[group] for leaf in stack], device) for group in _groups(member)]


class _Compiled(NamedTuple):
    """An executable and the folded weights that go into it, a group of instances a call."""

    call: Any
    groups: list[Folded]


def over_instances(divided: Split, folded: Folded, positions: Array) -> tuple[Array, Array]:
    """Risk `[instance, window]` and contributions `[instance, window, joint]` of a group."""
    if len(folded[0]) > 1:
        return jax.vmap(divided, in_axes=(0, None))(folded, positions)
    # Over one instance `vmap` would still turn convolutions into grouped ones.
    return jax.tree.map(lambda a: a[None], divided([a[0] for a in folded], positions))


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


def _compile(lowered: "Future[Lowered]", folded: "Future[list[Folded]]") -> _Compiled:
    program = lowered.result().compile(compiler_options=COMPILER_OPTIONS.get(jax.default_backend()))
    return _Compiled(program, folded.result())


_OTHER_WEIGHTS = "use the weights with the model and skeleton they were trained for"


def _module_of(member: Member, entry: models.Entry, skeleton: skeletons.Skeleton) -> nn.Module:
    """The network of a member."""
    try:
        return entry.build(skeleton=skeleton, **member.overrides)
    except (ValueError, TypeError) as error:
        reason = " ".join(str(error).split())[:120]
        where = f"weights of {member.model}"
        raise InputError(where, f"name settings that the network does not take ({reason})", _OTHER_WEIGHTS) from error


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
