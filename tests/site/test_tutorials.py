"""The tutorials: how each begins, and that its notebook tells right answers from wrong ones."""

import ast
import contextlib
import importlib
import io
import json
import re
import sys
import warnings
from functools import cache, partial
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import pytest
from mutations import difference, mutants

from tinygrad_mnist import data, tutorials
from tinygrad_mnist.exercises import Exercise, WrongAnswer, cells, grade, parts, read

ROOT = Path(__file__).parents[2]
SCRIPTS = tutorials.scripts()
LOAD = data.load_mnist
SLOW = {"05-own-layer", "06-reading-a-run", "08-vanishing-gradients"}  # they train for seconds
each = pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
each_or_slow = pytest.mark.parametrize(
    "script",
    [
        pytest.param(script, id=script.stem, marks=[pytest.mark.slow] * (script.stem in SLOW))
        for script in SCRIPTS
    ],
)
# Changes of a solution that change nothing that is asked for, and why.
EQUIVALENT = {
    "own-op.fit": {
        "return g.sum(axis=repeated, keepdims=False).reshape(shape)": "reshape brings them back"
    },
    "own-layer.layer-norm-gradient": dict.fromkeys(
        (
            "return values.mean(axis=+1, keepdims=True)",
            "s = np.sqrt(x.var(axis=+1, keepdims=True) + eps)",
        ),
        "the last axis of a matrix is axis 1",
    ),
}
# Right answers that look different from the solution.
IN_OTHER_WORDS = {
    "by-hand.momentum": "def step(p, v, d, lr, momentum):\n    for name in p:\n"
    "        g = d['d' + name]\n        g += momentum * v[name]\n"
    "        v[name] = g\n        p[name] -= lr * g",
    "modules.training-step": "def training_step(model, x, labels, lr):\n"
    "    loss, weights = cross_entropy(model(x), labels), list(model.parameters())\n"
    "    for p, g in zip(weights, grad(loss, weights), strict=True):\n"
    "        p.data = p.data - lr * g.data\n    return loss.item()",
    "own-op.hypot": "def rules():\n    return [lambda g, out, x, y: g * x / out, "
    "lambda g, out, x, y: (g * y / out).sum(axis=0)]",
}


def code(script, **options):
    """The cells of code of a generated notebook."""
    return [
        cell
        for cell in tutorials.notebook(script, **options)["cells"]
        if cell["cell_type"] == "code"
    ]


def plain(source):
    """A cell in plain Python: a command of IPython raises, since none should be carried out."""
    return re.sub(r"^( *)%.*", r"\1raise OSError('pip is called')", source, flags=re.MULTILINE)


def run(source, names):
    """Run a cell."""
    exec(compile(plain(source), "<cell>", "exec"), names)


def outcome(answer, check, names):
    """What a notebook raises if the answer is written into it, and the check is run: None if right.

    Every name means afterwards again what it meant before.
    """
    before, printed = dict(names), io.StringIO()
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(printed):
            warnings.simplefilter("ignore")  # a kernel prints them and goes on
            run(answer, names)
            run(check, names)
    except Exception as error:  # noqa: BLE001 - whatever a wrong answer raises
        assert "right" not in printed.getvalue()
        return error
    finally:
        names.clear()
        names.update(before)
    assert printed.getvalue().splitlines()[-1] == "right"
    return None


def stops(script):
    """Run a learner's notebook from top to bottom with a right answer wherever one is asked for.

    Stops before each answer, and gives the exercise, what the notebook says of any answer, and all
    that is defined there.
    """
    names = {"__name__": "__main__", "display": lambda *_: None}
    known = {exercise.id: exercise for exercise in read(script)}
    for cell in code(script):
        exercise = known.get(cell["metadata"].get("exercise"))
        if exercise is None:
            run(cell["source"], names)
        elif "check" in cell["metadata"]["tags"]:
            yield exercise, partial(outcome, check=cell["source"], names=names), names
            run(exercise.solution, names)
            run(cell["source"], names)


@pytest.fixture
def somewhere(tmp_path, monkeypatch):
    """A folder to write to, and nowhere to draw."""
    pyplot = pytest.importorskip("matplotlib.pyplot")
    pyplot.switch_backend("Agg")
    pyplot.close("all")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    pyplot.close("all")


@cache
def read_only(how="unit"):
    """MNIST as `load_mnist` gives it, read once for all notebooks."""
    images, labels = LOAD(how)
    for array in (images, labels):
        array.flags.writeable = False
    return images, labels


@pytest.fixture
def short_trainings(script, monkeypatch):
    """Let each epoch end after a hundred batches, where the checks do not depend on the rest.

    In 10-export they do: the biases have to be large enough to matter.
    """
    minibatches, most = data.minibatches, None if script.stem == "10-export" else 100
    monkeypatch.setattr(data, "minibatches", lambda *a, **o: islice(minibatches(*a, **o), most))
    monkeypatch.setattr(data, "load_mnist", read_only)


