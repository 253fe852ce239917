"""The site, built anew and served below a path, and a browser that goes nowhere else."""

import fcntl
import functools
import gzip
import http.server
import json
import os
import resource
import shutil
import subprocess
import sys
import threading
from collections import defaultdict
from pathlib import Path
from statistics import mean

import pytest

ROOT = Path(__file__).parent.parent.parent
NPM = Path(__file__).parent / "node_modules"
OFFLINE = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


class Server(http.server.ThreadingHTTPServer):
    allow_reuse_port = True  # the processes of the tests serve the same site at the same address
    request_queue_size = 128  # a page asks for all its files at once


class Host(http.server.SimpleHTTPRequestHandler):
    """Does what hosts of pages do: what is missing is answered by a page of the site."""

    protocol_version = "HTTP/1.1"  # one connection for many files

    def log_message(self, *_):
        pass

    def send_error(self, code, *_):
        page = (Path(self.directory) / "below" / "404.html").read_bytes()
        self.send_response(code)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)


def _build(folder, address=""):
    """Build the site without a warning, and say how many seconds processors worked for it."""
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder]
    quiet = os.environ | {"NO_MKDOCS_2_WARNING": "1", "SITE_URL": address}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    built = subprocess.run(
        command, cwd=ROOT, env=quiet, capture_output=True, text=True, check=False
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert built.returncode == 0, built.stderr
    assert "WARNING" not in built.stderr
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.fixture(scope="session")
def served(tmp_path_factory):
    """What is known of the site: its address, its folder, and what it took to build it.

    It is built twice, the second time without an address, while no other test is running.
    """
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    handler = functools.partial(Host, directory=folder)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        known = folder / "known.json"
        port = json.loads(known.read_text())["port"] if known.exists() else 0
        server = Server(("127.0.0.1", port), handler)
        if not known.exists():
            port = server.server_port
            address = f"http://127.0.0.1:{port}/below"
            seconds = [_build(folder / "below", address + "/"), _build(folder / "again")]
            about = {"port": port, "address": address, "seconds": seconds}
            known.write_text(json.dumps(about | {"folder": str(folder / "below")}))
    with server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield json.loads(known.read_text())
        server.shutdown()


@pytest.fixture(scope="session")
def site(served):
    """The address of the site."""
    return served["address"]


@pytest.fixture(scope="session")
def weigh(served):
    """How many kilobytes are sent for an address of the site, packed as hosts pack them."""

    @functools.cache
    def kilobytes(url):
        path = Path(served["folder"] + url.partition("?")[0].removeprefix(served["address"]))
        content = path.read_bytes()
        packed = path.suffix in (".woff2", ".png")
        return len(content if packed else gzip.compress(content)) / 1000

    return kilobytes


@pytest.fixture(scope="session")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=shutil.which("chromium"), args=OFFLINE)
        yield chromium
        chromium.close()


@pytest.fixture
def opened(site, browser):
    """Open a page of the site; at the end of the test, nothing may have gone wrong in it.

    The tab has a list `asked`, of all that the page has asked for.
    """
    contexts, wrong = [], []

    def hear(message):
        if message.type in ("error", "warning"):
            wrong.append(message.text)

    def ask(request):
        if request.url.startswith(site):
            request.frame.page.asked.append(request.url)
        elif not request.url.startswith(("data:", "blob:")):
            wrong.append(request.url)

    def answer(response):
        if response.status >= 400:
            wrong.append(f"{response.status} {response.url}")

    def open_page(page, scheme="light", **settings):
        desk = {"width": 1280, "height": 900}
        contexts.append(browser.new_context(viewport=desk, color_scheme=scheme, **settings))
        tab = contexts[-1].new_page()
        tab.asked = []
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


@pytest.fixture(scope="session")
def axe():
    """Look at a tab as it is: the rules that it breaks, each with the places where it does."""
    source = (NPM / "axe-core" / "axe.min.js").read_text(encoding="utf-8")
    run = """() => axe
        .run({ resultTypes: ["violations"], rules: { "target-size": { enabled: true } } })
        .then(({ violations }) => violations.map(({ id, nodes }) =>
            `${id}: ${nodes.map(({ html }) => html.slice(0, 200)).join(" | ")}`))"""

    def broken(tab):
        if not tab.evaluate("'axe' in window"):
            tab.evaluate(source)
        return tab.evaluate(run)

    return broken


def pytest_terminal_summary(terminalreporter):
    """What tests have measured: as one recorded it, or of many the mean and the most."""
    measured = defaultdict(list)
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            measured[name].append(value)
    for name, values in measured.items():
        many = f"{mean(values):.0f}, at most {max(values):.0f}" if len(values) > 1 else values[0]
        terminalreporter.write_line(f"{name}: {many}")
