"""The player in a browser: each step has the numbers of the package, with keys and fingers."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from tinygrad_mnist import grad, tensor

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
PACKAGE, ASSETS = ROOT / "tinygrad_mnist" / "autodiff" / "page", ROOT / "docs" / "assets"


def leaf(value):
    return tensor(value, requires_grad=True)


def chain_rule():
    u, v = leaf(2.0), leaf(3.0)
    a = u * v
    c = a + u
    return {"u": u, "v": v, "a": a, "c": c, "L": a * c}


def tape():
    x = leaf(2.0)
    u = x * x
    a, b = 2 * u, 3 * u
    return {"x": x, "u": u, "a": a, "b": b, "y": a * b}


def broadcasting():
    X, b = leaf([[0.0, 1.0, 2.0], [3.0, 1.0, 0.0]]), leaf([1.0, 2.0, 3.0])
    dE = tensor([[1.0, 0.0, -1.0], [2.0, 5.0, 0.5]])
    Z = X + b
    return {"X": X, "b": b, "dE": dE, "Z": Z, "L": (dE * Z).sum()}


GRAPHS = {"chain-rule": chain_rule, "tape": tape, "broadcasting": broadcasting}


def ready(tab):
    """The first player of the page."""
    tab.wait_for_selector("tape-player .controls")
    return tab.locator("tape-player").first


def seen(player):
    """What the player shows: name -> value and gradient, as numbers, or None if not yet."""
    return player.evaluate(
        """(element) => Object.fromEntries(element.story.tensors.map((t, n) => {
            const { values, gradients } = element.moment, { arrays } = element.story;
            const numbers = (place) => place === undefined ? null : arrays[place].numbers;
            return [t.name, [values.has(n) ? numbers(t.value) : null, numbers(gradients.get(n))]];
        }))"""
    )


def text(player, name):
    """The lines in the box of a tensor."""
    number = player.evaluate("(e, name) => e.story.tensors.find((t) => t.name === name).box", name)
    return player.locator(f'[data-box="{number}"] text').all_text_contents()


@pytest.mark.parametrize("page", GRAPHS)
def test_every_step_has_the_numbers_of_the_package(opened, page):
    named = GRAPHS[page]()
    *_, result = named.values()
    wanted = {name: t for name, t in named.items() if t.requires_grad}
    gradients = dict(zip(wanted, grad(result, list(wanted.values())), strict=True))
    player = ready(opened(f"derivations/{page}.html"))
    computed = []
    for moment in range(int(player.locator("input[type=range]").get_attribute("max")) + 1):
        player.evaluate("(element, at) => element.go(at)", moment)
        found = seen(player)
        for name in named:
            value, _ = found[name]
            assert value is None or value == named[name].data.ravel().tolist()
        computed.append(sum(value is not None for value, _ in found.values()))
    assert computed == sorted(computed)
    assert computed[-1] == len(found)
    for name, g in gradients.items():
        assert found[name][1] == g.data.ravel().tolist()


@pytest.mark.parametrize(
    ("order", "found", "rules"),
    [
        ("right order", 192, 6),
        ("pass on at once", 288, 8),
        ("visit once", 96, 6),
        ("every path", 192, 8),
    ],
)
def test_the_orders_end_as_the_page_says(opened, order, found, rules):
    player = ready(opened("derivations/tape.html"))
    player.get_by_label(order).check()
    player.get_by_label("To the end").click()
    assert text(player, "x")[2] == f"grad {found}"
    assert f"{rules} rules were applied" in player.locator(".says").inner_text()


def test_it_is_walked_by_keyboard_alone(opened):
    tab = opened("derivations/tape.html")
    player = ready(tab)
    player.locator("input[type=radio]").first.focus()
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("Tab")
    tab.keyboard.press("Tab")
    tab.keyboard.press("Tab")
    tab.keyboard.press("Tab")
    tab.keyboard.press("Tab")
    tab.keyboard.press("Tab")
    tab.keyboard.press("End")
    assert "288" in player.locator(".says").inner_text()
    for _ in range(3):
        tab.keyboard.press("ArrowLeft")
    assert player.locator(".place").inner_text() == "15 of 18"


def test_it_plays_and_stops_at_the_end(opened):
    tab = opened("derivations/chain-rule.html")
    tab.clock.install()
    tab.reload()  # what the page itself has set to a time must be on the same clock
    player = ready(tab)
    player.get_by_role("button", name="Play").click()
    tab.clock.run_for(60_000)
    assert player.locator(".place").inner_text() == "13 of 13"
    assert player.get_by_role("button", name="Play").is_visible()


def test_a_phone_shows_it_without_scrolling_sideways(opened):
    tab = opened("derivations/broadcasting.html")
    tab.set_viewport_size({"width": 390, "height": 800})
    player = ready(tab)
    player.evaluate("(element) => element.go(9)")
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390


def test_it_comes_again_when_the_page_is_opened_again(opened):
    tab = opened("derivations/tape.html")
    ready(tab)
    tab.goto(tab.url.replace("tape", "chain-rule"))
    tab.go_back()
    assert ready(tab).locator(".place").inner_text() == "0 of 15"


def test_without_javascript_the_figure_stands_there_with_all_its_numbers(site, browser):
    with browser.new_context(java_script_enabled=False) as context:
        tab = context.new_page()
        tab.goto(f"{site}/derivations/tape.html")
        boxes = tab.locator("tape-player svg").text_content()
        assert "grad 192" in boxes
        assert tab.locator("tape-player .controls").count() == 0


def test_a_saved_page_works_from_disk(browser, tmp_path):
    named = tape()
    named["y"].player(**named).save(tmp_path / "walk.html")
    with browser.new_context() as context:
        tab = context.new_page()
        tab.goto((tmp_path / "walk.html").as_uri())
        player = ready(tab)
        player.get_by_label("To the end").click()
        assert text(player, "x")[2] == "grad 192"


def test_a_large_gradient_is_shown_as_images(browser, tmp_path):
    rng = np.random.default_rng(0)
    W = leaf(rng.normal(size=(784, 32)))
    (tensor(rng.normal(size=(2, 784))) @ W).sum().player(W=W).save(tmp_path / "walk.html")
    with browser.new_context() as context:
        tab = context.new_page()
        tab.goto((tmp_path / "walk.html").as_uri())
        player = ready(tab)
        player.evaluate("(element) => element.go(element.story.forward.length + 4)")
        label = player.locator(".numbers canvas").last.get_attribute("aria-label")
        assert label.startswith("32 images of (784, 32) numbers")


def test_all_that_moves_is_small():
    scripts = [*PACKAGE.iterdir(), *(ASSETS / "sliders").iterdir(), ASSETS / "interactive.js"]
    assert sum(len(gzip.compress(path.read_bytes())) for path in scripts) <= 60_000


@pytest.mark.parametrize(
    ("page", "kind"),
    [
        ("softmax", "softmax"),
        ("activations", "saturation"),
        ("optimizers", "rate"),
        ("optimizers", "optimizers"),
        ("initialisation", "depth"),
    ],
)
def test_a_slider_is_moved_with_keys_and_says_what_it_shows(opened, page, kind):
    tab = opened(f"derivations/{page}.html")
    curve = tab.locator(f'live-curve[of="{kind}"]')
    curve.locator(".says").wait_for()
    if kind == "depth":
        curve.get_by_label("rule").select_option("the slider")
    before = curve.locator(".says").inner_text()
    curve.locator("input[type=range]").first.press("ArrowRight")
    assert curve.locator(".says").inner_text() != before
