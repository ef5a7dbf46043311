r"""The bundled demonstration ensemble: two small published architectures x 7 folds, on simulated infants.

    python experiments/demonstration_ensemble.py -o runs/exact
    python experiments/demonstration_ensemble.py -o runs/demo --start runs/exact/ensemble --errors runs/errors \
        --seed 11 --training.epochs 3 --training.samples-per-negative 3

The first command trains on keypoints as the simulator gives them. The second goes on with other infants, whose
keypoints also come with the measured errors of the bundled pose network: it films and tracks infants where the folder
`errors` holds none. Both write the files of the package: the ensemble, the recording of `infantjax demo`, and the AUC
on held-out simulated infants with its interval, which is part of the ensemble's statement. Networks and training are
the published ones (Groos et al., Paper III) but for the options: fewer samples and epochs and a larger step, so that
two CPU cores need about an hour instead of days, and weights rounded to float16. The threshold is that of the
out-of-fold risks. The AUC is that of simulated movement patterns. It says nothing about infants.
"""

import dataclasses
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from method_runs import exit_status
from video_to_risk import Options as FilmOptions
from video_to_risk import clip_of, tracked, video_of

from infantjax import formats
from infantjax.assessment import aggregation
from infantjax.assessment.gate import UNGATED
from infantjax.evaluation.discrimination import auc, auc_interval
from infantjax.files import write_atomically
from infantjax.methods.ensemble_gcn.assess import EnsembleGcnAssessor
from infantjax.methods.ensemble_gcn.config import TrainingConfig
from infantjax.methods.ensemble_gcn.method import EnsembleGCN
from infantjax.recording.cohort import Cohort
from infantjax.recording.preprocessing import REFERENCE
from infantjax.recording.quality import moments
from infantjax.recording.recording import Recording
from infantjax.recording.tracker_error import measure_error, with_tracker_error
from infantjax.simulation import InfantConfig, simulate, simulate_cohort, to_csv
from infantjax.training.cohorts.fine_tuning import Start
from infantjax.training.cohorts.out_of_fold import HeldOut, calibrate, threshold_of
from infantjax.training.loop import TrainOptions
from infantjax.weights.ensemble import Ensemble, EnsembleInfo, Member, load_ensemble, save_ensemble

CAVEAT = (
    "Demonstration only: these weights were trained on simulated movement and never validated on infants. "
    "The risk means nothing for a real infant."
)


@dataclass(frozen=True)
class Options:
    """Everything that the result depends on.

    Attributes:
        output: folder for the files.
        models: architectures.
        infants: simulated infants for training.
        held_out: simulated infants for the final AUC, of another seed.
        duration: seconds of each training recording.
        prevalence: fraction of infants with absent fidgety movements.
        seed: of the training cohort; the held-out cohort has the next.
        start: ensemble of other infants to start from.
        errors: folder of measured errors of a tracker; the networks also train on the recordings with them.
        filmed: infants that are filmed and tracked where that folder holds no errors.
        training: differs from the published training.
    """

    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    models: tuple[str, ...] = ("kbest-gcn-2", "kbest-gcn-5")
    infants: int = 84
    held_out: int = 80
    duration: float = 60.0
    prevalence: float = 0.35
    seed: int = 1
    start: Path | None = None
    errors: Path | None = None
    filmed: int = 16
    training: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(
            epochs=5, batch_size=16, learning_rate=0.01, samples_per_negative=6, positive_ratio=2
        )
    )


