"""Assess a part of the recordings on each of many machines, and merge their summaries."""

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self, TypeVar

from infantjax.errors import InputError
from infantjax.report import table
from infantjax.report.table import Row

T = TypeVar("T")

_FOLDER = re.compile(r"shard-(\d+)-of-(\d+)")


@dataclass(frozen=True)
class Shard:
    """One of several equal parts of a batch.

    Attributes:
        number: which part, from 1.
        count: of the parts.

    Raises:
        ValueError: the number is not within 1..count.
    """

    number: int
    count: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.count:
            limits = f"1/{self.count}..{self.count}/{self.count}"
            raise ValueError(f"is {self.number}/{self.count}, must be within {limits}")

    @classmethod
    def parse(cls, text: str) -> Self:
        """A shard from `3/16`.

        Raises:
            ValueError: the text is no shard.
        """
        found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
        if found is None:
            raise ValueError(f'is "{text}", must be NUMBER/COUNT such as 3/16')
        return cls(*map(int, found.groups()))

    @property
    def folder(self) -> str:
        """Name of the folder of its results."""
        return f"shard-{self.number:0{len(str(self.count))}}-of-{self.count}"

    def take(self, items: Sequence[T]) -> list[T]:
        """Its items: every `count`-th, so that no two shards have one in common and all have nearly as many."""
        return list(items[self.number - 1 :: self.count])


def find_summaries(folders: Iterable[Path]) -> list[Path]:
    """The summaries in folders of results, or in the folders of shards within them.

    Raises:
        InputError: a folder without results, or one that lacks some of its shards.
    """
    found: list[Path] = []
    for folder in folders:
        whole = folder / "summary.csv"
        shards = sorted(path for path in folder.glob("shard-*/summary.csv") if _FOLDER.fullmatch(path.parent.name))
        if not shards and not whole.is_file():
            raise InputError(folder, "holds no summary.csv and no shards", "give folders that infantjax assess wrote")
        if shards:
            _require_all(folder, [path.parent.name for path in shards])
        found += shards or [whole]
    return found


def _require_all(folder: Path, names: Iterable[str]) -> None:
    numbers = [tuple(map(int, found.groups())) for name in names if (found := _FOLDER.fullmatch(name))]
    counts = {count for _, count in numbers}
    if len(counts) > 1:
        what = f"holds shards of {' and of '.join(map(str, sorted(counts)))}"
        raise InputError(folder, what, "name the folders of one division")
    (count,) = counts
    if missing := sorted(set(range(1, count + 1)) - {number for number, _ in numbers}):
        what = f"lacks shard {missing[0]} of {count}" + (f" and {len(missing) - 1} more" if missing[1:] else "")
        raise InputError(folder, what, f"run infantjax assess with --shard {missing[0]}/{count}")


def merge_summaries(summaries: Iterable[Path], output: Path) -> list[Row]:
    """The rows of several summaries, each recording once, sorted by id.

    A result takes the place of an error of the same id.

    Args:
        summaries: CSV files of assessments.
        output: the CSV file that will hold the rows; the links to their pages are relative to its folder.

    Raises:
        InputError: a file is no summary, or two hold different results of one id.
    """
    rows: dict[str, tuple[Row, Path]] = {}
    for path in summaries:
        if not path.is_file():
            raise InputError(path, "does not exist", "check the path")
        for row in table.read_summary(path):
            earlier, where = rows.get(row.id, (row, path))
            if "error" not in (earlier.status, row.status) and replace(earlier, page=row.page) != row:
                what = f'holds another result of "{row.id}" than {where}'
                raise InputError(path, what, "merge the results of one assessment only")
            if row.id not in rows or earlier.status == "error":
                rows[row.id] = row, path
    return [_moved(row, path.parent, output.parent) for _, (row, path) in sorted(rows.items())]


def _moved(row: Row, source: Path, target: Path) -> Row:
    """A row whose link to its page is relative to another folder."""
    if not row.page:
        return row
    return replace(row, page=Path(os.path.relpath(source / row.page, target)).as_posix())
