"""Fixtures shared by all tests."""

import contextlib
import gc
import importlib.util
import io
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

CHECKED = ("assessment", "evaluation", "formats", "recording", "report", "simulation", "skeletons", "video")
"""Packages whose array annotations are checked at run time: those whose functions users call with arrays of theirs.

Functions that JAX traces carry their annotations for readers: they get abstract values and NumPy arrays alike.
"""
sys.path += [str(Path(__file__).parent), str(Path(__file__).parents[1])]  # of array_types.py, and of experiments
# Before anything of the package is imported.
install_import_hook([f"infantjax.{name}" for name in CHECKED], "array_types.check_arrays")

from infantjax import cache as runtime  # noqa: E402

# Chosen with --hypothesis-profile; a test whose examples take long names fewer.
settings.register_profile("few", max_examples=20, deadline=None)
settings.register_profile("many", max_examples=1000, deadline=None)
settings.load_profile("few")


def pytest_configure(config: pytest.Config) -> None:
    """Programs of one shape are compiled once for the whole session, in the processes that tests start too.

    JAX reads the variables when it is imported, so they are set before any test module is. Workers have them from the
    process that starts them, and so one folder. With a limit to its size JAX locks it: threads and processes would read
    what another is still writing.

    Compiling takes most of the time of the tests, so XLA leaves out most of its optimizations, but for the tests that
    compare with reference vectors (`optimized`) and where the variable says otherwise.
    """
    os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
    if "PYTEST_XDIST_WORKER" in os.environ:
        return
    runtime.shorten_compilation()
    folder = tempfile.mkdtemp(prefix="infantjax-tests-")
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    os.environ |= {
        "INFANTJAX_CACHE": folder,
        "INFANTJAX_OFFLINE": "1",  # no test fetches public weights
        "JAX_COMPILATION_CACHE_DIR": f"{folder}/xla",
        "JAX_COMPILATION_CACHE_MAX_SIZE": str(2**31),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.2",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "0",
    }


def pytest_collection_finish() -> None:
    """What was imported is no garbage, and traces hold few cycles: collecting took a twelfth of all time."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


def pytest_sessionfinish() -> None:
    """What is left is collected once: pytest does so five times at the end, a second each for what JAX keeps."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def optimized(request: pytest.FixtureRequest) -> Iterator[None]:
    """Programs of tests that compare with reference vectors are compiled as those of users are."""
    if "shared" not in request.fixturenames:
        yield
        return
    import jax

    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", before)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with reference vectors and real input beside the project; tests that need it skip without it."""
    folder = Path(__file__).resolve().parents[2] / "shared"
    if not (folder / "golden").is_dir():
        pytest.skip("reference vectors are missing: they are expected in ../shared beside the project")
    return folder


