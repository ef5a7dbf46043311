"""`infantjax choose-frames`: what annotators get, and that `train pose` reads what they give back."""

import json

import numpy as np
import pytest

from infantjax.pose.annotations import read_annotations
from infantjax.skeletons import IN_MOTION_19
from infantjax.video import read_frames
from infantjax.video.images import read_image


def test_labelme_files_beside_images_are_read_once_annotated(run, videos, tmp_path):
    clips = [videos.write(tmp_path / f"{name}.mp4", frames=20) for name in ("anna", "ben")]
    outcome = run("choose-frames", *clips, "-o", tmp_path / "chosen", "--frames", 3, "--quiet")
    assert (outcome.status, outcome.out) == (0, [str(tmp_path / "chosen")]), outcome.err
    images = sorted((tmp_path / "chosen").glob("*.png"))
    assert [path.stem[:-7] for path in images] == ["anna"] * 3 + ["ben"] * 3
    (frame,) = read_frames(clips[0], [int(images[0].stem[-6:])]).frames
    np.testing.assert_array_equal(read_image(images[0]), frame.pixels())
    assert (tmp_path / "chosen" / "labels.txt").read_text().split() == list(IN_MOTION_19.joints)
    for image in images:
        sheet = image.with_suffix(".json")
        content = json.loads(sheet.read_text())
        content["shapes"] = [{"label": "left_wrist", "points": [[5, 7]], "shape_type": "point"}]
        sheet.write_text(json.dumps(content))
    found = read_annotations(tmp_path / "chosen", "in-motion-19")
    assert found.groups == ("anna",) * 3 + ("ben",) * 3
    assert (found.points[:, IN_MOTION_19.index("left_wrist")] == (5, 7)).all()
    assert all(path.is_file() for path in found.paths)


def test_a_coco_file_is_read_once_annotated(run, videos, tmp_path):
    clip = videos.write(tmp_path / "anna.mp4", frames=20)
    options = ("--frames", 2, "--format", "coco", "--skeleton", "baby-moves-18", "--quiet")
    outcome = run("choose-frames", clip, "-o", tmp_path, *options)
    assert outcome.out == [str(tmp_path / "annotations.json")]
    content = json.loads((tmp_path / "annotations.json").read_text())
    points = [3.0, 4.0, 2] * 18
    content["annotations"] = [
        {"id": i, "image_id": image["id"], "category_id": 1, "keypoints": points}
        for i, image in enumerate(content["images"])
    ]
    (tmp_path / "annotations.json").write_text(json.dumps(content))
    found = read_annotations(tmp_path / "annotations.json")
    assert (found.skeleton.name, len(found), found.groups) == ("baby-moves-18", 2, ("anna", "anna"))
    run("choose-frames", clip, "-o", tmp_path, *options).refused("exists")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--frames", 0), "give numbers above 0"),
        (("--frames", 50), "has 10 frames to choose from, 50 are wanted"),
        (("--skeleton", "in-motion-18"), "did you mean in-motion-19"),
    ],
)
def test_choose_frames_refuses_in_one_line(run, clip, tmp_path, options, message):
    run("choose-frames", clip, "-o", tmp_path / "chosen", *options, "--quiet").refused(message)
    assert not list(tmp_path.glob("chosen/*"))
