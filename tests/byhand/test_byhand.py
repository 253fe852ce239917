"""The hand derivation: right alone, equal to the tape term by term, and along a training."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tinygrad_mnist import bridge, byhand, nn, optim
from tinygrad_mnist.autodiff.differences import central_differences
from tinygrad_mnist.data import one_hot


def problem(sizes, batch, activation, loss, l2, seed=0):
    """A network on paper with random weights and biases in float64, and a batch for it."""
    random = np.random.default_rng(seed)
    paper = byhand.MLP(sizes, activation, loss, l2, dtype=np.float64, rng=random)
    for name in paper.params:
        paper.params[name] = random.normal(size=paper.params[name].shape)
    return paper, random.normal(size=(batch, sizes[0])), random.integers(0, sizes[-1], batch)


ENDS = st.tuples(st.integers(1, 6), st.integers(2, 5))
HIDDEN = st.lists(st.integers(1, 6), min_size=0, max_size=3)
PROBLEMS = st.builds(
    problem,
    sizes=ENDS.flatmap(lambda ends: HIDDEN.map(lambda hidden: (ends[0], *hidden, ends[1]))),
    batch=st.integers(1, 7),
    activation=st.sampled_from(["sigmoid", "tanh", "relu"]),
    loss=st.sampled_from(["cross_entropy", "mse"]),
    l2=st.sampled_from([0.0, 0.1]),
    seed=st.integers(0, 2**32 - 1),
)


def far_from_kinks(paper, terms):
    """Whether central differences may be taken: they would straddle a kink of relu."""
    hidden = [terms[f"Z{layer}"] for layer in range(1, paper.depth)]
    return paper.activation != "relu" or all(np.abs(Z).min() > 1e-4 for Z in hidden)


@given(PROBLEMS)
def test_hand_derivation_agrees_with_central_differences_of_its_own_loss(drawn):
    paper, X, labels = drawn
    terms = paper.forward(X)
    assume(far_from_kinks(paper, terms))
    gradients = paper.backward(terms, labels)
    sizes = bridge.magnitudes(paper, terms, gradients, labels)

    def loss():
        return paper.loss(paper.forward(X), labels)

    for name, value in paper.params.items():
        numeric = central_differences(loss, value)
        error = np.abs(gradients[f"d{name}"] - numeric).max()
        assert error <= 1e-7 * sizes[f"d{name}"] + 1e-9, name


@given(PROBLEMS)
def test_every_term_of_the_hand_derivation_equals_the_tapes(drawn):
    comparison = bridge.compare(*drawn, tolerance=1e-10)
    assert comparison.first_divergence is None, str(comparison)


@given(PROBLEMS)
def test_saliency_agrees_with_central_differences_of_the_logits(drawn):
    paper, X, classes = drawn
    assume(far_from_kinks(paper, paper.forward(X)))
    chosen = np.arange(len(X)), classes

    def logits():
        return paper.forward(X)[f"Z{paper.depth}"][chosen].sum()

    saliency = paper.saliency(X, classes)
    numeric = np.abs(central_differences(logits, X))
    np.testing.assert_allclose(saliency, numeric, rtol=1e-6, atol=1e-7)


@given(PROBLEMS)
def test_saliency_by_hand_equals_the_tapes(drawn):
    paper, X, classes = drawn
    by_hand = paper.saliency(X, classes)
    by_tape = nn.Classifier(bridge.to_module(paper)).saliency(X, classes)
    assert by_hand.shape == by_tape.shape == X.shape
    assert np.abs(by_hand - by_tape).max() <= 1e-12 * max(by_hand.max(), 1)


def train_by_hand(paper, batches, lr, momentum):
    for X, labels in batches:
        paper.step(paper.backward(paper.forward(X), labels), lr, momentum)
    return paper


def train_by_tape(paper, batches, lr, momentum):
    model = bridge.to_module(paper)
    layers = [m for m in model if isinstance(m, nn.Linear)]
    decays = [
        {"params": [m.weight for m in layers], "weight_decay": paper.l2},
        {"params": [m.bias for m in layers]},
    ]
    optimizer = optim.SGD(decays, lr=lr, momentum=momentum)
    for X, labels in batches:
        optimizer.zero_grad()
        if paper.loss_name == "cross_entropy":
            nn.CrossEntropyLoss()(model(X), labels).backward()
        else:
            nn.MSELoss()(model(X), one_hot(labels, model(X).shape[1])).backward()
        optimizer.step()
    return bridge.to_paper(model, paper.activation)


@given(PROBLEMS, st.sampled_from([0.0, 0.9]))
def test_twenty_steps_of_training_stay_equal(drawn, momentum):
    paper, X, labels = drawn
    random = np.random.default_rng(0)
    batches = [(X + random.normal(size=X.shape), labels) for _ in range(20)]
    by_tape = train_by_tape(paper, batches, 0.05, momentum)
    by_hand = train_by_hand(paper, batches, 0.05, momentum)
    for name, value in by_hand.params.items():
        error = np.abs(value - by_tape.params[name]).max()
        assert error <= 1e-9 * np.abs(value).max(), name


def test_forward_and_backward_name_every_term():
    paper, X, labels = problem((4, 3, 2), 5, "tanh", "mse", 0.1)
    terms = paper.forward(X)
    assert list(terms) == ["A0", "Z1", "A1", "Z2", "A2"]
    names = list(paper.backward(terms, labels))
    assert names == ["dA2", "dZ2", "dW2", "db2", "dA1", "dZ1", "dW1", "db1"]


def test_gradients_have_the_shape_of_what_they_belong_to():
    paper, X, labels = problem((4, 3, 2), 5, "relu", "cross_entropy", 0.1)
    terms = paper.forward(X)
    for name, gradient in paper.backward(terms, labels).items():
        assert gradient.shape == (paper.params | terms)[name[1:]].shape


def test_relu_slope_at_zero_is_zero():
    slopes = byhand.mlp.relu_slope(np.array([-1.0, 0.0, 1.0]))
    assert slopes.tolist() == [0.0, 0.0, 1.0]


def test_probabilities_and_labels():
    paper, X, _ = problem((4, 3, 2), 5, "sigmoid", "cross_entropy", 0.0)
    probabilities = paper.predict_proba(X)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1.0, rtol=1e-15)
    assert paper.predict_label(X).tolist() == probabilities.argmax(axis=1).tolist()
    by_tape = nn.Classifier(bridge.to_module(paper))
    np.testing.assert_allclose(by_tape.predict_proba(X), probabilities, rtol=1e-12)


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
def test_extreme_inputs_stay_finite(loss):
    paper, X, labels = problem((4, 3, 2), 5, "relu", loss, 0.0)
    terms = paper.forward(X * 1e4)
    assert np.isfinite(paper.loss(terms, labels))
    gradients = paper.backward(terms, labels)
    assert all(np.isfinite(g).all() for g in gradients.values())


def test_unknown_activation_is_refused():
    with pytest.raises(ValueError, match="'gelu'"):
        byhand.MLP((2, 2), "gelu")


# ---------------------------------------------------------------- files


def test_weights_are_saved_and_loaded(tmp_path):
    paper, *_ = problem((4, 3, 2), 5, "sigmoid", "cross_entropy", 0.0)
    paper.save(tmp_path / "weights.npz")
    loaded = byhand.MLP.load(tmp_path / "weights.npz")
    assert list(loaded.params) == ["W1", "b1", "W2", "b2"]
    assert all((loaded.params[name] == value).all() for name, value in paper.params.items())


def test_biases_may_be_rows(tmp_path, rng):
    W1, W2 = rng.normal(size=(4, 3)), rng.normal(size=(3, 2))
    b1, b2 = np.ones((1, 3)), np.ones((1, 2))
    np.savez(tmp_path / "w.npz", W1=W1, b1=b1, W2=W2, b2=b2)
    assert byhand.MLP.load(tmp_path / "w.npz").params["b1"].shape == (3,)


FIRST = {"W1": np.ones((4, 3)), "b1": np.ones(3)}
OBJECTS = {"W1": np.array([{}], dtype=object), "b1": np.ones(3)}


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"W1": np.ones((4, 3))}, "expected the keys W1, b1"),
        (FIRST | {"W3": np.ones((3, 2)), "b3": np.ones(2)}, "expected the keys W1, b1"),
        (
            FIRST | {"W2": np.ones((5, 2)), "b2": np.ones(2)},
            r"W2 has shape \(5, 2\), expected \(3, 2\)",
        ),
        (OBJECTS, "not an npz file of arrays"),
    ],
)
def test_files_that_do_not_fit_are_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "w.npz", **arrays)
    with pytest.raises(ValueError, match=message):
        byhand.MLP.load(tmp_path / "w.npz")


def test_what_is_no_npz_file_is_refused(tmp_path):
    for content in (b"", b"hello", b"PK\x03\x04 broken"):
        (tmp_path / "w.npz").write_bytes(content)
        with pytest.raises(ValueError, match="not an npz file"):
            byhand.MLP.load(tmp_path / "w.npz")


@pytest.mark.parametrize("loss", ["cross_entropy", "mse"])
@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, -1], "Labels number the classes and must lie from 0 to 3, but they go from -1 to 0"),
        ([0, 4], "but they go from 0 to 4"),
        ([0.0, 1.0], r"\(2,\) of whole numbers, one class each, but these are \(2,\) of float64"),
        ([[0], [1]], r"but these are \(2, 1\) of int64"),
        ([1], r"A batch of 2 needs labels \(2,\)"),
    ],
)
def test_labels_that_are_no_classes_are_refused_by_both_derivations(loss, labels, message):
    paper = byhand.MLP((3, 5, 4), loss=loss, dtype=np.float64, rng=np.random.default_rng(0))
    X, labels = np.ones((2, 3)), np.array(labels)
    t = paper.forward(X)
    uses = [
        lambda: paper.loss(t, labels),
        lambda: paper.backward(t, labels),
        lambda: paper.saliency(X, labels),
        lambda: bridge.compare(paper, X, labels),
        lambda: bridge.magnitudes(paper, t, {}, labels),
    ]
    if loss == "mse":  # cross-entropy has its own words
        uses.append(lambda: bridge.tape_terms(paper, X, labels))
    for use in uses:
        with pytest.raises(ValueError, match=message):
            use()
    with pytest.raises((ValueError, TypeError)):
        bridge.tape_terms(paper, X, labels)


def test_a_network_on_paper_shows_what_it_was_made_from():
    model = byhand.MLP((4, 3, 2), "relu", "mse", l2=0.5)
    assert repr(model) == "MLP((4, 3, 2), 'relu', 'mse', l2=0.5)"
