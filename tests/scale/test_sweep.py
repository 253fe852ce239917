"""A sweep with the real Optuna: what is proposed, pruned and found, and what ends in the middle."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from processes import children, started, until
from sqlalchemy.exc import OperationalError

from tinygrad_mnist.data import load_mnist
from tinygrad_mnist.data import mnist as mnist_files
from tinygrad_mnist.evaluation.figures import png
from tinygrad_mnist.files import WriteError
from tinygrad_mnist.owncode import OwnCodeError
from tinygrad_mnist.runs.workers import Lost
from tinygrad_mnist.scale import results, storage, trial
from tinygrad_mnist.scale import sweep as sweeping
from tinygrad_mnist.scale.results import table
from tinygrad_mnist.scale.space import changed, space_of
from tinygrad_mnist.scale.storage import StorageError, without_password
from tinygrad_mnist.scale.sweep import sweep
from tinygrad_mnist.training import Recipe, RecipeError, train

COMMAND = [sys.executable, "-m", "tinygrad_mnist", "sweep"]
TINY = 'name = "tiny"\nhidden = [8]\nepochs = 2\nexamples = 256\nvalidation = 0.005\n'
LONG = TINY.replace("epochs = 2", "epochs = 100000").replace("tiny", "long")
LR, BOTH = ["lr=0.01..1:log"], ["lr=0.01..1:log", "hidden=[4],[16]"]
OWN = """
from tinygrad_mnist import nn

class Net(nn.Module):
    def __init__(self, inputs, classes, *, rng, width=4):
        if width == 13:
            raise ValueError("no luck")
        self.first = nn.Linear(inputs, width, rng=rng)
        self.last = nn.Linear(width, classes, rng=rng)

    def forward(self, x):
        return self.last(nn.functional.relu(self.first(x)))
"""


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    """A folder with recipes and a network of one's own; no figures, no waiting for the disk."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    monkeypatch.setattr(results, "png", lambda figure: b"PNG")
    (tmp_path / "tiny.toml").write_text(TINY)
    (tmp_path / "long.toml").write_text(LONG)
    (tmp_path / "my_net.py").write_text(OWN)
    return tmp_path


@pytest.fixture
def tiny():
    return Recipe.load("tiny.toml")


def found(results):
    """All but the numbers of the trials, which an interruption shifts."""
    return [{**trial, "trial": None} for trial in results["trials"]]


def lines_of(path):
    return path.read_text().splitlines() if path.exists() else []


# ---------------------------------------------------------------- what is varied


def test_ranges_and_choices_become_what_optuna_draws_from(tiny):
    typed = ["lr=1e-3..1:log", "batch_size=16..64", "hidden=[], [30, 20]", "nesterov=true,false"]
    assert space_of([*typed, "dropout=0..0.5"], tiny) == {
        "lr": FloatDistribution(0.001, 1.0, log=True),
        "batch_size": IntDistribution(16, 64),
        "hidden": CategoricalDistribution(("[]", "[30, 20]")),
        "nesterov": CategoricalDistribution(("true", "false")),
        "dropout": FloatDistribution(0.0, 0.5),
    }


WRONG = [
    ([], "Say what to vary"),
    (["lr"], "--vary lr: expected a range such as"),
    (["=1,2"], "--vary =1,2: name a setting"),
    (["lr=0.1,"], "--vary lr=0.1,: expected a range"),
    (["rl=0..1"], "--vary rl: A recipe has no key 'rl'. Did you mean 'lr'?"),
    (["lr=0.1"], "--vary lr=0.1: one value varies nothing. To set it in all trials: --set lr=0.1"),
    (["lr=0.1,0.1"], "a choice comes twice"),
    (["lr=0..1:log"], "a logarithm needs numbers above 0, but 0 is not"),
    (["lr=0..1:lin"], "a range ends with :log or with nothing, but here with :lin"),
    (["lr=1..0.1"], "a range goes up, but 0.1 is not above 1"),
    (["lr=0..a"], "a range is between two numbers, but 'a' is not one"),
    (["lr=.."], "a range is between two numbers, but '' is not one"),
    (["lr=-1..1"], "--vary lr: lr must lie between 0.0 and 1000000.0, but is -1.0"),
    (["epochs=1..2.5"], "epochs is a whole number, so 1 and 2.5 must be too"),
    (["hidden=a,b"], "--vary hidden: hidden must be a list of whole numbers"),
    (["hidden=1..3"], "--vary hidden: hidden must be a list of whole numbers"),
    (["activation=relu,gelu"], "--vary activation: activation cannot be 'gelu'"),
    (["lr=0..1", "lr=0..2"], "--vary lr=0..2: lr comes twice"),
    (["seed=1..9"], "seed cannot be varied: it decides which images are held out"),
    (["name=a,b"], "name cannot be varied: it only describes"),
    (["model_options.width=1..9"], "model_options are for a model of your own"),
    (["model=my_net.py:Net,mlp"], "code of your own is not varied. Name it with --model"),
    (["optimizer=adam,sgd", "nesterov=true,true "], "a choice comes twice"),
]


