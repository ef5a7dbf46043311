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
    ("heading", "joints", "name", "fps", "frames"),
    [
        ("Wide table", ("nose", "left_wrist"), "a.csv", 25, 2),
        ("Long table", ("nose", "left_wrist"), "a.csv", 25, 2),
        ("MMPose", ("nose", "left_eye"), "a.json", 25, 1),
        ("COCO", ("nose", "left_eye"), "a.json", 25, 1),
    ],
)
def test_the_examples_are_files_that_are_read(heading, joints, name, fps, frames, page, tmp_path):
    text = block(page, heading)
    if frames == 1:  # the page shows one frame; a recording needs two
        again = {"MMPose": ('"instance_info": [', "]}]}]"), "COCO": ('"annotations": [', "]}]")}[heading]
        start = text.index(again[0]) + len(again[0])
        entry = text[start : text.index(again[1], start) + len(again[1]) - 1]
        text = text.replace(
            entry, entry + "," + entry.replace('"frame_id": 1', '"frame_id": 2').replace('id": 1', 'id": 2')
        )
        text = text.replace('"file_name": "000001.png"}', '"file_name": "1.png"}, {"id": 2, "file_name": "2.png"}')
    (tmp_path / name).write_text(text, encoding="utf-8")
    skeleton = Skeleton("two", joints, (joints[0], joints[0]))
    recording = readers.read(tmp_path / name, skeleton=skeleton)
    assert recording.fps == pytest.approx(fps)
    np.testing.assert_array_equal(recording.keypoints[0, 0], [375.05, 358.55])


def test_importing_the_readers_is_light():
    heavy = "h5py", "pandas", "scipy", "jax", "flax"
    program = f"import sys, infantjax.formats; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
