"""Public checkpoints of the methods, found by the git blob id of the file and imported as ensembles."""

import importlib
from pathlib import Path

from infantjax.errors import InputError
from infantjax.files import git_blob_id
from infantjax.lazy import discover
from infantjax.weights.ensemble import Ensemble

SUFFIXES = (".pth", ".tar")
"""Suffixes of checkpoints."""


def import_checkpoint(path: str | Path) -> Ensemble:
    """A public checkpoint as an ensemble.

    The packages of methods list the files that they read as `CHECKPOINTS = {"weights": ("<git blob id>",)}`; the module
    has `import_ensemble(path)`.

    Raises:
        InputError: no file, or one whose content no method knows.
    """
    if not Path(path).is_file():
        raise InputError(path, "is not a file", "check the path")
    known, blob = discover("CHECKPOINTS"), git_blob_id(path)
    if blob not in known:
        what = f"is no known public checkpoint (its git blob id is {blob})"
        raise InputError(path, what, "download it again, or import it from Python")
    found: Ensemble = importlib.import_module(known[blob]).import_ensemble(path)
    return found
