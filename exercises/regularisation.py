# %% [markdown]
# # Exercises: [regularisation](../derivations/regularisation.md)
#
# *Time*: about 20 minutes.
#
# Two small computations, two functions, and the mistake that dropout
# invites.

# %%
import numpy as np

# %% [markdown] exercise="regularisation.forgetting"
# ### Exercise 1: a weight that nobody needs
#
# A weight $w_0 = 2$ gets the gradient 0 from the loss. With $\eta = 0.5$
# and $\lambda = 0.1$, where is it after one step and after two? And what
# does the penalty (12.1) add to the *loss* at the start, if it is the only
# weight?

# %% tags=["stub"]
w1 = ...
w2 = ...
penalty = ...

# %% [markdown] tags=["hint"]
# (12.5): each step multiplies by $1 - \eta\lambda$.


# %% tags=["check"]
def check(w1, w2, penalty):
    assert not np.isclose(w1, 1.8), (
        "The pull λ w is part of the gradient, so it is multiplied by the "
        "learning rate, too."
    )
    assert np.isclose(w1, 1.9), "A step multiplies by 1 - 0.5 · 0.1."
    assert not np.isclose(w2, 1.8), (
        "The second step pulls at what is left, 1.9, and so by a little "
        "less."
    )
    assert np.isclose(w2, 2 * 0.95**2), (
        "The second step multiplies by 0.95 again."
    )
    assert not np.isclose(penalty, 0.4), "The half of (12.1) is missing."
    assert np.isclose(penalty, 0.2), (
        "By (12.1) it is half of 0.1, times 2²."
    )


# %% tags=["solution"]
w1 = 1.9  # 2 · 0.95
w2 = 1.805  # 2 · 0.95²
penalty = 0.2  # 0.05 · 4

# %% tags=["misconception"]
# The pull λ w is part of the gradient, so it is multiplied by the learning
# rate, too.
w1, w2, penalty = 1.8, 1.62, 0.2

# %% tags=["misconception"]
# The second step pulls at what is left, 1.9, and so by a little less.
w1, w2, penalty = 1.9, 1.8, 0.2

# %% tags=["misconception"]
# The half of (12.1) is missing.
w1, w2, penalty = 1.9, 1.805, 0.4

# %% [markdown] exercise="regularisation.dropout"
# ### Exercise 2: dropout, on paper
#
# Four activations $x = (3, 1, -6, 2)$, with $p = \tfrac14$, and the mask
# $m = (1, 0, 1, 1)$. Compute $y$ by (12.6). Then $dy = (3, 3, 3, -6)$
# arrives: compute $dx$ by (12.9).

# %% tags=["stub"]
y = ...  # [..., ..., ..., ...]
dx = ...

# %% [markdown] tags=["hint"]
# What stays is divided by $1 - p = \tfrac34$.


# %% tags=["check"]
def check(y, dx):
    m, x, dy = (
        np.array([1, 0, 1, 1]),
        np.array([3, 1, -6, 2]),
        np.array([3, 3, 3, -6]),
    )
    assert np.shape(y) == (4,) == np.shape(dx), (
        "y and dx have four numbers each."
    )
    assert not np.allclose(y, m * x), (
        "Divide by 1 - p, or the next layer receives less in training "
        "than later."
    )
    assert not np.allclose(y, m * x * 4), (
        "You divided by p, the share that is dropped. Divide by the share "
        "that stays, 1 - p."
    )
    assert np.allclose(y, m * x / 0.75), "Divide what stays by 3/4."
    assert not np.allclose(dx, dy / 0.75), (
        "What was dropped did not take part, so its gradient is 0."
    )
    assert not np.allclose(dx, m * dy), (
        "The division is a part of the function, so it is a factor on the "
        "way back as well."
    )
    assert np.allclose(dx, m * dy / 0.75), (
        "Where the mask is 1, dy passes, divided by 3/4."
    )


# %% tags=["solution"]
y = [4, 0, -8, 8 / 3]  # divided by 3/4
dx = [4, 0, 4, -8]

# %% tags=["misconception"]
# Divide by 1 - p, or the next layer receives less in training than later.
y, dx = [3, 0, -6, 2], [3, 0, 3, -6]

