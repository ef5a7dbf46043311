"""From a rendered video to a risk: what each way of finding the keypoints leaves of the risks of the exact keypoints.

    python experiments/video_to_risk.py -o runs/video_to_risk --trackers bundled:dark efficientpose-i-lite:dark

Films infants that no training saw, half of them with the outcome, finds their keypoints, and assesses them. Writes

- `video_to_risk.csv`: a row for each chain, from the exact keypoints and the videos to a risk,
- `video_to_risk_error.csv`: a row for each scale of the measured error that is added to the exact keypoints,
- `video_to_risk_infants.csv`: the risk of every infant by every chain,
- `video_to_risk.png`: risks of a chain against those of the exact keypoints, and AUC against the error.

Videos and tracks are kept in the output folder, so an interrupted run continues. Everything was made here: it shows
what a chain loses of simulated movement, and nothing about infants.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import pandas as pd
import tyro

import infantjax
from infantjax.assessment.assessor import Assessor
from infantjax.assessment.gate import QualityOptions
from infantjax.errors import InputError
from infantjax.evaluation.discrimination import auc, auc_interval
from infantjax.files import write_atomically
from infantjax.methods import registry
from infantjax.pose import Tracker
from infantjax.pose.estimation.config import PoseConfig
from infantjax.pose.estimation.estimator import load_pose_network
from infantjax.progress import Progress
from infantjax.recording import cleaning
from infantjax.recording.conversion import convert
from infantjax.recording.recording import Recording
from infantjax.recording.tracker_error import add_error, measure_error
from infantjax.simulation import Clip, InfantConfig, RenderConfig, draw_infant, render
from infantjax.skeletons import IN_MOTION_19
from infantjax.video import open_frames, write_video
from infantjax.weights import bundled

SCALES = (0.0, 0.05, 0.1, 0.2, 0.35, 0.5, 0.7, 1.0)
"""Of the measured error."""
ENDS = ("right_wrist", "left_wrist", "right_ankle", "left_ankle")
"""The joints of the fidgety movement."""
FIDGETY = (1.0, 3.0)
"""Hertz."""


@dataclass(frozen=True)
class Options:
    """What is filmed, tracked and assessed.

    Attributes:
        output: folder for videos, tracks and tables.
        infants: number of infants; those of odd numbers have the outcome.
        seconds: length of each video.
        side: height and width of the videos, pixels.
        ensemble: folder of an ensemble of `ensemble-gcn`; the bundled one if not given.
        trackers: each a pose network (`bundled`, or what `pose --weights` takes), a colon, and the rule by which
            positions are found in the maps; `+flip` also averages the maps of mirror images.
        seed: of infants and films; no training may have seen it.
    """

    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    infants: int = 60
    seconds: float = 12.0
    side: int = 224
    ensemble: Path | None = None
    trackers: tuple[str, ...] = ("bundled:dark",)
    seed: int = 20_261


class Answer(NamedTuple):
    """The answer for one infant; NaN where there is none."""

    risk: float
    positive: bool
    certain: bool


NO_ANSWER = Answer(np.nan, False, False)


def clip_of(options: Options, index: int) -> Clip:
    """One infant on film; frame rate, size in the image, blur, noise and shake differ from infant to infant."""
    rng = np.random.default_rng([options.seed, index])
    infant = InfantConfig(duration=options.seconds, fps=float(rng.choice([25.0, 30.0])))
    film = RenderConfig(
        width=options.side,
        height=options.side,
        fill=float(rng.uniform(0.75, 1.0)),
        out_of_view=0.0,
        shake=float(rng.uniform(0, 0.01)),
        clutter=float(rng.uniform(1, 8)),
        blur=float(rng.uniform(0, 1.2)),
        noise=float(rng.uniform(1, 8)),
    )
    return render((options.seed, index), draw_infant(options.seed, index, index % 2, infant), film)


def video_of(options: Options, index: int, clip: Clip) -> Path:
    """The video of a clip, written once."""
    path = options.output / f"videos-{options.seed}-{options.side}-{options.seconds:g}" / f"infant{index:04d}.mp4"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        write_video(clip.frames(), clip.fps, path)
    return path


@cache
def tracker_of(name: str) -> Tracker:
    """A tracker that follows the infant, as the commands do."""
    weights, _, decoder = name.rpartition(":")
    rule, _, flip = decoder.partition("+")
    network = load_pose_network(bundled.pose_path() if weights == "bundled" else weights)
    return Tracker(network, PoseConfig(follow=True, decoder=rule, flip=bool(flip)))


def tracked(options: Options, name: str, video: Path) -> Recording:
    """Keypoints of a video."""
    tracker, frames = tracker_of(name), open_frames(video)
    folder = options.output / "tracks" / tracker.network.digest[:12] / name.rpartition(":")[2]
    return tracker.recording(frames, tracker.track(frames, folder / video.stem))


def fidgety_error(error: Recording) -> float:
    """Root mean square of a measured error of hands and feet between 1 and 3 Hz, trunk lengths."""
    from scipy.signal import butter, sosfiltfilt

    ends = cleaning.fill_gaps(error.keypoints)[:, [IN_MOTION_19.index(name) for name in ENDS]]
    band = sosfiltfilt(butter(4, FIDGETY, "bandpass", fs=error.fps, output="sos"), np.nan_to_num(ends), axis=0)
    return float(np.sqrt((band**2).sum(-1).mean()))


def sizes(error: Recording) -> dict[str, float]:
    """Median length of a measured error, and that of fidgety movements, trunk lengths."""
    return {
        "error": float(np.nanmedian(np.linalg.norm(error.keypoints, axis=-1))),
        "fidgety_error": fidgety_error(error),
    }


def chains(options: Options, exact: Recording, video: Path) -> Iterator[tuple[str, Recording, QualityOptions]]:
    """Name, keypoints and gate of every chain."""
    plain, mended = QualityOptions(), QualityOptions(repair=True)
    yield "exact keypoints", exact, plain
    for name in options.trackers:
        found = tracked(options, name, video)
        yield name, found, plain
        yield f"{name}, repaired", found, mended
        for kind in ("median5", "butterworth"):
            smooth = found.with_step(kind, keypoints=cleaning.smooth(found.keypoints, kind))  # type: ignore[arg-type]
            yield f"{name}, {kind}, repaired", smooth, mended


def answer(assessor: Assessor, recording: Recording, gate: QualityOptions) -> Answer:
    """The answer of the ensemble."""
    try:
        found = assessor.assess(recording, options=gate)
    except InputError:
        return NO_ANSWER
    if not found.assessable:
        return NO_ANSWER
    level = found.certainty.level if found.certainty else ""
    return Answer(found.value, bool(found.positive), level not in ("yellow", "orange"))


def summary(name: str, table: pd.DataFrame, exact: pd.DataFrame) -> dict[str, object]:
    """One row: what a chain gives, beside the exact keypoints of the same infants."""
    known = table.risk.notna().to_numpy()
    rows, outcome = table[known], table.outcome[known]
    same = exact.loc[rows.index]
    row: dict[str, object] = {"chain": name, "infants": len(table), "assessable": known.mean()}
    row |= {"error": table.error.median(), "fidgety_error": table.fidgety_error.median()}
    if len(rows) and outcome.value_counts().reindex([0, 1], fill_value=0).min() >= 2:
        low, high = auc_interval(rows.risk, outcome)
        row |= {"auc": auc(rows.risk, outcome), "auc_low": low, "auc_high": high}
    row |= {
        "brier": ((rows.risk - outcome) ** 2).mean(),
        "difference": (rows.risk - same.risk).abs().median(),
        "same_class": (rows.positive == same.positive).mean(),
        "uncertain": (~rows.certain).mean(),
        "certain_and_wrong": (rows.certain & (rows.positive != (outcome == 1))).mean(),
    }
    return row


def main(options: Options) -> None:
    """Film, track, assess, write."""
    assessor = registry.assessor(infantjax.load_ensemble(options.ensemble or infantjax.DEMO))
    answers: list[dict[str, object]] = []
    curve: list[dict[str, object]] = []
    with Progress(options.infants, "from video to risk", quiet=False) as progress:
        for index in range(options.infants):
            clip = clip_of(options, index)
            exact, video = clip.recording(), video_of(options, index, clip)
            known = {"infant": index, "outcome": index % 2}
            errors: dict[str, Recording] = {}
            for name, recording, gate in chains(options, exact, video):
                errors[name] = measure_error(convert(recording, exact.skeleton), exact)
                found = answer(assessor, recording, gate)
                answers.append({"chain": name, **known, **found._asdict(), **sizes(errors[name])})
            measured = errors[options.trackers[0]]
            for scale in SCALES:
                found = answer(assessor, add_error(exact, measured, scale), QualityOptions())
                scaled = {name: scale * size for name, size in sizes(measured).items()}
                curve.append({"chain": f"{scale:g}", **known, **found._asdict(), **scaled})
            progress.update(index + 1)
    write(options, pd.DataFrame(answers), pd.DataFrame(curve))


def write(options: Options, answers: pd.DataFrame, curve: pd.DataFrame) -> None:
    """Write the tables and the picture, print the tables."""
    exact = answers[answers.chain == "exact keypoints"].set_index("infant")
    for name, table in {"video_to_risk": answers, "video_to_risk_error": curve}.items():
        groups = table.groupby("chain", sort=False)
        rows = pd.DataFrame([summary(str(chain), group.set_index("infant"), exact) for chain, group in groups])
        write_atomically(options.output / f"{name}.csv", rows.round(4).to_csv(index=False))
        print(rows.round(3).to_string(index=False))
        if name == "video_to_risk_error":
            draw(options.output / "video_to_risk.png", answers, exact, rows)
    write_atomically(options.output / "video_to_risk_infants.csv", answers.round(5).to_csv(index=False))


def draw(path: Path, answers: pd.DataFrame, exact: pd.DataFrame, curve: pd.DataFrame) -> None:
    """Risks of the first tracked chain against the exact ones; AUC against the error between 1 and 3 Hz."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    risks, line = figure.subplots(1, 2)
    chain = next(name for name in answers.chain.unique() if name != "exact keypoints")
    found = answers[answers.chain == chain].set_index("infant")
    for outcome, label in enumerate(("without the outcome", "with the outcome")):
        rows = found.index[found.outcome == outcome]
        risks.scatter(exact.risk[rows], found.risk[rows], s=16, label=label)
    risks.axline((0, 0), slope=1, color="0.7", lw=1)
    risks.set(xlabel="risk from exact keypoints", ylabel="risk from the video", xlim=(0, 1), ylim=(0, 1))
    risks.legend()
    line.plot(curve.fidgety_error, curve.auc, "o-", label="AUC")
    line.fill_between(curve.fidgety_error, curve.auc_low, curve.auc_high, alpha=0.2)
    line.plot(curve.fidgety_error, curve.assessable, "s--", label="share assessable")
    line.set(xlabel="error of hands and feet, 1 to 3 Hz (trunk lengths)", ylim=(0, 1.02))
    line.legend()
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main(tyro.cli(Options, description=__doc__))
