"""Files of weights: they hold what the model is, other readers agree, and failures leave none."""

import contextlib
import io
import json
import subprocess
import sys
from dataclasses import asdict

import numpy as np
import onnx
import onnxruntime
import pytest
import safetensors.numpy
from hypothesis import given
from hypothesis import strategies as st

from tinygrad_mnist import byhand, export, nn
from tinygrad_mnist.autodiff import no_grad
from tinygrad_mnist.data import DataError
from tinygrad_mnist.export.layers import forward_of
from tinygrad_mnist.training import Epoch, Recipe


def written(write, model, *arguments, **options):
    """What an exporter writes."""
    file = io.BytesIO()
    write(model, file, *arguments, **options)
    return file.getvalue()


def layer(rng, rows, columns, **options):
    return nn.Linear(rows, columns, rng=rng, **options)


class Own(nn.ReLU):
    """A layer that is a ReLU in name only."""

    def forward(self, x):
        return x * 2


# ---------------------------------------------------------------- ONNX


def stacked(rng):
    return nn.Sequential(layer(rng, 28, 10), nn.ReLU(), layer(rng, 10, 3, bias=False))


def nested(rng):
    inner = nn.Sequential(layer(rng, 784, 30), nn.Sequential(nn.Tanh()))
    return nn.Sequential(inner, layer(rng, 30, 10))


MODELS = {
    "Linear": (lambda rng: layer(rng, 784, 10), None),
    "Linear without bias": (lambda rng: layer(rng, 784, 10, bias=False), None),
    "Linear on stacked rows": (stacked, (28, 28)),
    "ReLU": (lambda rng: nn.ReLU(), (784,)),
    "LeakyReLU": (lambda rng: nn.LeakyReLU(0.3), (784,)),
    "Sigmoid": (lambda rng: nn.Sigmoid(), (784,)),
    "Tanh": (lambda rng: nn.Tanh(), (784,)),
    "Softmax": (lambda rng: nn.Softmax(1), (28, 28)),
    "LogSoftmax": (lambda rng: nn.LogSoftmax(-1), (28, 28)),
    "Flatten": (lambda rng: nn.Sequential(nn.Flatten(), layer(rng, 784, 10)), (28, 28)),
    "Identity": (lambda rng: nn.Identity(), (784,)),
    "Dropout": (lambda rng: nn.Sequential(nn.Dropout(0.5), layer(rng, 784, 10)), (784,)),
    "nested": (nested, None),
    "MLP": (lambda rng: nn.MLP((784, 40, 20, 10), "relu", dropout=0.3, rng=rng), None),
    "sigmoid outputs": (lambda rng: nn.MLP((784, 40, 10), "sigmoid", "sigmoid", rng=rng), None),
    "MLP in float64": (lambda rng: nn.MLP((784, 40, 10), "tanh", dtype=np.float64, rng=rng), None),
}


@pytest.mark.parametrize("name", MODELS)
def test_onnxruntime_computes_what_the_model_does_in_batches_of_any_size(rng, name):
    make, shape = MODELS[name]
    model = make(rng)
    content = written(export.write_onnx, model, shape)
    onnx.checker.check_model(onnx.load_from_string(content), full_check=True)
    session = onnxruntime.InferenceSession(content)
    model.eval()
    for batch in (1, 64, 35):
        x = rng.uniform(-1, 1, (batch, *(shape or (784,)))).astype(np.float32)
        (found,) = session.run(["output"], {"input": x})
        with no_grad():
            expected = np.asarray(model(x))
        assert (found.dtype, found.shape) == (np.float32, expected.shape)
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_onnx_graph_is_as_old_as_runtimes_ask_for():
    about = {"recipe": {"lr": 0.5}}
    proto = onnx.load_from_string(written(export.write_onnx, nn.Linear(3, 2), about=about))
    assert (proto.ir_version, [entry.version for entry in proto.opset_import]) == (8, [17])
    assert proto.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    said = {entry.key: json.loads(entry.value) for entry in proto.metadata_props}
    assert said == {"tinygrad_mnist": about, "output": "logits"}


