"""The site in a real browser: every page, wide and narrow, light and dark, from one host."""

import json
import re
from pathlib import Path
from urllib.request import urlopen

import pytest

from tinygrad_mnist import tutorials

pytestmark = pytest.mark.browser

DOCS = Path(__file__).parent.parent.parent / "docs"
WRITTEN = [
    path.relative_to(DOCS).with_suffix(".html")
    for path in DOCS.rglob("*.md")
    if "node_modules" not in path.parts
]
MADE = [f"tutorials/{script.stem}.html" for script in tutorials.scripts()]
PAGES = sorted([*map(str, WRITTEN), *MADE])
LIVE = "live.html"
"""It loads a network, and weighs what that weighs."""


def assert_formulas_are_typeset(tab):
    tab.wait_for_function(
        "[...document.querySelectorAll('.arithmatex')]"
        ".every(formula => formula.querySelector('.katex'))"
    )
    assert tab.locator(".katex-error").count() == 0


def assert_weighs_little(tab, weigh, record_property):
    """A page that nobody has opened before loads at most 250 kB."""
    tab.wait_for_load_state("networkidle")
    kilobytes = sum(map(weigh, tab.asked))
    record_property("kB of a cold page", kilobytes)
    record_property("requests of a cold page", len(tab.asked))
    assert kilobytes <= 250


STILL = "* { transition: none !important; animation: none !important }"
UNFOLD = "document.querySelectorAll('details').forEach((box) => { box.open = true })"


@pytest.mark.parametrize("page", PAGES)
def test_page(opened, axe, weigh, record_property, page):
    for scheme in ("light", "dark"):
        tab = opened(page, scheme)
        if page != LIVE and scheme == "light":
            assert_weighs_little(tab, weigh, record_property)
        assert_formulas_are_typeset(tab)
        tab.add_style_tag(content=STILL)
        tab.evaluate(UNFOLD)
        for width in (1280, 390):
            tab.set_viewport_size({"width": width, "height": 900})
            needed = tab.evaluate("document.documentElement.scrollWidth")
            assert needed <= width, f"scrolls sideways at {width} px"
            assert axe(tab) == [], f"{scheme}, {width} px"
            assert cut(tab, "pre:not(.output) > code") == []
        tab.set_viewport_size({"width": 1280, "height": 900})
        assert cut(tab, "pre.output > code") == []
        text = tab.evaluate("getComputedStyle(document.body).color")
        paper = tab.evaluate("getComputedStyle(document.body).backgroundColor")
        assert abs(brightness(text) - brightness(paper)) > 80
        assert (brightness(paper) > 128) == (scheme == "light")
        lost = tab.evaluate(
            "[...document.querySelectorAll('article a[href^=\"#\"]')]"
            ".map(a => a.getAttribute('href').slice(1))"
            ".filter(id => id && !document.getElementById(decodeURIComponent(id)))"
        )
        assert lost == []


def cut(tab, code):
    """The first lines of code of which a part is out of sight."""
    return tab.locator(code).evaluate_all(
        "blocks => blocks.filter(block => block.scrollWidth > block.clientWidth + 1)"
        ".map(block => block.textContent.split('\\n')[0])"
    )


def brightness(color):
    """Of a CSS colour, from 0 to 255."""
    return sum(map(float, re.findall(r"[\d.]+", color)[:3])) / 3


@pytest.mark.parametrize(
    ("words", "page"),
    [
        ("backprop", "derivations/chain-rule"),
        ("autograd", "derivations/tape"),
        ("chain rule", "derivations/chain-rule"),
        ("overfitting", "derivations/regularisation"),
        ("softmax", "derivations/softmax"),
        ("install", "install"),
    ],
)
def test_the_search_finds_first_what_teaches_it(opened, words, page):
    tab = opened("index.html")
    tab.locator("[data-md-component=search-query]").first.click()
    tab.keyboard.type(words)
    first = tab.locator(".md-search-result__link").first
    first.wait_for()
    assert f"/{page}.html" in first.get_attribute("href")


