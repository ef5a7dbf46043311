"""What training in bfloat16 does to the AUC: a cross-validation over simulated infants in each precision, same seed.

    python -m benchmarks.training_precision

The risk of an infant is that of the network that was not trained on it, at its best epoch. Not validated on infants. A
CPU rounds to bfloat16 as an accelerator does, but may add up in another order.
"""

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import tyro

from benchmarks import common
from benchmarks.cohort import simulated
from infantjax import cache, models
from infantjax.evaluation.discrimination import auc, auc_interval
from infantjax.methods.ensemble_gcn.training import CohortData, TrainingConfig, train
from infantjax.settings import Precision
from infantjax.training.splits import stratified_splits


@dataclass(frozen=True)
class Options:
    """What is trained."""

    network: str = "kbest-gcn-5"
    """Registry name."""
    infants: int = 40
    """Simulated, 40 % of them positive."""
    duration: float = 15.0
    """Seconds of each recording."""
    folds: int = 2
    """Of the cross-validation."""
    epochs: int = 8
    """Of every run."""
    batch_size: int = 16
    """Windows of a step."""
    learning_rate: float = 0.02
    """Forty times the published one, for so few epochs."""
    seeds: tuple[int, ...] = (1,)
    """Of the trainings."""
    write: bool = True
    """Keep the result in benchmarks/results."""


def main(options: Options) -> None:
    """Train, and print the table."""
    where = common.environment()
    data, _ = simulated(options.infants, options.duration)
    rows = []
    for seed in options.seeds:
        expected = _risks(options, data, seed, "float32")
        rows.append(_row("float32", seed, expected, expected, data.labels))
        print(json.dumps(rows[-1]), flush=True)
        rows.append(_row("bfloat16", seed, _risks(options, data, seed, "bfloat16"), expected, data.labels))
        print(json.dumps(rows[-1]), flush=True)
    shapes = {name: value for name, value in vars(options).items() if name not in ("seeds", "write")}
    print(common.write("training_precision", rows, shapes, where) if options.write else common.table(rows))


def _risks(options: Options, data: CohortData, seed: int, precision: Precision) -> np.ndarray:
    """Out-of-fold risks `[infant]`."""
    config = TrainingConfig(
        epochs=options.epochs,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        samples_per_negative=4,
        positive_ratio=2,
        precision=precision,
        seed=seed,
    )
    splits = stratified_splits(np.asarray(data.labels).tolist(), options.folds)
    entry = models.get(options.network)
    result = train(entry.build(), data, splits, config, features=entry.features)
    risks = np.full(options.infants, np.nan)
    for split, found in zip(splits, result.validation_outputs(splits), strict=True):
        risks[list(split.validation)] = found
    return risks


def _row(precision: Precision, seed: int, risks: np.ndarray, expected: np.ndarray, labels: Any) -> dict[str, Any]:
    labels = np.asarray(labels)
    low, high = auc_interval(risks, labels)
    return {
        "precision": precision,
        "seed": seed,
        "auc": auc(risks, labels),
        "auc_low": low,
        "auc_high": high,
        "largest_risk_difference": float(np.abs(risks - expected).max()),
    }


if __name__ == "__main__":
    cache.shorten_compilation()
    cache.keep_freed_memory()
    main(tyro.cli(Options, description=__doc__))
