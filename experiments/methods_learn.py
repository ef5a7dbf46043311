"""How well each method learns what is known of simulated infants, by its public command: one table.

    python experiments/methods_learn.py -o runs/learn
    python experiments/methods_learn.py -o runs/learn --only sma-cnn:published sma-cnn:normalized

For each setting `infantjax simulate` writes the cohort and `infantjax crossval` trains; what stands in the output
folder is used again. `methods_learn.csv` has the metrics of held-out infants with their 95 % intervals, each beside a
reference; seconds are of the processor. Networks are smaller and trainings shorter than published: two cores need
minutes each. "published" keeps rates and losses as published (of the SMA CNN a ninth of the decay, for fewer weights).
Nothing of it says anything about real infants. Asy-regression is left out: it needs hours.
"""

import json
import shlex
import sys
import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import tyro
from scipy import stats
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sma_cnn import baselines
from support import exit_status

from infantjax import cli
from infantjax.errors import InputError
from infantjax.evaluation.comparison import delong
from infantjax.evaluation.discrimination import auc, auc_interval
from infantjax.evaluation.intervals import UNDEFINED, Estimate, bootstrap_mean
from infantjax.files import write_atomically
from infantjax.formats.cohort import TRUTH, read_cohort
from infantjax.formats.outcomes import read_seconds
from infantjax.methods.baby_moves.method import BabyMoves
from infantjax.methods.ensemble_gcn.config import FEATURES
from infantjax.methods.sma_cnn.evaluation import subject_errors
from infantjax.methods.sma_cnn.method import SmaCnn
from infantjax.skeletons import BABY_MOVES_18
from infantjax.training.cohorts.out_of_fold import OUT_OF_FOLD

COHORTS = {
    "mam": "-n 80 --method mam --prevalence 0.3",
    "annotated": "-n 40 --method mam --prevalence 0.5 --first 1000",
    "other": "-n 60 --method mam --prevalence 0.4 --first 2000",
    "baby-moves": "-n 120 --method baby-moves --prevalence 0.3 --duration 180",
    "sma-cnn": "-n 60 --method sma-cnn",
    "ensemble-gcn": "-n 84 --prevalence 0.4 --duration 60",
}
"""Words of `infantjax simulate`; of the infants of `annotated` MAM reads every second, those of `other` test it."""
GRAPH = (
    "--folds 3 --epochs 6 --batch-size 16 --learning-rate 0.01 --training.samples-per-negative 6"
    " --training.positive-ratio 2"
)
CLIPS = (
    "--repeats 4 --shares 0.15 0.3 --epochs 600 --warm-up 400 --learning-rate 0.01 --training.decay 0"
    " --network.dropout 0 --curves 0"
)
BAGS = (
    "--network.width 32 --network.blocks 1 --network.hidden 64 --network.token 24 --training.clips 24"
    " --training.instances 6 --training.pretraining 40 --training.joint 30 --training.half-cycle 100"
)
SETTINGS = {
    "ensemble-gcn:all inputs": GRAPH,
    **{f"ensemble-gcn:without {name}": f"{GRAPH} --without {name}" for name in FEATURES},
    "mam:mean of squares": BAGS,
    "mam:sum of squares": f"{BAGS} --training.squares sum",
    "baby-moves:no metadata": CLIPS,
    "baby-moves:age": f"{CLIPS} --network.metadata --network.entries age",
    "baby-moves:cohort": f"{CLIPS} --network.metadata --network.entries cohort",
    "baby-moves:age and cohort": f"{CLIPS} --network.metadata",
    "baby-moves:published dropout": "--repeats 10 --epochs 40 --warm-up 10 --patience 20 --learning-rate 0.02"
    " --training.decay 0.0005",
    "sma-cnn:published": "--features 8 8 8 16 --batch-size 32 --iterations 1000 --decay 0.1",
    "sma-cnn:normalized": "--features 8 8 8 16 --batch-size 32 --iterations 1000 --decay 0.001 --learning-rate 0.01"
    " --normalize",
}
"""Words of `infantjax crossval`."""
WHOLE = {"ensemble-gcn": "all inputs", "mam": "mean of squares", "baby-moves": "no metadata"}
"""The setting of a method that its variants are compared with on the same infants."""


Metric = tuple[str, Estimate, str, float]
"""Of held-out infants: its name, value with interval, what it is compared with, and the value of that."""


def main(output: Annotated[Path, tyro.conf.arg(aliases=["-o"])], only: tuple[str, ...] = tuple(SETTINGS)) -> None:
    """Simulate, train, evaluate, and write the table.

    Args:
        output: folder for cohorts, trainings and the table.
        only: settings by name.
    """
    if unknown := set(only) - set(SETTINGS):
        raise InputError("--only", f"has no {min(unknown)}", f"known: {', '.join(SETTINGS)}")
    rows = []
    for name in only:
        method, setting = name.split(":")
        folder, words = folder_of(output, name), SETTINGS[name]
        cohort = simulated(output, method)
        others = f"--annotated {simulated(output, 'annotated')}" if method == "mam" else ""
        seconds = run(f"crossval {cohort} --method {method} -o {folder} {words} {others}", folder)
        given = {"method": method, "setting": setting, "cohort": COHORTS[method], "training": words}
        whole = WHOLE.get(method, setting)
        metrics = list(evaluate(method, cohort, folder))
        if setting != whole and (other := folder_of(output, f"{method}:{whole}")).is_dir():
            metrics.append((f"AUC above that of {whole}", difference(folder, other), whole, 0))
        for metric, estimate, reference, value in metrics:
            compared = {"reference": reference, "reference_value": value, "seconds": seconds}
            rows.append(given | {"metric": metric} | estimate._asdict() | compared)
    write_atomically(output / "methods_learn.csv", pd.DataFrame(rows).to_csv(index=False, float_format="%.4g"))
    print((output / "methods_learn.csv").read_text("utf-8"))


