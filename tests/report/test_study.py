"""The page of a training, from a folder whose content is known, and the charts of studies."""

import html.parser
import json
import re

import numpy as np
import pytest

from infantjax.errors import InputError
from infantjax.report.page import study_html
from infantjax.report.study import Chart, Section, Series
from infantjax.report.training import training_html

HOSTILE = "</title><script>document.documentElement.dataset.owned=1</script>\"' onload='1"


@pytest.fixture
def folder(tmp_path):
    """Makes the folder of a cross-validation of 20 recordings."""

    def make(runs=2, name="sim", value=lambda outcome, i: 0.2 + 0.5 * outcome + 0.01 * i, scores=False):
        ids = [f"{name}{i}" for i in range(20)]
        outcomes = [i % 4 == 0 for i in range(20)] if not scores else [3.0 + i for i in range(20)]
        entry = {"trained_on": 10, "best_epoch": 2, "epochs": 3, "status": "finished", "metrics": {"AUC": 0.75}}
        record = {
            "cohort": {"recordings": 20},
            "runs": [{**entry, "run": run, "held_out": ids[run::runs]} for run in range(runs)],
        }
        (tmp_path / "training.json").write_text(json.dumps(record))
        lines = [f"{run},{epoch},{1 / epoch + run},{2 / epoch},0.5" for run in range(runs) for epoch in (1, 2, 3)]
        (tmp_path / "history.csv").write_text("\n".join(["run,epoch,training_loss,validation_loss,auc", *lines]))
        rows = [f"{n},{i % runs},{float(o):g},{value(float(o), i)}" for i, (n, o) in enumerate(zip(ids, outcomes))]
        (tmp_path / "out_of_fold.csv").write_text("\n".join(["id,runs,outcome,value", *rows, "missing,0,1,"]))
        return tmp_path

    return make


def headings(page):
    return re.findall(r"<h2[^>]*>([^<]*)</h2>", page)


def test_the_page_of_a_cross_validation_has_roc_calibration_curves_and_runs_with_their_numbers(folder):
    page = training_html(folder(), "Ensemble", "Never validated.")
    assert headings(page) == ["ROC", "Calibration", "Training loss", "Validation loss", "Runs", "Limits"]
    assert "AUC 1.000" in page
    assert "5 with the outcome, 15 without" in page
    assert "5 of 20 held-out recordings with the outcome" in page
    assert len(re.findall(r'class="median faint', page)) == 4
    assert page.count('class="area') == 1
    assert "<script" not in page
    assert not re.search(r"https?:|\bnan\b", page)


def test_metrics_by_nested_choices_stand_beside_the_optimistic_ones(folder):
    path = folder()
    record = json.loads((path / "training.json").read_text())
    record["selection"] = {"epochs": None, "optimistic": {"AUC": 0.81, "Brier": None}, "nested": {"AUC": 0.62}}
    (path / "training.json").write_text(json.dumps(record))
    page = training_html(path, "Ensemble", "")
    shown = page.split("Choices</h2>")[1].split("</section>")[0]
    assert "Threshold and calibration chosen" in shown
    assert re.findall(r'class="number">([^<]*)</td>', shown) == ["0.81", "0.62", "–", "–"]


def test_one_run_is_a_training_and_scores_are_compared_point_by_point(folder):
    page = training_html(folder(1, scores=True, value=lambda outcome, i: outcome + 1), "Scores", "Never validated.")
    assert '<p class="kind">Training</p>' in page
    assert headings(page)[0] == "Scores"
    assert page.count('class="point') == 20


def test_the_ensemble_of_a_search_lists_the_runs_of_every_architecture(folder):
    path = folder()
    record = json.loads((path / "training.json").read_text())
    (path / "training.json").write_text(json.dumps({"cohort": record["cohort"], "architectures": [record, record]}))
    (path / "history.csv").unlink()
    page = training_html(path, "Ensemble", "")
    assert headings(page) == ["ROC", "Calibration", "Runs"]
    assert re.findall(r"<td><bdi>(\d\.\d)</bdi>", page) == ["1.0", "1.1", "2.0", "2.1"]
    table = (path / "out_of_fold.csv").read_text()
    (path / "out_of_fold.csv").write_text(re.sub(r",1,(0\.)", r",0,\1", table))
    assert headings(training_html(path, "Ensemble", "")) == ["Calibration", "Runs"]  # of one outcome
    (path / "training.json").unlink()
    with pytest.raises(InputError, match=r"cannot be read .*training\.json"):
        training_html(path, "Ensemble", "")


def test_names_and_statements_stay_text():
    chart = Chart(HOSTILE, HOSTILE, HOSTILE, (Series(HOSTILE, (0, 1), (0, 1)),))
    page = study_html(
        HOSTILE, HOSTILE, (HOSTILE,), (Section(HOSTILE, (HOSTILE,), chart, (HOSTILE,), ((HOSTILE,),)),), HOSTILE
    )
    tags: list[str] = []
    parser = html.parser.HTMLParser()
    parser.handle_starttag = lambda tag, attributes: tags.append(tag)
    parser.feed(page)
    assert "script" not in tags
    assert "onload='1" not in page


def test_a_chart_is_drawn_within_its_limits_and_broken_where_a_value_is_not_known():
    series = Series("a", [1, 2, 3, 4, 5], [1.0, 2.0, np.nan, 4.0, 5.0], low=[0] * 5, high=[6] * 5)
    drawn = Chart("", "epoch", "value", (series,)).drawn()
    (line,) = drawn["series"]
    assert line["path"] == "M0.0 833.3L250.0 666.7M750.0 333.3L1000.0 166.7"
    assert line["band"].startswith("M0.0 0.0L250.0 0.0")
    assert [label for _, label in drawn["x_ticks"]] == ["1", "2", "3", "4", "5"]
    assert [label for _, label in drawn["y_ticks"]] == ["0", "2", "4", "6"]


def test_long_series_are_thinned_and_constant_ones_drawn():
    drawn = Chart("", "x", "y", (Series("a", range(10_000), np.zeros(10_000)),)).drawn()
    assert 100 < drawn["series"][0]["path"].count("L") < 500
    assert "nan" not in drawn["series"][0]["path"]
