"""Update rules against their formulas, schedules against their curves, and wrong use."""

from copy import deepcopy
from functools import partial

import numpy as np
import pytest

from tinygrad_mnist import Tensor, nn, no_grad, optim, tensor
from tinygrad_mnist.testing import assert_optimizer


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


def adamw(x, g, t, state, weight_decay=0.5):
    state["m"] = 0.8 * state.get("m", 0) + 0.2 * g
    state["v"] = 0.9 * state.get("v", 0) + 0.1 * g**2
    decayed = x - 0.1 * weight_decay * x
    return decayed - 0.1 * (state["m"] / (1 - 0.8**t)) / (np.sqrt(state["v"] / (1 - 0.9**t)) + 1e-3)


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
        (lambda p: optim.AdamW(p, lr=0.1, betas=(0.8, 0.9), eps=1e-3, weight_decay=0.5), adamw),
        (
            lambda p: optim.AdamW(p, lr=0.1, betas=(0.8, 0.9), eps=1e-3),
            lambda x, g, t, s: adamw(x, g, t, s, weight_decay=0.01),
        ),
    ],
    ids=["sgd", "momentum", "dampening", "nesterov", "adam", "adamw", "adamw-default"],
)
def test_path_is_that_of_the_formula(make, formula):
    np.testing.assert_allclose(minimise(make), reference(formula), rtol=1e-12)


def test_groups_have_their_own_settings():
    a, b = tensor([1.0], requires_grad=True), tensor([1.0], requires_grad=True)
    optimizer = optim.SGD([{"params": [a], "lr": 1.0}, {"params": [b]}], lr=0.5)
    (a + b).sum().backward()
    optimizer.step()
    assert (a.item(), b.item()) == (0.0, 0.5)


def test_a_step_computes_the_loss_by_a_closure_with_recording_on():
    x = tensor([1.0, -2.0], requires_grad=True)
    optimizer = optim.SGD([x], lr=0.25)
    losses = []

    def closure():
        optimizer.zero_grad()
        loss = (x * x).sum()
        loss.backward()
        losses.append(loss)
        return loss

    with no_grad():
        assert optimizer.step(closure) is losses[0]
        assert not (x * x).requires_grad
    assert x.data.tolist() == [0.5, -1]
    assert len(losses) == 1
    assert optimizer.step() is None


def test_a_closure_that_fails_changes_nothing():
    x = tensor([1.0], requires_grad=True)
    x.backward()
    with no_grad():
        with pytest.raises(ZeroDivisionError):
            optim.SGD([x], lr=0.25).step(lambda: 1 / 0)
        assert not (x * x).requires_grad
    assert x.item() == 1


def test_an_update_may_write_as_under_no_grad():
    class Plain(optim.Optimizer):
        def update(self, p, g, group, state):
            p -= group["lr"] * p.grad

    x = tensor([1.0, -2.0], requires_grad=True)
    (x * x).sum().backward()
    Plain([x], {"lr": 0.25}).step()
    assert x.data.tolist() == [0.5, -1]
    assert (x * x).requires_grad


def test_a_step_may_be_wrapped_and_scheduled():
    x, steps = tensor([1.0], requires_grad=True), []
    optimizer = optim.SGD([x], lr=1.0)
    step = optimizer.step
    optimizer.step = lambda closure=None: (steps.append(1), step(closure))[1]
    schedule = optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    for expected in (0.0, -0.5):
        assert optimizer.step(lambda: x.sum().backward() or 7) == 7
        schedule.step()
        optimizer.zero_grad()
        assert x.item() == expected
    assert len(steps) == 2


def test_a_group_added_later_is_updated_too():
    a, b = tensor([1.0], requires_grad=True), tensor([1.0], requires_grad=True)
    optimizer = optim.Adam([a], lr=0.25)
    optimizer.add_param_group({"params": b, "lr": 0.5})
    (a + b).sum().backward()
    optimizer.step()
    np.testing.assert_allclose((a.item(), b.item()), (0.75, 0.5))


def test_a_group_given_by_the_user_is_left_as_it_was():
    group = {"params": (tensor(1.0),), "lr": 0.5}
    optim.SGD([group], momentum=0.5).param_groups[0]["lr"] = 0.1
    assert group.keys() == {"params", "lr"}
    assert group["lr"] == 0.5


