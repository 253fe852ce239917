"""Weights and images in any memory order, byte order and stride: the values are what counts."""

import io
import json

import numpy as np
import onnxruntime
import pytest
import safetensors.numpy

from tinygrad_mnist import byhand, data, export, nn
from tinygrad_mnist.autodiff import no_grad
from tinygrad_mnist.runs import checkpoint
from tinygrad_mnist.runs.about import About
from tinygrad_mnist.runs.trained import Trained
from tinygrad_mnist.training import Recipe
from tinygrad_mnist.training.state import State


def strided(a):
    """Every second element of a larger array, along each axis."""
    every_second = (slice(None, None, 2),) * a.ndim
    large = np.full([2 * n for n in a.shape], np.nan if a.dtype.kind == "f" else 7, a.dtype)
    large[every_second] = a
    return large[every_second]


LAYOUTS = {
    "in C's order": np.ascontiguousarray,
    "in Fortran's order": np.asfortranarray,
    "transposed": lambda a: a.T.copy().T,
    "strided": strided,
    "backwards": lambda a: a[::-1].copy()[::-1],
    "big-endian": lambda a: a.astype(a.dtype.newbyteorder(">")),
    "big-endian in Fortran's order": lambda a: np.asfortranarray(a.astype(">f8")),
    "in float32": lambda a: np.asfortranarray(a.astype(">f4")),
}
RANDOM = np.random.default_rng(0)
WEIGHTS = {  # square ones too: if scrambled, these keep their shape
    "W1": RANDOM.normal(size=(4, 3)),
    "b1": RANDOM.normal(size=3),
    "W2": RANDOM.normal(size=(3, 3)),
    "b2": RANDOM.normal(size=3),
    "W3": RANDOM.normal(size=(3, 2)),
    "b3": RANDOM.normal(size=2),
}
X = RANDOM.normal(size=(5, 4))


@pytest.fixture(params=LAYOUTS, ids=str)
def weights(request):
    """The same network each time, in another layout."""
    return {name: LAYOUTS[request.param](array) for name, array in WEIGHTS.items()}


@pytest.fixture
def module(weights):
    """A module whose parameters lie in memory as the weights do."""
    model = nn.MLP((4, 3, 3, 2), "sigmoid", dtype=np.float64)
    for p, array in zip(model.parameters(), weights.values(), strict=True):
        p.data = array
    for p, array in zip(model.parameters(), weights.values(), strict=True):
        assert p.data.strides == array.strides
    return model


def assert_holds(found, weights):
    """The same names, and values that are equal to the last bit."""
    assert found.keys() == weights.keys()
    for name, array in weights.items():
        assert found[name].shape == array.shape
        np.testing.assert_array_equal(found[name], array)


def written(write, model, *arguments):
    file = io.BytesIO()
    write(model, file, *arguments)
    return file.getvalue()


# ---------------------------------------------------------------- read


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_network_is_read_from_weights_in_any_layout(weights, tmp_path, save):
    save(tmp_path / "w.npz", **weights)
    paper = byhand.MLP.load(tmp_path / "w.npz")
    assert_holds(paper.params, weights)
    module = export.read_npz(tmp_path / "w.npz")
    assert_holds(dict(zip(weights, [p.data for p in module.parameters()], strict=True)), weights)
    expected = byhand.MLP((4, 3, 3, 2), dtype=np.float64)
    expected.params = WEIGHTS
    for model in (paper, nn.Classifier(module)):
        np.testing.assert_allclose(model.predict_proba(X), expected.predict_proba(X), atol=1e-6)


def test_biases_that_are_rows_are_read_in_any_layout(weights, tmp_path):
    rows = {name: array.reshape(-1, array.shape[-1]) for name, array in weights.items()}
    np.savez(tmp_path / "w.npz", **rows)
    assert_holds(byhand.MLP.load(tmp_path / "w.npz").params, weights)


def test_what_was_read_may_be_trained_on(weights, tmp_path):
    np.savez(tmp_path / "w.npz", **weights)
    paper = byhand.MLP.load(tmp_path / "w.npz")
    before = paper.params["W2"].copy()
    paper.step(paper.backward(paper.forward(X), np.zeros(5, int)), lr=0.1)
    assert (paper.params["W2"] != before).all()


