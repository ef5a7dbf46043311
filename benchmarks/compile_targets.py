"""What the compilers of accelerators make of the main programs, on a machine without an accelerator.

    pip install libtpu
    pip install --no-deps jax-cuda12-plugin==VERSION jax-cuda12-pjrt==VERSION nvidia-cuda-nvcc-cu12
    python -m benchmarks.compile_targets
    python -m benchmarks.compile_targets --targets H100 --programs train --networks kbest-gcn-2 kbest-gcn-5

VERSION is that of `jaxlib`. The compilers tell kernels, temporary memory, bytes that the
kernels read and write, and collectives. They do not tell how long a call takes.

`infer` is the program of an assessment with networks side by side: an ensemble of seventy is ten such programs of seven
networks. `train` is loss and gradient of one training step. With several chips each trains its share of the runs.
"""

import importlib.util
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Literal, NamedTuple

import tyro

from benchmarks import common
from infantjax.settings import Precision

MISSING = "the compiler for {} is missing; install it as the first lines of benchmarks/compile_targets.py say"

H100 = """gpu_device_info { threads_per_block_limit: 1024 threads_per_warp: 32 shared_memory_per_block: 49152
shared_memory_per_core: 233472 threads_per_core_limit: 2048 core_count: 132 fpus_per_core: 128
block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535 memory_bandwidth: 3352320000000
l2_cache_size: 52428800 clock_rate_ghz: 1.98 device_memory_size: 84942979072 shared_memory_per_block_optin: 232448
cuda_compute_capability { major: 9 minor: 0 } registers_per_core_limit: 65536 registers_per_block_limit: 65536 }
platform_name: "CUDA" dnn_version_info { major: 9 minor: 8 } device_description_str: "NVIDIA H100 80GB HBM3\""""
"""A `GpuTargetConfigProto`."""


class Target(NamedTuple):
    """A device that need not exist.

    Attributes:
        package: that holds its compiler.
        platform: as `jax.jit` lowers for it.
        topology: of its devices.
        options: of `jax.experimental.topologies.get_topology_desc`.
    """

    package: str
    platform: str
    topology: str
    options: dict[str, str]


TARGETS = {
    "H100": Target("jax_plugins.xla_cuda12", "cuda", "", {"target_config": H100, "topology": "1x1x1"}),
    "v5e": Target("libtpu", "tpu", "v5e:2x2", {}),
    "v6e": Target("libtpu", "tpu", "v6e:2x2", {}),
}

COLLECTIVES = ("all-gather", "all-reduce", "all-to-all", "collective-permute", "reduce-scatter")
NO_KERNELS = {"parameter", "tuple", "get-tuple-element", "constant", "bitcast", "after-all", "partition-id"}
"""Operations that move nothing."""


@dataclass(frozen=True)
class Options:
    """What is compiled."""

    targets: tuple[Literal["H100", "v5e", "v6e"], ...] = ("H100", "v5e", "v6e")
    """For what."""
    programs: tuple[Literal["infer", "train", "pose"], ...] = ("infer", "train", "pose")
    """What."""
    networks: tuple[str, ...] = tuple(f"kbest-gcn-{number}" for number in range(1, 11))
    """Networks of `infer` and `train`."""
    pose_networks: tuple[str, ...] = ("efficientpose-rt", "cima-pose")
    """Networks of `pose`, 64 images a call."""
    runs: tuple[int, ...] = (1, 7)
    """Networks or runs side by side."""
    chips: int = 1
    """Over which the runs of `train` are sharded: 1 or 4; 4 are chips of a TPU."""
    precision: Precision = "float32"
    """Of `train`."""
    write: bool = True
    """Keep the result in benchmarks/results."""


def main(options: Options) -> None:
    """Compile, and keep each row as soon as it is there: a program takes a TPU's compiler minutes."""
    for target in options.targets:
        find_compiler(target)
    where, rows = common.environment(), []
    for target in options.targets:
        for program, network, runs in _chosen(options):
            precision = options.precision if program == "train" else "float32"
            key = {"target": target, "program": program, "network": network, "runs": runs}
            key |= {"precision": precision, "chips": options.chips}
            given = PROGRAMS[program](network, runs, options.precision)
            rows.append(key | compiled(target, *given, options.chips))
            print(json.dumps(rows[-1]), flush=True)
            if options.write:
                others = [row for row in earlier_rows(where) if any(row[name] != key[name] for name in key)]
                kept = [{name: row[name] for name in rows[-1]} for row in others]
                common.write("compile_targets", [*kept, rows[-1]], {"windows": WINDOWS, "images": IMAGES}, where)
    print(common.table(rows))


