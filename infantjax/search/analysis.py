"""What a search found: which choices matter, its population over time, AUC at the checkpoints, how fast it came there.

Each is plain data first, then a picture (extra `analysis`). A trial that stopped at a checkpoint counts with the AUC
that it had reached, as it does in the search.
"""

import csv
import io
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
from infantjax.files import write_atomically
from infantjax.search.kbest import FAILED, State, Trial
from infantjax.search.sampler import candidate_of, distributions, origin
from infantjax.search.space import SearchSpace
from infantjax.search.study import Found

try:
    import optuna
    from optuna.trial import TrialState
except ImportError:
    raise MissingExtraError("optuna", "search") from None

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Method = Literal["impurity", "fanova", "ped-anova"]

LEAST = 10
"""Trials with an AUC from which on the importance of choices is estimated (chosen here)."""


class Importance(NamedTuple):
    """How much a choice matters.

    Attributes:
        choice: its name.
        share: of the importance of all choices.
        low: lower end of its 95 % interval, from resampled trials.
        high: upper end.
        chance: what 95 of 100 searches show for it whose AUCs are dealt to their candidates at random. A share that is
            not above it says nothing.
    """

    choice: str
    share: float
    low: float
    high: float
    chance: float


class Step(NamedTuple):
    """A finished trial and where the search stood after it.

    Attributes:
        trial: number of the trial.
        auc: that it reached; NaN where it failed.
        best: highest AUC so far; NaN as long as there is none.
        state: of the rule after it: population, temperature, odds of the next candidate.
    """

    trial: int
    auc: float
    best: float
    state: State

    def open_choices(self) -> dict[str, float]:
        """For each choice how many alternatives the next candidate is drawn from, in effect: exp of the entropy."""
        return {
            name: math.exp(-sum(p * math.log(p) for p in odds.values() if p > 0))
            for name, odds in self.state.probabilities.items()
        }


class Reached(NamedTuple):
    """The best AUC so far of a trial at an epoch."""

    trial: int
    epoch: int
    auc: float


