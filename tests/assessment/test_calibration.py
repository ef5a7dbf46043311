"""What an assessment says of its risk as a probability, on every surface."""

import csv
import io
import json
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from types import SimpleNamespace

import numpy as np
import pytest

from infantjax.assessment.assessment import Assessment, Prediction, Quantity, TimeSeries
from infantjax.assessment.assessor import Assessor
from infantjax.errors import InputError
from infantjax.evaluation.risk_calibration import RiskCalibration, RiskOptions
from infantjax.recording.recording import Recording
from infantjax.report import page, table
from infantjax.report.glance import Glance
from infantjax.simulation import InfantConfig, simulate
from infantjax.weights.ensemble import Ensemble, EnsembleInfo, Member


@dataclass(frozen=True, eq=False)
class Fixed(Assessor):
    """A method whose two networks give fixed values."""

    ensemble: Ensemble
    headline: str = "risk"
    values: tuple[float, float] = (0.9, 0.94)

    @property
    def description(self):
        texts = {"title": "Fixed", "source": "a test", "fidelity": "exact", "fidelity_note": ""}
        return SimpleNamespace(name="fixed", **texts)

    @property
    def settings(self):
        return {}

    def convert(self, recording: Recording) -> Recording:
        return recording

    def predict(self, converted, usable=None):
        value = float(np.median(self.values))
        prediction = Prediction(
            headline=Quantity(self.headline, f"{self.headline} of a test", value),
            time_series=TimeSeries("value", *[np.zeros(1)] * 4, 1.0),
            members=self.members(self.values),
            threshold=0.5,
            classes=("no CP", "CP"),
            positive=value > 0.5,
        )
        return prediction, converted


def calibration(n: int = 60) -> dict:
    rng = np.random.default_rng(0)
    outcomes = (np.arange(n) % 3 == 0).astype(int)
    risks = np.clip(0.25 + 0.5 * outcomes + rng.normal(0, 0.2, n), 0.01, 0.99)
    folds = [i % 2 for i in range(n)]
    return RiskCalibration.fit(risks.tolist(), outcomes.tolist(), [str(i) for i in range(n)], folds).to_dict()


@pytest.fixture(scope="module")
def recording() -> Recording:
    return simulate(5, InfantConfig(duration=12.0, dropout_rate=0), name="infant")


@pytest.fixture(scope="module")
def assess(recording) -> Callable[..., Assessment]:
    def assess(content: dict | None = None, options: RiskOptions | None = None, **others) -> Assessment:
        info = EnsembleInfo(statement="For a test.", calibration=content)
        ensemble = Ensemble((Member("fixed", {"params": np.zeros((2, 1), np.float32)}),), info)
        return Fixed(ensemble, **others).with_risk_options(options or RiskOptions()).assess(recording)

    return assess


def surfaces(assessment: Assessment) -> dict[str, str]:
    record = assessment.to_dict()
    row = table.Row.of("infant.csv", record)
    return {
        "json": json.dumps(record),
        "page": page.to_html(record, assessment.movement, assessment.movement_fps),
        "summary": table.summary_csv([row]),
        "index": page.index_html([Glance(row)]),
    }


def test_an_ensemble_with_out_of_fold_risks_gives_a_probability_and_a_set(assess):
    found = assess(calibration())
    assert found.value == pytest.approx(0.92)
    given = found.calibration
    assert 0.9 < given.risk < 1
    assert (given.conformal_set, given.error) == ("above", 0.1)
    assert found.cohort.infants == (40, 20)
    assert [sum(counts) for counts in found.cohort.counts] == pytest.approx([40, 20])
    assert found.cohort.lower[0] == 40
    assert found.cohort.lower[1] < 20
    shown = surfaces(found)
    assert "Calibrated risk" in shown["page"]
    assert "conformal set “above”, wrong for about 10\N{NO-BREAK SPACE}% of either" in shown["page"]
    (row,) = csv.DictReader(io.StringIO(shown["summary"]))
    assert float(row["calibrated_risk"]) == pytest.approx(given.risk, abs=1e-5)
    assert (row["conformal_set"], row["conformal_error"], row["prevalence"]) == ("above", "0.1", "0.333333")
    assert "calibrated 0.9" in str(table.Row.of("infant.csv", found.to_dict()))


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "holds no out-of-fold risks"), (calibration(15), "are too few")]
)
def test_a_risk_without_a_map_is_called_no_probability_everywhere(assess, content, reason):
    found = assess(content)
    assert math.isnan(found.calibration.risk)
    for name, shown in surfaces(found).items():
        assert "The risk is no probability: " in shown, name
        assert reason in shown, name
        assert "calibrated 0" not in shown, name


def test_what_an_unsigned_ensemble_says_of_its_calibration_is_its_authors_word_everywhere(assess):
    for name, shown in surfaces(assess(calibration())).items():
        assert "Stated by its author: The calibrated risk is a probability for infants like" in shown, name


def test_the_networks_of_each_fold_are_compared_with_what_they_held_out(assess):
    # Both folds must find the risk strange for an infant without the outcome.
    assert assess(calibration(), values=(0.9, 0.9)).calibration.conformal_set == "above"
    assert assess(calibration(), values=(0.25, 0.99)).calibration.conformal_set == "cannot tell"


def test_a_prevalence_and_an_error_change_the_meaning_and_the_provenance_but_not_the_risk(assess):
    here, there = assess(calibration()), assess(calibration(), RiskOptions(0.2, 0.01))
    assert here.value == there.value
    assert there.calibration.risk < here.calibration.risk
    assert (there.calibration.prevalence, there.calibration.error) == (0.01, 0.2)
    assert here.provenance["calibration"] == {"error": 0.1, "prevalence": None}
    assert there.provenance["calibration"] == {"error": 0.2, "prevalence": 0.01}


@pytest.mark.parametrize("content", [None, calibration(15)])
def test_a_prevalence_needs_a_calibration_map(assess, content):
    with pytest.raises(InputError, match="--prevalence: needs an ensemble with a calibration map; this one has none"):
        assess(content, RiskOptions(prevalence=0.1))


def test_a_headline_that_is_no_risk_has_no_calibration(assess):
    found = assess(calibration(), headline="score")
    assert found.calibration is None
    assert found.to_dict()["calibration"] is None
    assert "probability" not in "".join(surfaces(found).values())


def test_a_calibration_that_cannot_be_read_is_one_line(assess):
    with pytest.raises(InputError, match=r"^ensemble: cannot be used \(the calibration cannot be read"):
        assess({"map": None})


def test_a_doubtful_recording_is_not_told_apart(recording):
    info = EnsembleInfo(statement="For a test.", calibration=calibration())
    ensemble = Ensemble((Member("fixed", {"params": np.zeros((2, 1), np.float32)}),), info)
    keypoints = recording.keypoints.copy()
    keypoints[30:] = np.nan
    from infantjax.assessment.gate import QualityOptions

    spoiled = replace(recording, keypoints=keypoints)
    found = Fixed(ensemble).assess(spoiled, options=QualityOptions(force=True))
    assert found.forced
    assert found.calibration.conformal_set == "cannot tell"
    assert Fixed(ensemble).assess(spoiled).calibration is None
