"""What is written in place: updates of leaves, writes that would spoil a gradient, and rules."""

import copy
import gc

import numpy as np
import pytest

from tinygrad_mnist import nn, optim
from tinygrad_mnist.autodiff import GradcheckError, Op, Tensor, gradcheck, memory, no_grad, tensor


def trained(values=(1.0, 2.0)):
    return tensor(np.array(values), requires_grad=True)


# ---------------------------------------------------------------- augmented assignment

AUGMENTED = {
    "+=": [3.0, 4.0],
    "-=": [-1.0, 0.0],
    "*=": [2.0, 4.0],
    "/=": [0.5, 1.0],
    "//=": [0.0, 1.0],
    "%=": [1.0, 0.0],
    "**=": [1.0, 4.0],
}


def augment(w, operator):
    names = {"w": w, "two": np.float64(2)}
    exec(f"w {operator} two", names)
    return names["w"]


def test_the_training_loop_of_pytorchs_tutorial_trains():
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    x = np.random.default_rng(0).normal(size=(16, 3)).astype(np.float32)
    y = x.sum(axis=1, keepdims=True)
    arrays = [p.data for p in model.parameters()]
    losses = []
    for _ in range(50):
        loss = nn.functional.mse_loss(model(x), y)
        model.zero_grad()
        loss.backward()
        with no_grad():
            for p in model.parameters():
                p -= 0.1 * p.grad
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]
    assert all(p.requires_grad and p.is_leaf for p in model.parameters())
    assert all(p.data is array for p, array in zip(model.parameters(), arrays, strict=True))


@pytest.mark.parametrize(("operator", "expected"), AUGMENTED.items())
def test_under_no_grad_a_leaf_is_written_in_place(operator, expected):
    w = trained()
    array = w.data
    with no_grad():
        assert augment(w, operator) is w
    assert w.data is array
    assert w.data.tolist() == expected
    assert w.requires_grad


def test_matrix_multiplication_in_place_keeps_the_leaf_too():
    w = trained([[1.0, 2.0], [3.0, 4.0]])
    kept = w
    with no_grad():
        w @= np.array([[0.0, 1.0], [1.0, 0.0]])
    assert w is kept
    assert w.data.tolist() == [[2.0, 1.0], [4.0, 3.0]]


@pytest.mark.parametrize("operator", [*AUGMENTED, "@="])
def test_while_recording_a_leaf_refuses_and_names_the_way_out(operator):
    w = trained()
    with pytest.raises(RuntimeError, match=r"with no_grad\(\): p -= \.\.\..*y = p - \.\.\."):
        augment(w, operator)
    assert w.data.tolist() == [1.0, 2.0]


def test_other_tensors_are_bound_anew():
    plain, computed = tensor([1.0]), trained() * 1
    old = plain, computed
    plain += 1
    computed += 1
    assert old[0].data.tolist() == [1.0]
    assert old[1].data.tolist() == [1.0, 2.0]
    assert computed.requires_grad


def test_an_update_keeps_dtype_and_shape():
    w = tensor([1.0, 2.0], requires_grad=True)
    with no_grad():
        w -= np.array([0.5, 0.5])
    assert w.dtype == np.float32
    with no_grad(), pytest.raises(ValueError, match=r"shape \(3, 2\) do not fit .* shape \(2,\)"):
        w -= np.ones((3, 2))
    assert w.data.tolist() == [0.5, 1.5]


def test_a_parameter_updated_as_an_attribute_stays_the_parameter():
    model = nn.Linear(2, 1)
    weight = model.weight
    with no_grad():
        model.weight *= 0
    assert model.weight is weight
    assert not model.weight.data.any()


@pytest.mark.parametrize("values", [np.ones(3), np.ones((3, 2)), np.ones((1, 2))])
def test_values_of_another_shape_are_refused_in_words_and_nothing_is_written(values):
    w = trained()
    with no_grad(), pytest.raises(ValueError, match=r"Values of shape .* shape \(2,\)\."):
        w.copy_(values)
    assert w.data.tolist() == [1.0, 2.0]
    assert memory.written(w.data) == 0


