"""Stills and the video on the page, from a small video whose frames are known."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from infantjax import skeletons
from infantjax.errors import InputError
from infantjax.recording.recording import Recording
from infantjax.report import film
from infantjax.report.film import FilmOptions, film_of
from infantjax.report.page import to_html
from infantjax.video.reading import find_sources, open_frames
from infantjax.video.writing import write_video

FPS, SECONDS, SIDE = 10.0, 12, 96
JOINTS = skeletons.IN_MOTION_19.joints


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A video that grows lighter, and the keypoints of one pose in it."""
    path = tmp_path_factory.mktemp("video") / "a clip & more.mp4"
    levels = np.linspace(20, 220, round(FPS * SECONDS))
    write_video((np.full((SIDE, SIDE, 3), level, np.uint8) for level in levels), FPS, path)
    pose = np.full((19, 2), np.nan, np.float32)
    for name, point in {
        "nose": (48, 16),
        "right_ear": (42, 14),
        "left_wrist": (80, 60),
        "left_ankle": (60, 90),
    }.items():
        pose[JOINTS.index(name)] = point
    recording = Recording(np.repeat(pose[None], len(levels), axis=0), FPS, skeletons.IN_MOTION_19, "clip")
    return path, recording


@pytest.fixture
def record(factory):
    assessment = factory(3, frames=20)
    return assessment.to_dict()


def pixels(still):
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(still.image.partition(",")[2]))).convert("RGB"))


def test_stills_show_the_middle_of_the_highest_and_of_the_lowest_window(clip, record):
    path, recording = clip
    values = [0.2, 0.9, 0.4]
    for window, value in zip(record["time_series"]["windows"], values):
        window["median"] = value
    found = film_of(path, recording, record, path.parent / "a.html")
    assert [(still.which, still.start, still.value) for still in found.stills] == [
        ("Highest", 2.5, 0.9),
        ("Lowest", 0.0, 0.2),
    ]
    for still, second in zip(found.stills, (5.0, 2.5)):
        shade = 20 + 200 * second * FPS / (FPS * SECONDS - 1)
        assert pixels(still)[-6:, :6].mean() == pytest.approx(shade, abs=6)
        assert np.ptp(pixels(still)[60, 80]) > 40  # the wrist, in color


def test_the_video_is_linked_relative_to_the_page_and_embedded_or_left_out_if_asked(
    clip, record, tmp_path, monkeypatch
):
    path, recording = clip
    linked = film_of(path, recording, record, path.parent / "results" / "a.html")
    assert linked.source == "../a%20clip%20%26%20more.mp4"
    odd = film_of(tmp_path / "a:\udce9.mp4", recording, record, tmp_path / "a.html")
    assert odd == ("a%3A%E9.mp4", ())
    embedded = film_of(path, recording, record, tmp_path / "a.html", FilmOptions(embed_video=True))
    assert base64.b64decode(embedded.source.partition("base64,")[2]) == path.read_bytes()
    monkeypatch.setattr(film, "MAX_EMBEDDED", 100)
    with pytest.raises(InputError, match="too many for a page; leave out --embed-video"):
        film_of(path, recording, record, tmp_path / "a.html", FilmOptions(embed_video=True))


def noisy(folder, seconds=1.0):
    """A video of one noisy picture, whose head moves to the right and is lost in the last frames."""
    path, count = folder / "noisy.mp4", round(FPS * seconds)
    image = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE), np.uint8).repeat(3).reshape(SIDE, SIDE, 3)
    write_video([image] * count, FPS, path)
    points = np.full((count, 19, 2), np.nan)
    points[:, JOINTS.index("pelvis")] = (48, 70)
    points[:-2, JOINTS.index("nose")] = np.stack([np.linspace(20, 70, count - 2), np.full(count - 2, 20)], -1)
    return path, Recording(points, FPS, skeletons.IN_MOTION_19, "noisy")


def test_the_page_of_hidden_heads_plays_a_blurred_copy_and_never_the_video(record, tmp_path):
    path, recording = noisy(tmp_path)
    results = tmp_path / "results"
    results.mkdir()
    linked = film_of(path, recording, record, results / "infant.html", FilmOptions(hide_heads=True))
    assert linked.source == "infant.hidden.mp4"
    copy = [frame.pixels().astype(float) for frame in open_frames(results / linked.source)]
    video = [frame.pixels().astype(float) for frame in open_frames(path)]
    assert len(copy) == len(video)
    for frame in (0, 7):
        x, y = recording.keypoints[frame, JOINTS.index("nose")].astype(int)
        head, rest = np.s_[y - 4 : y + 4, x - 4 : x + 4], np.s_[60:]
        assert copy[frame][head].std() < 0.4 * video[frame][head].std()
        assert np.abs(copy[frame][rest] - video[frame][rest]).mean() < 15
    assert copy[-1].std() < 0.4 * video[-1].std()  # where no head is found, the whole frame is blurred
    embedded = film_of(path, recording, record, results / "infant.html", FilmOptions(True, True))
    assert base64.b64decode(embedded.source.partition("base64,")[2]) == (results / linked.source).read_bytes()
    (path.parent / "a.hidden.mp4").write_bytes((results / linked.source).read_bytes())
    assert find_sources([path.parent]) == [path]  # a copy is no further video


def test_a_recording_without_a_value_and_a_video_that_cannot_be_read_have_no_stills(clip, record, tmp_path):
    path, recording = clip
    assert film_of(path, recording, record | {"time_series": None}, path.parent / "a.html").stills == ()
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video")
    assert film_of(broken, recording, record, tmp_path / "a.html").stills == ()


@pytest.mark.parametrize("options", [FilmOptions(), FilmOptions(embed_video=True), FilmOptions(hide_heads=True)])
def test_the_policy_of_the_page_allows_its_video_alone(clip, factory, options, tmp_path):
    path, recording = clip
    assessment = factory(3, frames=20)
    record = assessment.to_dict()
    found = film_of(path, recording, record, tmp_path / "a.html", options)
    page = to_html(record, assessment.movement, assessment.movement_fps, film=found)
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', page)
    allowed = "media-src data:;" if found.source.startswith("data:") else "media-src 'self';"
    assert allowed in policy
    assert page.count("<img") == 2
    assert page.count("<video") == 1
