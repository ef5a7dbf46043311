"""Ensemble-NAS-GCN from beginning to end: ten searches, the cross-validation of their winners, the ensemble of seventy.

    python experiments/ensemble_nas_gcn.py --simulate -o nas             # minutes, far too small to learn from
    python experiments/ensemble_nas_gcn.py cohort -o nas --published     # as published; weeks on one device

`--published` sets the sizes of the paper; other options still change them, so that its whole protocol is tried in less:

    python experiments/ensemble_nas_gcn.py --simulate -o try --published --infants 40 --space small.json --searches 2
        --trials 2 --populations 2 3 --search-training.epochs 10 --training.epochs 2   # in one line

Run again with the same options it continues wherever it was. A quarter of the infants take no part until the end. The
folder gets `tables.md`, in the form of the thesis' Tables A.2 to A.5 and D.1; the
ensemble of all winners in `ensemble/`, as `infantjax assess` takes it; and the trials of all
searches in `search/search.db`.

Published (thesis Table A.4, A.5, D.1): 49 to 85 trials a search, validation AUC 0.932 to 0.956; 21 infants with CP and
118 without held out, AUC 0.903 to 0.931 for a winner, 0.921 for all. Nothing that this prints about simulated infants
says anything of real ones.

Source: Groos et al., thesis Section 3.5 and Appendix A; Paper III with supplement.
"""

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import support
import tyro

from infantjax import search
from infantjax.assessment.gate import UNGATED
from infantjax.engine import Local
from infantjax.errors import InputError
from infantjax.evaluation.discrimination import auc, confusion_counts, discrimination_metrics, threshold_at_sensitivity
from infantjax.files import write_atomically
from infantjax.methods.ensemble_gcn.assess import EnsembleGcnAssessor
from infantjax.methods.ensemble_gcn.method import EnsembleGCN
from infantjax.methods.ensemble_gcn.objective import SPACE
from infantjax.methods.ensemble_gcn.search import CHECKPOINTS, EPOCHS, VALIDATION_FOLDS, GraphSearch
from infantjax.methods.ensemble_gcn.training import TrainingConfig
from infantjax.models import get
from infantjax.models.entry import count_flops, count_parameters
from infantjax.recording.cohort import Cohort
from infantjax.search import KBest, RandomSearch, SearchResult, SearchSpace
from infantjax.search.ensemble import ARCHITECTURES, Architecture, train_ensemble
from infantjax.search.space import read_space
from infantjax.training.cohorts.cohort_splits import cohort_splits
from infantjax.training.loop import TrainOptions
from infantjax.weights.ensemble import Ensemble, load_ensemble

FIGURES = ("sensitivity", "specificity", "ppv", "npv", "accuracy")
SMALL: dict[str, Any] = support.SMALL | {
    "initial_residual": ["null", "block", "module", "dense"],
    "residual": ["null", "block", "module", "dense"],
    "temporal_kernel_size": [3, 5],
    "nonlinearity": ["relu", "swish"],
    "pool": ["global", "spatial"],
}
"""Networks that compile in seconds: what is searched unless the sizes are the published ones."""


@dataclass(frozen=True)
class Options:
    """What is searched and how long; the defaults are a small run."""

    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """Folder for everything."""
    cohort: Annotated[Path | None, tyro.conf.Positional] = None
    """Folder of keypoint files with their outcomes.csv."""
    simulate: bool = False
    """Simulate the cohort instead."""
    published: bool = False
    """The sizes of the paper: ten searches with K = 5 over the whole space, 100 and 200 epochs, seven folds, ST-GCN."""
    space: Path | None = None
    """JSON file with the alternatives of some choices, to search no others, as `infantjax search --space`."""
    stratify: Annotated[tuple[str, ...], tyro.conf.UseAppendAction] = ()
    """Columns of the outcomes table to balance beside the outcome: center and subtype in the paper."""
    devices: int | None = None
    """Devices that search, each trains one candidate at a time; all if not given."""
    infants: int = 32
    """Of a simulated cohort."""
    duration: float = 8.0
    """Seconds of each of its recordings."""
    searches: int = 2
    """Independent searches; 10 in the paper."""
    populations: tuple[int, ...] = ()
    """Values of K to compare with one search each (Table A.2); 2 to 7 in the paper."""
    random: bool = False
    """Also as many random trials as the searches had (Table A.3)."""
    population: int = 2
    """K of the searches; 5 in the paper."""
    threshold: float = 0.5
    """AUC of the first population; 0.9 in the paper."""
    trials: int | None = 6
    """Candidates of a search at most; none in the paper."""
    folds: int = 3
    """Of the cross-validation; 7 in the paper."""
    held_out: tuple[int, ...] = (2,)
    """Folds that give a candidate's AUC; 2 and 7 in the paper."""
    sensitivity: float = 0.7
    """Of Table D.1: that of the human assessment."""
    search_training: TrainingConfig = field(default_factory=lambda: support.brief(2))
    """Of a trial."""
    training: TrainingConfig = field(default_factory=lambda: support.brief(3))
    """Of the cross-validation."""

    st_gcn: bool = False
    """Also a cross-validation of ST-GCN, the baseline of Tables A.5 and D.1; it is 3.1 million parameters."""

    @property
    def searched(self) -> SearchSpace:
        """What is searched."""
        if self.space is not None:
            return read_space(self.space, SPACE)
        return SPACE if self.published else SPACE.restricted(SMALL)


