"""A file that is being recognized: what every format may ask of it, read once."""

import os
from functools import cached_property
from pathlib import Path
from typing import Any

from infantjax.formats import checks, hdf5, json_file, text


class Source:
    """A path that passed the checks of the edge, with what has been read of it so far.

    Attributes:
        path: the file or folder.
        kind: what its bytes are.
    """

    def __init__(self, path: Path, trust_suffix: bool = True) -> None:
        self.path = path
        self.kind: checks.Kind = checks.kind_of(path, trust_suffix)

    @cached_property
    def dialect(self) -> text.Dialect:
        """How a text table is written."""
        return text.dialect_of(self.path)

    @cached_property
    def first_cells(self) -> list[str]:
        """Cells of the first line that is not blank; empty for what is not a text table."""
        if self.kind != "text":
            return []
        return next((cells for _, cells in text.rows(self.path, self.dialect)), [])

    @cached_property
    def document(self) -> Any:
        """The value of a JSON file; None for what is not one."""
        return json_file.load(self.path) if self.kind == "json" else None

    @cached_property
    def json_names(self) -> list[str]:
        """Names of the .json files in a folder, without hidden ones; empty for what is not a folder."""
        if self.kind != "folder":
            return []
        with checks.damage(self.path, "a folder"):
            return [n for n in os.listdir(self.path) if n.lower().endswith(".json") and not n.startswith((".", "~"))]

    @cached_property
    def hdf5(self) -> hdf5.Content | None:
        """What was read of an HDF5 file; None for what is not one."""
        return hdf5.load(self.path) if self.kind == "hdf5" else None
