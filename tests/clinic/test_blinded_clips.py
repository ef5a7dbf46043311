"""Clips for raters: where they are cut, and that nothing in them tells where they come from."""

import csv
import io
import json
import os
import re

import av
import numpy as np
import pytest

from infantjax import formats
from infantjax.clinic.blinded_clips import ClipOptions, choose_clips, find_sources, write_clips
from infantjax.errors import InputError
from infantjax.files import sha256
from infantjax.recording.recording import Recording
from infantjax.skeletons import IN_MOTION_19
from infantjax.video import open_frames

SECONDS, LENGTH, FPS = 6.0, 1.0, 10
VALUES = [0.5, 0.9, 0.8, 0.1, None, 0.3, 0.2, 0.7, 0.6, 0.4, 0.5]
"""Of windows every half a second."""


def record_of(path, values=VALUES):
    windows = [{"start": 0.5 * i, "median": value} for i, value in enumerate(values)]
    return {
        "time_series": {"label": "risk of a window", "length": LENGTH, "windows": windows},
        "duration": SECONDS,
        "fps": FPS,
        "provenance": {"input": {"sha256": sha256(path)}},
    }


@pytest.fixture(scope="module")
def results(tmp_path_factory, videos):
    """A video that tells a name and a time in its metadata, its keypoints and the record of its assessment."""
    folder = tmp_path_factory.mktemp("results")
    plain = videos.write(folder / "plain.mp4", frames=int(SECONDS * FPS), fps=FPS)
    with av.open(str(plain)) as given, av.open(str(folder / "anna.mp4"), "w") as named:
        named.metadata.update(title="Anna Secret", creation_time="2031-02-03T04:05:06")
        stream = named.add_stream_from_template(given.streams.video[0])
        for packet in given.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                named.mux(packet)
    plain.unlink()
    points = np.tile((28.0, 48.0), (int(SECONDS * FPS), 19, 1)) + 0.1 * np.arange(19)[:, None]
    points[:, IN_MOTION_19.index("right_ankle")] = (140, 110)
    formats.write(Recording(points, float(FPS), IN_MOTION_19), folder / "anna.keypoints.npz")
    (folder / "anna.json").write_text(json.dumps(record_of(folder / "anna.mp4")))
    return folder


@pytest.fixture
def sources(results):
    return find_sources([results / "anna.json"], [results / "anna.mp4"])


def rows_of(table):
    return list(csv.DictReader(io.StringIO(table)))


def test_windows_of_the_highest_and_lowest_value_are_cut_without_overlap(sources):
    found = choose_clips(sources[0], ClipOptions(highest=2, lowest=2, random=1), np.random.default_rng(0))
    assert [(clip.kind, clip.start, clip.value) for clip in found[:4]] == [
        ("highest", 0.5, 0.9),
        ("highest", 3.5, 0.7),
        ("lowest", 1.5, 0.1),
        ("lowest", 2.5, 0.3),
    ]
    assert found[4].kind == "random"
    starts = sorted(clip.start for clip in found)
    assert min(np.diff(starts)) >= LENGTH


def test_longer_clips_lie_about_their_window_within_the_recording(sources):
    found = choose_clips(sources[0], ClipOptions(1, 1, 0, seconds=3.0), np.random.default_rng(0))
    assert [(clip.start, clip.seconds, clip.value) for clip in found] == [(0.0, 3.0, 0.9), (3.0, 3.0, 0.4)]
    found = choose_clips(sources[0], ClipOptions(1, 0, 0, seconds=SECONDS), np.random.default_rng(0))
    assert [clip.start for clip in found] == [0.0]
    with pytest.raises(InputError, match="lasts 6 s, a clip 7 s"):
        choose_clips(sources[0], ClipOptions(seconds=7.0), np.random.default_rng(0))


def test_clips_show_their_seconds_and_nothing_else(sources, results, tmp_path):
    tables = write_clips(sources, tmp_path, ClipOptions(highest=2, lowest=1, random=1))
    key = rows_of(tables["key"])
    assert [row["clip"] for row in key] == sorted(path.stem for path in tmp_path.iterdir())
    frames = [frame.pixels().astype(int) for frame in open_frames(results / "anna.mp4")]
    for row in key:
        path = tmp_path / f"{row['clip']}.mp4"
        shown = [frame.pixels().astype(int) for frame in open_frames(path)]
        assert len(shown) == LENGTH * FPS
        for i, image in enumerate(shown):
            errors = [np.abs(image - other).mean() for other in frames]
            assert np.argmin(errors) == round(float(row["start"]) * FPS) + i
        assert re.fullmatch(r"clip_\d{3}", path.stem)
        assert (row["recording"], row["clip_sha256"]) == ("anna", sha256(path))
        content = path.read_bytes()
        assert not re.search(rb"anna|Anna|Secret|2031|Lavf|tmp", content)
        with av.open(str(path)) as container:
            assert [stream.type for stream in container.streams] == ["video"]
            assert set(container.metadata) <= {"major_brand", "minor_version", "compatible_brands"}
            assert set(container.streams[0].metadata) <= {"language", "handler_name", "vendor_id"}
            assert container.streams[0].metadata.get("handler_name", "VideoHandler") == "VideoHandler"
        assert os.stat(path).st_mtime == os.stat(tmp_path / "clip_001.mp4").st_mtime