PAPER: dict[str, Any] = {
    "searches": 10,
    "populations": (2, 3, 4, 5, 6, 7),
    "random": True,
    "population": 5,
    "threshold": 0.9,
    "trials": None,
    "folds": 7,
    "held_out": VALIDATION_FOLDS,
    "search_training": TrainingConfig(epochs=EPOCHS, required_auc=CHECKPOINTS),
    "training": TrainingConfig(),
    "st_gcn": True,
}
"""What `--published` changes."""


BY_MODEL = {
    "st-gcn": (0.904, 0.989, 0.887, 0.887, 0.864, 0.933, 0.747, 0.851),
    "kbest-gcn-1": (0.941, 1.000, 0.909, 0.950, 0.953, 0.944, 0.882, 0.921),
    "kbest-gcn-2": (0.928, 0.991, 0.922, 0.913, 0.960, 0.878, 0.869, 0.917),
    "kbest-gcn-3": (0.950, 1.000, 0.930, 0.939, 0.967, 0.947, 0.876, 0.903),
    "kbest-gcn-4": (0.939, 1.000, 0.904, 0.965, 0.927, 0.902, 0.902, 0.906),
    "kbest-gcn-5": (0.954, 0.998, 0.924, 0.937, 0.958, 0.900, 0.867, 0.921),
    "kbest-gcn-6": (0.928, 1.000, 0.898, 0.963, 0.882, 0.891, 0.895, 0.931),
    "kbest-gcn-7": (0.956, 1.000, 0.928, 0.963, 0.964, 0.878, 0.906, 0.918),
    "kbest-gcn-8": (0.913, 1.000, 0.911, 0.952, 0.936, 0.884, 0.906, 0.904),
    "kbest-gcn-9": (0.928, 1.000, 0.926, 0.967, 0.931, 0.911, 0.900, 0.929),
    "kbest-gcn-10": (0.954, 1.000, 0.930, 0.946, 0.927, 0.898, 0.891, 0.916),
}
"""Published AUC of the seven folds and of the test infants (Table A.5)."""

BY_METHOD = {
    "GMA": (
        (14, 13, 102, 6),
        ((70.0, 45.7, 88.1), (88.7, 81.5, 93.8), (51.9, 32.0, 71.3), (94.4, 88.3, 97.9), (85.9, 78.9, 91.3)),
        "-",
    ),
    "CIMA model": (
        (15, 32, 86, 6),
        ((71.4, 47.8, 88.7), (72.9, 63.9, 80.7), (31.9, 19.1, 47.1), (93.5, 86.3, 97.6), (72.7, 64.5, 79.9)),
        "0.839",
    ),
    "ST-GCN": (
        (15, 19, 99, 6),
        ((71.4, 47.8, 88.7), (83.9, 76.0, 90.0), (44.1, 27.2, 62.1), (94.3, 88.0, 97.9), (82.0, 74.6, 88.0)),
        "0.851",
    ),
    "Ensemble of 70": (
        (15, 7, 111, 6),
        ((71.4, 47.8, 88.7), (94.1, 88.2, 97.6), (68.2, 45.1, 86.1), (94.9, 89.2, 98.1), (90.6, 84.5, 94.9)),
        "0.921",
    ),
}
"""Published decisions about the test infants, percentages with their intervals, and AUC (Table D.1). The human
assessment left four infants out; the true negatives of ST-GCN are those of its specificity."""


