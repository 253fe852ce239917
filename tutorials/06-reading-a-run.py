# %% [markdown]
# # Reading a run
#
# **The training is over and a number came out: what do you do next?** You look. A run tells you
# whether it should have been longer, shorter or gentler, which digits the network mixes up, whether
# it knows what it does not know, and where it looks. We will read two runs, one of them sick.
#
# *You will be able to*: tell underfitting from overfitting by two curves, read a confusion matrix
# and a reliability diagram, and say what saliency shows and what it does not. *You need*:
# [a network by hand](02-by-hand.md). What is new here is explained where it comes up; more about it
# is in [regularisation](../derivations/regularisation.md) and
# [calibration and saliency](../derivations/calibration.md), which can wait. *Time*: 30 minutes.
#
# ## Two runs
#
# A *recipe* is everything that decides a training. Here are two that differ in one thing: the first
# has no brakes, the second has a penalty on large weights. Both see just 2,500 images, because
# trouble shows best when data are short. A fifth of these is held back for validation, and looked
# at after each epoch.

# %%
from dataclasses import asdict

import numpy as np

from tinygrad_mnist import evaluation, nn
from tinygrad_mnist.data import load_mnist
from tinygrad_mnist.evaluation import figures, plots
from tinygrad_mnist.training import Recipe, train

images, labels = load_mnist()
held_out, held_out_labels = images[-5000:], labels[-5000:]

plain = Recipe.load("default").changed(
    [
        "epochs=40",
        "dropout=0.0",
        "weight_decay=0.0",
        "schedule=constant",
        "lr=0.05",
        "batch_size=32",
        "validation=0.2",
    ]
)
runs = {
    "no brakes": train(plain, images[:2500], labels[:2500]),
    "with L2": train(
        plain.changed(["weight_decay=0.001"]), images[:2500], labels[:2500]
    ),
}
classifiers = {name: nn.Classifier(run.model) for name, run in runs.items()}
for name, classifier in classifiers.items():
    found = evaluation.evaluate(classifier, held_out, held_out_labels)
    print(
        f"{name:10} {found['accuracy']:.1%} right, "
        f"cross-entropy {found['cross_entropy']:.3f}"
    )

# %% [markdown]
# ## Curves
#
# One number per epoch says little, two curves say a lot:

# %%
#| At the head. Four curves of the loss over 40 epochs. In training, the loss
#| falls to near 0 without brakes, and less far with L2. In validation, it falls
#| at first, and then rises again without brakes, while with L2 it stays low.
losses = {}
for name, run in runs.items():
    losses[f"{name}, training"] = [epoch.loss for epoch in run.history]
    losses[f"{name}, validation"] = [
        epoch.validation_loss for epoch in run.history
    ]
plots.curves(losses, xlabel="epoch", ylim=(0, 0.7))

# %% [markdown]
# Both training losses go to 0, or nearly: the networks know their 2,000 training images by heart.
# The validation losses part: without brakes the loss falls, turns, and rises again.
#
# How to read such curves:
#
# | training loss | validation loss | it is | do |
# |---|---|---|---|
# | high, flat | high, flat | stuck: rate too small or large, saturation | look at gradients, rate |
# | falling | falling | not done | more epochs |
# | low | rising | *overfitting* | more data, dropout, L2, stop earlier |
#
# The report of a run shows its accuracy, too. This is the first run:

# %%
#| Loss, accuracy and learning rate over the epochs of the run without brakes.
#| The training loss falls to near 0 and the training accuracy reaches 100 %.
#| The validation loss turns and rises, and the validation accuracy stays level
#| below. The learning rate is constant.
history = [asdict(epoch) for epoch in runs["no brakes"].history]
figures.training_curves(history, runs["no brakes"].kept_epoch)

# %% [markdown]
# While the validation loss rises, the accuracy hardly changes. How can a network get worse with the
# same number of mistakes? It grows surer of those it makes. We will see that again.
#
# ## Confusion
#
# From here on we look at the 5,000 images that neither run has seen. Each row is a digit, each
# column what the network read it as:

