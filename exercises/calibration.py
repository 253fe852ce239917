# %% [markdown]
# # Exercises: [calibration and saliency](../derivations/calibration.md)
#
# *Time*: about 25 minutes.
#
# Counting first, then one more backward pass.

# %%
import numpy as np

# %% [markdown] exercise="calibration.truth"
# ### Exercise 1: saying the truth
#
# A kind of picture belongs to the first class in 8 of 10 cases. The network
# says $p = 0.5$. What is the derivative (13.2) of its mean loss there? And
# which $p$ would be best?

# %% tags=["stub"]
slope = ...
best = ...

# %% [markdown] tags=["hint"]
# $q = 0.8$ is how often the class is right, $p = 0.5$ what the network
# says.


# %% tags=["check"]
def check(slope, best):
    assert not np.isclose(slope, 1.2), (
        "The sign is reversed: p is below q, so a larger p makes the loss "
        "smaller."
    )
    assert not np.isclose(slope, -0.3), "Divide by p (1 - p)."
    assert np.isclose(slope, -1.2), (
        "(13.2): 0.5 - 0.8, divided by 0.5 · 0.5."
    )
    assert not np.isclose(best, 1), (
        "To be certain costs too much in the 2 of 10 cases that are "
        "different."
    )
    assert np.isclose(best, 0.8), "The derivative is 0 where p = q."


# %% tags=["solution"]
# (0.5 - 0.8) / 0.25: the loss falls as p grows
slope = -1.2
best = 0.8

# %% tags=["misconception"]
# The sign is reversed: p is below q, so a larger p makes the loss smaller.
slope, best = 1.2, 0.8

# %% tags=["misconception"]
# Divide by p (1 - p).
slope, best = -0.3, 0.8

# %% tags=["misconception"]
# To be certain costs too much in the 2 of 10 cases that are different.
slope, best = -1.2, 1

# %% [markdown] exercise="calibration.ece"
# ### Exercise 2: two bins
#
# Of 40 answers, 10 are in a bin with the mean confidence 0.60, and 8 of
# these are right. The other 30 have the mean confidence 0.90, and 24 of
# them are right. Compute the expected calibration error (13.3).

# %% tags=["stub"]
ece = ...

# %% [markdown] tags=["hint"]
# $a_b$ is a share: 8 of 10 in the first bin. And in the second?

# %% [markdown] tags=["hint"]
# The gaps are 0.20 and 0.10. Weight each with its number of answers.


# %% tags=["check"]
def check(ece):
    assert not np.isclose(ece, 0.15), (
        "That is the plain mean of the gaps. A bin counts as often as it "
        "has answers."
    )
    assert not np.isclose(abs(ece), 0.025), (
        "Without the absolute value a bin that is too sure and one that "
        "is not cancel."
    )
    assert not np.isclose(ece, 5), (
        "Divide by the number of all answers: the error is a share."
    )
    assert np.isclose(ece, 0.125), (
        "Ten times 0.20 and thirty times 0.10, divided by 40."
    )


# %% tags=["solution"]
ece = 0.125  # (10 · 0.20 + 30 · 0.10) / 40

# %% tags=["misconception"]
# That is the plain mean of the gaps. A bin counts as often as it has
# answers.
ece = 0.15

# %% tags=["misconception"]
# Without the absolute value a bin that is too sure and one that is not
# cancel.
ece = -0.025

# %% tags=["misconception"]
# Divide by the number of all answers: the error is a share.
ece = 5

# %% [markdown] exercise="calibration.confidence"
# ### Exercise 3: what is wrong here?
#
# This is meant to return the confidence of each answer, and whether it is
# right; `P` has one row of probabilities per image. With it, every answer
# whose confidence is above one half turns out right, whatever the network,
# which is too good to be true. Fix it.


# %% tags=["stub"]
def answers(P, labels):
    confidence = P[np.arange(len(P)), labels]
    right = P.argmax(axis=1) == labels
    return confidence, right


# %% [markdown] tags=["hint"]
# What is the confidence of an *answer*? Does it depend on the label?