def main(options: Options) -> None:
    """Simulate, train, evaluate on held-out infants, calibrate, save."""
    options.output.mkdir(parents=True, exist_ok=True)
    demo = simulate((3, 0), InfantConfig(fidgety=0.6))
    write_atomically(options.output / "demo_infant.csv", to_csv(demo))
    cohort = training_cohort(options)
    training = dataclasses.replace(options.training, seed=options.seed)
    start = None if options.start is None else Start(load_ensemble(options.start))
    members: list[Member] = []
    records = []
    for name in options.models:
        method = EnsembleGCN(model=name, overrides={"lean": True}, training=training)
        found = method.crossval(cohort, options.output / "training" / name, TrainOptions(quiet=False), start=start)
        members += found.members
        records.append({"model": name, "metrics": found.info.training["metrics"]})
    given = {k: v for k, v in dataclasses.asdict(options).items() if k not in ("output", "start", "errors")}
    given |= {"start": None if start is None else start.ensemble.info.training["options"]}
    given |= {"errors": options.errors is not None}
    info = EnsembleInfo(
        method=EnsembleGCN.name,
        skeleton=method.skeleton,
        preprocessing=REFERENCE,
        threshold=0.5,
        statement=CAVEAT,
        training={"script": "experiments/demonstration_ensemble.py", "options": given, "members": records},
    )
    # Saved first, because the AUC is that of the rounded weights.
    ensemble = save_ensemble(Ensemble(tuple(members), info), options.output / "ensemble", precision="float16")
    info = dataclasses.replace(info, statement=f"{CAVEAT} {held_out_statement(ensemble, options)}")
    calibrated(Ensemble(ensemble.members, info), cohort, options)
    print(info.statement)


def training_cohort(options: Options) -> Cohort:
    """Simulated infants, with copies that have the errors of a tracker."""
    cohort = simulated(options.infants, options.seed, options)
    if options.errors is None:
        return cohort
    if not list(options.errors.glob("*.npz")):
        measure_errors(options.errors, options.filmed)
    errors = [formats.read(path) for path in sorted(options.errors.glob("*.npz"))]
    return with_tracker_error(cohort, errors, options.seed)


def measure_errors(folder: Path, infants: int) -> None:
    """Film and track other infants, and write the errors of the bundled pose network."""
    film = FilmOptions(output=folder / "filmed", seed=31)
    for index in range(infants):
        clip = clip_of(film, index)
        exact = clip.recording(name=f"error{index:04d}")
        found: Recording = tracked(film, "bundled:dark", video_of(film, index, clip))
        formats.write(measure_error(found, exact), folder / f"{exact.name}.npz")


def calibrated(ensemble: Ensemble, cohort: Cohort, options: Options) -> None:
    """Save an ensemble with the risk of every training infant by the networks that did not train on it."""
    training = dataclasses.replace(options.training, seed=options.seed)
    splits = EnsembleGCN(model=options.models[0], training=training).splits(cohort)
    fold_of = {row: fold for fold, split in enumerate(splits) for row in split.validation}
    assessor, held_out = EnsembleGcnAssessor(ensemble), []
    for row, recording in enumerate(cohort.recordings):
        by_network = aggregation.network_risks(assessor.window_risks(recording))
        risks = by_network.reshape(len(options.models), len(splits))[:, fold_of[row]]
        held_out.append(HeldOut(row, fold_of[row], float(np.median(risks))))
    found = calibrate(cohort, held_out, range(len(splits)), optimistic=True, subjects="simulated infants")
    assert found is not None
    trained = moments(cohort.recordings).to_dict()
    threshold = round(threshold_of(cohort, held_out), 3)
    info = dataclasses.replace(ensemble.info, calibration=found.to_dict(), moments=trained, threshold=threshold)
    save_ensemble(Ensemble(ensemble.members, info), options.output / "ensemble", precision="float16")


def held_out_statement(ensemble: Ensemble, options: Options) -> str:
    """AUC on simulated infants that took no part in the training, in a sentence."""
    assessor = EnsembleGcnAssessor(ensemble)
    cohort = simulated(options.held_out, options.seed + 1, options)
    risks = np.array([assessor.assess(recording, options=UNGATED).value for recording in cohort.recordings])
    interval = auc_interval(risks, cohort.outcomes, method="delong")
    return (
        f"On {len(cohort)} held-out simulated infants ({sum(cohort.outcomes):g} without fidgety movements) its AUC is "
        f"{auc(risks, cohort.outcomes):.3f} (95 % interval by DeLong {interval.low:.3f} to {interval.high:.3f})."
    )


def simulated(number: int, seed: int, options: Options) -> Cohort:
    """A cohort of simulated infants."""
    pairs = simulate_cohort(number, seed, options.duration, prevalence=options.prevalence)
    return Cohort(tuple(recording for recording, _ in pairs), tuple(outcome for _, outcome in pairs))


if __name__ == "__main__":
    sys.exit(exit_status(lambda: main(tyro.cli(Options, description=__doc__))))
