"""The commands around a trained network, as people use them: evaluate, predict, log, export."""

import csv
import io
import json
import os
import subprocess
import sys

import numpy as np
import onnxruntime
import pytest
import safetensors.numpy
from PIL import Image

from tinygrad_mnist import data, export, nn
from tinygrad_mnist.runs import find_run, load_trained, run
from tinygrad_mnist.store import PredictionLog
from tinygrad_mnist.training import Recipe


@pytest.fixture(scope="module")
def digits(mnist):
    images, labels = mnist
    return images[:1000], labels[:1000]


@pytest.fixture(scope="module")
def trained(digits, tmp_path_factory):
    """Folders of two runs on a thousand images; the second has dropout and other pixel ranges."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tinygrad_mnist.runs.sets.load_mnist", lambda how: digits)
        patch.setattr("tinygrad_mnist.runs.sets.load_mnist_test", lambda how: digits)
        run(Recipe.load("seed-a").changed(["epochs=2", "hidden=[16]"]), folder / "seed-a")
        run(Recipe.load("relu-adam").changed(["epochs=2", "hidden=[16, 12]"]), folder / "relu-adam")
    return folder


@pytest.fixture(autouse=True)
def in_a_folder_with_a_run(tmp_path, monkeypatch, trained, digits):
    monkeypatch.chdir(tmp_path)
    for module in ("data", "runs.sets"):
        monkeypatch.setattr(f"tinygrad_mnist.{module}.load_mnist_test", lambda how: digits)
    copy("seed-a", trained, tmp_path)


def copy(name, trained, folder):
    (folder / "runs" / name).mkdir(parents=True)
    for path in (trained / name).iterdir():
        if path.is_file():
            (folder / "runs" / name / path.name).write_bytes(path.read_bytes())


@pytest.fixture
def second_run(trained, tmp_path):
    copy("relu-adam", trained, tmp_path)


def correct(folder):
    return json.loads((folder / "metrics.json").read_text())["test"]["correct"]


# ---------------------------------------------------------------- evaluate


def test_evaluate_gets_what_the_run_got(command, tmp_path):
    right = correct(tmp_path / "runs/seed-a")
    code, out, err = command("evaluate", "runs/seed-a")
    assert (code, err) == (0, "")
    network = "runs/seed-a/weights.npz (784-16-10 sigmoid, pixels normalised as 'seed')"
    assert out.startswith(f"{network}: ")
    assert f"({right} correct, {1000 - right} incorrect), cross-entropy 1." in out
    found = json.loads(command("evaluate", "--json")[1])  # the only run there is
    assert (found["correct"], found["incorrect"]) == (right, 1000 - right)
    assert found["accuracy"] == right / 1000
    assert found["cross_entropy"] > 0


def test_evaluate_takes_images_of_your_own(command, tmp_path):
    images, labels = data.load_mnist_test(None)
    np.savez("mine.npz", images=images[:300], labels=labels[:300])
    np.savetxt("digits.csv", labels[:300], fmt="%d")
    np.savetxt("pixels.csv", images[:300], fmt="%d", delimiter=",")
    asked = ("evaluate", "runs/seed-a", "--data")
    found = json.loads(command(*asked, "mine.npz", "--json")[1])
    same = json.loads(command(*asked, "pixels.csv", "--labels", "digits.csv", "--json")[1])
    assert found["correct"] + found["incorrect"] == 300
    assert 0 < found["correct"] < correct(tmp_path / "runs/seed-a")
    assert {**found, "data": "pixels.csv"} == same
    _, out, _ = command(*asked, "mine.npz")
    assert " % of the images in mine.npz right (" in out


@pytest.mark.usefixtures("second_run")
def test_evaluate_reads_npz_safetensors_and_run_folders_alike(command, tmp_path):
    for name in ("seed-a", "relu-adam"):
        command("export", f"runs/{name}", "--out", f"{name}.safetensors")
        command("export", f"runs/{name}", "--format", "npz", "--out", f"{name}/lonely.npz")
        run_, folder = f"runs/{name}", tmp_path / "runs" / name
        alone = [run_, f"{name}.safetensors", f"{run_}/weights.npz"]
        asked = [("--weights", file) for file in alone]
        with_run = [f"{name}.safetensors", f"{name}/lonely.npz"]
        asked += [(run_, "--weights", file) for file in with_run]
        found = [json.loads(command("evaluate", *arguments, "--json")[1]) for arguments in asked]
        assert [row["correct"] for row in found] == [correct(folder)] * 5
        assert len({row["model_hash"] for row in found}) == 1


def test_the_ancestors_npz_alone_is_sigmoid_units_and_its_range_can_be_named(command, tmp_path):
    with np.load("runs/seed-a/weights.npz") as file:
        arrays = dict(file)
    for name in ("b1", "b2"):
        arrays[name] = arrays[name].reshape(1, -1)
    (tmp_path / "elsewhere").mkdir()
    np.savez("elsewhere/mlp_weights_biases_1hidden.npz", **arrays)
    asked = ("evaluate", "--weights", "elsewhere/mlp_weights_biases_1hidden.npz", "--json")
    with_range = json.loads(command(*asked, "--normalize", "seed")[1])
    without = json.loads(command(*asked)[1])
    assert with_range["correct"] == correct(tmp_path / "runs/seed-a")
    assert with_range["layers"] == "784-16-10 sigmoid"
    assert (with_range["normalize"], without["normalize"]) == ("seed", "unit")
    assert with_range["cross_entropy"] != without["cross_entropy"]


def test_the_recipe_of_a_named_run_goes_before_that_of_the_file(tmp_path, trained):
    weights = tmp_path / "runs/seed-a/weights.npz"
    assert load_trained(trained / "relu-adam", weights).layers == "784-16-10 relu"
    assert load_trained(None, weights).layers == "784-16-10 sigmoid"


# ---------------------------------------------------------------- predict and log


def write_pictures(digits):
    large = Image.fromarray(digits[0][0].reshape(28, 28)).resize((300, 300))
    Image.fromarray(255 - np.pad(np.asarray(large), 40)).save("drawing.jpg")
    Image.fromarray(digits[0][1].reshape(28, 28)).save("mnist.png")
    np.save("several.npy", digits[0][:3].reshape(3, 28, 28) / 255)


def test_predict_reads_files_arrays_and_test_images_and_log_lists_them(command, digits, tmp_path):
    write_pictures(digits)
    asked = "predict runs/seed-a drawing.jpg mnist.png several.npy --test 1 5"
    code, out, err = command(*asked.split())
    assert (code, {line[:6] for line in err.splitlines()}) == (0, {"note: "})  # it is not sure
    sources = ["drawing.jpg", "mnist.png", *(f"several.npy[{i}]" for i in range(3))]
    sources += ["test 1", "test 5"]
    lines = out.splitlines()[1:]
    assert len(lines) == 7
    assert all(line.endswith(source) for line, source in zip(lines, sources, strict=True))
    assert [(" right " in line or " wrong " in line) for line in lines] == [False] * 5 + [True] * 2
    assert command("log")[1] == out
    rows = json.loads(command("log", "runs/seed-a/predictions.db", "--json")[1])
    assert [row["source"] for row in rows] == sources
    model = load_trained(tmp_path / "runs/seed-a").classifier
    expected = model.predict_proba(data.normalize(digits[0][[1, 5]], "seed"))
    for i in (1, 3, 5):
        np.testing.assert_allclose(rows[i]["probabilities"], expected[0], rtol=1e-5)
    assert rows[6]["label"] == digits[1][5]
    assert {row["run"] for row in rows} == {"seed-a"}


def test_predict_reads_standard_input(digits, tmp_path):
    file = io.BytesIO()
    np.save(file, digits[0][:2])
    arguments = [sys.executable, "-m", "tinygrad_mnist", "predict", "runs/seed-a", "-", "--json"]
    done = subprocess.run(arguments, input=file.getvalue(), capture_output=True, check=True)
    sources = [row["source"] for row in json.loads(done.stdout)]
    assert sources == ["standard input[0]", "standard input[1]"]
    assert (tmp_path / "runs/seed-a/predictions.db").exists()


@pytest.mark.usefixtures("second_run")
def test_log_filters_and_exports_csv(command, digits):
    everything = ("--db", "mine.db", "--json", "--test", *map(str, range(200)))
    seed_a = json.loads(command("predict", "runs/seed-a", *everything)[1])
    relu = json.loads(command("predict", "runs/relu-adam", *everything)[1])
    both = seed_a + relu
    assert [row["id"] for row in both] == list(range(1, 401))

    def listed(*filters):
        return json.loads(command("log", "mine.db", "--json", *filters)[1])

    assert listed() == both
    assert listed("--run", "relu-adam") == relu
    wrong = [row for row in both if row["label"] != row["predicted"]]
    assert listed("--wrong") == wrong != []
    fours = [row for row in both if 4 in (row["label"], row["predicted"])]
    assert listed("--class", "4") == listed("--digit", "4") == fours != []
    code, out, _ = command("log", "mine.db", "--wrong", "--csv", "new/wrong.csv")
    assert (code, out) == (0, f"{len(wrong)} predictions in new/wrong.csv\n")
    with open("new/wrong.csv", newline="") as file:  # noqa: PTH123
        assert [int(row["id"]) for row in csv.DictReader(file)] == [row["id"] for row in wrong]


def test_a_prediction_of_a_run_elsewhere_carries_its_folders_name(command, monkeypatch):
    monkeypatch.chdir("runs/seed-a")
    assert json.loads(command("predict", ".", "--test", "0", "--json")[1])[0]["run"] == "seed-a"


# ---------------------------------------------------------------- export


@pytest.mark.usefixtures("second_run")
@pytest.mark.parametrize("name", ["seed-a", "relu-adam"])
def test_export_writes_what_other_readers_read(command, digits, name, tmp_path):
    folder = tmp_path / "runs" / name
    trained = load_trained(folder)
    x = data.normalize(digits[0][:100], trained.normalize)
    logits = trained.model.eval()(x).detach().numpy()
    files = {"safetensors": "model.safetensors", "onnx": "model.onnx", "npz": "weights.npz"}
    for form, file in files.items():
        before = (folder / "weights.npz").read_bytes()
        done = command("export", f"runs/{name}", "--format", form)
        assert done == (0, f"runs/{name}/{file}\n", "")
        assert (folder / "weights.npz").read_bytes() == before
    session = onnxruntime.InferenceSession(folder / "model.onnx")
    (found,) = session.run(None, {"input": x})
    np.testing.assert_allclose(found, logits, atol=1e-5)
    about = json.loads(session.get_modelmeta().custom_metadata_map["tinygrad_mnist"])
    assert about["recipe"]["normalize"] == trained.normalize
    arrays = safetensors.numpy.load_file(folder / "model.safetensors")
    assert set(arrays) == set(trained.model.state_dict())


def test_export_with_softmax_gives_probabilities(command, digits, tmp_path):
    assert command("export", "runs/seed-a", "--out", "p.onnx", "--softmax") == (0, "p.onnx\n", "")
    session = onnxruntime.InferenceSession(tmp_path / "p.onnx")
    trained = load_trained(tmp_path / "runs/seed-a")
    x = data.normalize(digits[0][:9], trained.normalize)
    expected = trained.classifier.predict_proba(x)
    np.testing.assert_allclose(session.run(None, {"input": x})[0], expected, atol=1e-6)
    said = session.get_modelmeta().custom_metadata_map
    assert (said["input_range"], said["output"]) == ("[0.01, 1.0]", '"probabilities"')


def kind_of(path):
    """The format of a file by its content."""
    content = path.read_bytes()
    if content.startswith(b"PK"):
        return "npz"
    return "safetensors" if content[8:9] == b"{" else "onnx"


@pytest.mark.parametrize("form", ["onnx", "safetensors", "npz"])
def test_the_name_of_an_exported_file_says_its_format(command, tmp_path, form):
    names = (f"digits.{form}", f"new/Digits.{form.upper()}", f"v1.2.{form}")
    for name in names:
        assert command("export", "runs/seed-a", "--out", name) == (0, f"{name}\n", "")
        assert kind_of(tmp_path / name) == form
    for name in (names[0], "digits"):
        assert command("export", "runs/seed-a", "--format", form, "--out", name)[0] == 0
        assert kind_of(tmp_path / name) == form


def test_without_format_and_name_it_is_safetensors(command, tmp_path):
    done = command("export", "runs/seed-a")
    assert done == (0, "runs/seed-a/model.safetensors\n", "")
    assert kind_of(tmp_path / "runs/seed-a/model.safetensors") == "safetensors"


def test_export_for_the_ancestor_writes_its_two_files_beside_ours(command, tmp_path):
    code, out, _ = command("export", "runs/seed-a", "--ancestor")
    assert (code, out.split()) == (0, ["runs/seed-a/config.json", "runs/seed-a/train_history.json"])
    config, history = (json.loads((tmp_path / name).read_text()) for name in out.split())
    assert (config["hidden_size_1"], config["lr_decay"], config["seed"]) == (16, 0.95, 42)
    assert set(history) == {"loss", "acc", "val_loss", "val_acc"}
    assert all(len(values) == 2 for values in history.values())


# ---------------------------------------------------------------- what does not work


def npz(path, **arrays):
    np.savez(path, **arrays)


def write_log(path, count):
    """A log of predictions of the run seed-a: all of them 0, and right."""
    p = np.eye(10)[np.zeros(count, int)]
    images = np.zeros((count, 784), np.uint8)
    with PredictionLog(path, create=True) as log:
        if count:
            log.add("seed-a", {}, "hash", ["mine"] * count, images, p, [0] * count)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("log empty.db", "note: empty.db is empty. `tinygrad-mnist predict` adds to it."),
        ("log old.db --wrong", "none of the predictions in old.db is listed with --wrong."),
        ("log old.db --class 7 --wrong", "is listed with --class --wrong. Leave that out"),
        ("log old.db --run seed-a --digit 7", "is listed with --run --class."),
    ],
)
def test_an_empty_list_says_why_it_is_empty(command, tmp_path, asked, said):
    write_log(tmp_path / "old.db", 3)
    write_log(tmp_path / "empty.db", 0)
    for more in ("", " --json", " --csv none.csv"):
        code, out, err = command(*(asked + more).split())
        assert (code, len(err.splitlines())) == (0, 1)
        assert said in err
        assert len(out.splitlines()) == 1
    assert command("log", "old.db")[2] == ""
    assert "1 prediction in one.csv" in one_prediction(command, tmp_path)


def one_prediction(command, folder):
    write_log(folder / "one.db", 1)
    return command("log", "one.db", "--csv", "one.csv")[1]


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.usefixtures("second_run")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("evaluate", "Which run? Name its folder. Runs here: runs/relu-adam, runs/seed-a."),
        ("log", "Which run?"),
        ("evaluate --labels digits.csv", "--labels belongs to --data"),
        (
            "evaluate nowhere",
            "nowhere: not a run folder: there is no config.toml in it. Runs here: runs/relu-adam",
        ),
        ("evaluate --weights gone.npz", "gone.npz: cannot be read: No such file"),
        ("evaluate --weights text", "text: not a safetensors file"),
        (
            "evaluate --weights small.npz",
            "small.npz: a network from 4 inputs to 2 classes, expected 784 and 10",
        ),
        ("evaluate --weights nan.npz", "nan.npz: 0.bias holds NaN or infinity"),
        (
            "evaluate --weights other.safetensors",
            "other.safetensors: does not say which network it belongs to. Name the run folder",
        ),
        (
            "evaluate --weights odd.safetensors",
            "odd.safetensors: the recipe in it makes no sense: ",
        ),
        (
            "evaluate runs/seed-a --weights other.safetensors",
            "other.safetensors: The state_dict does not fit this MLP: missing",
        ),
        ("evaluate runs/seed-a --normalize zscore", "zscore"),
        (
            "predict runs/seed-a",
            "Nothing to read: name picture files, or positions of test images after --test",
        ),
        ("predict runs/seed-a gone.png", "gone.png: cannot be read: No such file"),
        ("predict runs/seed-a runs", "runs: cannot be read: Is a directory"),
        ("predict runs/seed-a text", "text: neither a PNG nor a JPEG picture nor an npy array"),
        (
            "predict runs/seed-a --test 1000",
            "There is no test image 1000: they are numbered from 0 to 999",
        ),
        ("predict runs/seed-a --test -1", "There is no test image -1"),
        ("predict runs/seed-a --test 1 --db text", "text: file is not a database"),
        ("predict nowhere --test 1", "nowhere: not a run folder"),
        ("log runs/seed-a", "runs/seed-a/predictions.db: there is no such log"),
        ("log text", "text: file is not a database"),
        ("export nowhere", "nowhere: not a run folder"),
        ("export runs/seed-a --format pickle", "pickle"),
        (
            "export runs/seed-a --out runs",
            "runs is a folder. Name a file in it, such as runs/model",
        ),
        ("export runs/seed-a --out text/file.npz", "text: cannot be written to"),
        ("export runs/seed-a --out digits", "digits: the name has no ending that says which form"),
        ("export runs/seed-a --out digits.pt", "digits.pt: no format has the ending '.pt'."),
        ("export runs/seed-a --out x.onnx.gz --format onnx", "no format has the ending '.gz'"),
        (
            "export runs/seed-a --out digits.onnx --format npz",
            "digits.onnx is the name of a file in onnx, but --format asks for npz. Leave out",
        ),
        (
            "export runs/seed-a --out x.NPZ --format safetensors",
            "in npz, but --format asks for saf",
        ),
        (
            "predict runs/seed-a --test 1 --db log.csv",
            "an SQLite log is written here, but the name",
        ),
        ("log old.db --csv all.json", "all.json: CSV is written here, but the name ends in .json"),
        ("reproduce default --out results.csv", "JSON is written here, but the name ends in .csv"),
        ("train --out digits.onnx", "a folder is written here, but the name ends in .onnx"),
        (
            "log old.db --run seed-b",
            "old.db: no prediction is of a run 'seed-b'. Those in it: seed",
        ),
        ("log old.db --run seed-b --csv all.csv", "no prediction is of a run 'seed-b'"),
        ("log empty.db --run seed-a", "no prediction is of a run 'seed-a'. It is empty."),
        ("log old.db --digit 10", "no prediction is of a class '10'. Those in it: 0, 1, 2, 3, "),
        ("log empty.db --class cat", "no prediction is of a class 'cat'. It is empty."),
        ("export runs/seed-a --ancestor --format onnx", "it takes neither --format nor --out"),
        ("export runs/seed-a --softmax", "--softmax is for onnx files: a file in safetensors"),
    ],
)
def test_wrong_input_is_explained_in_two_lines_at_most_and_changes_nothing(
    command, tmp_path, arguments, message
):
    (tmp_path / "text").write_text("nothing but some text that is long enough to be looked at")
    npz("small.npz", W1=np.ones((4, 2)), b1=np.ones(2))
    npz("nan.npz", W1=np.ones((784, 10)), b1=np.full(10, np.nan))
    with (tmp_path / "other.safetensors").open("wb") as other:
        export.write_safetensors(nn.Linear(784, 10), other)
    with (tmp_path / "odd.safetensors").open("wb") as odd:
        export.write_safetensors(nn.Linear(784, 10), odd, {"recipe": {"name": "x", "lr": "fast"}})
    write_log(tmp_path / "old.db", 3)
    write_log(tmp_path / "empty.db", 0)
    before = contents(tmp_path)
    code, out, err = command(*arguments.split())
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert message in err
    assert len(err.splitlines()) <= 2
    assert contents(tmp_path) == before


def test_nothing_is_logged_if_one_of_several_files_is_bad(command, digits, tmp_path):
    write_pictures(digits)
    (tmp_path / "bad.png").write_bytes((tmp_path / "mnist.png").read_bytes()[:50])
    code, _, err = command("predict", "runs/seed-a", "mnist.png", "bad.png")
    assert (code, err.startswith("error: bad.png: cannot be decoded")) == (2, True)
    assert not (tmp_path / "runs/seed-a/predictions.db").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "not the history of a run"), ('[{"epoch": 1}]', "not the history"), ("3", "not the")],
)
def test_a_damaged_history_is_named_and_nothing_written(command, tmp_path, content, message):
    (tmp_path / "runs/seed-a/history.json").write_text(content)
    code, _, err = command("export", "runs/seed-a", "--ancestor")
    assert code == 2
    assert err.startswith("error: runs/seed-a/history.json: ")
    assert message in err
    assert not (tmp_path / "runs/seed-a/config.json").exists()


def test_without_onnx_nothing_is_written(command, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    code, _, err = command("export", "runs/seed-a", "--format", "onnx", "--out", "new/model.onnx")
    assert (code, "pip install 'tinygrad-mnist[onnx]'" in err) == (2, True)
    assert not (tmp_path / "new").exists()


def test_where_nothing_was_trained_yet_the_way_is_named(monkeypatch, tmp_path):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir("empty")
    with pytest.raises(OSError, match=r"Which run.*`tinygrad-mnist train` makes one"):
        find_run(None)


def test_a_file_name_is_no_order_to_the_terminal(command, digits):
    write_pictures(digits)
    os.rename("mnist.png", "\x1b[2J\n.png")  # noqa: PTH104
    code, out, _ = command("predict", "runs/seed-a", "\x1b[2J\n.png")
    assert (code, len(out.splitlines())) == (0, 2)
    assert out.splitlines()[1].endswith("  ?[2J?.png")
    assert json.loads(command("log", "--json")[1])[0]["source"] == "\x1b[2J\n.png"


def test_a_file_name_that_is_no_text_is_logged_all_the_same(command, digits):
    write_pictures(digits)
    os.rename(b"mnist.png", b"\xff.png")  # noqa: PTH104
    code, out, _ = command("predict", "runs/seed-a", os.fsdecode(b"\xff.png"))
    assert (code, out.splitlines()[1].endswith("?.png")) == (0, True)
