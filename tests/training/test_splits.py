"""Who trains and who is held out."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from infantjax.errors import InputError
from infantjax.training.splits import random_splits, reference_split, stratified_splits


def test_the_released_split_is_reproduced(shared):
    golden = json.loads((shared / "golden" / "preprocess" / "split.json").read_text())
    outcomes = {i: golden["outcome"][i] for i in golden["order"]}
    split = reference_split(outcomes, golden["folds"], golden["test_size"], golden["seed"])
    # The reference lists each set sorted.
    expected = {name: set(part["positive"] + part["negative"]) for name, part in golden["sets"].items()}
    assert set(split.test) == expected["test"]
    assert [set(ids) for ids in split.folds] == [expected[f"val{k}"] for k in range(1, 8)]


def test_the_released_split_has_the_published_sizes():
    split = reference_split({f"i{n}": int(n < 84) for n in range(557)})
    positive = [sum(int(i[1:]) < 84 for i in fold) for fold in (*split.folds, split.test)]
    assert positive == [9] * 7 + [21]
    assert [len(fold) for fold in (*split.folds, split.test)] == [60] * 4 + [59] * 3 + [140]
    assert len({i for fold in (*split.folds, split.test) for i in fold}) == 557


@given(st.integers(2, 5), st.data())
@settings(max_examples=50, deadline=None)
def test_every_recording_is_held_out_once_and_outcomes_are_balanced(folds, data):
    outcomes = data.draw(
        st.permutations([1] * data.draw(st.integers(folds, 12)) + [0] * data.draw(st.integers(folds, 30)))
    )
    result = stratified_splits(outcomes, folds)
    assert sorted(row for fold in result for row in fold.validation) == list(range(len(outcomes)))
    for fold in result:
        assert set(fold.train).isdisjoint(fold.validation)
        assert len(fold.train) + len(fold.validation) == len(outcomes)
    for outcome in (0, 1):
        counts = [sum(outcomes[r] == outcome for r in fold.validation) for fold in result]
        assert max(counts) - min(counts) <= 1


@given(st.data())
@settings(max_examples=50, deadline=None)
def test_a_group_is_never_on_both_sides(data):
    groups = data.draw(st.lists(st.integers(0, 12), min_size=20, max_size=60))
    outcomes = [g % 2 for g in groups]
    try:
        result = stratified_splits(outcomes, 3, groups=groups)
    except InputError as error:
        assert "groups" in str(error) or "outcome" in str(error)  # noqa: PT017
        return
    for fold in result:
        assert {groups[r] for r in fold.train}.isdisjoint(groups[r] for r in fold.validation)


def test_strata_are_dealt_evenly():
    outcomes = [1] * 6 + [0] * 12
    kinds = list(zip(outcomes, ["x", "y", "z"] * 6))
    held = [
        [kinds[r] for r in fold.validation] for fold in stratified_splits(outcomes, 3, strata=[c for _, c in kinds])
    ]
    assert [sum(outcome for outcome, _ in part) for part in held] == [2, 2, 2]
    for kind in set(kinds):
        counts = [part.count(kind) for part in held]
        assert max(counts) - min(counts) <= 1


@pytest.mark.parametrize(
    ("outcomes", "options", "message"),
    [
        ([1], {}, r"holds 1 recording\(s\); training needs recordings of both outcomes"),
        ([0, 0, 0], {}, "all 3 recordings have outcome 0; training needs both outcomes"),
        ([1, 1, 0, 0, 0], {}, "2 recordings with outcome 1 for 3 folds; use --folds 2 at most"),
        ([1, 0, 0, 0], {}, "1 recordings with outcome 1 for 3 folds; add recordings"),
        ([1, 1, 0, 0], {"groups": ["a"] * 4}, "all recordings belong to one group"),
        ([1, 1, 1, 0, 0, 0], {"groups": list("aabcde")}, "2 groups with outcome 1 for 3 folds; use --folds 2 at most"),
    ],
)
def test_a_cohort_that_cannot_be_dealt_is_one_line(outcomes, options, message):
    with pytest.raises(InputError, match=message):
        stratified_splits(outcomes, 3, **options)


def test_wrong_calls_are_refused():
    with pytest.raises(ValueError, match="folds must be at least 2"):
        stratified_splits([0, 1], 1)
    with pytest.raises(ValueError, match="as many groups"):
        stratified_splits([0, 1], 2, groups=["a"])


# --- repeated random splits ------------------------------------------------------------------------------------------


def test_groups_stay_whole_and_every_recording_has_one_side():
    groups = [f"infant{i // 2}" for i in range(120)]
    outcomes = [int(i // 2 % 5 == 0) for i in range(120)]
    partitions = random_splits(outcomes, 10, groups=groups)
    for p in partitions:
        assert sorted((*p.train, *p.validation, *p.test)) == list(range(120))
        sides = [{groups[row] for row in side} for side in (p.train, p.validation, p.test)]
        assert len(set.union(*sides)) == sum(map(len, sides))
        assert [len(side) for side in sides] == [60 - 18, 9, 9]
        assert [sum(outcomes[row] for row in side) for side in (p.validation, p.test)] == [4, 4]
    assert len(set(partitions)) == 10


def test_a_split_does_not_depend_on_how_many_there_are():
    outcomes = [0, 0, 0, 1] * 6
    assert random_splits(outcomes, 5)[:2] == random_splits(outcomes, 2)
    assert random_splits(outcomes, 2, seed=2) != random_splits(outcomes, 2)


def test_a_group_belongs_to_the_stratum_of_its_first_recording():
    strata = ["normal"] * 20 + ["abnormal", "absent"] * 10
    groups = [*range(20), *np.repeat(range(20, 30), 2)]
    for p in random_splits([0] * 20 + [1] * 20, 5, groups=groups, strata=strata):
        assert len({groups[row] for row in p.test if row >= 20}) == 2


def test_a_rare_outcome_is_on_every_side_or_refused():
    for p in random_splits([1] * 3 + [0] * 40, 5):
        assert all(sum(row < 3 for row in side) == 1 for side in (p.train, p.validation, p.test))
    with pytest.raises(InputError, match="split 0 lacks an outcome"):
        random_splits([1] * 2 + [0] * 40, 5)


@pytest.mark.parametrize(
    "wrong", [{"shares": (0.5, 0.5)}, {"shares": (0.0, 0.1)}, {"repeats": 0}, {"groups": ["a"]}, {"strata": ["a"]}]
)
def test_splits_that_cannot_be_are_wrong_calls(wrong):
    with pytest.raises(ValueError, match=r"shares|need as many"):
        random_splits([0, 1] * 10, **wrong)


def test_strata_too_fine_for_any_fold_balance_the_outcome_alone():
    outcomes = [1] * 6 + [0] * 12
    result = stratified_splits(outcomes, 3, strata=list(range(18)))
    assert [sum(outcomes[r] for r in fold.validation) for fold in result] == [2, 2, 2]
