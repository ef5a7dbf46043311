"""Cohorts of simulated infants, in memory and as a folder in the released layout.

Infants differ in size, activity, posture, camera and, by outcome, in the share of time with fidgety movements. The
overall activity is drawn from the same distribution for both outcomes: it hides the difference from anything that
only measures how much an infant moves.
"""

import csv
import io
import math
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np

import infantjax
from infantjax.errors import InputError
from infantjax.files import canonical_json, write_atomically
from infantjax.recording.recording import Recording
from infantjax.simulation.movement import OUTCOME_SHARE, STATEMENT, InfantConfig, simulate, stream

MAX_INFANTS = 100_000
"""Largest cohort that is simulated."""


def draw_infant(seed: int, index: int, outcome: int, base: InfantConfig | None = None) -> InfantConfig:
    """The traits of one infant of a cohort.

    All traits but `fidgety` and `monotony` are drawn alike for both outcomes, and are the same for both outcomes of one
    `(seed, index)`. Outcome 0: `fidgety` from a beta distribution of mean 0.55 and standard deviation 0.16, at least
    0.35 (MAM reports a median of 0.553 with quartiles 0.412 and 0.706 in normal infants). Outcome 1: 0, absent, and
    events a little more alike (`monotony` 0.2; chosen).

    Args:
        seed: seed of the cohort.
        index: number of the infant, from 0.
        outcome: 0 or 1.
        base: everything that is not drawn (duration, frame rate, noise, jitter, dropouts, image). The draw multiplies
            its `activity`, `restlessness`, `fidgety_amplitude`, `length`, `focal_length` and `camera_height`, is added
            to its `camera_rotation` and `camera_tilt`, and takes the place of its `fidgety`.
    """
    base = base or InfantConfig()
    rng = stream((seed, index), "traits")
    restlessness = math.exp(0.6 * rng.standard_normal())
    activity = math.exp(0.45 * rng.standard_normal())
    length = 1.0 + 0.035 * rng.standard_normal()
    rotation, tilt = 12.0 * rng.standard_normal(), 5.0 * rng.standard_normal()
    height, focal = 1.0 + 0.1 * rng.uniform(-1, 1), 1.0 + 0.05 * rng.uniform(-1, 1)
    amplitude = math.exp(0.25 * rng.standard_normal())
    share = max(0.35, rng.beta(4.77, 3.90))
    return replace(
        base,
        restlessness=min(base.restlessness * restlessness, 5.0),
        activity=min(base.activity * activity, 10.0),
        length=min(max(base.length * length, 40.0), 90.0),
        camera_rotation=base.camera_rotation + rotation,
        camera_tilt=min(max(base.camera_tilt + tilt, -30.0), 30.0),
        camera_height=max(base.camera_height * height, 60.0),
        focal_length=base.focal_length * focal,
        fidgety_amplitude=min(base.fidgety_amplitude * amplitude, 5.0),
        fidgety=0.0 if outcome else share,
        monotony=max(base.monotony, 0.2) if outcome else base.monotony,
    )


def outcomes(n: int, seed: int, prevalence: float = 0.15) -> tuple[int, ...]:
    """Outcomes of a cohort, evenly spread: infant i's does not depend on n, and both occur among the first two.

    Args:
        n: number of infants, at least 2.
        seed: seed of the cohort; shifts the pattern.
        prevalence: share of outcome 1, above 0 and below 1; the number of them is n times it, rounded up or down.

    Raises:
        ValueError: n, seed or prevalence outside its range.
    """
    if seed < 0:
        raise ValueError(f"seed must be at least 0, got {seed}")
    if not 2 <= n <= MAX_INFANTS:
        raise ValueError(f"a cohort has from 2 to {MAX_INFANTS} infants, got {n}")
    if not 0 < prevalence < 1:
        raise ValueError(f"the prevalence must be above 0 and below 1, got {prevalence}")
    # The rarer outcome comes where a line of that slope passes an integer; the line starts high enough to pass one
    # within two infants.
    rare = min(prevalence, 1 - prevalence)
    start = 1 - 2 * rare * stream((seed,), "outcomes").uniform(0.01, 0.99)
    steps = np.diff(np.floor(start + rare * np.arange(n + 1) + 1e-9)).astype(int)
    return tuple((steps if prevalence <= 0.5 else 1 - steps).tolist())


def infants(
    n: int,
    seed: int,
    duration: float = 60.0,
    prevalence: float = 0.15,
    fps: float = 30.0,
    base: InfantConfig | None = None,
    first: int = 0,
) -> Iterator[tuple[Recording, int]]:
    """As `simulate_cohort`, one infant after the other, so that memory does not grow with n; from a number on."""
    base = replace(base or InfantConfig(), duration=duration, fps=fps)
    for index, outcome in list(enumerate(outcomes(first + n, seed, prevalence)))[first:]:
        config = draw_infant(seed, index, outcome, base)
        yield simulate((seed, index), config, name=f"sim{index:04d}"), outcome


