"""docs/formats.md says what the code does."""

import re
import subprocess
import sys

import numpy as np
import pytest

from infantjax import files
from infantjax import formats as readers
from infantjax.formats import hdf5
from infantjax.skeletons import Skeleton


@pytest.fixture(scope="module")
def page(request):
    return (request.config.rootpath / "docs" / "formats.md").read_text(encoding="utf-8")


def block(page, heading):
    section = page.split(f"\n### {heading}\n")[1].split("\n### ")[0]
    return re.search(r"```\w+\n(.*?)```", section, re.DOTALL)[1]


def test_every_format_is_listed_and_whether_it_is_written(page):
    table = page.partition("\n## ")[0]
    rows = dict(re.findall(r"^`([\w-]+)` \|.*\| (yes|no)[^|]*$", table, re.MULTILINE))
    assert rows == {name: "yes" if f.write else "no" for name, f in readers.FORMATS.items()}


@pytest.mark.parametrize(
    ("words", "value"),
    [
        ("limit: 2 GiB", files.MAX_FILE_BYTES == 2 * 1024**3),
        ("JSON 256 MiB", files.MAX_JSON_BYTES == 256 * 1024**2),
        ("10,000,000 frames", files.MAX_FRAMES == 10_000_000),
        ("frames of 1,000 points", files.MAX_POINTS == 1000),
        ("HDF5 512 MiB", files.MAX_HDF5_BYTES == 512 * 1024**2),
        ("a packing ratio of 100", files.MAX_ARCHIVE_RATIO == 100),
        ("lines 1,000,000 characters", files.MAX_LINE_CHARACTERS == 1_000_000),
        ("coordinates to 1,000,000", files.MAX_COORDINATE == 1e6),
        (" 1000 Hz", files.MAX_FPS == 1000),
        ("HDF5 is read within 15 s", hdf5.TIME_LIMIT == 15),
    ],
)
def test_every_limit_is_documented_as_it_is(words, value, page):
    assert words in " ".join(page.partition("## Limits")[2].split())
    assert value


@pytest.mark.parametrize(
    ("heading", "joints", "name"),
    [
        ("Wide table", ("nose", "left_wrist"), "a.csv"),
        ("Long table", ("nose", "left_wrist"), "a.csv"),
        ("MMPose", ("nose", "left_eye"), "a.json"),
        ("COCO", ("nose", "left_eye"), "a.json"),
    ],
)
def test_the_examples_are_files_that_are_read(heading, joints, name, page, tmp_path):
    (tmp_path / name).write_text(block(page, heading), encoding="utf-8")
    skeleton = Skeleton("two", joints, (joints[0], joints[0]))
    recording = readers.read(tmp_path / name, skeleton=skeleton)
    assert recording.fps == pytest.approx(25)
    np.testing.assert_array_equal(recording.keypoints[0, 0], [375.05, 358.55])


def test_importing_the_readers_is_light():
    heavy = "h5py", "pandas", "scipy", "jax", "flax"
    program = f"import sys, infantjax.formats; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
