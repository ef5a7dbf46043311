"""Pose networks by runtimes that are faster than JAX on a CPU: ONNX Runtime and LiteRT."""

from infantjax.lazy import lazy_attributes

__all__ = ["RUNTIMES", "Runtime", "exported_maps", "fastest"]

__getattr__, __dir__ = lazy_attributes(__name__, dict.fromkeys(__all__, "infantjax.pose.runtime.exported"))