@pytest.mark.parametrize(("vary", "words"), WRONG, ids=str)
def test_what_cannot_be_varied_is_refused_in_words(tiny, vary, words):
    with pytest.raises(RecipeError, match=re.escape(words)):
        sweep(tiny, vary, Path("out"))
    assert not Path("out").exists()


@pytest.mark.parametrize("count", ["trials", "jobs"])
def test_no_trials_and_no_jobs_are_refused_in_words(tiny, count):
    with pytest.raises(RecipeError, match=f"{count}, .*, must be at least 1, but is 0"):
        sweep(tiny, LR, Path("out"), **{count: 0})


# ---------------------------------------------------------------- what is found


def test_the_best_recipe_trains_to_the_accuracy_that_the_table_shows(command, mnist):
    asked = ("tiny.toml", "--vary", *BOTH, "--set", "patience=1", "--trials", "4", "--out", "out")
    code, out, _ = command("sweep", *asked)
    best = Recipe.load("out/best.toml")
    result = train(best, *mnist)
    accuracy = result.history[result.kept_epoch - 1].validation_accuracy
    assert (code, best.name, best.patience) == (0, "tiny-best", 1)
    assert out.splitlines()[0] == "| trial | validation accuracy, % | lr | hidden |"
    assert out.splitlines()[2].startswith(f"| {best.description.split()[1]} | {100 * accuracy:.2f}")


def test_the_test_set_stays_closed(tiny, monkeypatch):
    parts, load = [], mnist_files._load
    monkeypatch.setattr(
        mnist_files, "_load", lambda part, how: parts.append(part) or load(part, how)
    )
    assert sweep(tiny, LR, Path("out"), trials=2)["best"] is not None
    assert set(parts) == {"train"}


def test_the_same_seed_gives_the_same_trials(tiny):
    one, two, other = (
        sweep(tiny, BOTH, Path(f"out{at}"), trials=4, seed=seed)
        for at, seed in enumerate((1, 1, 2))
    )
    assert one == two
    assert one["trials"][0]["settings"] != other["trials"][0]["settings"]


def test_what_is_worse_than_the_median_is_pruned_after_an_epoch(tiny):
    lines, recipe = [], tiny.changed(["epochs=5"])
    done = sweep(recipe, ["lr=0.1,0.11,0.12,1e-9"], Path("out"), trials=12, report=lines.append)
    bad = [t for t in done["trials"][5:] if t["settings"]["lr"] == "1e-9"]
    assert {(trial["how"], trial["epoch"], len(trial["epochs"])) for trial in bad} == {
        ("pruned", 2, 2)
    }
    assert any(re.fullmatch(r"trial \d+: pruned after epoch 2 at .* %: lr=1e-9", x) for x in lines)


def test_a_training_that_diverges_ends_only_its_trial(tiny):
    done = sweep(tiny, ["weight_decay=0,1e6"], Path("out"), trials=6)
    ends = {(trial["settings"]["weight_decay"], trial["how"]) for trial in done["trials"]}
    assert ends == {("0", "finished"), ("1e6", "diverged")}
    assert {"loss became" in trial["why"] for trial in done["trials"]} == {True, False}


def test_settings_that_exclude_each_other_end_only_their_trial(tiny):
    done = sweep(tiny, ["nesterov=true,false", "momentum=0,0.9"], Path("out"), trials=10)
    ends = {(*trial["settings"].values(), trial["how"]) for trial in done["trials"]}
    assert ("true", "0", "impossible") in ends
    assert {how for *settings, how in ends if settings != ["true", "0"]} <= {"finished", "pruned"}


