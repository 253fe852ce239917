"""Random numbers: equal seeds agree, other seeds differ, and each stream feeds its own purpose."""

import numpy as np
import pytest

import tinygrad_mnist.nn.functional as F
from tinygrad_mnist import byhand, data, nn
from tinygrad_mnist.data import Dataset
from tinygrad_mnist.nn import init
from tinygrad_mnist.training import Recipe, build_training
from tinygrad_mnist.training import loop as training_loop

IMAGES = np.random.default_rng(3).integers(0, 256, (40, 784), dtype=np.uint8)
LABELS = np.arange(40) % 10
SETTINGS = {"hidden": (6,), "batch_size": 8, "validation": 0.2, "epochs": 2, "lr": 0.01}


def streams(seed):
    """The four generators that a seed stands for."""
    children = np.random.SeedSequence(seed).spawn(4)
    names = "split", "model", "order", "distortion"
    return dict(zip(names, map(np.random.default_rng, children), strict=True))


def training(seed=0, **settings):
    return build_training(
        Recipe("r", seed=seed, **(SETTINGS | settings)), Dataset.of(IMAGES, LABELS)
    )


def filled(fill):
    def draw(rng):
        t = nn.Parameter(np.zeros((4, 5)))
        fill(t, rng=rng)
        return t.data

    return draw


def masks(rng):
    layer = nn.Dropout(0.5, rng=rng)
    return np.stack([layer(np.ones(64, np.float32)), layer(np.ones(64, np.float32))])


def mlp(rng):
    return nn.MLP((5, 4, 3), rng=rng)


DRAWN = {
    "split": lambda rng: np.concatenate(data.split(40, 0.25, rng)),
    "the held-out half of a split": lambda rng: data.split(40, 0.5, rng)[1],
    "minibatches": lambda rng: np.concatenate(list(data.minibatches(40, 7, rng))),
    "elastic distortion": lambda rng: data.distort(IMAGES[:3], rng),
    "affine distortion": lambda rng: data.distort(IMAGES[:3], rng, alpha=0, affine=0.2),
    "the second block of distortions": lambda rng: data.distort(IMAGES, rng)[32:],
    "F.dropout": lambda rng: F.dropout(np.ones(64), 0.5, rng=rng),
    "nn.Dropout": masks,
    "nn.Linear": lambda rng: nn.Linear(5, 4, rng=rng).weight.data,
    "nn.MLP": lambda rng: mlp(rng)[0].weight.data,
    "the last layer of nn.MLP": lambda rng: [p.data for p in mlp(rng).parameters()][2],
    "dropout in nn.MLP": lambda rng: nn.MLP((5, 64, 3), dropout=0.5, rng=rng)(np.ones(5)).data,
    "byhand.MLP": lambda rng: byhand.MLP((5, 4), rng=rng).params["W1"],
    "the last layer of byhand.MLP": lambda rng: byhand.MLP((5, 4, 3), rng=rng).params["W2"],
} | {
    f"init.{name}": filled(getattr(init, name))
    for name in (
        *("uniform_", "normal_", "xavier_uniform_", "xavier_normal_"),
        *("kaiming_uniform_", "kaiming_normal_"),
    )
}


@pytest.mark.parametrize("name", DRAWN)
def test_equal_seeds_agree_and_other_seeds_differ(name):
    first, again, other = (np.asarray(DRAWN[name](np.random.default_rng(n))) for n in (5, 5, 6))
    np.testing.assert_array_equal(first, again)
    assert first.shape == other.shape
    assert (first != other).any()


@pytest.mark.parametrize("name", DRAWN)
def test_a_generator_used_twice_gives_something_else(name):
    rng = np.random.default_rng(5)
    before = rng.bit_generator.state
    first = DRAWN[name](rng)
    assert rng.bit_generator.state != before
    assert (np.asarray(first) != np.asarray(DRAWN[name](rng))).any()


