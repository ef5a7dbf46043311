"""K-Best against random search: repeated searches with either rule, each with its interval.

    python experiments/kbest_against_random.py -o rules                     # on made-up AUCs, at the published size
    python experiments/kbest_against_random.py --simulate -o rules-trained  # on trained networks of a small space
    python experiments/kbest_against_random.py --trials search/trials.csv -o rules-own

Training is determined by the candidate, in the paper as here, so a search only looks AUCs up. Once the AUCs of all
candidates are known, any number of searches can be run on them exactly, in no time. Three ways to know them:

- made up (the default): over the whole published space, from a response surface whose form is known (`Surface`). The
  spread of the AUCs is that of the published random search; how choices act together is assumed. This tests the rule,
  and says nothing of infants.
- `--simulate`, or a cohort: every candidate of a small space is trained, by an ordinary study that continues when run
  again; minutes. The AUCs are those of trained networks, the infants are simulated unless a cohort is given. Intervals
  are over seeds of the search only, for there is one cohort.
- `--trials`: a study that was exported (`infantjax search export`); its candidates are taken as the space.

Both rules of a pair have the same seed and so begin with the same candidates, and random search gets as many trials as
K-Best used. The folder gets `tables.md`, `searches.csv` (a row a pair), `convergence.csv` and its picture.

Published (Paper III, supplement; thesis Table A.2 and A.3): ten searches with K = 5 took 675 trials, of which 49.6 %
had an AUC of at least 0.9, best 0.956; of 675 random ones 21.3 %, best 0.944.

Source: Groos et al., thesis Appendix A.2.
"""

import csv
import dataclasses
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import numpy as np
import support
import tyro
from scipy.stats import norm

from infantjax import search
from infantjax.engine import Local
from infantjax.errors import InputError
from infantjax.evaluation import plots
from infantjax.evaluation.intervals import bootstrap_mean
from infantjax.files import sha256, write_atomically
from infantjax.methods.ensemble_gcn.objective import SPACE
from infantjax.methods.ensemble_gcn.search import CHECKPOINTS, GraphSearch
from infantjax.methods.ensemble_gcn.training import TrainingConfig
from infantjax.search import FAILED, KBest, RandomSearch, SearchSpace
from infantjax.search.analysis import convergence
from infantjax.search.kbest import run
from infantjax.search.space import Candidate

LEVELS = tuple(least for _, least in CHECKPOINTS)
SPREAD = {
    0.0: 0.5,
    0.25: 0.640,
    0.5: 0.720,
    0.570: 0.75,
    0.587: 0.775,
    0.606: 0.80,
    0.621: 0.825,
    0.641: 0.85,
    0.683: 0.875,
    0.787: 0.90,
    0.953: 0.925,
    1 - 1 / 675: 0.944,
    1.0: 0.96,
}
"""Share of random candidates with an AUC below: Table A.3; its ends are our choice."""
SMALL: dict[str, Any] = support.SMALL | {
    "graph": ["spatial", "dis2"],
    "temporal_kernel_size": [3, 5],
    "nonlinearity": ["relu", "swish"],
    "pool": ["global", "spatial"],
}
"""16 networks that compile in seconds: what is trained."""

ObjectiveFunction = Callable[[Candidate], float]


@dataclass(frozen=True)
class Options:
    """Where the AUCs come from, and how often is searched."""

    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    """Folder for the tables, and for the study where networks are trained."""
    cohort: Annotated[Path | None, tyro.conf.Positional] = None
    """Train all candidates of the small space on this folder of keypoint files with their outcomes.csv."""
    simulate: bool = False
    """Train them on a simulated cohort."""
    trials: Path | None = None
    """Take the AUCs from this trials.csv of `infantjax search export`."""
    surfaces: int = 40
    """Made-up surfaces."""
    searches: int = 10
    """Pairs of searches on each; ten in the paper. On trained networks, on which there is one surface: `--seeds`."""
    seeds: int = 400
    """Pairs of searches on trained networks."""
    main: float = 0.6
    """Of a surface: share of its variance that the choices make one by one."""
    pairs: float = 0.3
    """Of a surface: share that pairs of choices make; what is left is each candidate's own, which no rule can learn."""
    population: int | None = None
    """K; 5 as published, 2 on trained networks."""
    threshold: float | None = None
    """AUC of the first population; 0.9 as published, and on trained networks what the best fifth reaches."""
    populations: tuple[int, ...] = (2, 3, 4, 6, 7)
    """Other values of K to compare on the made-up surfaces (Table A.2)."""
    infants: int = 24
    """Of a simulated cohort."""
    duration: float = 8.0
    """Seconds of each of its recordings."""
    devices: int | None = None
    """Devices that train, each one candidate at a time; all if not given."""
    training: TrainingConfig = field(default_factory=lambda: support.brief(3))
    """Of every candidate."""


