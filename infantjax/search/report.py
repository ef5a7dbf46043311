"""The analysis of studies as a folder of tables, and of plots where Matplotlib is installed."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from infantjax.errors import InputError, MissingExtraError
from infantjax.evaluation import plots
from infantjax.files import csv_text, write_atomically
from infantjax.search.analysis import (
    Checkpoint,
    Convergence,
    Evaluator,
    Importance,
    Step,
    checkpoints,
    convergence,
    importance,
    informative,
    intermediate,
    steps,
)
from infantjax.search.study import Snapshot

try:
    from optuna.trial import TrialState
except ImportError:
    raise MissingExtraError("optuna", "search") from None

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write(
    studies: Sequence[Snapshot], folder: str | Path, evaluator: Evaluator = "impurity", resamples: int = 20
) -> list[Path]:
    """Write the analysis of studies to a folder as tables, and as plots where Matplotlib is installed.

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
    important = {study.name: importance(study, evaluator, resamples) for study in studies if informative(study)}
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
