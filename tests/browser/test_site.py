"""The site in a real browser: every page, on a phone and on a desk, by day and by night, with no request to another host."""

import functools
import http.server
import os
import re
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"
PAGES = sorted(str(path.relative_to(DOCS).with_suffix(".html")) for path in DOCS.rglob("*.md") if "node_modules" not in path.parts)
OFFLINE = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking --disable-component-update --disable-sync"
)


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The address of the site, built anew without a warning."""
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder],
        cwd=ROOT, env=os.environ | {"NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    assert "WARNING" not in built.stderr
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="session")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=shutil.which("chromium"), args=OFFLINE.split())
        yield chromium
        chromium.close()


@pytest.fixture
def opened(site, browser):
    """Open a page of the site; at the end of the test, nothing may have gone wrong in it."""
    contexts, wrong = [], []

    def open_page(page, scheme="light"):
        contexts.append(browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme=scheme))
        tab = contexts[-1].new_page()
        tab.on("console", lambda message: wrong.append(message.text) if message.type in ("error", "warning") else None)
        tab.on("pageerror", lambda error: wrong.append(str(error)))
        tab.on("request", lambda request: None if request.url.startswith((site, "data:", "blob:")) else wrong.append(request.url))
        tab.on("response", lambda response: wrong.append(f"{response.status} {response.url}") if response.status >= 400 else None)
        tab.goto(f"{site}/{page}")
        return tab

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []


def assert_formulas_are_typeset(tab):
    tab.wait_for_function("[...document.querySelectorAll('.arithmatex')].every(formula => formula.querySelector('.katex'))")
    assert tab.locator(".katex-error").count() == 0


@pytest.mark.parametrize("page", PAGES)
def test_page(opened, page):
    for scheme in ("light", "dark"):
        tab = opened(page, scheme)
        assert_formulas_are_typeset(tab)
        for width in (1280, 390):
            tab.set_viewport_size({"width": width, "height": 900})
            assert tab.evaluate("document.documentElement.scrollWidth") <= width, f"scrolls sideways at {width} px"
        text, paper = (tab.evaluate(f"getComputedStyle(document.body).{name}") for name in ("color", "backgroundColor"))
        assert abs(brightness(text) - brightness(paper)) > 80
        assert (brightness(paper) > 128) == (scheme == "light")
        lost = tab.evaluate(
            "[...document.querySelectorAll('article a[href^=\"#\"]')].map(a => a.getAttribute('href').slice(1))"
            ".filter(id => id && !document.getElementById(decodeURIComponent(id)))"
        )
        assert lost == []


def brightness(color):
    """Of a CSS colour, from 0 to 255."""
    return sum(map(float, re.findall(r"[\d.]+", color)[:3])) / 3


@pytest.mark.parametrize("word", ["softmax", "unbroadcast", "momentum"])
def test_search_finds(opened, word):
    tab = opened("index.html")
    tab.locator("[data-md-component=search-query]").first.click()
    tab.keyboard.type(word)
    tab.wait_for_selector(".md-search-result__item")
    assert word in tab.locator(".md-search-result__list").inner_text().lower()


def test_formulas_are_typeset_after_moving_to_another_page(opened):
    tab = opened("derivations/index.html")
    tab.locator("article a", has_text="The linear layer").click()
    tab.wait_for_selector("#eq-2-1")
    assert_formulas_are_typeset(tab)
    assert tab.locator("#eq-2-1 .katex").count() == 1


def test_the_marks_lead_to_the_checks(opened):
    tab = opened("derivations/linear.html")
    tab.locator("#eq-2-4 .proved").click()
    assert tab.url.endswith("#check-2-4")
    assert tab.locator("#check-2-4 + .highlight").is_visible()