def test_copy_writes_in_place_and_refuses_what_must_stay():
    w = trained()
    with pytest.raises(RuntimeError, match="no_grad"):
        w.copy_([0.0, 0.0])
    with pytest.raises(RuntimeError, match="computed by mul"):
        (w * 2).copy_([0.0, 0.0])
    with no_grad():
        assert w.copy_([5.0, 6.0]) is w
    assert w.data.tolist() == [5.0, 6.0]


# ---------------------------------------------------------------- writes are noticed


def through_detach(w):
    other = w.detach()
    other.data -= 1


def through_a_view(w):
    row = w.detach()[:1]
    row.data *= 2


def through_a_transpose(w):
    other = w.detach().T
    other.data += 1


def through_a_view_of_a_view(w):
    other = w.detach().reshape(1, -1)[0, 1:]
    other.data += 1


def through_another_tensor_around_the_array(w):
    other = Tensor(w.data)
    other.data /= 2


def by_an_update(w):
    with no_grad():
        w -= 1


def by_copy(w):
    w.detach().copy_(np.zeros(w.shape))


def by_another_array(w):
    w.data = np.zeros(w.shape)


def by_an_optimizer(w):
    w.grad = Tensor(np.ones(w.shape))
    optim.SGD([w], lr=0.1).step()


def by_an_initialiser(w):
    nn.init.zeros_(w)


WRITES = [
    *(through_detach, through_a_view, through_a_transpose, through_a_view_of_a_view),
    *(through_another_tensor_around_the_array, by_an_update, by_copy, by_another_array),
    *(by_an_optimizer, by_an_initialiser),
]


@pytest.mark.parametrize("write", WRITES)
def test_a_write_after_the_use_is_noticed_whoever_wrote(write):
    w = trained()
    loss = (w * w).sum()
    write(w)
    w.grad = None
    with pytest.raises(RuntimeError, match="written in place after mul had used it"):
        loss.backward()
    assert w.grad is None


@pytest.mark.parametrize("write", WRITES)
def test_a_write_before_the_use_is_fine(write):
    w = trained()
    write(w)
    w.grad = None
    (w * w).sum().backward()
    assert w.grad.data.tolist() == (2 * w.data).tolist()


def test_values_of_a_state_dict_share_the_stamp():
    model = nn.Linear(2, 1)
    loss = model(np.ones((1, 2), np.float32)).sum()
    model.state_dict()["weight"].data *= 2
    with pytest.raises(RuntimeError, match=r"Parameter 'weight' of shape \(2, 1\) was written"):
        loss.backward()


@pytest.mark.parametrize("key", [lambda i: i, lambda i: (slice(None), i), lambda i: (0, i)])
def test_an_index_that_is_changed_before_backward_is_noticed(key):
    i, w = tensor([0, 1]), tensor(np.ones((2, 2)), requires_grad=True)
    loss = w[key(i)].sum()
    i.data += 1
    with pytest.raises(RuntimeError, match="written in place after index had used it"):
        loss.backward()


def test_a_result_that_is_written_through_detach_is_noticed():
    w = trained()
    y = w.exp()
    loss = y.sum()
    other = y.detach()
    other.data *= 0
    with pytest.raises(RuntimeError, match="written in place"):
        loss.backward()


def test_a_constant_array_taken_from_a_tensor_is_noticed():
    c, w = tensor(np.ones(2)), trained()
    loss = (w * c.data).sum()
    c.data += 1
    with pytest.raises(RuntimeError, match="written in place after mul"):
        loss.backward()


def test_a_write_elsewhere_in_memory_of_its_own_disturbs_nobody():
    w, other = trained(), tensor([1.0, 2.0])
    loss = (w * w).sum()
    other.data += 1
    loss.backward()
    assert w.grad.data.tolist() == [2.0, 4.0]


