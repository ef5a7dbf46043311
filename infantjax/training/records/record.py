"""The record of a training in its folder, `training.json`; every training of networks writes it by `write_training`."""

from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from infantjax import places
from infantjax.errors import InputError
from infantjax.files import canonical_json, write_atomically
from infantjax.training.execution import distributed
from infantjax.weights.ensemble import Ensemble, save_ensemble

RECORD = "training.json"
"""Name of the record of a training in its folder."""


def versions() -> dict[str, str]:
    """Versions of the libraries that a training depends on, by name."""
    return {name: version(name) for name in ("infantjax", "jax", "flax", "optax", "numpy")}


def write_training(
    directory: str | Path,
    ensemble: Ensemble,
    record: Mapping[str, Any],
    write_tables: Callable[[], None] = lambda: None,
) -> Ensemble:
    """Write an ensemble, its tables and the record of its training; of several processes the main one does.

    Args:
        directory: created if missing.
        ensemble: what was trained.
        record: JSON-compatible; no times, paths or device counts, so that the same training gives the same bytes.
        write_tables: writes what else belongs into the folder.

    Returns:
        The saved ensemble.

    Raises:
        InputError: the directory cannot be written.
    """
    if not distributed.is_main_process():
        return ensemble
    directory = Path(directory)
    try:
        ensemble = save_ensemble(ensemble, directory)
        write_tables()
        write_atomically(directory / RECORD, canonical_json(record))
        places.publish_progress(directory)
    except OSError as error:
        raise InputError(directory, f"cannot be written ({error.strerror})", "make room and run it again") from error
    return ensemble
