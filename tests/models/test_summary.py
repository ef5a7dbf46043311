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
    entry = models.get("sma-cnn")
    assert summarize(entry, counts=kept_counts()[entry.name][entry.skeleton]) == summarize(entry)


COUNTED_WHEN_SLOW = {f"kbest-gcn-{number}" for number in (1, 3, 4, 5, 6, 7, 8, 9, 10)} | {"openpose"}
"""Networks of whose kind another is counted by default; what is published is compared with all kept counts."""
IMAGE_NETWORKS = {"efficientpose-rt-lite", "efficienthourglass-h0", "cima-pose"}


def is_slow(name: str) -> bool:
    return name in COUNTED_WHEN_SLOW or (bool(models.get(name).normalization) and name not in IMAGE_NETWORKS)


@pytest.mark.parametrize(
    ("name", "skeleton"), [pytest.param(*row, marks=pytest.mark.slow if is_slow(row[0]) else ()) for row in ROWS]
)
def test_kept_counts_are_those_of_the_network(name, skeleton):
    assert count(models.get(name), skeleton) == kept_counts()[name][skeleton]
