"""The program `infantjax`: finds the command that is meant, runs it, and says in one line what is wrong with its input.

Exit status: 0 done; 1 some recordings of a batch failed, the rest were done; 2 bad input or options, one line on
standard error; 130 interrupted. Results go to standard output, everything else to standard error.
"""

import atexit
import contextlib
import inspect
import os
import sys
from collections.abc import Sequence
from typing import Annotated

import tyro
from tyro.conf import FlagCreatePairsOff, OmitArgPrefixes, subcommand

from infantjax import __version__
from infantjax.cli.assess import Assess, Demo
from infantjax.cli.cohort import Folds, Simulate
from infantjax.cli.convert import Convert, Export
from infantjax.cli.evaluate import Evaluate
from infantjax.cli.models import Models
from infantjax.cli.pose import Pose
from infantjax.cli.search import Search
from infantjax.cli.train import Crossval, Train
from infantjax.errors import InputError, MissingExtraError
from infantjax.progress import LOGGER, configure_logging


def _help(command: type) -> str:
    """The whole docstring, with its example, which the parser would leave out."""
    return inspect.cleandoc(command.__doc__ or "")


Command = (
    Annotated[Demo, subcommand("demo", description=_help(Demo))]
    | Annotated[Assess, subcommand("assess", description=_help(Assess))]
    | Annotated[Pose, subcommand("pose", description=_help(Pose))]
    | Annotated[Crossval, subcommand("crossval", description=_help(Crossval))]
    | Annotated[Train, subcommand("train", description=_help(Train))]
    | Annotated[Folds, subcommand("folds", description=_help(Folds))]
    | Annotated[Search, subcommand("search", description=_help(Search))]
    | Annotated[Evaluate, subcommand("evaluate", description=_help(Evaluate))]
    | Annotated[Simulate, subcommand("simulate", description=_help(Simulate))]
    | Annotated[Models, subcommand("models", description=_help(Models))]
    | Annotated[Convert, subcommand("convert", description=_help(Convert))]
    | Annotated[Export, subcommand("export", description=_help(Export))]
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command and end the process with its status."""
    status = 1  # of an error that nobody expected
    # What is registered first is called last: when threads have ended and all else has been closed.
    atexit.register(lambda: _leave(status))
    status = run(sys.argv[1:] if arguments is None else arguments)
    sys.exit(status)


def _leave(status: int) -> None:
    """End the process as it stands. Python would first take apart all that JAX made, which takes it half a second."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # its reader has gone, see `run`
        pass
    except OSError:
        status = status or 1
    with contextlib.suppress(OSError):
        sys.stderr.flush()
    os._exit(status)


def run(arguments: Sequence[str]) -> int:
    """Run a command; returns the exit status."""
    if list(arguments) == ["--version"]:
        print(f"infantjax {__version__}")
        return 0
    try:
        command = tyro.cli(
            OmitArgPrefixes[FlagCreatePairsOff[Command]],  # type: ignore[arg-type,misc]
            prog="infantjax",
            description="Video-based infant movement analysis. Try: infantjax demo",
            args=list(arguments),
        )
    except SystemExit as leave:
        return leave.code if isinstance(leave.code, int) else 2
    configure_logging(quiet=getattr(command, "quiet", False))
    try:
        return command.run()  # type: ignore[attr-defined]
    except (InputError, MissingExtraError) as error:
        if command.debug:  # type: ignore[attr-defined]
            raise
        LOGGER.error("infantjax: %s", error)
        return 2
    except KeyboardInterrupt:
        LOGGER.error("infantjax: interrupted; what was finished is kept")
        return 130
    except BrokenPipeError:
        # The reader of our output has gone (`| head`): that ends the output, it is no error.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
