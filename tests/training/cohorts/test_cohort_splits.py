"""Splits of a cohort: a test set and folds as in the paper, written and read again; single splits."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from infantjax import cli
from infantjax.errors import InputError, Problems
from infantjax.formats.cohort import read_cohort
from infantjax.formats.outcomes import read_outcome_table
from infantjax.recording.cohort import Cohort
from infantjax.recording.recording import Recording
from infantjax.simulation import write_cohort
from infantjax.skeletons import BABYPOSE_12
from infantjax.training.cohorts.cohort_splits import (
    assign_folds,
    cohort_splits,
    folds_summary,
    folds_table,
    single_split,
)

CENTERS = ("Trondheim", "Chicago", "Chennai", "Ghent")
SUBTYPES = ("unilateral", "bilateral", "dyskinetic")


def cohort_of(outcomes, groups=None, **columns) -> Cohort:
    recordings = tuple(
        Recording(
            np.zeros((2, 12, 2)),
            30.0,
            BABYPOSE_12,
            name=f"i{row}",
            metadata={name: values[row] for name, values in columns.items() if values[row]},
        )
        for row in range(len(outcomes))
    )
    return Cohort(recordings, tuple(outcomes), groups)


@pytest.fixture(scope="module")
def published() -> Cohort:
    """As many infants as in the paper; centers and subtypes in shares of their own."""
    random = np.random.default_rng(0)
    outcomes = [1] * 84 + [0] * 473
    centers = random.choice(CENTERS, 557, p=(0.5, 0.3, 0.15, 0.05)).tolist()
    subtypes = random.choice(SUBTYPES, 84, p=(0.4, 0.5, 0.1)).tolist() + [""] * 473
    return cohort_of(outcomes, center=centers, subtype=subtypes)


def counts_of(cohort, fold_of, column):
    table = Counter((k, r.metadata.get(column, "")) for k, r in zip(fold_of, cohort.recordings))
    return {value: [table[k, value] for k in range(1, 8)] for _, value in table}


def test_the_published_sizes_come_out(published):
    fold_of = np.array(assign_folds(published, stratify=("center", "subtype")))
    cp = np.array(published.outcomes) == 1
    assert (np.sum(fold_of == 0), np.sum(cp & (fold_of == 0))) == (139, 21)
    assert [int(np.sum(cp & (fold_of == k))) for k in range(1, 8)] == [9] * 7
    assert {int(np.sum(~cp & (fold_of == k))) for k in range(1, 8)} == {50, 51}


@pytest.mark.parametrize("column", ["center", "subtype"])
def test_centers_and_subtypes_are_spread_over_the_folds(published, column):
    balanced = counts_of(published, assign_folds(published, stratify=("center", "subtype")), column)
    plain = counts_of(published, assign_folds(published), column)
    spread = [sum(np.ptp(counts) for counts in table.values()) for table in (balanced, plain)]
    assert spread[0] < spread[1]


def test_the_summary_tells_what_each_part_holds():
    cohort = cohort_of([1, 0, 1, 0, 1, 0], center=["a", "a", "b", "b", "b", ""])
    assert folds_summary(cohort, (1, 1, 2, 2, 0, 0), ("center",)) == [
        *("fold 1: 2, 1 CP; center a 2", "fold 2: 2, 1 CP; center b 2", "test set: 2, 1 CP; center b 1, none 1")
    ]


# --- folds that a column gives ---------------------------------------------------------------------------------------


def test_a_column_gives_the_folds_in_the_order_of_its_numbers():
    folds = cohort_splits(cohort_of([1, 0] * 3, fold=["10", "10", "9", "9", "2", "2"]), "fold", (), 1)
    assert [fold.validation for fold in folds] == [(4, 5), (2, 3), (0, 1)]
    assert folds[0].train == (0, 1, 2, 3)


@pytest.mark.parametrize(
    ("outcomes", "fold", "groups", "message"),
    [
        ([1, 0, 1, 0], ["1", "1", "2", ""], None, 'i3 has no entry in column "fold"'),
        ([1, 0], ["1", "1"], None, '"fold" names one fold'),
        ([1, 1, 0, 0], ["1", "1", "2", "2"], None, 'fold 1 of "fold" does not leave both outcomes'),
        ([1, 0, 1, 0], ["1", "1", "2", "2"], ("a", "b", "a", "c"), 'fold 1 of "fold" shares a group'),
    ],
)
def test_given_folds_that_cannot_be_used_are_told_in_one_line(outcomes, fold, groups, message):
    with pytest.raises(InputError, match=message):
        cohort_splits(cohort_of(outcomes, groups, fold=fold), "fold", (), 1)


@pytest.mark.parametrize("folds", ["fold", "infant"])
def test_what_is_given_is_not_stratified(folds):
    cohort = cohort_of([1, 0, 1, 0], fold=["1", "1", "2", "2"], center=["a"] * 4)
    with pytest.raises(ValueError, match="nothing is left to stratify"):
        cohort_splits(cohort, folds, ("center",))


# --- single splits ---------------------------------------------------------------------------------------------------


def test_a_fraction_holds_out_whole_groups():
    groups = tuple(f"g{row // 3}" for row in range(9))
    split = single_split(replace(cohort_of([0] * 9, groups), outcomes=tuple(range(9)), score_range=(0, 72)), 0.4)
    assert len(split.validation) == 3
    assert {groups[row] for row in split.validation}.isdisjoint(groups[row] for row in split.train)
    classes = single_split(cohort_of([0, 1] * 4), 0.25)
    assert sorted(len(side) for side in (classes.train, classes.validation)) == [2, 6]


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (["i0", "nobody"], "the cohort has no recordings nobody"),
        (["i0", "i2"], "the validation recordings do not hold both outcomes"),
        (["i1", "i3", "i5", "i7", "i0"], "the training recordings do not hold both outcomes"),
        ([f"i{row}" for row in range(8)], "leaves no training recordings"),
        (["i0", "i1"], "group g is on both sides"),
    ],
)
def test_ids_that_cannot_be_held_out_are_named(ids, message):
    with pytest.raises(InputError, match=message):
        single_split(cohort_of([0, 1] * 4, ("g", *"abcdef", "g")), ids)


def test_a_fraction_out_of_range_is_refused():
    with pytest.raises(ValueError, match=r"a fraction above 0 and at most 0\.5"):
        single_split(cohort_of([0, 1] * 4), 0.6)
    with pytest.raises(ValueError, match="test_fraction must be"):
        assign_folds(cohort_of([0, 1] * 4), 2, 0.9)


# --- the command -----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    folder = write_cohort(tmp_path_factory.mktemp("folds") / "cohort", 16, 1, 1.0, prevalence=0.5)
    rows = [line.split(";") for line in (folder / "outcomes.csv").read_text().split()]
    centers = ["center", *("north" if number % 4 < 2 else "south" for number in range(16))]
    text = "\n".join(";".join([*row, center]) for row, center in zip(rows, centers))
    (folder / "outcomes.csv").write_text(text)
    return folder


def run(capsys, *arguments):
    capsys.readouterr()
    return cli.run(["split", *(str(argument) for argument in arguments)]), *capsys.readouterr()


def test_what_the_command_writes_gives_the_same_folds_when_it_is_read(simulated, tmp_path, capsys):
    options = ("--folds", 3, "--stratify", "center")
    status, out, _ = run(capsys, simulated, "-o", tmp_path, *options)
    assert status == 0
    assert out.splitlines()[0] == "fold 1: 4, 2 CP; center north 2, south 2"
    whole = read_cohort(simulated)
    fold_of = dict(zip(whole.names, assign_folds(whole, 3, 0.25, ("center",))))
    development = read_cohort(simulated, tmp_path / "development.csv")
    for number, fold in enumerate(cohort_splits(development, "fold", (), 1), start=1):
        assert {fold_of[development.names[row]] for row in fold.validation} == {number}
    assert set(read_cohort(simulated, tmp_path / "test.csv").names) == {n for n, k in fold_of.items() if k == 0}


def test_a_table_of_folds_guards_what_looks_like_a_formula_and_is_read_as_it_was(tmp_path):
    path = tmp_path / "outcomes.csv"
    path.write_text("id;outcome;center\n=a;0;+north\nb;1;south\n")
    table = read_outcome_table(path, Problems())
    points = np.zeros((2, 12, 2))
    recordings = tuple(Recording(points, 30.0, BABYPOSE_12, name, metadata=row.metadata) for name, row in table.items())
    text = folds_table(Cohort(recordings, (0, 1)), (1, 2), (0, 1), ("center",))
    assert text.splitlines()[1] == "'=a;0;1;'+north"
    path.write_text(text)
    again = read_outcome_table(path, Problems())
    assert {name: row.metadata["center"] for name, row in again.items()} == {"=a": "+north", "b": "south"}


def test_the_released_split_is_that_of_the_released_program(simulated, tmp_path, capsys):
    from infantjax.training.splits import reference_split

    status, _, _ = run(capsys, simulated, "-o", tmp_path, "--folds", 3, "--rule", "reference")
    assert status == 0
    whole = read_cohort(simulated)
    split = reference_split(dict(zip(whole.names, whole.outcomes)), 3)
    development = read_cohort(simulated, tmp_path / "development.csv")
    folds = [{development.names[r] for r in f.validation} for f in cohort_splits(development, "fold", (), 1)]
    assert folds == [set(part) for part in split.folds]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--stratify", "town"), 'no recording has a column "town"'),
        (("--folds", 9), "for 9 folds"),
        (("--rule", "reference", "--stratify", "center"), "uses neither columns nor groups"),
    ],
)
def test_options_that_cannot_be_are_one_line(simulated, tmp_path, capsys, options, message):
    status, out, err = run(capsys, simulated, "-o", tmp_path, *options)
    assert (status, out) == (2, "")
    assert message in err.splitlines()[-1]


def test_a_table_keeps_groups():
    cohort = cohort_of([1, 0], ("a", "b"), center=["north", ""])
    head, row = folds_table(cohort, (1, 2), [0], ("center",)).splitlines()
    assert (head, row) == ("id;outcome;fold;group;center", "i0;1;1;a;north")


# --- each infant left out --------------------------------------------------------------------------------------------


def test_each_infant_is_left_out_with_all_of_its_recordings():
    splits = cohort_splits(cohort_of([0, 1, 0, 1], ("a", "b", "a", "c")), "infant")
    assert [split.validation for split in splits] == [(0, 2), (1,), (3,)]
    assert [split.train for split in splits] == [(1, 3), (0, 2, 3), (0, 1, 2)]


@pytest.mark.parametrize(
    ("outcomes", "groups", "message"),
    [
        ([0, 0, 0], None, "all 3 recordings have outcome 0; training needs both outcomes"),
        ([0, 1], ("a", "a"), "needs at least two infants, found one"),
    ],
)
def test_infants_that_cannot_be_left_out_are_told(outcomes, groups, message):
    with pytest.raises(InputError, match=message):
        cohort_splits(cohort_of(outcomes, groups), "infant")


def test_infants_with_scores_are_dealt_whole_to_folds_and_test_set():
    groups, seen = [f"infant{i // 3}" for i in range(24)], set()
    cohort = replace(
        cohort_of([0] * 24, tuple(groups), center=["x"] * 24), outcomes=tuple(range(24)), score_range=(0, 72)
    )
    for seed in (1, 2):
        fold_of = assign_folds(cohort, 3, 0.25, seed=seed)
        assert [len({f for f, group in zip(fold_of, groups) if group == name}) for name in set(groups)] == [1] * 8
        assert fold_of.count(0) == 6
        assert folds_summary(cohort, fold_of)[-1].startswith("test set: 6, mean score ")
        seen.add(fold_of)
    assert len(seen) == 2
    with pytest.raises(InputError, match="8 infants cannot be dealt to 9 folds"):
        assign_folds(cohort, 9, 0)
    with pytest.raises(ValueError, match="balance no columns"):
        assign_folds(cohort, 3, 0, ["center"])
