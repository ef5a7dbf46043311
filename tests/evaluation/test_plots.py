"""Plots: they show what the modules compute; the same values give the same files."""

import sys
from xml.etree import ElementTree

import numpy as np
import pytest

from infantjax.clinic import plots as clinical_plots
from infantjax.clinic.columns import to_column
from infantjax.errors import MissingExtraError
from infantjax.evaluation import decision, discrimination, plots

pytest.importorskip("matplotlib")

LABELS = np.array([0, 1, 0, 1, 0, 0, 1, 0])
RISKS = {"first": np.array([0.1, 0.9, 0.4, 0.35, 0.2, 0.7, 0.8, 0.3]), "second": np.linspace(0.2, 0.9, 8)}


def line(axes, label):
    return next(line for line in axes.get_lines() if str(line.get_label()).startswith(label))


def test_the_roc_is_drawn_through_its_points():
    sensitivity, specificity, _ = discrimination.roc_curve(RISKS["first"], LABELS)
    drawn = line(plots.roc(RISKS, LABELS).axes[0], "first, AUC")
    np.testing.assert_array_equal(drawn.get_xdata(), 1 - specificity)
    np.testing.assert_array_equal(drawn.get_ydata(), sensitivity)


def test_the_decision_curve_is_drawn_beside_treating_all():
    axes = plots.decision_curve(RISKS, LABELS).axes[0]
    curve = decision.decision_curve(RISKS["second"], LABELS)
    np.testing.assert_array_equal(line(axes, "second").get_ydata(), curve["method"])
    np.testing.assert_array_equal(line(axes, "treat all").get_ydata(), curve["treat_all"])


def test_keypoints_that_are_never_found_stay_at_zero_and_those_without_annotation_are_left_out():
    errors = np.array([[0.1, np.inf, np.nan], [0.6, np.inf, np.nan]])
    axes = plots.correct_keypoints(errors, ["nose", "wrist", "ear"], "head").axes[0]
    nose = line(axes, "nose")
    assert [nose.get_ydata()[np.searchsorted(nose.get_xdata(), at)] for at in (0.05, 0.3, 0.9)] == [0, 0.5, 1]
    assert not np.any(line(axes, "wrist").get_ydata())
    assert [entry.get_label() for entry in axes.get_lines()] == ["nose", "wrist", "mean"]
    with pytest.raises(ValueError, match="no keypoint is annotated"):
        plots.correct_keypoints(np.full((2, 1), np.nan), ["nose"], "head")


def test_groups_have_a_box_and_a_point_for_each_infant():
    column = to_column("cost, $", ["a$b", "a$b", "c$", "c$", ""])
    figure = clinical_plots.groups([0.1, 0.2, 0.3, np.nan, 0.5], column)
    figure.canvas.draw()
    points = [mark.get_ydata().tolist() for mark in figure.axes[0].get_lines() if mark.get_marker() == "o"]
    assert points == [[0.1, 0.2], [0.3]]
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == [r"a\$b, 2", r"c\$, 1"]


def test_the_same_figures_give_the_same_files(tmp_path):
    paths = [plots.save(plots.risk_plots(RISKS, LABELS), tmp_path / name) for name in ("a", "b")]
    assert [path.name for path in paths[0]] == ["roc.svg", "reliability.svg", "decision_curve.svg"]
    for one, other in zip(*paths, strict=True):
        assert one.read_bytes() == other.read_bytes()
        assert ElementTree.fromstring(one.read_bytes()).tag.endswith("svg")
    assert not list((tmp_path / "a").glob(".tmp-*"))
    one_class = plots.risk_plots(RISKS, np.ones(8, int))
    assert [path.name for path in plots.save(one_class, tmp_path, "png")] == ["reliability.png", "decision_curve.png"]
    assert (tmp_path / "reliability.png").read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"this needs matplotlib: pip install .matplotlib>="):
        plots.roc(RISKS, LABELS)
