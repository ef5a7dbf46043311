"""From a recording or file to an assessment, with an ensemble of random weights."""

import json
from dataclasses import replace

import jax
import numpy as np
import pytest
from jax import monitoring

from infantjax import formats as readers
from infantjax import models
from infantjax.assessment import aggregation
from infantjax.assessment.batch import ReadOptions, assess_files
from infantjax.assessment.gate import UNGATED
from infantjax.errors import InputError
from infantjax.methods.ensemble_gcn.architecture import Architecture
from infantjax.methods.ensemble_gcn.assess import EnsembleGcnAssessor
from infantjax.recording import features
from infantjax.recording.preprocessing import REFERENCE, standardize
from infantjax.recording.recording import Recording
from infantjax.settings import to_settings
from infantjax.skeletons import COCO_17, IN_MOTION_19
from infantjax.weights import import_movement_outcome
from infantjax.weights.ensemble import Ensemble, EnsembleInfo, Member, load_ensemble

COMPILED = "/jax/core/compile/backend_compile_duration"


@pytest.fixture(scope="module")
def ensemble(ensemble_folder) -> Ensemble:
    return load_ensemble(ensemble_folder)


@pytest.fixture(scope="module")
def assessor(ensemble) -> EnsembleGcnAssessor:
    """Compiled once for the module."""
    made = EnsembleGcnAssessor(ensemble)
    made.compile()
    return made


def like(assessor: EnsembleGcnAssessor, **options) -> EnsembleGcnAssessor:
    """An assessor with other options that shares the compiled program of `assessor`."""
    other = EnsembleGcnAssessor(assessor.ensemble, **options)
    other._program = assessor._program
    return other


@pytest.fixture
def compilations():
    """Grows by one whenever XLA compiles a program."""
    seen = []

    def listen(event, duration, **_):
        if event == COMPILED:
            seen.append(duration)

    monitoring.register_event_duration_secs_listener(listen)
    yield seen
    monitoring.unregister_event_duration_listener(listen)


# --- what the figures are --------------------------------------------------------------------------------------------


def test_risks_are_the_networks_on_each_window_by_itself(ensemble, assessor, record):
    recording = record(400)
    positions = standardize(recording, REFERENCE).keypoints.astype(np.float32)
    member = ensemble.members[0]
    module = models.get("st-gcn").build(**member.overrides)
    risks, apply = np.empty((2, 5)), jax.jit(module.apply)
    for run in range(2):
        variables = jax.tree.map(lambda leaf, i=run: leaf[i], member.variables)
        for number, start in enumerate((0, 75, 150, 225, 250)):
            x = features.build_features(positions[start : start + 150], IN_MOTION_19, ("position",))[None]
            risks[run, number] = jax.nn.softmax(apply(variables, x)[0])[0, 1]
    found = assessor.assess(recording)
    # Compiled, and several windows at a time: the sums run in another order than here.
    assert found.value == pytest.approx(aggregation.infant_risk(risks), abs=1e-5)
    np.testing.assert_allclose(
        [member.value for member in found.members], aggregation.network_risks(risks), rtol=0, atol=1e-5
    )
    np.testing.assert_allclose(found.time_series.median, risks.mean(0), rtol=0, atol=1e-5)
    np.testing.assert_allclose(found.time_series.q1, 0.75 * risks.min(0) + 0.25 * risks.max(0), rtol=0, atol=1e-5)
    np.testing.assert_allclose(found.time_series.q3, 0.25 * risks.min(0) + 0.75 * risks.max(0), rtol=0, atol=1e-5)
    np.testing.assert_array_equal(found.time_series.start, np.array([0, 75, 150, 225, 250]) / 30)
    # The figures would agree by chance if all networks and windows gave the same.
    assert np.abs(risks[0] - risks[1]).min() > 1e-3
    assert np.ptp(risks[0]) > 1e-4


def test_the_result_says_what_it_depends_on(assessor, record):
    found = assessor.assess(record(300), source_digest="abc")
    assert [(member.model, member.index) for member in found.members] == [("st-gcn", 0), ("st-gcn", 1)]
    assert found.provenance["ensemble"] == assessor.ensemble.digest
    assert found.provenance["models"] == [{"model": "st-gcn", "networks": 2}]
    assert found.provenance["settings"]["preprocessing"] == to_settings(REFERENCE)
    assert found.provenance["input"] == {"sha256": "abc"}
    assert found.provenance["history"]
    assert (found.validated, found.statement) == (False, "Stated by its author: Random weights, made for a test.")
    assert set(found.contributions) == set(IN_MOTION_19.joints)
    assert found.movement.shape == (100, 19, 2)
    assert found.movement_fps == 10


