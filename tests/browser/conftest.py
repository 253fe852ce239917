"""The site, built anew and served, and a browser that goes nowhere else."""

import functools
import http.server
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
OFFLINE = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The address of the site, built anew without a warning."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder]
    quiet = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(
        command, cwd=ROOT, env=quiet, capture_output=True, text=True, check=False
    )
    assert built.returncode == 0, built.stderr
    assert "WARNING" not in built.stderr
    handler = functools.partial(Quiet, directory=folder)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="session")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=shutil.which("chromium"), args=OFFLINE)
        yield chromium
        chromium.close()


@pytest.fixture
def opened(site, browser):
    """Open a page of the site; at the end of the test, nothing may have gone wrong in it."""
    contexts, wrong = [], []

    def hear(message):
        if message.type in ("error", "warning"):
            wrong.append(message.text)

    def ask(request):
        if not request.url.startswith((site, "data:", "blob:")):
            wrong.append(request.url)

    def answer(response):
        if response.status >= 400:
            wrong.append(f"{response.status} {response.url}")

    def open_page(page, scheme="light", **settings):
        desk = {"width": 1280, "height": 900}
        contexts.append(browser.new_context(viewport=desk, color_scheme=scheme, **settings))
        tab = contexts[-1].new_page()
        tab.on("console", hear)
        tab.on("pageerror", lambda error: wrong.append(str(error)))
        tab.on("request", ask)
        tab.on("response", answer)
        tab.goto(f"{site}/{page}")
        return tab

    yield open_page
    for context in contexts:
        context.close()
    assert wrong == []