def test_a_sweep_without_a_finished_trial_says_so(command):
    asked = ("tiny.toml", "--vary", "weight_decay=9e5,1e6", "--trials", "2", "--out", "out")
    code, out, err = command("sweep", *asked, "--set", "epochs=9")
    assert (code, out) == (1, "")
    assert err.splitlines()[-1] == "2 trials: 2 diverged."
    assert not Path("out/best.toml").exists()


def test_json_is_what_the_folder_has(command):
    asked = ("tiny.toml", "--vary", *LR, "--trials", "2", "--out", "out", "--json")
    printed = json.loads(command("sweep", *asked)[1])
    assert printed == json.loads(Path("out/trials.json").read_text())
    assert {"trial", "settings", "how", "accuracy", "epoch", "epochs", "why"} == set(
        printed["trials"][0]
    )


def test_the_table_has_the_ten_best():
    settings = {"lr": "0.12345", "n": "1"}
    trials = [
        {"trial": n, "how": "finished", "accuracy": n / 100, "settings": settings}
        for n in range(12)
    ]
    lines = table({"trials": [*trials, {"trial": 12, "how": "pruned"}]})
    assert lines[:3] == [
        "| trial | validation accuracy, % | lr | n |",
        "|---|---|---|---|",
        "| 11 | 11.00 | 0.123 | 1 |",
    ]
    assert len(lines) == 12


def test_what_matters_is_important_and_drawn(tiny, monkeypatch):
    monkeypatch.setattr(results, "png", png)
    done = sweep(tiny, ["lr=1e-6,0.1", "weight_decay=0,1e-9"], Path("out"), trials=6)
    assert done["importance"]["lr"] > 2 * done["importance"]["weight_decay"]
    for name in ("importance", "parallel"):
        assert Path(f"out/{name}.png").read_bytes()[:4] == b"\x89PNG"


# ---------------------------------------------------------------- what ends in the middle


def stop_after(steps):
    """Says True when it is asked for the so manieth time."""
    asked = iter(range(10**9))
    return lambda: next(asked) >= steps


def test_with_one_job_an_interruption_changes_nothing(tiny):
    whole = sweep(tiny, BOTH, Path("whole"), trials=5)
    for steps in (1, 5, 2):
        part = sweep(tiny, BOTH, Path("part"), trials=5, should_stop=stop_after(steps))
        assert len(part["trials"]) < 5
    assert found(sweep(tiny, BOTH, Path("part"), trials=5)) == found(whole)


def test_more_trials_are_added_to_those_that_are_there(tiny):
    lines = []
    first = sweep(tiny, LR, Path("out"), trials=2)
    more = sweep(tiny, LR, Path("out"), trials=3, report=lines.append)
    assert more["trials"][:2] == first["trials"]
    assert [line.split(":")[0] for line in lines] == ["trial 2"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_it_goes_on_after_a_signal(tmp_path, number):
    asked = ("tiny.toml", "--vary", *LR, "--trials", "5", "--jobs", "2", "--out", "out")
    process = started("sweep", *asked, start_new_session=True)
    until(lambda: any('"value"' in line or '"values":[' in line for line in lines_of(LOG)))
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    _, err = process.communicate(timeout=120)
    if number == signal.SIGKILL:
        assert process.returncode == -number
    else:
        assert process.returncode == 128 + number, err
        assert "the same command goes on from there" in err.splitlines()[-1]
    done = sweep(Recipe.load("tiny.toml"), LR, Path("out"), trials=5)
    assert [trial["how"] for trial in done["trials"]].count("finished") == 5
    assert {path.name for path in Path("out").iterdir()} == FILES


LOG = Path("out/trials.log")
FILES = {"sweep.json", "trials.log", "trials.json", "best.toml", "parallel.png", "importance.png"}


def test_trainings_end_soon_after_the_command_is_killed():
    process = started("sweep", "long.toml", "--vary", *LR, "--jobs", "2", "--out", "out")
    workers = until(lambda: len(found := children(process)) == 2 and found)
    until(lambda: any('"op_code":7' in line for line in lines_of(LOG)))  # an epoch is told
    process.kill()
    process.communicate()
    until(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))