def simulate_cohort(
    n: int,
    seed: int,
    duration: float = 60.0,
    prevalence: float = 0.15,
    fps: float = 30.0,
    base: InfantConfig | None = None,
) -> list[tuple[Recording, int]]:
    """Simulated infants with their outcomes, at least one of each.

    Infant i is the same whatever n is: a cohort of 20 begins with the cohort of 10 of the same seed.

    Args:
        n: number of infants, at least 2.
        seed: integer from 0; with the other arguments it determines every byte (of one NumPy version on one kind of
            processor; elsewhere coordinates may differ by rounding).
        duration: seconds of each recording.
        prevalence: share of outcome 1 (absent fidgety movements); 0.15 is that of the published cohort (84 of 557).
        fps: hertz.
        base: what `draw_infant` does not draw; its `duration` and `fps` give way to the arguments.

    Returns:
        `(recording, outcome)` for each infant; recordings are named `sim0000`, `sim0001`, ...

    Raises:
        ValueError: an argument is outside its range.
    """
    return list(infants(n, seed, duration, prevalence, fps, base))


def draw_metadata(seed: int, index: int, outcome: int) -> dict[str, Any]:
    """What a table says of an infant: it is born before 32 weeks in 3 of 10 cases, with outcome 1 in 7 of 10.

    Args:
        seed: of the cohort.
        index: number of the infant.
        outcome: 0 or 1.

    Returns:
        `sex`, `gestational_age` (weeks), `birth_weight` (grams), `corrected_age` and `age` (weeks), `cohort` (`term`
        or `preterm`).
    """
    rng = stream((seed, index), "metadata")
    early = rng.random() < (0.7 if outcome else 0.3)
    gestation = round(float(rng.uniform(24, 31.9) if early else rng.uniform(37, 41)), 1)
    # About the growth of the last trimester: 1000 g at 28 weeks, 3400 g at 40.
    weight = round(float((1000 + 200 * (gestation - 28)) * math.exp(0.12 * rng.standard_normal())))
    age = round(float(rng.uniform(12, 18)), 1)
    return {
        "sex": "female" if rng.random() < 0.5 else "male",
        "gestational_age": gestation,
        "birth_weight": max(weight, 400),
        "corrected_age": age,
        "age": age,
        "cohort": "preterm" if early else "term",
    }


class Simulated(Protocol):
    """What `write_cohort` needs of a method.

    Attributes:
        name: of the method.
        score_range: of outcomes that are scores; None where outcomes are 0 or 1.
        simulated_columns: columns of the outcomes table beside id and outcome.
    """

    name: str
    score_range: tuple[float, float] | None
    simulated_columns: tuple[str, ...]

    def simulate(self, n: int, seed: int, duration: float, **options: Any) -> Iterator[tuple[Recording, float]]:
        """Simulated recordings with their outcomes, see `methods.base.Method`."""


