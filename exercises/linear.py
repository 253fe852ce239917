# %% [markdown]
# # Exercises: [the linear layer](../derivations/linear.md)
#
# *Time*: about 35 minutes.
#
# Begin with paper: small matrices, and rectangular ones, so that a wrong
# order or a forgotten transpose does not fit.

# %%
import numpy as np

# %% [markdown] exercise="linear.weights-and-bias"
# ### Exercise 1: the gradients of weights and bias
#
# Three examples with two features, one output:
#
# $X = \begin{pmatrix} 1 & 2 \\ 0 & 3 \\ 2 & -1 \end{pmatrix},\quad$
# $W = \begin{pmatrix} 2 \\ 1 \end{pmatrix},\quad$
# $dZ = \begin{pmatrix} 1 \\ -1 \\ 2 \end{pmatrix}$
#
# Compute $dW$ and $db$ by (2.4) and (2.6), each as a list.

# %% tags=["stub"]
dW = ...  # [[...], [...]]: the shape of W
db = ...  # [...]

# %% [markdown] tags=["hint"]
# $X^\top dZ$: the first entry of $dW$ is the first *column* of $X$ times
# $dZ$, entry by entry, added up.

# %% [markdown] tags=["hint"]
# For $db$, add up the column $dZ$.


# %% tags=["check"]
def check(dW, db):
    assert np.shape(dW) == (2, 1), (
        "dW has the shape of W: two rows, one column."
    )
    assert np.shape(db) == (1,), (
        "db has the shape of b: one number, in a list."
    )
    assert not np.allclose(dW, [[5 / 3], [-1]]), (
        "Do not divide by the batch: whatever mean the loss takes is "
        "already in dZ."
    )
    assert not np.allclose(db, [2 / 3]), (
        "b is used once per example, and the shares are added up, not "
        "averaged."
    )
    assert not np.allclose(db, [3]), (
        "3 counts the examples. Each counts with its own dZ: 1 - 1 + 2."
    )
    X, dZ = np.array([[1, 2], [0, 3], [2, -1]]), np.array([[1], [-1], [2]])
    assert np.allclose(dW, X.T @ dZ), (
        "Row k of dW is column k of X times dZ, added up."
    )
    assert np.allclose(db, dZ.sum(axis=0)), (
        "db is the sum of the column dZ."
    )


# %% tags=["solution"]
# 5 = 1·1 + 0·(-1) + 2·2, and -3 = 2·1 + 3·(-1) + (-1)·2
dW = [[5], [-3]]
db = [2]  # 1 - 1 + 2

# %% tags=["misconception"]
# Do not divide by the batch: whatever mean the loss takes is already in dZ.
dW, db = [[5 / 3], [-1]], [2]

# %% tags=["misconception"]
# b is used once per example, and the shares are added up, not averaged.
dW, db = [[5], [-3]], [2 / 3]

# %% tags=["misconception"]
# 3 counts the examples. Each counts with its own dZ: 1 - 1 + 2.
dW, db = [[5], [-3]], [3]

# %% [markdown] exercise="linear.input"
# ### Exercise 2: the gradient of the input
#
# The same layer, the same $dZ$. Compute $dX$ by (2.5).

# %% tags=["stub"]
dX = ...  # three rows of two numbers

# %% [markdown] tags=["hint"]
# $W^\top$ is a row of two numbers. Each row of $dX$ is that row, times one
# entry of $dZ$.


# %% tags=["check"]
def check(dX):
    W, dZ = np.array([[2], [1]]), np.array([[1], [-1], [2]])
    X = np.array([[1, 2], [0, 3], [2, -1]])
    assert np.shape(dX) != (2, 3), (
        "That is the transpose: one row per example, as in X."
    )
    assert np.shape(dX) == (3, 2), (
        "dX has the shape of X: three rows, two columns."
    )
    assert not np.allclose(dX, dZ * X), (
        "X itself is no factor of dX: it is W that tells how strongly Z "
        "moves with X."
    )
    assert not np.allclose(dX, np.ones((3, 1)) * W.T), (
        "That is the slope of Z alone. Each row still has to be "
        "multiplied by its dZ."
    )
    assert np.allclose(dX, dZ @ W.T), (
        "Row i of dX is the row (2, 1), times entry i of dZ."
    )


