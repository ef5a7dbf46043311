"""Networks that read windows of standardized positions: as a pure function of their weights, and compiled.

`predict_fn` is the function. `EnsembleProgram` runs the same networks for recordings of any length: one program is
compiled for each architecture, and windows go through it in chunks of a fixed number, so memory is bounded. On a CPU a
device computes one network in a call, and as many calls run side by side as there are cores; an accelerator computes
all networks side by side (`vmap`). Several devices divide the networks of a call among them, and then its windows
(`infantjax.devices`).
"""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import safetensors.numpy
from jax import export
from jax.sharding import PartitionSpec as P
from jax.stages import Compiled, Lowered
from jaxtyping import Array, Bool, Float

from infantjax.assessment.assessor import require_fit
from infantjax.cache import COMPILER_OPTIONS, cores, kept, traced
from infantjax.devices import BATCH, NETWORK, for_platform, local_mesh, platform_of, shard, sharding_over
from infantjax.explanation.saliency import Explain, explained
from infantjax.files import sha256
from infantjax.recording.windows import window_starts
from infantjax.weights.ensemble import Ensemble, Member, Predict, leaves, nested

if TYPE_CHECKING:
    import flax.linen as nn

Positions = Float[np.ndarray, "time joint 2"]
Keep = Bool[np.ndarray, " window"]
"""Which windows of a recording are computed."""

CHUNKS = {"cpu": 6, "gpu": 64, "tpu": 64}
"""Windows that a device computes at a time: on a CPU few, so that activations stay in the cache."""


@dataclass(frozen=True, eq=False)
class WindowNetwork:
    """The network of a member of an ensemble, from a window to its risk; pure.

    Attributes:
        module: gives two scores, of which the second is that of a positive outcome, and a dict with `features`.
        inputs: from standardized positions `[window, time, joint, 2]` to the input of the network.
        fold: from the variables of one network to some with which it computes the same in evaluation mode, sooner;
            of NumPy's arrays as of JAX's.
        shape: `(time, joint, channel)` of the input.
        exact: contributions go through the spatial pooling layer; see `explanation.class_activation`.
        explain: method of the contributions.
    """

    module: "nn.Module"
    inputs: Callable[[Array], Array]
    fold: Callable[[Any], Any]
    shape: tuple[int, ...]
    exact: bool = False
    explain: Explain = "class-activation"

    def __call__(
        self, folded: Any, positions: Float[Array, "window time joint 2"]
    ) -> tuple[Float[Array, " window"], Float[Array, "window joint"]]:
        """Risk and contributions of windows.

        Args:
            folded: variables of one network as `fold` gives them.
            positions: standardized.
        """
        inputs = self.inputs(positions)
        # Published weights are exact only in full float32; accelerators round products of it by default.
        with jax.default_matmul_precision("highest"):
            apply = partial(self.module.apply, folded)
            logits, values = explained(apply, folded["params"], inputs, self.explain, exact=self.exact)
            return jax.nn.softmax(logits, -1)[:, 1], values

    def runs(
        self, folded: dict[str, Array], positions: Float[Array, "window time joint 2"]
    ) -> tuple[Float[Array, "run window"], Float[Array, "run window joint"]]:
        """Risk and contributions by several networks side by side; arrays of `folded` are `[run, ...]`, by path."""
        folded = nested(folded)
        if len(jax.tree.leaves(folded)[0]) > 1:
            return jax.vmap(self, in_axes=(0, None))(folded, positions)
        # Over one network `vmap` would still turn convolutions into grouped ones, which are slow on a CPU.
        return jax.tree.map(lambda a: a[None], self(jax.tree.map(lambda a: a[0], folded), positions))


def predict_fn(ensemble: Ensemble, platform: str | None = None) -> Predict:
    """The risks of windows by every network of an ensemble as a pure function; see `Ensemble.predict_fn`.

    Args:
        ensemble: of a method whose assessor is a `WindowAssessor`.
        platform: `cpu`, `gpu` or `tpu`; None is that of JAX's default backend.

    Raises:
        InputError: the weights of a member do not fit its network.
    """
    from infantjax.methods import registry

    known: Any = registry.assessor(ensemble)
    networks: list[WindowNetwork] = known.networks
    for member, network in zip(ensemble.members, networks, strict=True):
        _require_fit(member, network)
    used = platform or jax.default_backend()
    shape, chunk = (*networks[0].shape[:2], 2), CHUNKS.get(used, 64)

    def predict(
        variables: Sequence[Any], windows: Float[Array, "window time joint 2"]
    ) -> Float[Array, "window instance"]:
        if windows.ndim != 4 or windows.shape[1:] != shape or not len(windows):
            raise ValueError(f"windows must be [window, {', '.join(map(str, shape))}], got {windows.shape}")
        whole = jnp.asarray(windows, jnp.float32)
        # Interleaved, so that windows that are sharded stay where they are.
        count = -(-len(whole) // chunk)
        filled = jnp.pad(whole, ((0, count * min(chunk, len(whole)) - len(whole)), (0, 0), (0, 0), (0, 0)), "edge")
        chunks = filled.reshape(-1, count, *shape).swapaxes(0, 1)

        def risks(network: WindowNetwork, variables: Any) -> Float[Array, " window"]:
            folded = network.fold(variables)
            of_chunks = jax.lax.map(lambda part: network(folded, part)[0], chunks)
            return of_chunks.swapaxes(0, 1).reshape(-1)[: len(whole)]

        over_runs = jax.lax.map if used == "cpu" else lambda function, runs: jax.vmap(function)(runs)
        found = [
            over_runs(lambda of_run, network=network: risks(network, of_run), of_member)
            for network, of_member in zip(networks, variables, strict=True)
        ]
        return jnp.concatenate(found).T

    traceable = for_platform(predict, used)
    compiled = jax.jit(traceable, compiler_options=COMPILER_OPTIONS.get(used))

    def dispatch(variables: Sequence[Any], windows: Any) -> Any:
        # JAX takes options of the compiler for an outermost function only.
        inside = any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves((variables, windows)))
        return (traceable if inside else compiled)(variables, windows)

    return dispatch


