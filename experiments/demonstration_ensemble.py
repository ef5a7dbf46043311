"""The bundled demonstration ensemble: two small published architectures x 7 folds, on simulated infants.

    python experiments/demonstration_ensemble.py -o infantjax/weights/bundled_data

reproduces the files that come with the package: the ensemble, the recording of `infantjax demo`, and the AUC on
held-out simulated infants with its interval, which is written into the ensemble's statement. The networks and the
training are the published ones (Groos et al., Paper III) but for what `Demonstration` names: fewer samples and epochs
and a larger step, so that two CPU cores need about an hour instead of days, and weights rounded to float16 so that
they stay small. The figures say how well networks tell simulated movement patterns apart. They say nothing of infants.
"""

import dataclasses
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import jax
import numpy as np
import tyro

from infantjax import models
from infantjax.evaluation.discrimination import auc, auc_interval
from infantjax.files import write_atomically
from infantjax.methods.ensemble_gcn.assess import EnsembleGcnAssessor
from infantjax.methods.ensemble_gcn.training import CohortData, TrainingConfig, train
from infantjax.recording.preprocessing import REFERENCE, standardize
from infantjax.simulation import InfantConfig, simulate, simulate_cohort, to_csv
from infantjax.skeletons import IN_MOTION_19
from infantjax.training.splits import stratified_splits
from infantjax.weights.ensemble import Ensemble, Member, save_ensemble

CAVEAT = (
    "Demonstration only: these weights were trained on simulated movement and never validated on infants. "
    "The risk means nothing for a real infant."
)


@dataclass(frozen=True)
class Demonstration:
    """Everything that the result depends on.

    Attributes:
        output: folder for the files.
        models: architectures.
        infants: simulated infants for training; every fold holds out a seventh.
        held_out: simulated infants for the final figure, of another seed.
        duration: seconds of each training recording.
        prevalence: share of infants with absent fidgety movements.
        seed: of the training cohort; the held-out cohort has the next.
        threshold: decision threshold.
        training: what differs from the published training.
    """

    output: Annotated[Path, tyro.conf.arg(aliases=["-o"])]
    models: tuple[str, ...] = ("kbest-gcn-2", "kbest-gcn-5")
    infants: int = 84
    held_out: int = 80
    duration: float = 60.0
    prevalence: float = 0.35
    seed: int = 1
    threshold: float = 0.5
    training: TrainingConfig = field(
        default_factory=lambda: TrainingConfig(
            epochs=5, batch_size=16, learning_rate=0.01, samples_per_negative=6, positive_ratio=2
        )
    )


def main(options: Demonstration) -> None:
    """Simulate, train, evaluate on held-out infants, save."""
    options.output.mkdir(parents=True, exist_ok=True)
    write_atomically(
        options.output / "demo_infant.csv", to_csv(simulate((options.seed + 2, 0), InfantConfig(fidgety=0.6)))
    )

    cohort = simulate_cohort(options.infants, options.seed, options.duration, prevalence=options.prevalence)
    positions = [standardize(recording, REFERENCE).keypoints.astype(np.float32) for recording, _ in cohort]
    outcomes = [outcome for _, outcome in cohort]
    data = CohortData.from_recordings(positions, outcomes, IN_MOTION_19)
    folds = stratified_splits(outcomes, 7, seed=options.seed)

    members, records = [], []
    for name in options.models:
        began = time.perf_counter()
        entry = models.get(name)
        module = entry.build(lean=True)
        result = train(module, data, folds, options.training, names=entry.features, quiet=False)
        seconds = time.perf_counter() - began
        print(f"{name}: {seconds:.0f} s, validation AUC {np.round(result.best_auc, 3).tolist()}", file=sys.stderr)
        members.append(Member(name, jax.tree.map(np.asarray, result.variables), {"lean": True}))
        records.append(
            {"model": name, "validation_auc": result.best_auc.tolist(), "best_epoch": result.best_epoch.tolist()}
        )

    info: dict[str, Any] = {
        "skeleton": IN_MOTION_19.name,
        "preprocessing": REFERENCE.to_dict(),
        "threshold": options.threshold,
        "validated": False,
        "statement": CAVEAT,
        "training": {
            "script": "experiments/demonstration_ensemble.py",
            "options": {k: v for k, v in _plain(dataclasses.asdict(options)).items() if k != "output"},
            "members": records,
        },
    }
    # Rounded first: the figure below is of the weights that are stored.
    ensemble = save_ensemble(Ensemble(tuple(members), info), options.output / "ensemble", precision="float16")
    info["statement"] = f"{CAVEAT} {held_out_statement(ensemble, options)}"
    save_ensemble(Ensemble(ensemble.members, info), options.output / "ensemble", precision="float16")
    print(info["statement"])


def held_out_statement(ensemble: Ensemble, options: Demonstration) -> str:
    """AUC on simulated infants that no instance was trained or chosen on, in a sentence."""
    assessor = EnsembleGcnAssessor(ensemble)
    cohort = simulate_cohort(options.held_out, options.seed + 1, options.duration, prevalence=options.prevalence)
    risks = np.array([assessor.assess(recording).value for recording, _ in cohort])
    outcomes = np.array([outcome for _, outcome in cohort])
    interval = auc_interval(risks, outcomes, method="delong")
    return (
        f"On {len(cohort)} held-out simulated infants ({outcomes.sum()} without fidgety movements) its AUC is "
        f"{auc(risks, outcomes):.3f} (95 % interval by DeLong {interval.low:.3f} to {interval.high:.3f})."
    )


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return str(value) if isinstance(value, Path) else value


if __name__ == "__main__":
    main(tyro.cli(Demonstration, description=__doc__))
