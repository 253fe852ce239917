"""Training programs written once and run under PyTorch and under this package.

The paths agree step by step.
"""

from copy import deepcopy

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import tinygrad_mnist

torch = pytest.importorskip("torch")

X, Y = np.random.default_rng(0).normal(size=(5, 3)), np.random.default_rng(1).normal(size=(5, 2))
STEPS = 40


def parameters(lib):
    """A matrix, a vector, a number and a stack of rows, in float64."""
    rng = np.random.default_rng(2)
    return [
        lib.tensor(rng.normal(size=shape), requires_grad=True)
        for shape in ((3, 2), (2,), (), (2, 1, 3))
    ]


def loss(lib, params, t):
    """Convex, so that rounding does not grow on the way, and not quadratic.

    The last parameter has no gradient in every third step.
    """
    W, b, scale, rows = params
    loss = (((lib.tensor(X) @ W + b + scale - lib.tensor(Y)) ** 2 + 1).sqrt()).sum()
    return loss + (rows.exp() - rows * 2).sum() if t % 3 else loss


def train(lib, optimizer, schedule, params, steps):
    """Every parameter after each step, and the learning rate of each group, side by side."""
    path = []
    for t in steps:
        optimizer.zero_grad()
        loss(lib, params, t).backward()
        optimizer.step()
        if schedule is not None:
            schedule.step()
        path.append(
            [
                *(value for p in params for value in p.detach().numpy().ravel()),
                *(g["lr"] for g in optimizer.param_groups),
            ]
        )
    return np.array(path)


def in_groups(params, **settings):
    """Two groups: matrices decay, the others follow `settings`."""
    return [{"params": params[::3]}, {"params": params[1:3], **settings}]


def assert_agree(ours, theirs):
    """Equal up to 1e-12 of the largest value in the array.

    NaN and infinities where the other has them.
    """
    scale = np.max(np.abs(theirs), initial=0, where=np.isfinite(theirs))
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12 * scale)


def run_both(program):
    """The arrays that a program makes under each library agree."""
    assert_agree(program(tinygrad_mnist), program(torch))


def unit(low, high):
    return st.floats(low, high, allow_subnormal=False)


