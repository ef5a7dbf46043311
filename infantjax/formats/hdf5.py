"""HDF5 files of other programs, read in a child process (`hdf5_child.py`).

The HDF5 library can hang or crash on a damaged file. A child that exceeds its time or dies gives one `InputError`. The
child checks declared sizes, links and types before it reads anything.
"""

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
from infantjax.files import MAX_ARCHIVE_RATIO, MAX_HDF5_BYTES, MAX_POINTS

TIME_LIMIT = 15.0
"""Seconds that reading may take, plus one for every 20 MB."""

_AGAIN = "export the file again"


@dataclass(frozen=True)
class Content:
    """The parts of an HDF5 file that the formats need.

    Attributes:
        path: the file.
        names: members of the root.
        groups: groups of the root with the layout of pandas.
        arrays: name -> values. A field of a table is `group/table/field`, an attribute `name@attribute`.
    """

    path: Path
    names: tuple[str, ...]
    groups: tuple[str, ...]
    arrays: dict[str, np.ndarray]

    def array(self, name: str, kinds: str = "fiu") -> np.ndarray:
        """The values of a data set of one of these kinds of dtype.

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
        """An attribute of a data set as text, int or bytes; None if it has none."""
        value = self.arrays.get(f"{name}@{attribute}")
        return None if value is None else value.item() if value.ndim == 0 else value.tobytes()


def load(path: Path) -> Content:
    """Read the parts of an HDF5 file that the formats need.

    Raises:
        InputError: the file is damaged or over a limit, or the library hangs or crashes on it.
    """
    size = path.stat().st_size
    limits = {
        "file": size,
        "bytes": MAX_HDF5_BYTES,
        "ratio": MAX_ARCHIVE_RATIO,
        "small": 1 << 20,
        "texts": 64 * MAX_POINTS,
        "memory": 4 * MAX_HDF5_BYTES,
    }
    child = Path(__file__).with_name("hdf5_child.py")
    # An absolute path never looks like an option. A single thread keeps the address space small.
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
        raise InputError(path, "is a damaged HDF5 file: reading it takes too long", _AGAIN) from None
    if done.returncode != 0 or not done.stdout:
        raise InputError(path, "is a damaged HDF5 file: the HDF5 library crashes on it", _AGAIN)
    with np.load(io.BytesIO(done.stdout), allow_pickle=False) as answer:
        info = json.loads(answer["info"].tobytes())
        if info["error"] is not None:
            raise InputError(path, info["error"], _AGAIN)
        arrays = {name: answer[str(number)] for number, name in enumerate(info["arrays"])}
    return Content(path, tuple(info["names"]), tuple(info["groups"]), arrays)
