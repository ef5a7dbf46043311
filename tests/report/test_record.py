"""The JSON record: its schema, its figures, its bytes."""

import json
import math
import re

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infantjax.assessment.certainty import LABELS, RULES, Certainty
from infantjax.files import canonical_json
from infantjax.report import record


@pytest.fixture(scope="module")
def validator():
    jsonschema.Draft202012Validator.check_schema(record.schema())
    return jsonschema.Draft202012Validator(record.schema())


@pytest.mark.parametrize("windows", [1, 71])
def test_records_follow_the_published_schema(validator, factory, windows):
    validator.validate(json.loads(canonical_json(factory(windows, frames=30).to_dict())))


def test_the_schema_names_the_version_of_the_record():
    assert record.schema()["properties"]["schema_version"]["const"] == record.SCHEMA_VERSION


def test_the_schema_describes_every_field_of_the_record_and_no_other(factory):
    assert set(record.schema()["properties"]) == set(record.schema()["required"]) == set(factory().to_dict())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("agreement", 1.2),
        ("decision", 3),
        ("schema_version", "1.1"),
        ("time_series", None),
        ("extra", 1),
        ("statement", ""),
    ],
)
def test_the_schema_refuses_a_wrong_field(validator, factory, field, value):
    with pytest.raises(jsonschema.ValidationError):
        validator.validate(factory().to_dict() | {field: value})


def test_the_record_holds_what_the_assessment_says(factory):
    result = factory().to_dict()
    assert result["headline"]["value"] == 0.573218
    assert (result["decision"], result["classes"]) == ("CP", ["no CP", "CP"])
    assert result["agreement"] == 0.642857
    assert result["certainty"]["level"] == "orange"
    assert result["certainty"]["label"] == "CP, uncertain"
    assert len(result["time_series"]["windows"]) == 71
    assert result["time_series"]["windows"][1]["start"] == 2.5
    assert [member["index"] for member in result["members"]] == [*range(7), *range(7)]
    assert result["contributions"]["left_wrist"] == 0.83
    assert "movement" not in result
    assert factory(positive=False).to_dict()["decision"] == "no CP"
    assert factory(name="infant \udce9.csv").to_dict()["name"] == "infant \ufffd.csv"


def test_every_rule_gives_a_reason_for_every_level():
    assert all(Certainty(level, rule).reason for level in LABELS for rule in RULES)


def test_unknown_figures_are_null(validator, factory):
    nan = float("nan")
    result = json.loads(
        canonical_json(factory(value=nan, contributions={"nose": nan}, missing={"nose": nan}).to_dict())
    )
    validator.validate(result)
    assert result["headline"]["value"] is result["contributions"]["nose"] is result["missing"]["nose"] is None


def test_differences_beyond_six_decimals_leave_the_bytes_alone(factory):
    assert canonical_json(factory(value=0.1 + 0.2).to_dict()) == canonical_json(factory(value=0.3).to_dict())
    assert canonical_json(factory(value=0.30001).to_dict()) != canonical_json(factory(value=0.3).to_dict())


@given(st.floats())
def test_rounding_keeps_six_significant_decimals_and_is_stable(value):
    result = record.rounded(value)
    if not math.isfinite(value):
        assert result is None
        return
    assert record.rounded(result) == result
    # A subnormal number has fewer digits than six to keep.
    assert math.isclose(result, value, rel_tol=5.1e-6, abs_tol=5e-324)
    assert math.copysign(1, result) == 1 or result < 0


def test_equal_assessments_give_equal_bytes(factory):
    first, second = factory(), factory(metadata=dict(reversed(factory().metadata.items())))
    assert canonical_json(first.to_dict()) == canonical_json(second.to_dict())


def test_numpy_values_are_written_as_their_contents():
    value = {
        "a": np.float32(0.5),
        "b": np.int64(3),
        "c": np.array([[1, 2]]),
        "d": np.bool_(True),
        "e": np.array(1.5),
        7: (),
    }
    assert record.plain(value) == {"a": 0.5, "b": 3, "c": [[1, 2]], "d": True, "e": 1.5, "7": []}


def test_a_value_that_json_cannot_hold_is_named(factory):
    with pytest.raises(TypeError, match=r"metadata\['camera'\]\[1\]: JSON cannot hold a object"):
        factory(metadata={"camera": ["left", object()]}).to_dict()


def test_weights_that_are_not_validated_always_bring_a_caveat(factory):
    assert factory(statement="  ").to_dict()["statement"] == record.UNVALIDATED
    assert factory(statement="Only simulated.").to_dict()["statement"] == "Only simulated."
    assert factory(validated=True, statement="").to_dict()["statement"] == ""


@pytest.mark.parametrize("suffix", [".json", ".html"])
def test_an_assessment_is_saved_by_the_suffix_of_the_path(factory, tmp_path, suffix):
    assessment = factory(2, frames=5)
    assessment.save(tmp_path / f"a{suffix}")
    written = (tmp_path / f"a{suffix}").read_text("utf-8")
    assert written == (canonical_json(assessment.to_dict()) if suffix == ".json" else assessment.to_html())
    with pytest.raises(ValueError, match=r"is saved as \.json or \.html, got '.*a\.pdf'"):
        assessment.save(tmp_path / "a.pdf")


def test_an_assessment_prints_in_one_line(factory):
    shown = repr(factory(2, frames=5))
    assert re.fullmatch(
        r"Assessment\('Infant 042, second visit', example-method: risk 0\.573 \(0\.\d+ to 0\.\d+\), CP, 8 s\)", shown
    )
