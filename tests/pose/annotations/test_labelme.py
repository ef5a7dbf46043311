"""LabelMe files: labels by name and side, one line for everything that is wrong."""

import json

import numpy as np
import pytest

from infantjax.errors import InputError
from infantjax.pose.annotations import read_annotations
from infantjax.skeletons import COCO_17, MPII_16


def labelme(path, **points):
    shapes = [{"label": label, "points": [list(at)], "shape_type": "point"} for label, at in points.items()]
    path.write_text(json.dumps({"shapes": shapes, "imageHeight": 100, "imageWidth": 200}))


def test_labels_are_matched_by_name_and_side(tmp_path):
    labelme(tmp_path / "a10.json", Head=(1, 2), Wrist_R=(3, 4))
    labelme(tmp_path / "a9.json", left_ankle=(5, 6), Eye_L=(7, 8))
    found = read_annotations(tmp_path, MPII_16)
    points = found.points
    assert found.names == ("a9", "a10")
    assert points[0, MPII_16.index("left_ankle")].tolist() == [5, 6]
    assert points[1, MPII_16.index("head_top")].tolist() == [1, 2]
    assert points[1, MPII_16.index("right_wrist")].tolist() == [3, 4]
    assert np.isfinite(points).all(-1).sum() == 3


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("{", "not a LabelMe file"),
        ('{"shapes": [{"label": "Head", "points": []}], "imageHeight": 1, "imageWidth": 1}', "not a LabelMe file"),
        ("[" * 100_000, "not a LabelMe file"),
    ],
)
def test_what_is_no_labelme_file_is_refused(content, what, tmp_path):
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(InputError, match=what):
        read_annotations(tmp_path, MPII_16)


def test_annotations_that_cannot_be_are_refused(tmp_path):
    with pytest.raises(InputError, match="holds no"):
        read_annotations(tmp_path, MPII_16)
    labelme(tmp_path / "a.json", Head=(300, 2))
    with pytest.raises(InputError, match="outside the image"):
        read_annotations(tmp_path, MPII_16)
    labelme(tmp_path / "a.json", Eye_L=(3, 2))
    with pytest.raises(InputError, match="no label of a point of mpii-16"):
        read_annotations(tmp_path, MPII_16)
    labelme(tmp_path / "a.json", Head=(3, 2), head=(3, 2))
    with pytest.raises(InputError, match="twice"):
        read_annotations(tmp_path, MPII_16)


def test_without_a_skeleton_the_labels_choose_it(tmp_path):
    labelme(
        tmp_path / "a.json", **{f"{joint}": (10 + i, 20) for i, joint in enumerate(COCO_17.joints)}, MTP_joint_R=(1, 1)
    )
    found = read_annotations(tmp_path)
    assert found.skeleton is COCO_17
    assert found.points[0, :, 0].tolist() == list(range(10, 27))


def test_a_file_stands_for_itself_and_names_its_image(tmp_path):
    labelme(tmp_path / "a.json", Head=(1, 2))
    found = read_annotations(tmp_path / "a.json", MPII_16)
    assert found.names == ("a",)
    assert found.paths == (tmp_path / "a.jpg",)
    assert found.sizes.tolist() == [[100, 200]]
    assert found.problems == ("a.jpg: is not there",)


def test_images_without_annotation_and_annotations_without_points_are_told(tmp_path):
    labelme(tmp_path / "a.json", Head=(1, 2))
    labelme(tmp_path / "b.json")
    for name in ("a.png", "b.png", "c.png"):
        (tmp_path / name).touch()
    found = read_annotations(tmp_path, MPII_16)
    assert found.paths == (tmp_path / "a.png",)
    assert found.problems == ("c.png: has no annotation", "b.json: has no annotated point")
    assert read_annotations(tmp_path, MPII_16, row_per_image=True).names == ("a", "b")


def test_everything_that_is_wrong_is_told_at_once(tmp_path):
    labelme(tmp_path / "a.json", Head=(300, 2))
    labelme(tmp_path / "b.json", Head=(3, -1))
    (tmp_path / "c.json").write_text("{")
    with pytest.raises(InputError) as caught:
        read_annotations(tmp_path, MPII_16)
    for part in ("a.json: has head_top at 300, 2", "b.json: has head_top at 3, -1", "c.json: is not a LabelMe file"):
        assert part in str(caught.value)


def test_images_of_real_infants_are_read(shared):
    found = read_annotations(shared / "data" / "infant_images")
    assert found.skeleton is COCO_17
    assert all(path.is_file() for path in found.paths)
    assert np.isfinite(found.points).all(-1).sum(1).tolist() == [15, 15, 15]


def test_a_folder_of_coco_files_says_so(tmp_path):
    (tmp_path / "a.json").write_text('{"images": [], "annotations": []}')
    with pytest.raises(InputError, match="it is of COCO: give it alone"):
        read_annotations(tmp_path)
