# %% [markdown]
# # Exercises: [optimizers](../derivations/optimizers.md)
#
# *Time*: about 35 minutes.
#
# A few steps by hand say more about an optimizer than its formula.

# %%
import numpy as np

# %% [markdown] exercise="optimizers.descent"
# ### Exercise 1: gradient descent on a parabola
#
# The loss is $\tfrac12 h q^2$ with the curvature $h = 4$, and we start at
# $q_0 = 8$ with the learning rate $\eta = 0.1$. Where are we after two
# steps? And below which $\eta$ does gradient descent converge?

# %% tags=["stub"]
q2 = ...
limit = ...

# %% [markdown] tags=["hint"]
# (10.3): each step multiplies by $1 - \eta h$.


# %% tags=["check"]
def check(q2, limit):
    assert not np.isclose(q2, 1.6), (
        "The second step starts where the first has ended, and its "
        "gradient is smaller."
    )
    assert not np.isclose(q2, 4.8), (
        "That is after one step. The second multiplies by 0.6 again."
    )
    assert np.isclose(q2, 8 * 0.6**2), (
        "Each step multiplies by 1 - 0.1 · 4."
    )
    assert not np.isclose(limit, 0.25), (
        "1/h reaches the minimum in one step. Up to 2/h the steps "
        "overshoot, but they shrink."
    )
    assert np.isclose(limit, 0.5), (
        "The factor 1 - 4η has to lie between -1 and 1."
    )


# %% tags=["solution"]
q2 = 2.88  # 8 · 0.6²
limit = 0.5  # 2 / h

# %% tags=["misconception"]
# The second step starts where the first has ended, and its gradient is
# smaller.
q2, limit = 1.6, 0.5

# %% tags=["misconception"]
# That is after one step. The second multiplies by 0.6 again.
q2, limit = 4.8, 0.5

# %% tags=["misconception"]
# 1/h reaches the minimum in one step. Up to 2/h the steps overshoot, but
# they shrink.
q2, limit = 2.88, 0.25

# %% [markdown] exercise="optimizers.momentum"
# ### Exercise 2: three steps with momentum
#
# All gradients are 1, $\mu = 0.5$, $\eta = 0.1$, and $p_0 = 0$. What is the
# velocity after three steps, where is $p_3$, and towards which number does
# the velocity go?

# %% tags=["stub"]
v3 = ...
p3 = ...
v_limit = ...

# %% [markdown] tags=["hint"]
# (10.4): $v_1 = 1$, and each next one is half of the last, plus 1.

# %% [markdown] tags=["hint"]
# $p$ moves by $-\eta\,v_t$ at every step, with the velocity of that step.


# %% tags=["check"]
def check(v3, p3, v_limit):
    assert not np.isclose(v3, 3), (
        "Older gradients fade: at each step only the part μ of the "
        "velocity remains."
    )
    assert not np.isclose(v3, 0.875), (
        "The newest gradient counts whole in (10.4). 1 - μ is a factor in "
        "Adam's mean only."
    )
    assert np.isclose(v3, 1.75), (
        "v is 1, then 0.5 · 1 + 1, then half of that plus 1."
    )
    assert not np.isclose(p3, -0.175), (
        "That is the last step alone. p has made three, with three "
        "velocities."
    )
    assert np.isclose(p3, -0.425), "p moves by -0.1 times v₁, v₂ and v₃."
    assert np.isclose(v_limit, 2), "By (10.6) it goes towards 1 / (1 - μ)."


# %% tags=["solution"]
v3 = 1.75  # 1, 1.5, 1.75
p3 = -0.425  # -0.1 · (1 + 1.5 + 1.75)
v_limit = 2  # 1 / (1 - 0.5)

# %% tags=["misconception"]
# Older gradients fade: at each step only the part μ of the velocity
# remains.
v3, p3, v_limit = 3, -0.6, 2

# %% tags=["misconception"]
# The newest gradient counts whole in (10.4). 1 - μ is a factor in Adam's
# mean only.
v3, p3, v_limit = 0.875, -0.2125, 1

# %% tags=["misconception"]
# That is the last step alone. p has made three, with three velocities.
v3, p3, v_limit = 1.75, -0.175, 2

# %% [markdown] exercise="optimizers.first-step"
# ### Exercise 3: Adam's first step
#
# Adam starts at $p_0 = 0$ with $\eta = 0.01$; take $\epsilon = 0$. Where is
# $p_1$ if the first gradient is $0.001$, and where if it is $-50$?

