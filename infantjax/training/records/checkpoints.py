"""Checkpoints of a stack of runs: one folder, one process, every byte digested, nothing half-written is ever used.

An epoch is written by Orbax under a temporary name and renamed when it is whole. Orbax does not notice flipped bits in
the array data, so the SHA-256 of every leaf lies beside them as a JSON item of the same step and is compared on
loading; a damaged step is named and the step before it is used. What the training is (configuration, data, splits,
network) is stored with every step, and another training is refused.
"""

import contextlib
import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import jax
import numpy as np

from infantjax.errors import InputError
from infantjax.files import canonical_json, locked, sha256
from infantjax.progress import LOGGER
from infantjax.training.state import TrainState

FOLDER = "checkpoints"
FORMAT = 3


def _is_not_of_orbax(record: logging.LogRecord) -> bool:
    return "orbax" not in Path(record.pathname).parts


class CheckpointStore:
    """The checkpoints below a folder, as a context manager that holds the folder's lock.

    Args:
        directory: the training's folder, made if missing; checkpoints lie in its `checkpoints/`.
        setup: all that must be equal for a training to be continued, JSON-compatible.
        keep: how many of the newest steps are kept.

    Raises:
        InputError: the folder cannot be made or written, or another process trains in it.
    """

    def __init__(self, directory: str | Path, setup: Mapping[str, Any], keep: int = 3) -> None:
        self.directory = Path(directory).absolute()
        # As JSON gives it back: tuples become lists.
        self.setup = json.loads(canonical_json(dict(setup)))
        self.keep = keep
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "CheckpointStore":
        import orbax.checkpoint as ocp

        self._ocp = ocp
        with contextlib.ExitStack() as entering, self.writing():
            # Orbax logs every directory that it makes or skips; what a user needs to know is said here. Messages of
            # others that use absl pass.
            logger = logging.getLogger("absl")
            logger.addFilter(_is_not_of_orbax)
            entering.callback(logger.removeFilter, _is_not_of_orbax)
            (self.directory / FOLDER).mkdir(parents=True, exist_ok=True)
            entering.enter_context(locked(self.directory))
            options = ocp.CheckpointManagerOptions(
                max_to_keep=self.keep,
                enable_async_checkpointing=False,
                cleanup_tmp_directories=True,
                create=False,
                # Other processes have no part in it, so none must be waited for.
                multiprocessing_options=self._processes(),
            )
            # Whatever it holds is on the disk when it is left; a program that ends without that loses the step.
            self._manager = entering.enter_context(ocp.CheckpointManager(self.directory / FOLDER, options=options))
            self._stack = entering.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _processes(self) -> Any:
        options = self._ocp.options.MultiprocessingOptions
        return options(0, {0}, "infantjax") if jax.process_count() > 1 else options()

    def save(self, epoch: int, state: TrainState) -> None:
        """Write the state after an epoch; it is on the disk when this returns.

        Raises:
            InputError: the folder cannot be written (full disk, read-only, removed); earlier epochs are kept.
        """
        leaves = {name: np.asarray(leaf) for name, leaf in _named_leaves(state)}
        manifest = {"format": FORMAT, "setup": self.setup, "leaves": {n: sha256(leaf) for n, leaf in leaves.items()}}
        items = self._ocp.args.Composite(
            state=self._ocp.args.StandardSave({"bytes": _packed(leaves)}),
            manifest=self._ocp.args.JsonSave({**manifest, "sha256": sha256(canonical_json(manifest).encode())}),
        )
        with self.writing():
            saved = self._manager.save(epoch, args=items)
        if not saved:
            raise InputError(self.directory, f"epoch {epoch} is there already", "use a new folder")

    def restore(self, shapes: TrainState) -> tuple[int, TrainState] | None:
        """The newest whole state of this training, with its epoch; None if there is none.

        Damaged steps are logged and removed, and the step before them is used.

        Args:
            shapes: abstract state, which the checkpoint must fit.

        Raises:
            InputError: the folder holds another training (the message says what differs), or all steps are damaged.
        """
        damaged = []
        for epoch in sorted(self._manager.all_steps(), reverse=True):
            try:
                state = self._load(epoch, shapes)
            except _Damaged as damage:
                damaged.append(f"epoch {epoch}: {damage}")
                LOGGER.warning("%s: damaged (%s), not used", self.directory / FOLDER / str(epoch), damage)
                continue
            for step in [s for s in self._manager.all_steps() if s > epoch]:
                self._manager.delete(step)
            return epoch, state
        if damaged:
            raise InputError(
                self.directory, f"no checkpoint is whole ({'; '.join(damaged)})", "remove the folder and train again"
            )
        return None

    def _load(self, epoch: int, shapes: TrainState) -> TrainState:
        args = self._ocp.args
        manifest = self._read(epoch, manifest=args.JsonRestore())["manifest"]
        digest = manifest.pop("sha256", None) if isinstance(manifest, dict) else None
        if digest is None or digest != sha256(_json_or_damaged(manifest).encode()):
            raise _Damaged("its manifest has been changed")
        if manifest["format"] != FORMAT:
            raise InputError(
                self.directory, f"was written in format {manifest['format']}", "continue it with the version it is from"
            )
        if difference := _difference(manifest["setup"], self.setup):
            raise InputError(
                self.directory,
                f"holds another training: {difference}",
                "continue with the same settings and data, or use another folder",
            )
        wanted = dict(_named_leaves(shapes))
        size = sum(leaf.size * leaf.dtype.itemsize for leaf in wanted.values())
        abstract = {"bytes": jax.ShapeDtypeStruct((size,), np.uint8)}
        leaves = _unpacked(self._read(epoch, state=args.StandardRestore(abstract))["state"]["bytes"], wanted)
        for name, expected in manifest["leaves"].items():
            if name not in leaves or sha256(leaves[name]) != expected:
                raise _Damaged(f"leaf {name} is not what was written")
        return jax.tree.unflatten(jax.tree.structure(shapes), list(leaves.values()))

    def _read(self, epoch: int, **items: Any) -> Any:
        try:
            return self._manager.restore(epoch, args=self._ocp.args.Composite(**items))
        except Exception as error:  # Orbax reports damage as a dozen types, `Exception` among them
            raise _Damaged(f"{type(error).__name__} on reading") from error

    @contextlib.contextmanager
    def writing(self) -> Iterator[None]:
        """Turn what the operating system says into one line."""
        try:
            yield
        except OSError as error:
            raise InputError(self.directory, f"cannot be written ({error.strerror or error})", _KEPT) from error
        except ValueError as error:
            # TensorStore passes the system's reason on as text.
            reason = next((r for r in _REASONS if r.lower() in str(error).lower()), None)
            if reason is None:
                raise
            raise InputError(self.directory, f"cannot be written ({reason})", _KEPT) from error


