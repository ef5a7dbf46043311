"""Assess a part of the recordings on each of many machines, and merge their summaries."""

import json
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self, TypeVar

from infantjax.errors import InputError
from infantjax.report import table
from infantjax.report.table import Row

T = TypeVar("T")

TO_ASSESS = ".shard"
"""Name of the file in the folder of a shard that lists the ids of its recordings, before any is assessed."""
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
        InputError: a folder without results, or one that lacks shards or recordings of its shards.
    """
    found: list[Path] = []
    for folder in folders:
        whole = folder / "summary.csv"
        shards = {Shard(*numbers): path for path in sorted(folder.glob("shard-*")) if (numbers := _numbers(path))}
        if not shards and not whole.is_file():
            raise InputError(folder, "holds no summary.csv and no shards", "give folders that infantjax assess wrote")
        if shards:
            _require_all(folder, shards)
        found += [path / "summary.csv" for path in shards.values()] or [whole]
    return found


def _numbers(folder: Path) -> tuple[int, ...]:
    """Number and count of the shard whose results a folder holds; nothing for another folder."""
    found = _FOLDER.fullmatch(folder.name)
    return tuple(map(int, found.groups())) if found else ()


def _require_all(folder: Path, shards: Mapping[Shard, Path]) -> None:
    """Refuse a division of which a shard is not there, or was interrupted before its last recording."""
    counts = sorted({shard.count for shard in shards})
    if len(counts) > 1:
        what = f"holds shards of {' and of '.join(map(str, counts))}"
        raise InputError(folder, what, "name the folders of one division")
    lacks = {}
    for shard in (Shard(number, counts[0]) for number in range(1, counts[0] + 1)):
        left, of = _left(shards.get(shard))
        if left:
            lacks[shard] = f"{shard.number} of {shard.count}" + (f" ({left} of {of} recordings)" if of > left else "")
    if lacks:
        repeat = ", ".join(f"{shard.number}/{shard.count}" for shard in lacks)
        what = f"lacks shard {', '.join(lacks.values())}"
        raise InputError(folder, what, f"run infantjax assess with --shard {repeat}")


def _left(folder: Path | None) -> tuple[int, int]:
    """How many recordings of a shard its summary lacks, and how many it has; `(1, 1)` without a summary."""
    if folder is None or not (folder / "summary.csv").is_file():
        return 1, 1
    if not (folder / TO_ASSESS).is_file():  # its results were copied without the list
        return 0, 0
    try:
        ids = set(json.loads((folder / TO_ASSESS).read_text("utf-8")))
    except (ValueError, TypeError):
        raise InputError(folder / TO_ASSESS, "is damaged", "run infantjax assess for this shard again") from None
    done = {row.id for row in table.read_summary(folder / "summary.csv")}
    return len(ids - done), len(ids)


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
