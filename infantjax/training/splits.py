"""Who trains and who is held out: the published split, and stratified folds that keep groups together."""

import math
import random
import warnings
from collections import Counter, defaultdict
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from infantjax.errors import InputError

REFERENCE_SEED = 1433


@dataclass(frozen=True)
class Split:
    """Samples of one run, by index.

    Attributes:
        train: samples to train on.
        validation: samples that choose the best epoch.
        test: samples that the run never sees.
    """

    train: tuple[int, ...]
    validation: tuple[int, ...]
    test: tuple[int, ...] = ()

    def check(self, count: int, what: str = "samples") -> None:
        """Check the indices.

        Args:
            count: number of samples there are.
            what: named in the message.

        Raises:
            ValueError: nothing to train on or to validate on, or an index that does not exist.
        """
        for side in (self.train, self.validation):
            if not side or min(side) < 0 or max(side) >= count:
                raise ValueError(f"a split must name {what} 0..{count - 1} to train on and to validate on")


@dataclass(frozen=True)
class ReferenceSplit:
    """Ids of the development folds and of the test set."""

    folds: tuple[tuple[str, ...], ...]
    test: tuple[str, ...]


def reference_split(
    outcomes: Mapping[str, int], folds: int = 7, test_size: float = 0.25, seed: int = REFERENCE_SEED
) -> ReferenceSplit:
    """The split of the reference implementation: stratified on the outcome alone.

    The CP ids, then the others, each in the order of the table, are shuffled by one Python generator. Of each list
    the first `int(n * (1 - test_size))` go to the folds, the rest to the test set; fold k takes the first
    `ceil(remaining / (folds + 1 - k))` of what remains of each list, CP first.

    Args:
        outcomes: id -> 0 or 1, in the order of the table.
        folds: number of folds.
        test_size: share of the test set.
        seed: of Python's generator.

    Source: Groos et al., the reference implementation. The paper also stratifies on center and subtype.
    """
    generator = random.Random(seed)
    parts: list[list[str]] = [[] for _ in range(folds)]
    test: list[str] = []
    for outcome in (1, 0):
        ids = [i for i, o in outcomes.items() if o == outcome]
        generator.shuffle(ids)
        development = int(len(ids) * (1 - test_size))
        remaining, rest = ids[:development], ids[development:]
        test += rest
        for k in range(folds):
            take = math.ceil(len(remaining) / (folds - k))
            parts[k] += remaining[:take]
            remaining = remaining[take:]
    return ReferenceSplit(tuple(map(tuple, parts)), tuple(test))


