"""Parts without a common infant; parts of the framework, which have some; parts that are given."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infantjax.errors import InputError
from infantjax.pose.annotations import split_as_given, split_as_released, split_by_group
from infantjax.pose.annotations.data import Annotations
from infantjax.skeletons import MPII_16


def annotations(groups, splits=None):
    names = tuple(str(i) for i in range(len(groups)))
    points = np.zeros((len(groups), 16, 2))
    return Annotations(names, points, MPII_16, groups=groups if any(groups) else None, splits=splits)


def together(split, pictures):
    return sorted(int(row) for rows in split.rows.values() for row in rows) == list(range(pictures))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 12), min_size=30, max_size=80), st.integers(0, 5))
def test_no_group_is_in_two_parts_and_every_picture_in_one(groups, seed):
    given_groups = tuple(f"g{g}" for g in groups)
    if len(set(groups)) < 3:
        return
    split = split_by_group(annotations(given_groups), {"a": 0.6, "b": 0.2, "c": 0.2}, seed)
    assert together(split, len(groups))
    found = [{given_groups[row] for row in rows} for rows in split.rows.values()]
    assert all(found)
    assert sum(map(len, found)) == len(set(given_groups))


def test_shares_are_those_of_pictures_not_of_groups():
    groups = ("large",) * 60 + tuple(f"g{i // 5}" for i in range(40))
    split = split_by_group(annotations(groups), {"train": 0.8, "test": 0.2})
    assert len(split.rows["train"]) == 80
    assert split.notes == ()


def test_the_seed_decides():
    groups = tuple(f"g{i // 2}" for i in range(40))
    first, second, other = (split_by_group(annotations(groups), seed=seed) for seed in (1, 1, 2))
    for part in first.rows:
        np.testing.assert_array_equal(first.rows[part], second.rows[part])
    assert any(not np.array_equal(first.rows[part], other.rows[part]) for part in first.rows)


def test_without_groups_pictures_are_split_and_a_note_says_so():
    split = split_by_group(annotations(("",) * 50))
    assert together(split, 50)
    assert "may share infants" in split.notes[0]


def test_fewer_groups_than_parts_are_refused():
    with pytest.raises(InputError, match="2 groups, 3 parts"):
        split_by_group(annotations(("a", "b", "b")))
    with pytest.raises(ValueError, match="above 0"):
        split_by_group(annotations(("a", "b")), {"train": 1, "test": 0})


def test_the_released_shares_are_whole_numbers():
    split = split_as_released(annotations(("a",) * 1000))
    assert {part: len(rows) for part, rows in split.rows.items()} == {"train": 728, "val": 72, "test": 200}
    assert together(split, 1000)


def test_parts_that_are_given_are_taken():
    split = split_as_given(annotations(("a",) * 4, ("train", "test", "", "train")))
    assert split.rows["train"].tolist() == [0, 3]
    assert split.rows["test"].tolist() == [1]
    assert split.notes == ("1 pictures are in no part",)
    with pytest.raises(InputError, match="do not say"):
        split_as_given(annotations(("a",)))