@each
def test_it_begins_with_a_question_and_says_what_it_takes(script):
    opening = parts(script)[0]
    title, _, text = opening.source.partition("\n")
    assert opening.markdown
    assert title.startswith("# ")
    assert text.split("\n\n")[0].strip().partition("?**")[1], (
        "the first sentence is a question in bold"
    )
    for promise in ("*You will be able to*:", "*You need*:", "*Time*:"):
        assert promise in opening.source


@each
def test_it_has_one_picture_for_its_head(script):
    alts = [cell.alt for cell in cells(script.read_text(encoding="utf-8"))]
    assert sum(alt.startswith("At the head.") for alt in alts) == 1


@each
def test_its_code_is_as_wide_as_its_page(script):
    every = cells(script.read_text(encoding="utf-8"))
    shown = [c for c in every if not c.markdown and c.role in ("", "stub", "solution")]
    lines = [line for cell in shown for line in cell.source.splitlines()]
    assert [line for line in lines if len(line) > 80] == []


@each
def test_it_draws_in_one_line(script):
    assert "pyplot" not in script.read_text(encoding="utf-8")


@each
def test_it_is_listed(script):
    index = ROOT / "docs" / "tutorials" / "index.md"
    assert f"]({script.stem}.md)" in index.read_text(encoding="utf-8")
    assert f" tutorials/{script.stem}.md\n" in (ROOT / "mkdocs.yml").read_text(encoding="utf-8")


@each
def test_its_cells_are_those_that_jupytext_reads(script):
    jupytext = pytest.importorskip("jupytext")
    theirs = jupytext.read(script).cells
    for mine, cell in zip(cells(script.read_text(encoding="utf-8")), theirs, strict=True):
        metadata = {"exercise": mine.exercise} if mine.exercise else {}
        metadata |= {"tags": [mine.role]} if mine.role else {}
        cell.metadata.pop("lines_to_next_cell", None)
        assert cell.metadata == metadata
        source = re.sub(r"\A(#\| .*\n)+", "", cell.source)
        assert (cell.cell_type, source) == ("markdown" if mine.markdown else "code", mine.source)


@each
def test_every_exercise_has_hints_and_usual_wrong_answers(script):
    for exercise in read(script):
        assert exercise.hints
        assert len(exercise.misconceptions) >= 2
        sentences = [known.sentence for known in exercise.misconceptions]
        assert len(set(sentences)) == len(sentences)
    assert isinstance(parts(script)[-1], Exercise)


def test_the_id_of_an_exercise_is_used_once():
    ids = [exercise.id for script in SCRIPTS for exercise in read(script)]
    assert len(set(ids)) == len(ids)


