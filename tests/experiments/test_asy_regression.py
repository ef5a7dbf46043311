"""Table II of Asy-regression: both networks, trained on rendered infants, beside the published rows."""

from dataclasses import replace

import asy_regression as experiment
import numpy as np
import pytest

from infantjax.methods.asy_regression.images import DepthFrames
from infantjax.methods.asy_regression.method import AsyRegression
from infantjax.methods.asy_regression.network import Joints
from infantjax.methods.asy_regression.training import DETECTION, REGRESSION
from infantjax.pose.annotations import Annotations, read_annotations
from infantjax.simulation import RenderConfig, write_cohort
from infantjax.skeletons import BABYPOSE_12
from infantjax.training.loop import TrainOptions

JOINTS = len(BABYPOSE_12.joints)


class Shifted:
    """Finds the joints of a clip some pixels to the right; those of the right arm never."""

    skeleton, height, width = BABYPOSE_12, 48, 64

    def __init__(self, points):
        self.points = points

    def find(self, frames):
        positions = self.points[None, :3] + np.array([2.0, 0.0])
        right = [
            joint.startswith("right") and joint.endswith(("shoulder", "elbow", "wrist")) for joint in BABYPOSE_12.joints
        ]
        positions[..., right, :] = np.nan
        return Joints(positions, np.ones((1, 3, JOINTS)))


def test_the_distance_of_a_clip_is_in_pixels_of_the_published_size():
    points = np.tile(np.random.default_rng(0).uniform(5, 40, (JOINTS, 2)).astype(np.float32), (6, 1, 1))
    names = tuple(map(str, range(6)))
    read = DepthFrames(np.zeros((6, 48, 64), np.float32), points, Annotations(names, points, BABYPOSE_12), {"a": 6})
    errors = experiment.of_clips(Shifted(points), read, (0, 3))
    assert experiment.LIMBS[0] == "right_arm"
    assert np.isnan(errors[:, 0]).all()
    np.testing.assert_allclose(errors[:, 1:], 4, atol=1e-4)


def test_the_figure_has_a_box_for_each_limb_and_network():
    errors = {name: np.ones((3, 4)) for name in experiment.TABLE_2}
    figure = experiment.figure_4(errors)
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == list(errors)
    assert len(figure.axes[0].patches) == 8


@pytest.mark.slow
def test_both_networks_are_printed_beside_the_published_rows(tmp_path, capsys):
    film = RenderConfig(width=320, height=240, out_of_view=0.0)
    depth = write_cohort(tmp_path / "cohort", 2, 1, 20 / 6, fps=6.0, depth=film) / "depth"
    annotations, networks = read_annotations(depth, BABYPOSE_12).with_images(), []
    small = {"epochs": 1, "batch_size": 4, "evaluation_batch": 2}
    for model in experiment.TABLE_2:
        training = AsyRegression(
            model=model,
            split="time",
            height=48,
            narrow=32,
            detection=replace(DETECTION, **small),
            regression=replace(REGRESSION, **small),
        )
        training.train(annotations, tmp_path / model, TrainOptions(loggers=()))
        networks.append(tmp_path / model)
    experiment.main(experiment.Options(depth, tuple(networks), tmp_path))
    printed = capsys.readouterr().out
    assert "| asy-regression, published | 16.90 (2.71) | 16.59 (2.43) |" in printed
    assert "| asy-regression, ours |" in printed
    assert (tmp_path / "figure_4.png").is_file()