def test_gradients_are_forgotten_or_set_to_zero():
    a, b = tensor([1.0], requires_grad=True), tensor([1.0], requires_grad=True)
    optimizer = optim.SGD([a, b], lr=0.5, momentum=0.5)
    a.sum().backward()
    optimizer.step()
    optimizer.zero_grad(set_to_none=False)
    assert (a.grad.item(), b.grad) == (0.0, None)
    optimizer.step()
    assert a.item() == 0.25
    optimizer.zero_grad()
    assert a.grad is None
    optimizer.step()
    assert a.item() == 0.25


KINDS = {
    "SGD": lambda p, **settings: optim.SGD(p, **settings),
    "momentum": lambda p, **settings: optim.SGD(
        p, momentum=0.9, dampening=0.1, weight_decay=0.1, **settings
    ),
    "Nesterov": lambda p, **settings: optim.SGD(p, momentum=0.9, nesterov=True, **settings),
    "Adam": lambda p, **settings: optim.Adam(p, weight_decay=0.1, **settings),
    "AdamW": lambda p, **settings: optim.AdamW(p, weight_decay=0.1, **settings),
}
every_kind = pytest.mark.parametrize("make", KINDS.values(), ids=KINDS)


@every_kind
def test_an_optimizer_keeps_its_promises(make):
    assert_optimizer(partial(make, lr=0.05))


@every_kind
def test_a_single_number_and_an_array_without_one_are_updated_too(make):
    params = [tensor(np.ones(n, np.float32), requires_grad=True) for n in ((1,), (0,), ())]
    optimizer = make(params)
    for _ in range(2):
        for p in params:
            (p * p).sum().backward()
        optimizer.step()
    for p, state in zip(params, optimizer.state, strict=True):
        for x in [p.data, *(value for name, value in state.items() if name != "step")]:
            assert (type(x), x.dtype, x.shape) == (np.ndarray, np.float32, p.shape)
        assert (p.data != 1).all()


@every_kind
def test_settings_in_numpy_numbers_do_not_change_a_bit(make):
    values = []
    for lr, scalar in ((0.1, float), (np.float64(0.1), np.float64), (np.array(0.1), np.array)):
        x = tensor(np.linspace(1, 2, 50, dtype=np.float32), requires_grad=True)
        optimizer = make([{"params": [x], "weight_decay": scalar(0.3)}], lr=lr)
        for _ in range(3):
            optimizer.zero_grad()
            (x * x).sum().backward()
            optimizer.step()
        values.append(x.data.tobytes())
    assert values[0] == values[1] == values[2]


def test_adamw_decays_all_weights_alike_and_adam_does_not():
    shrunk = {}
    for kind in (optim.Adam, optim.AdamW):
        x = tensor(np.array([1.0, 1.0]), requires_grad=True)
        optimizer = kind([x], lr=0.1, betas=(0.9, 0.9), weight_decay=0.5)
        for t in range(20):
            optimizer.zero_grad()
            (x * np.array([1.0, 100.0])).sum().backward(gradient=(-1) ** t)
            optimizer.step()
        shrunk[kind] = 1 - x.data
    assert np.ptp(shrunk[optim.AdamW]) < 1e-6
    assert shrunk[optim.Adam][0] > 3 * shrunk[optim.Adam][1]


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
        (lambda: optim.SGD([]), ValueError, "no parameters.*nn.Parameter.*used up"),
        (lambda: optim.SGD([np.ones(2)]), TypeError, "ndarray"),
        (lambda: optim.SGD([tensor(1.0)], lr=-1), ValueError, "lr must be .* 0 or more"),
        (lambda: optim.SGD([tensor(1.0)], nesterov=True), ValueError, "momentum > 0"),
        (
            lambda: optim.SGD([tensor(1.0)], nesterov=True, momentum=0.9, dampening=0.1),
            ValueError,
            "dampening = 0",
        ),
        (lambda: optim.SGD([x := tensor(1.0), x]), ValueError, "twice"),
        (lambda: optim.SGD([{"params": [x := tensor(1.0)]}, {"params": [x]}]), ValueError, "twice"),
        (lambda: optim.SGD(tensor([1.0])), TypeError, r"\[p\] for one tensor"),
        (lambda: optim.SGD({tensor(1.0)}), TypeError, "a set has no order"),
        (lambda: optim.SGD([{"params": {tensor(1.0)}}]), TypeError, "a set has no order"),
        (
            lambda: optim.SGD([{"params": [tensor(1.0)]}, tensor(1.0)]),
            TypeError,
            "A group is a dict",
        ),
        (
            lambda: optim.SGD([tensor([1.0, 2.0], requires_grad=True).reshape(2, 1)]),
            ValueError,
            r"\(2, 1\) was computed by reshape",
        ),
        (
            lambda: optim.SGD([{"params": [tensor(1.0)], "momentum": -0.1}]),
            ValueError,
            "momentum must be a finite number, 0 or more",
        ),
        (
            lambda: optim.SGD([tensor(1.0)], weight_decay=-0.1),
            ValueError,
            "weight_decay must be a finite number, 0 or more",
        ),
        (lambda: optim.Adam([tensor(1.0)], eps=-1e-8), ValueError, "eps must be .* 0 or more"),
        (
            lambda: optim.Adam([tensor(1.0)], lr=float("nan")),
            ValueError,
            "lr must be a finite number, 0 or more",
        ),
        (lambda: optim.Adam([tensor(1.0)], betas=(0.9, 1.0)), ValueError, "up to below 1"),
        (lambda: optim.AdamW([tensor(1.0)], betas=(-0.1, 0.9)), ValueError, "up to below 1"),
    ],
)
def test_wrong_use_is_explained(make, error, message):
    with pytest.raises(error, match=message):
        make()


