"""What the project takes from others: actions by commit, packages by hash, nothing by address."""

import json
import os
import re
import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
IGNORED = [".git", *(ROOT / ".gitignore").read_text(encoding="utf-8").split()]
PINNED = sorted((ROOT / ".ci").glob("*.txt"))
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
EXTRAS = PROJECT["project"]["optional-dependencies"]


def ignored(path):
    """Whether Git leaves a file or folder out, by the forms of pattern that .gitignore has."""
    whole = path.relative_to(ROOT).as_posix()
    names = ((whole if "/" in line.rstrip("/") else path.name, line) for line in IGNORED)
    return any(fnmatch(name, line.strip("/")) for name, line in names)


def files():
    """All files of the repository, also those that nobody has committed yet."""
    for folder, inside, names in os.walk(ROOT):
        inside[:] = sorted(name for name in inside if not ignored(Path(folder, name)))
        yield from (path for name in names if not ignored(path := Path(folder, name)))


TEXTS = {
    path.relative_to(ROOT).as_posix(): content.decode("latin-1")
    for path in files()
    if b"\0" not in (content := path.read_bytes())
}

# ---------------------------------------------------------------- actions

USES = re.compile(r"^\s*(?:- )?uses:\s*(\S+)@(\S+)(.*)$", re.MULTILINE)
ACTIONS = [
    (name, *found)
    for name, text in TEXTS.items()
    if name.endswith((".yml", ".yaml", ".md"))
    for found in USES.findall(text)
]


def test_workflows_also_those_that_people_begin_with_are_looked_at():
    assert {name for name, *_ in ACTIONS} >= {
        ".github/workflows/ci.yml", "docs/howto/project/tests.yml", "docs/howto/property-tests.md",
        "starter/.github/workflows/tests.yml",
    }  # fmt: skip


def test_an_action_is_named_by_its_commit_and_its_version_is_a_comment():
    for name, action, commit, comment in ACTIONS:
        assert re.fullmatch("[0-9a-f]{40}", commit), f"{name}: {action}@{commit}"
        assert re.fullmatch(r" # v\d+\.\d+\.\d+", comment), f"{name}: {action}{comment}"


def test_an_action_is_the_same_wherever_it_is_used():
    used = {action: set() for _, action, *_ in ACTIONS}
    for _, action, *which in ACTIONS:
        used[action].add(tuple(which))
    assert {action: which for action, which in used.items() if len(which) > 1} == {}


# ---------------------------------------------------------------- packages


def entries(path):
    """The requirements in a file: each with its hashes, as one line."""
    text = path.read_text(encoding="utf-8").replace("\\\n", "")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


@pytest.mark.parametrize("path", PINNED, ids=lambda path: path.name)
def test_what_ci_installs_for_itself_has_one_version_and_its_hashes(path):
    assert entries(path)
    for entry in entries(path):
        requirement, *hashes = re.split(r"\s+--hash=", entry.strip())
        assert re.fullmatch(r"[\w.-]+==[\w.]+( ; .+)?", requirement)
        assert hashes, entry
        assert all(re.fullmatch("sha256:[0-9a-f]{64}", hash) for hash in hashes), entry


def asked_for(groups, extras):
    """The requirements in groups and extras of pyproject.toml, and those of the package."""
    tables = [PROJECT["project"]["dependencies"], *(EXTRAS[extra] for extra in extras)]
    tables += [PROJECT["dependency-groups"][group] for group in groups]
    for entry in (entry for table in tables for entry in table if isinstance(entry, str)):
        wanted = Requirement(entry)
        own = wanted.name == PROJECT["project"]["name"]
        yield from asked_for([], wanted.extras) if own else [wanted]


