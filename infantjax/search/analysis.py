"""Analysis of a search: the choices that matter, its population over time, its checkpoints, the best value so far.

`report` writes it as tables and a page. A trial that stopped at a checkpoint counts with the value that it had reached,
as it does in the search.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, get_args

import numpy as np
from jaxtyping import Float

from infantjax.errors import InputError, MissingExtraError
from infantjax.evaluation.intervals import bootstrap_mean
from infantjax.search.kbest import FAILED, Observation, State
from infantjax.search.space import SearchSpace
from infantjax.search.study import SearchResult, candidate_of, distributions
from infantjax.settings import require_one_of

try:
    import optuna
    from optuna.trial import TrialState
except ImportError:
    raise MissingExtraError("optuna", "search") from None

Evaluator = Literal["impurity", "fanova", "ped-anova"]

MIN_TRIALS = 10
"""Trials with a value that an estimate of the importance needs (our choice)."""


class Importance(NamedTuple):
    """How much a choice matters.

    Attributes:
        choice: its name.
        share: of the importance of all choices.
        low: lower end of its 95 % interval, from resampled trials.
        high: upper end.
        chance: 95 % quantile of the share when the values are shuffled over the candidates. A share that is not above
            it means nothing.
    """

    choice: str
    share: float
    low: float
    high: float
    chance: float


class Step(NamedTuple):
    """A finished trial and the state of the search after it.

    Attributes:
        trial: number of the trial.
        value: NaN where it failed.
        best: highest value so far; NaN as long as there is none.
        state: of the strategy: population, temperature, probabilities of the next candidate.
    """

    trial: int
    value: float
    best: float
    state: State

    def open_choices(self) -> dict[str, float]:
        """Effective number of alternatives of each choice for the next candidate: exp of the entropy."""
        return {
            name: math.exp(-sum(p * math.log(p) for p in probabilities.values() if p > 0))
            for name, probabilities in self.state.probabilities.items()
        }


class Checkpoint(NamedTuple):
    """The trials of a search at one epoch.

    Attributes:
        epoch: counted from 1.
        required: value below which training stops there; NaN if there is none.
        trials: number that reached the epoch.
        stopped: number of these that stopped there.
        q1: lower quartile of their values.
        median: of their values.
        q3: upper quartile.
        agreement: Spearman's correlation with the value at the end, over those that continued; NaN for fewer than
            three, or where all are equal.
    """

    epoch: int
    required: float
    trials: int
    stopped: int
    q1: float
    median: float
    q3: float
    agreement: float


@dataclass(frozen=True)
class Convergence:
    """The best value so far of repeated searches.

    Attributes:
        best: `[search, trial]` highest value among the first trials, NaN as long as there is none. A search that ended
            keeps its best.
        mean: `[trial]` over the searches.
        low: `[trial]` lower end of the bootstrap interval of the mean over the searches; NaN for one search.
        high: `[trial]` upper end.
    """

    best: Float[np.ndarray, "search trial"]
    mean: Float[np.ndarray, " trial"]
    low: Float[np.ndarray, " trial"]
    high: Float[np.ndarray, " trial"]


def importance(
    study: SearchResult, evaluator: Evaluator = "impurity", resamples: int = 20, seed: int = 0
) -> tuple[Importance, ...]:
    """Share of each choice in the differences between candidates, largest first, by the evaluators of Optuna.

    - `impurity`: mean decrease of impurity in a forest of regression trees, with interactions.
    - `fanova`: main effects in such a forest (Hutter et al. 2014); some twenty times as slow.
    - `ped-anova`: what distinguishes the best tenth (Watanabe et al. 2023); needs hundreds of trials.

    All describe the evaluated candidates. K-Best tries few alternatives of a choice once its population agrees, so the
    importance is best estimated from a random search. Choices without effect for some candidates (`se_ratio` without
    squeeze-and-excitation) are taken as if they had one.

    Args:
        study: the search; failed trials are left out, stopped ones are not.
        evaluator: of the importance.
        resamples: of the trials, for the intervals; and as many shuffles of the values, for `chance`.
        seed: of the forest, the resamples and the shuffles.

    Raises:
        InputError: fewer than `MIN_TRIALS` trials with a value, or all values are equal.
        MissingExtraError: scikit-learn is not installed.
        ValueError: unknown evaluator.
    """
    require_one_of("evaluator", evaluator, get_args(Evaluator))
    observed = informative(study)
    if not observed:
        raise InputError(f"study {study.name}", "has too few trials with different values", "run more trials")
    shares = _shares(study.space, observed, evaluator, seed)
    random = np.random.default_rng(seed)
    resampled, shuffled = [], []
    for _ in range(resamples):
        chosen = random.choice(len(observed), len(observed))
        resampled.append(_shares(study.space, [observed[row] for row in chosen], evaluator, seed))
        values = random.permutation([each.value for each in observed])
        null = [Observation(each.candidate, float(value)) for each, value in zip(observed, values)]
        shuffled.append(_shares(study.space, null, evaluator, seed))
    rows = []
    for name, share in shares.items():
        low, high = np.quantile([each[name] for each in resampled], (0.025, 0.975)) if resampled else (math.nan,) * 2
        chance = np.quantile([each[name] for each in shuffled], 0.95) if shuffled else math.nan
        rows.append(Importance(name, share, float(low), float(high), float(chance)))
    return tuple(sorted(rows, key=lambda row: -row.share))


def informative(study: SearchResult) -> list[Observation]:
    """The observations with a value that an importance needs; none if they are too few or all equal."""
    observed = [each for each in study.history if each.value > FAILED]
    return observed if len(observed) >= MIN_TRIALS and len({each.value for each in observed}) > 1 else []


def _shares(space: SearchSpace, observed: Sequence[Observation], evaluator: Evaluator, seed: int) -> dict[str, float]:
    """Importance by choice, adding to 1; 0 for a choice with one alternative among these observations."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study, known = optuna.create_study(direction="maximize"), distributions(space)
    study.add_trials(
        optuna.create_trial(params=space.choices(candidate), distributions=known, value=value)
        for candidate, value in observed
    )
    implementation: optuna.importance.BaseImportanceEvaluator
    if evaluator == "impurity":
        implementation = optuna.importance.MeanDecreaseImpurityImportanceEvaluator(seed=seed)
    elif evaluator == "fanova":
        implementation = optuna.importance.FanovaImportanceEvaluator(seed=seed)
    else:
        implementation = optuna.importance.PedAnovaImportanceEvaluator()
    shares = optuna.importance.get_param_importances(study, evaluator=implementation)
    return {name: float(shares.get(name, 0.0)) for name in space.names}


