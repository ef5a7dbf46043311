"""The bundled demonstration ensemble: two small published architectures x 7 folds, on simulated infants.

    python experiments/demonstration_ensemble.py -o infantjax/weights/bundled_data

writes the files of the package: the ensemble, the recording of `infantjax demo`, and the AUC on held-out simulated
infants with its interval, which is part of the ensemble's statement. Networks and training are the published ones
(Groos et al., Paper III) but for the options: fewer samples and epochs and a larger step, so that two CPU cores need
about an hour instead of days, and weights rounded to float16. The threshold is that of the out-of-fold risks. The AUC
is that of simulated movement patterns. It says nothing about infants.
"""

import dataclasses
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import numpy as np
import tyro
from method_runs import exit_status, train_runs

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
from infantjax.simulation import InfantConfig, simulate, simulate_cohort, to_csv
from infantjax.training.cohorts.out_of_fold import HeldOut, calibrate, threshold_of
from infantjax.weights.ensemble import Ensemble, EnsembleInfo, Member, save_ensemble

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
        training: differs from the published training.
    """

    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    models: tuple[str, ...] = ("kbest-gcn-2", "kbest-gcn-5")
    infants: int = 84
    held_out: int = 80
    duration: float = 60.0
    prevalence: float = 0.35
    seed: int = 1
    training: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(
            epochs=5, batch_size=16, learning_rate=0.01, samples_per_negative=6, positive_ratio=2
        )
    )


def main(options: Options) -> None:
    """Simulate, train, evaluate on held-out infants, calibrate, save."""
    options.output.mkdir(parents=True, exist_ok=True)
    demo = simulate((options.seed + 2, 0), InfantConfig(fidgety=0.6))
    write_atomically(options.output / "demo_infant.csv", to_csv(demo))
    cohort = simulated(options.infants, options.seed, options)
    training = dataclasses.replace(options.training, seed=options.seed)
    members: list[Member] = []
    records = []
    for name in options.models:
        method = EnsembleGCN(model=name, overrides={"lean": True}, training=training)
        result = train_runs(method, cohort).result
        members += method.members(result)
        aucs = result.best_score.tolist()
        print(f"{name}: validation AUC {np.round(aucs, 3).tolist()}", file=sys.stderr)
        records.append({"model": name, "validation_auc": aucs, "best_epoch": result.best_epoch.tolist()})
    given = {k: v for k, v in dataclasses.asdict(options).items() if k != "output"}
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
    calibrated(Ensemble(ensemble.members, info), options)
    print(info.statement)


def calibrated(ensemble: Ensemble, options: Options) -> None:
    """Save an ensemble with the risk of every training infant by the networks that did not train on it."""
    cohort = simulated(options.infants, options.seed, options)
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