class Pair(NamedTuple):
    """A K-Best search and a random one of as many trials.

    Attributes:
        surface: number of the surface.
        seed: of both searches.
        kbest: AUCs of the trials of K-Best, in order.
        random: of the random search.
        kbest_true: of K-Best's winner, without what is the candidate's own.
        random_true: of the random winner.
    """

    surface: int
    seed: int
    kbest: tuple[float, ...]
    random: tuple[float, ...]
    kbest_true: float
    random_true: float


class Surface:
    """Made-up AUCs over a space, determined by a seed.

    A candidate's score is the sum of one normal number for each of its alternatives, one for each pair of its
    alternatives, and one of its own, scaled to the given shares of the variance over uniform candidates. Its rank among
    all becomes an AUC by `SPREAD`.
    """

    def __init__(self, space: SearchSpace, seed: int, main: float, pairs: float) -> None:
        if min(main, pairs) < 0 or main + pairs > 1:
            raise InputError("options", "--main and --pairs must be shares that add to 1 at most")
        random = np.random.default_rng(seed)
        counts = [len(values) for _, values in space.alternatives]
        starts = np.cumsum([0, *counts[:-1]])
        self.places = [{v: s + i for i, v in enumerate(vs)} for s, (_, vs) in zip(starts, space.alternatives)]
        single, double = random.standard_normal(sum(counts)), random.standard_normal((sum(counts), sum(counts)))
        drawn = starts + random.integers(0, counts, (2000, len(counts)))
        self.single = np.sqrt(main) * single / single[drawn].sum(axis=1).std()
        sums = double[drawn[:, :, None], drawn[:, None, :]].sum(axis=(1, 2))
        self.double = np.sqrt(pairs) * double / sums.std()
        self.own, self.seed = np.sqrt(1 - main - pairs), seed
        self.middle = np.mean([self._structure(rows) for rows in drawn])

    def _structure(self, rows: np.ndarray) -> float:
        return float(self.single[rows].sum() + self.double[np.ix_(rows, rows)].sum())

    def __call__(self, candidate: Candidate, own: bool = True) -> float:
        """Its AUC; without its own part, what the choices alone would give."""
        rows = np.array([place[value] for place, value in zip(self.places, candidate)])
        score = self._structure(rows) - self.middle
        if own:
            number = int(sha256(f"{self.seed} {rows}".encode())[:13], 16) / 16**13
            score += self.own * float(norm.ppf(min(max(number, 1e-9), 1 - 1e-9)))
        return float(np.interp(norm.cdf(score), list(SPREAD), list(SPREAD.values())))


def main(options: Options) -> None:
    """Search often with either rule; write the tables."""
    sources = [options.simulate, options.cohort is not None, options.trials is not None]
    if sum(sources) > 1:
        raise InputError("options", "give a cohort, --simulate or --trials, not several")
    options.output.mkdir(parents=True, exist_ok=True)
    tables = []
    if any(sources):
        space, known = _table(options.trials) if options.trials else _trained(options)
        aucs = np.array([value for value in known.values() if value > FAILED])
        if not len(aucs):
            raise InputError("trials", "hold no AUC")
        threshold = float(np.quantile(aucs, 0.8)) if options.threshold is None else options.threshold
        rule = KBest(options.population or 2, threshold)
        found = [pair(space, known.__getitem__, rule, 1, seed) for seed in range(1, options.seeds + 1)]
        what = f"{len(known)} candidates with known AUCs, best {aucs.max():.3f}, median {np.median(aucs):.3f}"
        unit = "seeds"
    else:
        published = KBest(options.population or 5, 0.9 if options.threshold is None else options.threshold)
        rule, unit = published, "surfaces"
        found = on_surfaces(options, rule)
        what = f"made-up AUCs: shares of the variance {options.main:g} single choices, {options.pairs:g} pairs"
        if options.populations:
            ks = sorted({*options.populations, rule.population})
            runs = {k: found if k == rule.population else None for k in ks}
            rules = {k: dataclasses.replace(rule, population=k) for k in ks}
            tables.append(population_table({k: runs[k] or on_surfaces(options, rules[k]) for k in ks}))
    tables = [pair_table(found, rule, what, unit), level_table(found, unit), *tables]
    text = "\n".join(tables)
    write_atomically(options.output / "tables.md", text)
    head = ("surface", "seed", "trials", "kbest", "random", "kbest_true", "random_true")
    rows = [(*p[:2], len(p.kbest), max(p.kbest), max(p.random), *p[4:]) for p in found]
    write_atomically(options.output / "searches.csv", support.csv_text(head, rows))
    _write_convergence(found, options.output)
    print(text)


