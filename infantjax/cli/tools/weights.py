"""`weights`: public weights by name, listed, fetched and checked."""

import json
from dataclasses import asdict, dataclass
from typing import Annotated

from tyro.conf import Positional, arg

from infantjax.cli.options import common
from infantjax.pose import DEFAULT_WEIGHTS

Names = Positional[Annotated[tuple[str, ...], arg(metavar="NAME")]]


@dataclass(frozen=True)
class List(common.Command):
    """List the public weights: their size, license, data of training and scores, and whether they are on this machine.

    Example:
        infantjax weights list --json
    """

    json: bool = False
    """Print JSON, with addresses and digests."""

    def run(self) -> int:
        """Print the table."""
        from infantjax.weights import public

        rows = [
            {"name": name, **asdict(file), "path": str(public.place(name)), "problem": public.problem(name)}
            for name, file in public.table().items()
        ]
        if self.json:
            print(json.dumps(rows, indent=2))
            return 0
        for row in rows:
            size = "-" if row["size"] is None else f"{row['size'] / 1e6:.1f} MB"
            scores = ", ".join(f"{name} {value:g}" for name, value in list(row["scores"].items())[:2])
            state = "not here" if row["problem"] else "here"
            about = "; ".join(filter(None, [row["trained_on"], scores]))
            print(f"{row['name']:<24}{size:>7}  {row['license']:<12}{state:<10}{about}")
        return 0


@dataclass(frozen=True)
class Fetch(common.Command):
    """Fetch public weights into the cache, and print where they are. Those that are there are only checked.

    Example:
        infantjax weights fetch efficientpose-i-lite
    """

    names: Names = (DEFAULT_WEIGHTS,)
    """Names of `infantjax weights list`; those of `pose` and `assess` if not given."""
    offline: common.Offline = False

    def run(self) -> int:
        """Fetch."""
        from infantjax.weights import public

        for name in self.names:
            print(public.fetch(name, offline=self.offline or None, quiet=self.quiet))
        return 0


@dataclass(frozen=True)
class Verify(common.Command):
    """Check the files of public weights on this machine against their digests.

    Exit status 1 where one of them is another file, or one that was named is not there.

    Example:
        infantjax weights verify efficientpose-i-lite
    """

    names: Names = ()
    """Names of `infantjax weights list`; all that are on this machine if not given."""

    def run(self) -> int:
        """Check."""
        from infantjax.weights import public

        names = self.names or [name for name in public.table() if public.place(name).exists()]
        problems = {name: public.problem(name) for name in names}
        for name, problem in problems.items():
            print(f"{name}: {problem or 'as published'}")
        return int(any(problems.values()))