def test_a_refused_group_is_not_added():
    optimizer = optim.SGD([tensor(1.0)])
    with pytest.raises(ValueError, match="lr must be a finite number, 0 or more"):
        optimizer.add_param_group({"params": [tensor(1.0)], "lr": -1.0})
    assert (len(optimizer.param_groups), len(optimizer.state)) == (1, 1)


def test_an_optimizer_without_an_update_says_what_to_define():
    x = tensor(1.0, requires_grad=True)
    x.backward()
    with pytest.raises(NotImplementedError, match="Optimizer has no update method"):
        optim.Optimizer([x], {"lr": 0.1}).step()


# ---------------------------------------------------------------- saving and loading


def model_and_optimizer(make, schedule=None):
    """A small network in float32 whose weights and biases form two groups.

    The first layer's bias never has a gradient.
    """
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Linear(3, 4, rng=rng), nn.Tanh(), nn.Linear(4, 2, rng=rng))
    model[0].bias.requires_grad = False
    params = list(model.parameters())
    optimizer = make(
        [{"params": params[::2]}, {"params": params[1::2], "weight_decay": 0.0, "lr": 0.03}], lr=0.1
    )
    return model, optimizer, None if schedule is None else schedule(optimizer)


def fit(model, optimizer, schedule, steps):
    """The bytes of all parameters after so many steps."""
    x, y = (
        np.random.default_rng(1).normal(size=(6, 3)).astype(np.float32),
        np.array([0, 1, 1, 0, 1, 0]),
    )
    for _ in range(steps):
        optimizer.zero_grad()
        nn.CrossEntropyLoss()(model(x), y).backward()
        optimizer.step()
        if schedule:
            schedule.step()
    return [p.data.tobytes() for p in model.parameters()]


def through_npz(state, path):
    """A state_dict written to a file of plain arrays, and read again."""
    arrays = {
        f"state/{i}/{name}": value
        for i, entries in state["state"].items()
        for name, value in entries.items()
    }
    arrays |= {
        f"param_groups/{i}/{name}": value
        for i, group in enumerate(state["param_groups"])
        for name, value in group.items()
    }
    np.savez(path, **arrays)
    read = {"state": {}, "param_groups": [{} for _ in state["param_groups"]]}
    with np.load(path, allow_pickle=False) as file:
        for key in file:
            kind, i, name = key.split("/")
            entries = (
                read["state"].setdefault(int(i), {})
                if kind == "state"
                else read["param_groups"][int(i)]
            )
            entries[name] = file[key]
    return read


SCHEDULES = {
    "none": None,
    "StepLR": lambda optimizer: optim.lr_scheduler.StepLR(optimizer, step_size=3, gamma=0.5),
    "ExponentialLR": lambda optimizer: optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.9),
    "CosineAnnealingLR": lambda optimizer: optim.lr_scheduler.CosineAnnealingLR(
        optimizer, T_max=4, eta_min=0.01
    ),
    "OneCycleLR": lambda optimizer: optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=0.2, total_steps=12
    ),
}


