"""Several seeds in several processes: the same results, kept when something ends in the middle."""

import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from processes import children, started, until

from tinygrad_mnist.runs import UnfinishedError, reproduce
from tinygrad_mnist.runs.workers import Lost, in_processes
from tinygrad_mnist.training import Recipe, RecipeError

COMMAND = [sys.executable, "-m", "tinygrad_mnist", "reproduce"]
TINY = 'name = "tiny"\nhidden = [8]\nepochs = 1\nexamples = 256\nvalidation = 0.001\n'
LONG = TINY.replace("epochs = 1", "epochs = 100000").replace("tiny", "long")
OWN = """
from tinygrad_mnist import nn, optim

class Net(nn.Module):
    def __init__(self, inputs, classes, *, rng):
        self.last = nn.Linear(inputs, classes, rng=rng)

    def forward(self, x):
        return self.last(x)

seen = []

class Broken(Net):
    def forward(self, x):
        seen.append(self.training)
        if sum(seen) > 2:  # the first is a trial
            raise ValueError("no luck")
        return self.last(x)

class BrokenRule(optim.SGD):
    def step(self):
        seen.append(1)
        if len(seen) > 100:
            raise ValueError("no luck")
        super().step()
"""


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path, monkeypatch):
    """A folder with a recipe and networks of one's own."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.toml").write_text(TINY)
    (tmp_path / "long.toml").write_text(LONG)
    (tmp_path / "my_net.py").write_text(OWN)
    return tmp_path


def without_times(text):
    return re.sub(r'"training_seconds": [0-9.]+', "", text)


# ---------------------------------------------------------------- the same results


def test_two_processes_give_the_bytes_that_one_gives(command, tmp_path):
    for jobs in "12":
        asked = ("tiny.toml", "--seeds", "0", "1", "2", "--jobs", jobs, "--out", f"{jobs}.json")
        assert command("reproduce", *asked)[0] == 0
    one, two = (without_times((tmp_path / f"{jobs}.json").read_text()) for jobs in "12")
    assert one == two
    assert [run["seed"] for run in json.loads((tmp_path / "2.json").read_text())[0]["runs"]]
    assert not (tmp_path / "2.unfinished.json").exists()


def test_a_network_of_ones_own_works_in_every_process(command):
    asked = ("tiny.toml", "--seeds", "0", "1", "--model", "my_net.py:Net", "--json")
    one, two = (command("reproduce", *asked, "--jobs", jobs) for jobs in "12")
    assert (one[0], two[0]) == (0, 0), two[2]
    assert without_times(one[1]) == without_times(two[1])
    assert json.loads(two[1])[0]["runs"][0]["parameters"] == 785 * 10


def test_a_network_is_found_when_the_parent_has_gone_elsewhere(tmp_path):
    recipe, elsewhere = Recipe.load("tiny.toml").changed(["model=my_net.py:Net"]), tmp_path / "else"
    elsewhere.mkdir()
    code = {"model": "my_net.py:Net"}
    (done,) = reproduce([recipe], range(3), lambda _: os.chdir(elsewhere), jobs=2, code=code)
    assert [run["seed"] for run in done["runs"]] == [0, 1, 2]


@pytest.mark.parametrize("jobs", "12")
def test_a_network_that_fails_is_named_with_its_seed(command, jobs):
    asked = ("tiny.toml", "--seeds", "0", "1", "--model", "my_net.py:Broken", "--jobs", jobs)
    code, _, err = command("reproduce", *asked)
    assert (code, len(err.splitlines())) == (2, 1)
    assert re.match(r"error: Broken, seed [01]: .*ValueError in line \d+ of my_net.py", err)


def test_an_optimizer_that_fails_late_is_named_with_its_seed(command):
    asked = ("long.toml", "--seeds", "3", "--optimizer", "my_net.py:BrokenRule")
    code, _, err = command("reproduce", *asked)
    assert (code, len(err.splitlines())) == (2, 1), err
    assert re.match(r"error: long, seed 3: .*ValueError in line \d+ of my_net.py", err)


@pytest.mark.parametrize("jobs", ["0", "-1"])
def test_no_jobs_are_refused_in_words(command, jobs):
    code, _, err = command("reproduce", "tiny.toml", "--jobs", jobs)
    assert (code, err) == (
        2,
        f"error: jobs, the trainings at once, must be at least 1, but is {jobs}.\n",
    )


def test_code_that_only_a_recipe_names_is_not_run():
    recipe = Recipe("x", model="my_net.py:Net")
    with pytest.raises(RecipeError, match=r"add --model my_net\.py:Net"):
        reproduce([recipe], [0, 1], jobs=2)


# ---------------------------------------------------------------- what ends in the middle


def test_what_is_finished_is_not_trained_again(tmp_path):
    place, lines, recipe = tmp_path / "kept.json", [], Recipe.load("tiny.toml")
    first = reproduce([recipe], [0, 1], unfinished=place)
    again = reproduce([recipe], [1, 0, 2], lines.append, unfinished=place)
    assert again[0]["runs"][:2] == first[0]["runs"][::-1]
    assert [line.endswith(f"from {place}") for line in lines] == [True, True, False]


def test_another_recipe_finds_nothing_that_is_kept(tmp_path):
    place, lines, recipe = tmp_path / "kept.json", [], Recipe.load("tiny.toml")
    reproduce([recipe], [0], unfinished=place)
    reproduce([recipe.changed(["lr=0.2"])], [0], lines.append, unfinished=place)
    assert [line.endswith(f"from {place}") for line in lines] == [False]


def test_other_code_finds_nothing_that_is_kept(tmp_path):
    place, lines = tmp_path / "kept.json", []
    recipe, code = Recipe.load("tiny.toml").changed(["model=my_net.py:Net"]), "my_net.py:Net"
    reproduce([recipe], [0], unfinished=place, code={"model": code})
    (tmp_path / "my_net.py").write_text(OWN + "\n# edited\n")
    reproduce([recipe], [0], lines.append, unfinished=place, code={"model": code})
    assert [line.endswith(f"from {place}") for line in lines] == [False]


@pytest.mark.parametrize("text", ["", "{", "[1]", "{}x", '[{"of": {}, "run": {}}]', "[" * 99_999])
def test_a_kept_file_that_is_none_is_refused_and_stays(command, tmp_path, text):
    place = tmp_path / "all.unfinished.json"
    place.write_text(text)
    code, _, err = command("reproduce", "tiny.toml", "--out", "all.json")
    assert (code, len(err.splitlines()), place.read_text()) == (2, 1, text)
    assert "not what an interrupted reproduce leaves" in err


@pytest.mark.parametrize(("number", "jobs"), [(signal.SIGINT, "2"), (signal.SIGTERM, "1")])
def test_it_goes_on_after_a_signal(tmp_path, number, jobs):
    asked = ("tiny.toml", "long.toml", "--seeds", "0", "--out", "all.json", "--jobs", jobs)
    process = started("reproduce", *asked, start_new_session=True)
    until((tmp_path / "all.unfinished.json").exists)
    os.killpg(process.pid, number) if number == signal.SIGINT else process.send_signal(number)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (128 + number, "")
    stays = "kept in all.unfinished.json: the same command goes on from there."
    assert err.splitlines()[-2:] == [
        "Interrupted.",
        f"Of 2 trainings 1 has finished, {stays}",
    ]
    (tmp_path / "long.toml").write_text(LONG.replace("100000", "2"))
    done = subprocess.run([*COMMAND, *asked], check=False, capture_output=True, text=True)
    assert (done.returncode, "from all.unfinished.json" in done.stderr) == (0, True), done.stderr
    assert sorted(tmp_path.glob("all*")) == [tmp_path / "all.json"]


def test_a_killed_process_is_named_and_the_rest_goes_on(tmp_path):
    asked = ("long.toml", "tiny.toml", "--seeds", "0", "--out", "all.json", "--jobs", "2")
    process = started("reproduce", *asked)
    until((tmp_path / "all.unfinished.json").exists)
    (worker,) = children(process)
    os.kill(int(worker), signal.SIGKILL)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "long, seed 0: its process was ended by SIGKILL." in err
    assert "| `tiny` |" in err
    assert "Of 2 trainings 1 has finished, kept in all.unfinished.json" in err


def test_processes_end_soon_after_the_command_is_killed():
    process = started("reproduce", "long.toml", "--seeds", "0", "1", "--jobs", "2")
    workers = until(lambda: len(found := children(process)) == 2 and found)
    time.sleep(3)  # so that they train
    process.kill()
    process.communicate()
    until(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers))


def test_without_out_it_says_how_results_would_be_kept():
    asked = iter([False] * 5 + [True] * 9)
    recipe = Recipe.load("tiny.toml")
    with pytest.raises(UnfinishedError, match="name a file with --out") as raised:
        reproduce([recipe], [0, 1, 2], should_stop=lambda: next(asked))
    assert len(raised.value.results[0]["runs"]) == 2


def test_a_terminal_shows_a_bar_for_each_training_under_way():
    ours, theirs = pty.openpty()
    asked = ("long.toml", "--seeds", "0", "1", "--jobs", "2")
    process = started("reproduce", *asked, stdout=subprocess.DEVNULL, stderr=theirs)
    os.close(theirs)
    shown = ""
    while not ("seed 0" in shown and "seed 1" in shown) and select.select([ours], [], [], 60)[0]:
        shown += os.read(ours, 4096).decode()
    process.send_signal(signal.SIGTERM)
    while select.select([ours], [], [], 10)[0]:
        try:
            shown += os.read(ours, 4096).decode()
        except OSError:
            break
    assert process.wait(60) == 128 + signal.SIGTERM
    assert "━" in shown
    assert "Of 2 trainings none has finished." in shown


# ---------------------------------------------------------------- the processes themselves


def work(task, news):
    if task == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if task == "leave":
        os._exit(7)
    if task == "fail":
        raise ValueError("in words")
    if task == "lock":
        return lambda: None
    answer = news(f"at {task}")
    return answer or os.getpid()


def test_a_process_that_dies_takes_no_other():
    outcomes = dict(in_processes(work, ["die", "a", "leave"], 3))
    assert str(outcomes[0]).startswith("its process was ended by SIGKILL")
    assert str(outcomes[2]).startswith("its process ended with exit code 7")
    assert outcomes[1] != os.getpid()


def test_news_come_with_the_position_of_their_task():
    news = []
    list(in_processes(work, ["a", "b"], 1, lambda *n: news.append(n)))
    assert news == [(0, "at a"), (1, "at b")]


def test_news_are_answered():
    assert list(in_processes(work, ["a"], 1, lambda _, news: f"{news} is heard")) == [
        (0, "at a is heard")
    ]


def test_a_task_is_asked_for_when_a_process_is_free():
    done, asked_after = [], []

    def tasks():
        for task in "abc":
            asked_after.append(len(done))
            yield task

    for position, _ in in_processes(work, tasks(), 1):
        done.append(position)
    assert asked_after == [0, 1, 2]


def test_an_error_in_a_process_is_raised_here_with_its_place():
    with pytest.raises(ValueError, match="in words") as raised:
        list(in_processes(work, ["fail"], 2))
    assert "test_reproduction.py" in raised.value.__notes__[0]


def test_a_result_that_cannot_be_sent_is_an_error():
    with pytest.raises(RuntimeError, match="lambda"):
        list(in_processes(work, ["lock"], 2))


def test_a_signal_without_a_name_is_a_number():
    assert str(Lost(-120)) == "its process was ended by signal 120."


UNGUARDED = """
from tinygrad_mnist.runs import reproduce
from tinygrad_mnist.training import Recipe

reproduce([Recipe.load("tiny.toml")], [0, 1], jobs=2)
"""


def test_a_script_without_its_guard_is_told_so(tmp_path):
    (tmp_path / "script.py").write_text(UNGUARDED)
    run = [sys.executable, "script.py"]
    done = subprocess.run(run, check=False, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert "if __name__ == '__main__':" in done.stderr
    assert re.search(r"UnfinishedError: tiny, seed [01]: its process ended with", done.stderr)
