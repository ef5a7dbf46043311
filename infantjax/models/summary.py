"""A network's size beside its published figures."""

from dataclasses import dataclass

from infantjax.models.entry import CountingRule, Entry, count_flops, count_image, count_parameters


@dataclass(frozen=True)
class Summary:
    """One row of `infantjax models`.

    Attributes:
        name: registry name.
        system: published system.
        task: what the network predicts.
        skeleton: keypoint set it is counted for.
        parameters: as counted: the trained ones of a keypoint network, or its stored values where those were published;
            the stored values of an image network.
        published_parameters: as published; None where none were printed.
        flops: floating-point operations of one sample as counted.
        published_flops: as printed, in multiples of `flops_unit`; None where none were printed.
        flops_unit: what the printed figure is multiples of.
        executed_flops: operations that are computed, where they differ: the upscaling of image networks.
        agree: what was printed is equal, operations to the printed decimals; None where nothing was printed.
        source: paper and table.
        reading: whether the inside is chosen, because only the outline is published.
    """

    name: str
    system: str
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
    reading: bool


def summarise(entry: Entry, rule: CountingRule = "published", skeleton: str | None = None) -> Summary:
    """Count a network and compare it with what was published.

    Args:
        entry: the network.
        rule: how operations of keypoint networks are counted.
        skeleton: one of `entry.skeletons`; None is the one it was published for.
    """
    skeleton = skeleton or entry.skeleton
    published = entry.published if skeleton == entry.skeleton else entry.others[skeleton]
    module = entry.build(skeleton=skeleton, **entry.counted)
    if entry.pixels:
        counts = count_image(module, entry.input_shape)
        parameters, flops, executed = counts.stored, counts.flops, counts.executed
    else:
        parameters = count_parameters(module, entry.input_shape, entry.counts)
        flops = executed = count_flops(module, entry.input_shape, rule)
    checks = []
    if published.parameters is not None:
        checks.append(parameters == published.parameters)
    if published.flops is not None:
        decimals = len(published.flops.partition(".")[2])
        checks.append(f"{flops / published.flops_unit:.{decimals}f}" == published.flops)
    return Summary(
        entry.name,
        entry.system,
        entry.task,
        skeleton,
        parameters,
        published.parameters,
        flops,
        published.flops,
        published.flops_unit,
        executed,
        all(checks) if checks else None,
        published.source,
        entry.reading,
    )
