"""Exchanged sides: frames in which a left joint carries the name of the right one.

With D the vector from the left to the right joint of a pair, the squared step of both joints under their names minus
that under exchanged names is `-2 D[t] . D[t - 1]`. Where D turns into about -D within one frame, the names were
exchanged: joints that really cross pass through D = 0. Such steps cut the recording into segments. Which of them carry
the wrong names is decided by the path of least cost through the two states (Viterbi), from the trunk outwards:
shoulders and hips by their side of the trunk's axis (an infant that faces the camera), other joints by the lengths of
the bones to the joints before them. Counting identity switches is usual in multi-object tracking (Bernardin and
Stiefelhagen 2008); the decision is our choice.

What was found is sure, and may be undone, where sides or lengths say so over a run of frames, or where both of its ends
show it clearly. A tracker that guesses makes steps that look like exchanges, and undoing those would put exchanges in.
"""

from typing import NamedTuple

import numpy as np

from infantjax.recording.quality.body import PARENTS, Body, hold
from infantjax.recording.quality.limits import DEFAULT_LIMITS as LIMITS

SWITCH, FREE, MISSED = 0.0, 4.0, 6.0
"""Costs in frames of clear evidence: an exchange at a step that shows one, at one that may hide one, no exchange
at a step that shows one."""

SURE_EVIDENCE, SURE_SHORTER, SURE_STEP = -0.5, -0.1, 0.25
"""Signs of a sure run of exchanged frames: mean evidence; mean change of the bones' lengths by giving the names back,
as a share of the common length; size of the sum of the vectors before and after a step, as a share of its size."""

BONES = 0.1
"""Weight of bones that are shorter under one of the namings, where both are possible."""

HEAD = 0.1
"""Weight of the order of the points of the head, which may turn."""

OUTSIDE = 3.5
"""Distance from the middle of the recording, in trunk lengths, that no limb reaches."""


class Exchanges(NamedTuple):
    """Part -> `[time]` bool: its left and right joint carry each other's name.

    Attributes:
        found: all that was found.
        sure: what may be undone.
    """

    found: dict[str, np.ndarray]
    sure: dict[str, np.ndarray]


def exchanged(body: Body) -> Exchanges:
    """Frames with exchanged sides."""
    points = _without_outliers(body.points)
    held = hold(points, max(1, round(0.5 * body.recording.fps)))
    states, sure = Exchanges({}, {})
    fixed = {part: points[:, list(pair)].copy() for part, pair in body.parts.items()}
    order = [part for part in PARENTS if part in body.parts] + [part for part in body.parts if part not in PARENTS]
    for part in order:
        parent = PARENTS.get(part, "")
        pair = held[:, list(body.parts[part])]
        shorter, weight = np.zeros(len(pair)), 1.0
        if parent in fixed:
            evidence, shorter = _bone_evidence(fixed[part], fixed[parent])
        elif part in ("shoulder", "hip"):
            evidence = _side_evidence(body, part)
        else:
            evidence = _order_evidence(fixed[part], fixed["shoulder"]) if "shoulder" in fixed else np.zeros(len(pair))
            weight = HEAD
        across = pair[:, 0] - pair[:, 1]
        states[part] = _decode(across, weight * evidence)
        sure[part] = _sure(states[part], across, evidence, shorter)
        fixed[part][sure[part]] = fixed[part][sure[part]][:, ::-1]
    return Exchanges(states, sure)


def exchange_back(values: np.ndarray, states: dict[str, np.ndarray], body: Body) -> np.ndarray:
    """A copy of values `[time, joint, ...]` with left and right exchanged where `states` (`Exchanges`) say so."""
    values = values.copy()
    for part, state in states.items():
        right, left = body.parts[part]
        values[state, right], values[state, left] = values[state, left], values[state, right]
    return values


def _without_outliers(points: np.ndarray) -> np.ndarray:
    """Points without those far away from the body, as where a tracker writes zeros; a body that moved away stays."""
    far = np.linalg.norm(points, axis=2) > OUTSIDE
    return np.where(far[..., None], np.nan, points) if 0 < far.mean() < 0.1 else points


def _side_evidence(body: Body, part: str) -> np.ndarray:
    """`[time]` in -1..1: 1 where the right joint lies on the right of an infant that faces the camera."""
    right, left = body.parts[part]
    across = body.points[:, right] - body.points[:, left]
    if across.shape[1] != 2:
        return np.zeros(len(across))
    trunk = body.trunk / body.unit
    # y points down: with the head at the top (0, -1), the infant's right lies at smaller x.
    side = trunk[:, 0] * across[:, 1] - trunk[:, 1] * across[:, 0]
    return np.nan_to_num(np.clip(-side / LIMITS.clear_side, -1, 1))


def _order_evidence(pair: np.ndarray, shoulders: np.ndarray) -> np.ndarray:
    """`[time]` in -1..1: above 0 where a pair of the head lies in the order of the shoulders."""
    product = ((pair[:, 0] - pair[:, 1]) * (shoulders[:, 0] - shoulders[:, 1])).sum(axis=1)
    return np.nan_to_num(np.clip(10 * product, -1, 1))


