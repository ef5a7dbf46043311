"""The assessments of the methods of one network: what they say, and the reports of them."""

from dataclasses import replace

import jax
import jsonschema
import numpy as np
import pytest

from infantjax.assessment.gate import UNGATED, NotAssessable
from infantjax.errors import InputError
from infantjax.methods import registry
from infantjax.methods.baby_moves import preprocessing as phones
from infantjax.methods.mam import preprocessing as motion
from infantjax.methods.mam.inference import frequency, localize, video_logit
from infantjax.report import schema
from infantjax.report.table import Row
from infantjax.weights.ensemble import load_ensemble

NETWORKS = ("mam", "baby-moves", "sma-cnn", "cp-gcn-29")


@pytest.fixture(scope="module")
def assessments(assessors, cohort_of):
    """The assessment of one recording by each method."""
    return {name: assessor.assess(cohort_of(name, 2).recordings[0], "0" * 64) for name, assessor in assessors.items()}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_method_gives_a_record_a_page_and_a_row_of_the_same_form(name, assessments):
    assessment = assessments[name]
    record, page = assessment.to_dict(), assessment.to_html()
    jsonschema.Draft202012Validator(schema()).validate(record)
    assert record["method"]["name"] == name
    assert record["provenance"]["input"] == {"sha256": "0" * 64}
    assert "Not validated on infants" in page
    assert assessment.statement in page
    for quantity in (assessment.headline, *assessment.quantities):
        assert quantity.label[1:] in page
        assert f"{quantity.value:.2f}" in page
    assert assessment.fidelity_note in page
    row = Row.of("a.csv", record)
    assert (row.method, row.value_name) == (name, assessment.headline.name)
    assert row.low <= row.high


@pytest.mark.parametrize("name", ["mam", "baby-moves"])
def test_a_risk_is_the_median_of_the_networks_and_decides_at_the_threshold(name, assessments):
    assessment = assessments[name]
    values = np.array([member.value for member in assessment.members])
    assert assessment.value == pytest.approx(np.median(values))
    assert assessment.positive == (assessment.value >= 0.5)
    assert assessment.decision == assessment.classes[assessment.positive]
    assert assessment.agreement == ((values >= 0.5) == assessment.positive).mean()


def test_fms_frequency_and_intervals_are_those_of_the_median_network(assessments, assessors, cohort_of):
    assessment, assessor = assessments["mam"], assessors["mam"]
    method, recording = assessor.method, cohort_of("mam", 2).recordings[0]
    positions, _ = method.prepare(recording)
    each = [localize(assessor.network, v, positions, method.training, step=60) for v in assessor.variables]
    starts = motion.localization_starts(len(positions), 120, 60)
    median = assessment.time_series.median
    np.testing.assert_allclose(median, np.median(each, axis=0), atol=1e-6)
    share, quantity = frequency(median, starts, 120), assessment.quantities[0]
    assert (quantity.name, quantity.value, quantity.low) == ("fms_frequency", *share[:2])
    calls = median > 0.5
    assert len(assessment.intervals) == (np.diff(np.concatenate([[0], calls.astype(int)])) == 1).sum()


@pytest.mark.slow
def test_a_videos_log_odds_are_those_of_the_whole_network(assessors, cohort_of):
    assessor = assessors["mam"]
    method, recording = assessor.method, cohort_of("mam", 2).recordings[0]
    positions, _ = method.prepare(recording)
    starts = motion.clip_starts(len(positions), 120, 60)
    clips, real = motion.cut(positions, starts, 120)
    x = motion.inputs(np.asarray(clips, np.float32), method.training.inputs)
    expected, _ = jax.jit(assessor.network.apply)(assessor.variables[0], x[None], None, real[None])
    found = video_logit(assessor.network, assessor.variables[0], positions, None, method.training, starts=starts)
    assert found == pytest.approx(float(expected[0]), abs=1e-5)


def test_attention_of_baby_moves_spans_the_recording(assessments):
    assessment = assessments["baby-moves"]
    series = assessment.time_series
    assert len(series.start) == 547
    # 4500 frames stretch over the recording, whatever its length.
    assert series.start[-1] + series.length == pytest.approx(assessment.duration, rel=0.01)


@pytest.mark.parametrize(("name", "how"), [("cp-gcn-29", "grad-cam++"), ("baby-moves", "saliency")])
def test_contributions_by_another_method_change_no_risk(name, how, ensembles, assessments, cohort_of):
    assessor = registry.assessor(load_ensemble(ensembles[name]), explain=how)
    found = assessor.assess(cohort_of(name, 2).recordings[0])
    assert found.value == pytest.approx(assessments[name].value, abs=1e-6)
    shares = np.array(list(found.contributions.values()))
    assert (shares >= 0).all()
    assert 0.3 < shares.max() <= 1
    assert found.contributions != assessments[name].contributions
    assert len(found.window_contributions) == len(found.contributions)