def folder_of(output: Path, name: str) -> Path:
    """The folder of a training."""
    return output / name.replace(":", "-").replace(" ", "-")


def difference(folder: Path, other: Path) -> Estimate:
    """AUC of a training less that of another one, of the infants that both held out, by DeLong's paired test."""
    tables = [pd.read_csv(of / OUT_OF_FOLD, index_col="id").dropna() for of in (folder, other)]
    both = tables[0].join(tables[1].value.rename("other"), how="inner")
    return Estimate(*delong(both.value, both.other, both.outcome)[:3])


def simulated(output: Path, name: str) -> Path:
    """The folder of a cohort, made once."""
    folder = output / "cohorts" / name
    run(f"simulate {COHORTS[name]} -o {folder}", folder)
    return folder


def run(words: str, folder: Path) -> float:
    """Processor seconds of a command, from a file in the folder that it writes where it has run before.

    Raises:
        InputError: the command failed.
    """
    kept = folder.with_suffix(".seconds")
    if not kept.is_file():
        begun = time.process_time()
        if cli.run(shlex.split(f"{words} --quiet")):
            raise InputError("infantjax", f"failed: {words}", "see the line above")
        write_atomically(kept, f"{time.process_time() - begun:.0f}")
    return float(kept.read_text("utf-8"))


def evaluate(method: str, cohort: Path, folder: Path) -> Iterator[Metric]:
    """The metrics of a method."""
    if method == "sma-cnn":
        yield from score_errors(cohort, folder)
    else:
        table = pd.read_csv(folder / OUT_OF_FOLD).dropna()
        area = auc(table.value, table.outcome)
        estimate = Estimate(area, *auc_interval(table.value, table.outcome))
        yield ("AUC", estimate, "chance", 0.5)
    if method == "baby-moves":
        yield ("AUC", estimate, "logistic regression on band powers", auc_of_band_powers(cohort))
    if method == "mam":
        yield frequency_correlation(folder.parent, folder)


@cache
def auc_of_band_powers(folder: Path) -> float:
    """AUC of logistic regression on the powers below 1, to 3 and to 8 Hz of the series of Baby Moves, in ten folds."""
    cohort = read_cohort(folder, skeleton=BABY_MOVES_18)
    series = np.array([BabyMoves().prepare(recording)[0] for recording in cohort.recordings])
    power, hertz = np.abs(np.fft.rfft(series, axis=1)) ** 2, np.fft.rfftfreq(series.shape[1], 1 / 25)
    bands = [power[:, (low <= hertz) & (hertz < high)].sum(1) for low, high in ((0.1, 1), (1, 3), (3, 8))]
    x = np.log(np.concatenate(bands, axis=1) / np.tile(power[:, 1:].sum(1), 3) + 1e-9)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000))
    folds = StratifiedKFold(10, shuffle=True, random_state=0)
    risks = cross_val_predict(model, x, cohort.outcomes, cv=folds, method="predict_proba")[:, 1]
    return auc(risks, cohort.outcomes)


def frequency_correlation(output: Path, folder: Path) -> Metric:
    """How the frequency of fidgety movements of other infants goes with the known share of their seconds."""
    cohort, results = simulated(output, "other"), folder / "other"
    run(f"assess {cohort} --ensemble {folder} -o {results}", results)
    truth = {name: np.mean(list(seconds.values())) for name, seconds in read_seconds(cohort / TRUTH).items()}
    pages = {path.stem: json.loads(path.read_text("utf-8")) for path in results.glob("sim*.json")}
    pairs = np.array([(page["quantities"][0]["value"], truth[name]) for name, page in pages.items()], float)
    estimate = UNDEFINED
    if pairs[:, 0].std():
        found = stats.pearsonr(*pairs.T)
        estimate = Estimate(found.statistic, *found.confidence_interval())
    return ("correlation of the frequency", estimate, "none", 0)


def score_errors(folder: Path, ensemble: Path) -> Iterator[Metric]:
    """Error per infant in points, and by how much it is below those of two simple methods."""
    method = SmaCnn()
    cohort = read_cohort(folder, score_range=method.score_range)
    windows = [method.prepare(recording) for recording in cohort.recordings]
    recording = np.repeat(np.arange(len(cohort)), [len(of) for of in windows])
    measured = np.array(cohort.outcomes)
    simple = baselines(np.concatenate(windows), measured[recording], recording, method.splits(cohort))

    def errors(predicted: np.ndarray) -> np.ndarray:
        return subject_errors(predicted, measured, cohort.groups or cohort.names)[0].to_numpy()

    found = errors(pd.read_csv(ensemble / OUT_OF_FOLD).set_index("id").value[list(cohort.names)].to_numpy())
    for name in ("mean of training", "linear regression"):
        other = errors(np.bincount(recording, simple[name]) / np.bincount(recording))
        yield ("error, points", Estimate(*map(float, bootstrap_mean(found))), name, other.mean())
        yield ("error below the reference's, points", Estimate(*map(float, bootstrap_mean(other - found))), name, 0)


if __name__ == "__main__":
    sys.exit(exit_status(lambda: tyro.cli(main, description=__doc__)))
