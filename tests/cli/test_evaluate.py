"""`infantjax evaluate`."""

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest

from infantjax.cli.evaluation.clinical import records
from infantjax.evaluation.decision import threshold_table


@pytest.fixture
def tables(tmp_path) -> tuple[Path, Path]:
    risks, outcomes = tmp_path / "risks.csv", tmp_path / "outcomes.csv"
    risks.write_text("id,risk\na,0.9\nb,0.7\nc,0.2\nd,0.6\ne,0.1\n")
    outcomes.write_text("id;outcome\na;1\nb;1\nc;0\nd;0\ne;0\n")
    return risks, outcomes


def test_evaluation_gives_the_figures_with_their_intervals(run, tables):
    outcome = run("evaluate", *tables, "--json")
    assert outcome.status == 0
    figures = json.loads("\n".join(outcome.out))
    assert figures["auc"][0] == 1
    assert figures["sensitivity"][0] == 1
    assert figures["specificity"][0] == pytest.approx(2 / 3)
    assert all(low <= value <= high for value, low, high in (f[:3] for f in figures.values() if None not in f))


def test_evaluation_is_printed_for_reading(run, tables):
    outcome = run("evaluate", *tables, "--threshold", 0.65)
    assert outcome.out[0] == "5 infants, 2 with outcome 1, threshold 0.65"
    tables[1].write_text("id;outcome\na;1\nb;1\n")
    figures = json.loads("\n".join(run("evaluate", *tables, "--json").out), parse_constant=pytest.fail)
    assert (figures["auc"], figures["sensitivity"][0]) == ([None] * 3, 1)
    run("evaluate", *tables, "--at-sensitivity", 0.7, "--quiet").refused("one class only")
    assert any(re.fullmatch(r"specificity\s+1\.000\s+\(0\.\d{3} to 1\.000\)", line) for line in outcome.out)


@pytest.mark.parametrize(
    ("risks", "outcomes", "message"),
    [
        ("", "id;outcome\na;1\n", "risks.csv: is empty"),
        ("id,score\na,1\n", "id;outcome\na;1\n", "needs a column id and a column risk"),
        ("id,risk\na,1.5\n", "id;outcome\na;1\n", r"line 2 has risk 1.5, must be within 0..1"),
        ("id,risk\na,high\n", "id;outcome\na;1\n", "line 2.*high"),
        ("id,risk\na,0.5\n", "id;outcome\nb;1\n", "holds no infant with a risk and an outcome"),
        ("file,id,value_name,value\nx/a,a,risk,0.2\ny/a,a,risk,0.8\n", "id;outcome\na;1\n", 'are both named "a"'),
        ("id,risk\na,0.5\n", None, "has no column outcome; give the table of outcomes too"),
    ],
)
def test_tables_that_cannot_be_evaluated_are_refused(run, tables, risks, outcomes, message):
    tables[0].write_text(risks)
    if outcomes is not None:
        tables[1].write_text(outcomes)
    run("evaluate", *(tables if outcomes is not None else tables[:1]), "--quiet").refused(message)


@pytest.fixture
def more(tables) -> Path:
    """Risks of a second method, and a column of sexes."""
    tables[1].write_text("id;outcome;sex\na;1;f\nb;1;m\nc;0;f\nd;0;m\ne;0;\n")
    path = tables[0].with_name("others.csv")
    path.write_text("id,risk\nb,0.3\na,0.8\nc,0.4\nd,0.9\nz,0.5\n")
    return path


def test_two_methods_are_compared_on_the_infants_that_both_have(run, tables, more):
    more.write_text("id,risk\nb,0.3\na,0.8\nc,0.4\nd,0.9\n")
    outcome = run("evaluate", *tables, "--baseline", more, "--json")
    assert outcome.status == 0
    row = json.loads("\n".join(outcome.out))["comparisons"][str(more)]["sensitivity"]
    assert (row["first"], row["second"], row["p"], row["holm"]) == (1, 0.5, 1, 1)
    assert any("1 infants are in one of the two tables only" in line for line in outcome.err)


