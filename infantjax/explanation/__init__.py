"""Which joints a score depends on: class activation, Grad-CAM++ and saliency."""

from infantjax.lazy import lazy_attributes

__getattr__, __dir__ = lazy_attributes(
    __name__,
    {name: f"infantjax.explanation.{name}" for name in ("class_activation", "saliency")},
)
