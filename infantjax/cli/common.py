"""What several commands share: options, checks of them, and what is told to the user."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import arg

from infantjax.errors import InputError
from infantjax.progress import LOGGER

SystemName = Literal["groos", "mam", "baby-moves", "sma"]
Output = Annotated[Path, arg(aliases=["-o"], metavar="DIR")]


def say(text: str, quiet: bool = False) -> None:
    """Log a message for the user, on standard error."""
    if not quiet:
        LOGGER.warning(text)


def note(lines: Iterable[str], quiet: bool = False) -> None:
    """What the user should know, a line each."""
    for line in lines:
        say(f"note: {line}", quiet)


@contextmanager
def checked(where: str | Path = "options", remedy: str = "") -> Iterator[None]:
    """A wrong call of the library is, for the user of a command, a wrong option.

    Raises:
        InputError: for a `ValueError`.
    """
    try:
        yield
    except ValueError as error:
        raise InputError(where, str(error), remedy) from error


@contextmanager
def written(path: Path, remedy: str = "give another place") -> Iterator[None]:
    """What the system refuses to write is told with its place.

    Raises:
        InputError: for an `OSError`.
    """
    try:
        yield
    except OSError as error:
        raise InputError(path, f"cannot be written ({error.strerror or error})", remedy) from error


def prepare_process(distributed: str | None = None) -> None:
    """What a command that computes sets for its process; a library must not, so importing infantjax does not."""
    from infantjax import cache as runtime

    runtime.keep_freed_memory()
    runtime.use_compilation_cache()
    if distributed is not None:
        from infantjax.training import distributed as processes

        processes.join(distributed)


def require_fps(fps: float | None) -> None:
    """A frame rate that a recording can have."""
    if fps is not None and not 0 < fps <= 1000:
        raise InputError("--fps", f"is {fps}, must be above 0 and at most 1000", "give frames per second")


def require_known(format: str | None, skeleton: str | None = None) -> None:
    """The names of a format and of a keypoint set, before any file is opened."""
    from infantjax import formats as readers
    from infantjax import skeletons

    if format is not None and format not in readers.FORMATS:
        raise InputError("--format", f'is "{format}", known are {", ".join(readers.FORMATS)}')
    if skeleton is not None and skeleton not in skeletons.SKELETONS:
        raise InputError("--skeleton", f'is "{skeleton}", known are {", ".join(skeletons.SKELETONS)}')
