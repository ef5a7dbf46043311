"""`models`: the table of the networks."""

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tyro.conf import Positional

from infantjax.cli.options import common

if TYPE_CHECKING:
    from infantjax.models.summary import Summary


@dataclass(frozen=True)
class Models(common.Command):
    """List the networks: parameters and operations, as counted and as published, and whether they agree.

    Example:
        infantjax models kbest-gcn-1 st-gcn --json
    """

    names: Positional[tuple[str, ...]] = ()
    """Only these networks."""
    json: bool = False
    """Print JSON."""
    rule: Literal["published", "torchprofile-0.0.4", "torchprofile-0.1"] = "published"
    """How operations of pose networks are counted."""

    def run(self) -> int:
        """Count and compare."""
        import json

        from infantjax import models
        from infantjax.models.summary import kept_counts, summarize

        with common.checked("models"):
            entries = [models.get(name) for name in self.names or models.names()]
        kept = kept_counts()
        rows = (
            summarize(entry, self.rule, name, kept.get(entry.name, {}).get(name))
            for entry in entries
            for name in entry.skeletons
        )
        if self.json:
            print(json.dumps([dataclasses.asdict(row) for row in rows], indent=2))
            return 0
        print(
            f"{'name':<36}{'skeleton':<14}{'parameters':>12}{'published':>12}  {'GFLOPs':>8}{'published':>10}"
            f"{'executed':>10}  agree"
        )
        for row in rows:
            print(_line(row), flush=True)
        return 0


def _line(row: "Summary") -> str:
    published = "-" if row.published_parameters is None else f"{row.published_parameters:,}"
    flops = "-" if row.published_flops is None else f"{float(row.published_flops) * row.flops_unit / 1e9:.2f}"
    agree = "interpretation" if row.fidelity == "interpretation" else {True: "yes", False: "no", None: "-"}[row.agree]
    counted = f"{row.flops / 1e9:>8.2f}{flops:>10}{row.executed_flops / 1e9:>10.2f}"
    return f"{row.name:<36}{row.skeleton:<14}{row.parameters:>12,}{published:>12}  {counted}  {agree}"
