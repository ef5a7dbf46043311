"""MAM in 3D: from lifted files, and lifting what is assessed."""

import json
from dataclasses import replace

import numpy as np
import pytest

from infantjax import cli, formats
from infantjax.assessment.gate import UNGATED
from infantjax.errors import InputError
from infantjax.formats.cohort import read_cohort
from infantjax.methods import registry
from infantjax.pose.lifting import Lifter
from infantjax.recording.quality import measure_quality
from infantjax.weights.ensemble import load_ensemble


@pytest.fixture(scope="module")
def ensemble(random_ensemble):
    """Reads 3D."""
    return random_ensemble("mam", preprocessing={"dimensions": 3}, localization_step=120)


@pytest.fixture
def flat(cohort_of, tmp_path):
    """A recording in 2D."""
    path = tmp_path / "infant.npz"
    formats.write(cohort_of("mam", 2).recordings[0], path)
    return path


def test_a_lifted_file_and_lifting_in_the_assessment_give_the_same_risk(ensemble, flat, lifting_weights, tmp_path):
    lifted = tmp_path / "lifted.npz"
    assert cli.run(["lift", str(flat), "-o", str(lifted), "--weights", str(lifting_weights), "--quiet"]) == 0
    assert formats.read(lifted).keypoints.shape[2] == 3
    expected = registry.assessor(load_ensemble(ensemble)).assess(formats.read(lifted), options=UNGATED)
    options = ["--method", "mam", "--ensemble", str(ensemble), "--lift", str(lifting_weights), "--quiet"]
    assert cli.run(["assess", str(flat), "-o", str(tmp_path / "results"), *options]) == 0
    record = json.loads((tmp_path / "results" / "infant.json").read_text())
    assert record["headline"]["value"] == pytest.approx(expected.value, rel=1e-5)
    assert any("trained on adults" in note for note in record["notes"])
    lifting = record["provenance"]["settings"]["lifting"]
    assert (lifting["weights"], lifting["reads"]) == (Lifter.load(lifting_weights).digest, "human36m-17")


def test_what_is_missing_for_3d_is_said_in_one_line(ensemble, flat, lifting_weights, random_ensemble):
    recording = formats.read(flat)
    with pytest.raises(InputError, match=r"has 2 coordinates, 3 are needed; .*--lift"):
        registry.assessor(load_ensemble(ensemble)).assess(recording)
    with pytest.raises(ValueError, match="reads 2D and needs no lifting"):
        registry.assessor(load_ensemble(random_ensemble("mam")), lifter=Lifter.load(lifting_weights))


def test_the_quality_in_2d_is_not_compared_with_recordings_in_3d(ensemble, flat, lifting_weights):
    moments = {"mean": {"missing": 0.5}, "spread": {"missing": 0.001}, "count": {"missing": 9}}
    trained = load_ensemble(ensemble)
    trained = replace(trained, info=replace(trained.info, moments=moments))
    lifter = Lifter.load(lifting_weights)
    found = [
        measure_quality(formats.read(flat), reference=registry.assessor(trained, **options).moments)
        for options in ({}, {"lifter": lifter})
    ]
    assert len(found[0].doubts) > len(found[1].doubts)


def test_a_cohort_stays_one_when_it_is_lifted(flat, lifting_weights, tmp_path):
    (flat.parent / "cohort").mkdir()
    flat.rename(flat.parent / "cohort" / "infant.npz")
    (flat.parent / "cohort" / "outcomes.csv").write_text("id;outcome\ninfant;1\n")
    arguments = ["lift", str(flat.parent / "cohort"), "-o", str(tmp_path / "lifted"), "--weights", str(lifting_weights)]
    assert cli.run([*arguments, "--quiet"]) == 0
    cohort = read_cohort(tmp_path / "lifted")
    assert [(r.name, r.keypoints.shape[2]) for r in cohort.recordings] == [("infant", 3)]
    assert cohort.outcomes == (1,)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{flat}", "-o", "{flat}"], "is also an input"),
        (["{clip}", "-o", "a.npz"], "give its keypoints: infantjax pose"),
        (["{flat}", "{lifted}", "-o", "a.npz"], "is one file for 2 inputs"),
        (["{flat}", "-o", "a.npz", "--image-size", "0", "480"], "must be above 0"),
        (["{flat}", "-o", "{lifted}"], "exists"),
    ],
)
def test_lift_refuses_in_one_line(arguments, message, flat, clip, lifting_weights, tmp_path, caplog):
    recording = formats.read(flat)
    lifted = tmp_path / "lifted.npz"
    formats.write(Lifter.load(lifting_weights)(recording), lifted)
    given = [argument.format(flat=flat, clip=clip, lifted=lifted) for argument in arguments]
    assert cli.run(["lift", *given, "--weights", str(lifting_weights)]) == 2
    assert message in caplog.text
    assert np.isfinite(formats.read(lifted).keypoints).any()
