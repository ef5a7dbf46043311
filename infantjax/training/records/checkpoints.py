"""Checkpoints of a stack of runs: one file an epoch, one process, nothing half-written or damaged is ever used.

A file is named after its epoch and the SHA-256 of its content, so a damaged one is noticed; it is named in a warning,
and the epoch before it is used. What the training is (configuration, data, splits, network) is stored with every
epoch, and another training is refused.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import safetensors.numpy
from safetensors import safe_open

from infantjax.errors import InputError
from infantjax.files import canonical_json, locked, sha256, write_atomically
from infantjax.progress import LOGGER
from infantjax.training.state import TrainState

FOLDER = "checkpoints"
KEPT = 3
"""Newest epochs that are kept."""


class CheckpointStore(NamedTuple):
    """The checkpoints of a training; see `open_checkpoints`.

    Attributes:
        directory: the training's folder; checkpoints lie in its `checkpoints/`.
        setup: all that must be equal for a training to be continued, as JSON holds it.
    """

    directory: Path
    setup: dict[str, Any]

    @property
    def files(self) -> dict[int, Path]:
        """Epoch -> file, ascending."""
        found = (self.directory / FOLDER).glob("[0-9]*-*.safetensors")
        return dict(sorted((int(path.name.partition("-")[0]), path) for path in found))

    def save(self, epoch: int, state: TrainState) -> None:
        """Write the state after an epoch; it is on the disk when this returns.

        Raises:
            InputError: the folder cannot be written (full disk, read-only, removed); earlier epochs are kept.
        """
        leaves = {name: np.asarray(leaf) for name, leaf in _named_leaves(state).items()}
        data = safetensors.numpy.save(leaves, {"setup": canonical_json(self.setup)})
        with self.writing():
            write_atomically(self.directory / FOLDER / f"{epoch}-{sha256(data)}.safetensors", data)
            for stale in list(self.files.values())[:-KEPT]:
                stale.unlink()

    def restore(self, shapes: TrainState) -> tuple[int, TrainState] | None:
        """The newest whole state of this training, with its epoch; None if there is none.

        Damaged epochs are logged and removed, and the one before them is used.

        Args:
            shapes: abstract state, which the checkpoint must fit.

        Raises:
            InputError: the folder holds another training (the message says what differs), or all epochs are damaged.
        """
        damaged = []
        for epoch, path in reversed(self.files.items()):
            if path.stem != f"{epoch}-{sha256(path)}":
                damaged.append(path)
                LOGGER.warning("%s: damaged, not used", path)
                continue
            state = self._load(path, shapes)
            for each in damaged:
                each.unlink()
            return epoch, state
        if damaged:
            raise InputError(self.directory, "no checkpoint is whole", "remove the folder and train again")
        return None

    def _load(self, path: Path, shapes: TrainState) -> TrainState:
        with safe_open(path, "numpy") as file:
            stored = json.loads(file.metadata()["setup"])
            leaves = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        wanted = _named_leaves(shapes)
        differing = difference(stored, self.setup)
        if not differing and _forms(leaves) != _forms(wanted):
            differing = "the state of the network or the optimizer has other arrays"
        if differing:
            what = f"holds another training: {differing}"
            raise InputError(self.directory, what, "continue with the same settings and data, or use another folder")
        return jax.tree.unflatten(jax.tree.structure(shapes), [leaves[name] for name in wanted])

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Turn what the operating system says into one line."""
        try:
            yield
        except OSError as error:
            remedy = "finished epochs are kept; make room or give another folder, and run the same command again"
            raise InputError(self.directory, f"cannot be written ({error.strerror or error})", remedy) from error


@contextlib.contextmanager
def open_checkpoints(directory: str | Path, setup: Mapping[str, Any]) -> Iterator[CheckpointStore]:
    """The checkpoints of a training, whose folder is made if missing and locked until this ends.

    Args:
        directory: the training's folder.
        setup: all that must be equal for a training to be continued, JSON-compatible.

    Raises:
        InputError: the folder cannot be made or written, or another process trains in it.
    """
    # As JSON gives it back: tuples become lists.
    store = CheckpointStore(Path(directory).absolute(), json.loads(canonical_json(dict(setup))))
    with locked(store.directory):
        with store.writing():
            folder = store.directory / FOLDER
            folder.mkdir(exist_ok=True)
            for half_written in folder.glob(".tmp-*"):
                half_written.unlink()
        yield store


def _named_leaves(state: TrainState) -> dict[str, Any]:
    leaves = jax.tree_util.tree_leaves_with_path(state)
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}


def _forms(leaves: Mapping[str, Any]) -> dict[str, tuple[Any, ...]]:
    """Shape and dtype of each leaf."""
    return {name: (leaf.shape, np.dtype(leaf.dtype)) for name, leaf in leaves.items()}


def difference(stored: Any, wanted: Any, name: str = "") -> str:
    """The first difference of two JSON values in words, empty if there is none: `config.learning_rate was 1, now 2`."""
    both = isinstance(stored, dict) and isinstance(wanted, dict)
    if both and (not name or stored.keys() == wanted.keys()):
        differences = (
            difference(stored.get(key), wanted.get(key), f"{name}.{key}" if name else key)
            for key in sorted({*stored, *wanted})
        )
        return next((d for d in differences if d), "")
    if stored == wanted:
        return ""
    if (first := name.partition(".")[0]) in ("data", "splits", "variables"):
        return f"{first} differ"
    was, now = (json.dumps(value)[:80] for value in (stored, wanted))
    return f"{name} was {was}, now {now}"
