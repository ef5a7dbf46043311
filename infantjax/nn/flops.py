"""Counting the operations of a network while it is traced.

Layers call `record` with what the published frameworks execute; `collect` collects the records of one abstract trace
(`jax.eval_shape`: no number is computed). What a kind of operation is worth is the business of a counting rule, not of
the layers.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_counter: ContextVar[Counter[str] | None] = ContextVar("operations", default=None)


def record(kind: str, operations: int) -> None:
    """Add operations (multiply-accumulates or output elements) to the open counter, if there is one."""
    counter = _counter.get()
    if counter is not None:
        counter[kind] += operations


def is_open() -> bool:
    """Whether operations are being counted."""
    return _counter.get() is not None


@contextmanager
def collect() -> Iterator[Counter[str]]:
    """Collect what the layers record inside the block: operations by kind."""
    counter: Counter[str] = Counter()
    token = _counter.set(counter)
    try:
        yield counter
    finally:
        _counter.reset(token)