class Checkpoint(NamedTuple):
    """What the trials of a search had reached at an epoch.

    Attributes:
        epoch: counted from 1.
        required: AUC below which a training stops there; NaN where none is.
        trials: that came so far.
        stopped: of these, the ones that went no further because of it.
        q1: lower quartile of their AUCs.
        median: of their AUCs.
        q3: upper quartile.
        agreement: Spearman's correlation with the AUC at the end, over those that were not stopped there; NaN for
            fewer than three, or where all are equal.
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
    """The best so far of repeated searches.

    Attributes:
        best: `[search, trial]` highest AUC among the first trials, NaN as long as there is none. A search that ended
            keeps its best.
        mean: `[trial]` over the searches.
        low: `[trial]` lower end of the mean's bootstrap interval over the searches; NaN for one search.
        high: `[trial]` upper end.
    """

    best: Float[np.ndarray, "search trial"]
    mean: Float[np.ndarray, " trial"]
    low: Float[np.ndarray, " trial"]
    high: Float[np.ndarray, " trial"]


def importance(found: Found, method: Method = "impurity", resamples: int = 20, seed: int = 0) -> tuple[Importance, ...]:
    """How much of the difference between candidates each choice accounts for, largest first, by Optuna's evaluators.

    - `impurity`: mean decrease of impurity in a forest of regression trees. Counts interactions in.
    - `fanova`: main effects in such a forest (Hutter et al. 2014); some twenty times as slow.
    - `ped-anova`: what sets the best tenth apart (Watanabe et al. 2023); needs no scikit-learn, and hundreds of trials.

    All describe the candidates that were tried. K-Best tries few alternatives of a choice once its population agrees,
    so importance is best taken from random search. Choices that mean nothing for some candidates (`se_ratio` and
    `se_type` without squeeze-and-excitation) are taken as if they did.

    Args:
        found: the study; failed trials are left out, stopped ones are not.
        method: the evaluator.
        resamples: of the trials, for the intervals, and as many shuffles of the AUCs, for `chance`.
        seed: of the forest, the resamples and the shuffles.

    Raises:
        InputError: fewer than `LEAST` trials with an AUC, or all with the same.
        MissingExtraError: scikit-learn is not installed.
        ValueError: unknown method.
    """
    if method not in get_args(Method):
        raise ValueError(f'unknown method "{method}"; known: {", ".join(get_args(Method))}')
    trials = _telling(found)
    if not trials:
        raise InputError(f"study {found.name}", "has too few trials with an AUC to tell choices apart", "search on")
    shares = _shares(found.space, trials, method, seed)
    random = np.random.default_rng(seed)
    drawn, shuffled = [], []
    for _ in range(resamples):
        drawn.append(_shares(found.space, [trials[i] for i in random.choice(len(trials), len(trials))], method, seed))
        values = random.permutation([trial.performance for trial in trials])
        dealt = [Trial(trial.candidate, float(value)) for trial, value in zip(trials, values)]
        shuffled.append(_shares(found.space, dealt, method, seed))
    rows = []
    for name, share in shares.items():
        low, high = np.quantile([each[name] for each in drawn], (0.025, 0.975)) if drawn else (math.nan,) * 2
        chance = np.quantile([each[name] for each in shuffled], 0.95) if shuffled else math.nan
        rows.append(Importance(name, share, float(low), float(high), float(chance)))
    return tuple(sorted(rows, key=lambda row: -row.share))


def _telling(found: Found) -> list[Trial]:
    """The trials with an AUC; none where they are too few to tell choices apart."""
    trials = [trial for trial in found.history if trial.performance > FAILED]
    return trials if len(trials) >= LEAST and len({trial.performance for trial in trials}) > 1 else []


def _shares(space: SearchSpace, trials: Sequence[Trial], method: Method, seed: int) -> dict[str, float]:
    """By choice, adding to 1; 0 for a choice with one alternative among these trials."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study, known = optuna.create_study(direction="maximize"), distributions(space)
    study.add_trials(
        optuna.create_trial(params=space.choices(candidate), distributions=known, value=value)
        for candidate, value in trials
    )
    evaluator: optuna.importance.BaseImportanceEvaluator
    try:
        if method == "impurity":
            evaluator = optuna.importance.MeanDecreaseImpurityImportanceEvaluator(seed=seed)
        elif method == "fanova":
            evaluator = optuna.importance.FanovaImportanceEvaluator(seed=seed)
        else:
            evaluator = optuna.importance.PedAnovaImportanceEvaluator()
    except ImportError:
        raise MissingExtraError("scikit-learn", "analysis") from None
    shares = optuna.importance.get_param_importances(study, evaluator=evaluator)
    return {name: float(shares.get(name, 0.0)) for name in space.names}


def course(found: Found) -> tuple[Step, ...]:
    """The search after each finished trial, in the order in which their candidates were first proposed."""
    first: dict = {}
    for trial in found.trials:
        first.setdefault(candidate_of(found.space, trial), origin(trial))
    trials = found.history
    states = found.rule.states(found.space, trials)
    next(states)
    best = best_so_far([trial.performance for trial in trials])
    aucs = [trial.performance if trial.performance > FAILED else math.nan for trial in trials]
    return tuple(
        Step(first[trial.candidate], auc, float(so_far), state)
        for trial, auc, so_far, state in zip(trials, aucs, best, states)
    )


def reached(found: Found) -> tuple[Reached, ...]:
    """What every trial told at its checkpoints and its end, by trial and epoch."""
    return tuple(
        Reached(trial.number, epoch, value)
        for trial in found.trials
        for epoch, value in sorted(trial.intermediate_values.items())
    )


