"""The picture of a graph: what was recorded is in it, once, and can be read."""

import re
import xml.etree.ElementTree as ET
from itertools import pairwise
from operator import add, mul, sub

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_mnist import grad, nn, tensor
from tinygrad_mnist.autodiff import op
from tinygrad_mnist.nn import Parameter

SVG = "{http://www.w3.org/2000/svg}"


def boxes(picture):
    """The lines of text of each box."""
    groups = ET.fromstring(str(picture)).iter(f"{SVG}g")
    return [[text.text for text in g.iter(f"{SVG}text")] for g in groups]


def arrows(picture):
    return len(list(ET.fromstring(str(picture)).iter(f"{SVG}polygon")))


def leaf(value):
    return tensor(value, requires_grad=True)


def test_every_tensor_is_drawn_once_and_every_use_is_an_arrow():
    x = leaf(3.0)
    u = x * x
    picture = (u * 2 + u).graph()
    assert sorted(box[0] for box in boxes(picture)) == ["2", "add", "mul", "mul", "tensor"]
    assert arrows(picture) == 6


def test_parameters_have_their_names_and_large_tensors_their_shapes():
    model = nn.Linear(5, 3)
    found = boxes(model(np.zeros((4, 5), np.float32)).sum().graph())
    assert ["weight", "(5, 3)"] in found
    (bias,) = (box[1] for box in found if box[0] == "bias")
    numbers = [float(number) for number in bias.strip("[]").split(",")]
    np.testing.assert_allclose(numbers, model.bias.data, atol=1e-4)
    assert ["linear", "(4, 3)"] in found
    assert ["(4, 5)"] in found


def test_tensors_have_the_names_they_are_given():
    x = leaf(3.0)
    u = x * x
    y = u * 2
    picture = (y + u).graph(x=x, u=u)
    assert sorted(box[0] for box in boxes(picture)) == ["2", "add", "mul", "u: mul", "x"]
    words = ET.fromstring(str(picture)).get("aria-label")
    assert words == "Graph of 1 leaf and 3 operations: u: mul, mul, add."


def test_a_name_for_what_is_not_in_the_graph_is_refused():
    x = leaf(3.0)
    with pytest.raises(ValueError, match="stray is not in this graph"):
        (x * x).graph(stray=x * x)
    with pytest.raises(TypeError, match="two is a float, but graph"):
        (x * x).graph(two=2.0)


def test_leaves_are_at_the_bottom_and_the_result_at_the_top():
    x = leaf(3.0)
    u = x * x
    root = ET.fromstring(str((u + x).graph(x=x, u=u)))
    texts = {text.text: float(text.get("y")) for text in root.iter(f"{SVG}text")}
    assert texts["add"] < texts["u: mul"] < texts["x"]
    box = next(iter(root.iter(f"{SVG}rect")))
    tips = [float(p.get("points").split()[0].split(",")[1]) for p in root.iter(f"{SVG}polygon")]
    assert float(box.get("y")) + float(box.get("height")) > max(tips)


def test_gradients_are_those_of_grad_and_nothing_is_changed():
    x, y = leaf(2.0), leaf(3.0)
    u = x * y
    z = u + x
    picture = z.graph(gradients=True)
    du, dz = (grad(z, t, retain_graph=True)[0].item() for t in (u, z))
    results = [box for box in boxes(picture) if box[0] != "tensor"]
    found = {box[0]: float(box[2].removeprefix("grad ")) for box in results}
    assert found == {"mul": du, "add": dz}
    assert x.grad is y.grad is None
    z.backward()
    assert (x.grad.item(), y.grad.item()) == (4.0, 2.0)


def test_after_backward_leaves_show_their_gradient():
    x = leaf(2.0)
    y = x * x
    y.backward(retain_graph=True)
    assert ["tensor", "2.", "grad 4."] in boxes(y.graph())


def test_a_freed_graph_says_what_to_do():
    x = leaf(2.0)
    y = x * x
    y.backward()
    message = r"at mul\) was freed by backward\(\)\. Draw it before, or keep it"
    with pytest.raises(RuntimeError, match=message):
        y.graph()


def test_gradients_of_many_numbers_are_refused():
    with pytest.raises(ValueError, match=r"this tensor has shape \(2,\)\. Draw the loss"):
        (leaf([1.0, 2.0]) * 2).graph(gradients=True)


def test_a_leaf_is_a_picture_too():
    assert boxes(leaf(2.0).graph()) == [["tensor", "2."]]


def test_texts_are_escaped_and_described_in_words(tmp_path):
    @op(name="<script>&")
    def odd(x):
        return x * 1.0

    odd.vjp(lambda g, out, x: g)
    picture = odd(Parameter(np.ones(1))).graph()
    assert "<script>" not in str(picture)
    root = ET.fromstring(str(picture))
    assert root.get("role") == "img"
    assert root.find(f"{SVG}title").text == "Graph of 1 leaf and 1 operation: <script>&."
    assert picture._repr_svg_() == str(picture)
    picture.save(tmp_path / "graph.svg")
    assert (tmp_path / "graph.svg").read_text(encoding="utf-8") == str(picture)


def test_a_long_chain_is_cut_and_needs_no_recursion():
    x = leaf(1.0)
    y = x
    for _ in range(20_000):
        y = y + 0.0
    picture = y.graph()
    assert ["..."] in boxes(picture)
    assert 150 < len(boxes(picture)) < 400


STEPS = st.tuples(st.sampled_from([add, mul, sub]), st.integers(0, 9), st.integers(0, 9))


@given(st.lists(STEPS, min_size=1, max_size=12))
def test_boxes_do_not_overlap_and_nothing_is_outside(program):
    values = [leaf(1.0), leaf([1.0, 2.0]), leaf(np.ones((3, 1)))]
    for operation, i, j in program:
        values.append(operation(values[i % len(values)], values[j % len(values)]))
    picture = values[-1].graph()
    assert str(picture) == str(values[-1].graph())
    root = ET.fromstring(str(picture))
    width, height = map(float, root.get("viewBox").split()[2:])
    rows = {}
    for box in root.iter(f"{SVG}rect"):
        x, y, w, h = (float(box.get(key)) for key in ("x", "y", "width", "height"))
        assert 0 <= x <= x + w <= width + 1
        assert 0 <= y <= y + h <= height + 1
        rows.setdefault(round(y + h / 2), []).append((x, x + w))
    for row in rows.values():
        assert all(left[1] <= right[0] for left, right in pairwise(sorted(row)))
    for path in root.iter(f"{SVG}path"):
        numbers = list(map(float, re.findall(r"-?[\d.]+", path.get("d"))))
        assert all(0 <= x <= width for x in numbers[::2])
        assert all(0 <= y <= height for y in numbers[1::2])
