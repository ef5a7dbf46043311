"""Optimizers and their schedules, as optax transformations."""

from collections.abc import Callable

import jax.numpy as jnp
import optax
from jaxtyping import Array

Schedule = Callable[[Array | int], Array]
"""Learning rate of a step, counted from 0."""


class Elementwise(optax.GradientTransformation):
    """A transformation that treats every number of every parameter alike; see `elementwise`."""


def elementwise(transform: optax.GradientTransformation) -> Elementwise:
    """Declare that a transformation treats every number of every parameter alike, whatever array it belongs to.

    The loop then gives it all parameters as one vector in place of their tree: one kernel in place of one for each
    array. True of SGD and Adam with a schedule; not of masks, of norms over arrays (LARS, clipping by norm), or of
    anything that reads names or shapes.
    """
    return Elementwise(*transform)


def nesterov(learning_rate: float, momentum: float) -> optax.GradientTransformation:
    """Stochastic gradient descent with Nesterov momentum, constant learning rate, no weight decay.

    The velocity is `v <- momentum * v + g` and the step `-learning_rate * (g + momentum * v)`, so the first step is
    `-learning_rate * (1 + momentum) * g`: PyTorch's form, which the published weights were trained with.

    Args:
        learning_rate: above 0; 5e-4 as published.
        momentum: 0 up to below 1; 0.9 as published.

    Source: Groos et al., Paper III; the reference implementation's configuration.
    """
    return elementwise(optax.sgd(learning_rate, momentum=momentum, nesterov=True))


def amsgrad(learning_rate: float) -> optax.GradientTransformation:
    """Adam with AMSGrad, beta 0.9 and 0.999, epsilon 1e-7, constant rate: how networks are fine-tuned on infants.

    The largest second moment is taken after the correction of its bias; Keras, which the papers used, takes it before.

    Args:
        learning_rate: above 0; 1e-3 as published.

    Source: Groos et al., Paper II (Section 2.4) and the training framework.
    """
    return elementwise(optax.amsgrad(learning_rate, b1=0.9, b2=0.999, eps=1e-7))


def adam(learning_rate: Schedule) -> optax.GradientTransformation:
    """Adam with epsilon 1e-7, for `half_cosine`.

    For networks that start from scratch with few steps: AMSGrad remembers their large first gradients for ever. Our
    choice.
    """
    return elementwise(optax.adam(learning_rate, eps=1e-7))


def half_cosine(highest: float, steps: int) -> Schedule:
    """A rate that rises over the first twentieth of the steps and falls to 0 on half a cosine.

    Args:
        highest: rate, above 0.
        steps: of the whole training.
    """
    rise = max(1, steps // 20)
    return optax.warmup_cosine_decay_schedule(0.0, highest, rise, max(steps, rise + 1))


def momentum(learning_rate: Schedule | float, share: float = 0.9) -> optax.GradientTransformation:
    """Stochastic gradient descent with plain momentum, for `triangular` or any other rate.

    Source: Groos et al., Paper I (Section 3.5); what the public checkpoints of training record.
    """
    return elementwise(optax.sgd(learning_rate, momentum=share))


def triangular(
    highest: float, steps: int, cycles: int, narrowing: float = 3.5 - 1.25, ratio: float = 3000.0
) -> Schedule:
    """A rate that rises and falls once in a cycle, within a band that closes.

    The band begins as `highest / ratio` to `highest`, and closes on `highest / sqrt(ratio) * 2**narrowing`, both ends
    on a logarithmic scale over the cycles. Published are the band's ends, the limit and the length of a cycle; how the
    band closes in between is chosen.

    Args:
        highest: the highest rate that does not diverge in the first cycle.
        steps: of a cycle; three epochs as published.
        cycles: in which the band closes.
        narrowing: by how much the maps' peaks narrow over the training, in 1/32 of the map's side.
        ratio: of the ends of the first band.

    Raises:
        ValueError: a value out of its range.

    Source: Groos et al., Paper I (Section 3.5).
    """
    if not (highest > 0 and ratio >= 1 and steps >= 1 and cycles >= 1):
        raise ValueError(f"a rate above 0, steps and cycles from 1 are needed, got {highest}, {steps}, {cycles}")
    limit = highest / ratio**0.5 * 2**narrowing

    def rate(step: Array | int) -> Array:
        cycle = jnp.minimum(jnp.asarray(step) // steps, cycles - 1)
        open_share = 1 - cycle / max(cycles - 1, 1)
        high, low = (limit * (end / limit) ** open_share for end in (highest, highest / ratio))
        position = (jnp.asarray(step) - cycle * steps) / steps
        return low + (high - low) * (1 - jnp.abs(2 * jnp.minimum(position, 1) - 1))

    return rate


def cyclical(
    lowest: float, highest: float, steps: int, momentum: tuple[float, float] = (0.8, 0.9), decay: float = 0.0
) -> optax.GradientTransformation:
    """Stochastic gradient descent whose rate goes up and down in a triangle, and whose momentum goes against it.

    `g <- g + decay * p`, `v <- m * v + g`, and the step is `-rate * v`.

    Args:
        lowest: rate of the first step.
        highest: rate `steps` steps later.
        steps: from one to the other; as many back.
        momentum: at the highest rate, and at the lowest.
        decay: of all parameters; above 0 the update needs them.

    Raises:
        ValueError: a value out of its range.

    Source: Smith 2017. That MAM's cyclic schedule is of this kind, and its values, are our choice.
    """
    if not (0 < lowest <= highest and steps >= 1 and 0 <= min(momentum) <= max(momentum) < 1 and decay >= 0):
        raise ValueError(
            f"two rising rates above 0, steps from 1, momenta from 0 below 1 and a decay from 0 are needed, got "
            f"{lowest}, {highest}, {steps}, {momentum}, {decay}"
        )

    def between(first: float, last: float) -> Schedule:
        return lambda step: first + (last - first) * (1 - jnp.abs((step % (2 * steps)) / steps - 1))

    descent = optax.inject_hyperparams(optax.sgd)(
        learning_rate=between(lowest, highest), momentum=between(momentum[1], momentum[0])
    )
    return elementwise(optax.chain(optax.add_decayed_weights(decay), descent) if decay else descent)