def earlier_rows(where: Mapping[str, Any], folder: Path = common.RESULTS) -> list[dict[str, Any]]:
    """Rows that were kept before with the same version of the compilers."""
    path = folder / "compile_targets.json"
    if not path.exists():
        return []
    found = json.loads(path.read_text("utf-8"))
    same = found["environment"]["versions"]["jaxlib"] == where["versions"]["jaxlib"]
    return found["rows"] if same else []


def _chosen(options: Options) -> Iterator[tuple[str, str, int]]:
    for program in options.programs:
        if program == "pose":
            yield from ((program, network, 1) for network in options.pose_networks)
        else:
            yield from ((program, network, runs) for network in options.networks for runs in options.runs)


def find_compiler(target: str) -> None:
    """Prepare the environment for the compiler of a target; to be called before JAX starts.

    Raises:
        SystemExit: it is not installed; says what to install.
    """
    if not is_installed(TARGETS[target].package):
        raise SystemExit(MISSING.format(target))
    os.environ |= {"JAX_PLATFORMS": "cpu", "TPU_SKIP_MDS_QUERY": "1"}
    if TARGETS[target].platform == "cuda":
        found = importlib.util.find_spec("nvidia.cuda_nvcc") if is_installed("nvidia") else None
        if found is None or not found.submodule_search_locations:
            raise SystemExit(MISSING.format(target))
        (folder, *_) = found.submodule_search_locations
        os.environ["PATH"] = f"{Path(folder) / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"
        flag = f"--xla_gpu_cuda_data_dir={folder}"
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flag}".strip()


def is_installed(package: str) -> bool:
    """Whether Python finds it; nothing is imported but its parents."""
    parent = package.partition(".")[0]
    return importlib.util.find_spec(parent) is not None and importlib.util.find_spec(package) is not None


# --- programs --------------------------------------------------------------------------------------------------------

WINDOWS, IMAGES = 32, 64
"""Of a call. A window has 150 frames."""
Program = tuple[Callable[..., Any], tuple[Any, ...]]
"""A function of one network or run, and shapes; the first argument has a leading axis for them."""


def infer(network: str, runs: int, precision: Precision) -> Program:
    """Risks and contributions of windows, by networks whose norms are folded."""
    import jax
    import numpy as np

    from infantjax import models
    from infantjax.methods.ensemble_gcn.assess import window_network
    from infantjax.models.entry import variable_shapes
    from infantjax.recording.preprocessing import REFERENCE
    from infantjax.skeletons import IN_MOTION_19
    from infantjax.weights.ensemble import Member

    entry = models.get(network)
    program = window_network(Member(network, {}), IN_MOTION_19, REFERENCE)
    folded = jax.eval_shape(program.fold, variable_shapes(program.module, entry.input_shape))
    positions = jax.ShapeDtypeStruct((WINDOWS, *entry.input_shape[:2], 2), np.float32)
    return program, (_stacked(folded, runs), positions)


def train(network: str, runs: int, precision: Precision) -> Program:
    """Loss, running statistics and gradient of a step."""
    import jax
    import numpy as np

    from infantjax import models
    from infantjax.methods.ensemble_gcn.training import TrainingConfig, WindowTask
    from infantjax.models.entry import variable_shapes

    entry = models.get(network)
    task = WindowTask(entry.build(), TrainingConfig(precision=precision), (1, *entry.input_shape), entry.features)
    shapes = dict(variable_shapes(task.module, entry.input_shape))
    batch = (
        jax.ShapeDtypeStruct((runs, WINDOWS, *entry.input_shape), np.float32),
        jax.ShapeDtypeStruct((runs, WINDOWS), np.int32),
    )

    def step(given: tuple[Any, Any]) -> Any:
        variables, windows = given

        def loss(params: Any) -> tuple[Any, Any]:
            return task.loss(variables | {"params": params}, windows, {})

        return jax.value_and_grad(loss, has_aux=True)(variables["params"])

    return step, ((_stacked(shapes, runs), batch),)


def pose(network: str, runs: int, precision: Precision) -> Program:
    """Maps of images."""
    import jax
    import numpy as np

    from infantjax import models
    from infantjax.models.entry import variable_shapes

    entry = models.get(network)
    module = entry.build()
    images = jax.ShapeDtypeStruct((IMAGES, *entry.input_shape), np.float32)
    shapes = _stacked(variable_shapes(module, entry.input_shape), runs)
    return lambda variables, x: module.apply(variables, x)[0], (shapes, images)


PROGRAMS: dict[str, Callable[..., Program]] = {"infer": infer, "train": train, "pose": pose}