# %% tags=["solution"]
# (2, 1) times 1, times -1, times 2
dX = [[2, 1], [-2, -1], [4, 2]]

# %% tags=["misconception"]
# That is the transpose: one row per example, as in X.
dX = [[2, -2, 4], [1, -1, 2]]

# %% tags=["misconception"]
# X itself is no factor of dX: it is W that tells how strongly Z moves with
# X.
dX = [[1, 2], [0, -3], [4, -2]]

# %% tags=["misconception"]
# That is the slope of Z alone. Each row still has to be multiplied by its
# dZ.
dX = [[2, 1], [2, 1], [2, 1]]

# %% [markdown] exercise="linear.shapes"
# ### Exercise 3: shapes, and what is added up
#
# A batch of 32 images with 100 pixels goes through a layer with 5 outputs.
# Write down the shapes of $dW$, $db$ and $dX$ as tuples. And: how many
# products are added up in *one* entry of $dW$, and in one of $dX$?

# %% tags=["stub"]
shape_dW = ...  # (..., ...)
shape_db = ...
shape_dX = ...
terms_dW = ...
terms_dX = ...

# %% [markdown] tags=["hint"]
# A gradient has the shape of the thing it belongs to.

# %% [markdown] tags=["hint"]
# (2.3) has a sum over the examples. And which index does the product
# $dZ\,W^\top$ sum over?


# %% tags=["check"]
def check(shape_dW, shape_db, shape_dX, terms_dW, terms_dX):
    shape_dW, shape_db, shape_dX = (
        tuple(np.ravel(shape)) for shape in (shape_dW, shape_db, shape_dX)
    )
    assert shape_dW != (5, 100), (
        "On these pages W leads from n rows to m columns, so W and dW are "
        "100 × 5."
    )
    assert shape_db not in ((32, 5), (32,)), (
        "All examples share one row of biases: add up over them, and one "
        "row is left."
    )
    assert terms_dW != 100, (
        "The features are what (2.2) adds up. (2.3) adds up the 32 "
        "examples."
    )
    assert shape_dW == (100, 5), (
        "dW has the shape of W: 100 features lead to 5 outputs."
    )
    assert shape_db in ((5,), (1, 5)), "db has one number per output."
    assert shape_dX == (32, 100), (
        "dX has the shape of X: 32 examples of 100 features."
    )
    assert terms_dW == 32, (
        "A weight is used once per example: (2.3) has a term for each."
    )
    assert terms_dX == 5, (
        "An input moves the outputs of its own example, and there are 5."
    )


# %% tags=["solution"]
shape_dW = (100, 5)
shape_db = (5,)
shape_dX = (32, 100)
# the sum in (2.3) runs over the examples
terms_dW = 32
# that in (2.5) over the outputs
terms_dX = 5

# %% tags=["misconception"]
# On these pages W leads from n rows to m columns, so W and dW are 100 × 5.
shape_dW, shape_db, shape_dX = (5, 100), (5,), (32, 100)
terms_dW, terms_dX = 32, 5

# %% tags=["misconception"]
# All examples share one row of biases: add up over them, and one row is
# left.
shape_dW, shape_db, shape_dX = (100, 5), (32, 5), (32, 100)
terms_dW, terms_dX = 32, 5

# %% tags=["misconception"]
# The features are what (2.2) adds up. (2.3) adds up the 32 examples.
shape_dW, shape_db, shape_dX = (100, 5), (5,), (32, 100)
terms_dW, terms_dX = 100, 5

# %% [markdown] exercise="linear.backward"
# ### Exercise 4: the whole layer, in code
#
# Turn (2.4) to (2.6) into code: three lines.