# %% tags=["check"]
def check(answers):
    P = np.array(
        [[0.7, 0.2, 0.1], [0.4, 0.5, 0.1], [0.2, 0.2, 0.6], [0.3, 0.4, 0.3]]
    )
    confidence, right = answers(P, np.array([0, 0, 2, 2]))
    assert np.shape(confidence) == (4,), (
        "There is one confidence per image."
    )
    assert not np.allclose(confidence, [0.7, 0.4, 0.6, 0.3]), (
        "That needs to know the label."
    )
    assert not np.allclose(confidence, [0.5, 0.1, 0.4, 0.1]), (
        "That is the lead over the second best class. The confidence is "
        "the probability itself."
    )
    assert not np.allclose(confidence, P.mean(axis=1)), (
        "The mean of a row is always 1/C. The confidence is the largest "
        "number in it."
    )
    assert np.allclose(confidence, [0.7, 0.5, 0.6, 0.4]), (
        "It is the largest of each row."
    )
    assert not np.all(right), (
        "Now every answer is right. Compare the chosen class with the "
        "label."
    )
    assert list(right) == [True, False, True, False], (
        "Right is an answer that equals its label."
    )


# %% tags=["solution"]
def answers(P, labels):
    # of the class that was chosen
    confidence = P.max(axis=1)
    right = P.argmax(axis=1) == labels
    return confidence, right


# %% tags=["misconception"]
# That is the lead over the second best class. The confidence is the
# probability itself.
def answers(P, labels):
    first_two = np.sort(P, axis=1)[:, -2:]
    return first_two[:, 1] - first_two[:, 0], P.argmax(axis=1) == labels


# %% tags=["misconception"]
# The mean of a row is always 1/C. The confidence is the largest number in
# it.
def answers(P, labels):
    return P.mean(axis=1), P.argmax(axis=1) == labels


# %% tags=["misconception"]
# Now every answer is right. Compare the chosen class with the label.
def answers(P, labels):
    return P.max(axis=1), P.argmax(axis=1) == P.argmax(axis=1)


# %% [markdown] exercise="calibration.bins"
# ### Exercise 4: the error, in code
#
# Write (13.3) for arrays: `confidence` and `right` of each answer, and $K$
# bins of equal width between 0 and 1. A confidence of exactly 1 belongs to
# the last bin.


# %% tags=["stub"]
def calibration_error(confidence, right, bins):
    return None  # your turn


# %% [markdown] tags=["hint"]
# The number of a bin is
# `np.minimum((confidence * bins).astype(int), bins - 1)`.

# %% [markdown] tags=["hint"]
# For each bin that is not empty: the absolute difference of the two means,
# times the number of its answers.


# %% tags=["check"]
def check(calibration_error):
    confidence = np.array([0.55, 0.58, 0.9, 0.95, 1.0, 1.0, 0.31, 0.7])
    right = np.array([1, 0, 1, 1, 0, 1, 0, 1], bool)

    def error(inside, weights=True):
        total = 0
        for b in range(5):
            chosen = inside(b)
            if chosen.any():
                gap = abs(right[chosen].mean() - confidence[chosen].mean())
                total += gap * (chosen.sum() if weights else 1)
        return total / (len(confidence) if weights else 4)

    whole = lambda b: np.minimum((confidence * 5).astype(int), 4) == b
    short = lambda b: (confidence >= b / 5) & (confidence < (b + 1) / 5)
    found = calibration_error(confidence, right, 5)
    assert found is not None, "Nothing was returned: return a number."
    assert np.isfinite(found), (
        "An empty bin has no mean: skip it, or the error is NaN."
    )
    assert not np.isclose(found, error(short)), (
        "The last bin has lost the answers of confidence 1, which are the "
        "surest of all."
    )
    assert not np.isclose(found, error(whole, weights=False)), (
        "The bins count alike here. Weight each gap with its number of "
        "answers."
    )
    assert not np.isclose(found, abs(right - confidence).mean()), (
        "A single answer is right or wrong, and no confidence fits it. "
        "Take means over bins first."
    )
    assert np.isclose(found, error(whole)), (
        f"Here the error is {error(whole):.4f}, not {found:.4f}."
    )


# %% tags=["solution"]
def calibration_error(confidence, right, bins):
    number, error = (
        np.minimum((confidence * bins).astype(int), bins - 1),
        0.0,
    )
    for b in range(bins):
        inside = number == b
        if inside.any():
            gap = right[inside].mean() - confidence[inside].mean()
            error += inside.sum() * abs(gap)
    return error / len(confidence)


# %% tags=["misconception"]
# An empty bin has no mean: skip it, or the error is NaN.
def calibration_error(confidence, right, bins):
    number, error = (
        np.minimum((confidence * bins).astype(int), bins - 1),
        0.0,
    )
    for b in range(bins):
        inside = number == b
        error += inside.sum() * abs(
            right[inside].mean() - confidence[inside].mean()
        )
    return error / len(confidence)


# %% tags=["misconception"]
# The last bin has lost the answers of confidence 1, which are the surest of
# all.
def calibration_error(confidence, right, bins):
    error = 0.0
    for b in range(bins):
        inside = (confidence >= b / bins) & (confidence < (b + 1) / bins)
        if inside.any():
            gap = right[inside].mean() - confidence[inside].mean()
            error += inside.sum() * abs(gap)
    return error / len(confidence)


