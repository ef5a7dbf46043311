"""`Source`: a file while its format is found; each part that formats ask for is read once."""

import os
from functools import cached_property
from pathlib import Path
from typing import Any

from infantjax.formats import checks, hdf5, json_file, text


class Source:
    """A file or folder whose parts are read when they are first needed.

    Attributes:
        path: the file or folder.
        kind: the kind of its content.
    """

    def __init__(self, path: Path, trust_suffix: bool = True) -> None:
        self.path = path
        self.kind: checks.Kind = checks.kind_of(path, trust_suffix)

    @cached_property
    def dialect(self) -> text.Dialect:
        """Encoding and separator of a text table."""
        return text.dialect_of(self.path)

    @cached_property
    def first_cells(self) -> list[str]:
        """Cells of the first line of a text table that is not blank; empty for other kinds."""
        if self.kind != "text":
            return []
        return next((cells for _, cells in text.rows(self.path, self.dialect)), [])

    @cached_property
    def document(self) -> Any:
        """The value of a JSON file; None for other kinds."""
        return json_file.load(self.path) if self.kind == "json" else None

    @cached_property
    def json_names(self) -> list[str]:
        """Names of the .json files in a folder, without hidden ones; empty for other kinds."""
        if self.kind != "folder":
            return []
        with checks.damage(self.path, "a folder"):
            return [n for n in os.listdir(self.path) if n.lower().endswith(".json") and not n.startswith((".", "~"))]

    @cached_property
    def hdf5(self) -> hdf5.Content | None:
        """The content of an HDF5 file; None for other kinds."""
        return hdf5.load(self.path) if self.kind == "hdf5" else None