# %% tags=["stub"]
def backward(X, W, dZ):
    dX, dW, db = None, None, None  # your turn
    return dX, dW, db


# %% [markdown] tags=["hint"]
# `X.T` is the transpose, `@` the matrix product, and `.sum(axis=0)` adds up
# the rows.


# %% tags=["check"]
def check(backward):
    draw = np.random.default_rng(2)
    X, W, dZ = (draw.normal(size=size) for size in ((5, 3), (3, 2), (5, 2)))
    dX, dW, db = backward(X, W, dZ)
    assert np.shape(dW) != (2, 3), (
        "dW came out transposed: by (2.4) it is X.T @ dZ, in this order."
    )
    assert np.shape(db) != (5, 2), (
        "db still has a row per example. Each used the same b: add the "
        "rows up."
    )
    assert np.shape(dX) == (5, 3), (
        f"dX has the shape of X, (5, 3), not {np.shape(dX)}."
    )
    assert np.shape(dW) == (3, 2), (
        f"dW has the shape of W, (3, 2), not {np.shape(dW)}."
    )
    assert np.shape(db) in ((2,), (1, 2)), (
        f"db has the shape of b, (2,), not {np.shape(db)}."
    )
    assert not np.allclose(dW, X.T @ dZ / 5), (
        "dW is divided by the batch size, but a mean in the loss is "
        "already in dZ."
    )
    assert not np.allclose(db, dZ.mean(axis=0)), (
        "db is a mean over the examples, where it has to be the sum."
    )
    for k in range(3):
        for j in range(2):
            right = sum(X[i, k] * dZ[i, j] for i in range(5))
            assert np.isclose(dW[k, j], right), (
                "dW is not the sum of (2.3)."
            )
    assert np.allclose(db, sum(dZ)), "db is the sum over the rows of dZ."
    for i in range(5):
        for k in range(3):
            right = sum(dZ[i, j] * W[k, j] for j in range(2))
            assert np.isclose(dX[i, k], right), (
                "dX adds up dZ times W over the outputs."
            )


# %% tags=["solution"]
def backward(X, W, dZ):
    dX = dZ @ W.T
    dW = X.T @ dZ
    db = dZ.sum(axis=0)
    return dX, dW, db


# %% tags=["misconception"]
# dW came out transposed: by (2.4) it is X.T @ dZ, in this order.
def backward(X, W, dZ):
    return dZ @ W.T, dZ.T @ X, dZ.sum(axis=0)


# %% tags=["misconception"]
# db still has a row per example. Each used the same b: add the rows up.
def backward(X, W, dZ):
    return dZ @ W.T, X.T @ dZ, dZ


# %% tags=["misconception"]
# dW is divided by the batch size, but a mean in the loss is already in dZ.
def backward(X, W, dZ):
    return dZ @ W.T, X.T @ dZ / len(X), dZ.sum(axis=0)


# %% tags=["misconception"]
# db is a mean over the examples, where it has to be the sum.
def backward(X, W, dZ):
    return dZ @ W.T, X.T @ dZ, dZ.mean(axis=0)


# %% [markdown] exercise="linear.divided-twice"
# ### Exercise 5: what is wrong here?
#
# The loss of this layer is the mean over the examples of
# $\tfrac12 (Z - Y)^2$, added up over the outputs. With one example the
# gradients are right. With ten copies of the same example the loss is the
# same, but the gradients are a tenth. Why? Fix it.


# %% tags=["stub"]
def gradients(X, W, b, Y):
    Z = X @ W + b
    dZ = (Z - Y) / len(X)
    dW = X.T @ dZ / len(X)
    db = dZ.sum(axis=0) / len(X)
    return dW, db


# %% [markdown] tags=["hint"]
# Count how often the code divides by `len(X)`, on the way to $dW$.

# %% [markdown] tags=["hint"]
# The mean is in the loss once. One division is right, and it belongs where
# the loss is differentiated.