def test_a_process_that_was_killed_is_told_as_lost(tiny, monkeypatch):
    monkeypatch.setattr(
        sweeping,
        "in_processes",
        lambda work, tasks, *_: ((at, Lost(-signal.SIGKILL)) for at, _ in enumerate(tasks)),
    )
    done = sweep(tiny, LR, Path("out"), trials=2, jobs=2)
    assert [trial["how"] for trial in done["trials"]] == ["lost", "lost"]
    assert "SIGKILL" in done["trials"][0]["why"]


def test_two_jobs_train_what_one_would(tiny):
    lines = []
    done = sweep(tiny, BOTH, Path("out"), trials=4, jobs=2, report=lines.append)
    assert [trial["how"] for trial in done["trials"]] == ["finished"] * 4
    assert len(lines) == 4
    last = done["trials"][3]
    task = ("trial", changed(tiny, last["settings"]), {})
    alone = trial.trained(task, load_mnist(None), lambda news: False)
    assert alone.accuracy == last["accuracy"]


# ---------------------------------------------------------------- folders


def test_the_folder_of_another_sweep_is_refused(tiny):
    sweep(tiny, LR, Path("out"), trials=1)
    before = sorted(path.read_bytes() for path in Path("out").iterdir())
    with pytest.raises(
        WriteError, match=r"has another sweep \(varied lr is .*'0.01..1.0:log', now"
    ):
        sweep(tiny, ["lr=0.01..2:log"], Path("out"))
    with pytest.raises(WriteError, match=r"\(recipe epochs is 2, now 3\)"):
        sweep(tiny.changed(["epochs=3"]), LR, Path("out"))
    with pytest.raises(WriteError, match=r"\(storage address is '', now 'sqlite:///a.db'\)"):
        sweep(tiny, LR, Path("out"), storage="sqlite:///a.db")
    assert sorted(path.read_bytes() for path in Path("out").iterdir()) == before


def test_a_folder_with_something_else_is_refused(tiny, tmp_path):
    with pytest.raises(WriteError, match="not empty, and no sweep"):
        sweep(tiny, LR, tmp_path)
    with pytest.raises(WriteError, match="cannot be written to"):
        sweep(tiny, LR, tmp_path / "tiny.toml")


@pytest.mark.parametrize("text", ["", "[]", '{"recipe": 1}', "[" * 99_999])
def test_a_damaged_definition_is_refused(tiny, text):
    Path("out").mkdir()
    Path("out/sweep.json").write_text(text)
    with pytest.raises(WriteError, match="not what a sweep writes"):
        sweep(tiny, LR, Path("out"))


@pytest.mark.parametrize("text", ["no\njournal\n", "[]\n[]\n", '{"op_code": 99}\n'])
def test_a_damaged_journal_is_refused(tiny, text):
    sweep(tiny, LR, Path("out"), trials=1)
    LOG.write_text(text)
    with pytest.raises(StorageError, match="not the journal of a sweep"):
        sweep(tiny, LR, Path("out"))


def test_half_a_line_and_a_lock_that_was_left_stop_nobody(tiny):
    first = sweep(tiny, LR, Path("out"), trials=1)
    with LOG.open("a") as file:
        file.write('{"op_code":')
    Path("out/trials.log.lock").touch()
    Path("out/.best.toml.1.unfinished").touch()
    assert sweep(tiny, LR, Path("out"), trials=2)["trials"][:1] == first["trials"]
    assert {path.name for path in Path("out").iterdir()} == FILES


def test_a_full_disk_is_told_and_the_same_call_goes_on(tiny, monkeypatch):
    def full(descriptor):
        if LOG.exists() and LOG.stat().st_size > 2500:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WriteError, match="No space left on device"):
        sweep(tiny, LR, Path("out"), trials=3)
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    assert len(sweep(tiny, LR, Path("out"), trials=3)["trials"]) == 3


# ---------------------------------------------------------------- a database of many machines


