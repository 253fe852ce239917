"""Every op, and any model of ops, as an ONNX graph: a runtime of others computes the same."""

import io
import json

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinygrad_mnist import export, nn, no_grad
from tinygrad_mnist.autodiff import Op, op, ops
from tinygrad_mnist.autodiff.graph import NUMPY
from tinygrad_mnist.examples import BatchNorm1d, LayerNorm, LeNet, ResidualBlock, ResMLP
from tinygrad_mnist.training import Recipe
from tinygrad_mnist.training.build import build_model
from tinygrad_mnist.training.recipe import recipe_names


class Function(nn.Module):
    """A function as a model."""

    def __init__(self, function, **parts):
        self.function = function
        for name, part in parts.items():
            setattr(self, name, part)

    def forward(self, x):
        return self.function(x)


def content(model, shape=None, **options):
    file = io.BytesIO()
    export.write_onnx(model, file, shape, **options)
    return file.getvalue()


def refusal(model, shape=(4,)):
    """What an export says that writes nothing."""
    file = io.BytesIO()
    with pytest.raises(export.ExportError) as caught:
        export.write_onnx(model, file, shape)
    assert file.getvalue() == b""
    return str(caught.value)


def differences(model, shape, rows=(1, 5, 33), **options):
    """By how much the runtime's results differ from the model's, at most, for each batch."""
    session = onnxruntime.InferenceSession(content(model, shape, **options))
    model.eval()
    for n in rows:
        x = np.random.default_rng(n).uniform(-1, 1, (n, *shape)).astype(np.float32)
        (found,) = session.run(None, {"input": x})
        with no_grad():
            expected = np.asarray(model(x))
        assert found.shape == expected.shape
        np.testing.assert_array_equal(np.isfinite(found), np.isfinite(expected))
        found, expected = (np.nan_to_num(a * 1.0, posinf=1) for a in (found, expected))
        yield np.abs(found - expected).max() / max(1, np.abs(expected).max())


# ---------------------------------------------------------------- every op

INNER = st.sampled_from([1, 2, -1, -2, (1, 2), (-1, 1)])
ANY = st.sampled_from([None, 0, 1, -1, (0, 1), (0, -1), (0, 1, 2)])
KEPT = {"axis": ANY, "keepdims": st.just(True)}
REDUCED = {"axis": INNER, "keepdims": st.booleans()}
ONE = {"axis": st.sampled_from([1, 2, -1]), "keepdims": st.booleans()}
LAST = {"axis": st.sampled_from([0, 1, 2, -1, -3])}
OF_ONE = [
    *[(getattr(ops, name), {}) for name in (
        "exp", "log1p", "abs", "sin", "cos", "tanh", "sigmoid", "relu", "softplus", "logsigmoid",
        "neg", "sign")],
    (ops.leaky_relu, {"negative_slope": st.sampled_from([0.01, 0.3, -2])}),
    (ops.clamp, {"min": st.sampled_from([None, -0.5, 0]), "max": st.sampled_from([None, 0.7, 1])}),
    *[(op, how) for op in (ops.sum, ops.mean, ops.max, ops.min, ops.norm, ops.var, ops.std)
      for how in (KEPT, REDUCED)],
    *[(op, REDUCED | {"ddof": st.sampled_from([1, 0.5, 3])}) for op in (ops.var, ops.std)],
    *[(op, ONE) for op in (ops.logsumexp, ops.argmax, ops.argmin)],
    *[(op, LAST) for op in (ops.softmax, ops.log_softmax)],
    (ops.center, {"axis": ANY}),
    (ops.transpose, {"axes": st.sampled_from([(0, 2, 1), (0, -1, 1), (0, 1, 2)])}),
    (ops.sliding_windows, {"window": st.sampled_from([(1, 2), (2, 2), (2,)]),
                           "stride": st.integers(1, 2)}),
    (ops.index, {"key": st.sampled_from([
        (slice(None), 0), (..., -1), (slice(None), slice(None, None, -1)), (slice(None), None),
        (..., [1, 0, 1]), (slice(None), np.array([[1], [0]])), (..., None, slice(-1, 0, -1)),
        slice(None), ..., (slice(None, None, 1), 1, 0), (slice(None), slice(1), None, slice(1, 9)),
    ])}),
]  # fmt: skip
SHAPES = st.tuples(st.integers(2, 4), st.integers(2, 4))


