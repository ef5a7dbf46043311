"""Help, options and exit status of every command."""

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

import infantjax
from infantjax import cli
from infantjax.cli.tools.models import Models

COMMANDS = list(cli.COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command_has_options_and_an_example_that_is_understood(run, command, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # a command writes its options beside its results
    outcome = run(*command.split(), "--help")
    assert outcome.status == 0
    text = "\n".join(outcome.out)
    examples = re.findall(rf"^ +infantjax {command} (.*)$", text.partition("Example:")[2], re.MULTILINE)
    assert examples, text
    # Each example is parsed and reaches its command, whose work is left out here.
    called = []
    monkeypatch.setattr(cli.command_type(command), "run", lambda self: called.append(self) or 0)
    for example in examples:
        assert run(*command.split(), *example.split()) == (0, [], [])
    assert len(called) == len(examples)
    undescribed = re.findall(r"^│ (--[a-z-]+(?: \S+)?) +\(default", text, re.MULTILINE)
    assert undescribed == []
    assert re.search(r"--debug\s+Show a traceback", text)


def test_the_program_lists_its_commands_and_tells_its_version(run):
    text = " ".join(run("--help").out)
    assert all(command in text for command in COMMANDS)
    assert run().status == 2
    assert run("--version") == (0, [f"infantjax {infantjax.__version__}"], [])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["asess"], 'command: "asess" does not exist; did you mean assess'),
        (["color"], 'command: "color" does not exist; known are demo, assess'),
        (["train", "a"], "train: Missing .*--output DIR.*; see infantjax train --help"),
        (["convert"], "convert: Missing .*INPUT.*OUTPUT"),
        (["convert", "a", "b", "c"], 'convert: "c" is one argument too many'),
        (["assess", "a.csv", "-o", "b", "--fsp", "30"], "assess: option --fsp does not exist; did you mean --fps"),
        (
            ["crossval", "a", "-o", "b", "--method", "mam", "--epochs", "9"],
            "--epochs does not exist; settings are .*--training.joint",
        ),
        (["crossval", "a", "-o", "b", "--epoch", "9"], "--epoch does not exist; did you mean --training.epochs"),
        (["assess", "a.csv", "-o", "b", "--fps", "fast"], "assess: Error parsing --fps: .*'fast'"),
        (["simulate", "-o", "b", "--method", "mom"], "simulate: invalid choice 'mom' for argument '--method'. Expect"),
        (["train", "pose", "a", "-o", "b", "--epochs", "0"], "train pose: epochs must be at least 1, got 0"),
    ],
)
def test_a_wrong_call_is_status_2_and_one_line(run, arguments, message):
    run(*arguments).refused(message)


def test_a_traceback_is_shown_on_request_only(run, tmp_path):
    with pytest.raises(infantjax.errors.InputError, match="does not exist"):
        cli.run(["convert", str(tmp_path / "nowhere.csv"), str(tmp_path / "b.csv"), "--debug"])


def test_an_interruption_is_status_130_and_what_the_system_refuses_one_line(run, monkeypatch):
    def stop(self):
        raise errors.pop()

    errors = [PermissionError(13, "Permission denied", "/secret/a\n.csv"), KeyboardInterrupt()]
    monkeypatch.setattr(Models, "run", stop)
    assert run("models") == (130, [], ["infantjax: interrupted; completed work is kept"])
    run("models").refused(r"/secret/a \.csv: cannot be read or written \(Permission denied\)")


IMPORTING = """import sys, time
class Finder:
    def find_spec(name, path, target=None):
        if name == "jaxlib._jax":
            signal.raise_signal(signal.SIGINT)
def work(self):
    sys.meta_path.insert(0, Finder)
    import jax
    time.sleep(30)
Models.run = work
"""
CALLBACK = """import time
class Lost:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)
def work(self):
    Lost()
    time.sleep(30)
Models.run = work
"""
AT_EXIT = """import os, threading, time
def work(self):
    threading.Thread(target=time.sleep, args=[30]).start()
    threading.Timer(1, os.kill, [os.getpid(), signal.SIGINT]).start()
    raise KeyboardInterrupt
Models.run = work
"""


@pytest.mark.parametrize(("when", "status"), [(IMPORTING, 130), (CALLBACK, 130), (AT_EXIT, -2)])
def test_an_interruption_at_any_moment_prints_one_line(when, status):
    script = f"import signal\nfrom infantjax.cli.tools.models import Models\n{when}"
    script += "from infantjax import cli\ncli.main(['models'])\n"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (status, "infantjax: interrupted; completed work is kept\n")