# %% tags=["misconception"]
# The bins count alike here. Weight each gap with its number of answers.
def calibration_error(confidence, right, bins):
    number, gaps = np.minimum((confidence * bins).astype(int), bins - 1), []
    for b in set(number):
        inside = number == b
        gaps.append(abs(right[inside].mean() - confidence[inside].mean()))
    return sum(gaps) / len(gaps)


# %% tags=["misconception"]
# A single answer is right or wrong, and no confidence fits it. Take means
# over bins first.
def calibration_error(confidence, right, bins):
    return abs(right - confidence).mean()


# %% [markdown] exercise="calibration.saliency"
# ### Exercise 5: a saliency map
#
# Write (13.7): for one image `x` (1 row, $n$ columns) and the chosen class
# as a one-hot row `y`, return the saliency of every pixel, with the shape
# of `x`.


# %% tags=["stub"]
def saliency(x, y, W1, b1, W2):
    return None  # your turn


# %% [markdown] tags=["hint"]
# Forward to $A_1$ by (13.4). Then back: from `y` through $W_2$, through
# tanh, through $W_1$.

# %% [markdown] tags=["hint"]
# The slope of tanh is $1 - A_1^2$, and the size is `np.abs`. What $b_2$ is
# does not matter. Why?


# %% tags=["check"]
def check(saliency):
    draw, h = np.random.default_rng(1), 1e-6
    x, W1, b1 = (
        draw.normal(size=(1, 5)),
        draw.normal(size=(5, 4)),
        draw.normal(size=(1, 4)),
    )
    W2, y = draw.normal(size=(4, 3)), np.array([[0, 1, 0]])
    found, A1 = saliency(x, y, W1, b1, W2), np.tanh(x @ W1 + b1)
    assert np.shape(found) == (1, 5), (
        f"One number per pixel, (1, 5), not {np.shape(found)}."
    )
    slope = ((y @ W2.T) * (1 - A1**2)) @ W1.T
    assert not np.allclose(found, slope), (
        "Those are the slopes. The saliency is their size: how strongly, "
        "in whichever direction."
    )
    assert not np.allclose(found, abs(slope * x)), (
        "Do not multiply by the image: an empty pixel may matter, if ink "
        "there would."
    )
    assert not np.allclose(found, abs((y @ W2.T) @ W1.T)), (
        "The slope of tanh is missing, so it is the same map for every "
        "image."
    )
    P = np.exp(A1 @ W2) / np.exp(A1 @ W2).sum()
    assert not np.allclose(
        found, abs((((P - y) @ W2.T) * (1 - A1**2)) @ W1.T)
    ), (
        "That starts with the gradient of the loss. The question is about "
        "the logit: start with y."
    )
    for i in range(5):
        e = h * np.array([[float(i == k) for k in range(5)]])
        z = [np.tanh((x + s * e) @ W1 + b1) @ W2 for s in (1, -1)]
        right = abs((z[0] - z[1])[0, 1]) / (2 * h)
        assert np.isclose(found[0, i], right), (
            "Moving a pixel changes the logit by something else."
        )


# %% tags=["solution"]
def saliency(x, y, W1, b1, W2):
    A1 = np.tanh(x @ W1 + b1)
    return np.abs(((y @ W2.T) * (1 - A1**2)) @ W1.T)


# %% tags=["misconception"]
# Those are the slopes. The saliency is their size: how strongly, in
# whichever direction.
def saliency(x, y, W1, b1, W2):
    A1 = np.tanh(x @ W1 + b1)
    return ((y @ W2.T) * (1 - A1**2)) @ W1.T


# %% tags=["misconception"]
# Do not multiply by the image: an empty pixel may matter, if ink there
# would.
def saliency(x, y, W1, b1, W2):
    A1 = np.tanh(x @ W1 + b1)
    return np.abs((((y @ W2.T) * (1 - A1**2)) @ W1.T) * x)


# %% tags=["misconception"]
# The slope of tanh is missing, so it is the same map for every image.
def saliency(x, y, W1, b1, W2):
    return np.abs((y @ W2.T) @ W1.T)


# %% tags=["misconception"]
# That starts with the gradient of the loss. The question is about the
# logit: start with y.
def saliency(x, y, W1, b1, W2):
    A1 = np.tanh(x @ W1 + b1)
    E = np.exp(A1 @ W2)
    dz = E / E.sum() - y
    return np.abs(((dz @ W2.T) * (1 - A1**2)) @ W1.T)