def test_the_threshold_decides_and_its_rule_is_named(assessor, record):
    recording = record(300)
    risk = assessor.assess(recording).value
    assert assessor.assess(recording).threshold == 0.5
    for rule, positive in (("fraction", False), ("quartile", True)):
        found = like(assessor, threshold=risk, rule=rule).assess(recording)
        assert (found.value, found.positive, found.certainty.rule) == (risk, positive, rule)
    below = like(assessor, threshold=np.nextafter(risk, 0)).assess(recording)
    assert below.positive
    lowest, highest = like(assessor, threshold=0.0).assess(recording), like(assessor, threshold=1.0).assess(recording)
    assert (lowest.certainty.level, lowest.agreement) == ("red", 1)
    assert (highest.certainty.level, highest.agreement) == ("green", 1)
    assert set(lowest.time_series.certainty) == {"red"}


def test_contributions_of_the_first_model_leave_the_others_out(ensemble, record):
    one = ensemble.members[0]
    first, second = (
        Member(one.model, jax.tree.map(lambda a, i=i: a[i : i + 1], one.variables), one.overrides) for i in (0, 1)
    )
    program = EnsembleGcnAssessor(Ensemble((first, second), ensemble.info))._program
    program.compile()
    found = {}
    for name, members, of in (("all", (first, second), "all"), ("first", (first, second), "first_model")):
        made = EnsembleGcnAssessor(Ensemble(members, ensemble.info), contributions_of=of)
        made._program = program
        found[name] = made.assess(record(300))
    alone = EnsembleGcnAssessor(Ensemble((first,), ensemble.info)).assess(record(300))
    assert found["first"].contributions == pytest.approx(alone.contributions, abs=1e-6)
    assert found["all"].contributions != found["first"].contributions
    assert found["all"].value == found["first"].value != alone.value


# --- one program for every length ------------------------------------------------------------------------------------


def test_another_explanation_changes_the_contributions_alone(ensemble, assessor, record):
    usual, other = (each.assess(record(300)) for each in (assessor, EnsembleGcnAssessor(ensemble, explain="saliency")))
    assert other.value == pytest.approx(usual.value, abs=1e-6)
    assert other.contributions != usual.contributions
    assert 0.3 < max(other.contributions.values()) <= 1
    assert other.provenance["settings"]["contributions"] == "saliency"
    assert other.contributions_label != usual.contributions_label


def test_recordings_of_any_length_are_assessed_without_compiling_again(assessor, record, compilations):
    assessor.assess(record(400))
    jax.jit(lambda x: x + len(compilations))(1.0)
    assert compilations, "nothing would be counted"
    compilations.clear()
    for frames in (150, 151, 600, 4321):
        assessor.assess(record(frames))
    assert not compilations


def test_one_window_gives_the_same_in_any_company(assessor, record):
    """The last chunk is filled up with copies; what else is in a chunk must not leak."""
    positions = standardize(record(600), REFERENCE).keypoints.astype(np.float32)
    (whole,), starts = assessor._program.scores(positions)
    for number in (0, 3):
        (alone,), _ = assessor._program.scores(positions[starts[number] : starts[number] + 150])
        np.testing.assert_array_equal(alone.risk[:, 0], whole.risk[:, number])
        np.testing.assert_array_equal(alone.contributions[:, 0], whole.contributions[:, number])


# --- the same bytes --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def files(tmp_path_factory, record):
    """Three recordings as files, two of the same length."""
    folder = tmp_path_factory.mktemp("recordings")
    paths = [folder / f"orgcoords_{name}.csv" for name in ("one", "two", "three")]
    for seed, (path, frames) in enumerate(zip(paths, (700, 320, 700))):
        readers.write(record(frames, seed), path, "orgcoords-csv")
    return paths


@pytest.fixture(scope="module")
def batch(files, assessor, tmp_path_factory):
    """JSON bytes of the three files assessed together, by file name."""
    output = tmp_path_factory.mktemp("together")
    assess_files(files, output, assessor, ReadOptions(fps=30.0))
    return {path.name: path.read_bytes() for path in output.glob("*.json")}


def test_a_file_alone_gives_the_bytes_that_it_gives_in_a_batch(files, assessor, batch, tmp_path):
    assert len(batch) == 3
    for path in reversed(files):
        assess_files([path], tmp_path / path.stem, assessor, ReadOptions(fps=30.0))
        (written,) = (tmp_path / path.stem).glob("*.json")
        assert written.read_bytes() == batch[written.name]


