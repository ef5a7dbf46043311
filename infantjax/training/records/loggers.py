"""Loggers of a training, epoch by epoch: TensorBoard, JSON lines, Weights & Biases, MLflow.

A logger is a context manager of `(directory, runs, epoch)`: folder of the training, number of runs, and first epoch of
this process. It yields a function `write(epoch, metrics)`. Where a training was interrupted, epochs that are run again
replace those of before.
"""

import contextlib
import importlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import ModuleType
from typing import Literal

from infantjax.errors import InputError, MissingExtraError, one_line
from infantjax.files import sha256, write_atomically
from infantjax.places import shown
from infantjax.progress import LOGGER

LoggerName = Literal["tensorboard", "jsonl", "wandb", "mlflow"]
"""Name of a logger, see `LOGGERS`."""
TENSORBOARD, JSON_LINES = "tensorboard", "log.jsonl"
"""Names of the events and of the lines in the folder of a training."""
Metrics = Sequence[Mapping[str, float]]
"""Finite values by name, of each run."""
Write = Callable[[int, Metrics], None]
"""Writes the metrics after an epoch, counted from 1; raises `OSError` where they cannot be written."""


@contextlib.contextmanager
def tensorboard(directory: Path, runs: int, epoch: int) -> Iterator[Write]:
    """Events of each run in a folder of its own, under the same tag for every run, so that runs lie over each other."""
    # tensorboardX's own front end has a thread and a queue for each writer, which a stack of 70 runs does not need and
    # which report a full disk as several tracebacks.
    from tensorboardX.event_file_writer import EventsWriter
    from tensorboardX.proto.event_pb2 import Event, SessionLog
    from tensorboardX.summary import scalar

    writers = []
    for run in range(runs):
        folder = directory / TENSORBOARD / f"run-{run:03d}"
        folder.mkdir(parents=True, exist_ok=True)
        writers.append(EventsWriter(str(folder / "events"), f".epoch-{epoch}"))
        # Events of epochs that are run again after an interruption give way to the new ones.
        writers[-1].write_event(Event(step=epoch, session_log=SessionLog(status=SessionLog.START)))

    def write(epoch: int, metrics: Metrics) -> None:
        for writer, values in zip(writers, metrics):
            for name, value in values.items():
                writer.write_event(Event(wall_time=time.time(), step=epoch, summary=scalar(name, value)))
            writer.flush()

    try:
        yield write
    finally:
        for writer in writers:
            with contextlib.suppress(OSError):  # raised when it was flushed
                writer.close()


@contextlib.contextmanager
def json_lines(directory: Path, runs: int, epoch: int) -> Iterator[Write]:
    """A line a run and epoch in `log.jsonl`: `{"run": 0, "epoch": 1, "training_loss": 0.7, ...}`."""
    path = directory / JSON_LINES
    lines = path.read_text("utf-8").splitlines(keepends=True) if path.exists() else []
    write_atomically(path, "".join(line for line in lines if _is_before(line, epoch)))

    def write(epoch: int, metrics: Metrics) -> None:
        for run, values in enumerate(metrics):
            stream.write(json.dumps({"run": run, "epoch": epoch, **values}) + "\n")
        stream.flush()

    with path.open("a", encoding="utf-8", newline="\n") as stream:
        yield write


def _is_before(line: str, epoch: int) -> bool:
    """Whether a line of `log.jsonl` is whole and of an earlier epoch."""
    try:
        return line.endswith("\n") and json.loads(line)["epoch"] < epoch
    except (ValueError, KeyError, TypeError):
        return False


