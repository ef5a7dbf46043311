"""babyPose: a table and depth images for each infant."""

import zipfile

import numpy as np
import pytest
from PIL import Image

from infantjax.errors import InputError
from infantjax.pose.annotations import babypose, read_annotations
from infantjax.skeletons import BABYPOSE_12, MINI_RGBD_14
from infantjax.video.depth import read_depth


def test_joints_of_limbs_are_read_with_their_images(infants):
    found = read_annotations(infants)
    assert found.skeleton is BABYPOSE_12
    assert found.groups == ("pz1",) * 3 + ("pz2",) * 3
    assert found.names[0] == "pz1_000000"
    assert found.paths[0] == infants / "pz1" / "16_bit" / "000000.png"
    assert np.isnan(found.points[0, 0]).all()
    assert np.isnan(found.points[1, 1]).all()
    assert found.points[2, 3].tolist() == [15, 23]


def test_a_folder_of_simulated_infants_is_read_by_its_depth_images(infants):
    cohort = infants.parent / "cohort"
    cohort.mkdir()
    infants.rename(cohort / "depth")
    (cohort / "simulation.json").write_text("{}")
    assert len(read_annotations(cohort)) == 6


def test_rows_without_an_image_are_told(infants):
    for bits in ("8_bit", "16_bit"):
        (infants / "pz2" / bits / "000002.png").unlink()
    found = read_annotations(infants)
    assert len(found) == 5
    assert found.problems == ("joints.csv, line 4: names no image that is there",)


def test_a_cell_that_is_no_number_is_told(infants):
    table = infants / "pz1" / "joints.csv"
    table.write_text(table.read_text().replace(";21;", ";x;", 1))
    with pytest.raises(InputError, match=r"joints.csv: line 2, column right_elbow_y: .x. is not a number"):
        read_annotations(infants)


def as_spreadsheet(table):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in table.read_text().splitlines():
        book.active.append([float(cell) if cell.lstrip("-").isdigit() else cell for cell in row.split(";")])
    book.save(table.with_suffix(".xlsx"))
    table.unlink()
    return table.with_suffix(".xlsx")


def test_a_spreadsheet_is_read_as_the_table_that_it_holds(infants):
    expected = read_annotations(infants)
    for infant in ("pz1", "pz2"):
        as_spreadsheet(infants / infant / "joints.csv")
    found = read_annotations(infants)
    np.testing.assert_array_equal(found.points, expected.points)
    assert (found.names, found.groups, found.paths) == (expected.names, expected.groups, expected.paths)


@pytest.mark.parametrize("damage", ["text", "cut", "bomb"])
def test_a_damaged_spreadsheet_gives_one_line(damage, infants):
    table = as_spreadsheet(infants / "pz1" / "joints.csv")
    if damage == "text":
        table.write_text("frame;x")
    elif damage == "cut":
        table.write_bytes(table.read_bytes()[:-100])
    else:
        with zipfile.ZipFile(table, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("xl/workbook.xml", bytes(10**7))
    with pytest.raises(InputError, match="cannot be read as a spreadsheet") as caught:
        list(babypose._rows(table))
    assert "\n" not in str(caught.value)


def test_depth_images_become_small_frames_without_their_means(infants, tmp_path):
    frame = babypose.prepare_depth(read_depth(read_annotations(infants).paths[0]), 12, 16)
    assert frame.shape == (12, 16)
    assert frame.dtype == np.float32
    assert not frame.any()
    ramp = np.add.outer(np.zeros(48), 100 * np.arange(64)).astype(np.uint16)
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    frame = babypose.prepare_depth(read_depth(tmp_path / "ramp.png"), 12, 16)
    np.testing.assert_allclose(frame[0], 400 * np.arange(16) + 150 - ramp.mean(), atol=1e-2)


def test_tables_beside_the_folders_with_both_coordinates_in_a_cell_are_read(tmp_path):
    """As the group published its reduced MINI-RGBD."""
    (tmp_path / "annotations").mkdir()
    for infant in ("pz101", "pz102"):
        (tmp_path / infant).mkdir()
        for frame in range(2):
            Image.new("L", (64, 48)).save(tmp_path / infant / f"{frame:05d}_8bit.png")
        rows = [["image", *MINI_RGBD_14.joints]]
        rows += [[f"{frame:05d}_8bit.png", *(f"{10 + i},{20 + i}" for i in range(14))] for frame in range(2)]
        rows[1][3] = ""
        table = tmp_path / "annotations" / f"result_{infant}.csv"
        table.write_text("\n".join(";".join(row) for row in rows))
    for path in (tmp_path, tmp_path / "annotations"):
        found = read_annotations(path)
        assert found.skeleton is MINI_RGBD_14
        assert found.groups == ("pz101", "pz101", "pz102", "pz102")
        assert found.paths[0] == tmp_path / "pz101" / "00000_8bit.png"
        assert np.isnan(found.points[0, 2]).all()
        assert found.points[1, 2].tolist() == [12, 22]
    table.write_text(table.read_text().replace("13,23", "13/23"))
    with pytest.raises(InputError, match=r"line 2, column right_shoulder: .13/23. is not x,y"):
        read_annotations(tmp_path)
