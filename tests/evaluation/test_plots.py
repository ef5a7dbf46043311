"""Pictures: what is drawn is what the modules compute, and files are whole, the same for the same figures."""

import sys
from xml.etree import ElementTree

import numpy as np
import pytest

from infantjax.errors import MissingExtraError
from infantjax.evaluation import decision, discrimination, plots

pytest.importorskip("matplotlib")

LABELS = np.array([0, 1, 0, 1, 0, 0, 1, 0])
RISKS = {"first": np.array([0.1, 0.9, 0.4, 0.35, 0.2, 0.7, 0.8, 0.3]), "second": np.linspace(0.2, 0.9, 8)}


def line(axes, label):
    return next(line for line in axes.get_lines() if str(line.get_label()).startswith(label))


def test_the_roc_is_drawn_through_its_points():
    curve = discrimination.roc_curve(RISKS["first"], LABELS)
    drawn = line(plots.roc(RISKS, LABELS).axes[0], "first, AUC")
    np.testing.assert_array_equal(drawn.get_xdata(), 1 - curve.specificity)
    np.testing.assert_array_equal(drawn.get_ydata(), curve.sensitivity)


def test_the_decision_curve_is_drawn_beside_everybody():
    axes = plots.decision_curve(RISKS, LABELS).axes[0]
    curve = decision.decision_curve(RISKS["second"], LABELS)
    np.testing.assert_array_equal(line(axes, "second").get_ydata(), curve.method)
    np.testing.assert_array_equal(line(axes, "everybody").get_ydata(), curve.everybody)


def test_keypoints_that_are_never_found_stay_at_zero_and_those_without_annotation_are_left_out():
    errors = np.array([[0.1, np.inf, np.nan], [0.6, np.inf, np.nan]])
    axes = plots.correct_keypoints(errors, ["nose", "wrist", "ear"], "head").axes[0]
    nose = line(axes, "nose")
    assert [nose.get_ydata()[np.searchsorted(nose.get_xdata(), at)] for at in (0.05, 0.3, 0.9)] == [0, 0.5, 1]
    assert not np.any(line(axes, "wrist").get_ydata())
    assert [entry.get_label() for entry in axes.get_lines()] == ["nose", "wrist", "mean"]
    with pytest.raises(ValueError, match="no keypoint is annotated"):
        plots.correct_keypoints(np.full((2, 1), np.nan), ["nose"], "head")


SUBJECTS, MEASURED = ["a", "b", "a", "b", "b"], np.array([10.0, 40, 20, 50, 60])
SCORES = {"mean": np.array([12.0, 43, 16, 50, 60]), "median": np.array([10.0, 44, 20, 52, 63])}


def test_errors_of_windows_are_drawn_infant_by_infant():
    axes = plots.window_errors(SCORES["mean"], MEASURED, SUBJECTS).axes[0]
    np.testing.assert_array_equal(line(axes, "window").get_ydata(), [2, 3, 4, 0, 0])
    np.testing.assert_array_equal(np.round(line(axes, "window").get_xdata()), [0, 1, 0, 1, 1])
    np.testing.assert_array_equal(line(axes, "mean").get_ydata(), [3, 1])
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["a", "b"]


def test_errors_of_infants_are_drawn_for_every_way_to_one_score():
    axes = plots.subject_errors(SCORES, MEASURED, SUBJECTS).axes[0]
    assert [[bar.get_height() for bar in bars] for bars in axes.containers] == [[3, 1], [0, 3]]


def test_scores_of_an_infant_stand_side_by_side_with_the_measured_ones():
    axes = plots.scores(SCORES, MEASURED, SUBJECTS).axes[0]
    np.testing.assert_array_equal(line(axes, "measured").get_ydata(), [10, 20, 40, 50, 60])
    np.testing.assert_array_equal(line(axes, "median").get_ydata(), [10, 20, 44, 52, 63])
    with pytest.raises(ValueError, match="samples need"):
        plots.scores(SCORES, MEASURED, SUBJECTS[:4])


def test_one_class_has_no_roc():
    assert set(plots.risk_figures(RISKS, np.ones(8, int))) == {"reliability", "decision_curve"}


def test_the_same_figures_give_the_same_files(tmp_path):
    paths = [plots.save(plots.risk_figures(RISKS, LABELS), tmp_path / name) for name in ("a", "b")]
    assert [path.name for path in paths[0]] == ["roc.svg", "reliability.svg", "decision_curve.svg"]
    for one, other in zip(*paths, strict=True):
        assert one.read_bytes() == other.read_bytes()
        assert ElementTree.fromstring(one.read_bytes()).tag.endswith("svg")
    assert not list((tmp_path / "a").glob(".tmp-*"))


def test_png_is_written_on_request(tmp_path):
    (path,) = plots.save({"roc": plots.roc(RISKS, LABELS)}, tmp_path, "png")
    assert path.name == "roc.png"
    assert path.read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r'matplotlib: pip install "infantjax\[analysis\]"'):
        plots.roc(RISKS, LABELS)