class Scores(NamedTuple):
    """Scores of each window by the networks of a member."""

    risk: Float[Array | np.ndarray, "network window"]
    contributions: Float[Array | np.ndarray, "network window joint"]


@dataclass
class EnsembleProgram:
    """The compiled programs of all members of an ensemble.

    Attributes:
        members: architectures with stacked weights.
        network_of: the network of a member.
        key: all that the networks depend on beside the members, JSON-compatible.
        window: frames of a window.
        joints: that a network reads.
        stride: frames from one window to the next; None is half a window.
        chunk: windows that a device computes at a time; None chooses by backend.
        devices: that compute; None is all of this process.
    """

    members: Sequence[Member]
    network_of: Callable[[Member], WindowNetwork]
    key: Any
    window: int
    joints: int
    stride: int | None = None
    chunk: int | None = None
    devices: Sequence[jax.Device] | None = None
    _programs: list[tuple["_Call", "Future[tuple[Compiled, list[Any]]]"]] = field(default_factory=list, repr=False)

    @property
    def fill(self) -> int:
        """Windows that keep all devices busy."""
        used, chunk = self.choose()
        return chunk * len(used) * _workers(used[0].platform)

    def choose(self) -> tuple[Sequence[jax.Device], int]:
        """The devices, and the windows that each computes at a time."""
        self.devices = self.devices or jax.local_devices()
        self.chunk = self.chunk or CHUNKS.get(self.devices[0].platform, 64)
        return self.devices, self.chunk

    def start(self) -> None:
        """Begin to trace and compile the programs in the background; done once, on the first use if not before."""
        if self._programs:
            return
        self.choose()
        # Tracing needs the interpreter, compiling and computing do not: each member is compiled as soon as it is
        # traced, and its windows computed while the next is traced.
        tracing = ThreadPoolExecutor(1, thread_name_prefix="tracing")
        compiling = ThreadPoolExecutor(thread_name_prefix="compiling")
        calls = [_Call(self, member) for member in self.members]
        lowered = [tracing.submit(call.lower) for call in calls]
        self._programs = [(call, compiling.submit(call.compile, each)) for call, each in zip(calls, lowered)]
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

    def scores(self, positions: Positions, keep: Keep | None = None) -> tuple[list[Scores], np.ndarray]:
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
        self, recordings: Sequence[Positions], keeps: Sequence[Keep] | None = None
    ) -> list[tuple[list[Scores], np.ndarray]]:
        """Scores of several recordings, whose windows fill the same chunks; the same as of each alone.

        Args and Raises: as `scores`.

        Returns:
            What `scores` gives for each.
        """
        starts = [window_starts(len(positions), self.window, self.stride) for positions in recordings]
        chosen = starts if keeps is None else [each[keep] for each, keep in zip(starts, keeps, strict=True)]
        offsets = np.cumsum([0, *map(len, recordings)])
        scores = self._scores(np.concatenate(recordings), np.concatenate([s + o for s, o in zip(chosen, offsets)]))
        ends = np.cumsum([len(each) for each in chosen])
        cuts = [slice(end - len(each), end) for end, each in zip(ends, chosen)]
        return [
            ([Scores(s.risk[:, cut], s.contributions[:, cut]) for s in scores], each) for cut, each in zip(cuts, starts)
        ]

    def _scores(self, positions: Positions, starts: np.ndarray) -> list[Scores]:
        """Scores of every member on the windows that start at these frames."""
        self.start()
        pool = ThreadPoolExecutor(_workers(self.choose()[0][0].platform), thread_name_prefix="computing")
        try:
            pending = [
                [
                    [
                        pool.submit(call.run, program, group, positions, starts[first : first + call.capacity])
                        for first in range(0, len(starts), call.capacity)
                    ]
                    for group in range(len(call.groups))
                ]
                for call, program in self._programs
            ]
            parts = [[_join([chunk.result() for chunk in group], 1) for group in member] for member in pending]
        finally:
            pool.shutdown(cancel_futures=True)
        joined = [(_join(groups, 0), member.runs) for groups, member in zip(parts, self.members)]
        return [Scores(s.risk[:runs, : len(starts)], s.contributions[:runs, : len(starts)]) for s, runs in joined]


