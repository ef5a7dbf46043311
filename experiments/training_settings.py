"""Training settings of a method: how much each one changes held-out metrics, or a search over all of them.

    python experiments/training_settings.py --simulate 20 -o settings
    python experiments/training_settings.py --cohort FOLDER -o settings --method baby-moves
    python experiments/training_settings.py --cohort FOLDER -o settings --trials 30 --set model=st-gcn
    python experiments/training_settings.py --cohort FOLDER -o settings --vary training.momentum=0,0.9

Without `--trials` one setting at a time leaves the value that the paper chose (Passmore et al. 2024, Figure S5: batch
size, learning rate, weight decay; they report consistent results). With it Optuna's TPE sampler chooses combinations
(Groos et al., thesis Section 3.5, searched those of ST-GCN on one fold: windows, augmentation, rate and batch size, but
also initialization and optimizer, which are no settings here). Each combination is a cross-validation of its own; the
same command continues after an interruption. The best metric of a search is optimistic: measure it on other infants.

`--simulate` trains small networks for a few epochs. Metrics of simulated infants say nothing about infants.
"""

import json
import math
import sys
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro
from method_runs import exit_status, train_runs
from support import SMALL

from infantjax.errors import InputError
from infantjax.files import safe_stem
from infantjax.formats.cohort import read_cohort
from infantjax.methods import registry
from infantjax.methods.base import Method
from infantjax.recording.cohort import Cohort

Alternatives = dict[str, list[Any]]
"""Setting, with dots -> its values."""

VARIED: dict[str, Alternatives] = {
    "ensemble-gcn": {
        "training.samples_per_negative": [6, 12, 24],
        "training.augmentation.rotation_degrees": [0, 45, 90],
        "training.augmentation.scale": [0.0, 0.3],
        "training.augmentation.translation": [0.0, 0.3],
        "training.learning_rate": [0.0001, 0.0005, 0.001],
        "training.batch_size": [16, 32, 64],
    },
    "baby-moves": {
        "training.batch_size": [4, 8, 16],
        "training.learning_rate": [0.001, 0.005, 0.01],
        "training.decay": [0.001, 0.005, 0.01],
    },
}
"""What the papers varied; the alternatives to the published values are our choice."""
BRIEF: dict[str, dict[str, Any]] = {
    "ensemble-gcn": {"training.epochs": 2, "training.samples_per_negative": 2, "training.batch_size": 8, "folds": 2},
    "baby-moves": {"training.epochs": 12, "training.warm_up": 4, "network.features": 8, "repeats": 2},
}
"""Settings of a training of seconds, of a small network."""


@dataclass(frozen=True)
class Options:
    """Everything that the result depends on.

    Attributes:
        output: folder for checkpoints, and for `search.db` of a search.
        cohort: folder of keypoint files with `outcomes.csv`.
        simulate: number of simulated infants instead.
        method: registry name.
        vary: `NAME=VALUE,VALUE`: a setting with dots, and its values as JSON; what the paper varied if not given.
        set: `NAME=VALUE`, one value: settings of all trainings.
        trials: combinations to try; 0 varies one setting at a time.
        fps: of files without a frame rate, hertz.
    """

    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    cohort: Path | None = None
    simulate: int = 0
    method: str = registry.DEFAULT
    vary: tuple[str, ...] = ()
    set: tuple[str, ...] = ()
    trials: int = 0
    fps: float | None = None


def main(options: Options) -> None:
    """Train with each value, or search, and print."""
    kind = registry.get(options.method)
    changed = dict(BRIEF.get(options.method, {})) if options.simulate else {}
    changed |= {name: values[0] for name, values in parse("--set", options.set).items()}
    small = options.simulate and options.method == registry.DEFAULT
    base = with_settings(kind().with_candidate(SMALL) if small else kind(), changed)
    varied = parse("--vary", options.vary) or VARIED.get(options.method, {})
    if not varied:
        raise InputError("--vary", f"is missing, and nothing is known of {options.method}", "give --vary NAME=1,2")
    cohort = cohort_of(options, kind)
    if options.trials:
        search(base, cohort, varied, options)
    else:
        one_at_a_time(base, cohort, varied, options.output)
    print("Held-out metrics; where they chose the epoch or the setting they are optimistic.")