def test_a_method_that_explains_otherwise_refuses(ensembles):
    with pytest.raises(ValueError, match=r"explain must be one of saliency, got .grad-cam\+\+"):
        registry.assessor(load_ensemble(ensembles["baby-moves"]), explain="grad-cam++")


def test_a_network_without_calibration_does_not_count(ensembles, cohort_of):
    ensemble = load_ensemble(ensembles["baby-moves"])
    curves = ensemble.info.extra["calibrations"]
    recording = cohort_of("baby-moves", 2).recordings[0]
    half = replace(ensemble, info=replace(ensemble.info, extra={"calibrations": [None, curves[1]]}))
    assessment = registry.assessor(half).assess(recording)
    assert assessment.value == assessment.members[1].value
    assert assessment.to_dict()["members"][0]["value"] is None
    assert "1 of 2 networks could not be calibrated and do not count" in assessment.notes
    with pytest.raises(InputError, match="has no calibrated network"):
        registry.assessor(replace(ensemble, info=replace(ensemble.info, extra={"calibrations": [None, None]})))


def test_the_windows_of_a_score_start_where_they_were_cut(assessors, cohort_of):
    assessor, recording = assessors["sma-cnn"], cohort_of("sma-cnn", 1).recordings[0]
    keypoints = recording.keypoints.copy()
    keypoints[150:155] = np.nan
    assessment = assessor.assess(replace(recording, keypoints=keypoints))
    series = assessment.time_series
    # 150 frames before the gap give one window of 120, the 205 behind it one too.
    np.testing.assert_allclose(series.start * 30, [0, 155])
    assert series.limits[0] <= 0
    assert series.limits[1] >= 72
    assert assessment.quantities[0].value == pytest.approx(assessment.value)
    assert (assessment.decision, assessment.threshold) == ("", None)


# --- what tracking faults leave ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NETWORKS)
def test_a_clean_recording_gives_the_same_with_and_without_the_measures_of_quality(
    name, assessments, assessors, cohort_of
):
    gated = assessments[name]
    assert gated.assessable
    usable = gated.quality.usable
    assert usable.all()
    ungated = assessors[name].assess(cohort_of(name, 2).recordings[0], options=UNGATED)
    assert gated.value == ungated.value
    assert gated.members == ungated.members
    np.testing.assert_array_equal(gated.time_series.median, ungated.time_series.median)


@pytest.mark.parametrize("name", NETWORKS)
def test_clips_with_tracking_faults_count_neither_in_the_value_nor_over_time(name, assessors, cohort_of):
    assessor, recording = assessors[name], cohort_of(name, 2).recordings[0]
    converted = assessor.convert(recording)
    whole, _ = assessor.predict(converted)
    usable = np.ones(int(np.ceil(recording.duration)), bool)
    usable[:2] = False
    found, _ = assessor.predict(converted, usable)
    series, kept = found.time_series, found.time_series.usable
    assert 0 < kept.sum() < len(kept)
    # Five hundredths of a clip may be unusable.
    overlap = np.clip(2 - series.start, 0, series.length)
    np.testing.assert_array_equal(kept, overlap <= 0.05 * series.length)
    assert np.isnan(series.median[~kept]).all()
    # Another number of clips in a call may change the last bit.
    np.testing.assert_allclose(series.median[kept], whole.time_series.median[kept], rtol=1e-6)
    assert found.value != whole.value
    with pytest.raises(NotAssessable):
        assessor.predict(converted, np.zeros_like(usable))


def test_attention_of_baby_moves_is_the_mean_over_the_clips_that_are_left(assessors, cohort_of):
    assessor = assessors["baby-moves"]
    network, variables = assessor.network, assessor.variables[0]
    converted = assessor.convert(cohort_of("baby-moves", 2).recordings[0])
    series = assessor.method.series(assessor.method.standardize(converted))[:320]
    starts = phones.clip_starts(320)
    present = np.arange(len(starts)) % 3 > 0
    clips = series[starts[present][:, None] + np.arange(128)][None]
    apply = jax.jit(network.apply)
    alone, _ = apply(variables, clips)
    masked, aux = apply(variables, series[None], present=present[None])
    assert masked[0] == pytest.approx(float(alone[0]), abs=1e-5)
    weights, features = np.asarray(aux["attention"][0]), np.asarray(aux["clips"][0])
    expected = (weights[:, None] * features)[present].mean(0)
    np.testing.assert_allclose(aux["pooled"][0], expected, rtol=0, atol=1e-5)


def test_the_interval_of_the_fms_frequency_counts_only_what_is_left():
    sure = np.full(2, 0.9)
    # Two clips far apart say as much as two side by side, not as much as all between them.
    assert frequency(sure, np.array([0, 4000]), 240) == frequency(sure, np.array([0, 240]), 240)
