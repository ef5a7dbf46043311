r"""What the quality gate does with tracking faults: a table of fault, severity and half of the recordings.

    python experiments/tracking_faults.py --infants 16 --clean 200 --seconds 20 \
        --recordings MINI-RGBD/pz10*.csv --fps 25 -o benchmarks/results

Simulated infants of all kinds, and real ones where `--recordings` names keypoint files, are spoiled by every fault of
`faults.py` and assessed by the bundled ensemble. Recordings of even numbers are the half
`chosen`, those of odd numbers the half `shown`. While the thresholds of `QualityLimits` were set, both halves of the
simulated infants 0 to 5 and of the MINI-RGBD recordings were looked at; the simulated infants 6 to 15 were not. Writes
`tracking_faults.csv` with, for each row, the shares of recordings that are

- not assessable,
- answered, but not as certain (yellow or orange; `doubted` of them by the quality alone),
- answered as certain with the decision of the clean recording,
- answered as certain with the other decision, which must not happen.

It says nothing about infants: simulated faults of simulated movement.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import pandas as pd
import tyro
from faults import FAULTS, spoil

import infantjax
from infantjax.assessment.assessment import Assessment
from infantjax.errors import InputError
from infantjax.methods.ensemble_gcn.assess import EnsembleGcnAssessor
from infantjax.recording.quality import Moments, Quality, measure_quality
from infantjax.recording.recording import Recording
from infantjax.simulation import InfantConfig, draw_infant, simulate

SEVERITIES = (0.1, 0.3, 1.0)
Answer = Literal["not_assessable", "doubted", "uncertain", "same", "changed"]
COLUMNS: tuple[Answer, ...] = ("not_assessable", "doubted", "uncertain", "same", "changed")
CONSTANT = ("exchanged_throughout", "mirrored", "reversed_time")
"""Faults without degrees."""


@dataclass(frozen=True)
class Options:
    """What is spoiled and assessed.

    Attributes:
        output: folder of the table; None prints only.
        infants: simulated infants that are spoiled.
        clean: simulated infants that are only measured.
        seconds: longest duration of a spoiled recording.
        recordings: keypoint files of real infants, spoiled too.
        fps: frame rate of these files where they state none.
        faults: only these.
        seed: of infants and faults.
    """

    output: Annotated[Path | None, tyro.conf.arg(aliases=["-o"])] = None
    infants: int = 40
    clean: int = 200
    seconds: float = 40.0
    recordings: tuple[Path, ...] = ()
    fps: float | None = None
    faults: tuple[str, ...] = tuple(FAULTS)
    seed: int = 77


def infant(seed: int, index: int) -> Recording:
    """A simulated infant of any kind: outcome, body, movement, camera, detector, frame rate and duration all vary."""
    rng = np.random.default_rng([seed, index])

    def one_of(*values: float) -> float:
        return float(rng.choice(values))

    base = InfantConfig(
        duration=float(rng.uniform(25, 120)),
        fps=one_of(25, 29.97, 30, 50, 60),
        noise=one_of(0.3, 0.7, 0.7, 1.5, 2.5),
        noise_seconds=one_of(0.03, 0.1, 0.1, 0.5),
        dropout_rate=one_of(0, 0.5, 0.5, 2),
        dropout_seconds=one_of(0.1, 0.2, 0.5),
        camera_jitter=one_of(0, 0.5, 0.5, 1.5),
        camera_drift=one_of(0, 0, 0, 10),
        camera_roll=one_of(0, 0, 0, 3),
        camera_tilt=float(rng.uniform(-10, 10)),
        camera_rotation=one_of(0, 0, 90, 180, rng.uniform(-180, 180)),
        camera_height=one_of(80, 110, 110, 160),
        length=float(rng.uniform(52, 68)),
        activity=one_of(0.5, 1, 1, 2),
        restlessness=one_of(0.7, 1.4, 1.4, 2.2),
        monotony=one_of(0, 0, 0.8),
        coupling=one_of(0, 0, 0.6),
        confidence=bool(index % 3),
    )
    return simulate((seed, index), draw_infant(seed, index, index // 2 % 2, base), name=f"sim{index:04d}")


def cropped(recording: Recording, seconds: float) -> Recording:
    """The beginning of a recording."""
    frames = round(seconds * recording.fps)
    confidence = None if recording.confidence is None else recording.confidence[:frames]
    return replace(recording, keypoints=recording.keypoints[:frames], confidence=confidence)


class Gate:
    """The bundled ensemble behind the gate."""

    def __init__(self) -> None:
        ensemble = infantjax.load_ensemble(infantjax.DEMO)
        self.assessor = EnsembleGcnAssessor(ensemble)
        self.reference = Moments.from_dict(ensemble.info.moments or {})

    def quality(self, recording: Recording) -> Quality:
        """The quality that the gate sees."""
        return measure_quality(recording, reference=self.reference)

    def assess(self, recording: Recording) -> Assessment | None:
        """The answer; None where there is none."""
        try:
            assessment = self.assessor.assess(recording)
        except InputError:
            return None
        return assessment if assessment.assessable else None

    def answer(self, spoiled: Recording, clean: Assessment) -> Answer:
        """What the gate makes of a spoiled recording. The networks run only where the quality leaves it open."""
        quality = self.quality(spoiled)
        if not quality.assessable:
            return "not_assessable"
        if quality.doubts:
            return "doubted"
        found = self.assess(spoiled)
        if found is None:
            return "not_assessable"
        if found.certainty is None or found.certainty.level in ("yellow", "orange"):
            return "uncertain"
        return "same" if found.positive == clean.positive else "changed"


def cases(options: Options) -> Iterator[tuple[str, float]]:
    """Every fault with its severities."""
    for fault in options.faults:
        for severity in SEVERITIES[-1:] if fault in CONSTANT else SEVERITIES:
            yield fault, severity


def main(options: Options) -> int:
    """Measure clean recordings, spoil, assess, print and write the table; 1 where a certain answer changed."""
    gate, found = Gate(), list[tuple[str, float, str, Answer]]()
    for index in range(options.clean):
        quality = gate.quality(infant(options.seed, index))
        answer: Answer = "not_assessable" if not quality.assessable else "doubted" if quality.doubts else "same"
        found.append(("clean", 0.0, half(index), answer))
        if not quality.assessable:
            print(f"clean infant {index} is not assessable: {', '.join(quality.reasons)}", file=sys.stderr)
    named = [(f"sim{i}", infant(options.seed, i)) for i in range(options.infants)]
    named += [(path.stem, infantjax.read(path, fps=options.fps)) for path in options.recordings]
    for index, (name, whole) in enumerate(named):
        recording = cropped(whole, options.seconds)
        clean = gate.assessor.assess(recording)
        if not clean.assessable:
            print(f"{name}: clean, but not assessable: {', '.join(clean.reasons)}", file=sys.stderr)
            continue
        for fault, severity in cases(options):
            answer = gate.answer(spoil(recording, fault, severity, seed=index), clean)
            found.append((fault, severity, half(index), answer))
            if answer == "changed":
                print(f"{name}: {fault} at severity {severity:g} gives the other decision as certain", file=sys.stderr)
        print(f"{name} done", file=sys.stderr)
        write(as_table(found), options.output)
    table = as_table(found)
    write(table, options.output)
    print(table.to_string(index=False))
    return int((table["changed"] > 0).any())


def half(index: int) -> str:
    """The half of the recordings that a number belongs to."""
    return "shown" if index % 2 else "chosen"


def as_table(found: list[tuple[str, float, str, Answer]]) -> pd.DataFrame:
    """Shares of the answers by fault, severity and half."""
    keys = ["fault", "severity", "half"]
    answers = pd.DataFrame(found, columns=[*keys, "answer"])
    shares = pd.crosstab([answers[key] for key in keys], answers["answer"], normalize="index")
    shares = shares.reindex(columns=list(COLUMNS), fill_value=0.0).round(4)
    shares.insert(0, "recordings", answers.groupby(keys).size())
    return shares.reset_index()


def write(table: pd.DataFrame, folder: Path | None) -> None:
    """Write the table where a folder is given."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        table.to_csv(folder / "tracking_faults.csv", index=False, lineterminator="\n")


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Options, description=__doc__)))