def main(options: Options) -> None:
    """Search, cross-validate, test, write the tables."""
    options.output.mkdir(parents=True, exist_ok=True)
    cohort = support.cohort_of(options.cohort, options.simulate, options.output, options.infants, options.duration)
    # As in the paper a quarter is held out: one of four stratified parts.
    split = cohort_splits(cohort, 4, options.stratify, options.training.seed)[-1]
    development, test = cohort.subset(split.train), cohort.subset(split.validation)

    problem = GraphSearch(options.search_training, options.folds, options.held_out)
    objective = problem.objective(development, options.stratify)

    def run(name: str, strategy: KBest | RandomSearch, seed: int, trials: int | None) -> SearchResult:
        folder = options.output / "search"
        return search.run(
            options.searched,
            objective,
            strategy,
            folder,
            engine=Local(options.devices),
            seed=seed,
            trials=trials,
            study=name,
        )

    kbest = KBest(options.population, options.threshold)
    searches = [run(f"search-{i}", kbest, i, options.trials) for i in range(1, options.searches + 1)]
    compared = {
        k: run(f"population-{k}", dataclasses.replace(kbest, population=k), 1, options.trials)
        for k in options.populations
    }
    trials = sum(len(found.history) for found in searches)
    drawn = run("random", RandomSearch(), 1, trials) if options.random else None

    if without := [found.name for found in searches if not found.evaluated]:
        raise InputError(
            ", ".join(without), "found no candidate that could be evaluated", "see `infantjax search status`"
        )

    method = EnsembleGCN(folds=options.folds, training=options.training)
    winners = [{"study": found.name, **found.best()[0]} for found in searches]
    architectures = [Architecture(method.with_candidate(winner["choices"]), winner) for winner in winners]
    shown, directory = TrainOptions(quiet=False), options.output / "ensemble"
    whole = train_ensemble(architectures, development, directory, shown, stratify=options.stratify)
    baseline = {}
    if options.st_gcn:
        st_gcn = dataclasses.replace(method, model="st-gcn")
        baseline["ST-GCN"] = st_gcn.crossval(development, options.output / "st-gcn", shown, stratify=options.stratify)

    folders = sorted((directory / ARCHITECTURES).iterdir())
    named = baseline | {str(i): load_ensemble(folder) for i, folder in enumerate(folders, start=1)}
    risks = {name: _risks(ensemble, test) for name, ensemble in named.items()}
    methods = {name: risks[name] for name in baseline} | {
        f"Ensemble of {sum(member.runs for member in whole.members)}": _risks(whole, test)
    }
    tables = [
        population_table(compared),
        comparison_table(drawn, searches),
        architecture_table(searches),
        auc_table(named, risks, test),
        method_table(methods, test, options.sensitivity),
    ]
    text = "\n".join(table for table in tables if table)
    write_atomically(options.output / "tables.md", text)
    print(text)


def population_table(compared: dict[int, SearchResult]) -> str:
    """A.2: the best AUC and the number of trials by K."""
    if not compared:
        return ""
    aucs = [f"{found.evaluated[0].value:.3f}" if found.evaluated else "-" for found in compared.values()]
    published = [support.BY_K.get(k) for k in compared]
    rows = [
        ("AUC", *aucs),
        ("No. trials", *(str(len(found.history)) for found in compared.values())),
        ("AUC, published", *(f"{known[0]:.3f}" if known else "-" for known in published)),
        ("No. trials, published", *(str(known[1]) if known else "-" for known in published)),
    ]
    return support.markdown("Different values of K (Table A.2)", ("", *(f"K = {k}" for k in compared)), rows)


def comparison_table(drawn: SearchResult | None, searches: Sequence[SearchResult]) -> str:
    """A.3: how many trials of either search reach each checkpoint, with median and quartiles."""
    levels = [least for _, least in CHECKPOINTS]
    rows = []
    sides = [("Random search", [drawn] if drawn else []), ("K-Best search", searches)]
    for name, founds in sides:
        values = np.array([trial.value for found in founds for trial in found.evaluated])
        if not len(values):
            continue
        reached = [(values < levels[0]).sum(), *((values >= level).sum() for level in levels)]
        q1, median, q3 = np.quantile(values, (0.25, 0.5, 0.75))
        rows.append((name, *_shares(reached), f"{median:.3f} [{q1:.3f}, {q3:.3f}]", f"{values.max():.3f}"))
    for name, (published, middle, highest) in support.BY_RULE.items():
        rows.append((f"{name}, published", *_shares(published), middle, highest))
    head = ("Trials with AUC", f"< {levels[0]:g}", *(f">= {level:g}" for level in levels), "Median [IQR]", "Highest")
    return support.markdown("K-Best and random search (Table A.3)", head, rows)