def steps(study: SearchResult) -> tuple[Step, ...]:
    """The search after each finished trial, in the order of the trial numbers."""
    number: dict = {}
    for trial in study.trials:
        number.setdefault(candidate_of(study.space, trial), trial.number)
    observed = study.history
    states = study.strategy.states(study.space, observed)
    next(states)
    best = best_so_far([each.value for each in observed])
    values = [each.value if each.value > FAILED else math.nan for each in observed]
    return tuple(
        Step(number[each.candidate], value, float(so_far), state)
        for each, value, so_far, state in zip(observed, values, best, states)
    )


def intermediate(study: SearchResult) -> list[tuple[int, int, float]]:
    """(trial, epoch, best value so far) of every report, by trial and epoch."""
    return [
        (trial.number, epoch, value)
        for trial in study.trials
        for epoch, value in sorted(trial.intermediate_values.items())
    ]


def checkpoints(study: SearchResult) -> tuple[Checkpoint, ...]:
    """The trials at each epoch with a required value; without such epochs, at each epoch with a report."""
    from scipy.stats import spearmanr

    at: dict[int, dict[int, float]] = defaultdict(dict)
    for trial, epoch, value in intermediate(study):
        at[epoch][trial] = value
    ended = {trial.number: trial for trial in study.trials if trial.value is not None}
    rows = []
    for epoch, required in study.checkpoints or [(epoch, math.nan) for epoch in sorted(at)]:
        came = {number: value for number, value in at[epoch].items() if number in ended}
        if not came:
            continue
        stopped = {n for n in came if ended[n].state is TrialState.PRUNED and ended[n].last_step == epoch}
        pairs = np.array([(value, ended[number].value) for number, value in came.items() if number not in stopped])
        comparable = len(pairs) >= 3 and all(len(set(column)) > 1 for column in pairs.T)
        agreement = float(spearmanr(*pairs.T).statistic) if comparable else math.nan
        q1, median, q3 = (float(q) for q in np.quantile(list(came.values()), (0.25, 0.5, 0.75)))
        rows.append(Checkpoint(epoch, required, len(came), len(stopped), q1, median, q3, agreement))
    return tuple(rows)


def best_so_far(values: Iterable[float]) -> Float[np.ndarray, " trial"]:
    """Highest value among the first trials; NaN as long as all failed."""
    best = np.maximum.accumulate(np.array(list(values), np.float64))
    return np.where(best > FAILED, best, math.nan)


def convergence(searches: Sequence[Sequence[float]], trials: int | None = None, seed: int = 0) -> Convergence:
    """The best value so far of repeated searches, with the 95 % bootstrap interval of the mean over them.

    With few searches the interval is too narrow: three have ten different resamples.

    Args:
        searches: values of the trials of each search, in order, `FAILED` included.
        trials: number to show; None is the longest search.
        seed: of the bootstrap.

    Raises:
        ValueError: no searches, or one without trials.
    """
    if not searches or not all(len(search) for search in searches):
        raise ValueError("convergence needs searches with trials")
    count = trials or max(len(search) for search in searches)
    curves = [best_so_far(search)[:count] for search in searches]
    best = np.stack([np.pad(curve, (0, count - len(curve)), mode="edge") for curve in curves])
    return Convergence(best, *bootstrap_mean(best, seed=seed))
