"""Results on their way to a storage: a file before the storage is told, so that no outage and no death loses one.

`outbox/` holds what the storage does not know yet. A result that comes when its trial was given up and queued again
goes to `late/`; the next attempt at the candidate takes it from there.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from infantjax.files import canonical_json, sha256, write_atomically
from infantjax.search.evaluation import Outcome


class Result(NamedTuple):
    """What a trial of a study came to.

    Attributes:
        study: its name.
        trial: number of the trial.
        label: text form of the candidate.
        outcome: of the candidate.
    """

    study: str
    trial: int
    label: str
    outcome: Outcome


class Outbox:
    """The results of the workers that share a folder.

    Args:
        directory: the folder of a search; made if missing.
    """

    def __init__(self, directory: Path) -> None:
        self.waiting, self.late = directory / "outbox", directory / "late"
        for folder in (self.waiting, self.late):
            folder.mkdir(parents=True, exist_ok=True)

    def put(self, result: Result) -> None:
        """Write a result down; it is on the disk when this returns.

        Raises:
            OSError: the disk is full or the folder cannot be written.
        """
        write_atomically(self._file(result), canonical_json({**result._asdict(), "outcome": result.outcome.to_dict()}))

    def remove(self, result: Result) -> None:
        """Forget a result that the storage has."""
        self._file(result).unlink(missing_ok=True)

    def set_aside(self, result: Result) -> None:
        """Keep a result whose trial the storage has given up."""
        target = self.late / f"{_digest(result.study, result.label)}.json"
        content = canonical_json({**result._asdict(), "outcome": result.outcome.to_dict()})
        write_atomically(target, content)
        self.remove(result)

    def results(self, study: str) -> Iterator[Result]:
        """The results of a study that its storage was not told; damaged files are named and passed over."""
        for path in sorted(self.waiting.glob("*.json")):
            result = _read(path)
            if result is not None and result.study == study:
                yield result

    def late_results(self, study: str) -> list[Result]:
        """The results of a study that came too late."""
        found = (_read(path) for path in sorted(self.late.glob("*.json")))
        return [result for result in found if result is not None and result.study == study]

    def late_outcome(self, study: str, label: str) -> Outcome | None:
        """What a candidate came to, if that came too late for its trial; a failure is better tried again."""
        path = self.late / f"{_digest(study, label)}.json"
        result = _read(path) if path.exists() else None
        if result is None or (result.study, result.label) != (study, label) or result.outcome.performance is None:
            return None
        return result.outcome

    def _file(self, result: Result) -> Path:
        return self.waiting / f"{_digest(result.study, result.label)}-{result.trial}.json"


def _digest(study: str, label: str) -> str:
    return sha256(f"{study}\n{label}".encode())[:16]


def _read(path: Path) -> Result | None:
    try:
        values: dict[str, Any] = json.loads(path.read_text("utf-8"))
        outcome = Outcome.from_dict(values["outcome"])
        return Result(str(values["study"]), int(values["trial"]), str(values["label"]), outcome)
    except FileNotFoundError:  # another worker has sent it
        return None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        print(f"{path}: is no result ({type(error).__name__}), passed over", file=sys.stderr)
        return None
