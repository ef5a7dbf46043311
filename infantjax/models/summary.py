"""A network's size beside its published figures."""

from dataclasses import dataclass

from infantjax.models.entry import CountingRule, Entry, count_flops, count_parameters


@dataclass(frozen=True)
class Summary:
    """One row of `infantjax models`.

    Attributes:
        name: registry name.
        system: published system.
        task: what the network predicts.
        skeleton: keypoint set it was published for.
        parameters: trained parameters as counted.
        published_parameters: as published.
        flops: floating-point operations of one sample as counted.
        published_flops: as printed, in multiples of 1e9.
        agree: parameters are equal and operations equal to the printed decimals.
        source: paper and table.
    """

    name: str
    system: str
    task: str
    skeleton: str
    parameters: int
    published_parameters: int
    flops: int
    published_flops: str | None
    agree: bool
    source: str


def summarise(entry: Entry, rule: CountingRule = "published") -> Summary:
    """Count a network and compare it with what was published."""
    module, published = entry.build(), entry.published
    parameters = count_parameters(module, entry.input_shape)
    flops = count_flops(module, entry.input_shape, rule)
    agree = parameters == published.parameters
    if published.flops is not None:
        decimals = len(published.flops.partition(".")[2])
        agree = agree and f"{flops / published.flops_unit:.{decimals}f}" == published.flops
    return Summary(
        entry.name,
        entry.system,
        entry.task,
        entry.skeleton,
        parameters,
        published.parameters,
        flops,
        published.flops,
        agree,
        published.source,
    )