def test_a_copy_of_a_graph_keeps_what_was_noticed():
    w = trained()
    loss = (w * w).sum()
    before = copy.deepcopy(loss)
    w.data -= 1
    with pytest.raises(RuntimeError, match="written in place"):
        copy.deepcopy(loss).backward()
    before.backward()
    assert w.grad is None, "the copy has leaves of its own"


def test_a_copy_of_a_graph_is_a_graph():
    w = trained()
    other, loss = copy.deepcopy((w, (w * w).sum()))
    (loss + (other * 3).sum()).backward()
    assert other.grad.data.tolist() == [5.0, 7.0]


def test_the_array_of_a_computed_tensor_cannot_be_written():
    y = trained().exp()
    before = y.data.copy()
    with pytest.raises(ValueError, match="read-only"):
        y.data += 1
    with pytest.raises(ValueError, match="read-only"):
        y.data[0] = 1
    assert (y.data == before).all()


def test_stamps_end_with_the_memory_that_they_belong_to():
    gc.collect()
    before = len(memory._stamps)
    tensors = [tensor(np.ones(3)) for _ in range(100)]
    for t in tensors:
        t.data += 1
    assert len(memory._stamps) == before + 100
    del tensors, t
    assert len(memory._stamps) == before


def test_buffers_updated_in_the_middle_of_a_forward_pass_disturb_nobody():
    mean, w = tensor(np.zeros(2)), trained()
    y = w * 3
    with no_grad():
        mean.data *= 0.9
        mean = mean + 0.1 * y
    (y * y).sum().backward()
    assert w.grad.data.tolist() == [18.0, 36.0]


# ---------------------------------------------------------------- rules that write


def by_item(g, out, x):
    g[x <= 0] = 0
    return g


def by_augmented_assignment(g, out, x):
    g *= x > 0
    return g


def through_a_view_of_g(g, out, x):
    flat = g.reshape(-1)
    flat[...] = 0
    return g


WRITING_RULES = [
    by_item,
    by_augmented_assignment,
    through_a_view_of_g,
    lambda g, out, x: np.multiply(g, x > 0, out=g),
    lambda g, out, x: (g.fill(0), g)[1],
    lambda g, out, x: (np.copyto(g, 0), g)[1],
]


@pytest.mark.parametrize("rule", WRITING_RULES)
def test_a_rule_that_writes_into_its_cotangent_is_named_and_spoils_nothing(rule):
    gate = Op(lambda x: x * (x > 0), "gate").vjp(rule)
    x, start = trained([-1.0, 2.0]), np.array([3.0, 5.0])
    with pytest.raises(ValueError, match=r"rule of gate writes into the cotangent g"):
        gate(x).backward(start)
    assert start.tolist() == [3.0, 5.0]
    with pytest.raises(ValueError, match="gate"):
        (gate(x) + x).sum().backward()
    assert x.grad is None


@pytest.mark.parametrize("rule", WRITING_RULES)
def test_gradcheck_refuses_a_rule_that_writes_into_its_cotangent(rule):
    gate = Op(lambda x: x * (x > 0), "gate").vjp(rule)
    with pytest.raises(GradcheckError, match="rule of gate writes into the cotangent"):
        gradcheck(gate, [[-1.0, 2.0]])


def spoils_its_input(x):
    x *= 2
    return x * 1


def rule_that_spoils_the_input(g, out, x):
    x += 1
    return 2 * g


@pytest.mark.parametrize(
    "wrong",
    [
        Op(spoils_its_input, "spoils").vjp(lambda g, out, x: 2 * g),
        Op(lambda x: 2 * x, "spoils").vjp(rule_that_spoils_the_input),
    ],
)
def test_gradcheck_sees_an_input_that_was_written(wrong):
    with pytest.raises(GradcheckError, match="Input 0 has other values after the run"):
        gradcheck(wrong, [[1.0, 2.0]])


def test_a_rule_may_return_its_cotangent_and_the_gradients_stay_apart():
    a, b = trained(), trained()
    (a + b).sum().backward()
    a.grad.data += 1
    assert b.grad.data.tolist() == [1.0, 1.0]
