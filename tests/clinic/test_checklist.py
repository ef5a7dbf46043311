"""TRIPOD+AI and PROBAST+AI as tables."""

import re

import pytest

from infantjax.clinic import checklist
from infantjax.evaluation import risk, sample_size

RISKS, OUTCOMES = [0.9, 0.7, 0.2, 0.6, 0.1], [1, 1, 0, 0, 0]
PER_DOMAIN = {"development": (3, 4, 4, 5), "evaluation": (3, 4, 4, 7)}
"""Signaling questions of PROBAST+AI on participants and data sources, predictors, outcome, analysis."""


def probast_rows(facts: dict[str, str]) -> list[list[str]]:
    """Item, section, what and answer of every row."""
    section = checklist.markdown(facts).partition("## PROBAST+AI")[2]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| ")]
    return rows[2:]


@pytest.mark.parametrize(("part", "total"), [("development", 16), ("evaluation", 18)])
def test_probast_has_the_published_questions_of_both_parts(part, total):
    numbers = [row[0].removeprefix(f"{part} ") for row in probast_rows({}) if row[0].startswith(part)]
    questions = [number for number in numbers if re.fullmatch(r"\d\.\d", number)]
    assert questions == [f"{d}.{i}" for d, count in enumerate(PER_DOMAIN[part], 1) for i in range(1, count + 1)]
    assert len(questions) == total
    assert numbers.count("applicability") == 3


def test_nothing_is_reported_where_nothing_is_known():
    assert {row[3] for row in probast_rows({})} == {"not reported"}


def test_an_evaluation_answers_what_it_knows_and_nothing_of_the_development(tmp_path):
    path, settings = tmp_path / "risks.csv", {"at_sensitivity": None, "problems": ["x"]}
    path.write_text("id,risk\n")
    found, precisions = risk.evaluate(RISKS, OUTCOMES, resamples=20), sample_size.precision(RISKS, OUTCOMES)
    facts = checklist.collect_facts(found, precisions, {"risks": path}, settings)
    known = {item: answer for item, _, _, answer in probast_rows(facts) if answer != "not reported"}
    assert set(known) == {f"evaluation {number}" for number in ("1.1", "4.2", "4.3", "4.4", "4.7")}
    assert "5 infants, 2 with outcome 1" in known["evaluation 4.2"]
    assert "1 rows without a risk or an outcome" in known["evaluation 4.3"]
    assert known["evaluation 4.4"].startswith("2 of 5 infants have outcome 1")
    assert "calibration_slope" in known["evaluation 4.7"]
