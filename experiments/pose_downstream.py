"""Does a risk need a precise pose network? The same clips assessed with the keypoints of several pose weights.

    python experiments/pose_downstream.py -o runs --videos clips --ensemble trained --weights efficientpose-rt net
    python experiments/pose_downstream.py -o runs --simulate 6 --weights efficientpose-rt efficientpose-i

The thesis of Groos proposes it for EfficientPose RT, I and III (discussion, localization performance) and gives no
numbers: less precise networks may err in ways of their own, which noise does not show (`open_questions.py --questions
noise`). Risks are compared with those of the last weights, or, with `--simulate`, of the exact keypoints of rendered
infants; then the result says nothing about real ones. `--smoothing median5` filters over time, as proposed there. An
interrupted run continues.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from support import csv_text, keyed, markdown, run

import infantjax as ij
from infantjax.assessment.assessment import Assessment
from infantjax.assessment.gate import QualityOptions
from infantjax.errors import InputError
from infantjax.files import safe_stem, write_atomically
from infantjax.methods import registry
from infantjax.pose import PoseConfig, Tracker, load_pose_network, metrics
from infantjax.recording import cleaning
from infantjax.recording.recording import Recording
from infantjax.simulation import InfantConfig, RenderConfig, draw_infant, render
from infantjax.skeletons import IN_MOTION_19
from infantjax.video import find_sources, open_frames, write_video

EXACT = "exact keypoints"
"""The reference where the clips are rendered."""


@dataclass(frozen=True)
class Options:
    """What is compared.

    Attributes:
        output: folder of the table of all risks, and of rendered clips.
        weights: pose weights: names of `infantjax weights list`, files, or folders of trainings; the most precise last.
        videos: clips of infants.
        simulate: render so many clips instead.
        seconds: of a rendered clip.
        ensemble: folder of an ensemble, or `demo`, which is trained on simulated movement.
        smoothing: filter of the keypoints over time.
        quality: leave out what is tracked badly; without it every window counts, as published.
    """

    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    weights: tuple[str, ...]
    videos: tuple[Path, ...] = ()
    simulate: int = 0
    seconds: float = 30.0
    ensemble: str = ij.DEMO
    smoothing: cleaning.Filter | None = None
    quality: bool = True


def main(options: Options) -> None:
    """Find the keypoints, assess, compare."""
    if bool(options.simulate) == bool(options.videos):
        raise InputError("--videos", "or --simulate is needed, not both", "give one of them")
    exact = rendered(options) if options.simulate else []
    videos = [options.output / "clips" / f"{r.name}.mp4" for r in exact] or find_sources(options.videos)
    recordings = {weights: keypoints(weights, videos, options) for weights in options.weights}
    errors = {weights: mean_error(of, exact) for weights, of in recordings.items()} if exact else {}
    if exact:
        recordings[EXACT] = exact
    assessor = registry.assessor(ij.load_ensemble(options.ensemble))
    gate = QualityOptions(quality=options.quality)
    found = {name: assessor.assess_many(of, [""] * len(of), gate) for name, of in recordings.items()}
    risks = {name: [value(each) for each in of] for name, of in found.items()}
    options.output.mkdir(parents=True, exist_ok=True)
    stems = (video.stem for video in videos)
    write_atomically(options.output / "risks.csv", csv_text(["clip", *risks], zip(stems, *risks.values())))
    print(f"{len(videos)} clips{', rendered, not of infants' if exact else ''}; ensemble {options.ensemble}.\n")
    print(table(found, errors))
    for name, of in found.items():
        reasons = [(video.stem, reason(each)) for video, each in zip(videos, of) if reason(each)]
        if reasons:
            print(f"{name}: {len(reasons)} not assessed, the first is {reasons[0][0]}: {reasons[0][1]}")


def rendered(options: Options) -> list[Recording]:
    """Exact keypoints of rendered clips, which are written once."""
    recordings = []
    for infant in range(options.simulate):
        base = InfantConfig(duration=options.seconds)
        clip = render((1, infant), draw_infant(1, infant, infant % 2, base), RenderConfig(out_of_view=0.0))
        path = keyed(options.output / "clips", options.seconds) / f"clip{infant:03d}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            write_video(clip.frames(), clip.fps, path)
        recordings.append(clip.recording(name=path.stem))
    return recordings


def keypoints(weights: str, videos: list[Path], options: Options) -> list[Recording]:
    """Keypoints of all clips by one network."""
    tracker = Tracker(load_pose_network(weights), PoseConfig(smoothing=options.smoothing))
    recordings = []
    for video in videos:
        frames, parts = open_frames(video), options.output / "parts" / safe_stem(weights) / video.stem
        recordings.append(tracker.recording(frames, tracker.track(frames, parts)))
    return recordings


def mean_error(found: list[Recording], exact: list[Recording]) -> float:
    """Mean error of the keypoints that both have, in head lengths."""
    means = []
    for of, true in zip(found, exact):
        shared = [joint for joint in of.skeleton.joints if joint in true.skeleton.joints]
        own, rows = ([r.skeleton.index(joint) for joint in shared] for r in (of, true))
        frames = min(of.frames, true.frames)
        length = metrics.body_length(true.keypoints[:frames], IN_MOTION_19, "head")
        distances = metrics.errors(of.keypoints[:frames, own], true.keypoints[:frames, rows], length)
        means.append(metrics.mean_error(distances).mean)
    return float(np.mean(means))


def value(found: Assessment | Exception) -> float:
    """The risk; NaN where the clip is not assessable."""
    return found.value if isinstance(found, Assessment) and found.has_value else math.nan


def reason(found: Assessment | Exception) -> str:
    """Why a clip has no risk; empty where it has one."""
    if isinstance(found, Exception):
        return str(found)
    return "" if found.has_value else "; ".join(found.reasons)


def table(found: Mapping[str, list[Assessment | Exception]], errors: Mapping[str, float]) -> str:
    """Differences of the risks from those of the last keypoints.

    Args:
        found: assessments of the same clips, by the weights that found their keypoints.
        errors: mean error of the keypoints in head lengths, where it is known.
    """
    reference = list(found)[-1]
    rows = []
    for name, of in found.items():
        pairs = [
            (a, b)
            for a, b in zip(of, found[reference])
            if isinstance(a, Assessment) and isinstance(b, Assessment) and a.has_value and b.has_value
        ]
        difference = np.abs([a.value - b.value for a, b in pairs])
        numbers = (f"{difference.mean():.3f}", f"{difference.max():.3f}") if pairs else ("-", "-")
        same = sum(a.positive == b.positive for a, b in pairs)
        certain = sum(a.certainty == b.certainty for a, b in pairs)
        error = f"{errors[name]:.3f}" if name in errors else "-"
        rows.append((name, error, str(len(pairs)), *numbers, str(same), str(certain)))
    head = (
        "keypoints by",
        "ME, head lengths",
        "assessed",
        "mean difference",
        "largest",
        "same class",
        "same certainty",
    )
    return markdown(f"Risks against those with {reference}", head, rows)


if __name__ == "__main__":
    raise SystemExit(run(lambda: main(tyro.cli(Options, description=__doc__))))
