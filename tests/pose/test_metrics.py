"""Measures of keypoints on cases that are worked out by hand, and the published worked example of ICC."""

import json

import numpy as np
import pytest

from infantjax import cli
from infantjax.pose import metrics
from infantjax.skeletons import BABYPOSE_12, IN_MOTION_19, MPII_16, Skeleton

TWO = Skeleton("two", ("a", "b"), ("a", "a"))


def test_errors_are_distances_in_units_of_the_body():
    annotated = np.zeros((2, 2, 2))
    found = np.array([[[3, 4], [0, 1]], [[6, 8], [0, 0]]], float)
    error = metrics.errors(found, annotated, np.array([5.0, 10.0]))
    np.testing.assert_allclose(error, [[1, 0.2], [1, 0]])


def test_a_share_is_the_mean_over_images_and_then_over_keypoints():
    error = np.array([[0.1, 0.9], [0.4, 0.05], [0.6, np.nan]])
    share = metrics.pck(error, 0.5)
    np.testing.assert_allclose(share.keypoints, [2 / 3, 1 / 2])
    assert share.mean == pytest.approx(7 / 12)


def test_what_is_not_annotated_is_left_out_or_counts_as_correct():
    error = np.array([[0.9, np.nan], [0.1, np.nan]])
    share = metrics.pck(error, 0.5)
    assert np.isnan(share.keypoints[1])
    assert share.mean == 0.5
    assert metrics.pck(error, 0.5, "correct").mean == 0.75


def test_what_was_not_found_is_wrong_and_has_no_error():
    annotated, found = np.zeros((2, 1, 2)), np.array([[[np.nan, np.nan]], [[0, 1]]], float)
    error = metrics.errors(found, annotated, np.ones(2))
    assert metrics.pck(error, 1e9).mean == 0.5
    assert metrics.mean_error(error).mean == 1


def test_the_units_of_length():
    points = np.full((1, 19, 2), np.nan)
    for joint, at in {"head_top": (0, 0), "upper_neck": (0, 8), "nose": (0, 4)}.items():
        points[0, IN_MOTION_19.index(joint)] = at
    for side, x in (("right", -2), ("left", 2)):
        points[0, IN_MOTION_19.index(f"{side}_shoulder")] = x, 10
        points[0, IN_MOTION_19.index(f"{side}_hip")] = x, 30
    heads = np.array([[0.0, 0, 30, 40]])
    found = {unit: float(metrics.body_length(points, IN_MOTION_19, unit, heads)[0]) for unit in metrics.UNITS}
    assert found == {"head": 8, "mpii_head": 6, "head_box": 30, "nose_to_neck": 8, "trunk": 20, "pixel": 1}
    with pytest.raises(ValueError, match="no boxes of heads"):
        metrics.body_length(points, IN_MOTION_19, "head_box")
    with pytest.raises(ValueError, match="head_top"):
        metrics.body_length(np.zeros((1, 12, 2)), BABYPOSE_12, "head")
    with pytest.raises(ValueError, match="unknown unit"):
        metrics.body_length(points, IN_MOTION_19, "foot")


def test_rmsd_of_a_right_triangle():
    found = np.array([[[3, 4], [np.nan, np.nan]], [[3, 4], [0, 0]]], float)
    np.testing.assert_allclose(metrics.rmsd(found, np.zeros((2, 2, 2))), [5, np.sqrt(12.5)])


# --- the command -----------------------------------------------------------------------------------------------------


def labelme(path, **points):
    shapes = [{"label": label, "points": [list(at)], "shape_type": "point"} for label, at in points.items()]
    path.write_text(json.dumps({"shapes": shapes, "imageHeight": 100, "imageWidth": 200}))


def keypoint_table(path, *frames):
    """A wide table of points in MPII_16, by joint; the others are missing."""
    header = [f"{joint}_{axis}" for joint in MPII_16.joints for axis in "xy"]
    rows = [[str(v) for joint in MPII_16.joints for v in points.get(joint, ("", ""))] for points in frames]
    lines = [["frame", *header], *([str(i), *row] for i, row in enumerate(rows))]
    path.write_text("".join(f"{','.join(line)}\n" for line in lines))
    return str(path)