def test_a_layer_used_twice_acts_twice_and_is_stored_once(rng):
    shared = layer(rng, 6, 6)
    model = nn.Sequential(shared, nn.Tanh(), shared)
    content = written(export.write_onnx, model)
    constants = onnx.load_from_string(content).graph.initializer
    assert [constant.name for constant in constants] == ["0.weight", "0.bias"]
    x = rng.normal(size=(5, 6)).astype(np.float32)
    (found,) = onnxruntime.InferenceSession(content).run(None, {"input": x})
    np.testing.assert_allclose(found, model(x).detach().numpy(), atol=1e-6)


def test_a_model_is_left_as_it_was(rng):
    model = nn.MLP((784, 8, 10), dropout=0.5, rng=rng)
    state = rng.bit_generator.state
    written(export.write_onnx, model)
    assert all(module.training for module in model.modules())
    assert rng.bit_generator.state == state
    assert all(p.grad is None for p in model.parameters())


def test_a_layer_without_counterpart_is_named_by_its_path_and_nothing_is_written():
    model = nn.Sequential(nn.Linear(4, 4), nn.Sequential(nn.ReLU(), Own()))
    file = io.BytesIO()
    message = r"no counterpart for Own \(layer '1\.1'\)\. Supported: Dropout, .*, MLP, .*Tanh\."
    with pytest.raises(export.ExportError, match=message):
        export.write_npz(model, file)
    with pytest.raises(export.ExportError, match=r"no counterpart for Own \(the model itself\)"):
        export.write_npz(Own(), file)
    assert file.getvalue() == b""


def test_a_forward_put_in_place_of_the_layers_own_is_noticed():
    model = nn.ReLU()
    model.forward = lambda x: x
    assert forward_of(model) is None
    with pytest.raises(export.ExportError, match="no counterpart for ReLU"):
        export.write_npz(model, io.BytesIO())


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (
            nn.Sequential(nn.Sequential(nn.ReLU())),
            r"starts with a ReLU, which does not say what goes in. Pass shape=",
        ),
        (
            nn.Sequential(nn.Linear(4, 3), nn.Linear(4, 2)),
            r"Sequential, called on \(2, 4\): x of shape \(2, 3\) has 3 features, but this Linear",
        ),
    ],
)
def test_what_makes_no_graph_is_explained(model, message):
    file = io.BytesIO()
    with pytest.raises(export.ExportError, match=message):
        export.write_onnx(model, file)
    assert file.getvalue() == b""


def test_without_onnx_the_way_to_get_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(export.ExportError, match=r"pip install 'tinygrad-mnist\[onnx\]'"):
        export.write_onnx(nn.Linear(2, 2), io.BytesIO())


# ---------------------------------------------------------------- safetensors


class Counting(nn.Module):
    """Any module: a buffer, a scalar, names out of order, memory out of order."""

    def __init__(self):
        self.zeta = nn.Parameter(np.arange(6.0).reshape(2, 3).T)
        self.alpha = nn.Parameter(np.float32(3))
        self.inner = nn.Sequential(nn.Linear(2, 3), nn.Tanh())
        self.register_buffer("steps", np.array([1, 2, 3]))


def test_safetensors_give_back_every_name_shape_dtype_and_value(tmp_path):
    model = Counting()
    content = written(export.write_safetensors, model, {"recipe": {"lr": 0.1}})
    (tmp_path / "m.safetensors").write_bytes(content)
    arrays, about = export.read_safetensors(tmp_path / "m.safetensors")
    assert about == {"recipe": {"lr": 0.1}}
    state = model.state_dict()
    assert set(arrays) == set(state)
    for name, values in arrays.items():
        assert (values.dtype, values.shape) == (state[name].dtype, state[name].shape)
        np.testing.assert_array_equal(values, state[name].data)
    other = Counting()
    other.load_state_dict(arrays)
    np.testing.assert_array_equal(other.inner[0].weight.data, model.inner[0].weight.data)


def test_safetensors_have_one_metadata_key_with_json_and_sorted_names():
    content = written(export.write_safetensors, nn.MLP((4, 3, 2)), {"b": 1, "a": 2})
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    assert header.pop("__metadata__") == {"tinygrad_mnist": '{"a": 2, "b": 1}'}
    assert list(header) == sorted(header)


