"""How well raters rate blinded clips, how far they agree, and what they gain from help.

Source: Gao et al. 2023 (MAM), who had three beginners rate videos without and with the help of the system. Published
are accuracies only; tests and intervals are our choice.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from infantjax.errors import InputError
from infantjax.evaluation.agreement import Weighting, fleiss_kappa, kappa
from infantjax.evaluation.comparison import holm, mcnemar
from infantjax.evaluation.intervals import UNDEFINED, Estimate, bootstrap, clopper_pearson
from infantjax.evaluation.tables import read_cells
from infantjax.files import finite_or_none
from infantjax.formats.outcomes import read_outcomes

PUBLISHED = {"alone": (0.846, 0.869, 0.837), "with help": (0.950, 0.973, 0.959)}
"""Accuracies of three beginners (Gao et al. 2023, through a published summary)."""

Answers = Int[np.ndarray, " clip"]


@dataclass(frozen=True)
class RaterStudy:
    """Metrics of the answers of raters.

    Attributes:
        clips: with a truth.
        recordings: that they were cut of.
        alone: of each rater without help, by name: `accuracy`, `sensitivity` and `specificity` (with intervals), and
            Cohen's `kappa` with the truth.
        helped: the same with help; empty if there was none.
        gains: by rater, with help less alone: `accuracy` (with an interval by bootstrap over recordings), clips
            `gained` (right with help only) and `lost` (right alone only), `p` by McNemar's exact test (clips as
            independent), and `holm`, corrected over the raters.
        kappas: Cohen's between each two raters alone, over all clips.
        fleiss: kappa of all raters alone; NaN for one.
        positive: share of positive answers to the clips of each kind, by kind and rater.
    """

    clips: int
    recordings: int
    alone: Mapping[str, Mapping[str, Any]]
    helped: Mapping[str, Mapping[str, Any]]
    gains: Mapping[str, Mapping[str, Any]]
    kappas: Mapping[tuple[str, str], float]
    fleiss: float
    positive: Mapping[str, Mapping[str, float]]

    def to_dict(self) -> dict[str, Any]:
        """As JSON; null for NaN."""
        kappas = [{"first": a, "second": b, "kappa": value} for (a, b), value in self.kappas.items()]
        return dict(finite_or_none({**vars(self), "kappas": kappas, "published": PUBLISHED}))

    def lines(self) -> list[str]:
        """As lines of text."""
        lines = [f"{self.clips} clips of {self.recordings} recordings with a truth"]
        tables = {"alone": self.alone, "with help": self.helped, "gain from help": self.gains}
        tables["share of positive answers by kind of window"] = self.positive
        for title, rows in tables.items():
            if rows:
                shown = pd.DataFrame(list(rows.values()), list(rows)).map(_cell)
                lines += ["", title, *shown.to_string().splitlines()]
        if self.gains:
            shown = "; ".join(f"{name} {', '.join(map(_cell, values))}" for name, values in PUBLISHED.items())
            lines.append(f"published accuracies of three beginners: {shown}")
        if self.kappas:
            lines += ["", f"agreement: Fleiss' kappa {self.fleiss:.3f}; Cohen's kappa of pairs:"]
            lines += [f"  {a} and {b}: {value:.3f}" for (a, b), value in self.kappas.items()]
        return lines


def read_key(path: str | Path) -> pd.DataFrame:
    """The clips of a key that `infantjax raters clips` wrote, as raters see them, with `recording` and `kind`.

    Raises:
        InputError: it cannot be read, or names a clip twice.
    """
    return _read_clips(path, ["recording", "kind"], "give the key that infantjax raters clips wrote")


def read_answers(path: str | Path, clips: pd.DataFrame, scale: int = 2) -> Answers:
    """The answers of a sheet, in the order of the clips.

    Args:
        path: table with columns clip and answer, a number from 0 on.
        clips: of the key, all of which must be answered once.
        scale: answers are below this number.

    Raises:
        InputError: a clip that is unknown, doubled, missing or not answered, or an answer outside of the scale.
    """
    answers = _read_clips(path, ["answer"], "give the filled answer sheet")["answer"]
    if len(unknown := answers.index.difference(clips.index, sort=False)):
        raise InputError(path, f"answers {_listed(unknown)}, which the key does not have", "is it of this study?")
    answers = answers.reindex(clips.index, fill_value="")
    if (open_ := answers == "").any():
        raise InputError(path, f"has no answer to {_listed(answers.index[open_])}", "ask the rater, or leave it out")
    known = answers.str.fullmatch("[0-9]{1,9}")
    numbers = answers.where(known, "-1").astype(int)
    if (wrong := ~known | (numbers >= scale)).any():
        what = f'answers {_listed(answers.index[wrong])} with "{answers[wrong].iloc[0][:20]}"'
        raise InputError(path, what, f"answers are whole numbers from 0 to {scale - 1}; see --scale")
    return numbers.to_numpy()


def truth_of(clips: pd.DataFrame, path: str | Path | None = None) -> Float[np.ndarray, " clip"]:
    """0 or 1 of each clip, NaN where it is not known.

    Args:
        clips: of the key.
        path: table id;outcome, whose ids are clips or recordings. None takes the windows of the highest value as 1 and
            those of the lowest as 0: how far raters see what the system sees.

    Raises:
        InputError: the table cannot be read, or knows none of them.
    """
    if path is None:
        return clips["kind"].map({"highest": 1.0, "lowest": 0.0}).to_numpy(float)
    known = read_outcomes(path)
    found = clips.index.to_series().map(known).fillna(clips["recording"].map(known)).to_numpy(float)
    if np.isnan(found).all():
        raise InputError(path, "has no outcome of a clip or recording of the key", "write id;outcome")
    return found


def evaluate_raters(
    clips: pd.DataFrame,
    truth: Float[np.ndarray, " clip"],
    alone: Mapping[str, Answers],
    helped: Mapping[str, Answers] | None = None,
    positive_from: int = 1,
    weights: Weighting | None = None,
) -> RaterStudy:
    """Raters against the truth, against each other, and with help against alone.

    Args:
        clips: of the key, in the order of all arrays.
        truth: see `truth_of`.
        alone: answers without help, by rater.
        helped: answers with help of the same raters, or of some of them.
        positive_from: answers from this one on are positive: they mean truth 1.
        weights: of the kappas between raters.

    Raises:
        ValueError: no rater, a helped rater without answers alone, or no clip with a truth.
    """
    helped, known = helped or {}, np.isfinite(truth)
    if not alone or not known.any():
        raise ValueError("needs raters and clips with a truth")
    if strangers := [name for name in helped if name not in alone]:
        raise ValueError(f"{strangers[0]} has a sheet with help, and none of this name without")
    groups, labels = clips["recording"].to_numpy()[known], truth[known].astype(int)
    positive = pd.DataFrame(alone, clips.index) >= positive_from
    calls = {name: answers[known] >= positive_from for name, answers in alone.items()}
    with_help = {name: answers[known] >= positive_from for name, answers in helped.items()}
    gains = {name: _gain(calls[name] == labels, right == labels, groups) for name, right in with_help.items()}
    corrected = holm([gain["p"] for gain in gains.values()]).tolist()
    return RaterStudy(
        clips=int(known.sum()),
        recordings=len(set(groups)),
        alone={name: _metrics(answers, labels, groups) for name, answers in calls.items()},
        helped={name: _metrics(answers, labels, groups) for name, answers in with_help.items()},
        gains={name: gain | {"holm": p} for (name, gain), p in zip(gains.items(), corrected)},
        kappas={(a, b): kappa(alone[a], alone[b], weights) for a, b in combinations(alone, 2)},
        fleiss=fleiss_kappa(np.stack(list(alone.values()), axis=1)) if len(alone) > 1 else math.nan,
        positive=positive.groupby(clips["kind"]).mean().to_dict("index"),
    )


def _metrics(calls: Bool[np.ndarray, " clip"], labels: Int[np.ndarray, " clip"], groups: np.ndarray) -> dict[str, Any]:
    parts = {"accuracy": labels >= 0, "sensitivity": labels == 1, "specificity": labels == 0}
    shares = {name: _share((calls == labels)[part], groups[part]) for name, part in parts.items()}
    return {**shares, "kappa": kappa(calls.astype(int), labels)}


def _share(right: Bool[np.ndarray, " clip"], groups: np.ndarray) -> Estimate:
    """A share with its exact interval, or by bootstrap over recordings where one has several clips."""
    if not len(right):
        return UNDEFINED
    if len(set(groups)) == len(right):
        return Estimate(float(right.mean()), *clopper_pearson(int(right.sum()), len(right)))
    labels = np.zeros(len(right), int)
    return Estimate(float(right.mean()), *bootstrap(lambda w: w @ right / w.sum(axis=1), labels, groups))


def _gain(alone: Bool[np.ndarray, " clip"], helped: Bool[np.ndarray, " clip"], groups: np.ndarray) -> dict[str, Any]:
    gained, lost, p = mcnemar(helped, alone)
    difference, labels = helped.astype(float) - alone, np.zeros(len(helped), int)
    interval = bootstrap(lambda w: w @ difference / w.sum(axis=1), labels, groups)
    accuracy = Estimate(float(difference.mean()), *interval)
    return {"accuracy": accuracy, "gained": gained, "lost": lost, "p": p}


def _read_clips(path: str | Path, needed: Sequence[str], remedy: str) -> pd.DataFrame:
    """The needed columns of a table by clip."""
    table = read_cells(path, remedy, pad=True)
    if absent := [name for name in ("clip", *needed) if name not in table]:
        raise InputError(path, f"has no column {absent[0]}", remedy)
    if table.empty:
        raise InputError(path, "has no rows", remedy)
    for line, name in table["clip"][(table["clip"] == "") | table["clip"].duplicated()].items():
        what = f"has {name[:40]} a second time" if name else "names no clip"
        raise InputError(path, f"line {line} {what}", "each clip has one line")
    return table.set_index("clip")[list(needed)]


def _listed(names: Iterable[str]) -> str:
    first, more = list(names)[:3], len(list(names)) - 3
    return ", ".join(name[:40] for name in first) + (f" and {more} more" if more > 0 else "")


def _cell(found: Any) -> str:
    if isinstance(found, Estimate):
        return f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f})"
    return f"{found:.3f}" if isinstance(found, float) else str(found)
