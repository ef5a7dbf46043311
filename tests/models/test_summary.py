"""The counts that are kept are those of the networks."""

import pytest

from infantjax import models
from infantjax.models.summary import count, kept_counts, summarise

ROWS = [(name, skeleton) for name in models.names() for skeleton in models.get(name).skeletons]


def test_counts_are_kept_of_all_networks_and_skeletons():
    assert [(name, skeleton) for name, of in kept_counts().items() for skeleton in of] == ROWS


@pytest.mark.parametrize("file", models.FILES)
def test_the_registry_names_the_entries_of_each_file(file):
    assert tuple(entry.name for entry in getattr(models, file).ENTRIES) == models.FILES[file]


def test_kept_counts_give_what_counting_gives():
    entry = models.get("efficientpose-rt-lite")
    assert summarise(entry, counts=kept_counts()[entry.name][entry.skeleton]) == summarise(entry)


def other_tests_count(name: str) -> bool:
    """Whether it is among those that the tests of graph and pose networks count, most of them, by default."""
    return bool(models.get(name).pixels) or models.get(name).system == "ensemble-nas-gcn"


@pytest.mark.parametrize(
    ("name", "skeleton"),
    [pytest.param(*row, marks=pytest.mark.slow if other_tests_count(row[0]) else ()) for row in ROWS],
)
def test_kept_counts_are_those_of_the_network(name, skeleton):
    assert count(models.get(name), skeleton) == kept_counts()[name][skeleton]
