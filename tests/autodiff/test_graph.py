"""The tape: order of the sweep, accumulation, freeing, in-place writes, what is recorded at all."""

import gc
import sys
import threading
import weakref

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_mnist.autodiff import Op, Tensor, grad, gradcheck, no_grad, op, ops, tensor

# ---------------------------------------------------------------- shapes of graphs


def test_a_value_used_twice_gets_both_contributions():
    x = tensor(3.0, requires_grad=True)
    (x * x).backward()
    assert x.grad.item() == 6.0


def test_matrix_times_itself(rng):
    assert gradcheck(lambda x: x @ x, [rng.normal(size=(3, 3))], rtol=1e-7)


def test_diamond():
    x = tensor(2.0, requires_grad=True)
    y = x * 3
    ((y + 1) * (y - 1)).backward()  # y^2 - 1, y = 3x: derivative 18x
    assert x.grad.item() == 36.0


def test_ladder_of_many_paths_is_swept_once_a_node():
    x = tensor(np.float64(1.0), requires_grad=True)
    y = x
    for _ in range(60):
        y = y + y  # 2^60 paths from y to x
    y.backward()
    assert x.grad.item() == 2.0**60


def test_chain_of_100_000_ops():
    x = tensor(np.float64(1.0), requires_grad=True)
    y = x
    for _ in range(100_000):
        y = y + x
    y.backward()
    assert x.grad.item() == 100_001


def test_a_long_chain_can_be_dropped_without_backward():
    y = tensor(1.0, requires_grad=True)
    for _ in range(200_000):
        y = y * 1.0
    del y  # a recursive release would overflow the stack


def test_sweep_applies_each_rule_once():
    calls = []
    double = Op(lambda x: 2 * x, "double").vjp(lambda g, out, x: (calls.append(1), 2 * g)[1])
    y = x = tensor(1.0, requires_grad=True)
    for _ in range(20):
        y = double(y) + double(y)
    y.backward()
    assert len(calls) == 40
    assert x.grad.item() == 4.0**20


@given(
    st.lists(
        st.tuples(st.sampled_from("+*-"), st.integers(0, 99), st.integers(0, 99)),
        min_size=1,
        max_size=12,
    ),
    st.integers(0, 2**32 - 1),
)
def test_random_graphs_agree_with_central_differences(program, seed):
    def run(x, y):
        values = [x, y]
        for operator, i, j in program:
            a, b = values[i % len(values)], values[j % len(values)]
            values.append(
                (a + b if operator == "+" else a - b if operator == "-" else a * b).tanh()
            )
        return sum(values)

    random = np.random.default_rng(seed)
    assert gradcheck(run, [random.normal(size=(2, 3)), random.normal(size=3)])


# ---------------------------------------------------------------- cost


def calls_during_backward(length):
    """How many functions, Python's and C's, a sweep over a chain calls: its work, unclocked."""
    y = tensor(1.0, requires_grad=True)
    for _ in range(length):
        y = y * 1.0
    return calls_of(y.backward)


def calls_of(work):
    calls = 0

    def count(frame, event, argument):
        nonlocal calls
        calls += event in ("call", "c_call")

    gc.disable()  # a collection would call what others have registered for it
    sys.setprofile(count)
    try:
        work()
    finally:
        sys.setprofile(None)
        gc.enable()
    return calls


def test_work_grows_linearly_with_length():
    one, two, three = (calls_during_backward(1000 * n) for n in (1, 2, 3))
    assert 0 < two - one == three - two


@pytest.mark.parametrize("join", [ops.concatenate, ops.stack])
def test_work_grows_linearly_with_the_number_of_joined_tensors(join):
    def calls(count):
        leaves = [tensor([1.0], requires_grad=True) for _ in range(count)]
        return calls_of(join(*leaves).sum().backward)

    one, two, three = (calls(100 * n) for n in (1, 2, 3))
    assert 0 < two - one == three - two


