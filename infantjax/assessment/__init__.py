"""From a recording to a risk with its uncertainty and explanation."""

from typing import TYPE_CHECKING, Any

from infantjax.assessment.result import Assessed, Assessment, Colour, Finding, InstanceRisk, WindowRisks

if TYPE_CHECKING:
    from infantjax.assessment.pipeline import Assessor

__all__ = ["Assessed", "Assessment", "Assessor", "Colour", "Finding", "InstanceRisk", "WindowRisks"]


def __getattr__(name: str) -> Any:
    """Load the pipeline when it is first named: a report needs the plain results only, without JAX and Flax."""
    if name == "Assessor":
        from infantjax.assessment.pipeline import Assessor

        return Assessor
    raise AttributeError(f"module 'infantjax.assessment' has no attribute {name!r}")