with_momentum = pytest.mark.parametrize(
    "make", [KINDS["momentum"], KINDS["Adam"]], ids=["momentum", "Adam"]
)


@with_momentum
@pytest.mark.parametrize("schedule", SCHEDULES.values(), ids=SCHEDULES)
def test_training_goes_on_from_a_file_to_the_same_bytes(make, schedule, tmp_path):
    trained = model_and_optimizer(make, schedule)
    fit(*trained, 5)
    weights = {name: t.data.copy() for name, t in trained[0].state_dict().items()}
    saved = through_npz(trained[1].state_dict(), tmp_path / "optimizer.npz")
    if schedule:
        np.savez(tmp_path / "schedule.npz", **trained[2].state_dict())
    expected = fit(*trained, 7)

    model, optimizer, resumed_schedule = model_and_optimizer(make, schedule)
    model.load_state_dict(weights)
    if schedule:
        with np.load(tmp_path / "schedule.npz", allow_pickle=False) as file:
            resumed_schedule.load_state_dict(dict(file))
    optimizer.load_state_dict(saved)
    assert fit(model, optimizer, resumed_schedule, 7) == expected
    np.testing.assert_equal(optimizer.state_dict(), trained[1].state_dict())
    if schedule:
        assert resumed_schedule.state_dict() == trained[2].state_dict()


