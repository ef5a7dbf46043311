"""The networks of an ensemble on the windows of a recording.

One program is compiled for each architecture and serves recordings of any length: windows go through it in chunks of a
fixed number, so memory is bounded and nothing is compiled twice. On a CPU a call computes one network, and as many
calls run side by side as there are cores; on accelerators a call computes all networks side by side (`vmap`). What
depends on the weights alone is computed once for each network (`folding`), and kept with the programs.
"""

import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import cached_property
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import numpy as np
from jax import export
from jax.stages import Lowered
from jaxtyping import Array, Float

from infantjax import cache as runtime
from infantjax import skeletons
from infantjax.cache import COMPILER_OPTIONS
from infantjax.files import sha256
from infantjax.recording import windows
from infantjax.recording.windows import WINDOW, Rotation
from infantjax.weights.ensemble import Member, leaves

if TYPE_CHECKING:
    from infantjax.methods.ensemble_gcn.tracing import FoldedProgram

Leaves = Sequence[np.ndarray] | Sequence[Array]
"""Folded weights, in the order in which the program reads them."""

CHUNKS = {"cpu": 6, "gpu": 64, "tpu": 64}
"""Windows that go through a program at a time: on a CPU few, so that activations stay in the cache."""


class Scores(NamedTuple):
    """What the networks say of each window."""

    risk: Float[Array | np.ndarray, "network window"]
    contributions: Float[Array | np.ndarray, "network window joint"]


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
        members = [_Prepared(self, member) for member in self.members]
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
        """Scores of every member on the evaluation windows of a standardized recording.

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
                [[pool.submit(self._run, program, i, positions, c) for c in chunks] for i, _ in enumerate(_groups(one))]
                for one, program in zip(self.members, self._programs)
            ]
            parts = [[_join([chunk.result() for chunk in group], 1) for group in member] for member in pending]
        finally:
            pool.shutdown(cancel_futures=True)
        joined = [_join(member, 0) for member in parts]
        return [Scores(s.risk[:, : len(starts)], s.contributions[:, : len(starts)]) for s in joined], starts

    def _run(
        self, program: "Future[_Compiled]", group: int, positions: Float[np.ndarray, "time joint 2"], chosen: np.ndarray
    ) -> Scores:
        """Scores of one group of networks on one chunk, which is filled up with its last window."""
        assert self.chunk is not None
        padded = np.pad(chosen, (0, self.chunk - len(chosen)), mode="edge")
        piece = jax.device_put(np.asarray(positions[padded[:, None] + np.arange(self.window)], np.float32))
        compiled, groups = program.result()
        return Scores(*map(np.asarray, compiled(groups[group], piece)))


class _Prepared:
    """A member on its way to an executable: `lower`, then `fold`."""

    def __init__(self, ensemble: EnsembleProgram, member: Member) -> None:
        assert ensemble.chunk is not None
        self.ensemble, self.member = ensemble, member
        shape = (ensemble.chunk, ensemble.window, len(ensemble.skeleton.joints), 2)
        self.positions = jax.ShapeDtypeStruct(shape, np.float32)

    @cached_property
    def key(self) -> Any:
        """All that the program depends on, which includes the shapes that were checked when it was traced."""
        ensemble, member = self.ensemble, self.member
        shapes = [[path, leaf.shape, str(leaf.dtype)] for path, leaf in leaves(member.variables)]
        settings = [member.model, member.overrides, ensemble.rotation, ensemble.exact, COMPILER_OPTIONS]
        return [settings, shapes, self.positions.shape, asdict(ensemble.skeleton)]

    @cached_property
    def folded(self) -> "FoldedProgram":
        """The program of one network, once its weights are known to fit."""
        # Needs the networks, which take a third of a second to import: not where the cache has the program.
        from infantjax.methods.ensemble_gcn.tracing import folded_program

        ensemble = self.ensemble
        return folded_program(self.member, ensemble.skeleton, ensemble.rotation, ensemble.exact, ensemble.window)

    @cached_property
    def program(self) -> export.Exported:
        """The program that reads folded weights, from the folder of the compilation cache if it is there."""
        first, *_ = _groups(self.member)

        def computed(weights: Leaves, positions: Array) -> tuple[Array, Array]:
            return over_networks(self.folded, weights, positions)

        def exported() -> export.Exported:
            together = first.stop - first.start
            weights = [jax.ShapeDtypeStruct((together, *leaf.shape), leaf.dtype) for leaf in self.folded.shapes]
            return export.export(jax.jit(computed))(weights, self.positions)

        return runtime.traced(self.key, exported) or exported()

    def lower(self) -> Lowered:
        """The program, for the compiler."""
        *weights, positions = (jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in self.program.in_avals)
        return jax.jit(self.program.call).lower(weights, positions)

    def fold(self) -> list[Leaves]:
        """The folded weights of each group of networks, on the device."""
        member = self.member

        def folded() -> bytes:
            networks = [
                self.folded.fold(jax.tree.map(lambda a, i=i: np.asarray(a[i]), member.variables))
                for i in range(member.runs)
            ]
            return b"".join(np.stack(leaf).tobytes() for leaf in zip(*networks))

        weights = sha256(b"".join(np.ascontiguousarray(leaf).tobytes() for _, leaf in leaves(member.variables)))
        content, place, stack = runtime.kept("folded", [self.key, weights], folded), 0, []
        for leaf in self.program.in_avals[:-1]:
            shape = (member.runs, *leaf.shape[1:])
            stack.append(np.frombuffer(content, leaf.dtype, prod(shape), place).reshape(shape))
            place += stack[-1].nbytes
        device = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
        return [jax.device_put([leaf[group] for leaf in stack], device) for group in _groups(member)]


class _Compiled(NamedTuple):
    """An executable and the folded weights that go into it, a group of networks a call."""

    call: Any
    groups: list[Leaves]


def over_networks(program: "FoldedProgram", weights: Leaves, positions: Array) -> tuple[Array, Array]:
    """Risk `[network, window]` and contributions `[network, window, joint]` of a group."""
    if len(weights[0]) > 1:
        return jax.vmap(program, in_axes=(0, None))(weights, positions)
    # Over one network `vmap` would still turn convolutions into grouped ones.
    return jax.tree.map(lambda a: a[None], program([a[0] for a in weights], positions))


def _groups(member: Member) -> list[slice]:
    """The networks that a call computes."""
    together = 1 if jax.default_backend() == "cpu" else member.runs
    return [slice(i, i + together) for i in range(0, member.runs, together)]


def _join(parts: list[Scores], axis: int) -> Scores:
    return Scores(*(np.concatenate(arrays, axis) for arrays in zip(*parts)))


def _workers() -> int:
    """Calls that run side by side.

    XLA's CPU backend spreads each operation over the cores, and most operations of these networks are too short for
    that to pay; a call for each core, and one more for the moments in which one waits, keeps them busy. On accelerators
    one chunk is copied while another is computed.
    """
    return min(os.cpu_count() or 1, 8) + 1 if jax.default_backend() == "cpu" else 2


def _compile(lowered: "Future[Lowered]", folded: "Future[list[Leaves]]") -> _Compiled:
    program = lowered.result().compile(compiler_options=COMPILER_OPTIONS.get(jax.default_backend()))
    return _Compiled(program, folded.result())