# %%
#| A table of ten rows, the digits, and ten columns, what they were read as. The
#| large counts on the diagonal are pale blue. Beside it, mistakes are orange,
#| darker where there are more of them.
probabilities = {
    name: evaluation.predict(c, held_out) for name, c in classifiers.items()
}
read_as = probabilities["no brakes"].argmax(axis=1)
matrix = evaluation.confusion_matrix(read_as, held_out_labels)
figures.confusion(matrix)

# %% [markdown]
# The diagonal is right. Look for large numbers beside it, and look twice: do they come in pairs, 4
# for 9 and 9 for 4, or in one direction only? *Recall* is the diagonal divided by its row: how many
# of the sevens were found. *Precision* is the diagonal divided by its column: how many of those
# called seven are one.

# %%
report = evaluation.classification_report(matrix)
for row in sorted(report["per_class"], key=lambda row: row["f1"])[:3]:
    print(
        f"{row['class']}: precision {row['precision']:.1%}, "
        f"recall {row['recall']:.1%} of {row['support']} images"
    )

# %% [markdown]
# These are the three digits that it finds hardest.
#
# ## Does it know what it does not know?
#
# Of all answers given with 80 % confidence, 80 % should be right. We sort the answers by
# confidence, and see:

# %%
#| Accuracy over confidence, as bars for each range of confidence, with a dashed
#| line where both are equal. Most bars end below the line. The panel beneath
#| shows that by far the most answers are in the last range, near 100 %.
figures.reliability_diagram(
    evaluation.reliability(probabilities["no brakes"], held_out_labels)
)

# %% [markdown]
# Points below the dashed line are *overconfident*. That is the rising validation loss again, seen
# from another side. The mean distance from the line, weighted by the number of answers, is the
# *expected calibration error*:

# %%
for name, p in probabilities.items():
    error = evaluation.expected_calibration_error(
        evaluation.reliability(p, held_out_labels)
    )
    right = (p.argmax(axis=1) == held_out_labels).mean()
    sure = p.max(axis=1).mean()
    print(
        f"{name:10} is {sure:.1%} sure on average, "
        f"and right in {right:.1%}; ECE {error:.1%}"
    )

# %% [markdown]
# The penalty has hardly changed how often the network is right. It has changed how far you can
# trust its confidence.

# %% [markdown]
# ## Mistakes
#
# Statistics say how many. Pictures say why. Here are the mistakes of which the network was surest.
# In each, ask whether you would have known.

# %%
#| The mistakes that the network was surest of: images of digits, with the
#| label, the answer and its probability under each.
rows = evaluation.most_confident_mistakes(
    probabilities["no brakes"], held_out_labels, count=10
)
confidence = probabilities["no brakes"][rows].max(axis=1)
figures.mistakes_grid(
    held_out[rows], held_out_labels[rows], read_as[rows], confidence
)

# %% [markdown]
# Some are badly written, and no network will read them. Some are perfectly clear, and those are
# worth your time. What do they have in common? Would more such images, or distorted ones, help?
#
# ## Where it looks
#
# Saliency is the slope of the winning logit with respect to each pixel: where a little more ink
# would matter.

# %%
#| One image of each digit, and beneath it a picture of how strongly each pixel
#| moves the answer. The bright pixels lie on the strokes and in the gaps near
#| them.
figures.saliency_grid(
    evaluation.first_of_each_class(
        classifiers["with L2"], held_out, held_out_labels
    )
)

# %% [markdown]
# Bright is where a change would count, for or against, not where there is ink. And it is a slope,
# for this image and for *small* changes. It does not say why the network chose this digit.
#
# And these are the first weights. Do they look like strokes, or like noise?

# %%
#| Two rows of five pictures: the strongest hidden units of both runs, as images
#| of their weights. Without brakes, strong speckles cover the picture. With L2,
#| they are paler and smoother.
units = []
for run in runs.values():
    weights = run.model[0].weight.data
    strongest = np.linalg.norm(weights, axis=0).argsort()[::-1][:5]
    units += [*weights.T[strongest]]
