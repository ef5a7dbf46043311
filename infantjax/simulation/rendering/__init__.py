"""Simulated infants as pictures: their bodies, their looks, and clips with exact keypoints."""

from infantjax.lazy import lazy_attributes

__getattr__, __dir__ = lazy_attributes(
    __name__,
    {
        "Clip": "infantjax.simulation.rendering.clip",
        "RenderConfig": "infantjax.simulation.rendering.clip",
        "render": "infantjax.simulation.rendering.clip",
    },
)
