"""Clinical tables: their tests are those of SciPy, and what cannot be tested is told."""

import math

import numpy as np
import pytest
from scipy import stats

from infantjax.clinic.associations import (
    MIN_GROUP,
    characteristics,
    compare_groups,
    contribution_correlations,
    values_by_column,
)
from infantjax.clinic.columns import to_column


@pytest.fixture(scope="module")
def cohort():
    rng = np.random.default_rng(0)
    outcomes = (np.arange(60) % 3 == 0).astype(int)
    return rng.random(60).round(2), outcomes, rng


def test_table_one_counts_entries_and_missing_ones_by_outcome(cohort):
    _, outcomes, _ = cohort
    sex = ["" if i % 10 == 0 else "fm"[i % 2] for i in range(60)]
    whole, f, m = characteristics([to_column("sex", sex)], outcomes).itertuples()
    assert (whole.n_0, whole.n_1, whole.missing_0, whole.missing_1) == (36, 18, 4, 2)
    counts = [[f.n_0, f.n_1], [m.n_0, m.n_1]]
    assert np.sum(counts, axis=0).tolist() == [36, 18]
    assert f.outcome_0 == f"{f.n_0} ({100 * f.n_0 / 36:.1f} %)"
    assert whole.test == "chi-square"
    assert whole.p == pytest.approx(stats.chi2_contingency(counts).pvalue)


def test_numbers_are_compared_by_ranks_and_all_tests_of_a_table_are_adjusted(cohort):
    _, outcomes, rng = cohort
    ages = rng.normal(12, 2, (3, 60)).round(1)
    rows = characteristics([to_column(f"age{i}", [*map(str, age)]) for i, age in enumerate(ages)], outcomes)
    expected = [stats.mannwhitneyu(age[outcomes == 0], age[outcomes == 1]).pvalue for age in ages]
    assert rows["p"].tolist() == pytest.approx(expected)
    assert rows["holm"].min() == pytest.approx(min(1, 3 * min(expected)))
    assert rows["outcome_1"][0].startswith(f"{ages[0][outcomes == 1].mean():.4g} (")


def test_rare_entries_are_compared_by_fishers_test():
    # The lady tasting tea, twice the cups of one kind: 2 of 10 against 5 of 6.
    outcomes = [0] * 10 + [1] * 6
    row = characteristics([to_column("x", list("aabbbbbbbb" + "aaaaab"))], outcomes).iloc[0]
    assert row.test == "Fisher"
    assert row.p == pytest.approx(stats.fisher_exact([[2, 5], [8, 1]]).pvalue)
    three = [to_column("x", list("aabbbbbbcc" + "aaaaab"))]
    assert characteristics(three, outcomes).equals(characteristics(three, outcomes))
    assert 0 < characteristics(three, outcomes)["p"][0] < 0.2


def test_risks_by_group_are_tested_among_all_and_within_each_outcome(cohort):
    risks, outcomes, _ = cohort
    center = np.array([*"abc"] * 20)
    columns = [to_column("center", list(np.roll(center, 7)))]
    rows = [*values_by_column({"risk": risks}, columns, outcomes, 0.5).itertuples()]
    # Three centers and every third infant a case: a center holds cases only, or none.
    assert [r.n for r in rows if r.infants == "outcome 1" and not r.entry] == [20]
    whole = next(row for row in rows if row.infants == "all" and not row.entry)
    of = [risks[np.roll(center, 7) == entry] for entry in "abc"]
    assert whole.test == "Kruskal-Wallis"
    assert whole.p == pytest.approx(stats.kruskal(*of).pvalue)
    assert sum(row.positive for row in rows if row.infants == "all" and row.entry) == whole.positive


def test_a_column_of_infants_with_one_outcome_is_tested_once(cohort):
    risks, outcomes, _ = cohort
    subtype = [("unilateral" if i % 2 else "bilateral") if outcomes[i] else "" for i in range(60)]
    rows = [*values_by_column({"risk": risks}, [to_column("subtype", subtype)], outcomes).itertuples()]
    assert {row.infants for row in rows} == {"all"}
    assert (rows[0].n, rows[0].missing, rows[0].test) == (20, 40, "rank-sum")
    groups = [risks[[entry == name for entry in subtype]] for name in ("bilateral", "unilateral")]
    assert rows[0].p == pytest.approx(stats.mannwhitneyu(*groups).pvalue)


def test_numbers_are_correlated_with_the_risk_where_both_are_known(cohort):
    risks, _, rng = cohort
    age = [f"{value:.2f}" if i % 7 else "" for i, value in enumerate(rng.normal(12, 2, 60))]
    (row,) = values_by_column({"risk": risks}, [to_column("age", age)]).itertuples()
    known = [i for i in range(60) if age[i]]
    expected = stats.spearmanr(risks[known], [float(age[i]) for i in known])
    assert (row.n, row.statistic, row.p) == (
        len(known),
        pytest.approx(expected.statistic),
        pytest.approx(expected.pvalue),
    )


@pytest.mark.parametrize(
    ("groups", "told"),
    [
        ([np.arange(9.0), np.arange(MIN_GROUP - 1.0)], "none: no two groups of 5"),
        ([np.arange(9.0)], "none: no two groups of 5"),
        ([], "none: no two groups of 5"),
        ([np.ones(9), np.ones(7)], "none: all values are equal"),
    ],
)
def test_what_cannot_be_tested_is_told(groups, told):
    test, _, p = compare_groups(groups)
    assert test == told
    assert math.isnan(p)
    large = [np.arange(9.0), np.arange(3, 12.0)]
    test, _, p = compare_groups([*large, np.array([99.0])])
    assert (test, p) == ("rank-sum, 2 of 3 groups", pytest.approx(stats.mannwhitneyu(*large).pvalue))


def test_contributions_are_correlated_point_by_point_and_on_average(cohort):
    risks, _, rng = cohort
    contributions = {"nose": risks**2, "thorax": rng.random(60)}
    contributions["thorax"][:5] = np.nan
    mean, nose, thorax = contribution_correlations(contributions, risks).itertuples()
    assert (nose.keypoint, nose.n, nose.rho) == ("nose", 60, pytest.approx(1))
    assert (mean.n, thorax.n) == (55, 55)
    values = (contributions["nose"] + contributions["thorax"])[5:]
    assert mean.rho == pytest.approx(stats.spearmanr(values, risks[5:]).statistic)
    assert contribution_correlations({}, risks).empty
    assert contribution_correlations({"nose": np.ones(60)}, risks)["test"][1] == "none: all values are equal"