def test_several_methods_are_compared_with_corrected_p_values(run, tables, more, tmp_path):
    third = tmp_path / "third.csv"
    third.write_text("id,risk\na,0.1\nb,0.2\nc,0.9\nd,0.9\ne,0.8\n")
    outcome = run("evaluate", *tables, "--baseline", more, "--baseline", third, "--test", "published")
    assert any("overstates significance" in line for line in outcome.err)
    assert outcome.status == 0
    assert [line for line in outcome.out if line.startswith("against")] == [f"against {more}", f"against {third}"]
    assert sum(line.endswith("Holm") for line in outcome.out) == 2


def test_recordings_of_one_infant_are_not_taken_as_independent(run, tables):
    tables[1].write_text("id;outcome;group\na;1;x\nb;1;x\nc;0;y\nd;0;z\ne;0;z\n")
    outcome = run("evaluate", *tables)
    assert outcome.out[0] == "5 recordings of 3 infants, 1 with outcome 1, threshold 0.5"
    assert any("some infants have several recordings: intervals are bootstraps over infants" in e for e in outcome.err)
    whole = run("evaluate", *tables, "--per-infant", "--json")
    assert whole.err == []
    assert json.loads("\n".join(whole.out))["specificity"][0] == 1  # z has a mean risk of 0.35
    run("evaluate", *tables, "--per-infant", "--subgroups", "group", "--quiet").refused("gives no subgroups")
    tables[1].write_text("id;outcome;group\na;1;x\nb;0;x\nc;0;\nd;0;\ne;0;\n")
    run("evaluate", *tables, "--quiet").refused('outcomes.csv: gives recordings of infant "x" different outcomes')


def test_subgroups_and_the_threshold_of_a_sensitivity_are_printed(run, tables, more):
    outcome = run("evaluate", *tables, "--subgroups", "sex", "--at-sensitivity", 0.9)
    assert outcome.out[0].endswith("threshold 0.7")
    assert "f: 2 infants, 1 with outcome 1, threshold 0.7" in outcome.out
    assert "not given: 1 infants, 0 with outcome 1, threshold 0.7" in outcome.out
    tables[1].write_text("id;outcome;age\n" + "".join(f"{i};{i % 2};{i}\n" for i in range(21)))
    tables[0].write_text("id,risk\n" + "".join(f"{i},0.5\n" for i in range(21)))
    run("evaluate", *tables, "--subgroups", "age", "--quiet").refused('has 21 different entries in column "age"')


def test_an_evaluation_is_plotted(run, tables, more, tmp_path):
    pytest.importorskip("matplotlib")
    assert run("evaluate", *tables, "--baseline", more, "--plots", tmp_path / "plots").status == 0
    assert {p.name for p in (tmp_path / "plots").iterdir()} == {"roc.svg", "reliability.svg", "decision_curve.svg"}
    run("evaluate", *tables, "--plots", tables[0], "--quiet").refused("risks.csv: is also an input")
    (tmp_path / "file").write_text("x")
    run("evaluate", *tables, "--plots", tmp_path / "file", "--quiet").refused("file: cannot be written")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--subgroups", "age"], 'outcomes.csv: has no entries in a column "age"; those with entries are sex'),
        (["--at-sensitivity", 1.5], "--at-sensitivity: is 1.5, must be above 0 and at most 1"),
        (["--baseline", "none.csv"], "none.csv"),
    ],
)
def test_options_of_evaluate_that_cannot_be_are_refused(run, tables, more, options, message):
    run("evaluate", *tables, *options, "--quiet").refused(re.escape(message))


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("y,0.1,1\n", "no infant of the first table"),
        ("a,0.1,1\na,0.2,1\n", "some infants have several risks"),
        ("a,0.9,0\n", "differ in the outcomes"),
    ],
)
def test_risks_that_cannot_be_paired_are_refused(run, tables, more, rows, message):
    tables[0].write_text("id,risk,outcome\na,0.9,1\nb,0.2,0\n")
    more.write_text("id,risk,outcome\n" + rows)
    run("evaluate", tables[0], "--baseline", more, "--quiet").refused(message)


def test_the_risks_of_a_cross_validation_are_evaluated(run, tmp_path):
    (tmp_path / "out_of_fold.csv").write_text("id,runs,outcome,value\na,0,1,0.9\nb,1,0,0.2\nc,0 1,0,\n")
    outcome = run("evaluate", tmp_path / "out_of_fold.csv")
    assert outcome.out[0] == "2 infants, 1 with outcome 1, threshold 0.5"
    assert any("has no risk" in line for line in outcome.err)


