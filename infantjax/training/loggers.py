"""Where the figures of a training go, epoch by epoch: TensorBoard, JSON lines, Weights & Biases, MLflow.

A logger is opened at the first epoch of this process. Where a training was interrupted, epochs that are run again
replace those of before.
"""

import contextlib
import importlib
import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Literal, Protocol

from infantjax.errors import InputError, MissingExtraError, one_line
from infantjax.files import sha256, write_atomically
from infantjax.places import shown
from infantjax.progress import LOGGER

LoggerName = Literal["tensorboard", "jsonl", "wandb", "mlflow"]
"""Name of a logger, see `LOGGERS`."""
TENSORBOARD, JSON_LINES = "tensorboard", "log.jsonl"
"""Names of what lies in the folder of a training."""


class Logger(Protocol):
    """Receives the figures of a stack of runs. It is made with the training's folder, run ids and first epoch."""

    def write(self, epoch: int, figures: Sequence[Mapping[str, float]]) -> None:
        """Figures after an epoch.

        Args:
            epoch: counted from 1.
            figures: finite values by name, of each run.

        Raises:
            OSError: they cannot be written.
        """

    def close(self) -> None:
        """End. What was written is on the disk or sent."""


class TensorBoardLogger:
    """Events of each run in a folder of its own, under the same tag for every run, so that runs lie over each other.

    Args:
        directory: of the training.
        run_ids: number of each run.
        epoch: the first one.
    """

    def __init__(self, directory: Path, run_ids: Sequence[int], epoch: int) -> None:
        # tensorboardX's own front end has a thread and a queue for each writer, which a stack of 70 runs does not
        # need and which tell a full disk as several tracebacks.
        from tensorboardX.event_file_writer import EventsWriter
        from tensorboardX.proto.event_pb2 import Event, SessionLog

        self._writers = []
        for run in run_ids:
            folder = directory / TENSORBOARD / f"run-{run:03d}"
            folder.mkdir(parents=True, exist_ok=True)
            writer = EventsWriter(str(folder / "events"), f".epoch-{epoch}")
            # Events of epochs that are run again after an interruption give way to the new ones.
            writer.write_event(Event(step=epoch, session_log=SessionLog(status=SessionLog.START)))
            self._writers.append(writer)

    def write(self, epoch: int, figures: Sequence[Mapping[str, float]]) -> None:
        """See `Logger`."""
        from tensorboardX.proto.event_pb2 import Event
        from tensorboardX.summary import scalar

        for writer, values in zip(self._writers, figures):
            for name, value in values.items():
                writer.write_event(Event(wall_time=time.time(), step=epoch, summary=scalar(name, value)))
            writer.flush()

    def close(self) -> None:
        """See `Logger`."""
        for writer in self._writers:
            # What could not be written was told when it was flushed.
            with contextlib.suppress(OSError):
                writer.close()


class JsonLinesLogger:
    """A line a run and epoch in `log.jsonl`: `{"run": 0, "epoch": 1, "training_loss": 0.7, ...}`.

    Args:
        directory: of the training.
        run_ids: number of each run.
        epoch: the first one; lines of earlier epochs are kept.
    """

    def __init__(self, directory: Path, run_ids: Sequence[int], epoch: int) -> None:
        path, self.run_ids = directory / JSON_LINES, run_ids
        lines = path.read_text("utf-8").splitlines(keepends=True) if path.exists() else []
        write_atomically(path, "".join(line for line in lines if _is_before(line, epoch)))
        self._stream = path.open("a", encoding="utf-8", newline="\n")

    def write(self, epoch: int, figures: Sequence[Mapping[str, float]]) -> None:
        """See `Logger`."""
        for run, values in zip(self.run_ids, figures):
            self._stream.write(json.dumps({"run": run, "epoch": epoch, **values}) + "\n")
        self._stream.flush()

    def close(self) -> None:
        """See `Logger`."""
        with contextlib.suppress(OSError):
            self._stream.close()


def _is_before(line: str, epoch: int) -> bool:
    """Whether a line of `log.jsonl` is whole and of an earlier epoch."""
    try:
        return line.endswith("\n") and json.loads(line)["epoch"] < epoch
    except (ValueError, KeyError, TypeError):
        return False