# %% tags=["misconception"]
# You divided by p, the share that is dropped. Divide by the share that
# stays, 1 - p.
y, dx = [12, 0, -24, 8], [12, 0, 12, -24]

# %% tags=["misconception"]
# What was dropped did not take part, so its gradient is 0.
y, dx = [4, 0, -8, 8 / 3], [4, 4, 4, -8]

# %% tags=["misconception"]
# The division is a part of the function, so it is a factor on the way back
# as well.
y, dx = [4, 0, -8, 8 / 3], [3, 0, 3, -6]

# %% [markdown] exercise="regularisation.lasso"
# ### Exercise 3: another penalty
#
# An *L1* penalty adds $\lambda$ times the sum of all $|W_{ij}|$ to the
# loss. Derive what it adds to $dW$, and write it as code. At $W_{ij} = 0$,
# where there is no derivative, return 0.


# %% tags=["stub"]
def pull(W, lam):
    return None  # your turn


# %% [markdown] tags=["hint"]
# The derivative of $|w|$ is 1 for positive $w$ and $-1$ for negative $w$.

# %% [markdown] tags=["hint"]
# `np.sign` gives just that, with 0 at 0.


# %% tags=["check"]
def check(pull):
    W = np.array([[2.0, -0.5, 0.0], [-3.0, 0.25, 4.0]])
    found = pull(W, 0.3)
    assert np.shape(found) == (2, 3), (
        f"It has the shape of W, (2, 3), not {np.shape(found)}."
    )
    assert not np.allclose(found, 0.3 * W), (
        "That is the pull of the L2 penalty, which grows with the weight. "
        "That of L1 does not."
    )
    assert not np.allclose(found, 0.3 * abs(W)), (
        "That is the penalty itself, entry by entry. Its slope is λ or -λ."
    )
    assert not np.allclose(found, 0.3 * np.sign(W).sum()), (
        "Each weight moves its own term of the sum only, so nothing is "
        "added up."
    )
    assert np.allclose(found, [[0.3, -0.3, 0], [-0.3, 0.3, 0.3]]), (
        "It is λ times the sign of W."
    )


# %% tags=["solution"]
def pull(W, lam):
    return lam * np.sign(W)


# %% tags=["misconception"]
# That is the pull of the L2 penalty, which grows with the weight. That of
# L1 does not.
def pull(W, lam):
    return lam * W


# %% tags=["misconception"]
# That is the penalty itself, entry by entry. Its slope is λ or -λ.
def pull(W, lam):
    return lam * np.abs(W)


# %% tags=["misconception"]
# Each weight moves its own term of the sum only, so nothing is added up.
def pull(W, lam):
    return lam * np.sign(W).sum() * np.ones_like(W)


# %% [markdown] exercise="regularisation.new-mask"
# ### Exercise 4: what is wrong here?
#
# In its forward pass a layer with dropout computes `y = x * mask` with
#
# ```python
# mask = (rng.random(x.shape) >= p) / (1 - p)
# ```
#
# and keeps `mask`. Below is its backward step. Its gradients are wrong in
# every single step, although their mean over many masks is right. Fix it.


# %% tags=["stub"]
def dropout_backward(dy, mask, p, rng):
    mask = (rng.random(dy.shape) >= p) / (1 - p)
    return dy * mask


# %% [markdown] tags=["hint"]
# Which units took part in the forward pass? And which ones learn?

# %% [markdown] tags=["hint"]
# For the backward pass the mask is a constant: the one of the forward pass.


# %% tags=["check"]
def check(dropout_backward):
    rng = np.random.default_rng(1)
    dy, mask = rng.normal(size=(40, 5)), (rng.random((40, 5)) >= 0.5) / 0.5
    dx = dropout_backward(dy, mask, 0.5, rng)
    assert np.shape(dx) == (40, 5), (
        f"dx has the shape of dy, not {np.shape(dx)}."
    )
    assert not np.allclose(dx, dy), (
        "Now everything passes, also to units that were dropped."
    )
    assert not np.allclose(dx, dy * mask / 0.5), (
        "The mask holds the division by 1 - p already: do not divide again."
    )
    assert not np.allclose(dx, dy * (mask > 0)), (
        "The right units learn now, but the division by 1 - p, which is "
        "in the mask, got lost."
    )
    assert np.allclose(dx, dy * mask), (
        "Some units that were dropped receive a gradient, or some "
        "others receive none."
    )


