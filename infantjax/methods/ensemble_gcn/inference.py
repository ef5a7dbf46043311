"""The networks of an ensemble on the windows of a recording.

One program is compiled for each architecture and serves recordings of any length: windows go through it in chunks of a
fixed number, so memory is bounded and nothing is compiled twice. On a CPU a device computes one network in a call, and
as many calls run side by side as there are cores; an accelerator computes all networks side by side (`vmap`). Several
devices divide the networks of a call among them, and then its windows (`infantjax.devices`). What depends on the
weights alone is computed once for each network (`folding`), and kept with the programs.
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
from jax.sharding import PartitionSpec as P
from jax.stages import Lowered
from jaxtyping import Array, Bool, Float

from infantjax import cache as runtime
from infantjax import skeletons
from infantjax.cache import COMPILER_OPTIONS
from infantjax.devices import BATCH, NETWORK, local_mesh, platform_of, shard, sharding_over, traced_for
from infantjax.files import sha256
from infantjax.recording import windows
from infantjax.recording.windows import WINDOW, Rotation
from infantjax.weights.ensemble import Member, leaves

if TYPE_CHECKING:
    from infantjax.methods.ensemble_gcn.tracing import FoldedProgram

Leaves = Sequence[np.ndarray] | Sequence[Array]
"""Folded weights, in the order in which the program reads them."""

Keep = Bool[np.ndarray, " window"]
"""Which windows of a recording are computed."""

CHUNKS = {"cpu": 6, "gpu": 64, "tpu": 64}
"""Windows that a device computes at a time: on a CPU few, so that activations stay in the cache."""


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
        chunk: windows that a device computes at a time; None chooses by backend.
        window: frames of a window.
        devices: that compute; None is all of this process.
    """

    members: Sequence[Member]
    skeleton: skeletons.Skeleton
    rotation: Rotation = "frame"
    exact: bool = False
    chunk: int | None = None
    window: int = WINDOW
    devices: Sequence[jax.Device] | None = None
    _programs: list[tuple["_Prepared", "Future[_Compiled]"]] = field(default_factory=list, repr=False)

    @property
    def fill(self) -> int:
        """Windows that keep all devices busy."""
        used, chunk = self._choose()
        return chunk * len(used) * _workers(used[0].platform)

    def _choose(self) -> tuple[Sequence[jax.Device], int]:
        """The devices, and the windows that each computes at a time."""
        self.devices = self.devices or jax.local_devices()
        self.chunk = self.chunk or CHUNKS.get(self.devices[0].platform, 64)
        return self.devices, self.chunk

    def start(self) -> None:
        """Begin to trace and compile the programs in the background; done once, on the first use if not before."""
        if self._programs:
            return
        self._choose()
        # Tracing and folding need the interpreter, compiling and computing do not: each member is compiled as soon
        # as it is traced, folded while the compiler works, and its windows computed while the next is traced.
        tracing = ThreadPoolExecutor(1, thread_name_prefix="tracing")
        compiling = ThreadPoolExecutor(thread_name_prefix="compiling")
        members = [_Prepared(self, member) for member in self.members]
        prepared = [(tracing.submit(member.lower), tracing.submit(member.fold)) for member in members]
        self._programs = [(one, compiling.submit(one.compile, *both)) for one, both in zip(members, prepared)]
        tracing.shutdown(wait=False)
        compiling.shutdown(wait=False)

    def compile(self) -> None:
        """Compile every member's program and wait for it.

        Raises:
            InputError: the weights of a member do not fit its architecture.
        """
        self.start()
        for _, program in self._programs:
            program.result()

    def scores(
        self, positions: Float[np.ndarray, "time joint 2"], keep: Keep | None = None
    ) -> tuple[list[Scores], np.ndarray]:
        """Scores of every member on the evaluation windows of a standardized recording.

        Args:
            positions: float32, at least one window long.
            keep: which windows to compute; None computes all.

        Returns:
            Scores of these windows by member, and the first frame of every window.

        Raises:
            ValueError: shorter than a window.
            InputError: the weights of a member do not fit its architecture.
        """
        (found,) = self.scores_of_many([positions], None if keep is None else [keep])
        return found

    def scores_of_many(
        self, recordings: Sequence[Float[np.ndarray, "_ joint 2"]], keeps: Sequence[Keep] | None = None
    ) -> list[tuple[list[Scores], np.ndarray]]:
        """Scores of several recordings, whose windows fill the same chunks; the same as of each alone.

        Args and Raises: as `scores`.

        Returns:
            What `scores` gives for each.
        """
        starts = [windows.window_starts(len(positions), self.window) for positions in recordings]
        chosen = starts if keeps is None else [each[keep] for each, keep in zip(starts, keeps, strict=True)]
        offsets = np.cumsum([0, *map(len, recordings)])
        scores = self._scores(np.concatenate(recordings), np.concatenate([s + o for s, o in zip(chosen, offsets)]))
        ends = np.cumsum([len(each) for each in chosen])
        cuts = [slice(end - len(each), end) for end, each in zip(ends, chosen)]
        return [
            ([Scores(s.risk[:, cut], s.contributions[:, cut]) for s in scores], each) for cut, each in zip(cuts, starts)
        ]

    def _scores(self, positions: Float[np.ndarray, "time joint 2"], starts: np.ndarray) -> list[Scores]:
        """Scores of every member on the windows that start at these frames."""
        self.start()
        pool = ThreadPoolExecutor(_workers(self._choose()[0][0].platform), thread_name_prefix="computing")
        try:
            pending = [
                [
                    [
                        pool.submit(one.run, program, group, positions, starts[first : first + one.capacity])
                        for first in range(0, len(starts), one.capacity)
                    ]
                    for group in range(len(one.groups))
                ]
                for one, program in self._programs
            ]
            parts = [[_join([chunk.result() for chunk in group], 1) for group in member] for member in pending]
        finally:
            pool.shutdown(cancel_futures=True)
        joined = [(_join(groups, 0), member.runs) for groups, member in zip(parts, self.members)]
        return [Scores(s.risk[:runs, : len(starts)], s.contributions[:runs, : len(starts)]) for s, runs in joined]