@contextlib.contextmanager
def wandb(directory: Path, runs: int, epoch: int) -> Iterator[Write]:
    """A run of Weights & Biases for the stack, with the names `run-000/training_loss`; extra `wandb`.

    Nothing leaves this machine unless WANDB_MODE says `online`: infants' data are private. Offline runs lie in `wandb/`
    of the training's folder; `wandb sync` sends them. Only metrics are logged, no settings, code or names of infants.
    """
    library = _import("wandb")
    with _opening("wandb"):
        run = library.init(
            project="infantjax",
            name=directory.name,
            id=_identity(directory),
            resume="allow",
            dir=str(directory),
            mode=os.environ.get("WANDB_MODE", "offline"),
            save_code=False,
            settings=library.Settings(disable_git=True, silent=True),
        )

    def write(epoch: int, metrics: Metrics) -> None:
        with _logging("wandb"):
            run.log(_flat(metrics), step=epoch)

    try:
        yield write
    finally:
        with _logging("wandb"):
            run.finish()


@contextlib.contextmanager
def mlflow(directory: Path, runs: int, epoch: int) -> Iterator[Write]:
    """A run of MLflow for the stack, with the names `run-000/training_loss`; extra `mlflow`.

    It is written into `mlflow.db` of the training's folder, unless MLFLOW_TRACKING_URI names a server.
    """
    library = _import("mlflow")
    with _opening("mlflow"):
        uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{directory.absolute() / 'mlflow.db'}"
        client = library.MlflowClient(tracking_uri=uri)
        found = client.get_experiment_by_name("infantjax")
        experiment = found.experiment_id if found else client.create_experiment("infantjax")
        tag = _identity(directory)
        known = client.search_runs([experiment], filter_string=f"tags.training = '{tag}'")
        run = known[0] if known else client.create_run(experiment, run_name=directory.name, tags={"training": tag})

    def write(epoch: int, metrics: Metrics) -> None:
        now = int(1000 * time.time())
        values = [library.entities.Metric(name, value, now, epoch) for name, value in _flat(metrics).items()]
        with _logging("mlflow"):
            for first in range(0, len(values), 1000):  # the most that it takes at once
                client.log_batch(run.info.run_id, metrics=values[first : first + 1000])

    try:
        yield write
    finally:
        with _logging("mlflow"):
            client.set_terminated(run.info.run_id)


LOGGERS: dict[str, Callable[[Path, int, int], AbstractContextManager[Write]]] = {
    "tensorboard": tensorboard,
    "jsonl": json_lines,
    "wandb": wandb,
    "mlflow": mlflow,
}
"""Name -> logger."""


def require_loggers(names: Sequence[str]) -> None:
    """Refuse loggers whose library is not installed, before a training begins.

    Raises:
        MissingExtraError: names the first such library.
    """
    for name in names:
        if name in ("wandb", "mlflow"):
            _import(name)


_QUIET = {"WANDB_ERROR_REPORTING": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
"""Keeps both libraries from sending reports on their use, unless the environment says otherwise."""


def _import(library: str) -> ModuleType:
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    try:
        return importlib.import_module(library)
    except ImportError:
        raise MissingExtraError(library, library) from None


def _identity(directory: Path) -> str:
    """The same for each process that continues a training."""
    return sha256(shown(str(directory.absolute())))[:16]


def _flat(metrics: Metrics) -> dict[str, float]:
    """The metrics of all runs as one mapping."""
    return {f"run-{run:03d}/{name}": value for run, values in enumerate(metrics) for name, value in values.items()}


@contextlib.contextmanager
def _opening(library: str) -> Iterator[None]:
    """Turn the errors of a library that logs elsewhere into one line."""
    try:
        yield
    except Exception as error:  # each library has its own, and those of its network client and its database
        what = f"cannot be used ({type(error).__name__}: {one_line(str(error))[:200]})"
        raise InputError(f"--log {library}", what, "check its settings, or leave it out") from error


@contextlib.contextmanager
def _logging(library: str) -> Iterator[None]:
    """Log the errors of such a library; the training goes on without these metrics."""
    try:
        yield
    except Exception as error:  # as above
        LOGGER.warning("%s: metrics are lost (%s: %s)", library, type(error).__name__, one_line(str(error))[:200])
