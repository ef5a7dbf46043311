"""SLEAP analysis files, written as SLEAP does."""

import json

import h5py
import numpy as np
import pytest

from infantjax import formats as readers
from infantjax.errors import InputError
from infantjax.skeletons import COCO_17

FRAMES = 9


def write(path, tracks=1, nodes=COCO_17.joints, dims=None, drop=()):
    rng = np.random.default_rng(2)
    points = rng.normal(200, 50, (tracks, 2, len(nodes), FRAMES))
    for track in range(1, tracks):
        points[track, ..., :: track + 1] = np.nan
    scores = rng.random((tracks, len(nodes), FRAMES))
    axes = ("track", "xy", "node", "frame")
    order = [axes.index(a) for a in dims or axes]
    with h5py.File(path, "w") as file:
        file["tracks"] = points.transpose(order)
        file["track_occupancy"] = (~np.isnan(points).all(axis=(1, 2))).T.astype(np.uint8)
        file["node_names"] = np.array([n.encode() for n in nodes])
        file["track_names"] = np.array([f"track_{i}".encode() for i in range(tracks)])
        file["point_scores"] = scores
        if dims:
            file["tracks"].attrs["dims"] = json.dumps(list(dims))
        for name in drop:
            del file[name]
    return points, scores


@pytest.mark.parametrize("dims", [None, ("frame", "track", "node", "xy")])
def test_points_come_out_as_time_joint_axis_in_any_order_of_axes(dims, tmp_path):
    points, scores = write(tmp_path / "a.h5", dims=dims)
    recording = readers.read(tmp_path / "a.h5", fps=25)
    assert recording.skeleton is COCO_17
    np.testing.assert_array_equal(recording.keypoints, points[0].transpose(2, 1, 0))
    np.testing.assert_array_equal(recording.confidence, scores[0].T)


@pytest.mark.peers
@pytest.mark.filterwarnings("ignore")  # of movement and what it imports
def test_the_result_is_that_of_movement(tmp_path):
    load_poses = pytest.importorskip("movement.io.load_poses", reason='pip install "infantjax[peers]"')
    write(tmp_path / "a.h5")
    theirs = load_poses.from_sleap_file(tmp_path / "a.h5", fps=25)
    ours = readers.read(tmp_path / "a.h5", fps=25)
    # movement keeps SLEAP's points in single precision.
    single = ours.keypoints.astype(np.float32)
    np.testing.assert_array_equal(single, theirs.position.squeeze().values.transpose(0, 2, 1))


def test_of_several_tracks_the_most_complete_is_taken_and_noted(tmp_path):
    points, _ = write(tmp_path / "a.h5", tracks=3)
    recording = readers.read(tmp_path / "a.h5", fps=25)
    np.testing.assert_array_equal(recording.keypoints, points[0].transpose(2, 1, 0))
    assert recording.notes == (
        'of 3 tracks the most complete, "track_0", was taken; --individual, of assess or convert, chooses another',
    )


def test_a_track_can_be_chosen_by_name(tmp_path):
    points, _ = write(tmp_path / "a.h5", tracks=3)
    recording = readers.read(tmp_path / "a.h5", fps=25, individual="track_2")
    np.testing.assert_array_equal(recording.keypoints, points[2].transpose(2, 1, 0))
    with pytest.raises(InputError, match=r'has no track "track_9" \(track_0, track_1, track_2\)'):
        readers.read(tmp_path / "a.h5", fps=25, individual="track_9")


def test_a_file_without_scores_and_track_names_is_read(tmp_path):
    write(tmp_path / "a.h5", drop=("point_scores", "track_names"))
    assert readers.read(tmp_path / "a.h5", fps=25).confidence is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.move("tracks", "old") or f.create_dataset("tracks", data=np.zeros((1, 2, 3))), "have 3 axes"),
        (lambda f: f["tracks"].attrs.update(dims='["a"]'), "the axes of tracks are named"),
        (lambda f: f["tracks"].attrs.update(dims="]["), "the axes of tracks are named"),
        (lambda f: f.move("node_names", "old") or f.update({"node_names": np.zeros(17)}), "holds values of type"),
        (
            lambda f: f.move("node_names", "old") or f.update({"node_names": [b"nose"]}),
            "expected .tracks, 2, 1, frames",
        ),
        (lambda f: f.move("point_scores", "o") or f.update({"point_scores": np.zeros((1, 1, 1))}), "point_scores have"),
    ],
)
def test_parts_that_do_not_fit_together_are_refused(change, message, tmp_path):
    write(tmp_path / "a.h5")
    with h5py.File(tmp_path / "a.h5", "a") as file:
        change(file)
    with pytest.raises(InputError, match=message):
        readers.read(tmp_path / "a.h5", fps=25)


@pytest.mark.parametrize("kind", ["soft", "external", "virtual", "raw"])
def test_values_in_another_file_are_not_followed(kind, tmp_path):
    write(tmp_path / "a.h5")
    write(tmp_path / "secret.h5")
    with h5py.File(tmp_path / "a.h5", "a") as file:
        shape = file["tracks"].shape
        del file["tracks"]
        if kind == "soft":
            file["tracks"] = h5py.SoftLink("/point_scores")
        elif kind == "external":
            file["tracks"] = h5py.ExternalLink("secret.h5", "/tracks")
        elif kind == "virtual":
            layout = h5py.VirtualLayout(shape, dtype=float)
            layout[:] = h5py.VirtualSource(tmp_path / "secret.h5", "tracks", shape)
            file.create_virtual_dataset("tracks", layout)
        else:
            size = int(np.prod(shape)) * 8
            file.create_dataset("tracks", shape, dtype=float, external=[(str(tmp_path / "secret.h5"), 0, size)])
    with pytest.raises(InputError, match=r"another file, which is not followed|without keypoints of a known format"):
        readers.read(tmp_path / "a.h5", fps=25)


def test_a_project_of_sleap_names_the_library(tmp_path):
    with h5py.File(tmp_path / "a.slp", "w") as file:
        file.create_group("metadata")
        file["instances"] = np.zeros(3)
        file["points"] = np.zeros(3)
    with pytest.raises(InputError, match=r"export it in SLEAP as Analysis HDF5.*pip install sleap-io"):
        readers.read(tmp_path / "a.slp", fps=25)