UNSEEDED = {
    "F.dropout": lambda: F.dropout(np.ones(64), 0.5),
    "nn.Dropout": lambda: nn.Dropout(0.5)(np.ones(64)).data,
    "nn.Linear": lambda: nn.Linear(5, 4).weight.data,
    "nn.MLP": lambda: mlp(None)[0].weight.data,
    "byhand.MLP": lambda: byhand.MLP((5, 4)).params["W1"],
    "init": lambda: filled(init.normal_)(None),
}


@pytest.mark.parametrize("name", UNSEEDED)
def test_without_a_generator_nothing_is_repeated(name):
    assert (np.asarray(UNSEEDED[name]()) != np.asarray(UNSEEDED[name]())).any()


def test_dropout_takes_about_the_part_it_says_and_each_image_is_bent_in_its_own_way():
    kept = F.dropout(np.ones(10_000), 0.3, rng=np.random.default_rng(0)) != 0
    assert abs(kept.mean() - 0.7) < 0.02
    bent = data.distort(np.repeat(IMAGES[:1], 40, axis=0), np.random.default_rng(0))
    assert len(np.unique(bent, axis=0)) == 40


# ---------------------------------------------------------------- a training


def test_a_training_splits_by_the_first_stream_of_its_seed():
    for seed in (0, 7):
        expected = data.split(40, 0.2, streams(seed)["split"])
        rows = training(seed).training_rows, training(seed).validation_rows
        for found, wanted in zip(rows, expected, strict=True):
            np.testing.assert_array_equal(found, wanted)


def test_a_training_draws_its_weights_from_the_second_stream():
    for seed in (0, 7):
        expected = nn.MLP((784, 6, 10), rng=streams(seed)["model"])
        pairs = zip(training(seed).model.parameters(), expected.parameters(), strict=True)
        assert all((p.data == q.data).all() for p, q in pairs)


def test_a_training_orders_its_examples_by_the_third_stream():
    for seed in (0, 7):
        made, rng = training(seed), streams(seed)["order"]
        found = np.concatenate(list(made.remaining_batches()))
        np.testing.assert_array_equal(found, made.training_rows[rng.permutation(32)])


@pytest.mark.parametrize("strength", [{"elastic_alpha": 20.0}, {"affine": 0.2}], ids=str)
def test_a_training_distorts_by_the_fourth_stream(strength, monkeypatch):
    seen = []

    def watched(images, how):
        seen.append(images)
        return data.normalize(images, how)

    monkeypatch.setattr(training_loop, "normalize", watched)
    for seed in (0, 7):
        made, rng = training(seed, **strength), streams(seed)["distortion"]
        options = {"alpha": strength.get("elastic_alpha", 0.0), "sigma": 4.0}
        for rows in (np.arange(8), np.arange(4, 10)):
            made.step(rows)
            expected = data.distort(
                IMAGES[rows], rng, affine=strength.get("affine", 0.0), **options
            )
            np.testing.assert_array_equal(seen[-1], expected)


def states(made):
    return {name: str(rng.bit_generator.state) for name, rng in made.rngs.items()}


@pytest.mark.parametrize(
    ("settings", "moved"),
    [
        ({}, []),
        ({"dropout": 0.5}, ["model"]),
        ({"affine": 0.2}, ["distortion"]),
        ({"elastic_alpha": 9.0, "dropout": 0.5}, ["distortion", "model"]),
    ],
    ids=str,
)
def test_a_step_draws_from_the_streams_it_needs_and_no_other(settings, moved):
    made = training(**settings)
    before = states(made)
    made.step(np.arange(8))
    after = states(made)
    assert sorted(name for name in before if before[name] != after[name]) == moved


def outcome(seed, **settings):
    made = training(seed, **settings)
    made.run(on_batch=lambda *_: None, on_epoch=lambda _: None, should_stop=lambda: False)
    return np.concatenate([p.data.ravel() for p in made.model.parameters()])


@pytest.mark.parametrize("settings", [{}, {"dropout": 0.5}, {"affine": 0.2}], ids=str)
def test_a_whole_training_repeats_with_its_seed_and_differs_with_another(settings):
    np.testing.assert_array_equal(outcome(1, **settings), outcome(1, **settings))
    assert (outcome(1, **settings) != outcome(2, **settings)).any()
