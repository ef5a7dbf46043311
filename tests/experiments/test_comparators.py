"""The table of comparators: thresholds of other folds, infants that count once, clips, and runs that go on."""

import numpy as np
import pytest
from baseline_methods import protocol, table
from baseline_methods.catalog import COMPARATORS, FeatureClassifier
from baseline_methods.protocol import Clip, Problem, Sample

from infantjax.errors import InputError
from infantjax.recording.cohort import Cohort
from infantjax.recording.recording import Recording
from infantjax.skeletons import IN_MOTION_19
from infantjax.training.splits import Split
from infantjax.video import Frame


def cohort(outcomes, groups=None):
    recordings = tuple(Recording(np.zeros((2, 19, 2)), 30.0, IN_MOTION_19, name=f"r{i}") for i in range(len(outcomes)))
    return Cohort(recordings, tuple(outcomes), groups)


def problem(outcomes, held_out, groups=None):
    rows = range(len(outcomes))
    splits = tuple(Split(tuple(r for r in rows if r not in held), tuple(held)) for held in held_out)
    return Problem(cohort(outcomes, groups), splits)


def test_the_threshold_of_a_fold_is_that_of_the_infants_of_the_others():
    risks, labels = np.array([0.1, 0.9, 0.3, 0.4, 0.35, 0.2]), np.array([0, 1, 0, 1, 0, 1])
    fold = np.array([0, 0, 0, 1, 1, 1])
    # The second half alone: 0.4 separates best; the first half alone: 0.9.
    np.testing.assert_array_equal(table.decide(risks, labels, fold), [0, 1, 0, 0, 0, 0])
    relabelled = np.concatenate([labels[:3], 1 - labels[3:]])
    np.testing.assert_array_equal(table.decide(risks, relabelled, fold)[3:], [0, 0, 0])


def test_an_infant_counts_once_and_methods_are_compared_with_the_first():
    """Eight recordings of four infants; the second method is right for all of them."""
    outcomes, groups = [0, 0, 1, 1, 0, 0, 1, 1], tuple("aabbccdd")
    asked = problem(outcomes, [(0, 1, 2, 3), (4, 5, 6, 7)], groups)
    worse, right = np.array([0.9, 0.1, 0.4, 0.2, 0.25, 0.25, 0.8, 0.8]), np.array(outcomes) * 0.8
    rows = {"histograms-lda": table.Row(worse, 9, 0.5, 2.0), "histograms-forest": table.Row(right, None, 0.5, 1.0)}
    found = table.table(rows, asked, COMPARATORS).set_index("method")
    # Means of the infants: a 0.5, b 0.3, c 0.25, d 0.8; of single recordings the AUC would be 10 / 16.
    assert found.auc["histograms-lda"] == 3 / 4
    assert found.loc["histograms-forest", ["auc", "sensitivity", "specificity"]].tolist() == [1, 1, 1]
    assert np.isnan(found.p_auc["histograms-lda"])
    assert 0 <= found.p_auc["histograms-forest"] <= 1
    text = found.reset_index().to_csv(index=False, float_format="%.4g").splitlines()
    assert text[0].startswith("method,reads,auc,auc_low,auc_high,sensitivity,")
    assert text[1].endswith(",1,,,9,0.5,2,-")
    assert text[2].endswith(",,0.5,1,-")


# Some folds of so few infants hold one outcome, of which scikit-learn warns in some versions.
@pytest.mark.filterwarnings("ignore:Only one class")
@pytest.mark.filterwarnings("ignore:One or more of the test scores")
@pytest.mark.parametrize("classifier", ["logistic", "forest"])
def test_the_features_of_held_out_recordings_change_no_other_risk(classifier, monkeypatch):
    monkeypatch.setattr("baseline_methods.classifiers.TREES", 20)
    monkeypatch.setattr("baseline_methods.classifiers.PENALTIES", (1.0,))
    outcomes = [0, 1] * 10
    asked = problem(outcomes, [tuple(range(10)), tuple(range(10, 20))])
    x = np.random.default_rng(0).normal(size=(20, 3)) + np.array(outcomes)[:, None]
    method = FeatureClassifier("keypoints", lambda sample: x[0], classifier)
    found = method.cross_fit(list(x), asked)
    changed = x.copy()
    changed[0] += 100
    again = method.cross_fit(list(changed), asked)
    np.testing.assert_array_equal(again.risks[1:10], found.risks[1:10])
    assert not np.array_equal(again.risks[10:], found.risks[10:])
    assert found.parameters == (4 if classifier == "logistic" else None)


class Film:
    """Frames of 30 per second; frame k has the gray value k."""

    fps, path = 30.0, "film.mp4"

    def __iter__(self):
        return (Frame.from_array(k, k / 30, "", np.full((40, 60, 3), k, np.uint8)) for k in range(90))


def test_a_clip_has_ten_gray_squares_a_second():
    clip = protocol.clip_of(Film(), 32, 2.0)
    assert (clip.frames.shape, clip.fps) == ((20, 32, 32), 10)
    np.testing.assert_allclose(clip.frames[:, 5, 5], np.arange(0, 60, 3), atol=2)


def test_what_gives_no_clip_is_named():
    slow = Film()
    slow.fps = 5.0
    with pytest.raises(InputError, match="has 5 frames per second"):
        protocol.clip_of(slow, 32, 2.0)
    with pytest.raises(InputError, match="r0: has no video; name the folder of the videos by --videos"):
        COMPARATORS["flow-svm"].prepare(Sample(cohort([0]).recordings[0], None))


def test_a_video_without_movement_has_zeros_where_nothing_is_defined():
    still = Sample(cohort([0]).recordings[0], Clip(np.full((12, 8, 8), 7, np.uint8), 10.0))
    np.testing.assert_array_equal(COMPARATORS["differencing-logistic"].prepare(still), 0)
