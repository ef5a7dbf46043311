"""`models`: the table of the networks."""

import dataclasses
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from tyro.conf import Positional

from infantjax import models
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
        from pandas import DataFrame

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
        print(DataFrame(map(_columns, rows)).to_string(index=False))
        return 0


def _columns(row: "Summary") -> dict[str, str]:
    """The row for a terminal."""
    agree = {True: "yes", False: "no", None: "-"}[row.agree]
    published = "-" if row.published_flops is None else f"{float(row.published_flops) * row.flops_unit / 1e9:.2f}"
    return {
        "name": row.name,
        "skeleton": row.skeleton,
        "parameters": f"{row.parameters:,}",
        "published parameters": "-" if row.published_parameters is None else f"{row.published_parameters:,}",
        "GFLOPs": f"{row.flops / 1e9:.2f}",
        "published GFLOPs": published,
        "executed": f"{row.executed_flops / 1e9:.2f}",
        "agree": "interpretation" if row.fidelity == "interpretation" else agree,
    }