# %% tags=["check"]
def check(gradients):
    draw = np.random.default_rng(3)
    X, W, b, Y = (
        draw.normal(size=s) for s in ((4, 3), (3, 2), (1, 2), (4, 2))
    )
    dW, db = gradients(X, W, b, Y)
    E = X @ W + b - Y
    assert not np.allclose(dW, X.T @ E), (
        "Now nobody divides: with ten copies the gradient is ten times "
        "too large."
    )
    assert not (
        np.allclose(dW, X.T @ E / 4) and np.allclose(db, E.sum(axis=0) / 16)
    ), "dW is right now, and db is still divided twice."
    assert not np.allclose(dW, X.T @ E / 8), (
        "Divide by the number of examples, not by that of all entries of Z."
    )
    assert np.allclose(dW, X.T @ E / 4), (
        "dW is not the slope of the mean over the examples."
    )
    assert np.allclose(db, E.sum(axis=0) / 4), (
        "db is not the slope of the mean."
    )


# %% tags=["solution"]
def gradients(X, W, b, Y):
    Z = X @ W + b
    # the mean is here, and nowhere else
    dZ = (Z - Y) / len(X)
    dW = X.T @ dZ
    db = dZ.sum(axis=0)
    return dW, db


# %% tags=["misconception"]
# Now nobody divides: with ten copies the gradient is ten times too large.
def gradients(X, W, b, Y):
    dZ = X @ W + b - Y
    return X.T @ dZ, dZ.sum(axis=0)


# %% tags=["misconception"]
# dW is right now, and db is still divided twice.
def gradients(X, W, b, Y):
    dZ = (X @ W + b - Y) / len(X)
    return X.T @ dZ, dZ.sum(axis=0) / len(X)


# %% tags=["misconception"]
# Divide by the number of examples, not by that of all entries of Z.
def gradients(X, W, b, Y):
    E = X @ W + b - Y
    dZ = E / (E.shape[0] * E.shape[1])
    return X.T @ dZ, dZ.sum(axis=0)


# %% [markdown] exercise="linear.shared"
# ### Exercise 6: one matrix in two layers
#
# An autoencoder uses its weights twice: $H = XW$, and then $Z = HW^\top$,
# which has the shape of $X$. Given $dZ$, derive $dW$, and write it as code.
# There is no bias.


# %% tags=["stub"]
def shared_weights(X, W, dZ):
    return None  # your turn: dW


# %% [markdown] tags=["hint"]
# Give the two uses two names, $Z = (X W_a) W_b$ with $W_b = W^\top$. Find
# the gradients of $W_a$ and $W_b$ separately.

# %% [markdown] tags=["hint"]
# With $dH = dZ\,W$ you get $dW_a = X^\top dH$. And $dW_b = H^\top dZ$ has
# the shape of $W^\top$, so it must be transposed before both are added.


# %% tags=["check"]
def check(shared_weights):
    draw = np.random.default_rng(4)
    X, W, dZ = (draw.normal(size=s) for s in ((5, 3), (3, 2), (5, 3)))
    dW, first, second = (
        shared_weights(X, W, dZ),
        X.T @ (dZ @ W),
        dZ.T @ (X @ W),
    )
    assert np.shape(dW) == (3, 2), (
        f"dW has the shape of W, (3, 2), not {np.shape(dW)}."
    )
    assert not np.allclose(dW, first), (
        "That is the first use alone. W moves the loss through the second "
        "as well."
    )
    assert not np.allclose(dW, second), (
        "That is the second use alone. W moves the loss through the first "
        "as well."
    )
    assert not np.allclose(dW, (first + second) / 2), (
        "Two uses are two paths, and paths are added, not averaged."
    )
    h = 1e-6
    for k in range(3):
        for j in range(2):
            there, back = W.copy(), W.copy()
            there[k, j] += h
            back[k, j] -= h
            slope = (
                dZ * (X @ there @ there.T - X @ back @ back.T)
            ).sum() / (2 * h)
            assert np.isclose(dW[k, j], slope), (
                "Moving a weight gives another slope."
            )