class _Damaged(Exception):
    """A step that cannot be used."""


_KEPT = "finished epochs are kept; make room or give another folder, and run the same command again"
_REASONS = ("No space left on device", "File too large", "Read-only file system", "Permission denied", "Disk quota")


def _named_leaves(state: TrainState) -> list[tuple[str, Any]]:
    leaves = jax.tree_util.tree_leaves_with_path(state)
    return [(jax.tree_util.keystr(path, simple=True, separator="."), leaf) for path, leaf in leaves]


def _packed(leaves: Mapping[str, np.ndarray]) -> np.ndarray:
    """All leaves as one array of bytes, in their order.

    With a tree of arrays Orbax fails on damage once for each leaf, in the background, a page of text each time.
    It is also a copy: on a CPU the arrays that JAX hands out are the buffers which the next epoch overwrites.
    """
    return np.frombuffer(b"".join(np.ascontiguousarray(leaf).tobytes() for leaf in leaves.values()), np.uint8)


def _unpacked(packed: np.ndarray, wanted: Mapping[str, Any]) -> dict[str, np.ndarray]:
    data, start, leaves = np.asarray(packed), 0, {}
    for name, leaf in wanted.items():
        stop = start + leaf.size * leaf.dtype.itemsize
        leaves[name] = np.frombuffer(data[start:stop].tobytes(), leaf.dtype).reshape(leaf.shape)
        start = stop
    return leaves


def _json_or_damaged(value: Any) -> str:
    try:
        return canonical_json(value)
    except ValueError as error:
        raise _Damaged("its manifest has been changed") from error


def _difference(stored: Any, wanted: Any, name: str = "") -> str:
    """The first difference in words, empty if there is none: `config.learning_rate was 0.0005, now 0.001`."""
    if isinstance(stored, dict) and isinstance(wanted, dict):
        differences = (
            _difference(stored.get(key), wanted.get(key), f"{name}.{key}" if name else key)
            for key in sorted({*stored, *wanted})
        )
        return next((d for d in differences if d), "")
    if stored == wanted:
        return ""
    if (first := name.partition(".")[0]) in ("data", "splits", "variables"):
        return f"{first} differ"
    return f"{name} was {json.dumps(stored)}, now {json.dumps(wanted)}"
