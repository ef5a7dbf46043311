"""The counts that are kept are those of the networks."""

import pytest

from infantjax import models
from infantjax.models.summary import count, kept_counts, summarise

ROWS = [(name, skeleton) for name in models.names() for skeleton in models.get(name).skeletons]


def test_counts_are_kept_of_all_networks_and_skeletons():
    assert [(name, skeleton) for name, of in kept_counts().items() for skeleton in of] == ROWS


def test_kept_counts_give_what_counting_gives():
    entry = models.get("efficientpose-rt-lite")
    assert summarise(entry, counts=kept_counts()[entry.name][entry.skeleton]) == summarise(entry)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "skeleton"), ROWS)
def test_kept_counts_are_those_of_the_network(name, skeleton):
    assert count(models.get(name), skeleton) == kept_counts()[name][skeleton]