# %% tags=["solution"]
def dropout_backward(dy, mask, p, rng):
    # that of the forward pass: no new one
    return dy * mask


# %% tags=["misconception"]
# Now everything passes, also to units that were dropped.
def dropout_backward(dy, mask, p, rng):
    return dy


# %% tags=["misconception"]
# The mask holds the division by 1 - p already: do not divide again.
def dropout_backward(dy, mask, p, rng):
    return dy * mask / (1 - p)


# %% tags=["misconception"]
# The right units learn now, but the division by 1 - p, which is in the
# mask, got lost.
def dropout_backward(dy, mask, p, rng):
    return dy * (mask > 0)


# %% [markdown] exercise="regularisation.early-stopping"
# ### Exercise 5: when to stop
#
# You have the loss on held-out images after each epoch, in a list. Training
# stops as soon as `patience` epochs in a row have brought no new best.
# Return two numbers: how many epochs were trained, and the index of the
# epoch whose weights are kept.


# %% tags=["stub"]
def early_stopping(losses, patience):
    return None, None  # your turn


# %% [markdown] tags=["hint"]
# Go through the list with `enumerate`, and remember the index of the best
# loss so far.

# %% [markdown] tags=["hint"]
# Stop when `epoch - best == patience`. If that never happens, all epochs
# were trained; the best one is kept all the same.


# %% tags=["check"]
def check(early_stopping):
    losses = [5.0, 3.0, 2.0, 2.5, 2.1, 2.2, 1.0]
    found = [tuple(early_stopping(losses, n)) for n in (1, 3, 4, 9)]
    assert (None, None) not in found, "Return two numbers."
    assert found[1] != (6, 5), (
        "Go back to the weights that were best, and do not keep the last "
        "ones."
    )
    assert found[0] != (5, 2), (
        "That is one epoch too many: stop as soon as the patience is used "
        "up."
    )
    assert found[1] != (7, 6), (
        "An epoch counts as better only if it beats the best so far, not "
        "the one before it."
    )
    assert found[0] == (4, 2), (
        "Patience 1 stops after the fourth epoch, and keeps index 2."
    )
    assert found[1] == (6, 2), (
        "Patience 3 stops after three epochs without a new best."
    )
    assert found[2] == (7, 6) == found[3], (
        "With more patience the last epoch is a new best."
    )
    falls_and_rises = tuple(early_stopping([3.0, 2.0, 4.0], 5))
    assert falls_and_rises == (3, 1), (
        "At the last epoch the best weights are kept as well."
    )
    assert tuple(early_stopping([2.0, 2.0, 1.0], 1)) == (2, 0), (
        "An equal loss is no new best."
    )


# %% tags=["solution"]
def early_stopping(losses, patience):
    best = 0
    for epoch, loss in enumerate(losses):
        if loss < losses[best]:
            best = epoch
        if epoch - best == patience:
            return epoch + 1, best
    return len(losses), best


# %% tags=["misconception"]
# Go back to the weights that were best, and do not keep the last ones.
def early_stopping(losses, patience):
    best = 0
    for epoch, loss in enumerate(losses):
        if loss < losses[best]:
            best = epoch
        if epoch - best == patience:
            return epoch + 1, epoch
    return len(losses), best


# %% tags=["misconception"]
# An epoch counts as better only if it beats the best so far, not the one
# before it.
def early_stopping(losses, patience):
    best, waited = 0, 0
    for epoch, loss in enumerate(losses):
        waited = 0 if epoch == 0 or loss < losses[epoch - 1] else waited + 1
        best = epoch if loss < losses[best] else best
        if waited == patience:
            return epoch + 1, best
    return len(losses), best


# %% tags=["misconception"]
# That is one epoch too many: stop as soon as the patience is used up.
def early_stopping(losses, patience):
    best = 0
    for epoch, loss in enumerate(losses):
        if loss < losses[best]:
            best = epoch
        if epoch - best > patience:
            return epoch + 1, best
    return len(losses), best
