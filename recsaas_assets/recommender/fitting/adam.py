"""Adam (Kingma & Ba 2015) on plain tensors whose gradient is handed in, so that no stale gradient can add up.

`torch.optim.Adam` imports the compiler at its first step, which takes as long as a small tenant's whole run (ADR 17).
"""

import torch


class Adam:
    """Optimiser state of one parameter tensor, which is updated in place."""

    def __init__(self, parameter: torch.Tensor, *, beta1: float, beta2: float, epsilon: float = 1e-8) -> None:
        self._parameter = parameter
        self.mean = torch.zeros_like(parameter)
        self.square = torch.zeros_like(parameter)
        self._beta1, self._beta2, self._epsilon = beta1, beta2, epsilon
        self.steps = 0

    def step(self, gradient: torch.Tensor, learning_rate: float) -> None:
        """One update with bias correction; ``gradient`` has the parameter's shape."""
        self.steps += 1
        self.mean.lerp_(gradient, 1 - self._beta1)
        self.square.mul_(self._beta2).addcmul_(gradient, gradient, value=1 - self._beta2)
        mean_scale = 1 - self._beta1**self.steps
        square_scale = 1 - self._beta2**self.steps
        divisor = (self.square / square_scale).sqrt_().add_(self._epsilon)
        self._parameter.addcdiv_(self.mean, divisor, value=-learning_rate / mean_scale)
