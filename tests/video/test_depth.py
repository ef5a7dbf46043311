"""Images of a depth camera: what was measured, where it lies, and as frames to look at."""

import numpy as np
import pytest
from PIL import Image

from infantjax.errors import InputError
from infantjax.video.depth import DepthImages, find_depth_clips, read_depth


def save(path, value=900, size=(48, 64), mode=np.uint16):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full(size, value, mode)).save(path)


def test_a_distance_of_16_bits_is_read_as_it_is(tmp_path):
    save(tmp_path / "a.png", 40_000)
    depth = read_depth(tmp_path / "a.png")
    assert (depth.shape, depth.dtype, depth.max()) == ((48, 64), np.float32, 40_000)


def test_frames_are_in_the_order_of_their_numbers_and_near_is_bright(tmp_path):
    for number in (10, 9):
        image = np.full((48, 64), 1000 + number, np.uint16)
        image[:10], image[10:20] = 500, 0
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    source = DepthImages(tmp_path, 30)
    assert [depth[-1, 0] for depth in source.depths()] == [1009, 1010]
    assert [depth[-1, 0] for depth in source.depths(1)] == [1010]
    frames = list(source)
    assert [frame.name for frame in frames] == ["9.png", "10.png"]
    assert frames[0].pixels()[[0, 15, 40], 0].tolist() == [[255] * 3, [0] * 3, [0] * 3]


@pytest.mark.parametrize(
    ("files", "clips"),
    [
        (["0.png"], ["."]),
        (["depth/syn_0_depth.png", "rgb/syn_0.png"], ["."]),
        (["pz16/16_bit/0.png", "pz16/8_bit/0.png", "pz2/16_bit/0.png", "notes/a.txt"], ["pz2", "pz16"]),
        (["pz16/0.png", "pz17/0.png"], ["pz16", "pz17"]),
    ],
)
def test_recordings_are_found_where_published_sets_have_them(tmp_path, files, clips):
    for file in files:
        save(tmp_path / file) if file.endswith("png") else (tmp_path / file).parent.mkdir(parents=True)
    assert find_depth_clips(tmp_path) == [tmp_path / clip for clip in clips]


def test_the_folder_of_16_bits_is_read(tmp_path):
    save(tmp_path / "8_bit" / "0.png", 9, mode=np.uint8)
    save(tmp_path / "16_bit" / "0.png", 900)
    assert next(iter(DepthImages(tmp_path, 6).depths())).max() == 900


def test_what_is_no_depth_image_is_one_line(tmp_path):
    Image.new("RGB", (64, 48)).save(tmp_path / "a.png")
    (tmp_path / "b.png").write_text("no image")
    for name, message in (("a.png", "several channels"), ("b.png", "cannot be read as an image")):
        with pytest.raises(InputError, match=message):
            read_depth(tmp_path / name)
    (tmp_path / "empty").mkdir()
    for path, message in ((tmp_path / "empty", "holds no depth images"), (tmp_path / "c.mp4", "is no folder")):
        with pytest.raises(InputError, match=message):
            find_depth_clips(path)
    with pytest.raises(InputError, match="give --fps"):
        DepthImages(tmp_path, None)
