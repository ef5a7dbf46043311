"""Cohorts of simulated infants, in memory and as a folder in the layout of the reference implementation."""

import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from einops import rearrange
from PIL import Image

from infantjax.errors import InputError
from infantjax.files import canonical_json, replaced_folder, write_atomically
from infantjax.recording.recording import Recording
from infantjax.simulation.config import OUTCOME_SHARE, STATEMENT, InfantConfig
from infantjax.simulation.faults import require_fault, spoil
from infantjax.simulation.infant import simulate
from infantjax.simulation.rendering.clip import Clip, RenderConfig, render
from infantjax.simulation.traits import draw_infant, draw_outcomes
from infantjax.skeletons import BABYPOSE_12
from infantjax.version import __version__
from infantjax.video import write_video

_TABLES = ("outcomes.csv", "truth.csv", "simulation.json")
_VIDEOS, _DEPTH = "videos", "depth"
_OPTIONS = "simulate.toml"
"""The options of the command that simulated it."""


def simulate_infants(
    n: int,
    seed: int,
    duration: float = 60.0,
    *,
    prevalence: float = 0.15,
    fps: float = 30.0,
    base: InfantConfig | None = None,
    first: int = 0,
) -> Iterator[tuple[Recording, int]]:
    """Simulated infants with their outcomes, one after the other, so that memory does not grow with their number.

    Infant i is the same whatever n is: a cohort of 20 begins with the cohort of 10 of the same seed.

    Args:
        n: number of infants, at least 2.
        seed: integer from 0; with the other arguments it determines every byte (of one NumPy version on one kind of
            processor; elsewhere coordinates may differ by rounding).
        duration: seconds of each recording.
        prevalence: fraction of outcome 1 (absent fidgety movements); 0.15 is that of the published cohort (84 of 557).
        fps: hertz.
        base: settings that `draw_infant` does not draw; `duration` and `fps` replace those of it.
        first: number of the first infant; cohorts of one seed without common numbers have no common infants.

    Yields:
        `(recording, outcome)` for each infant; recordings are named `sim0000`, `sim0001`, ...

    Raises:
        ValueError: an argument is outside its range.
    """
    if first < 0:
        raise ValueError(f"the number of the first infant must be at least 0, got {first}")
    draw_outcomes(n, seed, prevalence)
    base = replace(base or InfantConfig(), duration=duration, fps=fps)
    for index, outcome in list(enumerate(draw_outcomes(first + n, seed, prevalence)))[first:]:
        config = draw_infant(seed, index, outcome, base)
        yield simulate((seed, index), config, name=f"sim{index:04d}"), outcome


def simulate_cohort(n: int, seed: int, duration: float = 60.0, **options: Any) -> list[tuple[Recording, int]]:
    """All infants of a cohort at once; arguments, results and errors as of `simulate_infants`."""
    return list(simulate_infants(n, seed, duration, **options))


def write_cohort(
    folder: str | Path,
    n: int,
    seed: int,
    duration: float = 60.0,
    *,
    method: Any = None,
    overwrite: bool = False,
    progress: Callable[[int], None] | None = None,
    fault: str | None = None,
    severity: float = 0.3,
    film: RenderConfig | None = None,
    depth: RenderConfig | None = None,
    **options: Any,
) -> Path:
    """Simulate a cohort into a folder that `crossval`, `assess` and the readers take.

    - `orgcoords_<id>.csv`: the layout of the reference implementation (`frame`, then x and y of each joint, pixels to
      0.01, empty where missing) with one more column `time`, seconds, from which readers take the frame rate.
    - `outcomes.csv`: `id;outcome` and the columns that the method reads; a `score` in place of the outcome for a method
      of scores. Quote character `|`.
    - `truth.csv`: `id;second;fidgety`, 1 where that second of the recording holds fidgety movements.
    - `simulation.json`: seed, options, the configuration of each infant, version, and `STATEMENT`.
    - `videos/<id>.mp4` and `videos/<id>.csv`, with `film`: the same movement as a clip (see `render`), and its exact
      keypoints in pixels of the clip, empty where a point lies outside of the image.
    - `depth/<id>/000000.png`, ... and `depth/<id>/joints.csv`, with `depth`: the same movement before a depth camera,
      16 bits, millimeters, and the joints of its limbs, as babyPose has them.

    Args:
        folder: made if missing; it appears whole or not at all.
        n: number of infants; this and the other arguments are those of `simulate_infants`.
        seed: seed of the cohort.
        duration: seconds of each recording.
        method: that reads the cohort, a class of `methods.registry`; None simulates infants with outcomes only.
        overwrite: replace an earlier simulated cohort in that folder.
        progress: called with the number of infants written after each; a minute of one infant takes about 50 ms.
        fault: kind of tracking fault that every recording gets, a name of `faults.FAULTS`.
        severity: of the fault, above 0 to 1; clips have none.
        film: write clips, filmed like this.
        depth: write depth images, filmed like this.
        options: further arguments of `simulate_infants`.

    Returns:
        The folder.

    Raises:
        InputError: the folder holds files and `overwrite` is not set, or it holds files that are not of a simulated
            cohort (these are never removed), or it is a file.
        ValueError: an argument is outside its range.
        OSError: the disk is full or the folder is read-only; nothing is left behind.
    """
    recordings = (simulate_infants if method is None else method.simulate)(n, seed, duration, **options)
    target = Path(folder).resolve()
    _require_free(target, overwrite)
    if fault is not None:
        require_fault(fault, severity)
    columns = method.simulated_columns if method else ()
    outcomes: list[list[Any]] = [["id", "score" if method and method.score_range else "outcome", *columns]]
    truth: list[list[Any]] = [["id", "second", "fidgety"]]
    configurations, infants = {}, set()
    with replaced_folder(target) as fresh:
        for number, (recording, outcome) in enumerate(recordings):
            if fault is not None:
                recording = spoil(recording, fault, severity, seed=seed + number)
            name, metadata = recording.name, recording.metadata
            write_atomically(fresh / f"orgcoords_{name}.csv", to_csv(recording))
            outcomes.append([name, outcome, *(metadata[column] for column in columns)])
            truth += [[name, second, value] for second, value in enumerate(metadata["fidgety"])]
            configurations[name] = metadata["simulation"]
            if film is not None:
                _write_clip(recording, film, fresh / _VIDEOS)
            if depth is not None:
                _write_depth(recording, depth, fresh / _DEPTH / name)
            infants.add(metadata.get("group", name))
            if progress is not None:
                progress(len(infants))
        write_atomically(fresh / "outcomes.csv", _table(outcomes))
        write_atomically(fresh / "truth.csv", _table(truth))
        record = {
            "statement": STATEMENT,
            "infantjax": __version__,
            "method": method.name if method else None,
            "seed": seed,
            "infants": n,
            "duration": duration,
            "fault": None if fault is None else {"kind": fault, "severity": severity},
            "film": None if film is None else asdict(film),
            "depth": None if depth is None else asdict(depth),
            "options": {k: v.to_dict() if isinstance(v, InfantConfig) else v for k, v in options.items()},
            "outcome_share": OUTCOME_SHARE,
            "configurations": configurations,
        }
        write_atomically(fresh / "simulation.json", canonical_json(record))
    return Path(folder)


