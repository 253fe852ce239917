"""Two layers: one compares with prototypes by the op, the other centres its input."""

import numpy as np
from bell_op import bell

from tinygrad_mnist import nn, no_grad


class Prototypes(nn.Module):
    """How close each row (n, features) is to each of a few prototypes: (n, count)."""

    def __init__(self, features, count, rng):
        centres = rng.normal(size=(count, features))
        self.centres = nn.Parameter(centres.astype(np.float32))

    def forward(self, x):
        rows = x.reshape(x.shape[0], 1, x.shape[1])
        return bell(rows, self.centres).mean(axis=-1)


class Centred(nn.Module):
    """Rows (n, features) without their mean: of the batch, later of all batches."""

    def __init__(self, features, momentum=0.1):
        self.momentum = momentum
        self.register_buffer("mean", np.zeros(features, np.float32))

    def forward(self, x):
        if not self.training:
            return x - self.mean
        mean = x.mean(axis=0)
        with no_grad():
            self.mean += self.momentum * (mean - self.mean)
        return x - mean
