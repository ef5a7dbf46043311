"""What a score depends on, for any network: class activation, saliency, and overlays on the body."""

from infantjax.lazy import lazy_attributes

__getattr__, __dir__ = lazy_attributes(
    __name__,
    {name: f"infantjax.explanation.{name}" for name in ("class_activation", "overlays", "saliency")},
)