def _bone_evidence(pair: np.ndarray, parent: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`[time]` in -1..1: 1 where the bones to the parent have lengths that only the given names explain.

    And `[time]` how much shorter they are under the given names than under exchanged ones, in common lengths.
    """
    lengths = np.linalg.norm(pair[:, :, None] - parent[:, None, :], axis=-1)
    same, other = lengths[:, [0, 1], [0, 1]].max(axis=1), lengths[:, [0, 1], [1, 0]].max(axis=1)
    least = np.fmin(same, other)
    if not np.isfinite(least).any():
        return np.zeros(len(pair)), np.zeros(len(pair))
    reference = float(np.nanpercentile(least, 90))
    if not reference > 0:
        return np.zeros(len(pair)), np.zeros(len(pair))
    # A bone looks shorter than it is, never much longer: only lengths beyond the reference are evidence.
    excess = np.clip((other - 1.15 * reference) / (0.3 * reference), 0, 1)
    excess -= np.clip((same - 1.15 * reference) / (0.3 * reference), 0, 1)
    shorter = (lengths[:, [0, 1], [1, 0]] - lengths[:, [0, 1], [0, 1]]).sum(axis=1) / reference
    evidence = excess + BONES * np.clip(shorter, -1, 1) + 0.01 * np.sign(other - same)
    return np.nan_to_num(evidence), np.nan_to_num(shorter)


def _sure(state: np.ndarray, across: np.ndarray, evidence: np.ndarray, shorter: np.ndarray) -> np.ndarray:
    """`[time]` bool: the runs of exchanged frames that may be undone."""
    sure, frames = np.zeros_like(state), len(state)
    edges = np.flatnonzero(np.diff(state.astype(np.int8), prepend=0, append=0))

    def is_clear(frame: int) -> bool:
        before, after = across[frame - 1], across[frame]
        return bool(np.linalg.norm(after + before) < SURE_STEP * np.linalg.norm(after - before))

    for start, stop in zip(edges[::2].tolist(), edges[1::2].tolist()):
        run = slice(start, stop)
        ends = [is_clear(frame) for frame in (start, stop) if 0 < frame < frames]
        by_ends = bool(ends) and all(ends) and shorter[run].mean() < -SURE_SHORTER
        sure[run] = by_ends or evidence[run].mean() < SURE_EVIDENCE or shorter[run].mean() < SURE_SHORTER
    return sure


def _decode(across: np.ndarray, evidence: np.ndarray) -> np.ndarray:
    """`[time]` bool: the names are exchanged.

    Args:
        across: `[time, coordinate]` from the left to the right joint; NaN where one is missing.
        evidence: `[time]`, positive where the names are right.
    """
    frames = len(across)
    if frames < 2:
        return evidence < -0.5
    size = np.linalg.norm(across, axis=1)
    change = np.linalg.norm(np.diff(across, axis=0), axis=1)
    total = np.linalg.norm(across[1:] + across[:-1], axis=1)
    event = (change > LIMITS.exchange) & (total < 0.5 * change)
    # Joints that are missing, or found in one place, may hide an exchange.
    hidden = np.isnan(change) | (np.fmin(size[1:], size[:-1]) < 0.5 * LIMITS.exchange)
    cuts = np.flatnonzero(event | hidden) + 1
    sums = np.add.reduceat(evidence, np.concatenate([[0], cuts]))
    # Neighboring hidden steps make segments of single frames: that is slow only where pairs touch for long.
    stay = np.where(event[cuts - 1], MISSED, 0.0)
    switch = np.where(event[cuts - 1], SWITCH, FREE)
    path = _cheapest(sums, stay, switch)
    lengths = np.diff(np.concatenate([[0], cuts, [frames]]))
    state = np.repeat(path, lengths)
    # Without evidence, the names of the longer part are right.
    if abs(evidence.sum()) < 1e-6 and state.mean() > 0.5:
        state = ~state
    return state


def _cheapest(evidence: np.ndarray, stay: np.ndarray, switch: np.ndarray) -> np.ndarray:
    """Viterbi path over segments: True where exchanging costs less; ties keep the names."""
    right, wrong = -float(evidence[0]), float(evidence[0]) + 1e-6
    back = np.zeros((len(evidence), 2), dtype=bool)
    for i, (value, kept, changed) in enumerate(zip(evidence[1:].tolist(), stay.tolist(), switch.tolist()), start=1):
        back[i, 0], back[i, 1] = wrong + changed < right + kept, right + changed < wrong + kept
        right, wrong = min(right + kept, wrong + changed) - value, min(wrong + kept, right + changed) + value
    path = np.zeros(len(evidence), dtype=bool)
    state = wrong < right
    for i in range(len(evidence) - 1, -1, -1):
        path[i] = state
        if back[i, int(state)]:
            state = not state
    return path