def pair(space: SearchSpace, objective: ObjectiveFunction, rule: KBest, surface: int, seed: int) -> Pair:
    """A search of either rule with one seed; random search has as many trials as K-Best took."""
    own = run(rule, space, objective, seed)
    other = run(RandomSearch(), space, objective, seed, len(own))
    winners = [max(trials, key=lambda trial: trial.value).candidate for trials in (own, other)]
    true = [objective(winner, own=False) if isinstance(objective, Surface) else np.nan for winner in winners]
    return Pair(surface, seed, tuple(t.value for t in own), tuple(t.value for t in other), *true)


def on_surfaces(options: Options, rule: KBest) -> list[Pair]:
    """Pairs of searches on each made-up surface."""
    found = []
    for number in range(1, options.surfaces + 1):
        surface = Surface(SPACE, number, options.main, options.pairs)
        seeds = range(number * options.searches, (number + 1) * options.searches)
        found += [pair(SPACE, surface, rule, number, seed) for seed in seeds]
    return found


def _over(found: list[Pair], figure: Callable[[Pair], float], unit: str) -> tuple[float, float, float]:
    """Mean of a figure with its interval; searches on one surface are no repeats of each other."""
    groups: dict[int, list[float]] = {}
    for each in found:
        groups.setdefault(each.surface if unit == "surfaces" else each.seed, []).append(figure(each))
    mean, low, high = bootstrap_mean(np.array([np.mean(values) for values in groups.values()]))
    return float(mean), float(low), float(high)


def pair_table(found: list[Pair], rule: KBest, what: str, unit: str) -> str:
    """Best AUC of either rule, their difference, and who was ahead."""
    true = not np.isnan(found[0].kbest_true)
    figures: dict[str, Callable[[Pair], float]] = {
        "trials of a search": lambda p: len(p.kbest),
        "best AUC, K-Best": lambda p: max(p.kbest),
        "best AUC, random": lambda p: max(p.random),
        "difference": lambda p: max(p.kbest) - max(p.random),
        "K-Best ahead": lambda p: max(p.kbest) > max(p.random),
        "random ahead": lambda p: max(p.kbest) < max(p.random),
    }
    if true:
        figures |= {
            "what the choices of K-Best's winner are worth": lambda p: p.kbest_true,
            "of the random winner": lambda p: p.random_true,
            "difference of these": lambda p: p.kbest_true - p.random_true,
        }
    rows = [(name, _shown(*_over(found, figure, unit))) for name, figure in figures.items()]
    title = (
        f"{len(found)} pairs of searches (K = {rule.population}, first population from {rule.threshold:.3f}; {what})"
    )
    return support.markdown(title, ("figure", f"mean [95 % interval over {unit}]"), rows)


def level_table(found: list[Pair], unit: str) -> str:
    """The shares of the trials that reach each checkpoint's AUC, in the form of Table A.3."""
    rows = []
    for name, which in (("Random search", "random"), ("K-Best search", "kbest")):
        aucs = np.concatenate([getattr(each, which) for each in found])
        q1, median, q3 = np.quantile(aucs, (0.25, 0.5, 0.75))
        shares = [_over(found, partial(_share, which=which, level=level), unit) for level in LEVELS]
        cells = [f"{100 * m:.1f} % [{100 * low:.1f}, {100 * high:.1f}]" for m, low, high in shares]
        rows.append((name, *cells, f"{median:.3f} [{q1:.3f}, {q3:.3f}]", f"{aucs.max():.3f}"))
    for name, ((below, *reached), middle, highest) in support.BY_RULE.items():
        published = [f"{100 * count / (below + reached[0]):.1f} %" for count in reached]
        rows.append((f"{name}, published", *published, middle, highest))
    head = ("Trials with AUC", *(f">= {level:g}" for level in LEVELS), "Median [IQR]", "Highest")
    return support.markdown(f"Shares of trials [95 % interval over {unit}] (as Table A.3)", head, rows)


