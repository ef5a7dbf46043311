"""From an ensemble and a recording to one `Assessment`, the same type for every method."""

from infantjax.lazy import lazy_attributes

__getattr__, __dir__ = lazy_attributes(
    __name__,
    {
        "Assessment": "infantjax.assessment.assessment",
        "Assessor": "infantjax.assessment.assessor",
        "Certainty": "infantjax.assessment.certainty",
        "MemberValue": "infantjax.assessment.assessment",
        "Prediction": "infantjax.assessment.assessment",
        "Quantity": "infantjax.assessment.assessment",
        "TimeSeries": "infantjax.assessment.assessment",
        "assessments_frame": "infantjax.assessment.assessment",
        "aggregation": "infantjax.assessment.aggregation",
        "batch": "infantjax.assessment.batch",
        "certainty": "infantjax.assessment.certainty",
    },
)