def test_the_same_weights_give_the_same_bytes_in_every_process():
    script = """if True:
        import hashlib, io, numpy, tinygrad_mnist.export as export, tinygrad_mnist.nn as nn
        model = nn.MLP((4, 3, 2), rng=numpy.random.default_rng(0))
        for write in (export.write_npz, export.write_safetensors, export.write_onnx):
            file = io.BytesIO()
            write(model, file)
            print(hashlib.sha256(file.getvalue()).hexdigest())
    """
    command = [sys.executable, "-c", script]
    first, second = (
        subprocess.run(command, capture_output=True, check=True).stdout for _ in range(2)
    )
    assert len(first.split()) == 3
    assert first == second


def test_safetensors_of_others_say_nothing_about_themselves(tmp_path):
    path, about = tmp_path / "w.safetensors", {"format": "pt", "more": "x"}
    safetensors.numpy.save_file({"w": np.ones(2)}, path, about)
    assert export.read_safetensors(path)[1] == {}


SAFE = written(export.write_safetensors, nn.MLP((3, 2), rng=np.random.default_rng(0)))


def raw(header, data=b""):
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


EIGHT_BITS = raw({"w": {"dtype": "F8_E4M3", "shape": [1], "data_offsets": [0, 1]}}, b"x")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a safetensors file"),
        (b"PK\3\4 something else entirely", "not a safetensors file"),
        (SAFE[:-1], "not a safetensors file"),
        (EIGHT_BITS, "not a safetensors file"),
        (raw({"__metadata__": {"tinygrad_mnist": "{"}}), "not a safetensors file"),
        (raw({"__metadata__": {"tinygrad_mnist": "[1]"}}), "should be a JSON object"),
    ],
)
def test_damaged_safetensors_are_refused_and_named(tmp_path, content, message):
    (tmp_path / "bad").write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        export.read_safetensors(tmp_path / "bad")
    assert str(tmp_path / "bad") in str(caught.value)


def test_missing_files_are_named(tmp_path):
    for read in (export.read_safetensors, export.read_npz):
        with pytest.raises(DataError, match="gone: cannot be read: No such file"):
            read(tmp_path / "gone")


# ---------------------------------------------------------------- npz


SIZES, DTYPES = st.lists(st.integers(1, 5), min_size=2, max_size=5), [np.float32, np.float64]


@given(SIZES, st.booleans(), st.sampled_from(DTYPES))
def test_npz_is_the_same_network_with_biases_of_either_shape(tmp_path_factory, sizes, rows, dtype):
    rng = np.random.default_rng(0)
    model = nn.MLP(sizes, "sigmoid", initialiser="standard_normal", dtype=dtype, rng=rng)
    path = tmp_path_factory.mktemp("npz") / "w.npz"
    path.write_bytes(written(export.write_npz, model))
    if rows:
        with np.load(path) as file:
            arrays = dict(file)
        for layer in range(1, len(sizes)):
            arrays[f"b{layer}"] = arrays[f"b{layer}"].reshape(1, -1)
        np.savez(path, **arrays)
    x = rng.normal(size=(7, sizes[0])).astype(dtype)
    again, model = nn.Classifier(export.read_npz(path)), nn.Classifier(model)
    expected, by_hand = model.predict_proba(x), byhand.MLP.load(path).predict_proba(x)
    assert again.predict_proba(x).dtype == dtype
    np.testing.assert_array_equal(again.predict_proba(x), expected)
    np.testing.assert_allclose(by_hand, expected, rtol=1e-5, atol=1e-6)


def test_a_layer_used_twice_is_written_twice(tmp_path, rng):
    shared = layer(rng, 4, 4)
    model = nn.Sequential(shared, nn.Sigmoid(), nn.Sequential(shared), nn.Dropout(0.5))
    (tmp_path / "w.npz").write_bytes(written(export.write_npz, model))
    with np.load(tmp_path / "w.npz") as file:
        assert file.files == ["W1", "b1", "W2", "b2"]
        np.testing.assert_array_equal(file["W1"], file["W2"])
    x = rng.normal(size=(3, 4)).astype(np.float32)
    np.testing.assert_array_equal(export.read_npz(tmp_path / "w.npz")(x).data, model.eval()(x).data)


