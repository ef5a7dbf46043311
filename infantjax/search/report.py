"""The analysis of studies as a folder of tables and a page."""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from infantjax.errors import InputError, MissingExtraError
from infantjax.files import csv_text, write_atomically
from infantjax.report.study import Chart, Section, Series, study_html
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
from infantjax.search.study import SearchResult

try:
    from optuna.trial import TrialState
except ImportError:
    raise MissingExtraError("optuna", "search") from None

PAGE = "search.html"
"""Name of the page of an analysis."""


def write(
    studies: Sequence[SearchResult], folder: str | Path, evaluator: Evaluator = "impurity", resamples: int = 20
) -> list[Path]:
    """Write the analysis of studies to a folder as tables and a page.

    - `importance.csv`, of each study with enough trials;
    - `population.csv`: a row for each finished trial: its value, the best, temperature, the values of the members,
      worst first, and of each choice how many alternatives are open (`Step.open_choices`);
    - `intermediate.csv`: the value of each trial at its checkpoints and its end; `checkpoints.csv`: a summary of them;
    - `convergence.csv`: the best so far; studies with one strategy and one space are repeats;
    - `search.html`, which draws them.

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
    repeats: dict[str, list[SearchResult]] = defaultdict(list)
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
        write_atomically(folder / PAGE, _page(studies, important, courses, converged))
        return [*(folder / f"{name}.csv" for name in tables), folder / PAGE]
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


def _population_table(studies: Sequence[SearchResult], courses: Mapping[str, Sequence[Step]]) -> str:
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


def _page(
    studies: Sequence[SearchResult],
    important: Mapping[str, Sequence[Importance]],
    courses: Mapping[str, Sequence[Step]],
    converged: Mapping[str, Convergence],
) -> str:
    """The page of the analysis: the best values of all searches, then the parts of each."""
    sections = [_converged(converged)]
    for study in studies:
        suffix = f" of {study.name}" if len(studies) > 1 else ""
        if study.name in important:
            head = ("Choice", "Share", "95 % interval", "Chance")
            rows = [
                (row.choice, row.share, f"{row.low:.3f} to {row.high:.3f}", row.chance) for row in important[study.name]
            ]
            about = ("Share of the importance of all choices. One that is not above chance means nothing.",)
            sections.append(Section(f"Importance{suffix}", about, None, head, rows))
        sections.append(_population(courses[study.name], f"Population{suffix}"))
        if any(len(trial.intermediate_values) > 1 for trial in study.trials):
            sections.append(_checkpoints(study, f"Checkpoints{suffix}"))
    facts = [f"{study.name}: {len(study.history)} finished trials" for study in studies]
    return study_html("Search", ", ".join(study.name for study in studies), facts, sections)


def _converged(converged: Mapping[str, Convergence]) -> Section:
    """The mean best value so far with its interval, a line for each kind of search."""
    series = [
        Series(
            f"{name}, {len(curves.best)}", range(1, len(curves.mean) + 1), curves.mean, "steps", curves.low, curves.high
        )
        for name, curves in converged.items()
    ]
    chart = Chart("Best value so far over the trials.", "trials", "best value so far", series)
    about = ("The mean of searches of one strategy and space, with its 95 % interval where there are several.",)
    return Section("Best value", about, chart)


def _population(course: Sequence[Step], title: str) -> Section:
    """The value of every trial, and the median and range of the population."""
    at = range(1, len(course) + 1)
    members = [[member.value for member in step.state.population] or [math.nan] for step in course]
    series = (
        Series("trial", at, [step.value for step in course], "points"),
        Series("population: median and range", at, list(map(np.median, members)), "steps", *_range(members)),
    )
    return Section(title, (), Chart("Value of each finished trial.", "finished trial", "value", series))


def _range(members: Sequence[Sequence[float]]) -> tuple[list[float], list[float]]:
    return [min(each) for each in members], [max(each) for each in members]


def _checkpoints(study: SearchResult, title: str) -> Section:
    """The best value so far of every trial over the epochs, and the required values."""
    reports = [sorted(trial.intermediate_values.items()) for trial in study.trials if trial.intermediate_values]
    series = [Series("", [epoch for epoch, _ in each], [value for _, value in each], "faint") for each in reports]
    if study.checkpoints:
        epochs, required = zip(*study.checkpoints)
        series.append(Series("required", epochs, required, "points"))
    pruned = sum(trial.state is TrialState.PRUNED for trial in study.trials)
    about = (f"{pruned} of {len(study.trials)} trials were stopped below a required value.",)
    return Section(title, about, Chart("Best value so far of each trial.", "epoch", "best value so far", series))
