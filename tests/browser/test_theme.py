"""What is done to finished pages: a description, and words that the search knows besides."""

import json
from types import SimpleNamespace

import pytest

pytestmark = pytest.mark.browser
plugins = pytest.importorskip("mkdocs.exceptions")
search, theme = pytest.importorskip("search"), pytest.importorskip("theme")


def test_a_page_is_described_by_its_first_sentences_without_markup():
    text = "<p>Up</p><p>A <b>short</b> one. A sentence longer than the first follows. No.</p>"
    assert theme.first_sentences(text) == "A short one. A sentence longer than the first follows."


def test_an_empty_corner_of_a_table_is_no_header():
    assert theme.on_post_page("<tr><th></th><th>op</th></tr>") == "<tr><td></td><th>op</th></tr>"


def test_other_words_for_a_page_that_is_gone_stop_the_build(tmp_path):
    index = tmp_path / "search" / "search_index.json"
    index.parent.mkdir()
    index.write_text(json.dumps({"docs": []}))
    with pytest.raises(plugins.PluginError, match=r"other words for .*html, which is gone"):
        search.on_post_build(SimpleNamespace(site_dir=tmp_path))
