"""Training: stacks of runs as one compiled program, splits, optimizers, checkpoints and logs."""

from infantjax.lazy import lazy_attributes

__all__ = [
    "DivergedError",
    "EvalResult",
    "Split",
    "StackResult",
    "Status",
    "SupervisedTask",
    "Task",
    "TrainOptions",
    "elementwise",
    "fit",
]

__getattr__, __dir__ = lazy_attributes(
    __name__,
    {
        "DivergedError": "infantjax.errors",
        "EvalResult": "infantjax.training.task",
        "Split": "infantjax.training.splits",
        "StackResult": "infantjax.training.state",
        "Status": "infantjax.training.state",
        "SupervisedTask": "infantjax.training.task",
        "Task": "infantjax.training.fitting",
        "TrainOptions": "infantjax.training.loop",
        "elementwise": "infantjax.training.optimizers",
        "fit": "infantjax.training.fitting",
    },
)