def _share(pair: Pair, which: str, level: float) -> float:
    """Of the trials of one rule, those that reach a level."""
    return float(np.mean(np.array(getattr(pair, which)) >= level))


def population_table(found: dict[int, list[Pair]]) -> str:
    """The best AUC and the trials of a search by K, in the form of Table A.2."""
    best = [_shown(*_over(pairs, lambda p: max(p.kbest), "surfaces")) for pairs in found.values()]
    trials = [_shown(*_over(pairs, lambda p: len(p.kbest), "surfaces")) for pairs in found.values()]
    known = [support.BY_K.get(k) for k in found]
    rows = [
        ("AUC", *best),
        ("No. trials", *trials),
        ("AUC, published", *(f"{of[0]:.3f}" if of else "-" for of in known)),
        ("No. trials, published", *(str(of[1]) if of else "-" for of in known)),
    ]
    return support.markdown("Different values of K (as Table A.2)", ("", *(f"K = {k}" for k in found)), rows)


def _shown(mean: float, low: float, high: float) -> str:
    digits = 1 if abs(mean) >= 2 else 3
    return f"{mean:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def _write_convergence(found: list[Pair], folder: Path) -> None:
    """Best so far of either rule over the trials of all pairs; their interval takes all pairs as repeats."""
    curves = {"K-Best": convergence([p.kbest for p in found]), "random": convergence([p.random for p in found])}
    rows = [
        (name, trial, *map(float, row))
        for name, curve in curves.items()
        for trial, row in enumerate(zip(curve.mean, curve.low, curve.high), start=1)
    ]
    write_atomically(folder / "convergence.csv", support.csv_text(("rule", "trial", "mean", "low", "high"), rows))
    figure, axes = plots.new_figure("trials", "best value so far")
    for name, curve in curves.items():
        at = np.arange(1, len(curve.mean) + 1)
        (line,) = axes.plot(at, curve.mean, label=f"{name}, {len(curve.best)}", drawstyle="steps-post")
        axes.fill_between(at, curve.low, curve.high, color=line.get_color(), alpha=0.2, step="post")
    axes.legend(loc="lower right")
    plots.save({"convergence": figure}, folder, "png")


def _trained(options: Options) -> tuple[SearchSpace, dict[Candidate, float]]:
    """AUCs of all candidates of the small space, trained by a study."""
    cohort = support.cohort_of(options.cohort, options.simulate, options.output, options.infants, options.duration)
    space = SPACE.restricted(SMALL)
    objective = GraphSearch(options.training, folds=3, held_out=(2,)).objective(cohort)
    # Random search gives up where it draws nothing new for long: with most seeds it does not, and finds all.
    rule = RandomSearch()
    seed = next(seed for seed in count(1) if len(run(rule, space, lambda _: 0.0, seed, space.size)) == space.size)
    found = search.run(
        space, objective, rule, options.output, engine=Local(options.devices), seed=seed, trials=space.size, study="all"
    )
    return _known(space, {each.candidate: each.value for each in found.history})


def _table(path: Path) -> tuple[SearchSpace, dict[Candidate, float]]:
    """The candidates of an exported study and their AUCs."""
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        columns = list(rows[0])[list(rows[0]).index("reason") + 1 :] if rows else []
        known = {tuple(row[name] for name in columns): float(row["value"]) for row in rows if row["value"]}
    except (OSError, UnicodeDecodeError, KeyError, ValueError, csv.Error) as error:
        raise InputError(path, f"is no table of trials ({error})", "make one by infantjax search export") from None
    if not known:
        raise InputError(path, "holds no trial with an AUC", "make it by infantjax search export")
    values = zip(columns, zip(*known))
    return _known(SearchSpace(tuple((name, tuple(dict.fromkeys(column))) for name, column in values)), known)


def _known(space: SearchSpace, known: dict[Candidate, float]) -> tuple[SearchSpace, dict[Candidate, float]]:
    """The space without the candidates whose AUC is not known."""
    return SearchSpace(space.alternatives, lambda choices: tuple(choices.values()) in known), known


if __name__ == "__main__":
    given = tyro.cli(Options, description=__doc__)
    sys.exit(support.run(lambda: main(given)))