def _stacked(tree: Any, runs: int) -> Any:
    import jax

    return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((runs, *leaf.shape), leaf.dtype), tree)


# --- compilers -------------------------------------------------------------------------------------------------------


def compiled(target: str, function: Callable[..., Any], arguments: tuple[Any, ...], chips: int = 1) -> dict[str, Any]:
    """What the compiler of a target says of a program; see `Program`."""
    import jax
    from jax.experimental import topologies
    from jax.sharding import Mesh
    from jax.sharding import PartitionSpec as P

    from infantjax.devices import BATCH, NETWORK, shard, sharding_over

    _, platform, topology, options = TARGETS[target]
    devices = topologies.get_topology_desc(topology, platform, **options).devices[:chips]
    mesh = Mesh([[device] for device in devices], (NETWORK, BATCH))

    def each(runs: Any, *shared: Any) -> Any:
        if len(jax.tree.leaves(runs)[0]) == 1:
            return jax.tree.map(lambda leaf: leaf[None], function(jax.tree.map(lambda leaf: leaf[0], runs), *shared))
        return jax.vmap(function, in_axes=(0, *[None] * len(shared)))(runs, *shared)

    def placed(tree: Any, *axes: str) -> Any:
        where = sharding_over(mesh, *axes)
        return jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=where), tree)

    shared = [placed(argument) for argument in arguments[1:]]
    whole = jax.jit(shard(each, mesh, (P(NETWORK), *[P()] * len(shared)), P(NETWORK)))
    lowered = whole.trace(placed(arguments[0], NETWORK), *shared).lower(lowering_platforms=(platform,))
    program = lowered.compile()
    memory, text = program.memory_analysis(), str(program.as_text())
    found = kernels_of(text)
    moved = (program.cost_analysis() or {}).get("bytes accessed", sum(kernel.bytes for kernel in found))
    return {
        "kernels": len(found),
        "temporary_mb": memory.temp_size_in_bytes / 1e6 if memory else None,
        "moved_gb": moved / 1e9,
        "collectives": sum(kernel.operation.startswith(COLLECTIVES) for kernel in found),
    }


class Kernel(NamedTuple):
    """One operation of a compiled program, each time that it runs.

    Attributes:
        operation: of HLO, for example `fusion`.
        name: within the program.
        bytes: of its operands and results.
    """

    operation: str
    name: str
    bytes: float


_ARRAY = re.compile(r"\b(pred|token|opaque|[a-z]+(\d+)\w*)\[([\d,]*)\]")
_LINE = re.compile(r"\s*(?:ROOT )?%?([\w.\-]+) = (\(.*?\)|\S+) ([\w\-]+)\(([^)]*)\)(.*)")
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"')
_CALLED = re.compile(r"(?:body|to_apply)=%?([\w.\-]+)")


def kernels_of(text: str) -> list[Kernel]:
    """The kernels that a call of a compiled program runs, from its optimized HLO.

    Those of a loop count as often as it runs, or once where the compiler does not know. A second half of an operation
    that runs beside others (`-done`) is no kernel.
    """
    bodies: dict[str, list[str]] = {}
    entry, lines = "", []
    for line in text.splitlines():
        if line.endswith("{") and not line.startswith((" ", "HloModule")):
            name = line.removeprefix("ENTRY ").split()[0].removeprefix("%")
            entry, lines = (name if line.startswith("ENTRY") else entry), bodies.setdefault(name, [])
        else:
            lines.append(line)
    return list(_kernels(bodies, entry))


def _kernels(bodies: dict[str, list[str]], name: str) -> Iterator[Kernel]:
    sizes: dict[str, float] = {}
    for found in filter(None, map(_LINE.match, bodies[name])):
        result, shape, operation, operands, rest = found.groups()
        sizes[result] = _bytes(shape)
        if operation in ("while", "call"):
            trips = _TRIPS.search(rest)
            called = _CALLED.search(rest)
            inner = list(_kernels(bodies, called[1])) if called else []
            yield from inner * (int(trips[1]) if trips else 1)
        elif operation not in NO_KERNELS and not operation.endswith("-done"):
            read = sum(sizes.get(operand.split("%")[-1].strip(), 0) for operand in operands.split(","))
            yield Kernel(operation, result, sizes[result] + read)


def _bytes(shape: str) -> float:
    """Bytes of an array, or of all arrays of a tuple."""
    return sum(
        prod(int(size) for size in sizes.split(",") if size) * (1 if kind == "pred" else int(bits or 0) / 8)
        for kind, bits, sizes in _ARRAY.findall(shape)
    )


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