def test_a_checklist_holds_what_the_run_knows_and_says_what_is_not_reported(run, tables, more, tmp_path):
    path = tmp_path / "checklist.md"
    outcome = run("evaluate", *tables, "--subgroups", "sex", "--at-sensitivity", 0.9, "--checklist", path)
    assert outcome.status == 0
    text = path.read_text()
    assert [line for line in text.splitlines() if line.startswith("## ")] == ["## TRIPOD+AI", "## PROBAST+AI"]
    rows = [line.split(" | ") for line in text.splitlines() if line.startswith("| ") and "---" not in line]
    assert all(len(row) == 4 for row in rows)
    answers = {row[0].removeprefix("| "): row[3].removesuffix(" |") for row in rows}
    assert answers["20a"] == "5 infants, 2 with outcome 1"
    assert "auc 1.000" in answers["23a"]
    assert "chosen on these infants at sensitivity 0.9, which is optimistic" in answers["15"]
    assert "f: 2 infants" in answers["23b"]
    assert "auc: expected width of the 95 % interval" in answers["10"]
    assert answers["17"] == answers["18a"] == answers["8c"] == "not reported"
    assert len([item for item in answers if re.match(r"\d", item)]) == 52
    run("evaluate", *tables, "--checklist", tables[0], "--quiet").refused("risks.csv")


def test_the_checklist_of_out_of_fold_risks_tells_of_the_development(run, tmp_path):
    risks = tmp_path / "out_of_fold.csv"
    risks.write_text("id,runs,outcome,value\na,0,1,0.9\nb,1,0,0.2\nc,0,0,0.95\n")
    record = {"method": "m", "settings": {"a|b": 1}, "runs": [{}, {}], "cohort": {"recordings": 3, "sha256": "0" * 64}}
    for content, told in ((json.dumps(record), True), ('{"runs": 3}', False), ("[", False)):
        (tmp_path / "training.json").write_text(content)
        assert run("evaluate", risks, "--checklist", tmp_path / "checklist.md").status == 0
        text = (tmp_path / "checklist.md").read_text()
        assert ("3 recordings, 2 runs" in text) == told
        assert ('method m, settings {"a\\|b": 1}' in text) == told
        assert ("runs that did not train on it" in text) == told
    record["selection"] = {"optimistic": {"AUC": 0.9}, "nested": {"AUC": 0.75}}
    (tmp_path / "training.json").write_text(json.dumps(record))
    assert run("evaluate", risks, "--checklist", tmp_path / "checklist.md").status == 0
    assert "AUC 0.900, and 0.750 by choices of the other folds (nested)" in (tmp_path / "checklist.md").read_text()


