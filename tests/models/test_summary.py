"""The counts that are kept are those of the networks."""

import pytest

from infantjax import models
from infantjax.models.summary import count, kept_counts, summarize

ROWS = [(name, skeleton) for name in models.names() for skeleton in models.get(name).skeletons]


def test_counts_are_kept_of_all_networks_and_skeletons():
    assert [(name, skeleton) for name, of in kept_counts().items() for skeleton in of] == ROWS


def test_each_module_has_the_entries_that_its_folder_names():
    for name in models.names():
        assert models.get(name).name == name


def test_kept_counts_give_what_counting_gives():
    entry = models.get("efficientpose-rt")
    assert summarize(entry, counts=kept_counts()[entry.name][entry.skeleton]) == summarize(entry)


COUNTED = {
    # Of each kind of network one at least.
    ("efficientpose-rt", "mpii-16"),
    ("efficientpose-rt-lite", "in-motion-19"),
    ("efficienthourglass-h0", "in-motion-19"),
    ("cima-pose", "in-motion-19"),
    ("openpose", "mpii-16"),
}
"""Of the pose networks those that are counted by default, as all other networks are; the slow tests count all.

What is published is compared with the kept counts of all networks, in the tests of the networks.
"""


def by_default(name: str, skeleton: str) -> bool:
    return (name, skeleton) in COUNTED or not models.get(name).normalization


def test_the_networks_that_are_counted_by_default_are_there():
    assert set(ROWS) >= COUNTED


@pytest.mark.parametrize(
    ("name", "skeleton"), [pytest.param(*row, marks=() if by_default(*row) else pytest.mark.slow) for row in ROWS]
)
def test_kept_counts_are_those_of_the_network(name, skeleton):
    assert count(models.get(name), skeleton) == kept_counts()[name][skeleton]
