"""`infantjax convert` and `models`."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from toy import Toy

from infantjax import formats as readers
from infantjax import models
from infantjax.models import speed
from infantjax.models.summary import kept_counts, summarize
from infantjax.recording.windows import window_starts


@pytest.mark.parametrize("name", ["b.npz", "b.csv", "orgcoords_b.csv"])
def test_what_is_converted_and_back_is_what_it_was(run, good, infant, tmp_path, name):
    outcome = run("convert", good, tmp_path / name, "--fps", 30)
    assert (outcome.status, outcome.out) == (0, [str(tmp_path / name)])
    assert run("convert", tmp_path / name, tmp_path / "back.npz", "--fps", 30).status == 0
    assert run("convert", good, tmp_path / "coco.npz", "--fps", 30, "--to-skeleton", "coco-17").status == 0
    assert readers.read(tmp_path / "coco.npz").skeleton.name == "coco-17"
    back = readers.read(tmp_path / "back.npz")
    assert (back.fps, back.skeleton.name) == (30, "in-motion-19")
    np.testing.assert_allclose(back.keypoints, infant.keypoints, atol=1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--to-skeleton", "color"), "--to-skeleton: .*color"),
        (("--to-format", "color"), "color"),
        (("--format", "color"), '--format: is "color"'),
        (("--skeleton", "color"), '--skeleton: is "color"'),
    ],
)
def test_options_of_convert_that_cannot_be_are_refused(run, good, tmp_path, options, message):
    run("convert", good, tmp_path / "b.npz", "--fps", 30, *options).refused(message)
    assert not (tmp_path / "b.npz").exists()


def test_convert_writes_over_nothing_and_into_no_missing_folder(run, good, tmp_path):
    before = good.read_bytes()
    run("convert", good, good, "--fps", 30).refused("good.csv: is also an input, which is never written over")
    assert good.read_bytes() == before
    run("convert", good, tmp_path / "no" / "b.npz", "--fps", 30).refused("b.npz: cannot be written .No such file")


@pytest.mark.parametrize(
    ("command", "output"),
    [
        ("convert in.csv", "in.csv"),
        ("pose in.csv --weights w --overwrite", "-o in.csv"),
        ("pose in --weights in.csv --overwrite", "-o in.csv"),
        ("export in.csv", "-o in.csv"),
        ("crossval cohort", "-o cohort"),
        ("crossval cohort --outcomes in.csv", "-o in.csv"),
        ("train cohort", "-o cohort/../cohort"),
        ("train pose cohort", "-o cohort"),
        ("train pose in.csv --weights cohort", "-o cohort"),
        ("split cohort", "-o cohort"),
        ("split cohort --outcomes split/test.csv", "-o split"),
        ("crossval cohort --outcomes split/out_of_fold.csv", "-o split"),
        ("search cohort", "-o cohort"),
        ("evaluate in.csv cohort/outcomes.csv", "--plots cohort/outcomes.csv"),
    ],
)
def test_an_output_that_is_an_input_is_refused(run, good, cohort, tmp_path, monkeypatch, command, output):
    monkeypatch.chdir(tmp_path)
    good.rename("in.csv")
    shutil.copytree(cohort, "cohort")
    Path("split").mkdir()
    for name in ("test", "out_of_fold"):
        shutil.copy("cohort/outcomes.csv", f"split/{name}.csv")
    before = {path: path.read_bytes() for path in Path().rglob("*.*") if path.is_file()}
    run(*command.split(), *output.split()).refused("is also an input, which is never written over; give another place")
    assert {path: path.read_bytes() for path in Path().rglob("*.*") if path.is_file()} == before


@pytest.mark.parametrize("place", ["az://bucket/x", "https://example.org/x.csv"])
@pytest.mark.parametrize(
    "command",
    [
        *("demo -o", "assess a -o", "assess -o x", "pose a --weights b -o"),
        *("crossval a -o", "train a -o", "train pose a -o", "search a -o", "split a -o", "simulate -o"),
        *("convert a", "export a -o", "evaluate a --plots"),
    ],
)
def test_an_address_is_refused_by_every_command_that_writes(run, tmp_path, monkeypatch, command, place):
    monkeypatch.chdir(tmp_path)
    run(*command.split(), place).refused("is an address, not a path of this machine; give a local path")
    assert not list(tmp_path.iterdir())


def test_models_are_listed_as_published(run):
    names = ["st-gcn", "kbest-gcn-1", "kbest-gcn-7"]
    rows = json.loads("\n".join(run("models", "--json", *names).out))
    assert [row["name"] for row in rows] == names
    for row in rows:
        assert row["parameters"] == row["published_parameters"] == models.get(row["name"]).published.parameters
        assert row["agree"] is True
    assert rows[0]["parameters"] == 3_075_740


def test_models_are_listed_for_reading(run):
    outcome = run("models", "st-gcn")
    assert outcome.status == 0
    assert len(outcome.out) == 2
    assert re.search(r"st-gcn\s+in-motion-19\s+3,075,740\s+3,075,740\s+6.21\s+6.21\s+6.21\s+yes", outcome.out[1])
    run("models", "color").refused('unknown model "color"')
    assert run("models", "mam").out[1].endswith("interpretation")


def test_pose_networks_are_listed_for_both_skeletons(run):
    rows = json.loads("\n".join(run("models", "--json", "efficientpose-rt", "efficientpose-rt-lite").out))
    assert [(row["skeleton"], row["agree"]) for row in rows] == [
        ("mpii-16", True),
        ("in-motion-19", True),
        ("mpii-16", True),
        ("in-motion-19", None),
    ]
    assert all(row["executed_flops"] < row["flops"] for row in rows)
    lines = run("models", "efficientpose-rt").out
    assert re.search(r"efficientpose-rt\s+in-motion-19\s+481,336\s+481,336\s+0.96\s+0.96\s+0.78\s+yes", lines[2])


MEASURED = {
    "device": "a device",
    "compile_seconds": 1.5,
    "sample": "window",
    "samples_per_second": 20.0,
    "recording_milliseconds": 3550.0,
    "flops_per_second": 2e9,
    "share": 0.25,
    "program_mb": 80.0,
}
SPEED = ("--model", "st-gcn", "--batch-size", 1, "--seconds", 0.01, "--recording", 10)


def test_the_speed_of_a_network_is_measured_beside_a_matrix_product(run):
    outcome = run("benchmark", *SPEED, "--json")
    assert outcome.status == 0, outcome.err
    (found,) = json.loads("\n".join(outcome.out))
    assert (found["model"], found["batch_size"], found["devices"]) == ("st-gcn", 1, 1)
    assert found["compile_seconds"] > 0
    windows = len(window_starts(300))  # of ten seconds
    assert found["recording_milliseconds"] == pytest.approx(1e3 * windows / found["samples_per_second"])
    flops = found["samples_per_second"] * models.count_flops(models.get("st-gcn").build(), (150, 19, 2))
    assert found["flops_per_second"] == pytest.approx(flops)
    assert found["share"] == pytest.approx(flops / found["matmul_flops_per_second"])
    assert found["program_mb"] > 1


def test_a_training_step_is_measured_and_every_network_says_what_it_reads(run, monkeypatch):
    entry = replace(models.get("st-gcn"), build=Toy)
    monkeypatch.setattr(models, "get", lambda name: entry)
    outcome = run("benchmark", *SPEED, "--train", "--json")
    monkeypatch.undo()
    assert outcome.status == 0, outcome.err
    (found,) = json.loads("\n".join(outcome.out))
    assert (found["train"], found["recording_milliseconds"], found["sample"]) == (True, None, "window")
    counted = summarize(entry, counts=kept_counts()["st-gcn"]["in-motion-19"]).flops
    assert found["flops_per_second"] == pytest.approx(3 * counted * found["samples_per_second"])
    assert [models.get(name).sample for name in ("cima-pose", "asy-regression")] == ["image", "clip"]


def test_the_scaling_is_that_of_the_windows_of_a_device(run, monkeypatch):
    windows = {1: 20.0, 2: 30.0, 4: 80.0}

    def measure(config):
        return MEASURED | vars(config) | {"samples_per_second": windows[config.devices] * config.batch_size}

    monkeypatch.setattr(speed, "measure", measure)
    monkeypatch.setattr("jax.local_device_count", lambda: 4)
    outcome = run("benchmark", "--model", "st-gcn", "--batch-size", 1, 8, "--devices", 4, 1, 2, "--json")
    found = [(row["devices"], row["batch_size"], row["scaling"]) for row in json.loads("\n".join(outcome.out))]
    device, head, row = run("benchmark", "--model", "st-gcn", "--devices", 1).out
    assert (device, head.split()[:4]) == ("a device, random weights", ["network", "precision", "devices", "batch"])
    expected = ["st-gcn", "float32", "1", "8", "1.5", "160.0", "windows/s", "3550.0", "100%", "2.00", "25.0%", "80"]
    assert row.split() == expected
    assert found == [(4, 1, 1.0), (4, 8, 1.0), (1, 1, 1.0), (1, 8, 1.0), (2, 1, 0.75), (2, 8, 0.75)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--model", "color"), 'unknown model "color"'),
        (("--seconds", "0"), "seconds must be above 0"),
        (("--devices", "1000"), "devices must be at most 1, those of this process, got 1000"),
    ],
)
def test_options_of_benchmark_that_cannot_be_are_refused(run, options, message):
    run("benchmark", *options).refused(message)