@pytest.mark.parametrize(("op", "how"), OF_ONE, ids=lambda value: getattr(value, "name", ""))
@settings(max_examples=8)
@given(st.data())
def test_an_op_of_one_tensor_is_what_onnxruntime_computes(op, how, data):
    shape, params = data.draw(SHAPES), {name: data.draw(one) for name, one in how.items()}
    rows = how is KEPT  # the result may have one row for all rows
    model = Function(lambda x: op(x, **params) + (0 * x if rows else 0))
    assert max(differences(model, shape)) < 2e-6


OF_TWO = ["add", "sub", "mul", "div", "power", "maximum", "minimum", "remainder", "floor_divide",
          "squared_error", "equal", "not_equal", "less", "less_equal", "greater", "greater_equal",
          "keep"]  # fmt: skip
OTHERS = {
    "itself": lambda op, x, c: op(abs(x) + 0.5, abs(x) + 0.5),
    "a row": lambda op, x, c: op(x * 0.1 + 1, c[0]),
    "a column": lambda op, x, c: op(x * 0.1 + 1, c[:, :1]),
    "one more axis": lambda op, x, c: op(x * 0.1 + 1, c[None]),
    "a number": lambda op, x, c: op(x * 0.1 + 1, 2),
}


@pytest.mark.parametrize("others", OTHERS)
@pytest.mark.parametrize("name", OF_TWO)
@settings(max_examples=4)
@given(shape=SHAPES)
def test_an_op_of_two_is_what_onnxruntime_computes(name, others, shape):
    c = np.random.default_rng(0).uniform(0.5, 2, shape).astype(np.float32)
    model = Function(lambda x: OTHERS[others](getattr(ops, name), x, c) * 1.0)
    assert max(differences(model, shape)) < 2e-6


MASKS = {
    "and": lambda x: (x > 0) & (x < 0.5),
    "or": lambda x: (x > 0.5) | ~(x > -0.5),
    "xor": lambda x: (x > 0) ^ (x > 0.5),
    "where": lambda x: np.where(x > 0, x, 0),
    "where with a column": lambda x: ops.where(x[:, :1] > 0, 1.5, x),
    "a mask as numbers": lambda x: (x > 0) * x + (x < -0.5),
    "a sum of a mask": lambda x: (x > 0).sum(axis=1, keepdims=True) + x,
    "a mean of a mask": lambda x: (x > 0).mean(axis=1, keepdims=True) + x,
    "any": lambda x: (x > 0.5).any(axis=1),
    "all": lambda x: (x > -0.5).all(axis=1, keepdims=True),
    "argmax of all": lambda x: x + x.argmax(),
    "floor": np.floor,
    "ceil": np.ceil,
    "rint": np.rint,
    "concatenate": lambda x: np.concatenate([x, x * x, np.zeros((1, 3), np.float32) + x], axis=1),
    "stack": lambda x: np.stack([x, -x], axis=-1),
    "prod": lambda x: x.prod(axis=1),
    "repeat along a new axis": lambda x: np.broadcast_to(x.reshape((-1, 1, 3)), (len(x), 2, 3)),
    "another order": lambda x: x.T.reshape((-1,)).reshape((3, -1)).T,
    "rows of rows": lambda x: x.reshape((len(x), -1, 1)).reshape((-1, 3)),
    "a vector times a matrix": lambda x: x @ np.arange(3, dtype=np.float32) + 1,
    "a batch of products": lambda x: x.reshape((-1, 3, 1)) @ x.reshape((-1, 1, 3)),
    "the mean of the batch": lambda x: x - x.mean(axis=0),
    "the largest of all": lambda x: x / np.abs(x).max(),
    "in doubles": lambda x: x.astype(np.float64) * 2,
    "a matrix of rows": lambda x: x @ (x.T @ x),
    "every row with every row": lambda x: x @ x.T,
}