@pytest.mark.parametrize("found_by", ["reference", pytest.param("public weights", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    ("name", "file", "published"),
    [
        ("RT", "EfficientPoseRT.h5", (35.9, 59.0, 92.3, 0.218)),
        ("I_LITE", "EfficientPoseI_LITE.h5", (48.7, 82.1, 100.0, 0.124)),
    ],
)
def test_the_figures_of_the_infant_images_are_those_of_the_reference(
    name, file, published, found_by, shared, tmp_path, capsys
):
    """Keypoints of the reference, or of the public weights, compared with the annotations by the commands."""
    images, target = shared / "data" / "infant_images", tmp_path / "found.csv"
    if found_by == "reference":
        keypoints = json.loads((shared / "golden" / "pose" / "infant_images_keypoints.json").read_text("utf-8"))
        keypoint_table(target, *(networks[name] for networks in keypoints["images"].values()))
    else:
        options = ("--fps", "1", "--min-confidence", "0", "--quiet", "-o", str(target))
        assert cli.run(["pose", str(images), "--weights", str(shared / "data" / "pose" / file), *options]) == 0
    capsys.readouterr()
    at = ("--at", "0.1", "0.2", "0.5")
    assert cli.run(["evaluate", "pose", str(target), str(images), "--unit", "trunk", *at, "--json"]) == 0
    figures = json.loads(capsys.readouterr().out)
    # One gray level of difference in an image may move a maximum; of 39 points each is 2.6 %.
    for name, expected in zip(("PCK@0.1", "PCK@0.2", "PCK@0.5"), published):
        assert 100 * figures[name]["mean"] == pytest.approx(expected, abs=2.7), name
    assert figures["ME"]["mean"] == pytest.approx(published[3], abs=0.003)


def test_the_spread_among_annotators_is_that_of_their_distances():
    # Two annotators 6 and 8 apart in x and y; the second keypoint has one annotation only.
    first = np.array([[[0, 0], [1, 1]], [[0, 0], [np.nan, np.nan]]], float)
    second = np.array([[[6, 8], [np.nan, np.nan]], [[0, 0], [np.nan, np.nan]]], float)
    spread = metrics.annotator_spread(np.stack([first, second]), np.array([1.0, 1.0]))
    assert spread.number.tolist() == [4, 0]
    assert spread.mean[0] == 2.5
    assert spread.p95[0] == 5
    assert spread.rmsd[0] == pytest.approx(np.sqrt(50))
    assert spread.deviation[0] == pytest.approx(np.std([0, 10], ddof=1))
    assert np.isnan([spread.mean[1], spread.p95[1], spread.rmsd[1]]).all()
    halved = metrics.annotator_spread(np.stack([first, second]), np.array([2.0, np.nan]))
    assert (halved.mean[0], halved.number[0]) == (2.5, 2)
    with pytest.raises(ValueError, match="at least two annotators"):
        metrics.annotator_spread(first[None], np.ones(2))


@pytest.fixture
def found_and_annotated(tmp_path) -> tuple[str, str]:
    """Two images with three annotated points, of which the wrist is found half a head off."""
    folder = tmp_path / "annotations"
    folder.mkdir()
    for name in ("1", "2"):
        labelme(folder / f"{name}.json", Head=(10, 10), upper_neck=(10, 30), Wrist_R=(50, 50))
    found = {"head_top": (10, 10), "upper_neck": (10, 30), "right_wrist": (60, 50)}
    return keypoint_table(tmp_path / "found.csv", found, found), str(folder)


def test_the_command_measures_how_far_annotators_differ(found_and_annotated, tmp_path, capsys):
    table, folder = found_and_annotated
    other = tmp_path / "other"
    other.mkdir()
    for name in ("1", "2"):
        labelme(other / f"{name}.json", Head=(10, 10), upper_neck=(10, 30), Wrist_R=(50, 46))
    assert cli.run(["evaluate", "pose", table, folder, "--annotators", str(other), "--unit", "pixel", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["spread"]["right_wrist"], found["rmsd"]["right_wrist"], found["SD"]["right_wrist"]) == (2, 4, 0)
    assert found["PCK@human"]["right_wrist"] == 0
    assert found["PCK@human"]["head_top"] == 1
    # Mean errors 0, 0, 10 beside spreads 0, 0, 2: mean squares of 24 between points, 32 / 3 within annotators and rest.
    assert found["ICC(A,1)"]["value"] == pytest.approx(5 / 13) == found["ICC(C,1)"]["value"]
    (other / "2.json").rename(other / "3.json")
    assert cli.run(["evaluate", "pose", table, folder, "--annotators", str(other)]) == 2
    assert "annotates other images" in capsys.readouterr().err


def test_the_command_draws_the_correct_keypoints_over_the_threshold(found_and_annotated, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    assert cli.run(["evaluate", "pose", *found_and_annotated, "--plots", str(tmp_path / "plots")]) == 0
    assert "right_wrist" in (tmp_path / "plots" / "pck.svg").read_text("utf-8")
    assert "pck.svg" in capsys.readouterr().err


def test_the_command_prints_a_table(found_and_annotated, capsys):
    status = cli.run(["evaluate", "pose", *found_and_annotated])
    lines = capsys.readouterr().out.splitlines()
    assert status == 0
    assert lines[0].startswith("2 images, unit: head top to upper neck")
    assert lines[-1].split() == ["mean", "100.0", "66.7", "66.7", "0.167"]


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ((), "ANNOTATIONS"),
        (("{folder}",), "has 2 images"),
        (("{one}", "--unit", "trunk"), "choose another"),
    ],
)
def test_what_the_command_cannot_compare_gives_one_line(options, what, tmp_path, capsys):
    folder, one = tmp_path / "a", tmp_path / "b"
    folder.mkdir()
    one.mkdir()
    labelme(folder / "1.json", Head=(1, 2))
    for name in ("1", "2"):
        labelme(one / f"{name}.json", Head=(1, 2))
    table = keypoint_table(tmp_path / "found.csv", *(dict.fromkeys(MPII_16.joints, (v, v)) for v in (1, 2)))
    given = [str(o).format(folder=folder, one=one) for o in options]
    assert cli.run(["evaluate", "pose", table, *given]) == 2
    error = capsys.readouterr().err
    assert what in error
    assert error.count("\n") == 1
