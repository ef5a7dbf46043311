"""`infantjax weights`, and pose weights by name; the file lies where `weights fetch` would have put it."""

import json

import pytest

from infantjax.pose import DEFAULT_WEIGHTS, load_pose_network
from infantjax.weights import public


@pytest.fixture
def named(pose_weights, tmp_path, monkeypatch):
    """The random weights as the default ones, already fetched, and no network."""
    from infantjax.files import git_blob_id

    monkeypatch.setenv("INFANTJAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv(public.OFFLINE, "1")
    file = public.PublicWeights("http://127.0.0.1:1/random.npz", git_blob_id(pose_weights), "Apache-2.0", "nothing")
    table = {
        DEFAULT_WEIGHTS: file,
        "other": public.PublicWeights("http://127.0.0.1:1/o.h5", "0" * 40, "MIT", "nothing"),
    }
    monkeypatch.setattr(public, "table", lambda: table)
    path = public.place(DEFAULT_WEIGHTS)
    path.parent.mkdir(parents=True)
    path.write_bytes(pose_weights.read_bytes())
    return path


def test_the_list_says_what_is_here(run, named):
    first, second = run("weights", "list").out
    assert first.split()[:4] == [DEFAULT_WEIGHTS, "-", "Apache-2.0", "here"]
    assert "not here" in second
    rows = json.loads("\n".join(run("weights", "list", "--json").out))
    assert rows[0]["path"] == str(named)
    assert rows[0]["address"] == "http://127.0.0.1:1/random.npz"


def test_fetch_prints_where_the_file_is_and_verify_finds_damage(run, named):
    assert run("weights", "fetch").out == [str(named)]
    assert run("weights", "verify").out == [f"{DEFAULT_WEIGHTS}: as published"]
    assert run("weights", "verify", "other").status == 1
    run("weights", "fetch", "other").refused("fetch other` with a network, or download http://127.0.0.1:1/o.h5 and put")
    named.write_bytes(b"else")
    outcome = run("weights", "verify")
    assert outcome.status == 1
    assert "is another file" in outcome.out[0]


def test_named_weights_are_converted_and_exist_in_python(run, named, tmp_path):
    assert run("convert", DEFAULT_WEIGHTS, tmp_path / "network").out == [str(tmp_path / "network")]
    assert load_pose_network().digest != load_pose_network(tmp_path / "network").digest
    run("convert", "efficientpose-rtt", tmp_path / "other").refused("efficientpose-rtt: does not exist")


def test_a_video_needs_no_option(run, named, clip, ensemble_folder, tmp_path):
    outcome = run("pose", clip, "-o", tmp_path / "a.csv", "--image-size", 64)
    assert outcome.status == 0
    assert "in a crop that follows the infant" in "\n".join(outcome.err)
    run("assess", clip, "--ensemble", ensemble_folder, "-o", tmp_path / "out", "--quiet").refused(
        "shorter than a window of 5 s"
    )
    named.unlink()
    run("pose", clip, "-o", tmp_path / "b.csv").refused("is not on this machine")


def test_assess_names_missing_weights_before_it_reads_a_video(run, named, ensemble_folder, tmp_path, monkeypatch):
    content = named.read_bytes()
    named.unlink()
    (tmp_path / "clip.mp4").write_bytes(b"\0\0\0\x20ftypisom")  # begins as a video, and is none
    given = ("assess", tmp_path / "clip.mp4", "--ensemble", ensemble_folder, "-o", tmp_path / "out")
    run(*given).refused(f"{DEFAULT_WEIGHTS}: is not on this machine.* run `infantjax weights fetch {DEFAULT_WEIGHTS}`")
    monkeypatch.delenv(public.OFFLINE)
    monkeypatch.setattr(public, "_download", lambda name, address, path, *others: path.write_bytes(content))
    first, *_, last = run(*given).err
    assert first.startswith(f"note: {DEFAULT_WEIGHTS} is not in the cache")
    assert "clip.mp4" in last


def test_several_weights_are_fetched_at_once(run, named):
    assert run("weights", "fetch", DEFAULT_WEIGHTS, DEFAULT_WEIGHTS).out == [str(named)] * 2