# --- what is refused -------------------------------------------------------------------------------------------------


def refusal(call, *args, **options) -> str:
    with pytest.raises(InputError) as caught:
        call(*args, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_joint_that_is_never_seen_is_named(assessor, record):
    recording = record(300)
    keypoints = recording.keypoints.copy()
    keypoints[:, [IN_MOTION_19.index("nose"), IN_MOTION_19.index("left_knee")]] = np.nan
    message = refusal(assessor.assess, replace(recording, keypoints=keypoints, name="anna"))
    assert message.startswith("anna: missing nose, left_knee, which the networks need; ")


def test_a_joint_that_is_seen_now_and_then_is_interpolated_and_reported(assessor, record):
    recording = record(300)
    keypoints = recording.keypoints.copy()
    keypoints[100:130, IN_MOTION_19.index("nose")] = np.nan
    found = assessor.assess(replace(recording, keypoints=keypoints))
    assert found.missing["nose"] == pytest.approx(0.1)
    assert found.missing["thorax"] == 0
    assert any("interpolated" in note for note in found.notes)


@pytest.fixture
def coco(record):
    """A recording of another keypoint set: some of the ensemble's joints have to be approximated."""
    rng = np.random.default_rng(3)
    rest = {name: rng.uniform(200, 400, 2) for name in COCO_17.joints}
    for side, x in (("right", 250), ("left", 350)):
        rest[f"{side}_shoulder"], rest[f"{side}_hip"] = np.array([x, 200]), np.array([x, 400])
    keypoints = np.stack([rest[name] for name in COCO_17.joints]) + rng.normal(0, 2, (300, 17, 2))
    return Recording(keypoints, 30.0, COCO_17, name="coco")


def test_approximated_points_are_listed_and_strict_refuses_them(assessor, coco):
    found = assessor.assess(coco)
    assert found.skeleton == "in-motion-19"
    assert {"thorax", "pelvis"} <= set(found.approximated)
    message = refusal(like(assessor, strict=True).assess, coco)
    assert message.startswith("coco: ")
    assert "thorax" in message


def test_a_recording_shorter_than_a_window_is_refused_with_both_lengths(assessor, record):
    assert refusal(assessor.assess, record(149)).startswith("recording: lasts 5.0 s, shorter than a window of 5 s")
    assert "lasts 4.0 s, shorter than a window of 5 s" in refusal(assessor.assess, record(120))
    assert len(assessor.assess(record(150)).time_series.median) == 2


def test_three_coordinates_are_refused(assessor, record):
    flat = record(200)
    keypoints = np.concatenate([flat.keypoints, flat.keypoints[..., :1]], axis=-1)
    assert "has three coordinates, the networks read two" in refusal(
        assessor.assess, replace(flat, keypoints=keypoints)
    )


def test_weights_of_another_architecture_are_refused_by_the_first_array_that_differs(ensemble, record):
    member = ensemble.members[0]
    wider = Member("st-gcn", member.variables, {"widths": [4, 6]})
    message = refusal(EnsembleGcnAssessor(Ensemble((wider,), ensemble.info)).assess, record(200))
    assert message.startswith("weights of st-gcn: ")
    assert "the network needs" in message
    other = Member("kbest-gcn-2", member.variables)
    assert refusal(EnsembleGcnAssessor(Ensemble((other,), ensemble.info)).compile).startswith(
        "weights of kbest-gcn-2: "
    )
    unknown = Member("st-gcn", member.variables, {"depth": 3})
    assert "name settings that the network does not take" in refusal(
        EnsembleGcnAssessor(Ensemble((unknown,), ensemble.info)).compile
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"skeleton": "in-motion-20"}, 'unknown skeleton "in-motion-20"'),
        ({"skeleton": None}, "skeleton must be str"),
        ({"skeleton": "coco-17"}, "its skeleton coco-17 has no trunk"),
        ({"preprocessing": {"fps": 0}}, "fps must be above 0"),
        ({"preprocessing": {"fps": 1e6}}, "fps must be above 0 and at most 1000"),
        ({"preprocessing": {"speed": 1}}, "unknown setting .preprocessing.speed"),
        ({"preprocessing": None}, "it has no preprocessing"),
        ({"threshold": 1.5}, "threshold must be within 0..1"),
        ({"threshold": float("nan")}, "threshold must be within 0..1"),
        ({"threshold": "high"}, "threshold must be float"),
        ({"validated": "false"}, "validated must be bool"),
    ],
)
def test_an_ensemble_whose_settings_make_no_sense_is_refused(ensemble, change, message):
    def assessor() -> EnsembleGcnAssessor:
        return EnsembleGcnAssessor(Ensemble(ensemble.members, EnsembleInfo.from_dict(ensemble.info.to_dict() | change)))

    with pytest.raises((InputError, ValueError), match=message):
        assessor()