def one_at_a_time(base: Method, cohort: Cohort, varied: Alternatives, output: Path) -> None:
    """Print the metric of each value of each setting, others as they are in `base`."""
    print(f"{'setting':<42}{'value':>10}{'mean':>9}{'SD':>8}  (over runs; *: the default, as published)")
    for name, values in varied.items():
        for value in values:
            method = with_settings(base, {name: value})
            _, mean, deviation = metric_of(method, cohort, output / safe_stem(f"{name}-{value}"))
            star = "*" if method.settings == base.settings else ""
            print(f"{name:<42}{json.dumps(value) + star:>10}{mean:>9.3f}{deviation:>8.3f}", flush=True)


def search(base: Method, cohort: Cohort, varied: Alternatives, options: Options) -> None:
    """Let Optuna choose combinations, and print the best five."""
    import optuna

    def value_of(trial: optuna.Trial) -> float:
        chosen = {name: trial.suggest_categorical(name, values) for name, values in varied.items()}
        name, mean, _ = metric_of(with_settings(base, chosen), cohort, options.output / f"trial_{trial.number}")
        if math.isnan(mean):
            raise optuna.TrialPruned
        return mean if name == "AUC" else -mean

    options.output.mkdir(parents=True, exist_ok=True)
    storage = f"sqlite:///{options.output / 'search.db'}"
    sampler = optuna.samplers.TPESampler(seed=base.seed)
    study = optuna.create_study(storage=storage, sampler=sampler, direction="maximize", load_if_exists=True)
    study.optimize(value_of, n_trials=max(0, options.trials - len(study.trials)))
    done = [(trial.value, trial.params) for trial in study.trials if trial.value is not None]
    for value, chosen in sorted(done, key=lambda entry: -entry[0])[:5]:
        print(f"{abs(value):.3f}  {json.dumps(chosen)}")


def metric_of(method: Method, cohort: Cohort, output: Path) -> tuple[str, float, float]:
    """Name, mean and standard deviation over the runs of the AUC, or of the error of a score."""
    runs = train_runs(method, cohort, output).outputs.run_metrics
    name = "AUC" if method.score_range is None else "error"
    values = [value for run in runs if (value := run.get(name)) is not None]
    deviation = np.std(values, ddof=1) if len(values) > 1 else math.nan
    return name, float(np.mean(values)) if values else math.nan, float(deviation)


def with_settings(method: Method, changed: dict[str, Any]) -> Method:
    """The method with some settings changed, each by its name with dots.

    Raises:
        InputError: a name that does not exist, or a value that it cannot have.
    """
    settings = method.settings
    for name, value in changed.items():
        *path, last = name.replace("-", "_").split(".")
        try:
            reduce(lambda inner, key: inner[key], path, settings)[last] = value
        except (KeyError, TypeError):
            raise InputError("settings", f"have no {name}", f"known are {', '.join(settings)}") from None
    try:
        return type(method).from_settings(settings)
    except ValueError as error:
        raise InputError("settings", str(error), "see infantjax crossval --help") from error


def parse(option: str, given: tuple[str, ...]) -> Alternatives:
    """Values of `NAME=VALUE,VALUE`: JSON, or text."""
    found: Alternatives = {}
    for word in given:
        name, equals, values = word.partition("=")
        if not equals:
            raise InputError(option, f'is "{word}"', "give NAME=VALUE")
        try:
            found[name] = json.loads(f"[{values}]")
        except ValueError:
            found[name] = values.split(",")
    return found


def cohort_of(options: Options, kind: type[Method]) -> Cohort:
    """A user's cohort, or a simulated one."""
    if options.simulate:
        recordings, outcomes = zip(*kind.simulate(options.simulate, 1, 180 if kind.name == "baby-moves" else 20))
        return Cohort(recordings, outcomes)
    if options.cohort is None:
        raise InputError("--cohort", "is missing", "name a folder, or give --simulate 20")
    return read_cohort(options.cohort, fps=options.fps, score_range=kind.score_range)


if __name__ == "__main__":
    sys.exit(exit_status(lambda: main(tyro.cli(Options, description=__doc__))))