def test_arguments_handed_to_rules_grow_linearly_with_the_number_of_joined_tensors():
    handed = []

    @op
    def join(*xs):
        return np.concatenate(xs)

    def together(g, out, *xs):
        handed.append(len(xs))
        return [g[i : i + 1] for i in range(len(xs))]

    join.vjp(together=together)
    leaves = [tensor([1.0], requires_grad=True) for _ in range(50)]
    join(*leaves).backward(np.arange(50.0))
    assert handed == [50], "one call for all, not one for each"
    assert [x.grad.item() for x in leaves] == list(range(50))


# ---------------------------------------------------------------- gradients of leaves


def test_gradients_accumulate_until_they_are_cleared():
    x = tensor([1.0, 2.0], requires_grad=True)
    (x * 2).sum().backward()
    (x * 3).sum().backward()
    assert x.grad.data.tolist() == [5.0, 5.0]


def test_accumulation_leaves_the_old_gradient_array_alone():
    x = tensor([1.0], requires_grad=True)
    (x * 2).sum().backward()
    old = x.grad.data
    (x * 2).sum().backward()
    assert old.tolist() == [2.0]


def test_only_leaves_keep_a_gradient():
    x = tensor(2.0, requires_grad=True)
    y = x * x
    (y * y).backward()
    assert y.grad is None


def test_gradients_are_writable_and_shared_with_nobody():
    a, b = tensor([1.0, 2.0], requires_grad=True), tensor([3.0, 4.0], requires_grad=True)
    (a + b).sum().backward()
    a.grad.data += 1
    assert b.grad.data.tolist() == [1.0, 1.0]

    start = np.ones(2, np.float32)
    c = tensor([1.0, 2.0], requires_grad=True)
    c.backward(start)
    c.grad.data += 1
    assert start.tolist() == [1.0, 1.0]


def test_a_fresh_gradient_is_kept_without_a_copy():
    made = []
    square = Op(lambda x: x * x, "square").vjp(
        lambda g, out, x: (made.append(id(r := 2 * g * x)), r)[1]
    )
    x = tensor([1.0, 2.0], requires_grad=True)
    square(x).sum().backward()
    assert made == [id(x.grad.data)]


def test_no_gradient_is_formed_for_what_does_not_require_it():
    refused = Op(lambda x, y: x * y, "refused").vjp(
        lambda g, out, x, y: pytest.fail("not wanted"), lambda g, out, x, y: g * x
    )
    data, w = tensor([1.0, 2.0]), tensor([3.0, 4.0], requires_grad=True)
    refused(data, w).sum().backward()
    assert w.grad.data.tolist() == [1.0, 2.0]


def test_grad_sweeps_only_between_outputs_and_inputs():
    x, y = tensor(2.0, requires_grad=True), tensor(3.0, requires_grad=True)
    refused = Op(lambda x: x, "refused").vjp(lambda g, out, x: pytest.fail("not on the way to x"))
    (g,) = grad(x * refused(y), x)
    assert g.item() == 3.0
    assert x.grad is None


def test_grad_of_something_computed():
    x = tensor(2.0, requires_grad=True)
    y = x * x
    gx, gy = grad(y * y, [x, y])
    assert (gx.item(), gy.item()) == (32.0, 8.0)


def test_grad_of_an_output_with_respect_to_itself_is_one():
    x = tensor(2.0, requires_grad=True)
    y = x * 3
    assert grad(y, [y, x], retain_graph=True)[0].item() == 1.0
    assert grad(x, x)[0].item() == 1.0


def test_several_outputs_add_up():
    x = tensor([1.0, 2.0], requires_grad=True)
    y = x * 2
    (g,) = grad(
        [y, y, x.sum()], x, grad_outputs=[np.array([1.0, 0.0]), np.array([0.0, 10.0]), None]
    )
    assert g.data.tolist() == [3.0, 21.0]


def test_unused_input_raises_or_gives_none():
    x, y = tensor(1.0, requires_grad=True), tensor(1.0, requires_grad=True)
    with pytest.raises(RuntimeError, match=r"do not depend on input 1 .* allow_unused"):
        grad(x * 2, [x, y])
    assert grad(x * 2, [x, y], allow_unused=True)[1] is None