# %% tags=["solution"]
def shared_weights(X, W, dZ):
    H = X @ W
    dH = dZ @ W
    # both uses; the second transposed
    return X.T @ dH + dZ.T @ H


# %% tags=["misconception"]
# That is the first use alone. W moves the loss through the second as well.
def shared_weights(X, W, dZ):
    return X.T @ (dZ @ W)


# %% tags=["misconception"]
# That is the second use alone. W moves the loss through the first as well.
def shared_weights(X, W, dZ):
    return dZ.T @ (X @ W)


# %% tags=["misconception"]
# Two uses are two paths, and paths are added, not averaged.
def shared_weights(X, W, dZ):
    return (X.T @ (dZ @ W) + dZ.T @ (X @ W)) / 2


# %% [markdown]
# ## Before you go on

# %% [markdown] exercise="linear.self-1"
# **1.** Why is $db$ a *sum* over the examples?
#
# - **a** because the loss is a mean over them
# - **b** because otherwise the shape would not fit
# - **c** because every example used the same $b$, and paths add up

# %% tags=["stub"]
answer = ...  # "a", "b" or "c"


# %% tags=["check"]
def check(answer):
    assert answer != "a", (
        "A mean would divide, and that is in dZ already. The sum is there "
        "for any loss."
    )
    assert answer != "b", (
        "A mean over the rows has the same shape. The shape alone cannot "
        "tell."
    )
    assert answer == "c", "Answer with one of the letters."


# %% tags=["solution"]
# b appears in every row of Z, so the loss hears of it B times.
answer = "c"

# %% tags=["misconception"]
# A mean would divide, and that is in dZ already. The sum is there for any
# loss.
answer = "a"

# %% tags=["misconception"]
# A mean over the rows has the same shape. The shape alone cannot tell.
answer = "b"

# %% [markdown] exercise="linear.self-2"
# **2.** A later layer passes back a $dZ$ that is twice as large. What
# becomes of $dW$?
#
# - **a** it is twice as large
# - **b** it is four times as large
# - **c** it stays, because $dW$ depends on $X$ and $W$

# %% tags=["stub"]
answer = ...  # "a", "b" or "c"


# %% tags=["check"]
def check(answer):
    assert answer != "b", (
        "dZ appears once in the product with X, so its factor comes in "
        "once."
    )
    assert answer != "c", "dW depends on X and dZ. W is not even in (2.4)."
    assert answer == "a", "Answer with one of the letters."


# %% tags=["solution"]
# (2.4) is linear in dZ: everything on the way back doubles.
answer = "a"

# %% tags=["misconception"]
# dZ appears once in the product with X, so its factor comes in once.
answer = "b"

# %% tags=["misconception"]
# dW depends on X and dZ. W is not even in (2.4).
answer = "c"

# %% [markdown] exercise="linear.self-3"
# **3.** What is $dX$ of the *first* layer good for in training?
#
# - **a** without it, $dW$ of that layer cannot be computed
# - **b** it changes the images, so that they are easier to read
# - **c** nothing

# %% tags=["stub"]
answer = ...  # "a", "b" or "c"


# %% tags=["check"]
def check(answer):
    assert answer != "a", (
        "dW is made of X and dZ. dX is for the layer before, and there is "
        "none."
    )
    assert answer != "b", (
        "A step changes weights and biases. The images are given."
    )
    assert answer == "c", "Answer with one of the letters."


# %% tags=["solution"]
# There is no earlier layer to receive it, so it need not be computed. It is
# of use later, to ask which pixels an answer depends on.
answer = "c"

# %% tags=["misconception"]
# dW is made of X and dZ. dX is for the layer before, and there is none.
answer = "a"

# %% tags=["misconception"]
# A step changes weights and biases. The images are given.
answer = "b"
