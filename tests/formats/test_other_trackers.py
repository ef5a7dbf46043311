"""Files of Sports2D, Pose2Sim, Sapiens and ultralytics, as those tools write them."""

import json

import numpy as np
import pytest

from infantjax import formats
from infantjax.errors import InputError
from infantjax.skeletons import SKELETONS

HALPE_OF_SPORTS2D = [
    *("Hip", "RHip", "RKnee", "RAnkle", "RBigToe", "RSmallToe", "RHeel", "LHip", "LKnee", "LAnkle", "LBigToe"),
    *("LSmallToe", "LHeel", "Neck", "Head", "Nose", "RShoulder", "RElbow", "RWrist", "LShoulder", "LElbow", "LWrist"),
]
POINTS = np.random.default_rng(0).uniform(10, 400, (6, 22, 2)).round(2)


def write_trc(path, points, y=1.0, names=HALPE_OF_SPORTS2D):
    """As `make_trc_with_trc_data` of Sports2D writes it: the unit is always m."""
    count = len(names)
    lines = [
        f"PathFileType\t4\t(X/Y/Z)\t{path}",
        "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\tOrigNumFrames",
        f"25\t25\t{len(points)}\t{count}\tm\t25\t0\t{len(points)}",
        "Frame#\tTime\t" + "\t\t\t".join(names) + "\t\t\t",
        "\t\t" + "\t".join(f"X{i + 1}\tY{i + 1}\tZ{i + 1}" for i in range(count)),
    ]
    for frame, row in enumerate(points):
        cells = [f"{x}\t{y * v}\t0.0" if np.isfinite(x) else "\t\t" for x, v in row]
        lines.append("\t".join([str(frame), str(frame / 25), *cells]))
    path.write_text("\n".join(lines) + "\n")
    return path


def test_markers_of_sports2d_in_pixels(tmp_path):
    points = POINTS.copy()
    points[2, 3] = np.nan
    recording = formats.read(write_trc(tmp_path / "clip_Sports2D_px_person00.trc", points))
    assert (recording.skeleton.name, recording.fps, recording.keypoints.shape) == ("halpe-26", 25, (6, 26, 2))
    joints = [recording.skeleton.index(joint) for joint in ("hip_center", "right_ankle", "left_wrist")]
    np.testing.assert_allclose(recording.keypoints[:, joints], points[:, [0, 3, 21]])
    assert not any("downwards" in note for note in recording.notes)


def test_markers_in_meters_have_y_downwards(tmp_path):
    recording = formats.read(write_trc(tmp_path / "clip_Sports2D_m_person00.trc", POINTS / 100, y=-1.0))
    np.testing.assert_allclose(recording.keypoints[:, recording.skeleton.index("nose")], POINTS[:, 15] / 100)
    assert "y points up in the file and was turned downwards" in recording.notes


def test_damaged_markers_are_told_with_their_line(tmp_path):
    path = write_trc(tmp_path / "a_px.trc", POINTS)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:7], lines[7][:40], *lines[8:]]))
    with pytest.raises(InputError, match=r"a_px\.trc: line 8 has \d+ cells, not 68"):
        formats.read(path)
    path.write_text("\n".join(lines[:4]))
    with pytest.raises(InputError, match="has no header"):
        formats.read(path)
    path.write_text("\n".join(lines).replace("0.0", "zero"))
    with pytest.raises(InputError, match='"zero" is not a number'):
        formats.read(path)


@pytest.mark.parametrize("name", ["halpe-26", "coco-17", "coco-wholebody-133"])
def test_frames_that_pose2sim_and_sports2d_write_by_rtmlib(tmp_path, name):
    joints = len(SKELETONS[name].joints)
    rng = np.random.default_rng(1)
    frames = rng.uniform(1, 300, (4, joints, 3))
    frames[..., 2] = 0.5
    for number, values in enumerate(frames):
        person = {"person_id": [-1], "pose_keypoints_2d": values.ravel().tolist(), "face_keypoints_2d": []}
        (tmp_path / f"clip_{number:06d}.json").write_text(json.dumps({"version": 1.3, "people": [person]}))
    recording = formats.read(tmp_path, fps=30)
    assert recording.skeleton.name == name
    np.testing.assert_allclose(recording.keypoints, frames[..., :2])


def test_frames_of_sapiens(tmp_path):
    frames = np.random.default_rng(2).uniform(1, 300, (4, 17, 2))
    for number, values in enumerate(frames):
        infant = {"keypoints": values.tolist(), "keypoint_scores": [0.9] * 17}
        far = {"keypoints": (values / 10).tolist(), "keypoint_scores": [0.9] * 17}
        (tmp_path / f"{number:06d}.json").write_text(json.dumps({"instance_info": [far, infant]}, indent="\t"))
    recording = formats.read(tmp_path, fps=30)
    assert recording.skeleton.name == "coco-17"
    np.testing.assert_allclose(recording.keypoints, frames)
    np.testing.assert_allclose(recording.confidence, 0.9)
    assert any("several persons" in note for note in recording.notes)


def detection(points, **others):
    x, y = points.T.tolist()
    box = {"x1": min(x), "y1": min(y), "x2": max(x), "y2": max(y)}
    seen = {"visible": [0.8] * len(x)} | others
    return {"name": "person", "class": 0, "confidence": 0.9, "box": box, "keypoints": {"x": x, "y": y, **seen}}


def test_results_of_ultralytics(tmp_path):
    frames = np.random.default_rng(3).uniform(1, 300, (5, 17, 2))
    path = tmp_path / "clip.json"
    document = [[detection(points)] for points in frames]
    document[3] = []
    document[4][0]["keypoints"]["x"][6] = document[4][0]["keypoints"]["y"][6] = 0.0  # how it writes a missing point
    path.write_text(json.dumps(document))
    recording = formats.read(path, fps=30)
    assert recording.skeleton.name == "coco-17"
    np.testing.assert_allclose(recording.keypoints[:3], frames[:3])
    assert np.isnan(recording.keypoints[3]).all()
    assert np.isnan(recording.keypoints[4, 6]).all()
    document[1] = [detection(frames[1, :16])]
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match="frame 1 holds 16 points a person, another frame 17"):
        formats.read(path, fps=30)
    document[1] = [{"name": "person"}]
    path.write_text(json.dumps(document))
    with pytest.raises(InputError, match="frame 1: a detection has no keypoints"):
        formats.read(path, fps=30)
