"""The page that leads to the code, and the files that say what may be done with it."""

import re
import tomllib
from pathlib import Path

import yaml

from tinygrad_mnist import __version__

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PAGE = (ROOT / "docs" / "install.md").read_text(encoding="utf-8")
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))


def test_the_citation_is_of_this_version_and_its_licences_are_those_of_the_package():
    assert CITATION["version"] == __version__
    assert " AND ".join(CITATION["license"]) == PROJECT["license"]


def test_every_extra_that_the_page_names_is_one_for_users():
    named = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))
    assert named == set(PROJECT["optional-dependencies"]) - {"test"}


def test_the_licence_of_the_text_is_in_the_file_and_on_the_page():
    address = "https://creativecommons.org/licenses/by/4.0/"
    assert address in PAGE
    assert address in (ROOT / "LICENSE").read_text(encoding="utf-8")