def installed() -> str:
    path = shutil.which("infantjax") or shutil.which("infantjax", path=str(Path(sys.executable).parent))
    return path or pytest.skip("the program is not installed")


BUFFERED = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
"""An environment in which a short output is written when the program ends, as usual."""


def ended(work: str, redirections: str = "", **options) -> subprocess.CompletedProcess:
    """What becomes of a process whose command does this work."""
    script = f"from infantjax import cli\ndef work(self):\n{textwrap.indent(work, ' ')}\n"
    script += "from infantjax.cli.tools.models import Models\nModels.run = work\ncli.main(['models'])\n"
    command = ["sh", "-c", f'exec "$0" -c "$1" {redirections}', sys.executable, script]
    return subprocess.run(command, stderr=subprocess.PIPE, text=True, timeout=60, env=BUFFERED, **options)


def test_a_reader_that_has_gone_before_the_output_comes_is_no_error():
    reading, writing = os.pipe()
    os.close(reading)
    done = ended("print('a line')\nreturn 0", stdout=writing)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_unexpected_error_is_status_1_with_its_traceback():
    done = ended("raise RuntimeError('unexpected')", stdout=subprocess.PIPE)
    assert done.returncode == 1
    assert done.stderr.startswith("Traceback")
    assert done.stderr.endswith("RuntimeError: unexpected\n")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
def test_results_that_could_not_be_written_are_no_success():
    with open("/dev/full", "w") as full:
        assert ended("print('a line')\nreturn 0", stdout=full).returncode == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no device that is always full")
@pytest.mark.parametrize("work", ["for i in range(99_999): print('a line')\nreturn 0", "print('x', flush=True)"])
def test_results_that_fill_the_device_midway_are_one_line(work):
    with open("/dev/full", "w") as full:
        done = ended(work, stdout=full)
    assert (done.returncode, done.stderr) == (
        1,
        "infantjax: output: cannot be read or written (No space left on device)\n",
    )


def test_a_closed_output_is_no_error_and_no_file_takes_its_place(tmp_path):
    path = tmp_path / "file"
    work = f"stream = open({str(path)!r}, 'w')\nprint('a line')\nreturn stream.fileno() < 3"
    done = ended(work, ">&- 2>&-")
    assert done.returncode == 0
    assert path.read_text() == ""


def test_a_backend_that_is_not_there_is_status_2_and_one_line(tmp_path):
    code = "from infantjax import cli\nassert cli.run(['benchmark']) == 2\ncli.main(['demo', '-o', 'out'])"
    environment = os.environ | {"JAX_PLATFORMS": "nowhere"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 2
    message = 'infantjax: JAX_PLATFORMS: "nowhere" cannot be used on this machine'
    remedy = "; set the environment variable to cpu, or unset it"
    lines = [line for line in done.stderr.splitlines() if line.startswith(message) and line.endswith(remedy)]
    assert len(lines) == 2
    assert "Traceback" not in done.stderr


def test_a_recording_is_assessed_by_the_installed_program(good, ensemble_folder, tmp_path):
    arguments = ["assess", "good.csv", "--fps", "30", "-o", "results", "--ensemble", ensemble_folder]
    done = subprocess.run(
        [installed(), *map(str, arguments)],
        cwd=tmp_path,
        env={
            "PATH": "/usr/bin:/bin",
            "HOME": str(tmp_path),
            "JAX_PLATFORMS": "cpu",
            "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
        },
        text=True,
        capture_output=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(
        r"good\.csv  risk 0\.\d{3}  (above|below) the threshold; (uncertain|the networks agree)\n", done.stdout
    )
    assert "note: Stated by its author: Random weights, made for a test." in done.stderr
    assert sorted(p.name for p in (tmp_path / "results").iterdir() if p.name[0] != ".") == [
        "assess.toml",
        "good.html",
        "good.json",
        "index.html",
        "summary.csv",
    ]
    assert any((tmp_path / ".cache" / "infantjax" / "xla").iterdir())


def test_a_message_is_printed_once_whatever_other_libraries_configure():
    work = "import logging\nlogging.basicConfig(level=0)\n"
    work += "from infantjax.cli.options.common import say\nsay('once')\nreturn 0"
    assert ended(work).stderr == "once\n"
