"""HDF5 that someone else wrote, read by a program of its own (`hdf5_child.py`).

The HDF5 library can run for ever or crash on a damaged file; a child that is stopped after a while, or dies, is one
`InputError` here. Declared sizes, links and types are checked in the child before anything is read.
"""

import base64
import io
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from infantjax.errors import InputError
from infantjax.files import MAX_ARCHIVE_RATIO, MAX_FILE_BYTES, MAX_POINTS

TIME_LIMIT = 15.0
"""Seconds that reading may take, besides one for every 20 MB."""

_AGAIN = "export the file again"


@dataclass(frozen=True)
class Content:
    """What was read of an HDF5 file.

    Attributes:
        path: the file.
        names: members at the top, and of the group that pandas wrote as `group/member`.
        groups: top groups of the shape that pandas writes.
        arrays: name -> values; a field of a table is `group/table/field`.
        attributes: name -> attribute -> text, bytes or number.
    """

    path: Path
    names: tuple[str, ...]
    groups: tuple[str, ...]
    arrays: dict[str, np.ndarray]
    attributes: dict[str, dict[str, Any]]

    def array(self, name: str, kinds: str = "fiu") -> np.ndarray:
        """The values of a data set.

        Raises:
            InputError: the file has none of that name and type.
        """
        values = self.arrays.get(name)
        if values is None or values.dtype.kind not in kinds:
            raise InputError(self.path, f"has no array {name}", _AGAIN)
        return values

    def texts(self, name: str) -> list[str]:
        """The entries of a data set of text."""
        return [str(t) for t in self.array(name, "U").tolist()]

    def attribute(self, name: str, attribute: str) -> Any:
        """An attribute of a data set, or None."""
        return self.attributes.get(name, {}).get(attribute)


def load(path: Path) -> Content:
    """Everything of an HDF5 file that a format may need.

    Raises:
        InputError: damaged, over a limit, or reading it did not end or crashed the library.
    """
    size = path.stat().st_size
    limits = {
        "file": size,
        "bytes": MAX_FILE_BYTES,
        "ratio": MAX_ARCHIVE_RATIO,
        "small": 1 << 20,
        "texts": 64 * MAX_POINTS,
        "memory": 4 * MAX_FILE_BYTES,
    }
    child = Path(__file__).with_name("hdf5_child.py")
    # An absolute path never looks like an option, and a single thread keeps the address space small.
    command = [sys.executable, "-P", str(child), str(path.absolute()), json.dumps(limits)]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "HDF5_PLUGIN_PRELOAD": "::"}
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=TIME_LIMIT + size / 20e6,
            env=environment,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise InputError(path, "is a damaged HDF5 file: reading it does not end", _AGAIN) from None
    if done.returncode != 0 or not done.stdout:
        raise InputError(path, "is a damaged HDF5 file: reading it ended the program that reads it", _AGAIN)
    with np.load(io.BytesIO(done.stdout), allow_pickle=False) as answer:
        info = json.loads(answer["info"].tobytes())
        if info["error"] is not None:
            raise InputError(path, info["error"], _AGAIN)
        arrays = {name: answer[str(number)] for name, number in info["arrays"].items()}
    attributes = {
        name: {k: base64.b64decode(v["bytes"]) if isinstance(v, dict) else v for k, v in found.items()}
        for name, found in info["attributes"].items()
    }
    return Content(path, tuple(info["names"]), tuple(info["groups"]), arrays, attributes)