class _Call:
    """How a member is computed: on which devices, and how many networks and windows in a call."""

    def __init__(self, ensemble: EnsembleProgram, member: Member) -> None:
        used, chunk = ensemble.choose()
        self.ensemble, self.member = ensemble, member
        # On a CPU `vmap` would turn convolutions into grouped ones.
        self.together = together = 1 if used[0].platform == "cpu" else member.runs
        self.mesh = local_mesh(-(-member.runs // together), used)
        self.shape = (chunk, ensemble.window, ensemble.joints, 2)
        """Of the windows of a call on one device."""
        self.capacity = chunk * self.mesh.shape[BATCH]
        """Windows of a call, on all devices."""
        size = together * self.mesh.shape[NETWORK]
        padded = np.minimum(np.arange(-(-member.runs // size) * size), member.runs - 1)
        self.groups = list(padded.reshape(-1, size))
        """Networks of each call, on all devices; the last call is filled up with the last network."""
        self.frames = np.arange(ensemble.window)

    @cached_property
    def network(self) -> WindowNetwork:
        """The network; not where the cache has all that it gives, since its import takes a third of a second."""
        network = self.ensemble.network_of(self.member)
        _require_fit(self.member, network)
        return network

    def fold(self) -> bytes:
        """The folded weights `[run, ...]` of all networks, in the format of safetensors."""
        runs = [jax.tree.map(lambda a, i=i: np.asarray(a[i]), self.member.variables) for i in range(self.member.runs)]
        folded = jax.tree.map(lambda *of_runs: np.stack(of_runs), *map(self.network.fold, runs))
        return safetensors.numpy.save(dict(leaves(folded)))

    def lower(self) -> tuple[Lowered, list[Any]]:
        """The program for the compiler, and the folded weights of each group of networks, on the devices."""
        platform, member = platform_of(self.mesh), self.member
        shapes = [[path, leaf.shape, str(leaf.dtype)] for path, leaf in leaves(member.variables)]
        key = [member.model, member.overrides, shapes, self.ensemble.key]
        digests = [sha256(np.ascontiguousarray(leaf)) for _, leaf in leaves(member.variables)]
        folded = safetensors.numpy.load(kept("folded", [key, digests], self.fold))

        def trace() -> export.Exported:
            program = jax.jit(for_platform(self.network.runs, platform))
            platforms = None if platform == jax.default_backend() else [platform.replace("gpu", "cuda")]
            weights = {n: jax.ShapeDtypeStruct((self.together, *a.shape[1:]), a.dtype) for n, a in folded.items()}
            return export.export(program, platforms=platforms)(weights, jax.ShapeDtypeStruct(self.shape, np.float32))

        one = traced([key, self.together, self.shape, platform], trace)
        over_networks, over_windows = (sharding_over(self.mesh, axis) for axis in (NETWORK, BATCH))
        weights = [
            jax.device_put({name: leaf[group] for name, leaf in folded.items()}, over_networks) for group in self.groups
        ]
        windows = jax.ShapeDtypeStruct((self.capacity, *self.shape[1:]), np.float32, sharding=over_windows)
        program = shard(one.call, self.mesh, (P(NETWORK), P(BATCH)), P(NETWORK, BATCH))
        return jax.jit(program).lower(weights[0], windows), weights

    def compile(self, lowered: "Future[tuple[Lowered, list[Any]]]") -> tuple[Compiled, list[Any]]:
        """The executable, once it is lowered, with the folded weights."""
        program, weights = lowered.result()
        return program.compile(compiler_options=COMPILER_OPTIONS.get(platform_of(self.mesh))), weights

    def run(
        self, program: "Future[tuple[Compiled, list[Any]]]", group: int, positions: Positions, starts: np.ndarray
    ) -> Scores:
        """Scores of one group of networks on one chunk, which is filled up with its last window."""
        padded = np.pad(starts, (0, self.capacity - len(starts)), mode="edge")
        cut = np.asarray(positions[padded[:, None] + self.frames], np.float32)
        piece = jax.device_put(cut, sharding_over(self.mesh, BATCH))
        compiled, weights = program.result()
        return Scores(*map(np.asarray, compiled(weights[group], piece)))


def _require_fit(member: Member, network: WindowNetwork) -> None:
    from infantjax.models.entry import variable_shapes  # needs Flax

    require_fit(member, variable_shapes(network.module, network.shape))


def _join(parts: list[Scores], axis: int) -> Scores:
    return Scores(*(np.concatenate(arrays, axis) for arrays in zip(*parts)))


def _workers(platform: str) -> int:
    """Calls that run side by side.

    XLA's CPU backend spreads each operation over the cores, and most operations of these networks are too short for
    that to pay; a call for each core, and one more for the moments in which one waits, keeps them busy. On accelerators
    one chunk is copied while another is computed.
    """
    return min(cores(), 8) + 1 if platform == "cpu" else 2
