"""The JSON record: its schema, its figures, its bytes."""

import ast
import json
import math
import sys
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from infantjax.report import record


@pytest.fixture(scope="module")
def validator():
    jsonschema.Draft202012Validator.check_schema(record.schema())
    return jsonschema.Draft202012Validator(record.schema())


@pytest.mark.parametrize("windows", [1, 71, 2000])
def test_records_follow_the_published_schema(validator, factory, windows):
    validator.validate(json.loads(record.to_json(factory(windows, frames=30))))


def test_the_schema_names_the_version_of_the_record():
    assert record.schema()["properties"]["schema_version"]["const"] == record.SCHEMA_VERSION


def test_the_schema_describes_every_field_of_the_record_and_no_other(factory):
    assert set(record.schema()["properties"]) == set(record.schema()["required"]) == set(record.to_record(factory()))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("risk", 1.2),
        ("decision", "maybe"),
        ("schema_version", "0.9"),
        ("windows", None),
        ("extra", 1),
        ("statement", ""),
    ],
)
def test_the_schema_refuses_a_wrong_field(validator, factory, field, value):
    with pytest.raises(jsonschema.ValidationError):
        validator.validate(record.to_record(factory()) | {field: value})


def test_the_record_holds_what_the_assessment_says(factory):
    result = record.to_record(factory())
    assert result["risk"] == 0.573218
    assert result["decision"] == "CP"
    assert result["certainty"]["color"] == "orange"
    assert result["certainty"]["words"] == "CP, uncertain"
    assert result["certainty"]["fraction_positive"] == 0.642857
    assert len(result["windows"]) == 71
    assert result["windows"][1]["start"] == 2.5
    assert [i["instance"] for i in result["instances"]] == [*range(7), *range(7)]
    assert result["contributions"]["left_wrist"] == 0.83
    assert "movement" not in result


def test_an_infant_on_the_other_side_is_no_cp(factory):
    assert record.to_record(factory(positive=False, color="green"))["decision"] == "no CP"


def test_every_rule_gives_a_reason_for_every_color():
    assert all(set(reasons) == set(record.WORDS) for reasons in record.REASONS.values())


def test_unknown_figures_are_null(validator, factory):
    nan = float("nan")
    result = json.loads(
        record.to_json(factory(risk=nan, quartiles=(nan, nan), contributions={"nose": nan}, missing={"nose": nan}))
    )
    validator.validate(result)
    assert result["risk"] is result["contributions"]["nose"] is result["certainty"]["q1"] is None


def test_differences_beyond_six_decimals_leave_the_bytes_alone(factory):
    assert record.to_json(factory(risk=0.1 + 0.2)) == record.to_json(factory(risk=0.3))
    assert record.to_json(factory(risk=0.30001)) != record.to_json(factory(risk=0.3))


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
    assert record.to_json(first) == record.to_json(second)


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
        record.to_record(factory(metadata={"camera": ["left", object()]}))


def test_half_a_surrogate_pair_is_replaced(factory):
    assert record.to_record(factory(name="infant \udce9.csv"))["name"] == "infant \ufffd.csv"
    assert record.plain("\U0001f476") == "\U0001f476"


def test_weights_that_are_not_validated_always_bring_a_caveat(factory):
    assert record.to_record(factory(statement="  "))["statement"] == record.UNVALIDATED
    assert record.to_record(factory(statement="Only simulated."))["statement"] == "Only simulated."
    assert record.to_record(factory(validated=True, statement=""))["statement"] == ""


def test_reports_know_plain_results_only():
    import infantjax.report

    allowed = {"infantjax", "infantjax.files", "infantjax.skeletons", "infantjax.assessment.result", "numpy"}
    for path in Path(infantjax.report.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            foreign = [n for n in names if n.split(".")[0] not in sys.stdlib_module_names]
            assert [n for n in foreign if n not in allowed and not n.startswith("infantjax.report")] == [], path.name
