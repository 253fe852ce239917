"""The page in which a graph is walked: all numbers are in it, and it needs nothing else."""

import base64
import json
import re
from html import unescape

import numpy as np
import pytest

from tinygrad_mnist import grad, nn, tensor


def leaf(value):
    return tensor(value, requires_grad=True)


def story(player):
    """What the page is told."""
    return json.loads(re.search(r"<template>(.*?)</template>", player.figure)[1])


@pytest.fixture
def diamond():
    x = leaf(2.0)
    u = x * x
    a, b = 2 * u, 3 * u
    y = a * b
    return {"x": x, "u": u, "a": a, "b": b, "y": y}


def test_values_and_gradients_are_those_of_the_tape(diamond):
    told = story(diamond["y"].player(**diamond))
    names = [t["name"] for t in told["tensors"]]
    for name, t in zip(names, told["tensors"], strict=True):
        assert told["arrays"][t["value"]]["numbers"] == [diamond[name].item()]
    arrived = {names[s["to"]]: s["arrived"] for s in told["walks"][0]["steps"] if "to" in s}
    wanted = [diamond[name] for name in arrived]
    for place, g in zip(arrived.values(), grad(diamond["y"], wanted), strict=True):
        assert told["arrays"][place]["numbers"] == [g.item()]


def test_each_walk_ends_with_what_it_found(diamond):
    ends = {w["name"]: w["end"] for w in story(diamond["y"].player(**diamond))["walks"]}
    assert ends["right order"] == "The walk is over: 6 rules were applied. All gradients are right."
    assert "The gradient of x came out as 96, but it is 192." in ends["visit once"]
    assert "The gradient of x came out as 288, but it is 192." in ends["pass on at once"]
    assert ends["every path"].endswith("8 rules were applied. All gradients are right.")


def test_a_step_says_what_is_passed_on_and_what_adds_up(diamond):
    steps = story(diamond["y"].player(**diamond))["walks"][0]["steps"]
    assert steps[3]["text"].startswith("b is the youngest that waits.")
    assert steps[3]["text"].endswith("its cotangent is complete: 8.")
    assert steps[4]["text"] == "b passes u the local slope times its cotangent, 3 × 8 = 24."
    assert steps[6]["text"].endswith("2 × 12 = 24. With what came before, u has 48.")


def test_many_numbers_become_a_picture_with_its_scale():
    x, w = np.zeros((1, 64), np.float32), leaf(np.zeros((64, 3), np.float32))
    x[0, 7] = -2.0
    told = story((tensor(x) @ w).sum().player(w=w))
    (share,) = (step["share"] for step in told["walks"][0]["steps"] if step.get("to") == 0)
    array = told["arrays"][share]
    pixels = np.frombuffer(base64.b64decode(array["picture"]), np.int8).reshape(array["shape"])
    np.testing.assert_array_equal(pixels * (array["most"] / 127), np.repeat(x.T, 3, axis=1))


@pytest.mark.filterwarnings("ignore:overflow:RuntimeWarning")
def test_what_is_not_a_finite_number_can_be_told():
    x = leaf(1e30)
    told = story((x * x).player(x=x))
    assert {"numbers": ["inf"], "shape": []} in told["arrays"]


def test_a_page_needs_nothing_else_and_is_saved(diamond, tmp_path):
    player = diamond["y"].player(**diamond)
    player.save(tmp_path / "walk.html")
    page = (tmp_path / "walk.html").read_text(encoding="utf-8")
    assert page == str(player)
    assert not re.search(r"^(import|export) ", page, re.MULTILINE)
    assert set(re.findall(r"https?://[^\"' ]+", page)) == {"http://www.w3.org/2000/svg"}


def test_a_notebook_shows_the_page(diamond):
    player = diamond["y"].player(**diamond)
    assert str(player) in unescape(player._repr_html_())


def test_a_name_cannot_break_out_of_the_page(diamond):
    figure = diamond["y"].player(**{"</template><script>": diamond["x"]}).figure
    assert figure.count("</template") == 1
    assert "<script" not in figure


def test_what_cannot_be_walked_is_refused_with_a_reason(diamond):
    with pytest.raises(ValueError, match="those of one number"):
        leaf([1.0, 2.0]).player()
    with pytest.raises(ValueError, match="nothing that this tensor was computed from requires"):
        (tensor(1.0) * 2).player()
    diamond["y"].backward()
    with pytest.raises(RuntimeError, match="was freed by backward"):
        diamond["y"].player()


def test_a_graph_that_nobody_could_follow_is_refused():
    y = leaf(1.0)
    for _ in range(200):
        y = y + 1
    with pytest.raises(ValueError, match="more than 150 tensors, too many to be followed by eye"):
        y.player()


def test_a_network_is_walked_with_its_own_names():
    rng = np.random.default_rng(0)
    model = nn.Sequential(nn.Linear(4, 3, rng=rng), nn.ReLU(), nn.Linear(3, 2, rng=rng))
    loss = nn.CrossEntropyLoss()(model(rng.standard_normal((5, 4))), np.array([0, 1, 1, 0, 1]))
    told = story(loss.player())
    names = [t["name"] for t in told["tensors"]]
    assert names.count("weight") == names.count("bias") == 2
