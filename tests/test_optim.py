"""Update rules against their formulas, schedules against their curves, and wrong use."""

import numpy as np
import pytest

from tinygrad_mnist import nn, optim, tensor


def minimise(make, steps=5):
    """Positions of x while an optimizer follows the gradient of sum(x^2 * [1, 3]) / 2."""
    x = tensor(np.array([1.0, -2.0]), requires_grad=True)
    optimizer = make([x])
    path = []
    for _ in range(steps):
        optimizer.zero_grad()
        ((x * x) * np.array([0.5, 1.5])).sum().backward()
        optimizer.step()
        path.append(x.data.copy())
    return np.array(path)


def reference(update, steps=5):
    """The same path from a formula: update(x, gradient, t, state) returns the new x."""
    x, state, path = np.array([1.0, -2.0]), {}, []
    for t in range(1, steps + 1):
        x = update(x, x * [1, 3], t, state)
        path.append(x)
    return np.array(path)


def momentum(x, g, t, state, nesterov=False, dampening=0.0):
    g = g + 0.01 * x
    state["v"] = 0.9 * state["v"] + (1 - dampening) * g if "v" in state else g
    return x - 0.1 * (g + 0.9 * state["v"] if nesterov else state["v"])


def adam(x, g, t, state):
    g = g + 0.01 * x
    state["m"] = 0.9 * state.get("m", 0) + 0.1 * g
    state["v"] = 0.999 * state.get("v", 0) + 0.001 * g**2
    return x - 0.1 * (state["m"] / (1 - 0.9**t)) / (np.sqrt(state["v"] / (1 - 0.999**t)) + 1e-8)


@pytest.mark.parametrize(
    ("make", "formula"),
    [
        (lambda p: optim.SGD(p, lr=0.1), lambda x, g, t, s: x - 0.1 * g),
        (lambda p: optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01), momentum),
        (
            lambda p: optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01, dampening=0.5),
            lambda x, g, t, s: momentum(x, g, t, s, dampening=0.5),
        ),
        (
            lambda p: optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01, nesterov=True),
            lambda x, g, t, s: momentum(x, g, t, s, nesterov=True),
        ),
        (lambda p: optim.Adam(p, lr=0.1, weight_decay=0.01), adam),
    ],
    ids=["sgd", "momentum", "dampening", "nesterov", "adam"],
)
def test_path_is_that_of_the_formula(make, formula):
    np.testing.assert_allclose(minimise(make), reference(formula), rtol=1e-12)


def test_groups_have_their_own_settings():
    a, b = tensor([1.0], requires_grad=True), tensor([1.0], requires_grad=True)
    optimizer = optim.SGD([{"params": [a], "lr": 1.0}, {"params": [b]}], lr=0.5)
    (a + b).sum().backward()
    optimizer.step()
    assert (a.item(), b.item()) == (0.0, 0.5)


def test_parameters_without_gradient_stay():
    a = tensor([1.0], requires_grad=True)
    for optimizer in (optim.SGD([a], lr=1.0, weight_decay=1.0), optim.Adam([a])):
        optimizer.step()
    assert a.item() == 1.0


@pytest.mark.parametrize("make", [lambda p: optim.SGD(p, lr=0.1, momentum=0.9), lambda p: optim.Adam(p, lr=0.1)])
def test_a_step_leaves_the_gradient_alone(make):
    x = tensor([1.0], requires_grad=True)
    (x * 3).sum().backward()
    optimizer = make([x])
    optimizer.step()
    optimizer.step()
    assert x.grad.item() == 3.0


def test_updates_keep_the_dtype():
    layer = nn.Linear(3, 2)
    for optimizer in (optim.SGD(layer.parameters(), lr=np.float64(0.1), momentum=0.9), optim.Adam(layer.parameters(), lr=np.float64(0.1))):
        layer(np.ones((1, 3), np.float32)).sum().backward()
        optimizer.step()
        assert layer.weight.dtype == np.float32


def test_a_step_between_forward_and_backward_raises():
    x = tensor([1.0], requires_grad=True)
    x.backward()
    y = (x * x).sum()
    optim.SGD([x], lr=0.1).step()
    with pytest.raises(RuntimeError, match="written in place"):
        y.backward()


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: optim.SGD([]), ValueError, "no parameters"),
        (lambda: optim.SGD([np.ones(2)]), TypeError, "ndarray"),
        (lambda: optim.SGD([tensor(1.0)], lr=-1), ValueError, "lr must not be negative"),
        (lambda: optim.SGD([tensor(1.0)], nesterov=True), ValueError, "momentum > 0"),
        (lambda: optim.SGD([x := tensor(1.0), x]), ValueError, "twice"),
    ],
)
def test_wrong_use_is_explained(make, error, message):
    with pytest.raises(error, match=message):
        make()


# ---------------------------------------------------------------- schedules


def rates(optimizer, schedule, steps):
    found = [optimizer.param_groups[0]["lr"]]
    for _ in range(steps):
        schedule.step()
        found.append(schedule.get_last_lr()[0])
    return found


def test_exponential_multiplies():
    optimizer = optim.SGD([tensor(1.0)], lr=0.1)
    schedule = optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    np.testing.assert_allclose(rates(optimizer, schedule, 3), [0.1, 0.05, 0.025, 0.0125])


def test_one_cycle_rises_and_falls_along_cosines():
    optimizer = optim.SGD([tensor(1.0)], lr=0.1, momentum=0.9)
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=11, pct_start=6 / 11)
    found = rates(optimizer, schedule, 10)
    rise = 0.04 + 0.96 * (1 - np.cos(np.pi * np.arange(6) / 5)) / 2
    fall = 4e-6 + (1 - 4e-6) * (1 + np.cos(np.pi * np.arange(6) / 5)) / 2
    np.testing.assert_allclose(found, [*rise, *fall[1:]], rtol=1e-12)
    np.testing.assert_allclose(optimizer.param_groups[0]["momentum"], 0.95)


def test_one_cycle_moves_momentum_the_other_way():
    optimizer = optim.Adam([tensor(1.0)])
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=11, pct_start=6 / 11)
    betas = [optimizer.param_groups[0]["betas"][0]]
    for _ in range(5):
        schedule.step()
        betas.append(optimizer.param_groups[0]["betas"][0])
    assert betas[0] == 0.95
    np.testing.assert_allclose(betas[-1], 0.85)
    assert betas == sorted(betas, reverse=True)


def test_a_cycle_ends():
    optimizer = optim.SGD([tensor(1.0)], momentum=0.9)
    schedule = optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=2)
    with pytest.raises(ValueError, match="2 steps, but was asked for step 3"):
        rates(optimizer, schedule, 3)
    with pytest.raises(ValueError, match="pct_start"):
        optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=2, pct_start=1.0)
