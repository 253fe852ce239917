"""What other programs read in our files: identities, versions, operators, line ends."""

import io
import json
import sqlite3
import zipfile

import numpy as np
import onnx
import pytest

from tinygrad_mnist import byhand, export, nn
from tinygrad_mnist.data import Dataset
from tinygrad_mnist.runs import Sets, run
from tinygrad_mnist.store import PredictionLog, StoreError, write_csv
from tinygrad_mnist.training import Recipe


def written(write, model, *arguments, **options):
    file = io.BytesIO()
    write(model, file, *arguments, **options)
    return file.getvalue()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "predictions.db"


def add(log, sources, labels):
    images, p = np.zeros((len(sources), 784), np.uint8), np.full((len(sources), 10), 0.1)
    return log.add("r", {"lr": 0.5}, "abc", sources, images, p, labels)


# ---------------------------------------------------------------- the log


def test_a_log_says_in_its_header_whose_it_is_and_of_which_version(path):
    with PredictionLog(path, create=True) as log:
        add(log, ["x"], [None])
    content = path.read_bytes()
    assert content[:16] == b"SQLite format 3\0"
    assert content[68:72] == b"mnis"  # application_id, which `file` and SQLite look at
    assert int.from_bytes(content[60:64]) == 2  # user_version
    with sqlite3.connect(path) as db:
        assert db.execute("PRAGMA application_id").fetchone() == (0x6D6E6973,)
        assert db.execute("PRAGMA user_version").fetchone() == (2,)
    db.close()


@pytest.mark.parametrize("mode", [0o644, 0o444], ids=["to write to", "read-only"])
def test_an_empty_file_opened_for_reading_is_refused_and_stays_empty(path, mode):
    path.touch(mode)
    with pytest.raises(StoreError, match=r"db: a database, but not a log .*: it holds nothing\."):
        PredictionLog(path)
    assert path.read_bytes() == b""
    assert [p.name for p in path.parent.iterdir()] == ["predictions.db"]


def test_an_empty_file_becomes_a_log_if_it_may(path):
    path.touch()
    with PredictionLog(path, create=True) as log:
        add(log, ["x"], [1])
    with PredictionLog(path) as log:
        assert [row.label for row in log.predictions()] == [1]


def test_reading_a_log_does_not_change_it(path):
    with PredictionLog(path, create=True) as log:
        add(log, ["x"], [1])
    before = path.read_bytes()
    with PredictionLog(path) as log:
        assert len(list(log.predictions())) == 1
    assert path.read_bytes() == before


COLUMNS = "id,run,model_hash,source,label,predicted,created_at,p0,p1,p2,p3,p4,p5,p6,p7,p8,p9"


def test_csv_lines_end_in_one_newline_and_its_columns_have_their_names(path):
    with PredictionLog(path, create=True) as log:
        first, _ = add(log, ["a, b", "c"], [7, None])
        file = io.BytesIO()
        write_csv(log.predictions(), file)
    content = file.getvalue()
    header, one, two, rest = content.decode("ascii").split("\n")
    assert (header, rest, b"\r" in content) == (COLUMNS, "", False)
    probabilities = ",".join(["0.1"] * 10)
    assert one == f'1,r,abc,"a, b",7,0,{first.created_at},{probabilities}'
    assert two == f"2,r,abc,c,,0,{first.created_at},{probabilities}"
    assert not file.closed


# ---------------------------------------------------------------- exports


def graph(model, *shape):
    return onnx.load_from_string(written(export.write_onnx, model, *shape))


def operators(model, *shape):
    return [node.op_type for node in graph(model, *shape).graph.node]


@pytest.mark.parametrize("hidden", [(), (5,), (5, 4, 3)], ids=str)
def test_onnx_has_one_gemm_per_linear_and_one_node_per_activation(hidden):
    model = nn.MLP((6, *hidden, 2), "tanh", "sigmoid")
    assert operators(model) == [*["Gemm", "Tanh"] * len(hidden), "Gemm", "Sigmoid"]


