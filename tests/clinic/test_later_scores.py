"""Later scores by predicted class."""

import numpy as np
import pytest
from scipy import stats

from infantjax.clinic.columns import to_column
from infantjax.clinic.later_scores import later_scores


def test_the_difference_of_classes_is_that_of_students_test():
    rng = np.random.default_rng(0)
    predicted = (np.arange(40) % 3 == 0).astype(int)
    scores = rng.normal(100 - 10 * predicted, 12).round(1)
    cells = [f"{score}" if i % 9 else "" for i, score in enumerate(scores)]
    (row,) = later_scores([to_column("motor", cells)], predicted).itertuples()
    known = np.arange(40) % 9 != 0
    expected = stats.ttest_ind(scores[known & (predicted == 0)], scores[known & (predicted == 1)])
    assert (row.n_0 + row.n_1, row.df) == (known.sum(), known.sum() - 2)
    assert (row.statistic, row.p) == (pytest.approx(expected.statistic), pytest.approx(expected.pvalue))
    assert row.difference_low < row.difference == row.mean_0 - row.mean_1 < row.difference_high


def test_a_main_effect_is_what_it_explains_beyond_the_other():
    # All of the difference between the classes is one between the centers.
    rng = np.random.default_rng(1)
    center = np.repeat([0, 1], 40)
    predicted = (rng.random(80) < np.where(center, 0.8, 0.2)).astype(int)
    scores = rng.normal(100 + 15 * center, 3)
    columns = to_column("motor", [*map(str, scores)]), to_column("center", [*map(str, center)])
    alone, *rows = later_scores(columns[:1], predicted, columns[1:]).itertuples()
    effects = {row.test: row for row in rows if not row.entry}
    assert alone.p < 1e-3
    assert effects["two-way ANOVA: prediction"].p > 0.05
    assert effects["two-way ANOVA: center"].p < 1e-6
    assert abs(effects["two-way ANOVA: prediction"].difference) < 2 < abs(alone.difference)
    assert [row.entry for row in rows if row.entry] == ["0", "1"]


def test_what_cannot_be_tested_is_told():
    predicted = np.array([0] * 8 + [1] * 8)
    score = to_column("motor", [f"{90 + i}" for i in range(16)])
    assert later_scores([score], np.zeros(16, int))["test"][0] == "none: a class of fewer than 5 infants"
    equal = to_column("motor", ["90"] * 16, "number")
    assert later_scores([equal], predicted)["test"][0] == "none: all values of a class are equal"
    small = to_column("center", list("aaaaaaaabbbbbbbb"))
    _, anova, *within = later_scores([score], predicted, [small]).itertuples()
    assert anova.test == "none: no two groups with 5 infants of each class"
    assert {row.test for row in within} == {"none: a class of fewer than 5 infants"}
    with pytest.raises(ValueError, match='"center" must be a number'):
        later_scores([small], predicted)


def test_effects_on_values_that_the_groups_explain_wholly_are_not_defined():
    predicted, center = np.arange(24) % 2, np.arange(24) // 12
    columns = to_column("motor", [f"{90 + p}" for p in predicted], "number"), to_column("center", [*map(str, center)])
    rows = later_scores(columns[:1], predicted, columns[1:])
    assert rows["test"].str.startswith("two-way ANOVA").sum() == 3
    assert rows["p"][rows["test"].str.startswith("two-way ANOVA")].isna().all()