OPTIMIZERS = {
    "SGD": ("SGD", {"lr": 0.05}, {"lr": 0.02}),
    "momentum": (
        "SGD",
        {"lr": 0.05, "momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1},
        {"momentum": 0.5},
    ),
    "nesterov": ("SGD", {"lr": 0.02, "momentum": 0.9, "nesterov": True}, {"weight_decay": 0.1}),
    "Adam": ("Adam", {"lr": 0.05, "weight_decay": 0.1}, {"betas": (0.7, 0.9)}),
    "AdamW": ("AdamW", {"lr": 0.05}, {"weight_decay": 0.3, "eps": 1e-3}),
}
SCHEDULES = {
    "none": None,
    "StepLR": {"step_size": 7, "gamma": 0.5},
    "ExponentialLR": {"gamma": 0.95},
    "CosineAnnealingLR": {"T_max": 15, "eta_min": 1e-3},
    "OneCycleLR": {"max_lr": 0.1, "total_steps": STEPS, "pct_start": 0.4},
}


def build(lib, name, schedule="none"):
    """Parameters, an optimizer over two groups of them, and its schedule."""
    kind, settings, own = OPTIMIZERS[name]
    params = parameters(lib)
    optimizer = getattr(lib.optim, kind)(in_groups(params, **own), **settings)
    if schedule == "none":
        return params, optimizer, None
    return (
        params,
        optimizer,
        getattr(lib.optim.lr_scheduler, schedule)(optimizer, **SCHEDULES[schedule]),
    )


# ---------------------------------------------------------------- paths


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_takes_the_same_path_under_every_schedule(name, schedule):
    def program(lib):
        params, optimizer, scheduler = build(lib, name, schedule)
        return train(lib, optimizer, scheduler, params, range(STEPS))

    run_both(program)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_defaults_are_the_same(name):
    def program(lib):
        params = parameters(lib)
        return train(lib, getattr(lib.optim, name)(params), None, params, range(STEPS))

    run_both(program)


@given(
    lr=unit(1e-3, 0.1),
    momentum=st.sampled_from([0.0, 0.5, 0.9]),
    dampening=st.sampled_from([0.0, 0.1, 1.0]),
    weight_decay=st.sampled_from([0.0, 0.01, 0.3]),
    nesterov=st.booleans(),
)
def test_sgd_takes_the_same_path_with_any_settings(lr, momentum, dampening, weight_decay, nesterov):
    assume(not nesterov or (momentum > 0 and dampening == 0))

    def program(lib):
        params = parameters(lib)
        settings = {
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
        }
        return train(
            lib,
            lib.optim.SGD(in_groups(params, lr=0.01), lr=lr, **settings),
            None,
            params,
            range(STEPS),
        )

    run_both(program)


@pytest.mark.parametrize("name", ["Adam", "AdamW"])
@given(
    lr=unit(1e-4, 0.02),
    betas=st.tuples(
        st.sampled_from([0.0, 0.5, 0.9]), st.sampled_from([0.9, 0.99, 0.999])
    ),  # a smaller second one divides by ~0
    eps=st.sampled_from([1e-8, 1e-3, 1.0]),
    weight_decay=st.sampled_from([0.0, 0.01, 0.3]),
)
def test_adam_takes_the_same_path_with_any_settings(name, lr, betas, eps, weight_decay):
    def program(lib):
        params = parameters(lib)
        optimizer = getattr(lib.optim, name)(
            in_groups(params, weight_decay=0.05),
            lr=lr,
            betas=betas,
            eps=eps,
            weight_decay=weight_decay,
        )
        return train(lib, optimizer, None, params, range(STEPS))

    run_both(program)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_step_with_a_closure_takes_the_same_path_and_returns_the_loss(name):
    def program(lib):
        params, optimizer, schedule = build(lib, name, "StepLR")
        path = []
        for t in range(STEPS):

            def closure(t=t):
                optimizer.zero_grad()
                value = loss(lib, params, t)
                value.backward()
                return value

            with lib.no_grad():
                path.append(optimizer.step(closure).item())
            schedule.step()
        return np.array([*path, *(value for p in params for value in p.detach().numpy().ravel())])

    run_both(program)


def test_parameters_added_later_take_the_same_path():
    def program(lib):
        params = parameters(lib)
        optimizer = lib.optim.Adam(params[:2], lr=0.05)
        start = train(lib, optimizer, None, params, range(5))
        optimizer.add_param_group({"params": params[2:], "lr": 0.1})
        return np.append(
            start[:, :-1], train(lib, optimizer, None, params, range(5, STEPS))[:, :-2]
        )

    run_both(program)


# ---------------------------------------------------------------- gradients


@pytest.mark.parametrize("set_to_none", [True, False])
def test_zero_grad_forgets_what_backward_would_add_to(set_to_none):
    def program(lib):
        params = parameters(lib)
        optimizer = lib.optim.SGD(params, lr=0.05, momentum=0.9, weight_decay=0.1)
        values = []
        for t in range(STEPS):
            if t % 4 == 3:
                optimizer.zero_grad(set_to_none=set_to_none)
                values += [-1.0 if p.grad is None else float(p.grad.sum()) for p in params]
            loss(lib, params, t).backward()
            optimizer.step()
            values += [float((p.detach() ** 2).sum()) for p in params]
        return np.array(values)

    run_both(program)


def test_a_parameter_that_never_has_a_gradient_stays():
    def program(lib):
        params = [*parameters(lib), lib.tensor(np.ones(2), requires_grad=True)]
        path = train(
            lib, lib.optim.AdamW(params, lr=0.1, weight_decay=0.5), None, params[:4], range(STEPS)
        )
        return np.append(path, params[4].detach().numpy())

    run_both(program)


@given(
    values=st.lists(unit(-10, 10), min_size=9, max_size=9),
    max_norm=st.sampled_from([0.0, 1e-3, 1.0, 30.0, 1e6, np.inf]),
    norm_type=st.sampled_from([1.0, 2.0, 3, np.inf, "inf"]),
)
def test_clipping_gives_the_same_norm_and_gradients(values, max_norm, norm_type):
    def program(lib):
        params = parameters(lib)
        params[0].grad = lib.tensor(np.array(values[:6]).reshape(3, 2))
        params[1].grad = lib.tensor(np.array(values[6:8]))
        params[2].grad = lib.tensor(np.array(values[8]))
        total = lib.nn.utils.clip_grad_norm_(iter(params), max_norm, norm_type)
        assert (tuple(total.shape), params[3].grad) == ((), None)
        return np.concatenate([np.ravel(t.numpy()) for t in (total, *(p.grad for p in params[:3]))])

    run_both(program)


@pytest.mark.parametrize("norm_type", [2.0, np.inf])
@pytest.mark.parametrize("max_norm", [1.0, np.inf])
@pytest.mark.parametrize("bad", [[np.inf], [-np.inf], [np.nan], [np.nan, np.inf], []])
def test_clipping_does_the_same_to_gradients_that_are_not_finite(bad, max_norm, norm_type):
    def program(lib):
        x = lib.tensor(np.ones(4), requires_grad=True)
        x.grad = lib.tensor(np.array([*bad, 0.0, 3.0, -4.0, 5.0][:4]))
        total = lib.nn.utils.clip_grad_norm_(x, max_norm, norm_type)
        return np.append(x.grad.numpy(), total.numpy())

    run_both(program)


def test_clipping_without_gradients_does_nothing():
    run_both(lambda lib: lib.nn.utils.clip_grad_norm_(parameters(lib), 1.0).numpy())
    run_both(lambda lib: lib.nn.utils.clip_grad_norm_([], 1.0).numpy())


@pytest.mark.parametrize("lib", [torch, tinygrad_mnist], ids=["torch", "ours"])
def test_clipping_the_parameters_of_a_used_up_generator_warns(lib):
    with pytest.warns(UserWarning, match="generator"):
        lib.nn.utils.clip_grad_norm_((p for p in ()), 1.0)


def test_training_with_clipping_takes_the_same_path():
    def program(lib):
        params, optimizer, schedule = build(lib, "momentum", "OneCycleLR")
        path = []
        for t in range(STEPS):
            optimizer.zero_grad()
            loss(lib, params, t).backward()
            path.append(lib.nn.utils.clip_grad_norm_(params, max_norm=0.5).item())
            optimizer.step()
            schedule.step()
            path += [value for p in params for value in p.detach().numpy().ravel()]
        return np.array(path)

    run_both(program)


# ---------------------------------------------------------------- schedules


def curve(lib, kind, steps, optimizer="SGD", rates=(0.1, 0.7), **settings):
    """The learning rate and the momentum of two groups, before each step and after the last."""
    groups = [
        {"params": [lib.tensor(np.zeros(1), requires_grad=True)], "lr": rate} for rate in rates
    ]
    optimizer = getattr(lib.optim, optimizer)(groups, lr=1.0)
    schedule = getattr(lib.optim.lr_scheduler, kind)(optimizer, **settings)
    values = []
    for t in range(steps + 1):
        for group, last in zip(optimizer.param_groups, schedule.get_last_lr(), strict=True):
            assert group["lr"] == last
            values += [last, *group.get("betas", [group.get("momentum")])]
        if t < steps:
            optimizer.step()
            schedule.step()
    return np.array(values, dtype=float)


@given(step_size=st.integers(1, 20), gamma=unit(0.5, 1.1))
def test_step_lr_has_the_same_curve(step_size, gamma):
    run_both(lambda lib: curve(lib, "StepLR", 50, step_size=step_size, gamma=gamma))


@given(gamma=unit(0.5, 1.1))
def test_exponential_lr_has_the_same_curve(gamma):
    run_both(lambda lib: curve(lib, "ExponentialLR", 50, gamma=gamma))


@given(T_max=st.integers(1, 60), eta_min=st.sampled_from([0.0, 1e-4, 0.3]))
def test_cosine_annealing_has_the_same_curve_and_goes_up_again(T_max, eta_min):
    run_both(
        lambda lib: curve(lib, "CosineAnnealingLR", 5 * T_max + 2, T_max=T_max, eta_min=eta_min)
    )


def test_schedules_have_the_same_defaults():
    run_both(lambda lib: curve(lib, "StepLR", 20, step_size=3))
    run_both(lambda lib: curve(lib, "CosineAnnealingLR", 20, T_max=7))
    run_both(lambda lib: curve(lib, "OneCycleLR", 20, max_lr=1.0, total_steps=20))
    run_both(lambda lib: curve(lib, "OneCycleLR", 20, max_lr=1.0, epochs=4, steps_per_epoch=5))


@given(
    total_steps=st.integers(1, 60),
    pct_start=st.one_of(st.sampled_from([0.0, 0.1, 0.25, 0.3, 0.5, 0.9]), unit(0, 0.99)),
    cycle_momentum=st.booleans(),
    optimizer=st.sampled_from(["SGD", "Adam", "AdamW"]),
    factors=st.sampled_from([{}, {"div_factor": 10.0, "final_div_factor": 2.0}]),
    momenta=st.sampled_from([{}, {"base_momentum": 0.2, "max_momentum": 0.99}]),
)
def test_one_cycle_has_the_same_curve(
    total_steps, pct_start, cycle_momentum, optimizer, factors, momenta
):
    assume(pct_start * total_steps != 1)  # PyTorch divides 0 by 0 there
    settings = (
        {"total_steps": total_steps, "pct_start": pct_start, "cycle_momentum": cycle_momentum}
        | factors
        | momenta
    )
    run_both(lambda lib: curve(lib, "OneCycleLR", total_steps, optimizer, max_lr=0.8, **settings))


# ---------------------------------------------------------------- saving and loading


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_goes_on_from_saved_state_as_if_it_had_not_stopped(name, schedule):
    def program(lib):
        params, optimizer, scheduler = build(lib, name, schedule)
        train(lib, optimizer, scheduler, params, range(17))
        saved = deepcopy(
            [
                optimizer.state_dict(),
                scheduler and scheduler.state_dict(),
                [p.detach().numpy() for p in params],
            ]
        )
        expected = train(lib, optimizer, scheduler, params, range(17, STEPS))

        params, optimizer, scheduler = build(lib, name, schedule)
        for p, value in zip(params, saved[2], strict=True):
            p.data = lib.tensor(value)
        if scheduler:
            scheduler.load_state_dict(saved[1])
        optimizer.load_state_dict(saved[0])
        resumed = train(lib, optimizer, scheduler, params, range(17, STEPS))
        assert resumed.tobytes() == expected.tobytes()
        return resumed

    run_both(program)


def as_arrays(state):
    """A state_dict with NumPy arrays in place of tensors."""
    if isinstance(state, dict):
        return {name: as_arrays(value) for name, value in state.items()}
    return state.numpy() if isinstance(state, torch.Tensor) else state


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_state_has_the_same_names_numbers_and_values(name):
    found = []
    for lib in (tinygrad_mnist, torch):
        params, optimizer, _ = build(lib, name)
        train(lib, optimizer, None, params, range(5))
        found.append(optimizer.state_dict())
    ours, theirs = found[0], {**found[1], "state": as_arrays(found[1]["state"])}
    for own, group in zip(ours["param_groups"], theirs["param_groups"], strict=True):
        assert own == {key: group[key] for key in own}
    assert ours["state"].keys() == theirs["state"].keys()
    for i, own in ours["state"].items():
        assert own.keys() == theirs["state"][i].keys()
        for key in own:
            assert_agree(own[key], theirs["state"][i][key])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_training_begun_under_one_library_goes_on_under_the_other(name):
    def begin(lib):
        params, optimizer, _ = build(lib, name)
        train(lib, optimizer, None, params, range(9))
        return optimizer.state_dict(), [p.detach().numpy() for p in params]

    def go_on(lib, state, values):
        params, optimizer, _ = build(lib, name)
        for p, value in zip(params, values, strict=True):
            p.data = lib.tensor(value)
        optimizer.load_state_dict(deepcopy(state))  # PyTorch goes on in the arrays it is given
        return train(lib, optimizer, None, params, range(9, STEPS))

    def as_tensors(state):
        return {
            "param_groups": state["param_groups"],
            "state": {
                i: {k: torch.tensor(v) for k, v in s.items()} for i, s in state["state"].items()
            },
        }

    theirs, ours = begin(torch), begin(tinygrad_mnist)
    expected = go_on(torch, *theirs)
    assert_agree(
        go_on(tinygrad_mnist, {**theirs[0], "state": as_arrays(theirs[0]["state"])}, theirs[1]),
        expected,
    )
    assert_agree(go_on(torch, as_tensors(ours[0]), ours[1]), expected)


# ---------------------------------------------------------------- wrong use


def one(lib):
    return lib.tensor(np.ones(2), requires_grad=True)


def load_into_other_groups(lib):
    state = lib.optim.SGD([one(lib), one(lib)], lr=0.1).state_dict()
    lib.optim.SGD([{"params": [one(lib)]}, {"params": [one(lib)]}], lr=0.1).load_state_dict(state)


def load_into_a_larger_group(lib):
    state = lib.optim.SGD([one(lib)], lr=0.1).state_dict()
    lib.optim.SGD([one(lib), one(lib)], lr=0.1).load_state_dict(state)


def add_again(lib):
    x = one(lib)
    lib.optim.SGD([x], lr=0.1).add_param_group({"params": [x]})


def cycle(lib, **settings):
    return lib.optim.lr_scheduler.OneCycleLR(
        lib.optim.SGD([one(lib)], lr=0.1), max_lr=1.0, **settings
    )


def cycle_too_long(lib):
    curve(lib, "OneCycleLR", 6, max_lr=1.0, total_steps=5)


@pytest.mark.parametrize(
    ("program", "error"),
    [
        (lambda lib: lib.optim.SGD([]), ValueError),
        (lambda lib: lib.optim.Adam(iter(())), ValueError),
        (lambda lib: lib.optim.SGD(one(lib)), TypeError),
        (lambda lib: lib.optim.SGD([np.ones(2)]), TypeError),
        (lambda lib: lib.optim.SGD([{"params": {one(lib)}}]), TypeError),
        (lambda lib: lib.optim.SGD([one(lib) * 2]), ValueError),
        (lambda lib: lib.optim.SGD([{"params": [x := one(lib)]}, {"params": [x]}]), ValueError),
        (lambda lib: lib.optim.SGD([one(lib)]).add_param_group([one(lib)]), TypeError),
        (add_again, ValueError),
        (lambda lib: lib.optim.SGD([one(lib)], lr=-0.1), ValueError),
        (lambda lib: lib.optim.SGD([one(lib)], lr="0.1"), TypeError),
        (lambda lib: lib.optim.SGD([one(lib)], momentum="0.9"), TypeError),
        (lambda lib: lib.optim.SGD(lib.nn.Linear(1, 1)), TypeError),
        (lambda lib: lib.optim.SGD(lib.nn.Linear(1, 1).parameters), TypeError),
        (lambda lib: lib.optim.SGD(lib.nn.Linear(1, 1).state_dict()), TypeError),
        (lambda lib: lib.optim.SGD([one(lib)]).step(one(lib)), TypeError),
        (lambda lib: lib.optim.Adam([one(lib)], betas=0.9), TypeError),
        (lambda lib: cycle(lib, total_steps=2.5), ValueError),
        (lambda lib: lib.optim.SGD([one(lib)], momentum=-0.1), ValueError),
        (lambda lib: lib.optim.SGD([one(lib)], weight_decay=-0.1), ValueError),
        (lambda lib: lib.optim.SGD([one(lib)], nesterov=True), ValueError),
        (
            lambda lib: lib.optim.SGD([one(lib)], nesterov=True, momentum=0.9, dampening=0.1),
            ValueError,
        ),
        (lambda lib: lib.optim.Adam([one(lib)], lr=-0.1), ValueError),
        (lambda lib: lib.optim.Adam([one(lib)], lr=float("nan")), ValueError),
        (lambda lib: lib.optim.Adam([one(lib)], eps=-1.0), ValueError),
        (lambda lib: lib.optim.Adam([one(lib)], betas=(1.0, 0.9)), ValueError),
        (lambda lib: lib.optim.AdamW([one(lib)], betas=(0.9, -0.1)), ValueError),
        (lambda lib: lib.optim.AdamW([one(lib)], weight_decay=-0.1), ValueError),
        (load_into_other_groups, ValueError),
        (load_into_a_larger_group, ValueError),
        (lambda lib: lib.optim.SGD([one(lib)]).load_state_dict({"state": {}}), KeyError),
        (lambda lib: lib.optim.lr_scheduler.StepLR([one(lib)], step_size=1), TypeError),
        (cycle, ValueError),
        (lambda lib: cycle(lib, total_steps=0), ValueError),
        (lambda lib: cycle(lib, epochs=3), ValueError),
        (lambda lib: cycle(lib, total_steps=5, pct_start=-0.5), ValueError),
        (lambda lib: cycle(lib, total_steps=5, pct_start=1.5), ValueError),
        (cycle_too_long, ValueError),
    ],
)
@pytest.mark.parametrize("lib", [torch, tinygrad_mnist], ids=["torch", "ours"])
def test_wrong_use_raises_the_same_error(lib, program, error):
    with pytest.raises(error):
        program(lib)
