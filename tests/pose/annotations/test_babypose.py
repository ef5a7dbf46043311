"""babyPose: a table and depth pictures for each infant."""

import numpy as np
import pytest
from PIL import Image

from infantjax.errors import InputError
from infantjax.pose.annotations import read_annotations
from infantjax.skeletons import BABYPOSE_12


@pytest.fixture
def infants(tmp_path):
    for infant in ("pz1", "pz2"):
        for bits in ("8_bit", "16_bit"):
            folder = tmp_path / infant / bits
            folder.mkdir(parents=True)
            for frame in range(3):
                Image.fromarray(np.full((48, 64), 900, np.uint16)).save(folder / f"{frame:06d}.png")
        header = ["frame", *(f"{joint}_{axis}" for joint in BABYPOSE_12.joints for axis in "xy")]
        rows = [[frame, *(v for i in range(12) for v in (10 + i + frame, 20 + i))] for frame in range(3)]
        rows[0][1:3] = -1, -1
        rows[1][3:5] = 0, 0
        text = "\n".join(";".join(map(str, row)) for row in [header, *rows])
        (tmp_path / infant / "joints.csv").write_text(text)
    return tmp_path


def test_joints_of_limbs_are_read_with_their_pictures(infants):
    found = read_annotations(infants)
    assert found.skeleton is BABYPOSE_12
    assert found.groups == ("pz1",) * 3 + ("pz2",) * 3
    assert found.names[0] == "pz1_000000"
    assert found.paths[0] == infants / "pz1" / "16_bit" / "000000.png"
    assert np.isnan(found.points[0, 0]).all()
    assert np.isnan(found.points[1, 1]).all()
    assert found.points[2, 3].tolist() == [15, 23]


def test_rows_without_a_picture_are_told(infants):
    for bits in ("8_bit", "16_bit"):
        (infants / "pz2" / bits / "000002.png").unlink()
    found = read_annotations(infants)
    assert len(found) == 5
    assert found.problems == ("joints.csv, line 4: names no picture that is there",)


def test_a_cell_that_is_no_number_is_told(infants):
    table = infants / "pz1" / "joints.csv"
    table.write_text(table.read_text().replace(";21;", ";x;", 1))
    with pytest.raises(InputError, match=r"joints.csv: line 2, column right_elbow_y: .x. is not a number"):
        read_annotations(infants)