def checkpoints(found: Found) -> tuple[Checkpoint, ...]:
    """What the trials had reached at each epoch with a required AUC; without such, at each epoch that any told of."""
    from scipy.stats import spearmanr

    at: dict[int, dict[int, float]] = defaultdict(dict)
    for trial, epoch, auc in reached(found):
        at[epoch][trial] = auc
    ended = {trial.number: trial for trial in found.trials if trial.value is not None}
    rows = []
    for epoch, least in found.required_auc or [(epoch, math.nan) for epoch in sorted(at)]:
        came = {number: auc for number, auc in at[epoch].items() if number in ended}
        if not came:
            continue
        stopped = {n for n in came if ended[n].state is TrialState.PRUNED and ended[n].last_step == epoch}
        pairs = np.array([(auc, ended[number].value) for number, auc in came.items() if number not in stopped])
        told = len(pairs) >= 3 and all(len(set(column)) > 1 for column in pairs.T)
        agreement = float(spearmanr(*pairs.T).statistic) if told else math.nan
        q1, median, q3 = (float(q) for q in np.quantile(list(came.values()), (0.25, 0.5, 0.75)))
        rows.append(Checkpoint(epoch, least, len(came), len(stopped), q1, median, q3, agreement))
    return tuple(rows)


def best_so_far(performances: Iterable[float]) -> Float[np.ndarray, " trial"]:
    """Highest performance among the first trials; NaN as long as all failed."""
    best = np.maximum.accumulate(np.array(list(performances), np.float64))
    return np.where(best > FAILED, best, math.nan)


def convergence(searches: Sequence[Sequence[float]], trials: int | None = None, seed: int = 0) -> Convergence:
    """The best so far of repeated searches, with the mean's 95 % bootstrap interval over them.

    With few searches the interval is too narrow: three have ten different resamples.

    Args:
        searches: the performances of the trials of each, in order, `FAILED` included.
        trials: to look at; None is the longest search.
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


# --- tables and pictures of studies -----------------------------------------------------------------------------------


def write(founds: Sequence[Found], folder: str | Path, method: Method = "impurity", resamples: int = 20) -> list[Path]:
    """Write all of it to a folder as tables, and as pictures where Matplotlib is installed.

    - `importance.csv`, of each study with trials enough;
    - `population.csv`: a row a finished trial: its AUC, the best, temperature, the members' AUCs, worst first, and of
      each choice how many alternatives are open (`Step.open_choices`);
    - `reached.csv`: AUC of each trial at its checkpoints and its end; `checkpoints.csv`: what all had reached there;
    - `convergence.csv`: the best so far, studies with one rule and one space taken as repeats;
    - a PNG of the same name, one of each study where there are several, for all but `reached.csv`.

    Args:
        founds: studies, of different names.
        folder: where to; made if missing, files of these names are replaced.
        method: of importance.
        resamples: of importance.

    Returns:
        The files.

    Raises:
        InputError: a study without a finished trial, or a folder that cannot be written.
        MissingExtraError: scikit-learn is not installed.
    """
    folder, figures = Path(folder), {}
    for found in founds:
        if not found.history:
            raise InputError(f"study {found.name}", "has no finished trial", "search on")
    groups: dict[str, list[Found]] = defaultdict(list)
    for found in founds:
        groups[_kind(found, founds)].append(found)
    converged = {name: convergence([found.performances for found in group]) for name, group in groups.items()}
    important = {found.name: importance(found, method, resamples) for found in founds if _telling(found)}
    courses = {found.name: course(found) for found in founds}
    tables = {
        "importance": _csv(
            ("study", *Importance._fields), ((n, *row) for n, rows in important.items() for row in rows)
        ),
        "population": _population_table(founds, courses),
        "reached": _csv(("study", *Reached._fields), ((f.name, *row) for f in founds for row in reached(f))),
        "checkpoints": _csv(("study", *Checkpoint._fields), ((f.name, *row) for f in founds for row in checkpoints(f))),
        "convergence": _csv(
            ("searches", "number", "trial", "mean", "low", "high"),
            (
                (name, len(c.best), trial, *row)
                for name, c in converged.items()
                for trial, row in enumerate(zip(c.mean, c.low, c.high), start=1)
            ),
        ),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in tables.items():
            write_atomically(folder / f"{name}.csv", text)
        written = [folder / f"{name}.csv" for name in tables]
        try:
            for number, found in enumerate(founds, start=1):
                suffix = f"-{number}" if len(founds) > 1 else ""
                if found.name in important:
                    figures[f"importance{suffix}"] = importance_figure(important[found.name])
                figures[f"population{suffix}"] = population_figure(courses[found.name])
                figures[f"checkpoints{suffix}"] = checkpoints_figure(found)
            figures["convergence"] = convergence_figure(converged)
            return written + plots.save(figures, folder, "png")
        except MissingExtraError:
            return written
    except OSError as error:
        raise InputError(folder, f"cannot be written ({error.strerror})", "give another place") from None


def _kind(found: Found, founds: Sequence[Found]) -> str:
    """Name of the repeats that a study belongs to: the first one's, with the rule's."""
    first = next(other for other in founds if (other.rule, other.space) == (found.rule, found.space))
    return f"{type(found.rule).__name__} ({first.name})"


def _population_table(founds: Sequence[Found], courses: Mapping[str, Sequence[Step]]) -> str:
    names = list(dict.fromkeys(name for found in founds for name in found.space.names))
    head = ("study", "trial", "auc", "best", "temperature", "unsuccessful", "members", *names)
    rows = []
    for study, steps in courses.items():
        for step in steps:
            state, open_choices = step.state, step.open_choices()
            members = " ".join(f"{member.performance:.6g}" for member in state.population)
            place = (step.auc, step.best, state.temperature, state.unsuccessful, members)
            rows.append((study, step.trial, *place, *(open_choices.get(name) for name in names)))
    return _csv(head, rows)


def _csv(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """CSV text; what is not known is empty, text never begins like a formula."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return stream.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, str):
        return f"'{value}" if value.startswith(("=", "+", "-", "@")) else value
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return f"{value:.6g}" if isinstance(value, float) else value


