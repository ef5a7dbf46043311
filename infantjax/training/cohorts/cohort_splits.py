"""Splits of a cohort: cross-validation folds, a single split, a test set; and the tables that record them."""

from collections import Counter
from collections.abc import Iterable, Sequence

import numpy as np

from infantjax.errors import InputError
from infantjax.files import csv_text
from infantjax.recording.cohort import Cohort
from infantjax.training.splits import Split, leave_one_group_out, stratified_splits

EACH_INFANT = "infant"
"""Given in place of a number of folds: each infant is a fold of its own."""


def cohort_splits(cohort: Cohort, folds: int | str, stratify: Sequence[str] = (), seed: int = 1) -> tuple[Split, ...]:
    """Splits of a cross-validation: `stratified_splits` with the cohort's groups and columns, given folds, or infants.

    Args:
        cohort: recordings with outcomes.
        folds: number of folds; or a column of the outcomes table whose values name the folds, in numerical order if
            they are numbers; or `infant`, which holds out one infant (a whole group) at a time.
        stratify: columns of the outcomes table to balance beside the outcome.
        seed: of the shuffle.

    Raises:
        InputError: the cohort cannot be split into that many folds, or the given folds cannot be used.
        ValueError: a column that no recording has, or columns to balance where the folds are given or outcomes are
            scores.
    """
    strata = cohort.columns(stratify)
    if folds == EACH_INFANT:
        if stratify:
            raise ValueError("each infant is a fold of its own; nothing is left to stratify")
        return _leave_one_infant_out(cohort)
    if isinstance(folds, str):
        if stratify:
            raise ValueError(f'the column "{folds}" gives the folds; nothing is left to stratify')
        cohort.columns([folds])
        return _given_folds(cohort, folds)
    if cohort.score_range is not None:
        if stratify:
            raise ValueError("folds of scores balance no columns")
        return _folds_of_scores(cohort, folds, seed)
    return stratified_splits(cohort.outcomes, folds, groups=cohort.groups, strata=strata, seed=seed)


def _folds_of_scores(cohort: Cohort, folds: int, seed: int) -> tuple[Split, ...]:
    """Folds of whole infants in random order: scores have no classes to balance."""
    from sklearn.model_selection import GroupKFold

    groups = cohort.groups or cohort.names
    if not 2 <= folds <= len(set(groups)):
        what = f"its {len(set(groups))} infants cannot be dealt to {folds} folds"
        raise InputError("cohort", what, "use another number of folds, or add infants")
    sides = GroupKFold(folds, shuffle=True, random_state=seed).split(groups, groups=groups)
    return tuple(Split(tuple(train.tolist()), tuple(held_out.tolist())) for train, held_out in sides)


def _leave_one_infant_out(cohort: Cohort) -> tuple[Split, ...]:
    """One fold for each infant; the held-out side has one outcome, so that no run has an AUC of its own."""
    require_several_groups(cohort)
    if len(set(cohort.outcomes)) < 2:
        what = f"all {len(cohort)} recordings have outcome {cohort.outcomes[0]:g}"
        raise InputError("cohort", what, "training needs both outcomes")
    return leave_one_group_out(cohort.groups or cohort.names)


def _given_folds(cohort: Cohort, column: str) -> tuple[Split, ...]:
    """The folds that a column names."""
    names = [str(recording.metadata.get(column, "")).strip() for recording in cohort.recordings]
    if without := [recording.name for recording, name in zip(cohort.recordings, names) if not name]:
        raise InputError(
            "cohort", f'{", ".join(without[:5])} has no entry in column "{column}"', "name a fold for each recording"
        )
    order = sorted(set(names), key=lambda name: (not name.isdecimal(), int(name) if name.isdecimal() else 0, name))
    if len(order) < 2:
        raise InputError("cohort", f'"{column}" names one fold', "name at least two")
    rows = range(len(cohort))
    folds = tuple(
        Split(tuple(r for r in rows if names[r] != name), tuple(r for r in rows if names[r] == name)) for name in order
    )
    for name, fold in zip(order, folds):
        if any(len({cohort.outcomes[row] for row in side}) < 2 for side in (fold.train, fold.validation)):
            raise InputError("cohort", f'fold {name} of "{column}" does not leave both outcomes on both sides')
        if cohort.groups and {cohort.groups[r] for r in fold.train} & {cohort.groups[r] for r in fold.validation}:
            raise InputError("cohort", f'fold {name} of "{column}" shares a group with others', "keep groups together")
    return folds


