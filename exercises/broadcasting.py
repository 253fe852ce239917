# %% [markdown]
# # Exercises: [broadcasting](../derivations/broadcasting.md)
#
# *Time*: about 30 minutes.
#
# Draw the shapes one below the other, aligned on the right; nearly every
# mistake here is seen in such a drawing.

# %%
import numpy as np

# %% [markdown] exercise="broadcasting.shapes"
# ### Exercise 1: which shape comes out?
#
# Write the shape of each result as a tuple, or `None` where NumPy raises an
# error.

# %% tags=["stub"]
first = ...  # (4, 3) + (3,)
second = ...  # (4, 1) * (3,)
third = ...  # (2, 3) + (2,)
fourth = ...  # (5, 1, 3) * (4, 1)

# %% [markdown] tags=["hint"]
# Fill the shorter shape up with 1s on the *left*.

# %% [markdown] tags=["hint"]
# $(4, 1)$ below $(5, 1, 3)$ becomes $(1, 4, 1)$. Now go column by column.


# %% tags=["check"]
def check(first, second, third, fourth):
    first, second, third, fourth = (
        tuple(shape) if isinstance(shape, list) else shape
        for shape in (first, second, third, fourth)
    )
    assert first == (4, 3), "The row is repeated four times."
    assert second != (4,), (
        "(3,) is filled up to (1, 3), a row. A column times a row gives a "
        "whole table."
    )
    assert second == (4, 3), (
        "The column is repeated as 3 columns, the row as 4 rows."
    )
    assert third != (2, 3), (
        "The 2 is aligned with the 3 on the right, not with the 2 on the "
        "left."
    )
    assert third is None, (
        "Aligned on the right, 3 stands above 2, and neither is 1."
    )
    assert fourth is not None, (
        "These fit: filled up to (1, 4, 1), each column has equal lengths "
        "or a 1."
    )
    assert fourth == (5, 4, 3), (
        "Fill (4, 1) up to (1, 4, 1), then go column by column."
    )


# %% tags=["solution"]
first = (4, 3)
# a column times a row is a table
second = (4, 3)
# 3 and 2 differ, and neither is 1
third = None
# (5, 1, 3) and (1, 4, 1)
fourth = (5, 4, 3)

# %% tags=["misconception"]
# (3,) is filled up to (1, 3), a row. A column times a row gives a whole
# table.
first = (4, 3)
second = (4,)
third = None
fourth = (5, 4, 3)

# %% tags=["misconception"]
# The 2 is aligned with the 3 on the right, not with the 2 on the left.
first = (4, 3)
second = (4, 3)
third = (2, 3)
fourth = (5, 4, 3)

# %% tags=["misconception"]
# These fit: filled up to (1, 4, 1), each column has equal lengths or a 1.
first = (4, 3)
second = (4, 3)
third = None
fourth = None

# %% [markdown] exercise="broadcasting.outer"
# ### Exercise 2: a column times a row
#
# Let $c = (2, 1)$ be a column, $r = (1, 0, -1)$ a row, and $P$ their
# product (8.7). The gradient that arrives is
#
# $dP = \begin{pmatrix} 1 & 2 & 3 \\ 0 & 1 & -1 \end{pmatrix}$
#
# Compute $dc$ and $dr$, each as a list.

# %% tags=["stub"]
dc = ...  # [..., ...]
dr = ...  # [..., ..., ...]

# %% [markdown] tags=["hint"]
# (8.8): each row of $dP$, weighted with $r$. (8.9): each column of $dP$,
# weighted with $c$.


# %% tags=["check"]
def check(dc, dr):
    c, r = np.array([[2], [1]]), np.array([[1, 0, -1]])
    dP = np.array([[1, 2, 3], [0, 1, -1]])
    dc, dr = np.ravel(dc), np.ravel(dr)
    assert (len(dc), len(dr)) == (2, 3), (
        "dc has the shape of c, and dr that of r."
    )
    assert not np.allclose(dc, [6, 0]), (
        "That is the rule of a sum. In a product each share is weighted "
        "with the other factor."
    )
    assert not np.allclose(dr, [1, 3, 2]), (
        "That is the rule of a sum. In a product each share is weighted "
        "with the other factor."
    )
    assert not np.allclose(dr, [1, 0, -4]), (
        "In dr each column is weighted with c, not with r: a product "
        "passes on the other factor."
    )
    assert not np.allclose(dc, [-1, 0.5]), (
        "That is half of dc: the shares are added up, not averaged."
    )
    assert np.allclose(dc, (dP * r).sum(axis=1)), (
        "dc adds up each row of dP, weighted with r."
    )
    assert np.allclose(dr, (dP * c).sum(axis=0)), (
        "dr adds up each column, weighted with c."
    )


