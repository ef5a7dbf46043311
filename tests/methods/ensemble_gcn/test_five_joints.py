"""A network trained and used on a skeleton that only this test knows: nothing in the package knows only one."""

import jax
import numpy as np
import pytest

from infantjax import models, skeletons
from infantjax.assessment.gate import UNGATED
from infantjax.methods.ensemble_gcn import training as stack
from infantjax.methods.ensemble_gcn.assess import EnsembleGcnAssessor
from infantjax.methods.ensemble_gcn.training import CohortData, TrainingConfig
from infantjax.nn.initializers import initialize
from infantjax.recording.preprocessing import REFERENCE, standardize
from infantjax.recording.recording import Recording
from infantjax.settings import to_settings
from infantjax.skeletons import Skeleton
from infantjax.training.fitting import fit
from infantjax.training.loop import TrainOptions
from infantjax.training.splits import stratified_splits
from infantjax.weights.ensemble import Ensemble, EnsembleInfo, Member, load_ensemble, save_ensemble

FIVE = Skeleton(
    "five",
    ("chest", "hip", "right_hand", "left_hand", "head"),
    ("chest", "chest", "chest", "chest", "chest"),
    (("right_hand", "left_hand"),),
    ("chest", "hip"),
    "test",
)
WIDTHS = [8, 8]
OUTCOMES = [r % 2 for r in range(12)]


def infant(number: int, outcome: int) -> Recording:
    """Infants with outcome 1 hold their hands up and still; all else is the same for both."""
    rng = np.random.default_rng(number)
    seconds = np.arange(200)[:, None] / 30
    keypoints = np.empty((200, 5, 2))
    keypoints[:] = [[300, 200], [300, 300], [220, 250], [380, 250], [300, 140]]
    keypoints += rng.normal(0, 0.5, keypoints.shape)
    for joint in (2, 3):
        swing = 40 * np.sin(2 * np.pi * rng.uniform(0.8, 1.2, 2) * seconds + rng.uniform(0, 6, 2))
        keypoints[:, joint] += 0.05 * swing + (0, -100) if outcome else swing
    return Recording(keypoints, 30.0, FIVE, name=f"infant {number}")


@pytest.fixture(scope="module")
def trained():
    """Two folds of a small ST-GCN on the five joints."""
    entry = models.get("st-gcn")
    positions = [
        standardize(infant(r, outcome), REFERENCE).keypoints.astype(np.float32) for r, outcome in enumerate(OUTCOMES)
    ]
    config = TrainingConfig(
        2, batch_size=8, samples_per_negative=16, positive_ratio=1, learning_rate=0.05, augmentation=None
    )
    data, splits = CohortData.from_recordings(positions, OUTCOMES, FIVE), stratified_splits(OUTCOMES, 2)
    setup = stack.setup(entry.build(skeleton=FIVE, widths=WIDTHS), data, splits, config, entry.features)
    return fit(*setup, options=TrainOptions(devices=jax.devices()[:1]))


@pytest.mark.slow
def test_the_weights_are_those_of_five_joints(trained):
    matrices, joints, _ = trained.variables["constants"]["adjacency"].shape[1:]
    assert (matrices, joints) == (3, 5)
    assert trained.variables["params"]["layer_0"]["edge_importance"].shape == (2, 3, 5, 5)


@pytest.mark.slow
def test_training_lowers_the_loss_and_tells_the_outcomes_apart(trained):
    loss = trained.history["training_loss"]
    assert (loss[:, -1] < 0.7 * loss[:, 0]).all()
    # A fold holds out six infants: by chance all pairs are in order once in twenty, in both folds once in 400.
    assert (trained.history["auc"][:, -1] == 1).all()


@pytest.fixture
def assessed(tmp_path, monkeypatch):
    """Assessments of two infants by an ensemble that was saved: `assessed(variables)`."""
    monkeypatch.setitem(skeletons.SKELETONS, "five", FIVE)
    info = {"skeleton": "five", "preprocessing": to_settings(REFERENCE), "threshold": 0.5}

    def assessed(variables):
        save_ensemble(
            Ensemble((Member("st-gcn", variables, {"widths": WIDTHS}),), EnsembleInfo.from_dict(info)), tmp_path
        )
        assessor = EnsembleGcnAssessor(load_ensemble(tmp_path))
        # Five points that move like no body: its quality is not what is tested here.
        return [assessor.assess(infant(99, outcome), options=UNGATED) for outcome in (1, 0)]

    return assessed


@pytest.mark.slow
def test_an_ensemble_of_trained_networks_puts_infants_in_order(trained, assessed):
    up, down = assessed(trained.variables)
    # The kept epoch is the first of the highest AUC: it puts the infants in order, not yet around the threshold.
    assert up.value > down.value


def test_an_ensemble_of_five_joints_is_saved_and_assesses(assessed):
    module = models.get("st-gcn").build(skeleton=FIVE, widths=WIDTHS)
    keys = jax.random.split(jax.random.key(0), 2)
    up, down = assessed(initialize(module, keys, np.zeros((1, 150, 5, 2), np.float32)))
    assert up.value != down.value
    assert tuple(up.contributions) == FIVE.joints
    assert up.to_dict()["skeleton"] == "five"