# %% tags=["stub"]
p_small = ...  # after the gradient 0.001
p_large = ...  # after the gradient -50

# %% [markdown] tags=["hint"]
# (10.15).


# %% tags=["check"]
def check(p_small, p_large):
    assert not np.isclose(p_small, -0.00001, rtol=1e-3), (
        "That is gradient descent. Adam divides by the size of the "
        "gradient."
    )
    assert not np.isclose(p_small, 0.01), (
        "The step goes against the gradient: it is subtracted."
    )
    assert not np.isclose(
        p_small, -0.01 * 0.1 / np.sqrt(0.001), rtol=1e-3
    ), (
        "Without the bias correction the averages are too small, m ten "
        "times and s a thousand."
    )
    assert np.isclose(p_small, -0.01), (
        "The first step has the length η, against the gradient."
    )
    assert np.isclose(p_large, 0.01), (
        "The length is η again. Only the sign of g is left."
    )


# %% tags=["solution"]
# the size of the gradient cancels
p_small = -0.01
p_large = 0.01

# %% tags=["misconception"]
# That is gradient descent. Adam divides by the size of the gradient.
p_small, p_large = -0.00001, 0.5

# %% tags=["misconception"]
# The step goes against the gradient: it is subtracted.
p_small, p_large = 0.01, -0.01

# %% tags=["misconception"]
# Without the bias correction the averages are too small, m ten times and s
# a thousand.
p_small = -0.0316227766
p_large = 0.0316227766

# %% [markdown] exercise="optimizers.adam"
# ### Exercise 4: a step of Adam
#
# Write (10.8) to (10.14) as one function. `t` counts from 1. Return the new
# `p`, `m` and `s`.


# %% tags=["stub"]
def adam_step(p, g, m, s, t, lr, beta1, beta2, eps):
    return p, m, s  # your turn


# %% [markdown] tags=["hint"]
# First the two averages, then both corrected in names of their own, then
# `p`.

# %% [markdown] tags=["hint"]
# Return `m` and `s` *without* the correction: the next step goes on from
# them.


# %% tags=["check"]
def check(adam_step):
    draw = np.random.default_rng(1)
    first, second = draw.normal(size=(2, 3)), draw.normal(size=(2, 3))
    p, m, s = (np.zeros((2, 3)) for _ in range(3))
    settings = {"lr": 0.1, "beta1": 0.9, "beta2": 0.99, "eps": 0.5}
    for t, g in (1, first), (2, second):
        p, m, s = adam_step(p, g, m, s, t, **settings)
    assert np.shape(p) == (2, 3), "p keeps its shape."
    assert not np.allclose(p, 0), "p has not moved."
    right_m = 0.9 * 0.1 * first + 0.1 * second
    right_s = 0.99 * 0.01 * first**2 + 0.01 * second**2
    one = 0.1 * first / (abs(first) + 0.5)
    two = lambda a, b, eps=0.5: (
        0.1 * right_m / a / (np.sqrt(right_s / b) + eps)
    )
    raw = 0.1 * (0.1 * first) / (0.1 * abs(first) + 0.5) + two(1, 1)
    assert not np.allclose(p, -raw), (
        "The bias correction is missing: divide m and s by the sums of "
        "their weights."
    )
    assert not np.allclose(m, (0.9 * first + 0.1 * second) / 0.19), (
        "The corrected averages went into the next step. Keep m and s, "
        "and correct copies."
    )
    assert not np.allclose(p, one + two(0.19, 0.0199)), (
        "That goes uphill: the step is subtracted."
    )
    assert np.allclose(m, right_m), "m is not the running mean of (10.8)."
    assert np.allclose(s, right_s), "s is not the running mean of (10.9)."
    inside = 0.1 * first / np.sqrt(first**2 + 0.5)
    inside += 0.1 * right_m / 0.19 / np.sqrt(right_s / 0.0199 + 0.5)
    assert not np.allclose(p, -inside), (
        "In (10.14) ε is added to the root, not under it."
    )
    assert np.allclose(p, -one - two(0.19, 0.0199)), (
        "p is not where (10.14) leads."
    )


# %% tags=["solution"]
def adam_step(p, g, m, s, t, lr, beta1, beta2, eps):
    m = beta1 * m + (1 - beta1) * g
    s = beta2 * s + (1 - beta2) * g**2
    m_hat = m / (1 - beta1**t)
    s_hat = s / (1 - beta2**t)
    return p - lr * m_hat / (np.sqrt(s_hat) + eps), m, s