# %% tags=["solution"]
# 1·1 + 2·0 + 3·(-1), and 0·1 + 1·0 + (-1)·(-1)
dc = [-2, 1]
# 2·1 + 1·0, 2·2 + 1·1, 2·3 + 1·(-1)
dr = [2, 5, 5]

# %% tags=["misconception"]
# That is the rule of a sum. In a product each share is weighted with the
# other factor.
dc, dr = [6, 0], [1, 3, 2]

# %% tags=["misconception"]
# In dr each column is weighted with c, not with r: a product passes on the
# other factor.
dc, dr = [-2, 1], [1, 0, -4]

# %% tags=["misconception"]
# That is half of dc: the shares are added up, not averaged.
dc, dr = [-1, 0.5], [2, 5, 5]

# %% [markdown] exercise="broadcasting.scale-and-shift"
# ### Exercise 3: scale and shift
#
# A layer gives every feature its own scale and shift:
# $Y = X \odot \gamma + \beta$, where $X$ is $B \times m$, and $\gamma$ and
# $\beta$ are rows of shape $(1, m)$. Write its backward step.


# %% tags=["stub"]
def backward(dY, X, gamma):
    dX, dgamma, dbeta = None, None, None  # your turn
    return dX, dgamma, dbeta


# %% [markdown] tags=["hint"]
# Forget the repeating at first: the product passes $dY \odot \gamma$ to
# $X$, and $dY \odot X$ to $\gamma$. Which of the shapes do not fit?

# %% [markdown] tags=["hint"]
# $\gamma$ was repeated $B$ times, so its shares are added up:
# `.sum(axis=0, keepdims=True)`.


# %% tags=["check"]
def check(backward):
    draw = np.random.default_rng(1)
    dY, X, gamma = (draw.normal(size=s) for s in ((5, 3), (5, 3), (1, 3)))
    found = backward(dY, X, gamma)
    dX, dgamma, dbeta = found
    assert np.shape(dX) == (5, 3), (
        f"dX has the shape of X, (5, 3), not {np.shape(dX)}."
    )
    assert np.shape(dgamma) != (5, 3), (
        "dgamma has a row per example, but they all used the same gamma: "
        "add up the rows."
    )
    for name, value in ("dgamma", dgamma), ("dbeta", dbeta):
        assert np.shape(value) == (1, 3), (
            f"{name} is a row, (1, 3), not {np.shape(value)}."
        )
    assert not np.allclose(dX, dY), (
        "dX has lost the scale: each feature of X moves Y by gamma times "
        "as much."
    )
    assert not np.allclose(dgamma, dY.sum(axis=0)), (
        "That is the gradient of the shift. The scale multiplies X, so X "
        "is a factor."
    )
    assert not np.allclose(dbeta, dY.mean(axis=0)), (
        "dbeta is a mean. The adjoint of repeating is adding up."
    )
    assert np.allclose(
        dX,
        [[g * s for g, s in zip(row, gamma[0], strict=True)] for row in dY],
    ), "Each column of dX is dY times the scale of its feature."
    assert np.allclose(
        dgamma, sum(g * x for g, x in zip(dY, X, strict=True))
    ), "dgamma adds up dY times X over the examples."
    assert np.allclose(dbeta, sum(dY)), (
        "dbeta adds up dY over the examples."
    )


# %% tags=["solution"]
def backward(dY, X, gamma):
    dX = dY * gamma
    dgamma = (dY * X).sum(axis=0, keepdims=True)
    dbeta = dY.sum(axis=0, keepdims=True)
    return dX, dgamma, dbeta


# %% tags=["misconception"]
# dgamma has a row per example, but they all used the same gamma: add up the
# rows.
def backward(dY, X, gamma):
    return dY * gamma, dY * X, dY.sum(axis=0, keepdims=True)


# %% tags=["misconception"]
# dX has lost the scale: each feature of X moves Y by gamma times as much.
def backward(dY, X, gamma):
    return (
        dY,
        (dY * X).sum(axis=0, keepdims=True),
        dY.sum(axis=0, keepdims=True),
    )