@pytest.fixture(scope="session")
def toy() -> ModuleType:
    """The module `toy.py` beside this file: `toy.Toy`, `toy.CONFIG`, `toy.toy_cohort()`, `toy.toy_folds()`."""
    spec = importlib.util.spec_from_file_location("toy", Path(__file__).with_name("toy.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def ensemble_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved ensemble of two small ST-GCN with random weights: compiles in a second and means nothing."""
    import jax

    from infantjax import models
    from infantjax.nn.initializers import initialize
    from infantjax.recording.preprocessing import REFERENCE
    from infantjax.settings import to_settings
    from infantjax.weights.ensemble import Ensemble, EnsembleInfo, Member, save_ensemble

    entry, overrides = models.get("st-gcn"), {"widths": [4, 8]}
    module, x = entry.build(**overrides), np.zeros((1, *entry.input_shape), np.float32)
    variables = initialize(module, jax.random.split(jax.random.key(3), 2), x)
    info = {
        "skeleton": "in-motion-19",
        "preprocessing": to_settings(REFERENCE),
        "threshold": 0.5,
        "validated": False,
        "statement": "Random weights, made for a test.",
    }
    folder = tmp_path_factory.mktemp("weights") / "ensemble"
    save_ensemble(Ensemble((Member("st-gcn", variables, overrides),), EnsembleInfo.from_dict(info)), folder)
    return folder


@pytest.fixture(scope="session")
def pose_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of EfficientPose RT Lite with random weights and the norms folded in: it reads and means nothing."""
    from infantjax.models.entry import variable_shapes
    from infantjax.pose.importers.keras_layers import efficientpose_layers
    from infantjax.pose.networks.efficientpose import build

    network, rng = build("rt-lite", early_heads=False), np.random.default_rng(0)
    params = variable_shapes(network, (64, 64, 3))["params"]
    arrays = {}
    for place in efficientpose_layers(network, "rt-lite"):
        leaf = params
        for key in place.path:
            leaf = leaf[key]
        shape = leaf["kernel"].shape
        kernel = rng.standard_normal(shape) * (2 / np.prod(shape[:-1] if len(shape) == 4 else shape[:2])) ** 0.5
        depthwise = place.path[-1] == "depthwise"
        if place.norm is None:
            kernel = 0.01 * kernel
        arrays[f"{place.layer}/kernel"] = (kernel[..., None] if depthwise else kernel).astype(np.float32)
        # Maps of about a half: every point is confident.
        arrays[f"{place.layer}/bias"] = np.full(shape[-1], 0.5 if place.norm is None else 0, np.float32)
    path = tmp_path_factory.mktemp("pose") / "random.npz"
    np.savez(path, **arrays)
    return path


@pytest.fixture(scope="session")
def lifting_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of a small VideoPose3D with random weights: it reads and means nothing."""
    rng, kernels = np.random.default_rng(0), {"expand_conv": (8, 34, 3), "layers_conv.0": (8, 8, 3)}
    kernels |= {"layers_conv.1": (8, 8, 1), "shrink": (51, 8, 1)}
    arrays = {f"{name}.weight": 0.3 * rng.standard_normal(shape) for name, shape in kernels.items()}
    for name in list(kernels)[:-1]:
        norm = name.replace("conv", "bn")
        arrays |= {f"{norm}.{part}": rng.uniform(0.5, 1, 8) for part in ("weight", "running_mean", "running_var")}
        arrays[f"{norm}.bias"] = rng.standard_normal(8)
    arrays["shrink.bias"] = rng.standard_normal(51)
    path = tmp_path_factory.mktemp("lifting") / "random.npz"
    np.savez(path, **{name: array.astype(np.float32) for name, array in arrays.items()})
    return path


@pytest.fixture(scope="session")
def videos() -> SimpleNamespace:
    """Makes videos: `picture(index, height, width)` and `write(path, frames, ...)`.

    Red grows to the right and green downwards, so every corner can be told; a blue square of 16 pixels moves.
    """
    import av

    def picture(index: int, height: int = 120, width: int = 160) -> np.ndarray:
        y, x = np.mgrid[:height, :width]
        image = np.stack([x * 200 // width, y * 200 // height, np.zeros_like(x)], -1).astype(np.uint8)
        left = 10 + 2 * index % max(width - 30, 1)
        image[40:56, left : left + 16] = (0, 0, 255)
        return image

    def write(
        path: Path,
        frames: int = 30,
        fps: int = 30,
        codec: str = "libx264",
        height: int = 120,
        width: int = 160,
        times: list[int] | None = None,
        pix_fmt: str = "yuv420p",
        **options: Any,
    ) -> Path:
        """A video; `times` in milliseconds instead of a constant rate."""
        with av.open(str(path), "w", **options) as container:
            stream = container.add_stream(codec, rate=1000 if times else fps)
            stream.height, stream.width, stream.pix_fmt = height, width, pix_fmt
            if codec == "libx264":
                stream.options = {"crf": "10", "preset": "ultrafast"}
            for index in range(frames):
                frame = av.VideoFrame.from_ndarray(picture(index, height, width), format="rgb24")
                if times:
                    frame.pts, frame.time_base = times[index], Fraction(1, 1000)
                for packet in stream.encode(frame):
                    container.mux(packet)
            for packet in stream.encode():
                container.mux(packet)
        return path

    return SimpleNamespace(picture=picture, write=write)


@pytest.fixture
def with_its_peak() -> Callable[..., tuple[str, int]]:
    """Runs code in a process of its own: `with_its_peak(code, *arguments)` gives what it printed and its peak in bytes.

    Not by `getrusage`: its peak begins with the memory of the process that started the other one.
    """
    if not Path("/proc/self/status").exists():
        pytest.skip("the peak of a process is read from /proc, which this system lacks")
    tell = "\nimport sys; print(*(l for l in open('/proc/self/status') if l[:5] == 'VmHWM'), file=sys.stderr)"

    def run(code: str, *arguments: object) -> tuple[str, int]:
        command = [sys.executable, "-c", code + tell, *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr[-800:]
        return done.stdout, 1024 * int(re.findall(r"^VmHWM:\s*(\d+) kB", done.stderr, re.M)[-1])

    return run


class Clock:
    """A clock that only sleeping moves: `clock()` and `clock.sleep(seconds)`."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    """For what is played at its own rate, as fast as it is read."""
    return Clock()


@pytest.fixture
def streamed() -> Iterator[Callable[[Path], str]]:
    """Sends a video once over TCP, as a camera in the network does: `streamed(path)` is the address."""
    import av

    with contextlib.ExitStack() as stack:

        def serve(path: Path) -> str:
            stream = io.BytesIO()
            with av.open(str(path)) as source, av.open(stream, "w", format="mpegts") as target:
                copied = target.add_stream_from_template(source.streams.video[0])
                for packet in source.demux(video=0):
                    if packet.dts is not None:
                        packet.stream = copied
                        target.mux(packet)
            server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            server.settimeout(20)

            def send() -> None:
                connection, _ = server.accept()
                with connection, contextlib.suppress(OSError):
                    connection.sendall(stream.getvalue())

            sender = threading.Thread(target=send, name="camera")
            stack.callback(sender.join, 20)
            sender.start()
            return f"tcp://127.0.0.1:{server.getsockname()[1]}"

        yield serve


@pytest.fixture
def clip(tmp_path: Path, videos: SimpleNamespace) -> Path:
    """A second of H.264, 30 frames of 160x120 pixels."""
    return videos.write(tmp_path / "clip.mp4")


@pytest.fixture(scope="session")
def baby_moves_variables() -> Callable[[Mapping[str, np.ndarray], str], dict[str, Any]]:
    """Reference weights of Baby Moves in the shape of our variables: `variables(arrays, prefix)`.

    Without `mean` and `var` (gradients) there are only `params`.
    """

    def variables(z: Mapping[str, np.ndarray], prefix: str) -> dict[str, Any]:
        def norm(name: str, *what: str) -> dict[str, np.ndarray]:
            return {w: z[f"{prefix}{name}.{w}"] for w in what}

        blocks = {f"block{i}": (f"conv{i}.kernel", f"bn{i}") for i in (1, 2, 3)}
        if f"{prefix}meta_conv.kernel" in z:
            blocks["metadata_branch"] = ("meta_conv.kernel", "meta_bn")
        params: dict[str, Any] = {
            name: {"kernel": z[prefix + kernel], "norm": norm(bn, "scale", "bias")}
            for name, (kernel, bn) in blocks.items()
        }
        if "metadata_branch" in params:
            params["metadata_branch"]["kernel"] = params["metadata_branch"]["kernel"][0]
        params["dense"] = norm("dense", "kernel", "bias")
        params["logit"] = norm("out", "kernel", "bias")
        units = {"kernel": z[f"{prefix}attention.W"].T, "bias": z[f"{prefix}attention.b"]}
        params["attention"] = {"units": units, "context": z[f"{prefix}attention.u"]}
        if f"{prefix}bn1.mean" not in z:
            return {"params": params}
        stats = {name: {"norm": norm(bn, "mean", "var")} for name, (_, bn) in blocks.items()}
        return {"params": params, "batch_stats": stats}

    return variables