@pytest.mark.parametrize("name", MASKS)
def test_a_computation_is_what_onnxruntime_computes_for_any_batch(name):
    assert max(differences(Function(MASKS[name]), (3,))) < 2e-6


def declared():
    """The ops with a counterpart, and those without."""
    known = {v for v in vars(ops).values() if isinstance(v, Op)}
    known |= {v for v in NUMPY.values() if isinstance(v, Op)}
    return [{o.name for o in known if (o.counterpart is None) is none} for none in (False, True)]


def test_every_op_that_a_network_uses_has_a_counterpart():
    of_rules = {"tanh_slope", "sigmoid_slope", "softmax_jacobian", "softmax_deviation",
                "log_softmax_slope", "cross_entropy_slope", "ties", "inside", "scatter",
                "overlap_add"}  # fmt: skip
    with_one, without = declared()
    assert without == of_rules | {"cross_entropy", "trunc"}
    assert len(with_one) == 66


# ---------------------------------------------------------------- models


@pytest.mark.parametrize("name", recipe_names())
def test_the_network_of_a_recipe_is_exported(name):
    model = build_model(Recipe.load(name), 784, 10, np.random.default_rng(0))
    assert max(differences(model, (784,), rows=(1, 33))) < 5e-6


RNG = np.random.default_rng(0)
NETWORKS = {
    "LeNet": (LeNet(784, 10, rng=RNG), (784,)),
    "ResMLP": (ResMLP(20, 10, rng=RNG, width=16), (20,)),
    "ResidualBlock": (ResidualBlock(5, rng=RNG), (5,)),
    "LayerNorm": (LayerNorm((3, 4)), (3, 4)),
    "BatchNorm1d": (nn.Sequential(BatchNorm1d(6), nn.Linear(6, 2, rng=RNG)), (6,)),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_of_the_examples_is_exported(name):
    model, shape = NETWORKS[name]
    assert max(differences(model, shape, rows=(1, 2, 33))) < 5e-6


def test_a_module_of_ones_own_with_an_op_of_ones_own_is_exported():
    cube = op(lambda x: x**3, name="cube").vjp(lambda g, out, x: 3 * g * x**2)
    cube.onnx(lambda onnx, x: onnx.Mul(x, onnx.Mul(x, x)))
    shrink = op(lambda x, *, lambd=0.5: x * (abs(x) > lambd), name="shrink").onnx("Shrink")
    model = nn.Sequential(nn.Linear(4, 4, rng=RNG), Function(cube), Function(shrink))
    assert max(differences(model, (4,))) < 1e-6
    operators = [node.op_type for node in onnx.load_from_string(content(model)).graph.node]
    assert operators == ["Gemm", "Mul", "Mul", "Shrink"]


@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
def test_softmax_gives_the_probabilities_of_the_classifier(output):
    model, x = nn.MLP((6, 5, 3), output=output, rng=RNG), np.ones((2, 6), np.float32)
    session = onnxruntime.InferenceSession(content(model, about={}, softmax=True))
    (found,) = session.run(None, {"input": x})
    np.testing.assert_allclose(found, nn.Classifier(model).predict_proba(x), atol=1e-6)
    assert session.get_modelmeta().custom_metadata_map["output"] == '"probabilities"'


def test_the_metadata_say_what_goes_in_and_what_comes_out():
    about = {"trained": {"shape": [2, 3], "classes": ["a", "b"]}, "input_range": (0.01, 1.0)}
    proto = onnx.load_from_string(content(nn.Linear(6, 2, rng=RNG), about=about))
    said = {entry.key: json.loads(entry.value) for entry in proto.metadata_props}
    del said["tinygrad_mnist"]
    assert said == {"shape": [2, 3], "classes": ["a", "b"], "input_range": [0.01, 1.0],
                    "output": "logits"}  # fmt: skip


def test_nodes_are_called_after_the_modules_that_computed_them():
    model = nn.Sequential(nn.Linear(4, 4, rng=RNG), ResidualBlock(4, rng=RNG), nn.ReLU())
    graph = onnx.load_from_string(content(model)).graph
    names = [node.name for node in graph.node]
    assert {"0.output", "1.inner.1.output", "1.inner.3.output", "1.output", "output"} <= {*names}
    assert [name for name in names if name.startswith("1.inner.0.sub")]
    assert {c.name for c in graph.initializer} >= {n for n, _ in model.named_parameters()}


# ---------------------------------------------------------------- refused


@op
def unknown(x):
    return x + 1


unknown.vjp(lambda g, out, x: g)


def test_an_op_without_counterpart_is_named_with_the_module_that_calls_it():
    model = nn.Sequential(nn.ReLU(), nn.Sequential(nn.Tanh(), Function(unknown)))
    told = refusal(model)
    assert told.startswith("unknown, called by Function (layer '1.1'), has no counterpart in ONNX.")
    assert "unknown.onnx(...)" in told
    assert "can be exported as safetensors" in told
    assert "called by Function (the model itself)" in refusal(Function(unknown))


BATCH = "that depends on the batch"
REFUSED = {
    "a mean by hand": (lambda x: x - x.sum(axis=0) / len(x), BATCH),
    "a state for each row": (lambda x: x + np.zeros((len(x), 1), np.float32), BATCH),
    "half of the batch": (lambda x: x[: len(x) // 2 + 1].sum(axis=0) + x, "number of rows"),
    "all but one": (lambda x: x[: len(x) - 1].sum(axis=0) + x, BATCH),
    "a value read": (lambda x: x * x.max().item(), BATCH),
    "an array read": (lambda x: x * nn.functional.relu(x.data), BATCH),
    "random numbers": (lambda x: x * np.random.default_rng().random(4), BATCH),
    "no row for each row": (lambda x: x.sum(axis=0), r"made (4,) of (2, 4)"),
    "no tensor": (lambda x: x.data, "made (2, 4) of (2, 4)"),
    "nothing of the input": (lambda x: np.zeros_like(x) + nn.Parameter([1.0]), BATCH),
    "a constant": (lambda x: nn.Parameter(np.ones((len(x), 1))), "not computed from the input"),
    "a mask as an index": (lambda x: x[:, np.array([True, False, True, False])], "as an index"),
    "two lists as an index": (lambda x: x[:, [0, 1]][[0, 1], [0, 1]].sum() + x, "as an index"),
    "bits": (lambda x: x + ((x > 0) * 3 | 4), "for integers"),
    "variance of the batch": (lambda x: x / x.var(axis=0, ddof=1), "ddof and the batch"),
    "other ops": (lambda x: x + 1 if len(x) == 2 else x * 2, "other ops for another batch"),
    "another branch": (lambda x: x + 1 if len(x) < 4 else x - 1, "something else than the model"),
    "an error": (lambda x: x @ np.ones((3, 3)), "called on (2, 4): matmul"),
    "no op": (lambda x: np.cumsum(x), "np.cumsum has no op"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_an_onnx_graph_would_get_wrong_is_refused(name):
    function, why = REFUSED[name]
    assert why in refusal(Function(function))


def test_a_counterpart_that_computes_something_else_is_noticed():
    wrong = op(lambda x: x + 1, name="wrong").vjp(lambda g, out, x: g).onnx("Identity")
    assert "a counterpart that you have declared is not that of its op" in refusal(Function(wrong))
    none = op(lambda x: x + 1, name="none").vjp(lambda g, out, x: g).onnx("Increment")
    assert "ONNX does not accept the graph" in refusal(Function(none))


def test_a_model_that_is_refused_or_exported_is_left_as_it_was():
    model = nn.Sequential(nn.Dropout(0.5, rng=RNG), Function(unknown)).train()
    refusal(model)
    content(nn.MLP((4, 3, 2), dropout=0.5, rng=RNG))
    assert all(module.training for module in model.modules())
    assert nn.Module.__call__.__name__ == "__call__"
    assert not (nn.Linear(4, 1)(np.ones(4)) > 0).requires_grad