titles = [name for name in runs for _ in range(5)]
plots.images(units, titles, columns=5, signed=True, limit=0.3)

# %% [markdown]
# `tinygrad-mnist train` makes all these figures for you, and puts them into the `report.html` of
# the run.
#
# ## Exercises

# %% [markdown] exercise="reading-a-run.precision-and-recall"
# ### Exercise 1: precision and recall
#
# From a confusion matrix, with the true digit down and what it was read as across, compute both for
# one digit.


# %% tags=["stub"]
def precision_and_recall(matrix, digit):
    return None  # your turn: two numbers


# %% [markdown] tags=["hint"]
# Both have the same numerator: the images that are this digit and were read as it. They differ in
# what it is divided by.

# %% [markdown] tags=["hint"]
# Precision: of all that were *called* this digit. They are in a column, `matrix[:, digit]`.


# %% tags=["check"]
def check(precision_and_recall):
    draw = np.random.default_rng(0)
    truth, said = draw.integers(0, 10, 500), draw.integers(0, 10, 500)
    counts = evaluation.confusion_matrix(said, truth)
    for digit in (3, 8):
        found = precision_and_recall(counts, digit)
        assert found is not None, "Nothing was returned: return two numbers."
        assert np.shape(found) == (2,), "Return two numbers: precision, recall."
        precision, recall = (
            (truth[said == digit] == digit).mean(),
            (said[truth == digit] == digit).mean(),
        )
        hits = counts[digit, digit]
        for wrong, sentence in (
            (
                (recall, precision),
                "The two are swapped: precision divides by the column.",
            ),
            (
                (recall, recall),
                "That is recall twice: for precision, divide by the column.",
            ),
            (
                (precision, precision),
                "That is precision twice: for recall, divide by the row.",
            ),
            (
                (hits / 500,) * 2,
                "Divide by the images of one column or row, not by all images.",
            ),
            ((1 / precision, 1 / recall), "Upside down: a share is at most 1."),
        ):
            assert not np.allclose(found, wrong), sentence
        assert np.isclose(found[0], precision), (
            f"Of those called {digit}, how many are one?"
        )
        assert np.isclose(found[1], recall), (
            f"Of those that are {digit}, how many were found?"
        )


# %% tags=["solution"]
def precision_and_recall(matrix, digit):
    hits = matrix[digit, digit]
    return hits / matrix[:, digit].sum(), hits / matrix[digit].sum()


# %% tags=["misconception"]
# The two are swapped: precision divides by the column.
def precision_and_recall(matrix, digit):
    hits = matrix[digit, digit]
    return hits / matrix[digit].sum(), hits / matrix[:, digit].sum()


# %% tags=["misconception"]
# That is recall twice: for precision, divide by the column.
def precision_and_recall(matrix, digit):
    share = matrix[digit, digit] / matrix[digit].sum()
    return share, share


# %% tags=["misconception"]
# Divide by the images of one column or row, not by all images.
def precision_and_recall(matrix, digit):
    share = matrix[digit, digit] / matrix.sum()
    return share, share


# %% tags=["misconception"]
# Upside down: a share is at most 1.
def precision_and_recall(matrix, digit):
    hits = matrix[digit, digit]
    return matrix[:, digit].sum() / hits, matrix[digit].sum() / hits


# %% [markdown] exercise="reading-a-run.calibration-error"
# ### Exercise 2: the expected calibration error
#
# Write it: for each of 15 bins of equal width, take the answers whose confidence lies in it, and
# average the gap |accuracy − mean confidence| over bins, weighted by their number of answers. The
# upper edge belongs to a bin, the lower does not.


# %% tags=["stub"]
def calibration_error(confidence, right, bins=15):
    return None  # your turn: a number


# %% [markdown] tags=["hint"]
# Bin number `n` reaches from `n / bins` to `(n + 1) / bins`. Two comparisons, joined with `&`, say
# which answers lie in it.