def single_split(cohort: Cohort, validation: Sequence[str] | float, seed: int = 1) -> Split:
    """A split by ids, or of a random fraction of the groups, stratified on the outcome where outcomes are classes.

    Args:
        cohort: recordings with outcomes.
        validation: ids of the validation recordings, or about which fraction of the groups, up to a half.
        seed: of the shuffle.

    Raises:
        InputError: ids that the cohort does not hold, a group on both sides, or a side that is empty or has one outcome
            only.
        ValueError: a fraction that is not above 0 and at most a half.
    """
    require_several_groups(cohort)
    groups = cohort.groups or cohort.names
    if isinstance(validation, float):
        if not 0 < validation <= 0.5:
            raise ValueError(f"validation must be a fraction above 0 and at most 0.5, or ids; got {validation}")
        if cohort.score_range is None:
            return stratified_splits(cohort.outcomes, round(1 / validation), groups=cohort.groups, seed=seed)[0]
        order = np.random.default_rng(seed).permutation(sorted(set(groups)))
        held_out = set(order[: max(1, round(validation * len(order)))].tolist())
        held = tuple(row for row, group in enumerate(groups) if group in held_out)
    else:
        if unknown := sorted(set(validation) - set(cohort.names)):
            raise InputError("validation", f"the cohort has no recordings {', '.join(unknown)}", "check the ids")
        held = tuple(row for row, name in enumerate(cohort.names) if name in set(validation))
    split = Split(tuple(row for row in range(len(cohort)) if row not in set(held)), held)
    for side, rows in (("training", split.train), ("validation", split.validation)):
        if not rows:
            raise InputError("validation", f"leaves no {side} recordings", "several infants are needed")
        if cohort.score_range is None and len({cohort.outcomes[row] for row in rows}) < 2:
            raise InputError("validation", f"the {side} recordings do not hold both outcomes", "choose other ids")
    if both := {groups[row] for row in split.train} & {groups[row] for row in split.validation}:
        raise InputError("validation", f"group {min(both)} is on both sides", "hold out whole groups")
    return split


def require_several_groups(cohort: Cohort) -> None:
    """Check that a cohort has recordings of several infants.

    Raises:
        InputError: there is one only.
    """
    if len(set(cohort.groups or cohort.names)) < 2:
        raise InputError("cohort", "needs at least two infants, found one", "add other infants")


def assign_folds(
    cohort: Cohort, folds: int = 7, test_fraction: float = 0.25, stratify: Sequence[str] = (), seed: int = 1
) -> tuple[int, ...]:
    """Assign recordings to a test set and to cross-validation folds of the others, as in the paper.

    Args:
        cohort: recordings with outcomes; groups stay together.
        folds: number of folds.
        test_fraction: fraction of infants reserved for testing, `1 / n` for a whole number n, to which it is rounded;
            a quarter as published; 0 reserves none.
        stratify: columns of the outcomes table to balance beside the outcome; in the paper center and CP subtype.
        seed: of the shuffles.

    Returns:
        The fold of each recording, from 1; 0 is the test set.

    Raises:
        InputError: the cohort cannot be split so.
        ValueError: a column that no recording has, or a fraction that is not 0 or within 0..0.5.

    Source: Groos et al., Paper III: 139 of 557 infants held out, seven folds of the other 418.
    """
    if not 0 <= test_fraction <= 0.5:
        raise ValueError(f"test_fraction must be at least 0 and at most 0.5, got {test_fraction}")
    rest = tuple(range(len(cohort)))
    if test_fraction:
        # The last part is never larger than the others, so that 139 of 557 are held out.
        try:
            rest = cohort_splits(cohort, round(1 / test_fraction), stratify, seed)[-1].train
        except InputError as error:
            raise InputError(error.where, error.what, "use a larger --test-fraction, or 0 for no test set") from None
    fold_of = [0] * len(cohort)
    for number, split in enumerate(cohort_splits(cohort.subset(rest), folds, stratify, seed), start=1):
        for row in split.validation:
            fold_of[rest[row]] = number
    return tuple(fold_of)


def folds_table(cohort: Cohort, fold_of: Sequence[int], rows: Iterable[int], columns: Sequence[str] = ()) -> str:
    """Some recordings as a table of outcomes with a column `fold`: `id;outcome;fold`, then group and columns.

    Args:
        cohort: recordings with outcomes.
        fold_of: of each recording, see `assign_folds`.
        rows: rows of the cohort.
        columns: of the outcomes table that are kept.
    """
    grouped = [] if cohort.groups is None else ["group"]
    lines = []
    for row in rows:
        group = [] if cohort.groups is None else [cohort.groups[row]]
        kept = [cohort.recordings[row].metadata.get(column, "") for column in columns]
        lines.append([cohort.names[row], cohort.outcomes[row], fold_of[row], *group, *kept])
    return csv_text(["id", "outcome", "fold", *grouped, *columns], lines, ";", "|")


def folds_summary(cohort: Cohort, fold_of: Sequence[int], columns: Sequence[str] = ()) -> list[str]:
    """Content of each fold, a line each: recordings, those with outcome 1 or the mean score, values of columns.

    Args:
        cohort: recordings with outcomes.
        fold_of: of each recording, see `assign_folds`.
        columns: of the outcomes table.
    """
    lines = []
    for number in sorted(set(fold_of), key=lambda k: (k == 0, k)):
        rows = [row for row, k in enumerate(fold_of) if k == number]
        total = sum(cohort.outcomes[r] for r in rows)
        held = f"{total} CP" if cohort.score_range is None else f"mean score {total / len(rows):.1f}"
        line = f"{f'fold {number}' if number else 'test set'}: {len(rows)}, {held}"
        for column in columns:
            counted = Counter(str(cohort.recordings[row].metadata.get(column, "")) or "none" for row in rows)
            line += f"; {column} " + ", ".join(f"{value} {count}" for value, count in sorted(counted.items()))
        lines.append(line)
    return lines
