"""Later scores by predicted class."""

import math

import numpy as np
import pytest
from scipy import stats

from infantjax.evaluation.columns import to_column
from infantjax.evaluation.later_scores import later_scores, two_way_anova


def test_the_difference_of_classes_is_that_of_students_test():
    rng = np.random.default_rng(0)
    predicted = (np.arange(40) % 3 == 0).astype(int)
    scores = rng.normal(100 - 10 * predicted, 12).round(1)
    cells = [f"{score}" if i % 9 else "" for i, score in enumerate(scores)]
    (row,) = later_scores([to_column("motor", cells)], predicted)
    known = np.arange(40) % 9 != 0
    expected = stats.ttest_ind(scores[known & (predicted == 0)], scores[known & (predicted == 1)])
    assert (row.n_0 + row.n_1, row.df) == (known.sum(), known.sum() - 2)
    assert (row.statistic, row.p) == (pytest.approx(expected.statistic), pytest.approx(expected.pvalue))
    assert row.difference.low < row.difference.value == row.mean_0 - row.mean_1 < row.difference.high


def test_effects_of_equal_cells_are_those_of_the_textbook():
    # Two by two with two values a cell: effects 4, 16 and 0 of squares, 2 left with 4 degrees of freedom.
    values, first, second = [1, 2, 4, 5, 2, 3, 5, 6], [0, 0, 0, 0, 1, 1, 1, 1], list("aabbaabb")
    a, b, both = two_way_anova(values, first, second)
    assert (a.f, b.f, both.f) == (pytest.approx(4), pytest.approx(36), pytest.approx(0, abs=1e-9))
    assert (a.df, a.residual_df) == (1, 4)
    assert a.p == pytest.approx(stats.f.sf(4, 1, 4))


def test_a_main_effect_is_what_it_explains_beyond_the_other():
    # All of the difference between the classes is one between the centers.
    rng = np.random.default_rng(1)
    center = np.repeat([0, 1], 40)
    predicted = (rng.random(80) < np.where(center, 0.8, 0.2)).astype(int)
    scores = rng.normal(100 + 15 * center, 3)
    alone, *rows = later_scores(
        [to_column("motor", [*map(str, scores)])], predicted, [to_column("center", [*map(str, center)])]
    )
    effects = {row.test: row for row in rows if not row.entry}
    assert alone.p < 1e-3
    assert effects["two-way ANOVA: prediction"].p > 0.05
    assert effects["two-way ANOVA: center"].p < 1e-6
    assert abs(effects["two-way ANOVA: prediction"].difference.value) < 2 < abs(alone.difference.value)
    assert [row.entry for row in rows if row.entry] == ["0", "1"]


def test_one_way_analysis_with_two_classes_is_the_t_test_squared():
    rng = np.random.default_rng(2)
    groups = rng.normal(0, 1, 12), rng.normal(1, 1, 9)
    effect, *_ = two_way_anova(np.concatenate(groups), [0] * 12 + [1] * 9, ["same"] * 21)
    assert effect.f == pytest.approx(stats.f_oneway(*groups).statistic)
    assert effect.p == pytest.approx(stats.ttest_ind(*groups).pvalue)


def test_what_cannot_be_tested_is_told():
    predicted = np.array([0] * 8 + [1] * 8)
    score = to_column("motor", [f"{90 + i}" for i in range(16)])
    none, *_ = later_scores([score], np.zeros(16, int))
    assert none.test == "none: a class of fewer than 5 infants"
    equal = to_column("motor", ["90"] * 16, "number")
    assert later_scores([equal], predicted)[0].test == "none: all values of a class are equal"
    small = to_column("center", list("aaaaaaaabbbbbbbb"))
    _, anova, *within = later_scores([score], predicted, [small])
    assert anova.test == "none: no two groups with 5 infants of each class"
    assert {row.test for row in within} == {"none: a class of fewer than 5 infants"}
    with pytest.raises(ValueError, match='"sex" must be a number'):
        later_scores([small._replace(name="sex")], predicted)


def test_effects_of_equal_values_or_cells_of_one_infant_are_not_defined():
    effects = two_way_anova([3.0] * 12, [0, 1] * 6, list("aaaabbbbcccc"))
    assert all(math.isnan(effect.p) for effect in effects)
    assert math.isnan(two_way_anova([1, 2, 3, 5], [0, 0, 1, 1], list("abab"))[0].p)


@pytest.mark.peers
def test_unequal_cells_are_those_of_statsmodels():
    sm = pytest.importorskip("statsmodels.formula.api")
    pd = pytest.importorskip("pandas")
    anova_lm = pytest.importorskip("statsmodels.stats.anova").anova_lm
    rng = np.random.default_rng(3)
    frame = pd.DataFrame({"y": rng.normal(size=50), "a": rng.integers(0, 2, 50), "b": rng.integers(0, 3, 50)})
    table = anova_lm(sm.ols("y ~ C(a) * C(b)", frame).fit(), typ=2)
    found = two_way_anova(frame.y, frame.a, frame.b)
    np.testing.assert_allclose([effect.f for effect in found], table["F"][:3])
    np.testing.assert_allclose([effect.p for effect in found], table["PR(>F)"][:3])