def importance_figure(rows: Sequence[Importance]) -> "Figure":
    """Shares of the choices with their intervals, and what chance would show.

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


def population_figure(steps: Sequence[Step]) -> "Figure":
    """AUC of every trial, the range of the population, and above them the temperature.

    Raises:
        MissingExtraError: Matplotlib is not installed.
    """
    figure, axes = plots.new_figure("finished trial", "AUC")
    at = np.arange(1, len(steps) + 1)
    members = [[member.performance for member in step.state.population] or [math.nan] for step in steps]
    axes.plot(at, [step.auc for step in steps], ".", color="0.5", label="trial")
    axes.fill_between(at, [min(m) for m in members], [max(m) for m in members], alpha=0.3, step="post")
    axes.step(at, [np.median(m) for m in members], where="post", label="population: median and range")
    drops = [n for n in range(1, len(steps)) if steps[n].state.temperature != steps[n - 1].state.temperature]
    for n in drops:
        axes.axvline(at[n], color="0.7", linewidth=1)
        label = f"T = {steps[n].state.temperature:g}"
        axes.annotate(label, (at[n], 0.98), xycoords=("data", "axes fraction"), rotation=90, va="top", fontsize="small")
    axes.legend(loc="lower right")
    return figure


def checkpoints_figure(found: Found) -> "Figure":
    """Best AUC so far of every trial over the epochs, stopped ones gray, and what was required.

    Raises:
        MissingExtraError: Matplotlib is not installed.
    """
    figure, axes = plots.new_figure("epoch", "best AUC so far")
    for trial in found.trials:
        told = sorted(trial.intermediate_values.items())
        if told:
            color = "0.7" if trial.state is TrialState.PRUNED else "tab:blue"
            axes.plot(*zip(*told), color=color, linewidth=1, marker=".", markersize=3)
    if found.required_auc:
        axes.plot(*zip(*found.required_auc), "_", color="tab:red", markersize=12, label="required")
        axes.legend(loc="lower right")
    return figure


def convergence_figure(converged: Mapping[str, Convergence]) -> "Figure":
    """The mean best so far with its interval, a line for each kind of search.

    Raises:
        MissingExtraError: Matplotlib is not installed.
    """
    figure, axes = plots.new_figure("trials", "best AUC so far")
    for name, found in converged.items():
        at = np.arange(1, len(found.mean) + 1)
        (line,) = axes.plot(at, found.mean, label=f"{name}, {len(found.best)}", drawstyle="steps-post")
        axes.fill_between(at, found.low, found.high, color=line.get_color(), alpha=0.2, step="post")
    axes.legend(loc="lower right")
    return figure
