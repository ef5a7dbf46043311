"""What a search shows: which choices matter, its population over time, the checkpoints, the best value over the trials.

Each is plain data first, then a plot (extra `analysis`). A trial that stopped at a checkpoint counts with the value
that it had reached, as it does in the search.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

import numpy as np
from jaxtyping import Float

from infantjax.errors import InputError, MissingExtraError
from infantjax.evaluation import plots
from infantjax.evaluation.intervals import bootstrap_mean
from infantjax.files import csv_text, write_atomically
from infantjax.search.kbest import FAILED, Observation, State
from infantjax.search.sampler import candidate_of, distributions
from infantjax.search.space import SearchSpace
from infantjax.search.study import Snapshot
from infantjax.settings import require_one_of

try:
    import optuna
    from optuna.trial import TrialState
except ImportError:
    raise MissingExtraError("optuna", "search") from None

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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
    study: Snapshot, evaluator: Evaluator = "impurity", resamples: int = 20, seed: int = 0
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
    observed = _informative(study)
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


def _informative(study: Snapshot) -> list[Observation]:
    """The observations with a value; none if they are too few or all equal."""
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
    try:
        if evaluator == "impurity":
            implementation = optuna.importance.MeanDecreaseImpurityImportanceEvaluator(seed=seed)
        elif evaluator == "fanova":
            implementation = optuna.importance.FanovaImportanceEvaluator(seed=seed)
        else:
            implementation = optuna.importance.PedAnovaImportanceEvaluator()
    except ImportError:
        raise MissingExtraError("scikit-learn", "analysis") from None
    shares = optuna.importance.get_param_importances(study, evaluator=implementation)
    return {name: float(shares.get(name, 0.0)) for name in space.names}


def steps(study: Snapshot) -> tuple[Step, ...]:
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


def intermediate(study: Snapshot) -> list[tuple[int, int, float]]:
    """(trial, epoch, best value so far) of every report, by trial and epoch."""
    return [
        (trial.number, epoch, value)
        for trial in study.trials
        for epoch, value in sorted(trial.intermediate_values.items())
    ]


def checkpoints(study: Snapshot) -> tuple[Checkpoint, ...]:
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


# --- tables and plots of studies --------------------------------------------------------------------------------------


def write(
    studies: Sequence[Snapshot], folder: str | Path, evaluator: Evaluator = "impurity", resamples: int = 20
) -> list[Path]:
    """Write all of it to a folder as tables, and as plots where Matplotlib is installed.

    - `importance.csv`, of each study with enough trials;
    - `population.csv`: a row for each finished trial: its value, the best, temperature, the values of the members,
      worst first, and of each choice how many alternatives are open (`Step.open_choices`);
    - `intermediate.csv`: the value of each trial at its checkpoints and its end; `checkpoints.csv`: a summary of them;
    - `convergence.csv`: the best so far; studies with one strategy and one space are repeats;
    - a PNG of the same name, one for each study where there are several, for all but `intermediate.csv`.

    Args:
        studies: of different names.
        folder: created if missing; files of these names are replaced.
        evaluator: of the importance.
        resamples: of the importance.

    Returns:
        The files.

    Raises:
        InputError: a study without a finished trial, or a folder that cannot be written.
        MissingExtraError: scikit-learn is not installed.
    """
    folder = Path(folder)
    for study in studies:
        if not study.history:
            raise InputError(f"study {study.name}", "has no finished trial", "run more trials")
    important = {study.name: importance(study, evaluator, resamples) for study in studies if _informative(study)}
    courses = {study.name: steps(study) for study in studies}
    repeats: dict[str, list[Snapshot]] = defaultdict(list)
    for study in studies:
        first = next(each for each in studies if (each.strategy, each.space) == (study.strategy, study.space))
        repeats[f"{type(study.strategy).__name__} ({first.name})"].append(study)
    converged = {name: convergence([study.values for study in group]) for name, group in repeats.items()}
    tables = {
        "importance": _by_study(Importance._fields, important),
        "population": _population_table(studies, courses),
        "intermediate": _by_study(("trial", "epoch", "value"), {study.name: intermediate(study) for study in studies}),
        "checkpoints": _by_study(Checkpoint._fields, {study.name: checkpoints(study) for study in studies}),
        "convergence": _convergence_table(converged),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in tables.items():
            write_atomically(folder / f"{name}.csv", text)
        written = [folder / f"{name}.csv" for name in tables]
        try:
            return written + plots.save(_figures(studies, important, courses, converged), folder, "png")
        except MissingExtraError:
            return written
    except OSError as error:
        raise InputError(folder, f"cannot be written ({error.strerror})", "give another place") from None


def _by_study(head: Sequence[str], rows: Mapping[str, Iterable[Sequence[object]]]) -> str:
    return csv_text(("study", *head), ((name, *_rounded(row)) for name, group in rows.items() for row in group))


def _convergence_table(converged: Mapping[str, Convergence]) -> str:
    rows = (
        (name, len(curves.best), trial, *_rounded(row))
        for name, curves in converged.items()
        for trial, row in enumerate(zip(curves.mean, curves.low, curves.high), start=1)
    )
    return csv_text(("searches", "number", "trial", "mean", "low", "high"), rows)


def _population_table(studies: Sequence[Snapshot], courses: Mapping[str, Sequence[Step]]) -> str:
    names = list(dict.fromkeys(name for study in studies for name in study.space.names))
    head = ("study", "trial", "value", "best", "temperature", "unsuccessful", "members", *names)
    rows = []
    for study, course in courses.items():
        for step in course:
            state, open_choices = step.state, step.open_choices()
            members = " ".join(f"{member.value:.6g}" for member in state.population)
            row = (step.trial, step.value, step.best, state.temperature, state.unsuccessful, members)
            rows.append((study, *_rounded((*row, *(open_choices.get(name) for name in names)))))
    return csv_text(head, rows)


def _rounded(row: Sequence[object]) -> list[object]:
    """Floats to six digits; NaN stays, for `csv_text`."""
    return [f"{value:.6g}" if isinstance(value, float) and not math.isnan(value) else value for value in row]


def _figures(
    studies: Sequence[Snapshot],
    important: Mapping[str, Sequence[Importance]],
    courses: Mapping[str, Sequence[Step]],
    converged: Mapping[str, Convergence],
) -> "dict[str, Figure]":
    figures = {}
    for number, study in enumerate(studies, start=1):
        suffix = f"-{number}" if len(studies) > 1 else ""
        if study.name in important:
            figures[f"importance{suffix}"] = importance_figure(important[study.name])
        figures[f"population{suffix}"] = population_figure(courses[study.name])
        figures[f"checkpoints{suffix}"] = checkpoints_figure(study)
    figures["convergence"] = convergence_figure(converged)
    return figures


def importance_figure(rows: Sequence[Importance]) -> "Figure":
    """Plot the shares of the choices with their intervals, and the level of chance.

    Raises:
        MissingExtraError: Matplotlib is not installed.
    """
    figure, axes = plots.new_figure("share of the importance", "")
    names, shares = [row.choice for row in rows], np.array([row.share for row in rows])
    reach = np.abs(np.array([[row.low for row in rows], [row.high for row in rows]]) - shares)
    axes.barh(names, shares, xerr=np.nan_to_num(reach), color="0.75", ecolor="0.3", capsize=2)
    axes.plot([row.chance for row in rows], names, "|", color="tab:red", markersize=10, label="95 % of chance")
    axes.invert_yaxis()
    axes.legend(loc="lower right")
    return figure


def population_figure(course: Sequence[Step]) -> "Figure":
    """Plot the value of every trial and the range of the population, with the drops of the temperature.

    Raises:
        MissingExtraError: Matplotlib is not installed.
    """
    figure, axes = plots.new_figure("finished trial", "value")
    at = np.arange(1, len(course) + 1)
    members = [[member.value for member in step.state.population] or [math.nan] for step in course]
    axes.plot(at, [step.value for step in course], ".", color="0.5", label="trial")
    axes.fill_between(at, [min(m) for m in members], [max(m) for m in members], alpha=0.3, step="post")
    axes.step(at, [np.median(m) for m in members], where="post", label="population: median and range")
    drops = [n for n in range(1, len(course)) if course[n].state.temperature != course[n - 1].state.temperature]
    for n in drops:
        axes.axvline(at[n], color="0.7", linewidth=1)
        label = f"T = {course[n].state.temperature:g}"
        axes.annotate(label, (at[n], 0.98), xycoords=("data", "axes fraction"), rotation=90, va="top", fontsize="small")
    axes.legend(loc="lower right")
    return figure


def checkpoints_figure(study: Snapshot) -> "Figure":
    """Plot the best value so far of every trial over the epochs, stopped ones gray, and the required values.

    Raises:
        MissingExtraError: Matplotlib is not installed.
    """
    figure, axes = plots.new_figure("epoch", "best value so far")
    for trial in study.trials:
        if reports := sorted(trial.intermediate_values.items()):
            color = "0.7" if trial.state is TrialState.PRUNED else "tab:blue"
            axes.plot(*zip(*reports), color=color, linewidth=1, marker=".", markersize=3)
    if study.checkpoints:
        axes.plot(*zip(*study.checkpoints), "_", color="tab:red", markersize=12, label="required")
        axes.legend(loc="lower right")
    return figure


def convergence_figure(converged: Mapping[str, Convergence]) -> "Figure":
    """Plot the mean best value so far with its interval, a line for each kind of search.

    Raises:
        MissingExtraError: Matplotlib is not installed.
    """
    figure, axes = plots.new_figure("trials", "best value so far")
    for name, curves in converged.items():
        at = np.arange(1, len(curves.mean) + 1)
        (line,) = axes.plot(at, curves.mean, label=f"{name}, {len(curves.best)}", drawstyle="steps-post")
        axes.fill_between(at, curves.low, curves.high, color=line.get_color(), alpha=0.2, step="post")
    axes.legend(loc="lower right")
    return figure
