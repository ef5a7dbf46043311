"""RTMPose through rtmlib, with small ONNX files: a pose model that finds what is blue, and detectors of fixed boxes."""

import re

import numpy as np
import pytest

from infantjax import cli
from infantjax import formats as readers
from infantjax.errors import InputError
from infantjax.pose import PoseConfig
from infantjax.video import open_frames

onnx = pytest.importorskip("onnx")
pytest.importorskip("rtmlib")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from infantjax.pose.estimation.rtmpose import RTMPoseTracker  # noqa: E402

pytestmark = pytest.mark.peers

HEIGHT, WIDTH, SIDE = 64, 48, 160
WHOLE, CENTER = (0.0, 0.0, 150.0, 120.0), (70.0, 50.0, 90.0, 70.0)
"""Boxes of persons: nearly all of the frame, and its middle, where the blue square is not."""


def save(path, nodes, image, outputs, **constants):
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in {"image": image, **outputs}.items()]
    kept = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "test", ends[:1], ends[1:], kept)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def pose_model(path, keypoints=26):
    """Two bins a pixel, as high as the bluest pixel of the column or row."""
    nodes = [helper.make_node("Gather", ["image", "blue"], ["plane"], axis=1)]
    constants = {"blue": np.array(0)}
    for name, axis, side in (("x", 1, WIDTH), ("y", 2, HEIGHT)):
        nodes += [
            helper.make_node("ReduceMax", ["plane"], [f"{name}1"], axes=[axis], keepdims=0),
            helper.make_node("Reshape", [f"{name}1", f"{name}_in"], [f"{name}2"]),
            helper.make_node("Expand", [f"{name}2", f"{name}_twice"], [f"{name}3"]),
            helper.make_node("Reshape", [f"{name}3", f"{name}_out"], [f"{name}4"]),
            helper.make_node("Expand", [f"{name}4", f"{name}_all"], [name]),
        ]
        shapes = {"in": [1, side, 1], "twice": [1, side, 2], "out": [1, 1, 2 * side], "all": [1, keypoints, 2 * side]}
        constants |= {f"{name}_{key}": np.array(shape) for key, shape in shapes.items()}
    outputs = {"x": (1, keypoints, 2 * WIDTH), "y": (1, keypoints, 2 * HEIGHT)}
    return save(path, nodes, (1, 3, HEIGHT, WIDTH), outputs, **constants)


def detector(path, boxes):
    """YOLOX with its suppression inside: corners and a score."""
    found = np.array([[[*box, score] for box, score in boxes]], np.float32).reshape(1, -1, 5)
    nodes = [helper.make_node("Identity", ["found"], ["dets"])]
    return save(path, nodes, (1, 3, SIDE, SIDE), {"dets": found.shape}, found=found)


def raw_detector(path, box):
    """YOLOX without suppression: offsets and logarithms of sides in units of the stride of the grid, two scores."""
    found = np.full((1, 20**2 + 10**2 + 5**2, 6), -5, np.float32)
    found[..., 4:] = 0
    left, top, right, bottom = np.array(box) / 8
    found[0, 0] = (left + right) / 2, (top + bottom) / 2, np.log(right - left), np.log(bottom - top), 0.9, 0.9
    return save(
        path, [helper.make_node("Identity", ["found"], ["raw"])], (1, 3, SIDE, SIDE), {"raw": found.shape}, found=found
    )


@pytest.fixture(scope="module")
def pose(tmp_path_factory):
    return pose_model(tmp_path_factory.mktemp("rtmpose") / "pose.onnx")


@pytest.mark.parametrize("raw", [False, True], ids=["with suppression", "without"])
def test_every_frame_has_the_points_in_the_box_of_the_person(pose, raw, tmp_path, videos):
    made = raw_detector(tmp_path / "d.onnx", WHOLE) if raw else detector(tmp_path / "d.onnx", [(WHOLE, 0.9)])
    frames = open_frames(videos.write(tmp_path / "a.mp4", frames=10))
    tracker = RTMPoseTracker(pose, made, PoseConfig(resizing="fast"))
    recording = tracker.recording(frames, tracker.track(frames))
    assert recording.skeleton.name == "halpe-26"
    x, y = np.moveaxis(recording.keypoints, -1, 0)
    left = 10 + 2 * np.arange(10)[:, None]
    # A bin of the pose model is about four pixels here.
    assert ((x > left - 5) & (x < left + 21) & (y > 35) & (y < 61)).all()
    assert "rtmpose-m by rtmlib" in recording.history[0]


def test_of_several_persons_one_is_chosen_and_without_one_there_are_no_points(pose, tmp_path, videos):
    frames = open_frames(videos.write(tmp_path / "a.mp4", frames=2))
    both = detector(tmp_path / "both.onnx", [(WHOLE, 0.9), (CENTER, 0.8)])
    central = RTMPoseTracker(pose, both, PoseConfig(person="central")).track(frames)
    largest = RTMPoseTracker(pose, both).track(frames)
    assert (central.positions[..., 0] > 60).all()
    assert (largest.positions[..., 0] < 35).all()
    nobody = RTMPoseTracker(pose, detector(tmp_path / "none.onnx", [(WHOLE, 0.1)])).track(frames)
    assert np.isnan(nobody.positions).all()
    assert not nobody.confidence.any()


def test_the_command_writes_halpe_26_and_fetches_nothing(pose, tmp_path, clip, capsys):
    models = {"--pose-model": pose, "--detector-model": detector(tmp_path / "d.onnx", [(WHOLE, 0.9)])}

    def run(*others, **changed):
        given = [str(text) for pair in (models | changed).items() for text in pair]
        options = ["--tracker", "rtmpose-m", *given, "-o", str(tmp_path / "a.csv"), *others]
        return cli.run(["pose", str(clip), *options]), capsys.readouterr().err

    status, err = run()
    assert status == 0, err
    assert readers.read(tmp_path / "a.csv").keypoints.shape == (30, 26, 2)
    for changed, others, message in (
        ({"--pose-model": tmp_path / "absent.onnx"}, (), r"absent.onnx: is not a file; .*nothing is fetched"),
        ({"--detector-model": pose}, (), "is no detector that rtmlib reads"),
        ({"--pose-model": clip}, (), "is no ONNX model"),
        ({}, ("--flip",), "flip is not for rtmpose-m"),
    ):
        status, err = run("--overwrite", *others, **changed)
        assert status == 2
        (line,) = err.splitlines()
        assert re.search(message, line), line
    assert cli.run(["pose", str(clip), "--tracker", "rtmpose-m", "-o", str(tmp_path / "b.csv")]) == 2
    assert "give --pose-model and --detector-model" in capsys.readouterr().err


def test_a_model_with_other_keypoints_is_refused(tmp_path):
    made = detector(tmp_path / "d.onnx", [(WHOLE, 0.9)])
    with pytest.raises(InputError, match="has 5 keypoints; known are 17, 26, 133, 136"):
        RTMPoseTracker(pose_model(tmp_path / "p.onnx", 5), made)