def test_third_derivative():
    x = tensor(np.float64(0.7), requires_grad=True)
    y = x.tanh()
    for _ in range(3):
        (y,) = grad(y, x, create_graph=True)
    t = np.tanh(0.7)
    np.testing.assert_allclose(y.item(), -2 * (1 - t**2) * (1 - 3 * t**2), rtol=1e-13)


# ---------------------------------------------------------------- freeing


def test_second_backward_raises_and_says_why():
    x = tensor(2.0, requires_grad=True)
    y = x * x
    y.backward()
    with pytest.raises(RuntimeError, match=r"freed by an earlier backward.*retain_graph=True"):
        y.backward()
    assert x.grad.item() == 4.0


def test_retain_graph_allows_a_second_backward():
    x = tensor(2.0, requires_grad=True)
    y = x * x
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.item() == 8.0


def test_a_freed_part_is_noticed_before_anything_changes():
    x, z = tensor(2.0, requires_grad=True), tensor(1.0, requires_grad=True)
    shared = x * x
    (shared * 2).backward()
    with pytest.raises(RuntimeError, match="freed"):
        (shared * z).backward()
    assert z.grad is None


@pytest.mark.parametrize("create_graph", [False, True])
def test_graphs_are_freed_by_reference_counting_alone(create_graph):
    gc.collect()
    gc.disable()
    try:
        x = tensor([1.0, 2.0], requires_grad=True)
        y = (x * x).exp()
        witness = weakref.ref(y._data)
        (g,) = grad(y.sum(), x, create_graph=create_graph)
        if create_graph:
            g.sum().backward()
        del y, g
        assert witness() is None
        assert [o for o in gc.get_objects() if type(o) is Tensor and o.op is not None] == []
    finally:
        gc.enable()


def test_a_dropped_graph_frees_its_arrays_without_backward():
    gc.disable()
    try:
        x = tensor([1.0, 2.0], requires_grad=True)
        y = (x * x).exp()
        witness = weakref.ref(y._data)
        del y
        assert witness() is None
    finally:
        gc.enable()


# ---------------------------------------------------------------- in-place writes


def test_writing_a_parameter_between_forward_and_backward_raises():
    x = tensor([1.0, 2.0], requires_grad=True)
    y = (x * x).sum()
    x.data -= 0.1
    with pytest.raises(
        RuntimeError, match=r"Tensor of shape \(2,\) was written in place after mul had used it"
    ):
        y.backward()
    assert x.grad is None


def test_replacing_the_array_between_forward_and_backward_raises():
    c, x = tensor([1.0, 2.0]), tensor([1.0, 2.0], requires_grad=True)
    y = (x * c).sum()
    c.data = np.zeros(2)
    with pytest.raises(RuntimeError, match="written in place"):
        y.backward()


def test_writing_after_backward_and_before_the_next_forward_is_fine():
    x = tensor([1.0, 2.0], requires_grad=True)
    for _ in range(2):
        (x * x).sum().backward()
        x.data -= 0.1 * x.grad
    assert x.grad is not None


def test_writing_something_computed_raises_at_once():
    y = tensor([1.0], requires_grad=True).exp()
    with pytest.raises(RuntimeError, match="computed by exp"):
        y.data = np.zeros(1)


def test_writes_through_the_array_itself_are_not_seen():
    x = tensor([1.0], requires_grad=True)
    y = (x * x).sum()
    x.data[0] = 5.0  # the documented boundary of detection
    y.backward()
    assert x.grad.item() == 10.0


# ---------------------------------------------------------------- what is recorded


def test_no_grad_records_nothing_and_is_restored_after_an_exception():
    x = tensor(1.0, requires_grad=True)
    with pytest.raises(ZeroDivisionError), no_grad():
        assert not (x * 2).requires_grad
        raise ZeroDivisionError
    assert (x * 2).requires_grad


def test_no_grad_as_decorator():
    @no_grad()
    def double(x):
        return x * 2

    x = tensor(1.0, requires_grad=True)
    assert not double(x).requires_grad
    assert not double(x).requires_grad
    assert (x * 2).requires_grad


def test_no_grad_bare_as_decorator():
    @no_grad
    def double(x):
        """Twice x."""
        return x * 2

    x = tensor(1.0, requires_grad=True)
    assert not double(x).requires_grad
    assert double.__name__ == "double"
    assert (x * 2).requires_grad


