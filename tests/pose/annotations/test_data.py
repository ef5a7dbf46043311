"""Rows of annotations: taken, ordered, grouped, with images or without."""

from pathlib import Path

import numpy as np
import pytest

from infantjax.errors import InputError
from infantjax.pose.annotations import FORMATS, read_annotations
from infantjax.pose.annotations.data import (
    AnnotatedPerson,
    Annotations,
    ParsedAnnotations,
    ReadRequest,
    assemble,
    groups_of,
)
from infantjax.skeletons import MPII_16

JOINTS = ("head_top", "upper_neck")


def entry(name, points=((1, 2), (3, 4)), **given):
    return AnnotatedPerson(f"row {name}", name, np.array(points, float), **given)


def assembled(*entries, **given):
    return assemble(
        ParsedAnnotations(JOINTS, list(entries), **given), ReadRequest(Path("x"), MPII_16, None, row_per_image=False)
    )


def test_rows_come_in_the_order_of_the_numbers_in_their_names():
    found = assembled(entry("f10"), entry("f9", [(5, 6), (7, 8)]))
    assert found.names == ("f9", "f10")
    assert found.points[0, :2].tolist() == [[5, 6], [7, 8]]
    assert np.isnan(found.points[:, 2:]).all()


def test_what_only_some_rows_have_is_nan_in_the_others():
    found = assembled(entry("a", head=(1, 2, 3, 4)), entry("b"))
    assert found.heads.tolist()[0] == [1, 2, 3, 4]
    assert np.isnan(found.heads[1]).all()
    assert found.sizes is None
    assert found.paths is None


def test_a_row_that_repeats_is_told_and_one_that_contradicts_is_refused():
    found = assembled(entry("a"), entry("a"))
    assert len(found) == 1
    assert found.problems == ("row a: repeats the annotation of a",)
    with pytest.raises(InputError, match="row a: annotates a again and differently"):
        assembled(entry("a"), entry("a", [(9, 9), (9, 9)]))


def test_points_outside_are_an_error_of_ones_own_and_left_out_of_published_ones():
    with pytest.raises(InputError, match="row a: has upper_neck at 3, 4, outside the image"):
        assembled(entry("a", size=(3, 3)))
    found = assembled(entry("a", size=(3, 3)), own=False)
    assert np.isfinite(found.points[0, 0]).all()
    assert np.isnan(found.points[0, 1]).all()
    assert "left out" in found.problems[0]


@pytest.mark.parametrize("value", [np.inf, 1e9])
def test_a_point_that_is_nowhere_is_refused(value):
    with pytest.raises(InputError, match="farther than"):
        assembled(entry("a", [(value, 2), (3, 4)]))


def test_annotations_without_any_point_are_refused():
    with pytest.raises(InputError, match="has no annotated point; no usable image is left"):
        assembled(entry("a", np.full((2, 2), np.nan)))


def test_rows_whose_image_is_there_can_be_taken(tmp_path):
    (tmp_path / "b.png").touch()
    found = assembled(entry("a", image=tmp_path / "a.png"), entry("b", image=tmp_path / "b.png"))
    assert found.problems == ("a.png: is not there",)
    assert found.with_images().names == ("b",)
    with pytest.raises(InputError, match="nor is any other"):
        found.take([0]).with_images()
    with pytest.raises(InputError, match="is not there"):
        Annotations(("a",), np.zeros((1, 16, 2)), MPII_16).with_images()


@pytest.mark.parametrize(
    ("names", "groups"),
    [
        (("anna_1", "anna_2", "b-c_frame3"), ("anna", "anna", "b-c")),
        (("anna_1#2", "ben_1"), ("anna", "ben")),
        (("anna_1", "anna_2"), None),
        (("anna", "ben_1"), None),
        (("1", "2"), None),
    ],
)
def test_groups_are_what_stands_before_the_number(names, groups):
    assert groups_of(names) == groups


# --- the door --------------------------------------------------------------------------------------------------------


def test_a_keypoint_file_is_annotations_without_images(tmp_path):
    header = [f"{joint}_{axis}" for joint in MPII_16.joints for axis in "xy"]
    (tmp_path / "a.csv").write_text(f"frame,{','.join(header)}\n0,{','.join('12' * 16)}\n1,{','.join('34' * 16)}\n")
    found = read_annotations(tmp_path / "a.csv")
    assert found.skeleton is MPII_16
    assert found.paths is None
    assert found.points[0, 3].tolist() == [1, 2]


@pytest.mark.parametrize("kind", ["missing", "empty", "text", "binary", "folder", "pipe"])
def test_what_is_no_annotation_gives_one_line(kind, tmp_path):
    import os

    path = tmp_path / "a.csv"
    if kind == "folder":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    elif kind != "missing":
        path.write_bytes({"empty": b"", "text": b"a;b\n1;2\n", "binary": bytes(range(256)) * 9}[kind])
    with pytest.raises(InputError) as caught:
        read_annotations(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)


def test_names_that_nobody_knows_are_wrong_calls(tmp_path):
    with pytest.raises(ValueError, match="format must be one of"):
        read_annotations(tmp_path, format="xyz")
    with pytest.raises(ValueError, match="unknown skeleton"):
        read_annotations(tmp_path, "xyz", "labelme")


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_refuses_what_is_not_of_it(name, tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"a": [1, 2]}')
    with pytest.raises(InputError):
        read_annotations(path, format=name)


@pytest.mark.parametrize("name", ["release", "raw", "processed", "sequences", "infants"])
def test_damaged_files_are_read_or_refused_in_one_line(name, request):
    path = request.getfixturevalue(name)
    folder = path.parent if path.is_file() else path
    files = {p: p.read_bytes() for p in folder.rglob("*") if p.suffix in (".mat", ".csv", ".txt")}
    rng, refused = np.random.default_rng(0), []
    for _ in range(20):
        file = sorted(files)[rng.integers(len(files))]
        data = bytearray(files[file])
        if rng.random() < 0.5:
            data = data[: rng.integers(len(data))]
        else:
            for position in rng.integers(0, len(data), 3):
                data[position] = rng.integers(256)
        file.write_bytes(bytes(data))
        try:
            assert len(read_annotations(path))
        except InputError as error:
            refused.append(str(error))
        file.write_bytes(files[file])
    assert refused
    assert not any("\n" in text for text in refused)
