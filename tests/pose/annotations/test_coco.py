"""COCO keypoints: what is labeled, who counts, where the images are."""

import json
from dataclasses import replace

import numpy as np
import pytest

from infantjax.errors import InputError
from infantjax.pose.annotations import read_annotations
from infantjax.pose.crop import crop_image
from infantjax.pose.training.dataset import CropConfig, read_crops
from infantjax.skeletons import COCO_17
from infantjax.video import read_frames


def document(**changes):
    def person(number, image, shift, v=2):
        points = [value for i in range(17) for value in (10 + i + shift, 20 + 2 * i, v if i else 0)]
        return {"id": number, "image_id": image, "keypoints": points, "bbox": [1, 2, 30, 40], "iscrowd": 0}

    large = person(8, 2, 40)
    large["keypoints"][3:5] = [90, 90]
    crowd = person(9, 2, 0) | {"iscrowd": 1}
    return {
        "images": [
            {"id": 1, "file_name": "test/b.png", "height": 100, "width": 100},
            {"id": 2, "file_name": "test/a.png", "height": 100, "width": 100},
            {"id": 3, "file_name": "test/c.png", "height": 100, "width": 100},
        ],
        "annotations": [person(5, 1, 0, 1), person(7, 2, 0), large, crowd],
        "categories": [{"id": 1, "name": "person", "keypoints": list(COCO_17.joints)}],
    } | changes


def written(tmp_path, content, name="person_keypoints_validate_infant.json"):
    path = tmp_path / name
    path.write_text(json.dumps(content))
    return path


def test_the_largest_person_of_each_image_is_read(tmp_path):
    found = read_annotations(written(tmp_path, document()), row_per_image=True)
    assert found.skeleton is COCO_17
    assert found.names == ("a", "b")
    assert found.points[0, 1].tolist() == [90, 90]
    assert found.points[1, 3].tolist() == [13, 26]
    assert np.isnan(found.points[:, 0]).all()
    assert found.sizes.tolist() == [[100, 100]] * 2
    assert found.splits == ("val", "val")
    assert "test/c.png: has no annotation" in found.problems
    assert "1 images: show several persons; the largest counts" in found.problems


def test_each_person_of_an_image_is_a_row(tmp_path):
    found = read_annotations(written(tmp_path, document()))
    assert found.names == ("a#1", "a#2", "b")
    assert found.paths[0] == found.paths[1]
    assert found.points[:2, 1].tolist() == [[11, 22], [90, 90]]
    assert "1 images: show several persons; each is a row" in found.problems


def test_images_are_found_beside_the_file_or_above_it(tmp_path):
    (tmp_path / "annotations").mkdir()
    (tmp_path / "images" / "test").mkdir(parents=True)
    for name in "abc":
        (tmp_path / "images" / "test" / f"{name}.png").touch()
    found = read_annotations(written(tmp_path / "annotations", document()))
    assert found.with_images().names == ("a#1", "a#2", "b")


def test_videos_are_groups(tmp_path):
    content = document()
    for image, video in zip(content["images"], (4, 5, 4)):
        image["video_id"] = video
    assert read_annotations(written(tmp_path, content)).groups == ("5", "5", "4")


def test_a_published_point_outside_the_image_is_left_out(tmp_path):
    content = document()
    content["annotations"][0]["keypoints"][3] = -3
    found = read_annotations(written(tmp_path, content))
    assert np.isnan(found.points[2, 1]).all()
    assert "test/b.png: has points outside the image, left out" in found.problems


def test_points_without_names_are_those_of_coco(tmp_path):
    found = read_annotations(written(tmp_path, document(categories=[])))
    assert found.skeleton is COCO_17


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda d: d["annotations"][0].update(image_id=99), "annotation 0: is not of an image"),
        (lambda d: d["annotations"][0].update(keypoints=[1, 2, 2]), "annotation 0: is not of an image, or has other"),
        (lambda d: d["annotations"][0].update(keypoints="x"), "annotation 0"),
        (lambda d: d["annotations"].clear(), "has no annotation; no usable image is left"),
        (lambda d: d["images"][0].update(file_name="../../x.png"), "no usable file name"),
        (lambda d: d["images"][0].update(id=2), "without an id of its own"),
        (lambda d: d["annotations"][0]["keypoints"].__setitem__(3, float("inf")), "farther than"),
    ],
)
def test_what_is_not_as_coco_has_it_gives_one_line(change, what, tmp_path):
    content = document()
    change(content)
    with pytest.raises(InputError, match=what) as caught:
        read_annotations(written(tmp_path, content))
    assert "\n" not in str(caught.value)


def test_an_image_may_be_a_frame_of_a_video(tmp_path, videos):
    video = videos.write(tmp_path / "clip.mp4")
    images = [{"id": n, "file_name": "clip.mp4", "frame": frame} for n, frame in ((1, 20), (2, 5), (3, 9))]
    found = read_annotations(written(tmp_path, document(images=images)), row_per_image=True)
    assert found.names == ("clip_000005", "clip_000020")
    assert found.frames == (5, 20)
    crops, _ = read_crops(found, 32, CropConfig(around_keypoints=False))
    for crop, frame in zip(crops, (5, 20), strict=True):
        expected = crop_image(read_frames(video, [frame]).frames[0], 32, "reference")
        np.testing.assert_array_equal(crop, expected)
    with pytest.raises(InputError, match=r"1 of 1 cannot be used: .*clip\.mp4"):
        read_crops(replace(found.take([1]), frames=(99,)), 32)


@pytest.mark.parametrize("frame", [-1, 1.5, "3", True])
def test_a_frame_is_a_number_from_0_on(tmp_path, frame):
    images = [{"id": 1, "file_name": "clip.mp4", "frame": frame}]
    with pytest.raises(InputError, match="image 1: its frame is not a number from 0 on"):
        read_annotations(written(tmp_path, document(images=images)))
