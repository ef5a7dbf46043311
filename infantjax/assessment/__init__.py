"""From a recording to a risk with its uncertainty and explanation."""

from infantjax.assessment.pipeline import Assessor
from infantjax.assessment.result import Assessment, Colour, InstanceRisk, WindowRisks

__all__ = ["Assessment", "Assessor", "Colour", "InstanceRisk", "WindowRisks"]
