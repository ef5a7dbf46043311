"""A network's size beside its published values.

Counting all networks takes most of a minute, so their counts are kept in `counts.json`; tests count again. After a
network was added or changed, `python -m infantjax.models.summary > infantjax/models/counts.json` writes it anew.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from infantjax import models
from infantjax.models.entry import (
    CountingRule,
    ModelEntry,
    count_image,
    count_operations,
    count_parameters,
    flops_of_two,
)

COUNTS = Path(__file__).with_name("counts.json")
"""Results of `count` for each network and skeleton."""


@dataclass(frozen=True)
class Summary:
    """One row of `infantjax models`.

    Attributes:
        name: registry name.
        method: published method or family.
        task: what the network predicts.
        skeleton: keypoint set it is counted for.
        parameters: as counted: the trained ones of a keypoint network, or its stored values where those were published;
            the stored values of an image network.
        published_parameters: as published, perhaps in millions to two decimals; None where none were printed.
        flops: floating-point operations of one sample as counted.
        published_flops: as printed, in multiples of `flops_unit`; None where none were printed.
        flops_unit: what the printed value is multiples of.
        executed_flops: operations that are computed, where they differ: the upscaling of image networks.
        agree: what was printed is equal, to the printed decimals; None where nothing was printed.
        source: paper and table.
        fidelity: see `ModelEntry`.
    """

    name: str
    method: str
    task: str
    skeleton: str
    parameters: int
    published_parameters: int | None
    flops: int
    published_flops: str | None
    flops_unit: float
    executed_flops: int
    agree: bool | None
    source: str
    fidelity: str


def count(entry: ModelEntry, skeleton: str | None = None) -> dict[str, int]:
    """Count a network, from abstract traces.

    Args:
        entry: the network.
        skeleton: one of `entry.skeletons`; None is the one it was published for.

    Returns:
        `parameters` as in `Summary`; of an image network `flops` and `executed`, of others the operations of two
        samples in training by kind.
    """
    module = entry.build(skeleton=skeleton or entry.skeleton, **entry.counted)
    if entry.normalization:
        found = count_image(module, entry.input_shape)
        return {"parameters": found.stored, "flops": found.flops, "executed": found.executed}
    parameters = count_parameters(module, entry.input_shape, entry.counts)
    return {"parameters": parameters, **count_operations(module, entry.input_shape)}


@cache
def kept_counts() -> dict[str, dict[str, dict[str, int]]]:
    """The content of `COUNTS`, by name and skeleton."""
    return json.loads(COUNTS.read_text(encoding="utf-8"))


def summarize(
    entry: ModelEntry,
    rule: CountingRule = "published",
    skeleton: str | None = None,
    counts: Mapping[str, int] | None = None,
) -> Summary:
    """Compare a network with what was published.

    Args:
        entry: the network.
        rule: how operations of keypoint networks are counted.
        skeleton: one of `entry.skeletons`; None is the one it was published for.
        counts: of the network (`count`); None counts it.
    """
    skeleton = skeleton or entry.skeleton
    counts = count(entry, skeleton) if counts is None else counts
    published = entry.published if skeleton == entry.skeleton else entry.others[skeleton]
    parameters = counts["parameters"]
    flops = counts["flops"] if entry.normalization else flops_of_two(counts, rule)
    executed = counts["executed"] if entry.normalization else flops
    printed_parameters, checks = published.parameters, []
    if printed_parameters is not None:
        checks.append(parameters == printed_parameters)
    if published.millions is not None:
        printed_parameters = round(float(published.millions) * 1e6)
        checks.append(_as_printed(parameters / 1e6, published.millions))
    if published.flops is not None:
        checks.append(_as_printed(flops / published.flops_unit, published.flops))
    return Summary(
        entry.name,
        entry.method,
        entry.task,
        skeleton,
        parameters,
        printed_parameters,
        flops,
        published.flops,
        published.flops_unit,
        executed,
        all(checks) if checks else None,
        published.source,
        entry.fidelity,
    )


def _as_printed(value: float, printed: str) -> bool:
    """Whether a value is the printed one to its decimals."""
    return f"{value:.{len(printed.partition('.')[2])}f}" == printed


if __name__ == "__main__":
    entries = map(models.get, models.names())
    found = {entry.name: {name: count(entry, name) for name in entry.skeletons} for entry in entries}
    print(json.dumps(found, indent=1))
