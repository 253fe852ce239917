"""Messages about one thing do not speak of several."""

import io

import numpy as np
import pytest

from tinygrad_mnist import byhand, data, nn, optim, tensor
from tinygrad_mnist.data.batches import one_hot
from tinygrad_mnist.data.stream import read_exactly


def refusal(call):
    with pytest.raises((ValueError, data.DataError)) as caught:
        call()
    return str(caught.value)


def one_step_too_many():
    optimizer = optim.SGD([tensor([1.0], requires_grad=True)], lr=0.1)
    optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=1).rate(2, 0.1)


ONE = {
    "feature": lambda: nn.Linear(2, 3)(np.ones((4, 1), np.float32)),
    "byte that is missing": lambda: read_exactly("x", io.BytesIO(b""), 1),
    "byte too few": lambda: read_exactly("x", io.BytesIO(b"12"), 1),
    "class": lambda: one_hot([1], 1),
    "example": lambda: byhand.MLP([2, 2]).saliency(np.ones((1, 2)), [0, 1]),
    "step": one_step_too_many,
}


@pytest.mark.parametrize("call", ONE.values(), ids=ONE)
def test_one_is_no_plural(call):
    message = refusal(call)
    for plural in ("1 features", "1 bytes", "1 classes", "1 examples", "1 steps"):
        assert plural not in message
    assert message[-1] in ".?"