def _shares(reached: Sequence[int]) -> list[str]:
    """Numbers of trials with their shares; the first two are those below and above the lowest level."""
    whole = reached[0] + reached[1]
    return [f"{count} ({100 * count / whole:.1f} %)" for count in reached]


def architecture_table(searches: Sequence[SearchResult]) -> str:
    """A.4: the choices of the winners, their AUC, and the trials of their search."""
    tops = [found.best()[0] for found in searches]

    def shown(choices: dict[str, Any], name: str) -> str:
        return "-" if name in ("se_ratio", "se_type") and choices["se"] == "null" else str(choices[name])

    rows = [(name, *(shown(top["choices"], name) for top in tops)) for name in SPACE.names]
    rows.append(("AUC", *(f"{top['value']:.3f}" for top in tops)))
    rows.append(("No. trials", *(str(len(found.history)) for found in searches)))
    return support.markdown("Architectures found (Table A.4)", ("Search", *map(str, range(1, len(tops) + 1))), rows)


def auc_table(named: Mapping[str, Ensemble], risks: Mapping[str, np.ndarray], test: Cohort) -> str:
    """A.5: AUC of each fold and of the test infants, parameters and GFLOPs."""
    rows = []
    for name, ensemble in named.items():
        (member,) = ensemble.members
        entry = get(member.model)
        network = entry.build(**member.overrides)
        parameters = count_parameters(network, entry.input_shape)
        flops = count_flops(network, entry.input_shape)
        aucs = [run["metrics"]["AUC"] for run in ensemble.info.training["runs"]]
        folds = ["-" if value is None else f"{value:.3f}" for value in aucs]
        rows.append((name, *folds, f"{auc(risks[name], test.outcomes):.3f}", f"{parameters:,}", f"{flops / 1e9:.2f}"))
    if len(folds) == 7:
        for name, values in BY_MODEL.items():
            published = get(name).published
            cells = [f"{value:.3f}" for value in values]
            rows.append((f"{name}, published", *cells, f"{published.parameters:,}", str(published.flops)))
    head = ("Search", *(f"Val{i}" for i in range(1, len(folds) + 1)), "Test", "Parameters", "GFLOPs")
    return support.markdown("AUC of the winners (Table A.5; test: ensemble of a winner's folds)", head, rows)


def method_table(methods: Mapping[str, np.ndarray], test: Cohort, sensitivity: float) -> str:
    """D.1: decisions about the test infants, each method at its threshold with that sensitivity."""
    rows = []
    for name, risks in methods.items():
        threshold = threshold_at_sensitivity(risks, test.outcomes, sensitivity)
        figures = discrimination_metrics(risks, test.outcomes, threshold)
        decided = confusion_counts(risks, test.outcomes, threshold)
        percentages = [[100 * part for part in figures[figure]] for figure in FIGURES]
        called = (decided.tp, decided.fp, decided.tn, decided.fn)
        rows.append(_method_row(name, called, percentages, f"{auc(risks, test.outcomes):.3f}"))
    rows += [_method_row(f"{name}, published", *known) for name, known in BY_METHOD.items()]
    head = ("Method", "TP", "FP", "TN", "FN", "Sensitivity", "Specificity", "PPV", "NPV", "Accuracy", "AUC")
    title = f"Predictive values at a sensitivity of at least {100 * sensitivity:g} % (Table D.1)"
    return support.markdown(title, head, rows)


def _method_row(name: str, called: Sequence[int], percentages: Sequence[Sequence[float]], area: str) -> Sequence[str]:
    cells = (f"{value:.1f} [{low:.1f}, {high:.1f}]" for value, low, high in percentages)
    return name, *map(str, called), *cells, area


def _risks(ensemble: Ensemble, test: Cohort) -> np.ndarray:
    """Risk of each test infant."""
    assessor = EnsembleGcnAssessor(ensemble)
    return np.array([assessor.assess(recording, options=UNGATED).value for recording in test.recordings])


if __name__ == "__main__":
    given = support.options_of(Options, PAPER, __doc__)
    sys.exit(support.exit_status(lambda: main(given)))
