"""The result of an assessment, and how the members of an ensemble are aggregated to it."""

from infantjax.assessment.result import Assessed, Assessment, Color, Finding, InstanceRisk, WindowRisks

__all__ = ["Assessed", "Assessment", "Color", "Finding", "InstanceRisk", "WindowRisks"]
