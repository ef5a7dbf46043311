"""Programs that are kept between processes: found again, made again where damaged, never taken from a shared folder."""

import os
import subprocess
import sys

import jax
import pytest
from jax.experimental.compilation_cache import compilation_cache

from infantjax import cache as runtime

OPTIONS = (
    "jax_compilation_cache_dir",
    "jax_compilation_cache_max_size",
    "jax_persistent_cache_min_compile_time_secs",
    "jax_persistent_cache_min_entry_size_bytes",
)


@pytest.fixture(autouse=True)
def unchanged(monkeypatch):
    """The process as it was before."""
    before = {name: getattr(jax.config, name) for name in OPTIONS}
    monkeypatch.setattr(runtime, "_folder", None)
    yield
    for name, value in before.items():
        jax.config.update(name, value)
    compilation_cache.reset_cache()


class Made:
    """Counts how often it is made."""

    def __init__(self, content: bytes = b"made") -> None:
        self.times, self.content = 0, content

    def __call__(self) -> bytes:
        self.times += 1
        return self.content


def test_content_is_made_once_for_each_key(tmp_path):
    runtime.use_compilation_cache(tmp_path)
    first, again, other = Made(), Made(), Made()
    runtime.kept("onnx", ["key", 1], first)
    assert runtime.kept("onnx", ["key", 1], again) == b"made"
    runtime.kept("onnx", ["key", 2], other)
    assert (first.times, again.times, other.times) == (1, 0, 1)
    assert len(list(tmp_path.glob("*.onnx"))) == 2


def test_the_oldest_content_goes_where_the_limit_is_reached(tmp_path, monkeypatch):
    monkeypatch.setitem(runtime._CACHE_BYTES, "kept", 1000)
    runtime.use_compilation_cache(tmp_path)
    (tmp_path / "old.traced").write_bytes(bytes(900))
    os.utime(tmp_path / "old.traced", (1, 1))
    (tmp_path / "program-cache").write_bytes(bytes(900))
    for number in range(3):
        runtime.kept("onnx", number, Made(bytes(400)))
    assert not (tmp_path / "old.traced").exists()
    assert (tmp_path / "program-cache").exists()
    assert len(list(tmp_path.glob("*.onnx"))) == 2


@pytest.mark.parametrize("damage", [lambda b: b"", lambda b: b[:67] + bytes([b[67] ^ 1]) + b[68:]])
def test_damaged_content_is_made_again_and_replaced(tmp_path, damage):
    runtime.use_compilation_cache(tmp_path)
    runtime.kept("onnx", "key", Made())
    (path,) = tmp_path.glob("*.onnx")
    path.write_bytes(damage(path.read_bytes()))
    again, last = Made(), Made()
    runtime.kept("onnx", "key", again)
    runtime.kept("onnx", "key", last)
    assert (again.times, last.times) == (1, 0)


def test_other_code_or_another_version_is_another_program(tmp_path, monkeypatch):
    runtime.use_compilation_cache(tmp_path)
    runtime.kept("onnx", "key", Made())
    monkeypatch.setattr(runtime, "_code", lambda: ["another"])
    again = Made()
    runtime.kept("onnx", "key", again)
    assert again.times == 1


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="permissions of POSIX")
def test_a_folder_that_others_can_write_is_not_used(tmp_path):
    tmp_path.chmod(0o777)
    runtime.use_compilation_cache(tmp_path)
    runtime.kept("onnx", "key", Made())
    assert not list(tmp_path.iterdir())


def test_what_a_killed_process_left_half_written_is_removed(tmp_path):
    for name in ("whole-cache", "whole-atime", "torn-cache", "kept.onnx"):
        (tmp_path / name).write_bytes(bytes(8))
    runtime.use_compilation_cache(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} - {".lockfile"} == {"whole-cache", "whole-atime", "kept.onnx"}


def test_jax_locks_the_folder(tmp_path):
    code = "import jax, sys; from infantjax import cache as runtime; runtime.use_compilation_cache(sys.argv[1]); "
    code += "jax.config.update('jax_persistent_cache_min_compile_time_secs', 0); print(jax.jit(lambda x: x + 1)(1))"
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "2"
    stamps = {path.name.removesuffix("-atime") for path in tmp_path.glob("*-atime")}
    # A stamp for each program: JAX held the lock.
    assert stamps
    assert stamps == {path.name.removesuffix("-cache") for path in tmp_path.glob("*-cache")}


@pytest.fixture
def cpu_only(monkeypatch):
    """An environment without options and without plugins of other backends."""
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    monkeypatch.setattr(runtime.importlib.util, "find_spec", lambda name: None)


def test_compilation_is_shortened_behind_the_flags_that_are_there(cpu_only, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=2")
    runtime.shorten_compilation()
    first, second = os.environ["XLA_FLAGS"].split()
    assert first == "--xla_force_host_platform_device_count=2"
    assert second.startswith("--xla_backend_extra_options=")
    runtime.shorten_compilation()
    assert os.environ["XLA_FLAGS"].split() == [first, second]


def test_compilation_is_not_touched_where_a_gpu_would_read_the_options(cpu_only, monkeypatch):
    monkeypatch.setattr(runtime.importlib.util, "find_spec", lambda name: name == "jax_plugins" or None)
    runtime.shorten_compilation()
    assert "XLA_FLAGS" not in os.environ
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    runtime.shorten_compilation()
    assert "XLA_FLAGS" in os.environ


def test_one_core_gets_two_threads_as_their_number_changes_no_result_from_there_on(monkeypatch):
    monkeypatch.delenv("NPROC", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1}, raising=False)
    runtime.use_two_threads()
    assert "NPROC" not in os.environ
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3})
    runtime.use_two_threads()
    assert os.environ.pop("NPROC") == "2"
    monkeypatch.setenv("NPROC", "1")
    runtime.use_two_threads()
    assert os.environ["NPROC"] == "1"


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no process can be kept on one core here")
def test_an_assessment_is_equal_to_the_last_digit_on_one_core_and_on_several(tmp_path):
    code = "import os, sys\nfrom infantjax import cli\n{}\ncli.main(['demo', '-o', sys.argv[1]])"
    for name, pinned in (("one", "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})"), ("all", "")):
        subprocess.run([sys.executable, "-c", code.format(pinned), tmp_path / name], check=True, capture_output=True)
    one, several = ((tmp_path / name / "demo_infant.json").read_bytes() for name in ("one", "all"))
    assert one == several