def test_a_state_in_any_layout_is_loaded(weights):
    model = nn.MLP((4, 3, 3, 2), dtype=np.float64)
    names = [name for name, _ in model.named_parameters()]
    model.load_state_dict(dict(zip(names, weights.values(), strict=True)))
    assert_holds(dict(zip(weights, [p.data for p in model.parameters()], strict=True)), weights)
    assert all(p.dtype == np.float64 and p.dtype.isnative for p in model.parameters())


@pytest.mark.parametrize("layout", LAYOUTS)
def test_images_in_any_layout_are_read(layout, tmp_path):
    images = RANDOM.integers(0, 256, (6, 28, 28))
    if "float32" in layout or "big-endian in" in layout:
        images = images.astype(float)
    labels = np.array([3, 1, 4, 1, 5, 9], np.int16)
    np.savez(tmp_path / "d.npz", images=LAYOUTS[layout](images), labels=strided(labels))
    found, classes = data.load(tmp_path / "d.npz")
    np.testing.assert_array_equal(found, images.reshape(6, 784))
    assert classes.tolist() == labels.tolist()


# ---------------------------------------------------------------- written


def test_a_network_on_paper_is_saved_from_any_layout(weights, tmp_path):
    paper = byhand.MLP((4, 3, 3, 2))
    paper.params = weights
    paper.save(tmp_path / "w.npz")
    with np.load(tmp_path / "w.npz") as file:
        assert_holds(dict(file), weights)
    assert_holds(byhand.MLP.load(tmp_path / "w.npz").params, weights)


def test_a_module_is_exported_from_any_layout(weights, module, tmp_path):
    with np.load(io.BytesIO(written(export.write_npz, module))) as file:
        assert_holds(dict(file), weights)
    content = written(export.write_safetensors, module)
    state = {name: t.data for name, t in module.state_dict().items()}
    assert_holds(safetensors.numpy.load(content), state)
    (tmp_path / "m.safetensors").write_bytes(content)
    assert_holds(export.read_safetensors(tmp_path / "m.safetensors")[0], state)


def test_onnx_computes_the_same_from_any_layout(module):
    session = onnxruntime.InferenceSession(written(export.write_onnx, module))
    (found,) = session.run(None, {"input": X.astype(np.float32)})
    with no_grad():
        np.testing.assert_allclose(found, module(X).numpy(), atol=1e-5)


def test_a_checkpoint_gives_back_any_layout(weights, tmp_path):
    recipe = Recipe("r", hidden=(), epochs=1)
    filling = {"model.0.weight": np.zeros((784, 10), np.float32)}  # what such a network takes
    state = State(weights | filling, {"schedule": 1})
    checkpoint.save(tmp_path, checkpoint.Checkpoint(recipe, state, {}, {}, {}))
    found, *_ = checkpoint.load(tmp_path)
    assert_holds(found.state.arrays, weights | filling)
    assert {n: a.dtype for n, a in found.state.arrays.items()} == {
        n: a.dtype for n, a in (weights | filling).items()
    }


def test_the_hash_of_a_network_does_not_depend_on_its_layout(weights, module, tmp_path):
    plain = nn.MLP((4, 3, 3, 2), "sigmoid", dtype=np.float64)
    for p, array in zip(plain.parameters(), WEIGHTS.values(), strict=True):
        p.data = np.ascontiguousarray(array, weights["W1"].dtype.newbyteorder("="))
    first, second = (Trained(model, None, tmp_path, About()).hash for model in (plain, module))
    assert first == second


def test_an_export_of_equal_weights_is_equal_bytes_whatever_their_layout(module):
    """Except npz, whose arrays say in which order they are."""
    copied = nn.MLP((4, 3, 3, 2), "sigmoid", dtype=module[0].weight.dtype.newbyteorder("="))
    copied.load_state_dict({name: t.data for name, t in module.state_dict().items()})
    for write in (export.write_safetensors, export.write_onnx):
        assert written(write, module) == written(write, copied)


def test_the_header_of_safetensors_names_the_native_type(module):
    content = written(export.write_safetensors, module)
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    kinds = {value["dtype"] for key, value in header.items() if key != "__metadata__"}
    assert kinds == {f"F{8 * module[0].weight.dtype.itemsize}"}