# %% tags=["misconception"]
# The bias correction is missing: divide m and s by the sums of their
# weights.
def adam_step(p, g, m, s, t, lr, beta1, beta2, eps):
    m = beta1 * m + (1 - beta1) * g
    s = beta2 * s + (1 - beta2) * g**2
    return p - lr * m / (np.sqrt(s) + eps), m, s


# %% tags=["misconception"]
# The corrected averages went into the next step. Keep m and s, and correct
# copies.
def adam_step(p, g, m, s, t, lr, beta1, beta2, eps):
    m = (beta1 * m + (1 - beta1) * g) / (1 - beta1**t)
    s = (beta2 * s + (1 - beta2) * g**2) / (1 - beta2**t)
    return p - lr * m / (np.sqrt(s) + eps), m, s


# %% tags=["misconception"]
# That goes uphill: the step is subtracted.
def adam_step(p, g, m, s, t, lr, beta1, beta2, eps):
    m = beta1 * m + (1 - beta1) * g
    s = beta2 * s + (1 - beta2) * g**2
    step = lr * m / (1 - beta1**t) / (np.sqrt(s / (1 - beta2**t)) + eps)
    return p + step, m, s


# %% tags=["misconception"]
# In (10.14) ε is added to the root, not under it.
def adam_step(p, g, m, s, t, lr, beta1, beta2, eps):
    m = beta1 * m + (1 - beta1) * g
    s = beta2 * s + (1 - beta2) * g**2
    step = lr * m / (1 - beta1**t) / np.sqrt(s / (1 - beta2**t) + eps)
    return p - step, m, s


# %% [markdown] exercise="optimizers.decay"
# ### Exercise 5: what is wrong here?
#
# This is meant to be AdamW, on its first step and with $\epsilon = 0$. But
# two weights of the same size, one with small and one with large gradients,
# should shrink alike, and they do not. Fix it.


# %% tags=["stub"]
def first_step(p, g, lr, weight_decay):
    g = g + weight_decay * p
    m_hat, s_hat = g, g**2  # on the first step
    return p - lr * m_hat / np.sqrt(s_hat)


# %% [markdown] tags=["hint"]
# Where does the decay enter, and what happens to it then?

# %% [markdown] tags=["hint"]
# AdamW keeps it out of the averages, and multiplies $p$ by
# $1 - \eta\lambda$ directly.


# %% tags=["check"]
def check(first_step):
    p, g = np.array([2.0, 2.0, -1.0]), np.array([0.1, 5.0, -3.0])
    found = first_step(p, g, 0.1, 0.5)
    adam = p - 0.1 * np.sign(g)
    assert np.shape(found) == (3,), "p keeps its shape."
    assert not np.allclose(found, adam - 0.5 * p), (
        "The decay is a part of the step, so it is multiplied by the "
        "learning rate as well."
    )
    assert not np.allclose(found, adam + 0.05 * p), (
        "Now the weights grow: the decay has to pull them towards 0."
    )
    shrunk = p * (1 - 0.1 * 0.5)
    assert not np.allclose(found, shrunk - 0.1 * g), (
        "The decay is right now, but the division by the size of the "
        "gradient got lost."
    )
    assert np.allclose(found, shrunk - 0.1 * np.sign(g)), (
        "p should shrink by the factor 1 - ηλ, and then move by η "
        "against the sign of g."
    )


# %% tags=["solution"]
def first_step(p, g, lr, weight_decay):
    # the gradient without the decay
    m_hat, s_hat = g, g**2
    return p * (1 - lr * weight_decay) - lr * m_hat / np.sqrt(s_hat)


# %% tags=["misconception"]
# The decay is a part of the step, so it is multiplied by the learning rate
# as well.
def first_step(p, g, lr, weight_decay):
    return p * (1 - weight_decay) - lr * g / np.sqrt(g**2)


# %% tags=["misconception"]
# Now the weights grow: the decay has to pull them towards 0.
def first_step(p, g, lr, weight_decay):
    return p * (1 + lr * weight_decay) - lr * g / np.sqrt(g**2)


# %% tags=["misconception"]
# The decay is right now, but the division by the size of the gradient got
# lost.
def first_step(p, g, lr, weight_decay):
    return p * (1 - lr * weight_decay) - lr * g