def test_state_has_pytorchs_layout():
    x, y, z = (tensor(np.zeros(shape), requires_grad=True) for shape in (2, (), 3))
    (x.sum() + y).backward()
    optimizer = optim.Adam([{"params": [z, x]}, {"params": [y], "lr": 0.5}], lr=0.25)
    assert optimizer.state_dict()["state"] == {}
    optimizer.step()
    settings = {"betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.0}
    np.testing.assert_equal(
        optimizer.state_dict(),
        {
            "state": {
                1: {"step": 1, "exp_avg": np.full(2, 1 - 0.9), "exp_avg_sq": np.full(2, 1 - 0.999)},
                2: {"step": 1, "exp_avg": np.array(1 - 0.9), "exp_avg_sq": np.array(1 - 0.999)},
            },
            "param_groups": [
                {"lr": 0.25, **settings, "params": [0, 1]},
                {"lr": 0.5, **settings, "params": [2]},
            ],
        },
    )
    sgd = optim.SGD([x], lr=0.1, momentum=0.9)
    sgd.step()
    np.testing.assert_equal(sgd.state_dict()["state"], {0: {"momentum_buffer": np.ones(2)}})
    plain = optim.SGD([x], lr=0.1)
    plain.step()
    assert plain.state_dict()["state"] == {}


@with_momentum
def test_saved_state_is_shared_with_no_optimizer(make):
    model, optimizer, _ = model_and_optimizer(make)
    fit(model, optimizer, None, 2)
    saved = optimizer.state_dict()
    before = deepcopy(saved)
    fit(model, optimizer, None, 2)
    np.testing.assert_equal(saved, before)
    optimizer.load_state_dict(saved)
    fit(model, optimizer, None, 2)
    optimizer.param_groups[0]["lr"] = 7.0
    np.testing.assert_equal(saved, before)


def test_parameters_without_saved_state_start_anew():
    model, optimizer, _ = model_and_optimizer(KINDS["Adam"])
    fresh = optimizer.state_dict()
    fit(model, optimizer, None, 2)
    optimizer.load_state_dict(fresh)
    assert optimizer.state == [{}, {}, {}, {}]


def dropped(mapping, key):
    del mapping[key]


@pytest.mark.parametrize(
    ("spoil", "error", "message"),
    [
        (lambda s: dropped(s, "state"), KeyError, r"lacks \['state'\]"),
        (lambda s: dropped(s, "param_groups"), KeyError, r"lacks \['param_groups'\]"),
        (
            lambda s: s["param_groups"].append({"params": []}),
            ValueError,
            r"groups of \[2, 2, 0\] .* groups of \[2, 2\]",
        ),
        (lambda s: s["param_groups"][1]["params"].append(4), ValueError, r"groups of \[2, 3\]"),
        (lambda s: dropped(s["param_groups"][1], "lr"), KeyError, r"lacks \['lr'\] in group 1"),
        (lambda s: s["param_groups"][1].update(lr=-1.0), ValueError, "lr must be .* 0 or more"),
        (lambda s: s["param_groups"][1].update(betas=(0.9, 1.5)), ValueError, "betas"),
        (
            lambda s: dropped(s["state"][3], "exp_avg_sq"),
            KeyError,
            r"lacks \['exp_avg_sq'\] in the state of parameter 3",
        ),
        (lambda s: dropped(s["state"][3], "step"), KeyError, r"lacks \['step'\]"),
        (
            lambda s: s["state"][3].update(exp_avg=np.zeros(3)),
            ValueError,
            r"exp_avg of parameter 3 has shape \(3,\).* needs \(2,\)",
        ),
        (
            lambda s: s["state"][3].update(exp_avg=np.zeros((1, 2))),
            ValueError,
            r"exp_avg of parameter 3 has shape \(1, 2\)",
        ),
        (
            lambda s: s["state"][3].update(step=np.zeros(2)),
            ValueError,
            r"step of parameter 3 has shape \(2,\)",
        ),
        (
            lambda s: s["state"][3].update(exp_avg=np.array(["a", "b"])),
            ValueError,
            "could not convert",
        ),
        (lambda s: s["state"].update({9: {}}), KeyError, r"parameters \[9\], which are in none"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(spoil, error, message):
    model, optimizer, _ = model_and_optimizer(KINDS["Adam"])
    fit(model, optimizer, None, 1)
    other_model, other, _ = model_and_optimizer(KINDS["Adam"])
    fit(other_model, other, None, 3)
    saved = other.state_dict() | {"param_groups": deepcopy(other.state_dict()["param_groups"])}
    saved["param_groups"][0]["lr"] = 0.7
    spoil(saved)
    before = deepcopy(optimizer.state_dict())
    with pytest.raises(error, match=message):
        optimizer.load_state_dict(saved)
    np.testing.assert_equal(optimizer.state_dict(), before)


def test_state_that_would_not_be_restored_is_not_saved():
    class Forgetful(optim.Optimizer):
        def update(self, p, g, group, state):
            state["steps"] = state.get("steps", 0) + 1

    x = tensor([1.0], requires_grad=True)
    x.backward()
    optimizer = Forgetful([x], {})
    assert optimizer.state_dict()["state"] == {}
    optimizer.step()
    with pytest.raises(
        ValueError,
        match=r"Forgetful keeps \['steps'\] in its state, but Forgetful.remembers does not name it",
    ):
        optimizer.state_dict()


def test_state_of_another_kind_of_optimizer_is_refused():
    saved = {}
    for name, make in KINDS.items():
        model, optimizer, _ = model_and_optimizer(make)
        fit(model, optimizer, None, 1)
        saved[name] = optimizer.state_dict()
    for name, other in (("momentum", "Adam"), ("AdamW", "momentum")):
        with pytest.raises(KeyError, match="another kind of optimizer"):
            model_and_optimizer(KINDS[name])[1].load_state_dict(saved[other])


def test_what_a_schedule_saves_fits_only_its_own_kind():
    optimizer = optim.SGD([tensor(1.0)], lr=0.1, momentum=0.9)
    saved = optim.lr_scheduler.StepLR(optimizer, step_size=3).state_dict()
    assert saved == {"step_size": 3, "gamma": 0.1, "last_epoch": 0}
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=5)
    with pytest.raises(
        KeyError,
        match=r"not of a CosineAnnealingLR: missing \['T_max', 'eta_min'\], "
        r"unexpected \['gamma', 'step_size'\]",
    ):
        schedule.load_state_dict({**saved, "last_epoch": 4})
    assert (schedule.last_epoch, schedule.optimizer) == (0, optimizer)


# ---------------------------------------------------------------- clipping


def with_gradients(*gradients):
    params = [tensor(np.zeros_like(g), requires_grad=True) for g in gradients]
    for p, g in zip(params, gradients, strict=True):
        p.grad = tensor(g)
    return params


@pytest.mark.parametrize(("norm_type", "norm"), [(2, 13.0), (np.inf, 12.0), (1, 19.0)])
def test_all_gradients_are_scaled_by_one_factor(norm_type, norm):
    params = [
        *with_gradients(np.array([[3.0], [0.0]]), np.array(-4.0), np.array([12.0])),
        tensor(1.0),
    ]
    total = nn.utils.clip_grad_norm_(iter(params), max_norm=2.0, norm_type=norm_type)
    assert isinstance(total, Tensor)
    assert (total.shape, total.item()) == ((), norm)
    factor = 2 / (norm + 1e-6)
    for p, g in zip(params, ([[3.0], [0.0]], -4.0, [12.0]), strict=False):
        np.testing.assert_allclose(p.grad.data, np.array(g) * factor, rtol=1e-15)
    assert params[3].grad is None


def test_short_gradients_stay_as_they_are():
    (x,) = with_gradients(np.array([0.3, -0.4]))
    assert nn.utils.clip_grad_norm_(x, max_norm=0.6).item() == 0.5
    assert x.grad.data.tolist() == [0.3, -0.4]


def test_clipping_keeps_the_dtype_and_writes_in_place():
    (x,) = with_gradients(np.array([3.0, 4.0], np.float32))
    array = x.grad.data
    assert nn.utils.clip_grad_norm_([x], max_norm=np.float64(1.0)).dtype == np.float32
    assert x.grad.data is array
    assert array.dtype == np.float32
    np.testing.assert_allclose(array, [0.6, 0.8], rtol=1e-6)


def test_large_float32_gradients_are_clipped_although_their_squares_overflow():
    (x,) = with_gradients(np.array([3e30, 4e30], np.float32))
    np.testing.assert_allclose(nn.utils.clip_grad_norm_([x], max_norm=1.0).item(), 5e30, rtol=1e-6)
    np.testing.assert_allclose(x.grad.data, [0.6, 0.8], rtol=1e-6)


@pytest.mark.parametrize(
    ("gradient", "norm", "clipped"),
    [
        ([np.inf, 1.0], np.inf, [np.nan, 0.0]),
        ([np.nan, 1.0], np.nan, [np.nan, np.nan]),
        ([3e38, 3e38], np.inf, [0.7071068, 0.7071068]),
    ],
)
def test_a_norm_that_is_not_finite_spoils_only_what_it_must(gradient, norm, clipped):
    (x,) = with_gradients(np.array(gradient, np.float32))
    np.testing.assert_equal(nn.utils.clip_grad_norm_([x], max_norm=1.0).data, np.float32(norm))
    np.testing.assert_allclose(x.grad.data, clipped, rtol=1e-6)


def test_clipping_without_gradients_gives_norm_0():
    assert nn.utils.clip_grad_norm_([tensor(1.0, requires_grad=True)], 1.0).item() == 0
    assert nn.utils.clip_grad_norm_([], 1.0).item() == 0
    with pytest.warns(UserWarning, match="generator of parameters is used up"):
        nn.utils.clip_grad_norm_(iter(()), 1.0)
    with pytest.raises(ValueError, match="0 or more, but is -1"):
        nn.utils.clip_grad_norm_([tensor(1.0)], -1.0)


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


def test_step_lr_drops_every_few_steps():
    optimizer = optim.SGD([tensor(1.0)], lr=0.5)
    schedule = optim.lr_scheduler.StepLR(optimizer, step_size=3)
    np.testing.assert_allclose(
        rates(optimizer, schedule, 7), [0.5, 0.5, 0.5, 0.05, 0.05, 0.05, 0.005, 0.005]
    )


def test_cosine_falls_and_rises_with_period_two_t_max():
    optimizer = optim.SGD([tensor(1.0)], lr=0.5)
    schedule = optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=4, eta_min=0.1)
    found = rates(optimizer, schedule, 16)
    np.testing.assert_allclose(found[:5], 0.1 + 0.4 * (1 + np.cos(np.pi * np.arange(5) / 4)) / 2)
    assert (found[0], found[4]) == (0.5, 0.1)
    np.testing.assert_allclose(found[5:9], found[3::-1])
    np.testing.assert_allclose(found[8:], found[:9])


def test_schedules_follow_the_rate_of_each_group_also_of_one_added_later():
    optimizer = optim.SGD([{"params": [tensor(1.0)]}, {"params": [tensor(1.0)], "lr": 0.4}], lr=0.2)
    schedule = optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5)
    schedule.step()
    optimizer.add_param_group({"params": [tensor(1.0)], "lr": 0.8})
    schedule.step()
    np.testing.assert_allclose(schedule.get_last_lr(), [0.05, 0.1, 0.2])


def test_rates_are_python_numbers():
    optimizer = optim.SGD([tensor(1.0)], lr=np.float64(0.2))
    schedule = optim.lr_scheduler.ExponentialLR(optimizer, gamma=np.float64(0.5))
    assert {type(rate) for rate in rates(optimizer, schedule, 2)} == {float}


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda o: optim.lr_scheduler.StepLR(o, step_size=0), ValueError, "step_size .* is 0"),
        (lambda o: optim.lr_scheduler.CosineAnnealingLR(o, T_max=0), ValueError, "T_max .* is 0"),
        (lambda o: optim.lr_scheduler.ExponentialLR(0.9, o), TypeError, "gamma .* is a SGD"),
        (
            lambda o: optim.lr_scheduler.OneCycleLR(o, max_lr=1.0, epochs=3),
            ValueError,
            "steps_per_epoch",
        ),
        (
            lambda o: optim.lr_scheduler.LRScheduler(o),
            NotImplementedError,
            "LRScheduler has no rate",
        ),
    ],
)
def test_schedules_explain_wrong_use(make, error, message):
    with pytest.raises(error, match=message):
        make(optim.SGD([tensor(1.0)]))


