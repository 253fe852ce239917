"""The documentation's optimizer, and its page on leaving for PyTorch, run under PyTorch."""

import numpy as np
import pytest
from howto import run_page

from tinygrad_mnist import tensor

torch = pytest.importorskip("torch")


def test_rmsprop_takes_the_steps_of_pytorch(rng):
    x, coefficients = rng.normal(size=5), rng.normal(size=(20, 5))
    ours, theirs = tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    settings = {"lr": 0.02, "alpha": 0.9, "eps": 1e-6}
    optimizers = (
        run_page("new-optimizer.md")["RMSprop"]([ours], **settings),
        torch.optim.RMSprop([theirs], **settings),
    )
    for c in coefficients:
        for p, optimizer, factor in zip(
            (ours, theirs), optimizers, (c, torch.tensor(c)), strict=True
        ):
            optimizer.zero_grad()
            (factor * p * p).sum().backward()
            optimizer.step()
    np.testing.assert_allclose(ours.data, theirs.detach().numpy(), rtol=1e-12)


def test_the_program_and_the_weights_move_to_pytorch():
    names = run_page("pytorch.md", ("python", "py"))
    assert isinstance(names["model"], torch.nn.Module)