@pytest.fixture
def clinic(tmp_path) -> tuple[Path, Path]:
    """Risks of 24 infants with columns of their table of outcomes, and the records of their assessments."""
    rng = np.random.default_rng(0)
    risks, outcomes = ["id,risk"], ["id;outcome;group;gmfcs;center;age;motor"]
    for i in range(24):
        risk, case = round(float(rng.random()), 3), int(i % 2 == 0)
        risks.append(f"i{i},{risk}")
        center, age = ("=Oslo", "Chicago")[i // 12], f"{rng.normal(12, 1):.1f}"
        outcomes.append(f"i{i};{case};g{i};{'I' if case else ''};{center};{age};{90 - 10 * risk + i % 5:.1f}")
        record = {"contributions": {"nose": risk**2}, "quality": {"summary": {"usable": 1 - risk / 2}}}
        (tmp_path / f"i{i}.json").write_text(json.dumps(record))
    (tmp_path / "risks.csv").write_text("\n".join(risks))
    (tmp_path / "outcomes.csv").write_text("\n".join(outcomes))
    return tmp_path / "risks.csv", tmp_path / "outcomes.csv"


def test_clinical_tables_are_printed_and_written(run, clinic, tmp_path):
    folder = tmp_path / "tables"
    outcome = run(
        "evaluate", *clinic, "--by", "gmfcs", "center", "age", "--scores", "motor", "-o", folder, "--plots", folder
    )
    assert outcome.status == 0
    names = {"thresholds", "table_one", "risk_by_column", "contributions", "later_scores", "tracking"}
    assert {path.stem for path in folder.glob("*.csv")} == names
    assert {path.stem for path in folder.glob("risk_by_*.svg")} == {"risk_by_gmfcs", "risk_by_center"}
    page = (folder / "clinical.html").read_text()
    assert "Later scores by predicted class" in page
    assert "<bdi>=Oslo</bdi>" in page
    assert 'note: column "gmfcs" is a category, 12 missing' in outcome.err
    assert 'note: column "age" is a number, 0 missing' in outcome.err
    with (folder / "table_one.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["entry"] for row in rows if row["column"] == "center"] == ["", "'=Oslo", "Chicago"]
    assert any(re.match(r" *mean of keypoints +24 +Spearman +1 ", line) for line in outcome.out)
    assert any(re.match(r" *usable +all +center +24 ", line) for line in outcome.out)


def test_clinical_tables_that_cannot_be_made_are_refused(run, clinic):
    (row,) = records(threshold_table([0.2, 0.4], [0, 1], [0.3]))
    assert json.loads(json.dumps(row, allow_nan=False))["lr_positive"] is None
    run("evaluate", *clinic, "--by", "clothing", "--quiet").refused('no entries in a column "clothing"; those with')
    run("evaluate", *clinic, "--by", "gmfcs:number", "--quiet").refused(
        '"gmfcs" has the entry "I", which is not a number'
    )
    run("evaluate", *clinic, "--scores", "center", "--quiet").refused('"center" must be a number')
    clinic[0].rename(clinic[0].with_name("thresholds.csv"))
    table = clinic[0].with_name("thresholds.csv")
    run("evaluate", table, clinic[1], "-o", table.parent, "--quiet").refused("is also an input")


@pytest.fixture
def scored(tmp_path) -> tuple[Path, Path]:
    """Out-of-fold scores of three infants with two visits each."""
    values, outcomes = tmp_path / "out_of_fold.csv", tmp_path / "outcomes.csv"
    scores = {"a": (10, 12), "b": (20, 24), "c": (30, 33), "d": (40, 39), "e": (50, 45), "f": (60, 66)}
    values.write_text("id,runs,outcome,value\n" + "".join(f"{n},0,{m},{p}\n" for n, (m, p) in scores.items()))
    outcomes.write_text("id;outcome;group;sex\n" + "".join(f"{n};{m};{n in 'abc'};m\n" for n, (m, _) in scores.items()))
    return values, outcomes


def test_scores_of_crossval_are_evaluated_beside_the_mean_score(run, scored, tmp_path):
    found = json.loads("\n".join(run("evaluate", scored[0], "--json").out))
    assert found["recordings"] == 6
    assert "infants" not in found
    assert found["mean_absolute_error"][0] == pytest.approx(21 / 6)
    assert found["mean_absolute_error_of_mean"][0] == pytest.approx(18)
    outcome = run("evaluate", *scored, "--subgroups", "sex", "--plots", tmp_path / "plots", "--json")
    assert any("take recordings as independent" in line for line in outcome.err)
    found = json.loads("\n".join(outcome.out))
    assert found["infants"] == 2
    assert found["rmse_of_mean"][0] == pytest.approx((2 * (40**2 + 30**2 + 20**2) / 6) ** 0.5)
    assert found["subgroups"]["m"]["icc"] == found["icc"]
    assert [path.name for path in (tmp_path / "plots").iterdir()] == ["bland_altman.svg"]


def test_scores_of_assess_and_of_other_tables_are_evaluated(run, scored):
    scored[0].write_text("file,id,value_name,value\nx,a,score,12\ny,d,score,39.5\n")
    assert run("evaluate", *scored).out[0] == "2 recordings, errors in points of the score"
    scored[0].write_text("id;guess\na;12,5\nd;39\n")
    assert run("evaluate", *scored, "--score-column", "guess").out[1].split()[:2] == ["mean_absolute_error", "1.750"]


@pytest.mark.parametrize("options", [["--by", "sex"], ["--threshold", 0.3], ["--per-infant"]])
def test_options_of_risks_are_refused_of_scores(run, scored, options):
    run("evaluate", *scored, *options, "--quiet").refused(f"{options[0]}.*cannot be used with scores")
