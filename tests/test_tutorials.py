"""The tutorials: what each begins with, that its exercises can be solved, and that a wrong solution is not taken for a right one."""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

jupytext = pytest.importorskip("jupytext")

from tinygrad_mnist import cli, tutorials

ROOT = Path(__file__).parent.parent
SCRIPTS = tutorials.scripts()


def cells(script):
    """Kind (markdown, code, exercise, solution, check) and text of every cell."""
    for cell in jupytext.read(script).cells:
        yield next(iter(cell.metadata.get("tags", [])), cell.cell_type), cell.source


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_it_begins_with_a_question_and_says_what_it_takes(script):
    kind, opening = next(cells(script))
    title, _, text = opening.partition("\n")
    assert kind == "markdown"
    assert title.startswith("# ")
    assert text.split("\n\n")[0].strip().partition("?**")[1], (
        "the first sentence is a question in bold"
    )
    for promise in ("*You will be able to*:", "*You need*:", "*Time*:"):
        assert promise in opening


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_it_is_listed(script):
    index = ROOT / "docs" / "tutorials" / "index.md"
    assert f"]({script.stem}.md)" in index.read_text(encoding="utf-8")
    assert f" tutorials/{script.stem}.md\n" in (ROOT / "mkdocs.yml").read_text(encoding="utf-8")


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_every_exercise_has_a_solution_and_a_check(script):
    kinds = [kind for kind, _ in cells(script)]
    exercises = [n for n, kind in enumerate(kinds) if kind == "exercise"]
    assert exercises
    assert all(kinds[n : n + 3] == ["exercise", "solution", "check"] for n in exercises)


def wrong(solution):
    """Versions of a solution with one sign, operator or number changed."""
    swaps = {
        ast.Add: ast.Sub,
        ast.Sub: ast.Add,
        ast.Mult: ast.Add,
        ast.Div: ast.Mult,
        ast.MatMult: ast.Mult,
        ast.Pow: ast.Mult,
    }
    tree = ast.parse(solution)
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and type(node.op) in swaps:
            kept, node.op = node.op, swaps[type(node.op)]()
            yield ast.unparse(tree)
            node.op = kept


def passes(code, names):
    """Whether code runs through. A shape that does not fit is as good as a failed check."""
    try:
        exec(code, names)
    except Exception:  # noqa: BLE001 - whatever a wrong solution raises
        return False
    return True


@pytest.mark.slow
@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_solutions_pass_their_checks_and_others_do_not(script, tmp_path, monkeypatch):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("Agg")
    pyplot.close("all")
    monkeypatch.chdir(tmp_path)
    names = {"__name__": "__main__", "display": lambda *_: None}
    starter = solution = ""
    for kind, text in cells(script):
        if kind == "markdown":
            continue
        if kind == "exercise":
            starter = text
        elif kind == "solution":
            solution = text
        if kind != "check":
            exec(compile(text, str(script), "exec"), names)
            continue
        for attempt in (starter, *wrong(solution)):
            assert not passes(attempt + "\n" + text, names), (
                f"the check takes this for right:\n{attempt}"
            )
        exec(solution, names)
        exec(text, names)


def test_the_command_writes_notebooks_and_overwrites_none(tmp_path, capsys):
    with pytest.raises(SystemExit) as exited:
        cli.main(["tutorials", str(tmp_path / "mine")])
    assert not exited.value.code
    written = sorted((tmp_path / "mine").glob("*.ipynb"))
    assert [path.stem for path in written] == [script.stem for script in SCRIPTS]
    for path in written:
        content = json.loads(path.read_text(encoding="utf-8"))
        prose = "".join(
            "".join(cell["source"]) for cell in content["cells"] if cell["cell_type"] == "markdown"
        )
        for link in re.findall(r"\]\(([^)#]+)", prose):
            assert link.startswith("https://") or (path.parent / link).is_file(), (
                f"{path.name} links to {link}"
            )
    content = json.loads(written[0].read_text(encoding="utf-8"))
    hidden = [
        cell
        for cell in content["cells"]
        if cell["metadata"].get("jupyter", {}).get("source_hidden")
    ]
    assert len(hidden) == sum(kind == "solution" for kind, _ in cells(SCRIPTS[0]))
    assert capsys.readouterr().out.startswith(
        f"{len(SCRIPTS)} notebooks are in {tmp_path / 'mine'}."
    )
    written[0].write_text("my work")
    with pytest.raises(SystemExit) as exited:
        cli.main(["tutorials", str(tmp_path / "mine")])
    assert exited.value.code == 2
    assert "is there already" in capsys.readouterr().err
    assert written[0].read_text() == "my work"


def test_without_jupytext_the_command_says_what_to_install(tmp_path):
    code = "import sys; sys.modules['jupytext'] = None; from tinygrad_mnist.cli import main; main(['tutorials'])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "pip install jupytext" in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []
