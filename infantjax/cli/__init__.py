"""The program `infantjax`: finds a command by its name, parses its options, runs it, and reports bad input.

A command is a frozen dataclass in a file of its own; its fields are its options. Only the module of the command that
was called is imported, and each imports what it computes with when it runs, so `infantjax --help` is fast.

Exit status: 0 success; 1 some recordings of a batch failed or are not assessable; 2 bad input or options, or all
recordings failed, one line on standard error; 130 interrupted. Results go to standard output, else to standard error.
"""

import contextlib
import importlib
import inspect
import os
import signal
import sys
import threading
from collections.abc import Sequence
from types import FrameType
from typing import TYPE_CHECKING, Any

from infantjax.engine import THREAD
from infantjax.errors import InputError, MissingExtraError, one_line
from infantjax.progress import LOGGER, configure_logging
from infantjax.version import __version__

if TYPE_CHECKING:
    from infantjax.cli.options.common import Command

COMMANDS = {
    "demo": "assessment.demo:Demo",
    "assess": "assessment.assess:Assess",
    "pose": "pose.pose:Pose",
    "pose depth": "pose.pose_depth:PoseDepth",
    "pose markers": "pose.pose_markers:PoseMarkers",
    "lift": "pose.lift:Lift",
    "choose-frames": "pose.choose_frames:ChooseFrames",
    "crossval": "training.crossval:Crossval",
    "train": "training.train:Train",
    "train pose": "training.train_pose:TrainPose",
    "train depth": "training.train_depth:TrainDepth",
    "search": "training.search:Search",
    "search status": "training.search:Status",
    "search best": "training.search:Best",
    "search export": "training.search:ExportTrials",
    "search analyze": "training.search:Analyze",
    "search ensemble": "training.search_ensemble:SearchEnsemble",
    "split": "training.split:Split",
    "evaluate": "evaluation.evaluate:Evaluate",
    "evaluate pose": "evaluation.evaluate_pose:EvaluatePose",
    "raters clips": "evaluation.raters:Clips",
    "raters evaluate": "evaluation.raters:EvaluateRaters",
    "study init": "study.init:Init",
    "study run": "study.run:Run",
    "simulate": "tools.simulate:Simulate",
    "models": "tools.models:Models",
    "weights list": "tools.weights:List",
    "weights fetch": "tools.weights:Fetch",
    "weights verify": "tools.weights:Verify",
    "convert": "tools.convert:Convert",
    "export": "tools.export:Export",
    "benchmark": "tools.benchmark:Benchmark",
}
"""Name -> module and class of each command."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and end the process with its status."""
    LOGGER.propagate = False  # libraries that are imported later may print every message of the root logger
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by the caller: no file that is opened later may take its place
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115
    sys.unraisablehook = _repeat_lost_interruption
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else ignored by the caller
        signal.signal(signal.SIGINT, _interrupt)
    status = run(sys.argv[1:] if arguments is None else arguments)
    if status == 130:  # threads may still compile: a second Ctrl-C does not wait for them
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has closed the pipe, for example `| head`
        _discard_output()
    except OSError as error:
        LOGGER.error("infantjax: standard output: cannot be written (%s)", error.strerror)
        _discard_output()
        status = status or 1
    if any(thread.name == THREAD for thread in threading.enumerate()):
        os._exit(status)  # of an interrupted search: what trains or compiles is not waited for
    sys.exit(status)


def run(arguments: Sequence[str]) -> int:
    """Run a command.

    Args:
        arguments: command line without the name of the program.

    Returns:
        The exit status.
    """
    arguments = list(arguments)
    configure_logging(quiet="--quiet" in arguments)
    try:
        return _run(arguments)
    except (InputError, MissingExtraError) as error:
        if "--debug" in arguments:
            raise
        LOGGER.error("infantjax: %s", error)
        return 2
    except KeyboardInterrupt:
        LOGGER.error("infantjax: interrupted; completed work is kept")
        return 130
    except BrokenPipeError:
        _discard_output()
        return 0
    except OSError as error:
        if "--debug" in arguments:
            raise
        if error.filename is None:
            _discard_output()
        where = one_line(error.filename or "output")
        LOGGER.error("infantjax: %s: cannot be read or written (%s)", where, error.strerror or error)
        return 2 if error.filename else 1


def _run(arguments: list[str]) -> int:
    # Here, so that Ctrl-C is caught while they load.
    from infantjax.cli import parsing

    if arguments == ["--version"]:
        print(f"infantjax {__version__}")
        return 0
    if not arguments or arguments[0] in ("-h", "--help"):
        print(overview())
        return 0 if arguments else 2
    name = parsing.find_command(arguments, list(COMMANDS))
    command = parsing.parse(command_type(name), name, arguments[len(name.split()) :])
    if command is None:
        return 0
    return execute(command, name)


def execute(command: "Command", name: str) -> int:
    """Run a command and write its options beside its results.

    Args:
        command: with its options.
        name: a key of `COMMANDS`.

    Returns:
        The exit status.
    """
    from infantjax.cli import config_file
    from infantjax.cli.options.places import local
    from infantjax.files import umask

    os.umask(umask())  # folders and videos too are for their owner only
    command.check_paths()
    options = "" if command.results is None else config_file.to_toml(command, name)
    with local(command) as at_hand:
        status = at_hand.run()
        if status < 2:
            config_file.write(at_hand.results, at_hand.common.config, name, options)
        return status


def command_type(name: str) -> "type[Command]":
    """The class of a command.

    Args:
        name: a key of `COMMANDS`.
    """
    module, attribute = COMMANDS[name].split(":")
    return getattr(importlib.import_module(f"infantjax.cli.{module}"), attribute)


def overview() -> str:
    """The help of the program: one line a command."""
    lines = ["usage: infantjax COMMAND [OPTIONS]", "", "Video-based infant movement analysis. Try: infantjax demo", ""]
    for name in COMMANDS:
        summary = inspect.cleandoc(command_type(name).__doc__ or "").partition("\n")[0]
        lines.append(f"  {name:<16}{summary}")
    return "\n".join([*lines, "", "`infantjax COMMAND --help` shows the options of a command and an example."])


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Raise `KeyboardInterrupt`, but not within an import: a native module that it meets there aborts the process."""
    within = frame
    while within is not None:
        if within.f_code.co_filename.startswith("<frozen importlib"):
            return _interrupt_later()
        within = within.f_back
    raise KeyboardInterrupt


def _repeat_lost_interruption(unraisable: Any) -> None:
    """Interrupt once more where Ctrl-C met a callback, which cannot raise: JAX has one at each garbage collection."""
    if unraisable.exc_type is KeyboardInterrupt:
        _interrupt_later()
    else:
        sys.__unraisablehook__(unraisable)


def _interrupt_later() -> None:
    threading.Timer(0.05, os.kill, [os.getpid(), signal.SIGINT]).start()


def _discard_output() -> None:
    """Send what is still buffered nowhere, so that Python does not fail on it when it exits."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
