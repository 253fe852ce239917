"""What a publisher of the site relies on: addresses, licences, the time to build it."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from urllib.request import urlopen

import pytest
from test_site import LIVE, PAGES

from tinygrad_mnist import __version__

pytestmark = pytest.mark.browser


def read(url):
    with urlopen(url) as answer:
        return answer.read().decode()


def test_pages_say_where_they_are_and_what_they_are_about(site):
    pages = {page: read(f"{site}/{page}") for page in PAGES}
    for page, text in pages.items():
        assert f'<link rel="canonical" href="{site}/{page}"' in text
    described = re.compile(r'<meta name="description" content="([^"]{20,})"')
    descriptions = [found[1] for text in pages.values() if (found := described.search(text))]
    assert len(set(descriptions)) > 0.9 * len(pages)


def test_the_sitemap_lists_all_pages(site):
    assert read(f"{site}/sitemap.xml").count("<loc>") == len(PAGES)


def test_a_link_is_followed_without_loading_the_site_anew(opened):
    tab = opened("howto/new-layer.html")
    tab.wait_for_load_state("networkidle")
    tab.evaluate("window.same = true")
    tab.locator(".md-tabs a[href$='live.html']").click()
    tab.wait_for_url("**/live.html")
    tab.wait_for_function("document.title.startsWith(document.querySelector('h1').firstChild.data)")
    assert tab.evaluate("window.same")


def test_a_missing_page_leads_back_also_below_a_path(site, browser):
    tab = browser.new_page()
    tab.goto(f"{site}/no/such/page.html")
    assert tab.locator("h1").inner_text() == "There is no such page"
    assert (
        tab.evaluate("getComputedStyle(document.querySelector('.md-header')).position") == "sticky"
    )
    tab.locator("article a").first.click()
    tab.wait_for_url(re.compile(rf"{site}/(index.html)?$"))
    tab.close()


def test_wheel_and_sources_are_there_and_the_footer_says_what_may_be_done_with_them(served):
    folder = Path(served["folder"])
    names = {path.name for path in (folder / "download").iterdir()}
    stem = f"tinygrad_mnist-{__version__}"
    assert names == {f"{stem}-py3-none-any.whl", f"{stem}.tar.gz"}
    page = (folder / "install.html").read_text(encoding="utf-8")
    assert all(f'href="download/{name}"' in page for name in names)
    assert {"MIT", "CC BY 4.0", "CC BY-SA 3.0", __version__} <= set(re.findall(LICENCES, page))


LICENCES = rf"MIT|CC BY 4\.0|CC BY-SA 3\.0|{re.escape(__version__)}"


def test_a_second_build_is_quick(served, record_property):
    first, second = served["seconds"]
    record_property("seconds to build", f"{first:.0f}, and again {second:.0f}")
    assert first <= 180
    assert second <= 45


def test_without_an_address_it_opens_from_disk(served, browser):
    tab = browser.new_page()
    tab.goto((Path(served["folder"]).parent / "again" / "derivations" / "linear.html").as_uri())
    assert tab.locator("link[rel=canonical]").count() == 0
    assert tab.locator("#eq-2-1 .katex-html").first.bounding_box()["height"] > 20
    tab.locator("article a", has_text="chain rule").first.click()
    tab.wait_for_selector("#eq-1-1")
    tab.close()


LIGHTHOUSE = Path(__file__).parent / "node_modules" / "lighthouse" / "cli" / "index.js"
CATEGORIES = ["accessibility", "best-practices", "seo"]


def heaviest(folder):
    """The pages, live page aside; those that say the most are first."""
    return sorted(set(PAGES) - {LIVE}, key=lambda page: -(Path(folder) / page).stat().st_size)


@pytest.mark.parametrize("place", range(5))
def test_lighthouse_is_content_with_the_heaviest_pages_on_a_phone(
    served, tmp_path, record_property, place
):
    page, report = heaviest(served["folder"])[place], tmp_path / "report.json"
    command = [
        "node", LIGHTHOUSE, f"{served['address']}/{page}",
        "--quiet", "--output=json", f"--output-path={report}",
        f"--only-categories={','.join([*CATEGORIES, 'performance'])}",
        "--chrome-flags=--headless=new --no-sandbox --disable-gpu",
    ]  # fmt: skip
    chromium = os.environ | {"CHROME_PATH": shutil.which("chromium")}
    subprocess.run(command, env=chromium, check=True, capture_output=True)
    found = json.loads(report.read_text(encoding="utf-8"))["categories"]
    scores = {name: round(100 * category["score"]) for name, category in found.items()}
    record_property(f"Lighthouse, {page}", scores)
    assert min(scores[name] for name in CATEGORIES) >= 95