@pytest.mark.parametrize(
    ("name", "groups", "extras"),
    [("tools", ["tools", "lint"], ["testing"]), ("docs", ["docs"], [])],
)
def test_the_pins_are_what_pyproject_allows(name, groups, extras):
    lines = [entry.split(" ")[0] for entry in entries(ROOT / f".ci/{name}.txt")]
    pins = [line.split("==") for line in lines]
    for wanted in asked_for(groups, extras):
        versions = [version for package, version in pins if package == wanted.name]
        allowed = [version for version in versions if version in wanted.specifier]
        assert allowed == versions != [], f"{wanted}: bash .ci/lock renews what is pinned"


INSTALL = re.compile(r"^ *(?:uv )?pip install (?:--quiet )?(.*?)(?: #.*)?$", re.MULTILINE)


def test_what_ci_installs_without_hashes_is_the_package_and_what_it_is_compared_with():
    commands = INSTALL.findall(TEXTS[".ci/run"] + TEXTS[".ci/lowest"])
    assert [command for command in commands if "--require-hashes" not in command] == [
        "--no-deps --no-build-isolation -e .",
        '"$scratch"/dist/*.whl',
        '"$(echo "$scratch"/dist/*.whl)[testing]" pytest',
        "torch==2.13.0",
        '--resolution lowest-direct -e ".[test,tutorials]" "pytest-xdist>=3.6"',
    ]


@pytest.mark.parametrize("place", ["docs", "tests/browser"])
def test_what_npm_installs_has_a_hash_and_no_address(place):
    lock = json.loads(TEXTS[f"{place}/package-lock.json"])
    packages = {name: about for name, about in lock["packages"].items() if name}
    assert packages
    for name, about in packages.items():
        assert about["integrity"].startswith("sha512-"), name
        assert "resolved" not in about, name
    asked = json.loads(TEXTS[f"{place}/package.json"])["dependencies"]
    assert lock["packages"][""]["dependencies"] == asked


def test_the_pre_commit_hooks_have_what_ci_has():
    repos = yaml.safe_load(TEXTS[".pre-commit-config.yaml"])["repos"]
    hooks = {hook["id"]: (hook, repo["rev"]) for repo in repos for hook in repo["hooks"]}
    needed = {wanted.name for wanted in asked_for([], ["testing"])} | {"pytest"}
    assert set(hooks["mypy"][0]["additional_dependencies"]) == needed
    lint = PROJECT["dependency-groups"]["lint"]
    assert f"mypy=={hooks['mypy'][1][1:]}" in lint
    assert f"ruff=={hooks['ruff-check'][1][1:]}" in lint


def test_newer_ones_are_looked_for_everywhere():
    updates = yaml.safe_load(TEXTS[".github/dependabot.yml"])["updates"]
    places = {
        one["package-ecosystem"]: one.get("directories", [one.get("directory")]) for one in updates
    }
    folders = {name.rpartition("/")[0] for name, *_ in ACTIONS if not name.endswith(".md")}
    assert {f"/{folder}" for folder in folders} - {"/.github/workflows"} < set(
        places["github-actions"]
    )
    assert ("/.ci" in places["pip"], places["npm"]) == (True, ["/docs", "/tests/browser"])


# ---------------------------------------------------------------- addresses

HOST = re.compile(r"\b(?:pypi|pythonhosted|npmjs|registry[\w.-]*)\.(?:org|com|io|net|dev)\b")
OPTION = re.compile(r"--(?:extra-)?index-url|--find-links|^\s*registry\s*=", re.MULTILINE)
PLACE = re.compile(r"(?<![\w.+/])/(?:home|root|work|Users|tmp|opt|mnt)/[\w.]+|\b[A-Z]:\\+Users\b")
MEANT = {"tests/runs/test_hostile.py": ["/tmp/outside"]}
HERE = "tests/whole/test_supply_chain.py"


def test_no_file_names_a_registry():
    named = [name for name, text in TEXTS.items() if HOST.search(text)]
    named += [name for name, text in TEXTS.items() if name != HERE and OPTION.search(text)]
    assert named == []


def test_no_file_names_a_place_on_somebodys_machine():
    for name, text in TEXTS.items():
        if name != HERE:
            assert PLACE.findall(text) == MEANT.get(name, []), name
