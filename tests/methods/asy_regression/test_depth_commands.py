"""`infantjax train depth`, `pose depth` and `evaluate pose` on rendered infants before a depth camera."""

import json
import re

import numpy as np
import pytest
from PIL import Image

from infantjax import cli, formats
from infantjax.errors import InputError
from infantjax.methods import registry
from infantjax.pose.annotations import read_annotations
from infantjax.pose.metrics import limb_errors
from infantjax.simulation import RenderConfig, write_cohort
from infantjax.skeletons import BABYPOSE_12, COCO_17
from infantjax.weights.ensemble import load_ensemble

SMALL = ("--height", "48", "--narrow", "32", "--detection.batch-size", "8", "--regression.batch-size", "8")


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Four infants of 24 depth images each, as babyPose has them."""
    film = RenderConfig(width=64, height=48, out_of_view=0, shake=0)
    return write_cohort(tmp_path_factory.mktemp("infants") / "c", 4, 0, 4.0, fps=6.0, depth=film) / "depth"


def run(*arguments):
    return cli.run([str(argument) for argument in arguments])


def test_simulated_depth_images_are_annotated_ones(cohort):
    annotations = read_annotations(cohort)
    assert (annotations.skeleton, len(annotations), annotations.problems) == (BABYPOSE_12, 96, ())
    assert annotations.groups == tuple(f"sim{infant:04d}" for infant in range(4) for _ in range(24))
    depth = np.asarray(Image.open(annotations.paths[0]))
    assert depth.dtype == np.uint16
    x, y = annotations.points[0, BABYPOSE_12.index("right_knee")].astype(int)
    assert depth[y, x] < np.median(depth) - 20  # the knee is at least two centimeters above the floor


def test_the_rmsd_of_a_limb_is_over_its_three_joints_and_the_frames_of_a_clip():
    annotated = np.zeros((2, 3, 12, 2))
    found = annotated + np.array([3.0, 4.0])
    found[1] = annotated[1] + np.array([6.0, 8.0])
    found[:, 0, BABYPOSE_12.index("left_wrist")] = np.nan
    errors = limb_errors(found, annotated, BABYPOSE_12)
    assert list(errors) == ["right_arm", "left_arm", "right_leg", "left_leg"]
    assert errors["left_leg"] == pytest.approx((7.5, 2.5, 1.0))
    assert errors["left_arm"] == pytest.approx((7.5, 2.5, 8 / 9))
    assert len(limb_errors(*np.zeros((2, 1, 1, 17, 2)), COCO_17)) == 4


@pytest.mark.slow
def test_networks_are_trained_continued_used_and_measured(cohort, tmp_path, capsys):
    network = tmp_path / "network"
    train = ("train", "depth", cohort, "-o", network, *SMALL, "--quiet")
    epochs = ("--detection.epochs", 2, "--regression.epochs", 2)
    assert run(*train, *epochs) == 0
    first = capsys.readouterr()
    assert re.search(r"detection: best epoch \d, finished after 2 of 2 epochs", first.out)
    assert re.search(r"RMSD of left leg, pixels of 128 x 96 +\d", first.out)
    assert "RMSD on other infants" in first.out
    assert re.search(r"Dice of joints +0\.\d+\n", first.out)
    assert re.search(r"recall of joints +\d\.\d+\n", first.out)
    record = json.loads((network / "training.json").read_text())
    (ended,) = record["runs"]
    assert (record["method"], ended["trained_on"], len(ended["held_out"])) == ("asy-regression", 44, 8)
    assert set(record["metrics"]) >= {
        "RMSD of right arm, pixels of 128 x 96",
        "found of left leg",
        "recall of connections",
    }
    with pytest.raises(InputError, match="finds keypoints in depth images and assesses none; use `infantjax"):
        registry.assessor(load_ensemble(network))

    assert run("export", network, "-o", tmp_path / "a.stablehlo", "--windows", 2, "--platforms", "cpu") == 0
    assert "largest difference 0.0e+00" in capsys.readouterr().out

    index = (network / "ensemble.json").read_bytes()
    newest = max((network / "checkpoints").glob("[0-9]*"), key=lambda path: int(path.name))
    newest.rename(tmp_path / "away")
    assert run(*train, *epochs) == 0
    assert (network / "ensemble.json").read_bytes() == index
    assert run(*train, "--detection.epochs", 3, "--regression.epochs", 2) == 2
    assert "holds another training" in capsys.readouterr().err

    found = tmp_path / "found"
    given = ("pose", "depth", cohort, "-o", found, "--weights", network, "--fps", 6, "--min-confidence", 0.01)
    assert run(*given, "--overlay", "--quiet") == 0
    names = [f"sim{infant:04d}" for infant in range(4)]
    written = {f"{n}{e}" for n in names for e in (".csv", ".overlay.mp4")}
    assert {p.name for p in found.iterdir()} == written | {"pose-depth.toml"}
    recording = formats.read(found / "sim0000.csv")
    assert (recording.keypoints.shape, recording.fps, recording.skeleton) == ((24, 12, 2), 6, BABYPOSE_12)
    assert recording.confidence is not None
    capsys.readouterr()
    assert run("evaluate", "pose", found / "sim0000.csv", cohort / "sim0000", "--unit", "pixel") == 0
    assert "RMSD of right arm, image pixels" in capsys.readouterr().out


@pytest.mark.slow
def test_a_search_trains_both_networks_of_a_candidate(cohort, tmp_path, capsys):
    search = ("search", cohort, "-o", tmp_path / "s", "--method", "asy-regression", *SMALL, "--strategy", "random")
    epochs = ("--detection.epochs", 1, "--regression.epochs", 1)
    assert run(*search, *epochs, "--trials", 1, "--quiet") == 0
    capsys.readouterr()
    assert run("search", "best", "-o", tmp_path / "s", "--json") == 0
    (best,) = json.loads(capsys.readouterr().out)
    assert set(best["choices"]) == {"detection.learning_rate", "regression.learning_rate", "regression.batch_size"}
    assert -200 < best["value"] < 0  # minus pixels


@pytest.mark.slow
def test_later_frames_of_the_same_infants_test_as_published(cohort, tmp_path, capsys):
    options = (*SMALL, "--split", "time", "--model", "babypose-regression", "--quiet")
    assert run("train", "depth", cohort, "-o", tmp_path / "n", *options, "--epochs", 1) == 2
    one = ("--detection.epochs", 1, "--regression.epochs", 1)
    assert run("train", "depth", cohort, "-o", tmp_path / "n", *options, *one) == 0
    assert "RMSD on later frames of the same infants" in capsys.readouterr().out
    (ended,) = json.loads((tmp_path / "n" / "training.json").read_text())["runs"]
    assert len(ended["held_out"]) == 4 * 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("train", "depth", "{cohort}", "--height", 50), "height must be a multiple of 48, got 50"),
        (("train", "depth", "{cohort}", "--test", 0), "test must be"),
        (("train", "depth", "{cohort}", "--narrow", 0), "narrow must be within 1..32"),
        (("train", "depth", "{cohort}", "--height", 48), "44 clips do not fill a batch of 60"),
        (("train", "depth", "{cohort}/sim0000", "--height", 48), "needs at least 3 groups, found 1"),
        (
            ("train", "depth", "{cohort}", "--split", "time", "--test", 0.8),
            "have an infant with 24 images",
        ),
        (("train", "depth", "{empty}"), "holds no annotations of a known format"),
        (("pose", "depth", "{empty}", "--weights", "{empty}", "--fps", 6), "holds no depth images"),
        (
            ("pose", "depth", "{cohort}", "--weights", "{empty}", "--fps", 6),
            "holds no networks of depth images; give a",
        ),
        (("pose", "depth", "{cohort}", "--weights", "{empty}", "--fps", 0), "--fps: is 0"),
    ],
)
def test_a_wrong_call_is_one_line(cohort, tmp_path, capsys, arguments, message):
    (tmp_path / "empty").mkdir()
    words = [str(word).format(cohort=cohort, empty=tmp_path / "empty") for word in arguments]
    if "fill" in message:
        words += ["--detection.batch-size", "60"]
    assert run(*words, "-o", tmp_path / "out", "--quiet") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert re.search(message, line), line
