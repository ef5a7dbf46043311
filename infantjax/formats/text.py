"""Text tables: encoding, separator, rows. Memory does not grow with the length of the file.

The parser is our own: pandas fills a short row with missing values silently, and its errors name no line and column.
"""

import csv
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import numpy as np
from jaxtyping import Float

from infantjax.errors import InputError
from infantjax.files import MAX_FILE_BYTES, MAX_FRAMES, MAX_LINE_CHARACTERS
from infantjax.formats.checks import damage

if TYPE_CHECKING:
    import pandas as pd

_FRAMES = 250
"""Frames of a table that are written at a time."""

MISSING = frozenset({"", "-", "--", ".", "na", "n/a", "nan", "none", "null", "missing"})
"""Cells that mean a missing value, in any case."""


@dataclass(frozen=True)
class Dialect:
    """How a text table is written.

    Attributes:
        encoding: of the file.
        separator: between cells.
        quote: character around cells.
    """

    encoding: str
    separator: str
    quote: str = '"'


def dialect_of(path: Path) -> Dialect:
    """Encoding (byte order mark, UTF-8, else Latin-1) and separator (`;`, tab or `,`) of a text table.

    Raises:
        InputError: the file cannot be read, or its first line is over the limit.
    """
    with damage(path, "a text table"), path.open("rb") as stream:
        head = stream.read(MAX_LINE_CHARACTERS)
    encoding = "utf-8-sig"
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    elif not _is_utf8(path):
        encoding = "latin-1"
    sample = head.decode(encoding, errors="replace").lstrip("\r\n\ufeff")
    quote = "|" if "|" in sample and '"' not in sample else '"'
    outside = "".join(sample.partition("\n")[0].split(quote)[::2])
    separator = max((";", "\t", ","), key=outside.count)
    return Dialect(encoding, separator, quote)


def rows(path: Path, dialect: Dialect) -> Iterator[tuple[int, list[str]]]:
    """(line number from 1, cells) of every line that is not blank; cells are stripped of white space.

    Raises:
        InputError: a line or cell over the limit, invalid text, or unbalanced quotes.
    """
    with damage(path, "a text table"), path.open(encoding=dialect.encoding, newline="") as stream:
        reader = csv.reader(
            _lines(path, stream), delimiter=dialect.separator, quotechar=dialect.quote, skipinitialspace=True
        )
        for cells in reader:
            if len(cells) > 1 or "".join(cells).strip():
                yield reader.line_num, cells


def _lines(path: Path, stream: TextIO) -> Iterator[str]:
    number = 0
    while line := stream.readline(MAX_LINE_CHARACTERS + 1):
        number += 1
        if len(line) > MAX_LINE_CHARACTERS:
            raise InputError(
                path, f"line {number} is longer than {MAX_LINE_CHARACTERS} characters", "is it a table at all?"
            )
        if "\0" in line:
            raise InputError(path, f"line {number} holds a zero byte", "export the table again")
        yield line


def _is_utf8(path: Path) -> bool:
    try:
        with path.open(encoding="utf-8") as stream:
            while stream.read(1 << 20):
                pass
    except UnicodeDecodeError:
        return False
    return True


def csv_parts(frames: int, table: "Callable[[slice], pd.DataFrame]") -> Iterator[bytes]:
    """A table with its index as CSV in UTF-8, NaN empty; made of some frames at a time, so that memory is bounded.

    Args:
        frames: their number.
        table: the rows of some frames.
    """
    for start in range(0, max(frames, 1), _FRAMES):
        part = table(slice(start, start + _FRAMES)).to_csv(header=start == 0, lineterminator="\n")
        yield part.encode("utf-8", errors="replace")


def header_of(path: Path, cells: Sequence[str]) -> list[str]:
    """The column names of a header line, without the empty name after a trailing separator.

    Raises:
        InputError: a column name occurs twice, or the line holds numbers instead of names.
    """
    names = [c.strip() for c in cells]
    while names and not names[-1]:
        names.pop()
    if names and all(is_number(n) for n in names):
        raise InputError(path, "has no header row: the first line holds numbers only", "add one with column names")
    seen: set[str] = set()
    for name in names:
        if name and name in seen:
            raise InputError(path, f'column "{name}" occurs twice', "remove one of them")
        seen.add(name)
    return names


def numbers(
    path: Path,
    lines: Iterator[tuple[int, list[str]]],
    header: Sequence[str],
    columns: Sequence[int],
    separator: str,
) -> tuple[Float[np.ndarray, "row column"], np.ndarray]:
    """The values of some columns of a text table.

    Args:
        path: for messages.
        lines: (line number, cells) after the header.
        header: names of all columns.
        columns: indices of the columns, in the order of the result.
        separator: between cells.

    Returns:
        float64 values, NaN for the cells of `MISSING`, and the line number of each row.

    Raises:
        InputError: a row has another length, a cell is no number, or there are too many rows.
    """
    width, values, line_numbers = len(header), array("d"), array("q")
    pick = itemgetter(*columns, columns[0])  # always a tuple; the extra cell is dropped again below
    for line, cells in lines:
        cells = check_width(path, line, cells, width)
        if len(line_numbers) >= MAX_FRAMES:
            raise InputError(path, f"has more than {MAX_FRAMES} rows", "split the recording")
        if len(values) * values.itemsize > MAX_FILE_BYTES:
            raise InputError(path, f"holds numbers of more than {MAX_FILE_BYTES / 1e9:.1f} GB", "split the recording")
        wanted = pick(cells)[:-1]
        try:
            # float() reads "1_000" as 1000, which no table means.
            row = [float(c) for c in wanted] if "_" not in "".join(wanted) else None
        except ValueError:
            row = None
        if row is None:
            row = [parse(path, line, header[i], cell, separator) for i, cell in zip(columns, wanted)]
        values.extend(row)
        line_numbers.append(line)
    return np.array(values, dtype=np.float64).reshape(-1, len(columns)), np.array(line_numbers, dtype=np.int64)


def check_width(path: Path, line: int, cells: list[str], width: int) -> list[str]:
    """The cells of a row, without the empty ones after a trailing separator.

    Raises:
        InputError: the number of cells is not that of the columns.
    """
    if len(cells) == width:
        return cells
    if len(cells) > width and not any(c.strip() for c in cells[width:]):
        return cells[:width]
    raise InputError(
        path, f"line {line} has {len(cells)} cells, the header {width}", "repair the line, or export the table again"
    )


def parse(path: Path, line: int, column: str, cell: str, separator: str) -> float:
    """Convert a cell to a number; NaN if it is one of `MISSING`.

    Raises:
        InputError: it is no number; the message names line and column.
    """
    text = cell.strip()
    if text.casefold() in MISSING:
        return float("nan")
    if text.count(",") == 1 and "." not in text:
        text = text.replace(",", ".")
    try:
        if "_" in text:
            raise ValueError
        return float(text)
    except ValueError:
        raise InputError(
            path, f'line {line}, column {column}: "{cell[:40]}" is not a number', "leave the cell empty if missing"
        ) from None


def is_number(text: str) -> bool:
    """Whether a cell holds a number, perhaps with a decimal comma."""
    try:
        float(text.replace(",", "."))
    except ValueError:
        return False
    return True