# %% [markdown] tags=["hint"]
# Of the answers in a bin: how many are they, `right[here].mean()`, `confidence[here].mean()`. Pass
# over empty bins, which have no mean. Divide by the number of all answers at the end.


# %% tags=["check"]
def check(calibration_error):
    # four bins, by hand: a gap of 0.75 for two answers, none, 0.75 for one, 0.45 for two
    confidence = np.array([0.25, 0.25, 0.75, 0.9, 1.0])
    right = np.array([True, True, False, True, False])
    found = calibration_error(confidence, right, 4)
    assert found is not None, "Nothing was returned: return a number."
    for wrong, sentence in (
        (0.65, "Each bin counts the same here: weight it by its answers."),
        (
            0.03,
            "Gaps of opposite sign cancel: take the absolute value in each bin.",
        ),
        (
            -0.03,
            "Gaps of opposite sign cancel: take the absolute value in each bin.",
        ),
        (
            0.67,
            "That is the gap of each answer. Of 4 bins, as here, take both means, then the gap.",
        ),
        (0.43, "The upper edge belongs to a bin: use <= there, and > below."),
        (
            3.15,
            "Divide by the number of answers: the weights should add up to 1.",
        ),
    ):
        assert not np.isclose(found, wrong), sentence
    assert np.isclose(found, 0.63), (
        f"A small case by hand gives 0.6300, not {found:.4f}."
    )
    for p in probabilities.values():
        confidence, right = (
            p.max(axis=1).astype(float),
            p.argmax(axis=1) == held_out_labels,
        )
        found = calibration_error(confidence, right)
        expected = evaluation.expected_calibration_error(
            evaluation.reliability(p, held_out_labels)
        )
        assert np.isclose(found, expected, atol=1e-9), (
            f"Here it should be {expected:.4f}, not {found:.4f}."
        )


# %% tags=["solution"]
def calibration_error(confidence, right, bins=15):
    total = 0.0
    for n in range(bins):
        here = (confidence > n / bins) & (confidence <= (n + 1) / bins)
        if here.any():
            total += here.sum() * abs(
                right[here].mean() - confidence[here].mean()
            )
    return total / len(confidence)


# %% tags=["misconception"]
# Each bin counts the same here: weight it by its answers.
def calibration_error(confidence, right, bins=15):
    gaps = []
    for n in range(bins):
        here = (confidence > n / bins) & (confidence <= (n + 1) / bins)
        if here.any():
            gaps.append(abs(right[here].mean() - confidence[here].mean()))
    return np.mean(gaps)


# %% tags=["misconception"]
# Gaps of opposite sign cancel: take the absolute value in each bin.
def calibration_error(confidence, right, bins=15):
    total = 0.0
    for n in range(bins):
        here = (confidence > n / bins) & (confidence <= (n + 1) / bins)
        if here.any():
            total += here.sum() * (right[here].mean() - confidence[here].mean())
    return abs(total) / len(confidence)


# %% tags=["misconception"]
# That is the gap of each answer. Of 4 bins, as here, take both means, then the gap.
def calibration_error(confidence, right, bins=15):
    total = 0.0
    for n in range(bins):
        here = (confidence > n / bins) & (confidence <= (n + 1) / bins)
        total += abs(right[here] - confidence[here]).sum()
    return total / len(confidence)


# %% tags=["misconception"]
# The upper edge belongs to a bin: use <= there, and > below.
def calibration_error(confidence, right, bins=15):
    total = 0.0
    for n in range(bins):
        here = (confidence >= n / bins) & (confidence < (n + 1) / bins)
        if here.any():
            total += here.sum() * abs(
                right[here].mean() - confidence[here].mean()
            )
    return total / len(confidence)


# %% tags=["misconception"]
# Divide by the number of answers: the weights should add up to 1.
def calibration_error(confidence, right, bins=15):
    total = 0.0
    for n in range(bins):
        here = (confidence > n / bins) & (confidence <= (n + 1) / bins)
        if here.any():
            total += here.sum() * abs(
                right[here].mean() - confidence[here].mean()
            )
    return total