class WandbLogger:
    """A run of Weights & Biases for the stack, with the names `run-000/training_loss`; extra `wandb`.

    Nothing leaves this machine unless WANDB_MODE says `online`: infants' data are private. Offline runs lie in `wandb/`
    of the training's folder; `wandb sync` sends them. Only figures are logged, no settings, code or names of infants.

    Args:
        directory: of the training.
        run_ids: number of each run.
        epoch: the first one.
    """

    def __init__(self, directory: Path, run_ids: Sequence[int], epoch: int) -> None:
        wandb = _import("wandb", "wandb")
        self.run_ids = run_ids
        with _opening("wandb"):
            self._run = wandb.init(
                project="infantjax",
                name=directory.name,
                id=_identity(directory),
                resume="allow",
                dir=str(directory),
                mode=os.environ.get("WANDB_MODE", "offline"),
                save_code=False,
                settings=wandb.Settings(disable_git=True, silent=True),
            )

    def write(self, epoch: int, figures: Sequence[Mapping[str, float]]) -> None:
        """See `Logger`."""
        with _logging("wandb"):
            self._run.log(_flat(self.run_ids, figures), step=epoch)

    def close(self) -> None:
        """See `Logger`."""
        with _logging("wandb"):
            self._run.finish()


class MlflowLogger:
    """A run of MLflow for the stack, with the names `run-000/training_loss`; extra `mlflow`.

    It is written into `mlflow.db` of the training's folder, unless MLFLOW_TRACKING_URI names a server.

    Args:
        directory: of the training.
        run_ids: number of each run.
        epoch: the first one.
    """

    def __init__(self, directory: Path, run_ids: Sequence[int], epoch: int) -> None:
        mlflow = _import("mlflow", "mlflow")
        self.run_ids, self._metric = run_ids, mlflow.entities.Metric
        with _opening("mlflow"):
            uri = os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{directory.absolute() / 'mlflow.db'}"
            self._client = mlflow.MlflowClient(tracking_uri=uri)
            found = self._client.get_experiment_by_name("infantjax")
            experiment = found.experiment_id if found else self._client.create_experiment("infantjax")
            tag = _identity(directory)
            runs = self._client.search_runs([experiment], filter_string=f"tags.training = '{tag}'")
            run = (
                runs[0]
                if runs
                else self._client.create_run(experiment, run_name=directory.name, tags={"training": tag})
            )
            self._id = run.info.run_id

    def write(self, epoch: int, figures: Sequence[Mapping[str, float]]) -> None:
        """See `Logger`."""
        now = int(1000 * time.time())
        metrics = [self._metric(name, value, now, epoch) for name, value in _flat(self.run_ids, figures).items()]
        with _logging("mlflow"):
            for first in range(0, len(metrics), 1000):  # the most that it takes at once
                self._client.log_batch(self._id, metrics=metrics[first : first + 1000])

    def close(self) -> None:
        """See `Logger`."""
        with _logging("mlflow"):
            self._client.set_terminated(self._id)


LOGGERS: dict[str, Callable[[Path, Sequence[int], int], Logger]] = {
    "tensorboard": TensorBoardLogger,
    "jsonl": JsonLinesLogger,
    "wandb": WandbLogger,
    "mlflow": MlflowLogger,
}
"""Name -> logger."""


def require_loggers(names: Sequence[str]) -> None:
    """Refuse loggers whose library is not installed, before a training begins.

    Raises:
        MissingExtraError: names the first such library.
    """
    for name in names:
        if name in ("wandb", "mlflow"):
            _import(name, name)


_QUIET = {"WANDB_ERROR_REPORTING": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
"""What keeps both libraries from sending reports on their use, unless the environment says otherwise."""


def _import(library: str, extra: str) -> ModuleType:
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    try:
        return importlib.import_module(library)
    except ImportError:
        raise MissingExtraError(library, extra) from None


def _identity(directory: Path) -> str:
    """The same for each process that continues a training."""
    return sha256(shown(str(directory.absolute())))[:16]


def _flat(run_ids: Sequence[int], figures: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """The figures of all runs as one mapping."""
    return {f"run-{r:03d}/{name}": value for r, values in zip(run_ids, figures) for name, value in values.items()}


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
    """Log the errors of such a library; the training goes on without these figures."""
    try:
        yield
    except Exception as error:  # as above
        LOGGER.warning("%s: figures are lost (%s: %s)", library, type(error).__name__, one_line(str(error))[:200])