def _write_clip(recording: Recording, film: RenderConfig, folder: Path) -> None:
    """Render the movement of a recording and write it with its exact keypoints."""
    clip = _filmed(recording, film)
    folder.mkdir(exist_ok=True)
    write_video(clip.frames(), clip.fps, folder / f"{recording.name}.mp4")
    write_atomically(folder / f"{recording.name}.csv", to_csv(clip.recording(name=recording.name)))


def _write_depth(recording: Recording, film: RenderConfig, folder: Path) -> None:
    """Write the movement of a recording as depth images with a table of the joints."""
    clip = _filmed(recording, film)
    folder.mkdir(parents=True)
    for index in range(len(clip)):
        stream = io.BytesIO()
        Image.fromarray(clip.depth(index)).save(stream, "PNG")
        write_atomically(folder / f"{index:06d}.png", stream.getvalue())
    write_atomically(folder / "joints.csv", to_csv(clip.recording(BABYPOSE_12, recording.name)))


def _filmed(recording: Recording, film: RenderConfig) -> Clip:
    return render(recording.metadata["seed"], InfantConfig.from_dict(recording.metadata["simulation"]), film)


def to_csv(recording: Recording) -> str:
    """A recording as CSV: `frame`, `time` (seconds), then x and y of each joint, pixels to 0.01.

    Missing points are empty.
    """
    joints = recording.skeleton.joints
    header = ",".join(["frame", "time", *(f"{joint}_{axis}" for joint in joints for axis in "xy")])
    row = "%d,%.9f" + ",%.2f" * (2 * len(joints))
    values = np.round(rearrange(recording.keypoints[:, :, :2], "time joint xy -> time (joint xy)"), 2) + 0.0
    lines = [row % (frame, frame / recording.fps, *points) for frame, points in enumerate(values.tolist())]
    return "\n".join([header, *lines, ""]).replace("nan", "")


def _table(rows: list[list[Any]]) -> str:
    text = io.StringIO()
    csv.writer(text, delimiter=";", quotechar="|", lineterminator="\n").writerows(rows)
    return text.getvalue()


def _require_free(target: Path, overwrite: bool) -> None:
    """Refuse a folder whose files must not be replaced."""
    if target.is_file():
        raise InputError(target, "is a file, a cohort needs a folder", "name another")
    present = sorted(path.relative_to(target).as_posix() for path in target.rglob("*")) if target.is_dir() else []
    foreign = [name for name in present if not (name in (*_TABLES, _VIDEOS, _DEPTH, _OPTIONS) or _is_simulated(name))]
    if foreign or (present and "simulation.json" not in present):
        found = foreign[0] if foreign else present[0]
        raise InputError(target, f'holds files that no simulation wrote, such as "{found}"', "name an empty folder")
    if present and not overwrite:
        raise InputError(target, "holds a simulated cohort already", "name an empty folder, or use --overwrite")


def _is_simulated(name: str) -> bool:
    if name.startswith(f"{_DEPTH}/sim"):
        return name.count("/") == 1 or name.endswith((".csv", ".png"))
    return name.startswith(("orgcoords_sim", f"{_VIDEOS}/sim")) and name.endswith((".csv", ".mp4"))