# %% tags=["misconception"]
# That is the gradient of the shift. The scale multiplies X, so X is a
# factor.
def backward(dY, X, gamma):
    total = dY.sum(axis=0, keepdims=True)
    return dY * gamma, total, total


# %% tags=["misconception"]
# dbeta is a mean. The adjoint of repeating is adding up.
def backward(dY, X, gamma):
    dgamma = (dY * X).sum(axis=0, keepdims=True)
    return dY * gamma, dgamma, dY.mean(axis=0, keepdims=True)


# %% [markdown] exercise="broadcasting.mean"
# ### Exercise 4: back through a mean
#
# The mean of each row is $s = X$`.mean(axis=1, keepdims=True)`, with shape
# $(B, 1)$. Given $ds$ of that shape, write $dX$.


# %% tags=["stub"]
def mean_backward(ds, X):
    return None  # your turn: the shape of X


# %% [markdown] tags=["hint"]
# For a sum the answer is (8.6): repeat. What does a mean do besides?

# %% [markdown] tags=["hint"]
# `X.shape[1]` is the number of entries in a row. Multiply by
# `np.ones_like(X)` to repeat.


# %% tags=["check"]
def check(mean_backward):
    draw = np.random.default_rng(2)
    X, ds = draw.normal(size=(4, 3)), draw.normal(size=(4, 1))
    dX = mean_backward(ds, X)
    assert np.shape(dX) != (4, 1), (
        "One number per row is left, but each of the entries moved the "
        "mean: repeat it."
    )
    assert np.shape(dX) == (4, 3), (
        f"dX has the shape of X, (4, 3), not {np.shape(dX)}."
    )
    assert not np.allclose(dX, ds), (
        "That is the way back through a sum. An entry moves a mean of m "
        "numbers by 1/m."
    )
    assert not np.allclose(dX, ds / 4), (
        "Divide by the number of entries in a row: each mean is one over "
        "a row."
    )
    assert not np.allclose(dX, ds * X), (
        "X itself is no factor: a mean is linear, and its slope the same "
        "everywhere."
    )
    for i in range(4):
        for j in range(3):
            e = np.zeros((4, 3))
            e[i, j] = 1
            slope = (
                ds * ((X + e).mean(axis=1) - X.mean(axis=1))[:, None]
            ).sum()
            assert np.isclose(dX[i, j], slope), (
                "Moving an entry of X gives another slope."
            )


# %% tags=["solution"]
def mean_backward(ds, X):
    return ds * np.ones_like(X) / X.shape[1]


# %% tags=["misconception"]
# One number per row is left, but each of the entries moved the mean: repeat
# it.
def mean_backward(ds, X):
    return ds / X.shape[1]


# %% tags=["misconception"]
# That is the way back through a sum. An entry moves a mean of m numbers by
# 1/m.
def mean_backward(ds, X):
    return ds * np.ones_like(X)


# %% tags=["misconception"]
# Divide by the number of entries in a row: each mean is one over a row.
def mean_backward(ds, X):
    return ds * np.ones_like(X) / len(X)


# %% tags=["misconception"]
# X itself is no factor: a mean is linear, and its slope the same
# everywhere.
def mean_backward(ds, X):
    return ds * X


# %% [markdown] exercise="broadcasting.silent"
# ### Exercise 5: what is wrong here?
#
# A network predicts a temperature, and returns one number per example:
# `prediction` has shape $(B, 1)$. The targets come from a file with shape
# $(B,)$. The loss below raises no error and even gets smaller. But the
# network always predicts the mean temperature. What happens? Fix the
# function.


# %% tags=["stub"]
def loss(prediction, target):
    return ((prediction - target) ** 2).mean()


# %% [markdown] tags=["hint"]
# Which shape does `prediction - target` have? Draw the shapes one below the
# other.

# %% [markdown] tags=["hint"]
# $(B, 1)$ and $(B,)$ give $(B, B)$: each prediction is compared with every
# target. Bring both to the same shape first: `prediction[:, 0]`, or a
# `reshape`.