@pytest.mark.parametrize("decorate", [no_grad, no_grad()])
def test_no_grad_above_a_generator_holds_at_each_step_and_not_between(decorate):
    seen = []

    @decorate
    def steps(x):
        received = yield (x * 2).requires_grad
        seen.append(received)
        try:
            yield (x * 3).requires_grad
        except KeyError:
            yield (x * 4).requires_grad
        return "done"

    x = tensor(1.0, requires_grad=True)
    generator = steps(x)
    assert next(generator) is False
    assert (x * 2).requires_grad
    assert generator.send("sent") is False
    assert generator.throw(KeyError) is False
    assert (x * 2).requires_grad
    with pytest.raises(StopIteration) as stopped:
        next(generator)
    assert stopped.value.value == "done"
    assert seen == ["sent"]


def test_one_no_grad_serves_again_and_inside_itself():
    x, off = tensor(1.0, requires_grad=True), no_grad()
    for _ in range(2):
        with off:
            with off:
                assert not (x * 2).requires_grad
            assert not (x * 2).requires_grad
        assert (x * 2).requires_grad


def test_no_grad_in_one_thread_leaves_another_recording():
    inside, done = threading.Event(), threading.Event()

    def other():
        with no_grad():
            inside.set()
            done.wait(5)

    thread = threading.Thread(target=other)
    thread.start()
    inside.wait(5)
    recorded = (tensor(1.0, requires_grad=True) * 2).requires_grad
    done.set()
    thread.join()
    assert recorded


def test_comparisons_are_not_recorded():
    x = tensor([1.0, 2.0], requires_grad=True)
    assert not (x > 1).requires_grad


# ---------------------------------------------------------------- errors


def test_backward_needs_a_graph():
    with pytest.raises(RuntimeError, match="no tensor that led here requires grad"):
        tensor(1.0).backward()


def test_backward_of_several_elements_needs_a_cotangent():
    with pytest.raises(RuntimeError, match=r"shape \(2,\).*mean\(\)\.backward\(\)"):
        (tensor([1.0, 2.0], requires_grad=True) * 2).backward()


def test_a_cotangent_of_the_wrong_shape_is_refused():
    with pytest.raises(ValueError, match=r"shape \(3,\).*shape \(2,\)"):
        tensor([1.0, 2.0], requires_grad=True).backward(np.ones(3))


def test_a_missing_rule_raises_when_its_gradient_is_wanted():
    @op
    def plain(x):
        return x * 2

    x = tensor(1.0, requires_grad=True)
    y = plain(x)
    with pytest.raises(
        NotImplementedError,
        match=r"plain has derivative rules for 0 of its arguments only.*plain\.vjp",
    ):
        y.backward()


@pytest.mark.parametrize(
    "wrong", [lambda g, out, x: g.sum(), lambda g, out, x: g.reshape((3, 2)), lambda g, out, x: 1.0]
)
def test_a_rule_that_returns_the_wrong_shape_is_named(wrong):
    bad = Op(lambda x: x * 1, "bad").vjp(wrong)
    with pytest.raises(ValueError, match=r"rule of bad returned shape .* \(2, 3\)"):
        bad(Tensor(np.ones((2, 3)), requires_grad=True)).sum().backward()


def test_each_serves_any_number_of_arguments():
    @op
    def add_all(*xs):
        return sum(xs)

    add_all.vjp(
        each=lambda i, g, out, *xs: g * (i + 1)
    )  # deliberately weighted, to see the position
    leaves = [tensor(1.0, requires_grad=True) for _ in range(3)]
    add_all(*leaves).backward()
    assert [x.grad.item() for x in leaves] == [1.0, 2.0, 3.0]


def test_an_op_refuses_what_is_no_number():
    with pytest.raises(TypeError, match=r"mul works on numbers.*'a', a str"):
        tensor(1.0) * "a"
    with pytest.raises(TypeError, match="None, a NoneType"):
        tensor(1.0) + None


def test_ops_print_their_name():
    assert repr(ops.mul) == "<op mul>"