def test_npz_needs_a_bias_in_every_layer():
    file = io.BytesIO()
    with pytest.raises(export.ExportError, match="Linear at '1' has no bias"):
        export.write_npz(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2, bias=False)), file)
    assert file.getvalue() == b""


ONE = {"W1": np.ones((4, 3)), "b1": np.ones(3)}


OTHER_ARRAYS = [
    ({}, "expected the keys W1, b1, W2, b2, ..., but found none"),
    ({"W1": np.ones((4, 3))}, "but found W1"),
    (ONE | {"W3": np.ones((3, 2)), "b3": np.ones(2)}, "but found W1, W3, b1, b3"),
    (ONE | {"W2": np.ones((2, 2)), "b2": np.ones(2)},
     r"W2 has shape \(2, 2\), but its neighbours ask for \(3, 2\)"),
    ({"W1": np.ones(3), "b1": np.ones(3)}, r"W1 has shape \(3,\)"),
    ({"W1": np.float64(1), "b1": np.float64(1)}, r"W1 has shape \(\)"),
    ({"W1": np.ones((4, 3), int), "b1": np.ones(3)},
     "W1.npy has elements of type int64, expected floating-point numbers"),
    ({"W1": np.array([{}], object), "b1": np.ones(3)},
     "W1.npy has elements of type object, expected floating-point numbers"),
]  # fmt: skip


@pytest.mark.parametrize(("arrays", "message"), OTHER_ARRAYS)
def test_npz_files_of_something_else_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "w.npz", **arrays)
    with pytest.raises(DataError, match=message) as caught:
        export.read_npz(tmp_path / "w.npz")
    assert "w.npz" in str(caught.value)


@pytest.mark.parametrize("read", [export.read_npz, export.read_safetensors])
@given(st.data())
def test_any_changed_byte_is_read_or_refused_with_one_kind_of_error(tmp_path_factory, read, data):
    model = nn.MLP((3, 2), rng=np.random.default_rng(0))
    content = bytearray(written(export.write_npz, model) if read is export.read_npz else SAFE)
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path = tmp_path_factory.mktemp("fuzz") / "file"
    path.write_bytes(bytes(content[: data.draw(st.integers(1, len(content)))]))
    with contextlib.suppress(DataError):
        assert read(path)


# ---------------------------------------------------------------- the ancestor's JSON


def test_the_recipe_of_the_ancestor_is_what_its_config_says():
    assert export.ancestor_config(asdict(Recipe.load("seed-a-two-hidden"))) == {
        "USE_TWO_HIDDEN": True,
        "hidden_size_1": 256,
        "hidden_size_2": 128,
        "epochs": 25,
        "batch_size": 128,
        "lr0": 0.1,
        "lr_decay": 0.95,
        "momentum": 0.95,
        "weight_decay_L2": 1e-4,
        "seed": 42,
    }
    assert export.ancestor_config(asdict(Recipe.load("seed-a")))["hidden_size_2"] is None


def test_the_ancestors_config_says_nothing_false():
    def config(**values):
        return export.ancestor_config(vars(Recipe("r", **values)))

    assert config()["lr_decay"] == 1.0
    assert config(schedule="one_cycle", schedule_every="batch")["lr_decay"] is None
    assert config(schedule="exponential", gamma=0.9, schedule_every="batch")["lr_decay"] is None
    for hidden in ((), (4, 4, 4)):
        message = f"one or two hidden layers, but this network has {len(hidden)}"
        with pytest.raises(export.ExportError, match=message):
            config(hidden=hidden)


def test_the_ancestors_history_is_columns():
    epoch = asdict(Epoch(1, 0.5, 0.8, 0.6, 0.7, lr=0.1, seconds=1.0))
    found = export.ancestor_history([epoch, epoch | {"loss": 0.4}])
    twice = {"acc": [0.8, 0.8], "val_loss": [0.6, 0.6], "val_acc": [0.7, 0.7]}
    assert found == {"loss": [0.5, 0.4]} | twice
