"""The course: its path, what each of its pages says about its place, and how long pages take."""

import re
from pathlib import Path
from types import SimpleNamespace

import course
import pytest

from tinygrad_mnist import tutorials

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PATH = [page for unit in course.units() for page in unit.pages]


class Files(SimpleNamespace):
    """The files of a site, each at its own address."""

    def get_file_from_path(self, path):
        return SimpleNamespace(url_relative_to=lambda _: path.replace(".md", ".html"))


def shown(path, html="<h1>Title</h1>\n<p>Text</p>"):
    """A page as the site shows it."""
    page = SimpleNamespace(file=SimpleNamespace(src_uri=path))
    return course.on_page_content(html, page=page, files=Files())


def test_the_nav_lists_the_pages_of_the_course_in_its_order_after_the_start():
    listed = list(course._paths(list(course.nav().values())))
    assert listed[: len(PATH) + 2] == ["index.md", "course.md", *PATH]
    assert len(set(listed)) == len(listed)


def test_a_unit_is_a_derivation_then_a_tutorial_until_the_last_which_is_your_own():
    *units, last = course.units()
    for unit in units:
        first, *rest = unit.pages
        assert first.startswith("derivations/")
        assert all(page.startswith("tutorials/") for page in rest)
    assert "howto/own-network.md" in last.pages


def test_derivations_and_tutorials_are_in_the_course_or_deeper():
    written = {f"derivations/{path.name}" for path in (DOCS / "derivations").glob("*.md")}
    made = {f"tutorials/{script.stem}.md" for script in tutorials.scripts()}
    assert (written | made) - {"derivations/index.md"} == {*PATH[:-1], *course.deeper()}


@pytest.mark.parametrize("path", PATH)
def test_a_page_of_the_course_says_where_it_stands_what_it_needs_and_how_long_it_takes(path):
    (unit,) = (unit for unit in course.units() if path in unit.pages)
    text = shown(path)
    assert f">Unit {unit.number} of {len(course.units())}</a>" in text
    assert course.in_hours(course.minutes(path)) in text
    assert (f">unit {unit.number - 1}</a>" in text) == (unit.number > 1)
    assert re.findall(r'aria-current="step">(\d)<', text) == [str(unit.number)]


def test_a_page_that_goes_deeper_says_so_and_another_says_nothing():
    assert "Deeper: <a" in shown("derivations/optimizers.md")
    assert shown("glossary.md") == "<h1>Title</h1>\n\n<p>Text</p>"


def test_the_course_is_listed_with_the_time_of_each_unit():
    text = course.listed()
    for unit in course.units():
        assert f"<strong>{unit.title}</strong>" in text
        assert all(f"]({page})" in text for page in unit.pages)
    assert text.count("course-time") == len(course.units())


def test_longer_pages_take_longer(tmp_path):
    page = tmp_path / "page.md"
    times = []
    for more in ("word " * 300, "{{ equation a }}\n", "```bash\none\ntwo\n```\n"):
        page.write_text((page.read_text() if times else "") + more)
        times.append(round(course.of_page(page), 6))
    assert times == [2, 4, 6]


def test_an_exercise_takes_its_time_and_its_solution_none(tmp_path):
    script = tmp_path / "script.py"
    begin = "# %% [markdown]\n# Words.\n"
    times = []
    for more in ("", '# %% [markdown] exercise="a.b"\n', '# %% tags=["solution"]\nx = 1\n'):
        begin += more and f"{more}# One.\n"
        script.write_text(begin)
        times.append(course.of_tutorial(script))
    assert times[1] - times[0] == pytest.approx(course.LONG + course.WORD)
    assert times[2] == times[1]


@pytest.mark.parametrize(
    ("minutes", "said"), [(30, "about 30 min"), (60, "about 1 h"), (75, "about 1 h 15 min")]
)
def test_a_time_is_said_in_hours(minutes, said):
    assert course.in_hours(minutes) == said


def test_a_question_of_a_self_test_takes_less_than_an_exercise(tmp_path, monkeypatch):
    monkeypatch.setattr(course, "ROOT", tmp_path)
    (tmp_path / "exercises").mkdir()
    (tmp_path / "derivations").mkdir()
    asked = "".join(f'# %% [markdown] exercise="p.{name}"\n# Why?\n' for name in ("a", "self-1"))
    (tmp_path / "exercises" / "p.py").write_text(asked)
    assert course.exercises(tmp_path / "derivations" / "p.md") == course.SHORT + course.QUESTION


def test_the_list_of_derivations_says_what_is_in_which_unit():
    text = (DOCS / "derivations" / "index.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\|.*\]\(([\w-]+\.md)\).*\| ([^|]+) \|$", text, re.MULTILINE))
    derivations = {
        page.removeprefix("derivations/"): f"unit {unit.number}"
        for unit in course.units()
        for page in unit.pages
        if page.startswith("derivations/")
    }
    assert rows == {page: derivations.get(page, "deeper") for page in rows}
    assert derivations.keys() <= rows.keys()
