"""A file that is being recognised: what every format may ask of it, read once."""

from functools import cached_property
from pathlib import Path

from infantjax.motion.readers import edge, text


class Source:
    """A path that passed the checks of the edge, with what has been read of it so far.

    Attributes:
        path: the file or folder.
        kind: what its bytes are.
    """

    def __init__(self, path: Path, trust_suffix: bool = True) -> None:
        self.path = path
        self.kind: edge.Kind = edge.kind_of(path, trust_suffix)

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