def test_folders_with_the_same_storage_share_the_trials(tiny):
    url, lines = "sqlite:///all.db", []
    one = sweep(tiny, LR, Path("one"), trials=2, storage=url)
    two = sweep(tiny, LR, Path("two"), trials=3, storage=url, report=lines.append)
    assert two["trials"][:2] == one["trials"]
    assert len(lines) == 1
    other = sweep(tiny, ["lr=0.01..2:log"], Path("three"), trials=1, storage=url)
    assert len(other["trials"]) == 1


def interrupted_elsewhere(tiny, folder, url, monkeypatch):
    """A sweep whose process is killed while a trial is under way."""

    def killed(*_):
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr(sweeping, "trained", killed)
        patch.setattr(sweeping._Course, "give_back", lambda course: None)
        with pytest.raises(SystemExit):
            sweep(tiny, LR, folder, trials=2, storage=url)


def test_a_trial_of_another_folder_is_left_to_it(tiny, monkeypatch):
    url = "sqlite:///all.db"
    interrupted_elsewhere(tiny, Path("one"), url, monkeypatch)
    two = sweep(tiny, LR, Path("two"), trials=2, storage=url)
    assert [trial["how"] for trial in two["trials"]] == ["running", "finished"]
    one = sweep(tiny, LR, Path("one"), trials=2, storage=url)
    assert [trial["how"] for trial in one["trials"]] == ["finished", "finished"]
    assert one["trials"][1]["settings"] == two["trials"][0]["settings"]


def test_a_trial_that_was_not_signed_begins_anew_after_a_minute(tiny, monkeypatch):
    url = "sqlite:///all.db"
    with monkeypatch.context() as patch:
        patch.setattr(optuna.Trial, "set_user_attr", lambda *_: None)
        interrupted_elsewhere(tiny, Path("one"), url, monkeypatch)
    two = sweep(tiny, LR, Path("two"), trials=1, storage=url)
    assert [trial["how"] for trial in two["trials"]] == ["running"]
    monkeypatch.setattr(sweeping, "UNSIGNED", timedelta(0))
    two = sweep(tiny, LR, Path("two"), trials=1, storage=url)
    assert [trial["how"] for trial in two["trials"]] == ["finished"]


BAD = [
    ("foo", "--storage: not the address of a database"),
    ("redis://me:secret@host/0", "redis://me:***@host/0: not the address of a database"),
    ("postgresql://me:secret@host:port/x", "--storage: not the address of a database"),
    ("sqlite:////nowhere/x.db", "sqlite:////nowhere/x.db: unable to open database file"),
    ("mysql+no_such_driver://me:secret@host/x", "mysql+no_such_driver://me:***@host/x: not the"),
    ("mssql+pymssql://me:secret@host/x", "host/x: Python has no module pymssql"),
]


@pytest.mark.parametrize(("url", "words"), BAD, ids=str)
def test_a_storage_that_is_not_there_is_told_without_its_password(command, monkeypatch, url, words):
    monkeypatch.setattr(storage, "PAUSE", 0)
    asked = ("tiny.toml", "--vary", *LR, "--out", "out", "--storage", url)
    code, out, err = command("sweep", *asked)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert words in err
    assert "secret" not in err
    assert not Path("out").exists()


def test_a_password_in_the_answer_of_a_database_is_not_shown(monkeypatch):
    def refused(url, _):
        raise OperationalError("connect", {}, Exception("no entry for p@ss or p%40ss\nmore"))

    monkeypatch.setattr(storage, "PAUSE", 0)
    monkeypatch.setattr(storage, "RDBStorage", refused)
    with pytest.raises(StorageError) as raised:
        storage.database("postgresql://me:p%40ss@host/x?password=other")
    assert str(raised.value) == (
        "postgresql://me:***@host/x: no entry for *** or ***. "
        "Once the database answers, the same command goes on."
    )


def test_a_database_that_another_machine_makes_at_this_moment_is_opened_again(monkeypatch):
    tried, whole = [], storage.RDBStorage

    def slow(url, how):
        tried.append(url)
        if len(tried) == 1:
            raise OperationalError("CREATE", {}, Exception("table already exists"))
        return whole(url, how)

    monkeypatch.setattr(storage, "PAUSE", 0)
    monkeypatch.setattr(storage, "RDBStorage", slow)
    assert storage.database("sqlite:///x.db").get_all_studies() == []
    assert len(tried) == 2