def test_the_sheets_tell_raters_nothing_but_the_value_that_helps(sources, tmp_path):
    tables = write_clips(sources, tmp_path)
    names = [row["clip"] for row in rows_of(tables["key"])]
    answers, helped = rows_of(tables["answers"]), rows_of(tables["with_help"])
    assert answers == [{"clip": name, "answer": "", "comment": ""} for name in names]
    value = {row["clip"]: f"{float(row['value']):.2f}" for row in rows_of(tables["key"])}
    assert {row["clip"]: row["system"] for row in helped} == value
    assert [row["clip"] for row in helped] != names
    assert not any("anna" in tables[name] for name in ("answers", "with_help"))


def test_the_same_seed_gives_the_same_bytes(sources, results, tmp_path):
    found = []
    for number, seed in enumerate((0, 0, 1)):
        folder = tmp_path / str(number)
        folder.mkdir()
        again = find_sources([results / "anna.json"], [results / "anna.mp4"])
        found.append(write_clips(again, folder, ClipOptions(seed=seed)))
    assert found[0] == found[1]  # the key holds a digest of each clip
    assert [row["kind"] for row in rows_of(found[0]["key"])] != [row["kind"] for row in rows_of(found[2]["key"])]


def test_heads_are_blurred_by_the_keypoints(sources, results, tmp_path):
    shown = []
    for hide in (False, True):
        folder = tmp_path / str(hide)
        folder.mkdir()
        write_clips(sources, folder, ClipOptions(1, 0, 0, hide_heads=hide))
        shown.append(next(iter(open_frames(folder / "clip_001.mp4"))).pixels().astype(int))
    changed = np.abs(shown[0] - shown[1]).max(axis=-1)
    assert changed[36:60, 16:40].max() > 20  # the square of the first second
    assert changed[100:, 130:].max() < 10
    (alone,) = [source._replace(recording=None) for source in sources]
    with pytest.raises(InputError, match="no keypoints by which the head"):
        write_clips([alone], tmp_path, ClipOptions(hide_heads=True))


def test_files_that_do_not_belong_together_are_refused(results, tmp_path, clip):
    other = clip.rename(tmp_path / "anna.mp4")
    with pytest.raises(InputError, match=r"anna\.json: is of another file than anna\.mp4"):
        find_sources([results / "anna.json"], [other])
    (tmp_path / "ben.json").write_text(json.dumps(record_of(other)))
    with pytest.raises(InputError, match=r"ben\.json: has no video of its name"):
        find_sources([tmp_path / "ben.json"], [other])
    with pytest.raises(InputError, match="has neither a video nor keypoints"):
        find_sources([tmp_path / "ben.json"])
    (tmp_path / "ben.json").write_text("{}")
    with pytest.raises(InputError, match="holds no value over time"):
        find_sources([tmp_path / "ben.json"])
    with pytest.raises(InputError, match="holds no record"):
        find_sources([tmp_path])


@pytest.mark.parametrize(
    "change",
    [
        {"time_series": {"length": LENGTH, "windows": [{"start": 0.0}]}},
        {"time_series": {"length": LENGTH, "windows": [{"start": "0", "median": 1.0}]}},
        {"time_series": {"length": LENGTH, "windows": 3}},
        {"time_series": None},
        {"duration": float("nan")},
        {"fps": None},
        {"provenance": {}},
    ],
)
def test_a_record_that_was_changed_is_one_line(results, tmp_path, change):
    path = tmp_path / "anna.json"
    path.write_text(json.dumps(record_of(results / "anna.mp4") | change))
    with pytest.raises(InputError, match=r"anna\.json: "):
        find_sources([path], [results / "anna.mp4"])


@pytest.mark.parametrize("options", [{"highest": -1}, {"highest": 0, "lowest": 0, "random": 0}, {"seconds": 0.0}])
def test_options_out_of_range_are_refused(options):
    with pytest.raises(ValueError, match="must be"):
        ClipOptions(**options)
