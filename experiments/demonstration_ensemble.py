r"""The bundled demonstration ensemble: two small published architectures x 7 folds, on simulated infants.

    python experiments/demonstration_ensemble.py -o runs/demo

`demonstration_ensemble.toml` has the settings of its two trainings. The first one reads keypoints as the simulator
gives them. The second goes on with other infants, whose keypoints also come with the measured errors of the bundled
pose network: it films and tracks infants where the folder `errors` of the output holds none. Each writes the files of
the package: the ensemble, the recording of `infantjax demo`, and the AUC on held-out simulated infants with its
interval, which is part of the ensemble's statement. Networks and training are the published ones (Groos et al., Paper
III) but for the settings: fewer samples and epochs and a larger step, so that two CPU cores need about an hour instead
of days, and weights rounded to float16. The threshold is that of the out-of-fold risks. The AUC is that of simulated
movement patterns. It says nothing about infants.
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
from infantjax.cli.config_file import read_toml
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
from infantjax.settings import from_settings
from infantjax.simulation import InfantConfig, simulate, simulate_cohort, to_csv
from infantjax.training.cohorts.fine_tuning import Start
from infantjax.training.cohorts.out_of_fold import HeldOut, calibrate, threshold_of
from infantjax.training.loop import TrainOptions
from infantjax.weights.ensemble import Ensemble, EnsembleInfo, Member, load_ensemble, save_ensemble

TRAININGS = Path(__file__).with_suffix(".toml")
CAVEAT = (
    "Demonstration only: these weights were trained on simulated movement and never validated on infants. "
    "The risk means nothing for a real infant."
)


@dataclass(frozen=True)
class Options:
    """Everything that one training depends on.

    Attributes:
        models: architectures.
        infants: simulated infants for training.
        held_out: simulated infants for the final AUC, of another seed.
        duration: seconds of each training recording.
        prevalence: fraction of infants with absent fidgety movements.
        seed: of the training cohort; the held-out cohort has the next.
        start: name of the training whose ensemble this one starts from; none if empty.
        errors: also train on the recordings with measured errors of the bundled pose network.
        filmed: infants that are filmed and tracked to measure these.
        training: differs from the published training.
    """

    models: tuple[str, ...] = ("kbest-gcn-2", "kbest-gcn-5")
    infants: int = 84
    held_out: int = 80
    duration: float = 60.0
    prevalence: float = 0.35
    seed: int = 1
    start: str = ""
    errors: bool = False
    filmed: int = 16
    training: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(
            epochs=5, batch_size=16, learning_rate=0.01, samples_per_negative=6, positive_ratio=2
        )
    )


def main(
    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])],
    config: Path = TRAININGS,
) -> None:
    """Make each ensemble of a file, one after the other.

    Args:
        output: folder for the files, a folder for each training.
        config: file with the settings of each training by its name.
    """
    for name, values in read_toml(config).items():
        make(output, name, from_settings(Options, values, f"{name}."))


def make(output: Path, name: str, options: Options) -> None:
    """Simulate, train, evaluate on held-out infants, calibrate, save."""
    folder = output / name
    folder.mkdir(parents=True, exist_ok=True)
    demo = simulate((3, 0), InfantConfig(fidgety=0.6))
    write_atomically(folder / "demo_infant.csv", to_csv(demo))
    cohort = training_cohort(output / "errors", options)
    training = dataclasses.replace(options.training, seed=options.seed)
    start = Start(load_ensemble(output / options.start / "ensemble")) if options.start else None
    members: list[Member] = []
    records = []
    for model in options.models:
        method = EnsembleGCN(model=model, overrides={"lean": True}, training=training)
        found = method.crossval(cohort, folder / "training" / model, TrainOptions(quiet=False), start=start)
        members += found.members
        records.append({"model": model, "metrics": found.info.training["metrics"]})
    given = dataclasses.asdict(options)
    given["start"] = None if start is None else start.ensemble.info.training["options"]
    info = EnsembleInfo(
        method=EnsembleGCN.name,
        skeleton=method.skeleton,
        preprocessing=REFERENCE,
        threshold=0.5,
        statement=CAVEAT,
        training={"script": "experiments/demonstration_ensemble.py", "options": given, "members": records},
    )
    # Saved first, because the AUC is that of the rounded weights.
    ensemble = save_ensemble(Ensemble(tuple(members), info), folder / "ensemble", precision="float16")
    info = dataclasses.replace(info, statement=f"{CAVEAT} {held_out_statement(ensemble, options)}")
    calibrated(Ensemble(ensemble.members, info), cohort, options, folder / "ensemble")
    print(info.statement)


def training_cohort(folder: Path, options: Options) -> Cohort:
    """Simulated infants, with copies that have the errors of a tracker, which are kept in a folder."""
    cohort = simulated(options.infants, options.seed, options)
    if not options.errors:
        return cohort
    if not list(folder.glob("*.npz")):
        measure_errors(folder, options.filmed)
    errors = [formats.read(path) for path in sorted(folder.glob("*.npz"))]
    return with_tracker_error(cohort, errors, options.seed)


def measure_errors(folder: Path, infants: int) -> None:
    """Film and track other infants, and write the errors of the bundled pose network."""
    film = FilmOptions(output=folder / "filmed", seed=31)
    for index in range(infants):
        clip = clip_of(film, index)
        exact = clip.recording(name=f"error{index:04d}")
        found: Recording = tracked(film, "bundled:dark", video_of(film, index, clip))
        formats.write(measure_error(found, exact), folder / f"{exact.name}.npz")


def calibrated(ensemble: Ensemble, cohort: Cohort, options: Options, folder: Path) -> None:
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
    save_ensemble(Ensemble(ensemble.members, info), folder, precision="float16")


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
    sys.exit(exit_status(lambda: tyro.cli(main, description=__doc__)))