# %% tags=["check"]
def check(loss):
    draw = np.random.default_rng(3)
    prediction, target = draw.normal(size=(5, 1)), draw.normal(size=5)
    found, E = loss(prediction, target), prediction[:, 0] - target
    assert np.shape(found) == (), (
        f"The loss is one number, not of shape {np.shape(found)}."
    )
    assert not np.isclose(found, ((prediction - target) ** 2).mean()), (
        "The difference is still B × B: the transpose of a shape (B,) is "
        "(B,) again."
    )
    assert not np.isclose(found, (E**2).sum()), (
        "The shapes are right now, but that is the sum. Keep the mean."
    )
    assert not np.isclose(found, E.mean() ** 2), (
        "Square each difference before the mean, or errors of both signs "
        "cancel."
    )
    assert np.isclose(found, (E**2).mean()), (
        "It is not the mean of the B squares."
    )


# %% tags=["solution"]
def loss(prediction, target):
    # (B,) and (B,)
    return ((prediction[:, 0] - target) ** 2).mean()


# %% tags=["misconception"]
# The difference is still B × B: the transpose of a shape (B,) is (B,)
# again.
def loss(prediction, target):
    return ((prediction - target.T) ** 2).mean()


# %% tags=["misconception"]
# The shapes are right now, but that is the sum. Keep the mean.
def loss(prediction, target):
    return ((prediction[:, 0] - target) ** 2).sum()


# %% tags=["misconception"]
# Square each difference before the mean, or errors of both signs cancel.
def loss(prediction, target):
    return (prediction[:, 0] - target).mean() ** 2


# %% [markdown]
# ## Before you go on

# %% [markdown] exercise="broadcasting.self-1"
# **1.** What is the gradient of something that was repeated?
#
# - **a** the sum of the gradients of its copies
# - **b** the mean of the gradients of its copies
# - **c** the gradient of the first copy, since all are equal

# %% tags=["stub"]
answer = ...  # "a", "b" or "c"


# %% tags=["check"]
def check(answer):
    assert answer != "b", (
        "A mean would make each use count less, the more there are."
    )
    assert answer != "c", (
        "The copies are equal. What arrives at them is not."
    )
    assert answer == "a", "Answer with one of the letters."


# %% tags=["solution"]
# It was used several times, and shares of several uses are added.
answer = "a"

# %% tags=["misconception"]
# A mean would make each use count less, the more there are.
answer = "b"

# %% tags=["misconception"]
# The copies are equal. What arrives at them is not.
answer = "c"

# %% [markdown] exercise="broadcasting.self-2"
# **2.** You forget to add up, and subtract $dE$ from $b$ in a step. What
# happens?
#
# - **a** NumPy raises an error, because the shapes differ
# - **b** nothing bad: the update is broadcast, so $b$ stays a row
# - **c** $b$ becomes a matrix, without an error

# %% tags=["stub"]
answer = ...  # "a", "b" or "c"


# %% tags=["check"]
def check(answer):
    assert answer != "a", (
        "(m,) and (B, m) fit, by rule 1. That is what makes it treacherous."
    )
    assert answer != "b", (
        "It is b that is broadcast, to the larger shape. The result is "
        "larger than b."
    )
    assert answer == "c", "Answer with one of the letters."


# %% tags=["solution"]
# The row is repeated to the shape of dE, and the result is a matrix with
# one row per example.
answer = "c"

# %% tags=["misconception"]
# (m,) and (B, m) fit, by rule 1. That is what makes it treacherous.
answer = "a"

# %% tags=["misconception"]
# It is b that is broadcast, to the larger shape. The result is larger than
# b.
answer = "b"

# %% [markdown] exercise="broadcasting.self-3"
# **3.** What does `keepdims=True` change in
# `X.mean(axis=1, keepdims=True)`?
#
# - **a** the result has the shape of $X$
# - **b** the result is a column, $(B, 1)$, which is repeated along the rows
# - **c** nothing but the looks: $(B,)$ is subtracted in the same way

# %% tags=["stub"]
answer = ...  # "a", "b" or "c"


# %% tags=["check"]
def check(answer):
    assert answer != "a", (
        "Still one number per row: the axis is kept, with the length 1."
    )
    assert answer != "c", (
        "(B,) is aligned with the columns: an error, or a wrong result if "
        "B = m."
    )
    assert answer == "b", "Answer with one of the letters."


# %% tags=["solution"]
# Aligned on the right, the 1 meets the axis over which the mean was taken.
answer = "b"

# %% tags=["misconception"]
# Still one number per row: the axis is kept, with the length 1.
answer = "a"

# %% tags=["misconception"]
# (B,) is aligned with the columns: an error, or a wrong result if B = m.
answer = "c"