def test_one_cycle_counts_epochs_times_steps():
    curves = []
    for length in ({"total_steps": 12}, {"epochs": 3, "steps_per_epoch": 4}):
        optimizer = optim.SGD([tensor(1.0)], lr=0.1, momentum=0.9)
        curves.append(
            rates(optimizer, optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, **length), 12)
        )
    assert curves[0] == curves[1]


@pytest.mark.parametrize("total_steps", [1, 2, 4])
def test_one_cycle_may_begin_at_its_peak(total_steps):
    optimizer = optim.SGD([tensor(1.0)], lr=0.1, momentum=0.9)
    schedule = optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=1.0, total_steps=2 * total_steps, pct_start=0.5 / total_steps
    )
    assert rates(optimizer, schedule, 1)[0] == 1.0


def test_one_cycle_may_only_fall():
    optimizer = optim.SGD([tensor(1.0)], lr=0.1, momentum=0.9)
    found = rates(
        optimizer,
        optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=5, pct_start=0.0),
        4,
    )
    np.testing.assert_allclose(
        found, 4e-6 + (1 - 4e-6) * (1 + np.cos(np.pi * np.arange(1, 6) / 5)) / 2
    )


def test_one_cycle_may_leave_momentum_alone():
    optimizer = optim.SGD([tensor(1.0)], lr=0.1, momentum=0.3)
    schedule = optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=1.0, total_steps=5, cycle_momentum=False
    )
    rates(optimizer, schedule, 5)
    assert optimizer.param_groups[0]["momentum"] == 0.3