def test_an_ensemble_without_a_setting_or_of_an_unknown_model_is_refused(ensemble):
    for name in ("skeleton", "preprocessing", "threshold"):
        info = replace(ensemble.info, **{name: getattr(EnsembleInfo(), name)})
        assert name in refusal(EnsembleGcnAssessor, Ensemble(ensemble.members, info))
    member = Member("resnet-50", ensemble.members[0].variables)
    assert 'unknown model "resnet-50"' in refusal(EnsembleGcnAssessor, Ensemble((member,), ensemble.info))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": -0.1}, "threshold must be within 0..1, got -0.1"),
        ({"threshold": float("nan")}, "threshold must be within 0..1, got nan"),
        ({"rule": "majority"}, "rule must be one of fraction, quartile, got 'majority'"),
        ({"contributions_of": "last"}, "contributions_of must be one of all, first_model, got 'last'"),
    ],
)
def test_a_wrong_option_is_refused_with_the_allowed_ones(ensemble, options, message):
    with pytest.raises(ValueError, match=message):
        EnsembleGcnAssessor(ensemble, **options)


# --- the reference ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def reference(shared):
    """The published program's result for one infant and fourteen networks, and ours from the same file."""
    folder = shared / "golden" / "predict"
    expected = json.loads((folder / "results.json").read_text())
    members, logits = [], []
    with np.load(folder / "models_and_logits.npz") as archive:
        z = dict(archive)
    for search in ("search0", "search1"):
        architecture = Architecture.from_choices(json.loads(str(z[f"{search}/config"])))
        networks = []
        for fold in range(1, 8):
            prefix = f"{search}/fold{fold}/"
            state = {name.removeprefix(prefix): a for name, a in z.items() if name.startswith(f"{prefix}state/")}
            networks.append(import_movement_outcome(state, architecture))
            logits.append(z[f"{prefix}logits"])
        stacked = jax.tree.map(lambda *leaves: np.stack(leaves), *networks)
        members.append(Member("kbest-gcn-1", stacked, architecture.to_choices()))
    info = EnsembleInfo(skeleton="in-motion-19", preprocessing=REFERENCE, threshold=0.5)
    assessor = EnsembleGcnAssessor(Ensemble(tuple(members), info), rule="quartile", contributions_of="first_model")
    recording = readers.read(folder / f"orgcoords_{expected['infant']}.csv", fps=30.0)
    return expected["results"], np.stack(logits), assessor, recording


@pytest.fixture(scope="module")
def chain(reference):
    """Our assessment, and the scores behind it."""
    _, _, assessor, recording = reference
    positions = standardize(recording, REFERENCE).keypoints.astype(np.float32)
    scores, _ = assessor._program.scores(positions)
    return assessor.assess(recording, options=UNGATED), scores


def assert_is(found, expected, joints=IN_MOTION_19.joints):
    """The tolerances are those that the reference states."""
    assert found.value == pytest.approx(expected["risk"], abs=1e-6)
    assert (found.threshold, found.positive) == (expected["threshold"], expected["positive"])
    assert (found.certainty.level in ("red", "green")) == expected["certain"]
    np.testing.assert_allclose([found.contributions[j] for j in joints], expected["cam"], rtol=0, atol=1e-4)


def test_the_whole_chain_from_file_to_risk_and_contributions_is_the_reference(reference, chain):
    assert_is(chain[0], reference[0]["ensemble"])


def test_window_risks_of_every_network_are_those_of_the_reference(reference, chain):
    logits = reference[1].astype(np.float64)
    expected = np.exp(logits)[..., 1] / np.exp(logits).sum(-1)
    np.testing.assert_allclose(np.concatenate([s.risk for s in chain[1]]), expected, rtol=0, atol=1e-5)


def test_a_single_model_is_the_reference_too(reference, chain):
    expected, _, assessor, recording = reference
    single = EnsembleGcnAssessor(Ensemble(assessor.ensemble.members[:1], assessor.ensemble.info), rule="quartile")
    program = assessor._program
    single._program = replace(program, members=program.members[:1], _programs=program._programs[:1])
    assert_is(single.assess(recording, options=UNGATED), expected["single"])
