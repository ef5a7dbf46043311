"""The tables of the infant framework: fractions in brackets, folders of squares."""

import numpy as np
import pytest

from infantjax.errors import InputError
from infantjax.pose.annotations import read_annotations
from infantjax.skeletons import IN_MOTION_19, MPII_16


@pytest.mark.parametrize("place", ["", "raw", "raw/annotations", "raw/annotations/annotations.csv"])
def test_fractions_become_pixels(place, raw):
    found = read_annotations(raw.parent / place)
    assert found.skeleton is IN_MOTION_19
    assert found.names == ("anna_001", "ben_001")
    np.testing.assert_allclose(found.points[0, 4], [5, 25])
    assert np.isnan(found.points[:, 3]).all()
    assert found.groups == ("anna", "ben")
    assert found.sizes.tolist() == [[50, 100]] * 2
    assert found.paths[0] == raw / "images" / "anna_001.png"
    assert found.problems == ("line 4, anna_002.png: has no annotation",)


def test_folders_of_a_split_are_taken_for_it(raw):
    for name, split in (("anna_001", "train"), ("ben_001", "test")):
        target = raw / "images" / split / f"{name}.png"
        target.parent.mkdir()
        (raw / "images" / f"{name}.png").rename(target)
    found = read_annotations(raw)
    assert found.splits == ("test", "train") or found.splits == ("train", "test")
    assert dict(zip(found.names, found.splits)) == {"anna_001": "train", "ben_001": "test"}


def test_columns_without_names_are_taken_in_their_order(raw):
    table = raw / "annotations" / "annotations.csv"
    _, *rest = table.read_text().splitlines()
    table.write_text("\n".join([",".join(["", "image", *(f"p{i}" for i in range(19))]), *rest]))
    found = read_annotations(raw)
    assert found.skeleton is IN_MOTION_19
    assert any("taken in their order" in problem for problem in found.problems)


def test_an_image_that_is_not_there_has_no_pixels(raw):
    (raw / "images" / "ben_001.png").unlink()
    found = read_annotations(raw)
    assert found.names == ("anna_001",)
    assert any(p.startswith("ben_001.png: is not there") for p in found.problems)


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("(0.02, 0.5)", "(0.02; 0.5)", "line 2, column nose"),
        ("(0.02, 0.5)", "(1.5, 0.5)", "has nose at 150, 25, outside the image"),
        ("(0.02, 0.5)", "(inf, 0.5)", "is not a point"),
        ('(0.02, 0.5)",', "", "line 2 has 20 cells, the header 21"),
        ("left_wrist", "left_wirst", "did you mean"),
    ],
)
def test_what_is_no_such_table_gives_one_line(old, new, what, raw):
    table = raw / "annotations" / "annotations.csv"
    text = table.read_text()
    if not new:
        text = text.replace(',"(0.02, 0.5)"', "", 1)
    table.write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match=what):
        read_annotations(raw)


# --- processed -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["", "processed"])
def test_points_of_squares_belong_to_the_largest_ones(place, processed):
    found = read_annotations(processed.parent / place)
    assert found.skeleton is MPII_16
    assert dict(zip(found.names, found.splits)) == {"anna_001": "train", "anna_002": "train", "ben_001": "test"}
    np.testing.assert_allclose(found.points[0, 0], [1.28, 64])
    assert np.isnan(found.points[:, 2]).all()
    assert {path.parent.name for path in found.paths} == {"images_128x128"}
    assert found.problems == ()


def test_points_that_are_none_are_told_at_once(processed):
    (processed / "train" / "points" / "anna_001.txt").write_text("a b\n")
    (processed / "test" / "points" / "ben_001.txt").write_text("0.1 0.2\n")
    with pytest.raises(InputError) as caught:
        read_annotations(processed)
    assert "train/anna_001.txt: is not a list of points" in str(caught.value)
    assert "test/ben_001.txt: has 1 points, not 16" in str(caught.value)