def test_the_index_is_loaded_when_somebody_searches(opened):
    tab = opened("index.html")
    assert not [url for url in tab.asked if "search_index" in url]
    with tab.expect_request("**/search_index.json"):
        tab.keyboard.press("/")


def test_the_search_shows_no_tex_and_no_text_of_drawings(site):
    with urlopen(f"{site}/search/search_index.json") as index:
        texts = [entry["text"] for entry in json.load(index)["docs"]]
    prose = [re.sub(r"<code>.*?</code>", "", text, flags=re.DOTALL) for text in texts]
    assert [text for text in prose if re.search(r"\\(frac|sum|underset|left)\b", text)] == []
    assert not any("X = A₀B" in text for text in texts)


def test_the_search_leaves_out_what_marks_open(site):
    with urlopen(f"{site}/search/search_index.json") as index:
        assert b"SymPy differentiated" not in index.read()


def test_formulas_are_typeset_without_javascript(opened):
    tab = opened("derivations/linear.html", java_script_enabled=False)
    assert tab.locator("#eq-2-1 .katex math").count() == 1
    assert tab.locator("#eq-2-1 .katex-html").first.bounding_box()["height"] > 20


def test_only_a_page_with_formulas_asks_for_their_letters(opened):
    tab = opened("howto/new-layer.html")
    assert tab.locator("link[href*=katex]").count() == 0
    tab.goto(tab.url.replace("howto/new-layer", "derivations/linear"))
    assert tab.locator("link[href*=katex]").count() == 1


def test_a_wide_formula_is_scrolled_with_the_keyboard(opened):
    tab = opened("derivations/network.html")
    tab.set_viewport_size({"width": 390, "height": 900})
    wide = tab.locator(".equation [tabindex='0']").first
    wide.focus()
    tab.keyboard.press("ArrowRight")
    tab.wait_for_function("document.activeElement.scrollLeft > 0")


def test_a_mark_opens_and_closes_what_was_done_by_keyboard(opened):
    tab = opened("derivations/linear.html")
    mark, check = tab.locator("#eq-2-4 .mark"), tab.locator("#check-2-4")
    assert not check.is_visible()
    mark.press("Enter")
    check.locator(".highlight").wait_for(state="visible")
    tab.keyboard.press("Escape")
    check.wait_for(state="hidden")


def test_a_mark_can_be_hit_with_a_finger(opened):
    tab = opened("derivations/network.html")
    for mark in tab.locator(".mark").all():
        box = mark.bounding_box()
        assert min(box["width"], box["height"]) >= 24


def test_what_opens_is_accessible_too(opened, axe):
    tab = opened("derivations/linear.html")
    tab.add_style_tag(content=STILL)
    tab.locator("#eq-2-4 .mark").click()
    assert axe(tab) == []
    tab.keyboard.press("Escape")
    tab.keyboard.press("/")
    tab.keyboard.type("softmax")
    tab.locator(".md-search-result__link").first.wait_for()
    assert axe(tab) == []


def test_a_line_of_the_network_lights_up_its_part_of_the_drawing(opened):
    tab = opened("derivations/network.html")
    tab.wait_for_load_state("networkidle")
    assert tab.locator(".flow .lit").count() == 0
    tab.locator("#line-dA1").hover()
    lit = tab.locator(".flow .lit").evaluate_all("parts => parts.map(part => part.dataset.line)")
    assert set(lit) == {"dA1"}


def test_arrow_keys_move_from_line_to_line(opened):
    tab = opened("derivations/network.html")
    tab.locator("#line-loss .line-number a").focus()
    tab.keyboard.press("ArrowDown")
    assert tab.evaluate("document.activeElement.closest('.line').id") == "line-dZ2"
    assert tab.locator(".flow .lit").count() > 0
