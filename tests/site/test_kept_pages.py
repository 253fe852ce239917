"""A page is taken as it was filled in before, until anything changes that it is made from."""

import pages
import pytest


@pytest.fixture
def fill(tmp_path, monkeypatch):
    """Fill in a page with equations as the build does, and say how often it was done anew."""
    anew = []
    for name in ("page.md", "page.py", "results.json"):
        (tmp_path / "docs").mkdir(exist_ok=True)
        (tmp_path / "docs" / name).write_text("old")
    monkeypatch.setattr(pages, "ROOT", tmp_path)
    monkeypatch.setattr(pages.accuracies, "MEASURED", tmp_path / "docs" / "results.json")
    monkeypatch.setattr(pages, "fill", lambda markdown, _: anew.append(markdown) or markdown)

    def filled(markdown):
        assert pages.kept(markdown, tmp_path / "docs" / "page.md") == markdown
        return len(anew)

    return filled


def test_a_page_is_filled_in_once(fill):
    assert [fill("text"), fill("text")] == [1, 1]


def test_a_page_with_other_text_is_filled_in_anew(fill):
    assert [fill("text"), fill("other text")] == [1, 2]


@pytest.mark.parametrize("changed", ["page.py", "results.json"])
def test_a_page_is_filled_in_anew_when_its_equations_or_results_change(fill, tmp_path, changed):
    fill("text")
    (tmp_path / "docs" / changed).write_text("new")
    assert fill("text") == 2
