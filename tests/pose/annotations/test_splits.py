"""Parts without a common infant; parts of the framework, which have some; parts that are given."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infantjax.errors import InputError
from infantjax.pose.annotations import split_as_given, split_by_group
from infantjax.pose.annotations.data import Annotations
from infantjax.skeletons import MPII_16


def annotations(groups, splits=None):
    names = tuple(str(i) for i in range(len(groups)))
    points = np.zeros((len(groups), 16, 2))
    return Annotations(names, points, MPII_16, groups=groups if any(groups) else None, splits=splits)


def together(split, images):
    return sorted((*split.train, *split.validation, *split.test)) == list(range(images))


@given(st.lists(st.integers(0, 12), min_size=30, max_size=80), st.integers(0, 5))
def test_no_group_is_in_two_parts_and_every_image_in_one(groups, seed):
    given_groups = tuple(f"g{g}" for g in groups)
    if len(set(groups)) < 3:
        return
    split, _ = split_by_group(annotations(given_groups), {"train": 0.6, "validation": 0.2, "test": 0.2}, seed)
    assert together(split, len(groups))
    found = [{given_groups[row] for row in rows} for rows in (split.train, split.validation, split.test)]
    assert all(found)
    assert sum(map(len, found)) == len(set(given_groups))


def test_shares_are_those_of_images_not_of_groups():
    groups = ("large",) * 60 + tuple(f"g{i // 5}" for i in range(40))
    split, notes = split_by_group(annotations(groups), {"train": 0.8, "test": 0.2})
    assert len(split.train) == 80
    assert notes == ()


def test_the_seed_decides():
    groups = tuple(f"g{i // 2}" for i in range(40))
    first, second, other = (split_by_group(annotations(groups), seed=seed)[0] for seed in (1, 1, 2))
    assert first == second != other


def test_without_groups_images_are_split_and_a_note_says_so():
    split, notes = split_by_group(annotations(("",) * 50))
    assert together(split, 50)
    assert "may share infants" in notes[0]


def test_fewer_groups_than_parts_are_refused():
    with pytest.raises(InputError, match="at least 3 groups, found 2"):
        split_by_group(annotations(("a", "b", "b")))
    with pytest.raises(ValueError, match="above 0"):
        split_by_group(annotations(("a", "b")), {"train": 1, "test": 0})
    with pytest.raises(ValueError, match="among train, validation, test, got val"):
        split_by_group(annotations(("a", "b")), {"val": 1})


def test_parts_that_are_given_are_taken():
    split, notes = split_as_given(annotations(("a",) * 4, ("train", "test", "", "train")))
    assert (split.train, split.validation, split.test) == ((0, 3), (), (1,))
    assert notes == ("1 images are in no part",)
    with pytest.raises(InputError, match="do not say"):
        split_as_given(annotations(("a",)))
