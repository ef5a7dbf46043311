"""The errors a user can meet.

`InputError` is bad user data (a file, a table, a weights directory): the command line prints its one line and
leaves with status 2. A wrong call of the library raises `ValueError` or `TypeError` as usual. Anything else is a bug
and stays visible.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

_SHOWN, _NAMED = 20, 5


class InputError(Exception):
    """User data that cannot be used, in one sentence: where, what is wrong, what to do.

    Args:
        where: the file, table row or option that is at fault.
        what: what was found and what was expected.
        remedy: what the user can do about it; empty if there is nothing.
    """

    def __init__(self, where: str | Path, what: str, remedy: str = "") -> None:
        self.where, self.what, self.remedy = one_line(where), one_line(what), one_line(remedy)
        super().__init__(f"{self.where}: {self.what}" + (f"; {self.remedy}" if self.remedy else ""))

    def __reduce__(self) -> tuple:
        return type(self), (self.where, self.what, self.remedy)


class DivergedError(InputError):
    """No run of a stack finished an epoch: a loss or a weight was not finite in the first."""


@dataclass
class Problems:
    """The problems of a folder or table with many items, collected so that all are reported at once.

    Attributes:
        errors: (file, row or item; what is wrong): they make the whole unusable.
        warnings: the same for problems that leave the rest usable.
    """

    errors: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[tuple[str, str]] = field(default_factory=list)

    def lines(self) -> list[str]:
        """Errors, then warnings, as lines; items with the same problem share one line."""
        return _grouped(self.errors + self.warnings)

    def notes(self) -> tuple[str, ...]:
        """Warnings as lines; items with the same problem share one line."""
        return tuple(_grouped(self.warnings))

    def to_error(self, where: str | Path, remedy: str) -> InputError:
        """All problems as one error of one line."""
        lines = self.lines()
        more = f"; and {len(lines) - _SHOWN} more" if len(lines) > _SHOWN else ""
        return InputError(where, "; ".join(lines[:_SHOWN]) + more, remedy)


def _grouped(found: list[tuple[str, str]]) -> list[str]:
    subjects: dict[str, list[str]] = {}
    for subject, what in found:
        subjects.setdefault(what, []).append(subject)
    return [
        f"{', '.join(which[:_NAMED])}{f' and {len(which) - _NAMED} more' if len(which) > _NAMED else ''}: {what}"
        for what, which in subjects.items()
    ]


class MissingExtraError(ImportError):
    """A library of an optional extra is not installed; the message is the command that installs it."""

    def __init__(self, library: str, extra: str) -> None:
        super().__init__(f"this needs {library}: {install_command(extra, library)}")


def install_command(extra: str, library: str) -> str:
    """The command that installs the libraries of an extra, or one library where the installation knows no such extra.

    It names the libraries, as an index may not have this package.
    """
    from importlib.metadata import requires

    found = [text for text in requires("infantjax") or () if re.search(rf"""extra == ['"]{extra}['"]""", text)]
    names = [text.partition(";")[0].strip() for text in found] or [library]
    return "pip install " + " ".join(f'"{name}"' for name in names)


def one_line(text: str | Path) -> str:
    """A text as one printable line: a file name may hold line breaks or terminal escapes."""
    return printable(" ".join(str(text).split()))


def printable(text: str) -> str:
    """A text for a terminal: `?` in place of control characters, which could steer it; line breaks stay."""
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in text)