def test_onnx_products_take_what_it_says_and_no_attributes():
    made = graph(nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2, bias=False))).graph
    assert [(n.op_type, list(n.input), list(n.output)) for n in made.node] == [
        ("Gemm", ["input", "0.weight", "0.bias"], ["0.output"]),
        ("Relu", ["0.output"], ["1.output"]),
        ("MatMul", ["1.output", "2.weight"], ["output"]),
    ]
    assert [node.name for node in made.node] == ["0.output", "1.output", "output"]
    assert not any(node.attribute for node in made.node)
    shapes = {constant.name: tuple(constant.dims) for constant in made.initializer}
    assert shapes == {"0.weight": (3, 4), "0.bias": (4,), "2.weight": (4, 2)}


def test_onnx_multiplies_stacked_rows_without_gemm_which_takes_matrices_only():
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2, bias=False))
    assert operators(model, (5, 3)) == ["MatMul", "Add", "MatMul"]


def test_onnx_says_versions_producer_and_types():
    proto = graph(nn.MLP((6, 2)))
    assert (proto.ir_version, proto.producer_name) == (8, "tinygrad_mnist")
    assert [(entry.domain, entry.version) for entry in proto.opset_import] == [("", 17)]
    ends = [*proto.graph.input, *proto.graph.output]
    assert [end.name for end in ends] == ["input", "output"]
    assert {end.type.tensor_type.elem_type for end in ends} == {onnx.TensorProto.FLOAT}
    axes = [
        [axis.dim_param or axis.dim_value for axis in e.type.tensor_type.shape.dim] for e in ends
    ]
    assert axes == [["batch", 6], ["batch", 2]]
    assert not proto.metadata_props


def test_safetensors_have_the_metadata_key_also_with_nothing_to_say():
    content = written(export.write_safetensors, nn.Linear(2, 3))
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert header.pop("__metadata__") == {"tinygrad_mnist": "{}"}
    assert {name: (value["dtype"], value["shape"]) for name, value in header.items()} == {
        "bias": ("F32", [3]),
        "weight": ("F32", [2, 3]),
    }


@pytest.mark.parametrize("derivation", ["by hand", "by the tape"])
def test_npz_holds_w1_b1_w2_b2_uncompressed_and_in_that_order(derivation, tmp_path):
    if derivation == "by hand":
        byhand.MLP((3, 4, 2)).save(tmp_path / "w.npz")
    else:
        (tmp_path / "w.npz").write_bytes(written(export.write_npz, nn.MLP((3, 4, 2))))
    with zipfile.ZipFile(tmp_path / "w.npz") as archive:
        assert archive.namelist() == ["W1.npy", "b1.npy", "W2.npy", "b2.npy"]
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
    with np.load(tmp_path / "w.npz", allow_pickle=False) as file:
        assert [file[name].shape for name in file.files] == [(3, 4), (4,), (4, 2), (2,)]
        assert {file[name].dtype.str for name in file.files} == {"<f4"}


# ---------------------------------------------------------------- text


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run with every text file."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (60, 784), dtype=np.uint8)
    labels = np.arange(60) % 10
    train, test = (Dataset.of(images[part], labels[part]) for part in (slice(40), slice(40, None)))
    recipe = Recipe("é", "two\nlines", hidden=(4,), epochs=1, validation=0.5)
    folder = tmp_path_factory.mktemp("runs") / "r"
    run(recipe, folder, Sets(train, test, {}))
    return folder


TEXTS = {"config.toml", "history.json", "metrics.json", "model_card.json"}
PROSE = {"report.html", "MODEL_CARD.md"}


def test_every_text_of_a_run_is_utf8_whose_lines_end_in_one_newline(folder):
    files = {p.name: p.read_bytes() for p in folder.iterdir() if p.is_file()}
    assert files.keys() == TEXTS | PROSE | {"checkpoint.npz", "weights.npz", "model.safetensors"}
    for name in TEXTS | PROSE:
        assert files[name].endswith(b"\n"), name
        assert not files[name].endswith(b"\n\n"), name
        assert b"\r" not in files[name], name
        assert not files[name].startswith(b"\xef\xbb\xbf"), name
        assert files[name].decode("utf-8").count("\n") > 5, name
    assert all("é" in files[name].decode("utf-8") for name in PROSE)
    assert Recipe.load(str(folder / "config.toml")).description == "two\nlines"