@each
def test_its_first_cell_installs_what_it_imports(script):
    first, *rest = code(script)
    run(first["source"], {})  # everything is here, so pip is not called
    found = {
        alias.name if isinstance(node, ast.Import) else node.module
        for cell in rest
        for node in ast.walk(ast.parse(cell["source"]))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    packages = {name.partition(".")[0] for name in found} - set(sys.stdlib_module_names)
    always = {"numpy", "matplotlib", "PIL", "tinygrad_mnist"}  # dependencies of the package
    assert packages - always <= {*re.findall(r"^    import (\w+)$", first["source"], re.MULTILINE)}
    extra = r"\[onnx\]" if "onnx" in packages else ""
    assert re.search(rf'%pip install --quiet "tinygrad-mnist{extra}==[\d.]+"', first["source"])


@each
def test_no_cell_for_learners_holds_a_solution(script):
    exercises = read(script)
    everything = tutorials.notebook(script)["cells"]
    bodies = {
        ast.unparse(node.body)
        for cell in code(script)
        for node in ast.walk(ast.parse(plain(cell["source"])))
        if isinstance(node, ast.FunctionDef)
    }
    for exercise in exercises:
        assert not any(exercise.solution in cell["source"] for cell in everything)
        for node in ast.walk(ast.parse(exercise.solution)):
            if isinstance(node, ast.FunctionDef) and node.name not in ("__init__", "mean"):
                assert ast.unparse(node.body) not in bodies


@each_or_slow
@pytest.mark.usefixtures("short_trainings")
def test_the_check_of_its_notebook_takes_right_answers_only(script, somewhere):
    reached = []
    for exercise, says, names in stops(script):
        assert isinstance(says(exercise.stub), WrongAnswer)
        assert str(says("")).startswith("There is no ")
        assert says(exercise.solution) is None
        assert says(IN_OTHER_WORDS.get(exercise.id, exercise.solution)) is None
        for known in exercise.misconceptions:
            assert repr(says(known.answer)) == repr(WrongAnswer(known.sentence))
            assert grade(exercise, known.answer, names).misconception == known
        changed = {
            difference(exercise.solution, mutant): mutant for mutant in mutants(exercise.solution)
        }
        passed = {change for change, mutant in changed.items() if says(mutant) is None}
        assert passed == set(EQUIVALENT.get(exercise.id, ()))
        assert says(exercise.solution) is None  # no wrong answer has left anything behind
        assert grade(exercise, exercise.solution, names).right
        reached.append(exercise)
    assert reached == read(script)


@each
def test_its_solved_notebook_has_every_solution_before_its_check(script):
    told = [cell for cell in code(script, solutions=True) if cell["metadata"]]
    exercises = read(script)
    assert [cell["source"] for cell in told[::2]] == [exercise.solution for exercise in exercises]
    for role, found in (("solution", told[::2]), ("check", told[1::2])):
        assert [cell["metadata"]["tags"] for cell in found] == [[role]] * len(exercises)
    assert not any("your turn" in cell["source"] for cell in told)


def in_a_kernel(sources):
    """Run cells as Jupyter does, until one fails: what is printed, what is shown of the error."""
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    manager = pytest.importorskip("jupyter_client").KernelManager(transport="ipc")
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    client = nbclient.NotebookClient(made, km=manager, timeout=60)
    with warnings.catch_warnings(), contextlib.suppress(nbclient.exceptions.CellExecutionError):
        warnings.simplefilter("ignore")
        client.execute(cleanup_kc=True)
    outputs = [output for cell in made.cells for output in cell.outputs]
    printed = "".join(output.text for output in outputs if output.output_type == "stream")
    shown = ["\n".join(output.traceback) for output in outputs if output.output_type == "error"]
    return printed, "".join(shown)


def answered(script, answers):
    """The code of a learner's notebook with answers written into it."""
    for cell in code(script):
        stub = "stub" in cell["metadata"].get("tags", [])
        yield answers.get(cell["metadata"]["exercise"], cell["source"]) if stub else cell["source"]


def test_run_all_stops_at_a_wrong_answer_and_says_only_what_is_wrong():
    script = SCRIPTS[0]
    tanh, calls = read(script)
    known = tanh.misconceptions[2]
    right = {tanh.id: tanh.solution, calls.id: calls.solution}
    assert in_a_kernel(answered(script, right)) == ("right\nright\n", "")
    assert in_a_kernel(answered(script, right | {tanh.id: known.answer})) == (
        "",
        f"Not right yet. {known.sentence}",
    )
    assert in_a_kernel(answered(script, {})) == (
        "",
        "Not right yet. Nothing was returned: return a Value.",
    )


def test_the_first_cell_asks_pip_for_what_is_missing():
    script = next(script for script in SCRIPTS if script.stem == "10-export")
    first = code(script)[0]["source"]
    told = "get_ipython().register_magic_function(print, 'line', 'pip')"
    missing = "import sys\nsys.modules['onnxruntime'] = None"
    assert in_a_kernel([told, first]) == ("", "")
    printed, shown = in_a_kernel([told, missing, first])
    assert (
        printed
        == f'install --quiet "tinygrad-mnist[onnx]=={tutorials.version("tinygrad-mnist")}"\n'
    )
    assert shown == ""


@pytest.mark.parametrize(("options", "ending"), [([], ""), (["--solutions"], "-solutions")])
def test_the_command_writes_notebooks_and_overwrites_none(tmp_path, command, options, ending):
    folder = tmp_path / "mine"
    code, out, _ = command("tutorials", str(folder), *options)
    assert code == 0
    written = sorted(folder.rglob("*.ipynb"))
    assert out.startswith(f"{len(written)} notebooks are in {folder}.")
    for place, scripts in (folder, SCRIPTS), (folder / "exercises", tutorials.exercise_scripts()):
        names = sorted(path.stem for path in place.glob("*.ipynb"))
        assert names == [script.stem + ending for script in scripts]
    for path in written:
        content = json.loads(path.read_text(encoding="utf-8"))
        prose = "".join(
            cell["source"] for cell in content["cells"] if cell["cell_type"] == "markdown"
        )
        for link in re.findall(r"\]\(([^)#]+)", prose):
            assert link.startswith("https://") or (path.parent / link).is_file(), (
                f"{path.name} links to {link}"
            )
    written[0].write_text("my work")
    code, _, err = command("tutorials", str(folder), *options)
    assert code == 2
    assert "exists already" in err
    assert written[0].read_text() == "my work"


@each
def test_its_notebooks_are_valid(script):
    nbformat = pytest.importorskip("nbformat")
    for solutions in (False, True):
        nbformat.validate(tutorials.notebook(script, solutions=solutions))


def test_a_picture_of_a_tutorial_needs_words_and_words_a_picture():
    pytest.importorskip("mkdocs")
    pytest.importorskip("nbclient")
    shown = importlib.import_module("tutorials").shown
    drawing = '<svg viewBox="0 0 9 9"></svg>'
    picture = SimpleNamespace(output_type="display_data", data={"image/svg+xml": drawing})
    assert 'aria-label="A line."' in shown([picture], "A line.")
    with pytest.raises(ValueError, match="Say in lines that begin"):
        shown([picture])
    with pytest.raises(ValueError, match="the cell shows 0 pictures"):
        shown([], "A line.")