def stratified_splits(
    outcomes: Sequence[float],
    folds: int,
    *,
    groups: Sequence[Hashable] | None = None,
    strata: Sequence[Hashable] | None = None,
    seed: int = 1,
    where: str = "cohort",
) -> tuple[Split, ...]:
    """Folds with equal shares of each outcome, in which no group is held out and trained on at once.

    By `StratifiedKFold` of scikit-learn, with groups (an infant, or a center) by `StratifiedGroupKFold`.

    Args:
        outcomes: of each recording, 0 or 1.
        folds: number of folds, at least 2.
        groups: name of the group of each recording.
        strata: what to balance beside the outcome, for each recording (subtype, center).
        seed: of the shuffle within strata.
        where: named in errors.

    Returns:
        Split k holds out part k and trains on all others, rows ascending.

    Raises:
        InputError: fewer than two recordings or groups, one class only, or fewer groups of a class than folds; the
            message says how many folds are possible.
        ValueError: fewer than 2 folds, or lengths that do not fit.
    """
    if folds < 2:
        raise ValueError(f"folds must be at least 2, got {folds}")
    for name, values in (("groups", groups), ("strata", strata)):
        if values is not None and len(values) != len(outcomes):
            raise ValueError(f"{len(outcomes)} recordings need as many {name}, got {len(values)}")
    names = list(range(len(outcomes))) if groups is None else list(groups)
    _refuse_impossible(outcomes, names, folds, where, "recordings" if groups is None else "groups")
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

    kinds = [str(kind) for kind in zip(outcomes, strata if strata is not None else outcomes)]
    if max(Counter(kinds).values()) < folds:  # no stratum reaches every fold
        kinds = [str(outcome) for outcome in outcomes]
    splitter = (StratifiedKFold if groups is None else StratifiedGroupKFold)(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a stratum with fewer members than folds is spread all the same
        sides = splitter.split(kinds, kinds, [str(name) for name in names])
        result = tuple(Split(tuple(train.tolist()), tuple(held_out.tolist())) for train, held_out in sides)
    if any(len({outcomes[r] for r in side}) < 2 for fold in result for side in (fold.train, fold.validation)):
        raise InputError(
            where,
            f"its groups cannot be dealt to {folds} folds so that each holds both outcomes",
            "use fewer folds or smaller groups",
        )
    return result


def leave_one_group_out(groups: Sequence[Hashable]) -> tuple[Split, ...]:
    """One split for each group, in the order of their first samples, which validates on all samples of that group.

    Raises:
        ValueError: fewer than two groups.
    """
    members: dict[Hashable, list[int]] = defaultdict(list)
    for row, group in enumerate(groups):
        members[group].append(row)
    if len(members) < 2:
        raise ValueError(f"leaving one group out needs at least two, got {len(members)}")
    rows = np.arange(len(groups))
    return tuple(Split(tuple(np.delete(rows, held_out).tolist()), tuple(held_out)) for held_out in members.values())


def random_splits(
    outcomes: Sequence[float],
    repeats: int = 25,
    *,
    shares: tuple[float, float] = (0.15, 0.15),
    groups: Sequence[Hashable] | None = None,
    strata: Sequence[Hashable] | None = None,
    seed: int = 1,
    where: str = "cohort",
) -> tuple[Split, ...]:
    """Repeated random splits into training, validation and test, stratified, whole groups on one side.

    A group belongs to the stratum of its first recording. Of each stratum the shares are rounded, but each side gets
    one group at least of a stratum that has three.

    Args:
        outcomes: 0 or 1 for each recording.
        repeats: number of splits, each drawn on its own: test sets of different repeats overlap.
        shares: of the groups, for validation and for test. Paper: 0.15 each; reference implementation: 0.102 and 0.15.
        groups: of each recording (its infant), or None where each is one of its own.
        strata: a finer class of each recording (normal, abnormal, absent), or None for the outcome.
        seed: a split depends on it and on its number, not on how many there are.
        where: named in messages.

    Raises:
        InputError: a side of a split would lack an outcome.
        ValueError: shares that leave nothing to train on, no repeats, or lengths that differ.

    Source: Passmore et al., Baby Moves: 25 repeats, three classes, by infant.
    """
    names = list(groups) if groups is not None else list(range(len(outcomes)))
    kinds = list(strata) if strata is not None else list(outcomes)
    if not len(outcomes) == len(names) == len(kinds):
        raise ValueError(f"{len(outcomes)} outcomes need as many groups and strata, got {len(names)}, {len(kinds)}")
    if min(shares) <= 0 or sum(shares) >= 1 or repeats < 1:
        raise ValueError(f"shares must be above 0 and leave some to train on, got {shares}; repeats {repeats}")
    rows_of: dict[Hashable, list[int]] = defaultdict(list)
    for row, name in enumerate(names):
        rows_of[name].append(row)
    members: dict[Hashable, list[Hashable]] = defaultdict(list)
    for name, rows in rows_of.items():
        members[kinds[rows[0]]].append(name)
    partitions = []
    for repeat in range(repeats):
        rng = np.random.default_rng([seed, repeat])
        sides: tuple[list[int], ...] = ([], [], [])
        for stratum in members.values():
            order = rng.permutation(len(stratum))
            validation, test = (max(round(share * len(order)), len(order) >= 3) for share in shares)
            for rank, index in enumerate(order):
                side = 2 if rank < test else 1 if rank < test + validation else 0
                sides[side].extend(rows_of[stratum[index]])
        if any(len({outcomes[row] for row in side}) < 2 for side in sides):
            raise InputError(
                where,
                f"split {repeat} lacks an outcome on one side",
                "three groups of each outcome are the least that can be split in three",
            )
        partitions.append(Split(*(tuple(sorted(side)) for side in sides)))
    return tuple(partitions)


def _refuse_impossible(outcomes: Sequence[float], names: Sequence[Hashable], folds: int, where: str, unit: str) -> None:
    if len(outcomes) < 2:
        raise InputError(where, f"holds {len(outcomes)} recording(s)", "training needs recordings of both outcomes")
    if len(set(outcomes)) < 2:
        raise InputError(
            where, f"all {len(outcomes)} recordings have outcome {outcomes[0]}", "training needs both outcomes"
        )
    if len(set(names)) < 2:
        raise InputError(where, "all recordings belong to one group", "nothing can be held out; check the groups")
    for outcome in (1, 0):
        available = len({name for name, o in zip(names, outcomes) if o == outcome})
        if available < folds:
            remedy = f"use --folds {available} at most" if available > 1 else "add recordings; no folds are possible"
            raise InputError(where, f"{available} {unit} with outcome {outcome} for {folds} folds", remedy)
