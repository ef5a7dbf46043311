"""Optimisers and their schedules, as optax transformations."""

import optax


def nesterov(learning_rate: float, momentum: float) -> optax.GradientTransformation:
    """Stochastic gradient descent with Nesterov momentum, constant learning rate, no weight decay.

    The velocity is `v <- momentum * v + g` and the step `-learning_rate * (g + momentum * v)`, so the first step is
    `-learning_rate * (1 + momentum) * g`: PyTorch's form, which the published weights were trained with.

    Args:
        learning_rate: above 0; 5e-4 as published.
        momentum: 0 up to below 1; 0.9 as published.

    Source: Groos et al., Paper III; the released program's configuration.
    """
    return optax.sgd(learning_rate, momentum=momentum, nesterov=True)