def test_one_cycle_rises_and_falls_along_cosines():
    optimizer = optim.SGD([tensor(1.0)], lr=0.1, momentum=0.9)
    schedule = optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=1.0, total_steps=11, pct_start=6 / 11
    )
    found = rates(optimizer, schedule, 10)
    rise = 0.04 + 0.96 * (1 - np.cos(np.pi * np.arange(6) / 5)) / 2
    fall = 4e-6 + (1 - 4e-6) * (1 + np.cos(np.pi * np.arange(6) / 5)) / 2
    np.testing.assert_allclose(found, [*rise, *fall[1:]], rtol=1e-12)
    np.testing.assert_allclose(optimizer.param_groups[0]["momentum"], 0.95)


def test_one_cycle_moves_momentum_the_other_way():
    optimizer = optim.Adam([tensor(1.0)])
    schedule = optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=1.0, total_steps=11, pct_start=6 / 11
    )
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
    with pytest.raises(ValueError, match="step 2, but was asked for step 3"):
        rates(optimizer, schedule, 3)
    with pytest.raises(ValueError, match="pct_start"):
        optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1.0, total_steps=2, pct_start=1.0)


def test_an_optimizer_shows_its_settings_and_what_they_are_for():
    weight, bias = nn.Parameter(np.ones((2, 3))), nn.Parameter(np.ones(3))
    groups = [{"params": [weight], "weight_decay": 0.5}, {"params": [bias]}]
    lines = repr(optim.SGD(groups, lr=0.1)).splitlines()
    assert (lines[0], len(lines), lines[3]) == ("SGD(", 4, ")")
    assert "lr=0.1" in lines[1]
    assert "weight_decay=0.5" in lines[1]
    assert lines[2].endswith(": (3,)")