def write_cohort(
    folder: str | Path,
    n: int,
    seed: int,
    duration: float = 60.0,
    prevalence: float = 0.15,
    fps: float = 30.0,
    base: InfantConfig | None = None,
    overwrite: bool = False,
    method: Simulated | None = None,
    first: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Simulate a cohort into a folder that `crossval`, `assess` and the readers take.

    - `orgcoords_<id>.csv`: the released layout (`frame`, then x and y of each joint, pixels to 0.01, empty where
      missing) with one more column `time`, seconds, from which readers take the frame rate.
    - `outcomes.csv`: `id;outcome` and the columns that the method reads; a `score` in place of the outcome for a method
      of scores. Quote character `|`.
    - `truth.csv`: `id;second;fidgety`, 1 where that second of the recording holds fidgety movements.
    - `simulation.json`: seed, arguments, the configuration of each infant, version, and that no infant is shown.

    The folder appears whole or not at all: it is written beside its place and renamed.

    Args:
        folder: where to write; made if missing.
        n: number of infants; this and the other arguments are those of `simulate_cohort`.
        seed: seed of the cohort.
        duration: seconds of each recording.
        prevalence: share of outcome 1.
        fps: hertz.
        base: what is not drawn for each infant.
        overwrite: replace an earlier simulated cohort in that folder.
        method: that reads the cohort; None simulates plain infants with outcomes.
        first: number of the first infant; cohorts of one seed that share no numbers share no infants.
        progress: called with (infants written, n) after each; a minute of one infant takes about 50 ms.

    Returns:
        The folder.

    Raises:
        InputError: the folder holds files and `overwrite` is not set, or it holds files that are not of a simulated
            cohort (these are never removed), or it is a file.
        ValueError: an argument is outside its range.
        OSError: the disk is full or the place read-only; nothing is left behind.
    """
    base = replace(base or InfantConfig(), duration=duration, fps=fps)
    if first < 0:
        raise ValueError(f"the first infant has a number from 0 on, got {first}")
    outcomes(n, seed, prevalence)
    outcomes(first + n, seed, prevalence)
    target = Path(folder).resolve()
    _require_free(target, overwrite)
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = _beside(target)
    fresh.mkdir()
    try:
        _fill(fresh, n, seed, prevalence, base, method, first, progress or (lambda done, n: None))
        _move_into_place(fresh, target, overwrite)
    except BaseException:
        shutil.rmtree(fresh, ignore_errors=True)
        raise
    return Path(folder)


def to_csv(recording: Recording) -> str:
    """A recording as text in the released layout: `frame`, `time` (seconds), then x and y per joint to 0.01.

    Missing points are empty.
    """
    joints = recording.skeleton.joints
    header = ",".join(["frame", "time", *(f"{joint}_{axis}" for joint in joints for axis in "xy")])
    row = "%d,%.9f" + ",%.2f" * (2 * len(joints))
    values = np.round(recording.keypoints[:, :, :2].reshape(recording.frames, -1), 2) + 0.0
    lines = [row % (frame, frame / recording.fps, *points) for frame, points in enumerate(values.tolist())]
    return "\n".join([header, *lines, ""]).replace("nan", "")


def _fill(
    folder: Path,
    n: int,
    seed: int,
    prevalence: float,
    base: InfantConfig,
    method: Simulated | None,
    first: int,
    progress: Callable[[int, int], None],
) -> None:
    labels, truth, configs = io.StringIO(), io.StringIO(), {}
    rows = csv.writer(labels, delimiter=";", quotechar="|", lineterminator="\n")
    seconds = csv.writer(truth, delimiter=";", quotechar="|", lineterminator="\n")
    columns = method.simulated_columns if method else ()
    rows.writerow(["id", "score" if method and method.score_range else "outcome", *columns])
    seconds.writerow(["id", "second", "fidgety"])
    simulated = infants if method is None else method.simulate
    written = set()
    for recording, outcome in simulated(
        n, seed, base.duration, prevalence=prevalence, fps=base.fps, base=base, first=first
    ):
        write_atomically(folder / f"orgcoords_{recording.name}.csv", to_csv(recording))
        rows.writerow([recording.name, outcome, *(recording.metadata[column] for column in columns)])
        seconds.writerows([recording.name, s, value] for s, value in enumerate(recording.metadata["fidgety"]))
        configs[recording.name] = recording.metadata["simulation"]
        written.add(recording.metadata.get("group", recording.name))
        progress(len(written), n)
    write_atomically(folder / "outcomes.csv", labels.getvalue())
    write_atomically(folder / "truth.csv", truth.getvalue())
    record = {
        "statement": STATEMENT,
        "infantjax": infantjax.__version__,
        "seed": seed,
        "infants": n,
        "first": first,
        "method": method.name if method else None,
        "prevalence": prevalence,
        "duration": base.duration,
        "fps": base.fps,
        "outcome_share": OUTCOME_SHARE,
        "base": base.to_dict(),
        "configurations": configs,
    }
    write_atomically(folder / "simulation.json", canonical_json(record))


def _require_free(target: Path, overwrite: bool) -> None:
    if target.is_file():
        raise InputError(target, "is a file, a cohort needs a folder", "name another")
    present = sorted(p.name for p in target.iterdir()) if target.is_dir() else []
    if not present:
        return
    foreign = [name for name in present if not _is_ours(name)]
    if foreign or "simulation.json" not in present:
        found = foreign[0] if foreign else present[0]
        raise InputError(target, f'holds files that no simulation wrote, such as "{found}"', "name an empty folder")
    if not overwrite:
        raise InputError(target, "holds a simulated cohort already", "name an empty folder, or overwrite it")


def _is_ours(name: str) -> bool:
    return name in ("outcomes.csv", "truth.csv", "simulation.json") or (
        name.startswith("orgcoords_sim") and name.endswith(".csv")
    )


def _move_into_place(fresh: Path, target: Path, overwrite: bool) -> None:
    if not (overwrite and target.exists() and any(target.iterdir())):
        os.replace(fresh, target)  # also over an empty folder
        return
    old = _beside(target)
    os.replace(target, old)
    try:
        os.replace(fresh, target)
    except BaseException:
        os.replace(old, target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _beside(target: Path) -> Path:
    return target.parent / f".{target.name}-{secrets.token_hex(4)}"
