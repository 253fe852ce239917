"""What CI runs and installs for itself is named by its content, not by a name that may move."""

import json
import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted([*ROOT.glob(".github/workflows/*"), *ROOT.glob("starter/.github/workflows/*")])
LOCKS = sorted((ROOT / ".ci").glob("*.txt"))
PINNED = re.compile(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")


def uses(path):
    """What a workflow runs of others, with the comment behind."""
    return re.findall(r"uses: (.*)", path.read_text())


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_named_by_their_commit_and_their_version(path):
    assert uses(path)
    assert all(PINNED.fullmatch(name) for name in uses(path))


def test_an_action_has_one_version_everywhere():
    every = {name for path in WORKFLOWS for name in uses(path)}
    assert len({name.split("@")[0] for name in every}) == len(every) == 2


def entries(path):
    """The requirements of a lock file, each with its hashes."""
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    return re.split(r"\n(?=\S)", "\n".join(lines))


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_each_package_has_one_version_and_its_hashes_and_no_address(path):
    assert len(entries(path)) > 20
    for entry in entries(path):
        assert re.match(r"[\w.-]+==[\w.]+", entry), entry
        assert "--hash=sha256:" in entry
    assert "://" not in path.read_text()


def test_linters_have_the_versions_that_contributors_are_told():
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    locked = {entry.split(" ")[0] for entry in entries(ROOT / ".ci" / "tools.txt")}
    told = {re.sub(r"\[.*\]", "", name) for name in groups["lint"]}
    assert told <= locked


def test_every_tool_of_the_groups_is_locked():
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    for group in ("tools", "docs"):
        locked = {entry.split("==")[0] for entry in entries(ROOT / ".ci" / f"{group}.txt")}
        wanted = [re.match(r"[\w-]+", name)[0] for name in groups[group] if isinstance(name, str)]
        assert set(wanted) - {"tinygrad-mnist"} <= locked


def test_what_comes_from_npm_is_locked_by_content_without_an_address():
    text = (ROOT / "docs" / "package-lock.json").read_text()
    packages = {name: what for name, what in json.loads(text)["packages"].items() if name}
    assert packages
    assert all(what["integrity"].startswith("sha512-") for what in packages.values())
    assert "://" not in text
    asked = json.loads((ROOT / "docs" / "package.json").read_text())["dependencies"]
    assert {f"node_modules/{name}" for name in asked} <= packages.keys()


def test_ci_installs_its_tools_by_hash():
    script = (ROOT / ".ci" / "run").read_text()
    for name in ("tools", "docs"):
        assert f"--require-hashes -r .ci/{name}.txt" in script


def test_new_versions_are_looked_for_in_all_three_places():
    updates = yaml.safe_load((ROOT / ".github" / "dependabot.yml").read_text())["updates"]
    assert {one["package-ecosystem"] for one in updates} == {"github-actions", "pip", "npm"}