def test_a_database_that_is_lost_in_the_middle_is_told(tiny, monkeypatch):
    def lost(*_):
        raise OperationalError("UPDATE", {}, Exception("server closed the connection"))

    monkeypatch.setattr(optuna.Trial, "report", lost)
    with pytest.raises(StorageError, match="server closed the connection"):
        sweep(tiny, LR, Path("out"), trials=1, storage="sqlite:///x.db")


def test_no_password_is_written_into_the_folder(tiny, monkeypatch):
    monkeypatch.setattr(sweeping, "database", lambda url: storage.database("sqlite:///x.db"))
    sweep(tiny, LR, Path("out"), trials=1, storage="postgresql://me:secret@host/x")
    assert not any(b"secret" in path.read_bytes() for path in Path("out").iterdir())
    assert without_password("sqlite:///x.db") == "sqlite:///x.db"


# ---------------------------------------------------------------- code of one's own


def test_options_of_a_network_of_ones_own_are_varied(command):
    asked = ("tiny.toml", "--model", "my_net.py:Net", "--vary", "model_options.width=4..8")
    code, _, err = command("sweep", *asked, "--trials", "2", "--out", "out", "--jobs", "2")
    assert code == 0, err
    assert err.splitlines()[-1].endswith("train out/best.toml --model my_net.py:Net")
    assert 4 <= Recipe.load("out/best.toml").model_options["width"] <= 8


def test_code_that_only_a_recipe_names_is_not_run(tiny):
    recipe = tiny.changed(["model=my_net.py:Net"])
    with pytest.raises(RecipeError, match=r"add --model my_net\.py:Net"):
        sweep(recipe, LR, Path("out"))


def test_a_network_that_fails_is_named_with_its_trial(tiny):
    recipe, code = tiny.changed(["model=my_net.py:Net"]), {"model": "my_net.py:Net"}
    with pytest.raises(OwnCodeError, match=r"^trial 0: .*ValueError in line 7 of my_net.py"):
        sweep(recipe, ["model_options.width=13,13.0"], Path("out"), code=code)
    (Path("my_net.py")).write_text(OWN + "\n# edited\n")
    with pytest.raises(WriteError, match=r"another sweep \(code model is"):
        sweep(recipe, ["model_options.width=13,13.0"], Path("out"), code=code)


# ---------------------------------------------------------------- who imports it


WITHOUT = """
import sys
from tinygrad_mnist import cli
try:
    cli.main(sys.argv[1:])
finally:
    print({"optuna", "sqlalchemy", "tinygrad_mnist.scale"} & set(sys.modules))
"""


def test_training_without_a_sweep_imports_nothing_of_it():
    asked = ("train", "tiny.toml", "--out", "run", "--json")
    run = [sys.executable, "-c", WITHOUT, *asked]
    done = subprocess.run(run, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"


def test_without_optuna_the_command_says_what_to_install(command, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("tinygrad_mnist.scale")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "optuna", None)
    code, _, err = command("sweep", "tiny.toml", "--vary", *LR)
    needed = "error: a sweep needs the package optuna: pip install 'tinygrad-mnist[sweep]'\n"
    assert (code, err) == (2, needed)


# ---------------------------------------------------------------- the page about it


PAGE = Path(__file__).parents[2] / "docs" / "howto" / "sweep.md"
BLOCK = r"^```%s\n(.*?)^```$"


def blocks(kind):
    text = PAGE.read_text(encoding="utf-8")
    return re.findall(BLOCK % kind, text, re.MULTILINE | re.DOTALL)


def test_the_commands_of_the_page_do_what_it_says(command):
    Path("small.toml").write_text(blocks('toml title="small.toml"')[0])
    text = "".join(blocks("bash")).replace("\\\n", " ")
    lines = re.findall(r"^tinygrad-mnist (.*)$", text, re.MULTILINE)
    printed = [command(*shlex.split(line)) for line in lines]
    assert [code for code, _, _ in printed] == [0, 0, 0, 0]
    best = re.search(r"\d+\.\d\d", printed[2][1])[0]
    assert best in Recipe.load("sweeps/small/best.toml").description
    assert printed[2][2].splitlines()[-2].startswith("24 trials: ")
    assert len(printed[2][2].splitlines()) == 4 + 2  # what is new, and the two lines at the end