class _Prepared:
    """A member on its way to an executable: `lower`, then `fold`."""

    def __init__(self, ensemble: EnsembleProgram, member: Member) -> None:
        self.ensemble, self.member = ensemble, member
        used, chunk = ensemble._choose()
        # On a CPU `vmap` would turn convolutions into grouped ones.
        self.together = 1 if used[0].platform == "cpu" else member.runs
        self.mesh = local_mesh(-(-member.runs // self.together), used)
        shape = (chunk, ensemble.window, len(ensemble.skeleton.joints), 2)
        self.positions = jax.ShapeDtypeStruct(shape, np.float32)

    @property
    def capacity(self) -> int:
        """The windows of a call, on all devices."""
        return self.positions.shape[0] * self.mesh.shape[BATCH]

    @property
    def groups(self) -> list[np.ndarray]:
        """The networks of each call, on all devices; the last call is filled up with the last network."""
        size = self.together * self.mesh.shape[NETWORK]
        padded = np.minimum(np.arange(-(-self.member.runs // size) * size), self.member.runs - 1)
        return list(padded.reshape(-1, size))

    @cached_property
    def key(self) -> Any:
        """All that the program depends on, which includes the shapes that were checked when it was traced."""
        ensemble, member = self.ensemble, self.member
        shapes = [[path, leaf.shape, str(leaf.dtype)] for path, leaf in leaves(member.variables)]
        settings = [member.model, member.overrides, ensemble.rotation, ensemble.exact, COMPILER_OPTIONS]
        sizes = [self.together, self.positions.shape, platform_of(self.mesh)]
        return [settings, shapes, *sizes, asdict(ensemble.skeleton)]

    @cached_property
    def folded(self) -> "FoldedProgram":
        """The program of one network, once its weights are known to fit."""
        # Needs the networks, which take a third of a second to import: not where the cache has the program.
        from infantjax.methods.ensemble_gcn.tracing import folded_program

        ensemble = self.ensemble
        return folded_program(self.member, ensemble.skeleton, ensemble.rotation, ensemble.exact, ensemble.window)

    @cached_property
    def program(self) -> export.Exported:
        """The program of one device, which reads folded weights; from the folder of the compilation cache, if there."""

        def computed(weights: Leaves, positions: Array) -> tuple[Array, Array]:
            return over_networks(self.folded, weights, positions)

        platform = platform_of(self.mesh)
        platforms = None if platform == jax.default_backend() else [platform.replace("gpu", "cuda")]

        def exported() -> export.Exported:
            weights = [jax.ShapeDtypeStruct((self.together, *leaf.shape), leaf.dtype) for leaf in self.folded.shapes]
            with traced_for(platform):
                return export.export(jax.jit(computed), platforms=platforms)(weights, self.positions)

        return runtime.traced(self.key, exported) or exported()

    def lower(self) -> Lowered:
        """The program of all devices, for the compiler."""
        *weights, positions = self.program.in_avals
        program = shard(self.program.call, self.mesh, (P(NETWORK), P(BATCH)), P(NETWORK, BATCH))
        return jax.jit(program).lower(
            [self._sharded(leaf, NETWORK) for leaf in weights], self._sharded(positions, BATCH)
        )

    def _sharded(self, part: jax.core.ShapedArray, axis: str) -> jax.ShapeDtypeStruct:
        """The whole of an array of which each device along an axis of the mesh holds a part."""
        shape = (part.shape[0] * self.mesh.shape[axis], *part.shape[1:])
        return jax.ShapeDtypeStruct(shape, part.dtype, sharding=sharding_over(self.mesh, axis))

    def fold(self) -> list[Leaves]:
        """The folded weights of each group of networks, on the devices."""
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
        over_devices = sharding_over(self.mesh, NETWORK)
        return [jax.device_put([leaf[group] for leaf in stack], over_devices) for group in self.groups]

    def compile(self, lowered: "Future[Lowered]", folded: "Future[list[Leaves]]") -> "_Compiled":
        """The executable, once it is lowered, with the folded weights."""
        program = lowered.result().compile(compiler_options=COMPILER_OPTIONS.get(platform_of(self.mesh)))
        return _Compiled(program, folded.result())

    def run(
        self,
        program: "Future[_Compiled]",
        group: int,
        positions: Float[np.ndarray, "time joint 2"],
        starts: np.ndarray,
    ) -> Scores:
        """Scores of one group of networks on one chunk, which is filled up with its last window."""
        padded = np.pad(starts, (0, self.capacity - len(starts)), mode="edge")
        cut = np.asarray(positions[padded[:, None] + np.arange(self.ensemble.window)], np.float32)
        piece = jax.device_put(cut, sharding_over(self.mesh, BATCH))
        compiled, groups = program.result()
        return Scores(*map(np.asarray, compiled(groups[group], piece)))


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


def _join(parts: list[Scores], axis: int) -> Scores:
    return Scores(*(np.concatenate(arrays, axis) for arrays in zip(*parts)))


def _workers(platform: str) -> int:
    """Calls that run side by side.

    XLA's CPU backend spreads each operation over the cores, and most operations of these networks are too short for
    that to pay; a call for each core, and one more for the moments in which one waits, keeps them busy. On accelerators
    one chunk is copied while another is computed.
    """
    return min(os.cpu_count() or 1, 8) + 1 if platform == "cpu" else 2
