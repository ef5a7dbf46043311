"""How well raters judge blinded clips, how far they agree, and what they gain from help.

Source: Gao et al. 2023 (MAM), who had three beginners rate videos without and with the help of the system. Published
are accuracies only; tests and intervals are our choice.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from infantjax.errors import InputError
from infantjax.evaluation.agreement import Weighting, fleiss_kappa, kappa
from infantjax.evaluation.comparison import holm, mcnemar, paired_difference
from infantjax.evaluation.intervals import Estimate, bootstrap, clopper_pearson
from infantjax.files import finite_or_none, without_guard
from infantjax.formats import checks, text
from infantjax.formats.outcomes import read_outcomes

PUBLISHED = {"alone": (0.846, 0.869, 0.837), "with help": (0.950, 0.973, 0.959)}
"""Accuracies of three beginners (Gao et al. 2023, through a published summary)."""

Answers = Int[np.ndarray, " clip"]


class RatedClip(NamedTuple):
    """A clip by the key.

    Attributes:
        name: as raters see it.
        recording: that it was cut of.
        kind: `highest`, `lowest` or `random`.
    """

    name: str
    recording: str
    kind: str


class RaterMetrics(NamedTuple):
    """A rater against the truth.

    Attributes:
        accuracy: share of right answers.
        sensitivity: share of positive answers to clips whose truth is 1.
        specificity: share of other answers to the others.
        kappa: Cohen's, with the truth.
    """

    accuracy: Estimate
    sensitivity: Estimate
    specificity: Estimate
    kappa: float


class Gain(NamedTuple):
    """A rater with help less the same rater alone.

    Attributes:
        accuracy: the difference, with an interval by bootstrap over recordings.
        gained: clips that are right with help only.
        lost: clips that are right alone only.
        p: by McNemar's exact test, which takes clips as independent.
        holm: the same after Holm's correction over the raters.
    """

    accuracy: Estimate
    gained: int
    lost: int
    p: float
    holm: float


@dataclass(frozen=True)
class RaterStudy:
    """What raters answered.

    Attributes:
        clips: with a truth.
        recordings: that they were cut of.
        alone: each rater without help, by name.
        helped: the same with help; empty if there was none.
        gains: by rater.
        kappas: Cohen's between each two raters alone, over all clips.
        fleiss: kappa of all raters alone; NaN for one.
        positive: share of positive answers to the clips of each kind, by kind and rater.
    """

    clips: int
    recordings: int
    alone: Mapping[str, RaterMetrics]
    helped: Mapping[str, RaterMetrics]
    gains: Mapping[str, Gain]
    kappas: Mapping[tuple[str, str], float]
    fleiss: float
    positive: Mapping[str, Mapping[str, float]]

    def to_dict(self) -> dict[str, Any]:
        """As JSON; null for NaN."""
        kappas = [{"first": a, "second": b, "kappa": value} for (a, b), value in self.kappas.items()]
        content = {**vars(self), "kappas": kappas, "published": PUBLISHED}
        found: dict[str, Any] = finite_or_none(content)
        return found

    def lines(self) -> list[str]:
        """As lines of text."""
        lines = [f"{self.clips} clips of {self.recordings} recordings with a truth"]
        for title, raters in (("alone", self.alone), ("with help", self.helped)):
            if raters:
                lines += ["", f"{title:<16}{'accuracy':>24}{'sensitivity':>24}{'specificity':>24}{'kappa':>8}"]
            for rater, found in raters.items():
                lines.append(f"{rater[:15]:<16}{''.join(map(_cell, found[:3]))}{found.kappa:>8.3f}")
        if self.gains:
            lines += ["", f"{'gain':<16}{'accuracy':>24}{'gained':>8}{'lost':>8}{'P':>8}{'Holm':>8}"]
        for rater, gain in self.gains.items():
            numbers = f"{gain.gained:>8}{gain.lost:>8}{gain.p:>8.3f}{gain.holm:>8.3f}"
            lines.append(f"{rater[:15]:<16}{_cell(gain.accuracy)}{numbers}")
        if self.gains:
            shown = "; ".join(f"{name} {', '.join(f'{v:.3f}' for v in values)}" for name, values in PUBLISHED.items())
            lines.append(f"published accuracies of three beginners: {shown}")
        if self.kappas:
            lines += ["", f"agreement: Fleiss' kappa {self.fleiss:.3f}; Cohen's kappa of pairs:"]
            lines += [f"  {a} and {b}: {value:.3f}" for (a, b), value in self.kappas.items()]
        lines += ["", "share of positive answers by kind of window"]
        for kind, shares in self.positive.items():
            lines.append(f"{kind:<16}" + "  ".join(f"{rater} {share:.2f}" for rater, share in shares.items()))
        return lines


def read_key(path: str | Path) -> tuple[RatedClip, ...]:
    """The clips of a key that `infantjax raters clips` wrote.

    Raises:
        InputError: it cannot be read, or names a clip twice.
    """
    rows = _rows(Path(path), ("clip", "recording", "kind"), "give the key that infantjax raters clips wrote")
    return tuple(RatedClip(row["clip"], row["recording"], row["kind"]) for row in rows.values())


def read_answers(path: str | Path, clips: Sequence[RatedClip], scale: int = 2) -> Answers:
    """The answers of a sheet, in the order of the clips.

    Args:
        path: table with columns clip and answer, a number from 0 on.
        clips: all of which must be answered once.
        scale: answers are below this number.

    Raises:
        InputError: a clip that is unknown, doubled, missing or not answered, or an answer outside of the scale.
    """
    path, names = Path(path), [clip.name for clip in clips]
    rows = _rows(path, ("clip", "answer"), "give the filled answer sheet")
    if unknown := [name for name in rows if name not in names]:
        raise InputError(path, f"answers {_listed(unknown)}, which the key does not have", "is it of this study?")
    if open_ := [name for name in names if not rows.get(name, {}).get("answer")]:
        raise InputError(path, f"has no answer to {_listed(open_)}", "ask the rater, or leave the sheet out")
    answers = [rows[name]["answer"] for name in names]
    wrong = [name for name, a in zip(names, answers) if not (a.isascii() and a.isdecimal() and int(a) < scale)]
    if wrong:
        what = f'answers {_listed(wrong)} with "{rows[wrong[0]]["answer"][:20]}"'
        raise InputError(path, what, f"answers are whole numbers from 0 to {scale - 1}; see --scale")
    return np.array([int(a) for a in answers])


def truth_of(clips: Sequence[RatedClip], path: str | Path | None = None) -> Float[np.ndarray, " clip"]:
    """0 or 1 of each clip, NaN where it is not known.

    Args:
        clips: of the key.
        path: table id;outcome, whose ids are clips or recordings. None takes the windows of the highest value as 1 and
            those of the lowest as 0: how far raters see what the system sees.

    Raises:
        InputError: the table cannot be read, or knows none of them.
    """
    if path is None:
        return np.array([{"highest": 1.0, "lowest": 0.0}.get(clip.kind, math.nan) for clip in clips])
    known = read_outcomes(path)
    found = np.array([float(known.get(clip.name, known.get(clip.recording, math.nan))) for clip in clips])
    if np.isnan(found).all():
        raise InputError(path, "has no outcome of a clip or recording of the key", "write id;outcome")
    return found


def evaluate_raters(
    clips: Sequence[RatedClip],
    truth: Float[np.ndarray, " clip"],
    alone: Mapping[str, Answers],
    helped: Mapping[str, Answers] | None = None,
    positive_from: int = 1,
    weights: Weighting | None = None,
) -> RaterStudy:
    """Raters against the truth, against each other, and with help against alone.

    Args:
        clips: in the order of all arrays.
        truth: see `truth_of`.
        alone: answers without help, by rater.
        helped: answers with help of the same raters, or of some of them.
        positive_from: answers from this one on are positive: they mean truth 1.
        weights: of the kappas between raters.

    Raises:
        ValueError: no rater, a helped rater without answers alone, or no clip with a truth.
    """
    helped = helped or {}
    known = np.isfinite(truth)
    if not alone or not known.any() or set(helped) - set(alone):
        raise ValueError("needs raters, clips with a truth, and answers alone of every rater with help")
    groups = np.array([clip.recording for clip in clips])[known]
    labels = truth[known].astype(int)

    def calls(answers: Answers) -> Bool[np.ndarray, " known"]:
        return answers[known] >= positive_from

    gains = {name: _gain(calls(alone[name]) == labels, calls(helped[name]) == labels, groups) for name in helped}
    adjusted = holm({name: gain.p for name, gain in gains.items()})
    kinds = {kind: np.array([clip.kind == kind for clip in clips]) for kind in sorted({clip.kind for clip in clips})}
    return RaterStudy(
        clips=int(known.sum()),
        recordings=len(set(groups.tolist())),
        alone={name: _metrics(calls(answers), labels, groups) for name, answers in alone.items()},
        helped={name: _metrics(calls(answers), labels, groups) for name, answers in helped.items()},
        gains={name: gain._replace(holm=adjusted[name]) for name, gain in gains.items()},
        kappas={(a, b): kappa(alone[a], alone[b], weights) for a, b in combinations(alone, 2)},
        fleiss=fleiss_kappa(np.stack(list(alone.values()), axis=1)) if len(alone) > 1 else math.nan,
        positive={
            kind: {name: float((answers[rows] >= positive_from).mean()) for name, answers in alone.items()}
            for kind, rows in kinds.items()
        },
    )


def _metrics(calls: Bool[np.ndarray, " clip"], labels: Int[np.ndarray, " clip"], groups: np.ndarray) -> RaterMetrics:
    right = calls == labels

    def share(part: Bool[np.ndarray, " clip"]) -> Estimate:
        return _share(right[part], groups[part])

    everywhere = np.ones(len(labels), bool)
    return RaterMetrics(share(everywhere), share(labels == 1), share(labels == 0), kappa(calls.astype(int), labels))


def _share(right: Bool[np.ndarray, " clip"], groups: np.ndarray) -> Estimate:
    """A share with its exact interval, or by bootstrap over recordings where one has several clips."""
    if not len(right):
        return Estimate(math.nan, math.nan, math.nan)
    if len(set(groups.tolist())) == len(right):
        return Estimate(float(right.mean()), *clopper_pearson(int(right.sum()), len(right)))
    labels = np.zeros(len(right), int)
    return Estimate(float(right.mean()), *bootstrap(lambda w: w @ right / w.sum(axis=1), labels, groups))


def _gain(alone: Bool[np.ndarray, " clip"], helped: Bool[np.ndarray, " clip"], groups: np.ndarray) -> Gain:
    test = mcnemar(helped, alone)
    difference = float(helped.mean() - alone.mean())
    interval = paired_difference(helped, alone, groups)
    return Gain(Estimate(difference, *interval), test.first_only, test.second_only, test.p, test.p)


def _rows(path: Path, needed: Sequence[str], remedy: str) -> dict[str, dict[str, str]]:
    """The rows of a table by clip; columns in lower case."""
    path = checks.check_readable(path)
    if path.is_dir() or checks.kind_of(path) != "text":
        raise InputError(path, "is not a text table", remedy)
    lines = text.rows(path, text.dialect_of(path))
    header = [name.lower() for name in text.header_of(path, next((cells for _, cells in lines), []))]
    if absent := [name for name in needed if name not in header]:
        raise InputError(path, f"has no column {absent[0]}", remedy)
    found: dict[str, dict[str, str]] = {}
    for line, cells in lines:
        row = dict(zip(header, [without_guard(cell.strip()) for cell in cells] + [""] * len(header)))
        if row["clip"] in found or not row["clip"]:
            what = f"has {row['clip'][:40]} a second time" if row["clip"] else "names no clip"
            raise InputError(path, f"line {line} {what}", "each clip has one line")
        found[row["clip"]] = row
    if not found:
        raise InputError(path, "has no rows", remedy)
    return found


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(name[:40] for name in names[:3]) + more


def _cell(found: Estimate) -> str:
    return f"{f'{found.value:.3f} ({found.low:.3f} to {found.high:.3f})':>24}"
