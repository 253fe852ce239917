# %% [markdown]
# # Exercises: [the tape](../derivations/tape.md)
#
# *Time*: about 40 minutes.
#
# The class `Value` of the page and its two wrong walks are here to play
# with; `age` is new, the reading of a clock at the time a value was made.

# %%
class Value:
    clock = 0

    def __init__(self, data, parents=()):
        Value.clock += 1
        self.data, self.grad, self.age = data, 0, Value.clock
        self.parents = parents  # pairs: a value, the slope along it

    def __add__(self, other):
        return Value(self.data + other.data, [(self, 1), (other, 1)])

    def __mul__(self, other):
        slopes = [(self, other.data), (other, self.data)]
        return Value(self.data * other.data, slopes)


def depth_first(y):
    for x, slope in y.parents:
        x.grad += y.grad * slope
        depth_first(x)


def each_once(y, seen):
    if y not in seen:
        seen.add(y)
        for x, slope in y.parents:
            x.grad += y.grad * slope
            each_once(x, seen)


# %% [markdown] exercise="tape.wrong-walks"
# ### Exercise 1: two wrong walks, on paper
#
# Let $x = 3$, $u = x + x$ and $y = u \cdot u$. What is
# $\partial y / \partial x$? And what do the two wrong programs of the page
# leave in `x.grad`, `depth_first` and `each_once`? Play computer: keep a
# list of `u.grad` and `x.grad`.

# %% tags=["stub"]
right = ...
depth_first_says = ...
each_once_says = ...

# %% [markdown] tags=["hint"]
# `y.parents` has $u$ twice, each time with the slope 6. After the first
# `u.grad += 6` the walk goes on to $x$ at once.

# %% [markdown] tags=["hint"]
# `u.parents` has $x$ twice, with the slope 1. So whenever $u$ passes on,
# `x.grad` grows by two times `u.grad`.


# %% tags=["check"]
def check(right, depth_first_says, each_once_says):
    def run(walk, *more):
        x = Value(3)
        u = x + x
        y = u * u
        y.grad = 1
        walk(y, *more)
        return x.grad

    assert right != 12, (
        "12 is the slope with respect to u. And u = x + x moves twice as "
        "fast as x."
    )
    assert right == 24, "y = (2x)² = 4x², with the slope 8x."
    assert depth_first_says != 24, (
        "u is visited twice, and the second time it passes on all that "
        "has arrived so far."
    )
    assert each_once_says != 24, (
        "At its only visit u has half of its gradient. The other half "
        "arrives later and stays."
    )
    assert depth_first_says == run(depth_first), (
        "At the first visit u passes on 6, twice. At the second it "
        "has 12, and passes that on."
    )
    assert each_once_says == run(each_once, set()), (
        "u passes on its first 6, twice, and never more."
    )


# %% tags=["solution"]
right = 24  # y = 4x², so 8x
# 2 · 6 at the first visit of u, 2 · 12 at the second
depth_first_says = 36
# 2 · 6, and the second 6 stays at u
each_once_says = 12

# %% tags=["misconception"]
# 12 is the slope with respect to u. And u = x + x moves twice as fast as x.
right = 12
depth_first_says = 36
each_once_says = 12

# %% tags=["misconception"]
# u is visited twice, and the second time it passes on all that has arrived
# so far.
right = 24
depth_first_says = 24
each_once_says = 12

# %% tags=["misconception"]
# At its only visit u has half of its gradient. The other half arrives later
# and stays.
right = 24
depth_first_says = 36
each_once_says = 24

# %% [markdown] exercise="tape.division"
# ### Exercise 2: a rule
#
# The rule of an op gets the cotangent $g$ of its result and its inputs, and
# returns a share for each input. Write that of the division $y = a / b$,
# with numbers.


# %% tags=["stub"]
def division_rule(g, a, b):
    return None, None  # your turn: the shares of a and b


# %% [markdown] tags=["hint"]
# How fast does $a / b$ grow with $a$, while $b$ is held still? And how fast
# with $b$?

# %% [markdown] tags=["hint"]
# $\frac{1}{b}$, and $-\frac{a}{b^2}$. Each is multiplied by $g$.


# %% tags=["check"]
def check(division_rule):
    for g, a, b in (1.5, 2.0, -4.0), (-2.0, 3.0, 0.5):
        found, h = division_rule(g, a, b), 1e-6
        assert None not in found, "Return two numbers."
        da, db = found
        assert abs(da - 1 / b) > 1e-9, (
            "Those are the slopes of the division. Multiply each by what "
            "arrives, g."
        )
        assert abs(db - g * a / b**2) > 1e-9, (
            "The sign of the second share is wrong: a quotient falls "
            "while its denominator grows."
        )
        assert abs(db + g / b**2) > 1e-9, (
            "The slope of 1/b is -1/b². Here the numerator is a, which is "
            "missing."
        )
        assert abs(da - g / b) < 1e-9, (
            f"With g = {g}, a = {a}, b = {b}, a should get {g / b}."
        )
        slope = g * (a / (b + h) - a / (b - h)) / (2 * h)
        assert abs(db - slope) < 1e-6, (
            f"With g = {g}, a = {a}, b = {b}, b should get {slope:.4f}."
        )


# %% tags=["solution"]
def division_rule(g, a, b):
    return g / b, -g * a / b**2


# %% tags=["misconception"]
# Those are the slopes of the division. Multiply each by what arrives, g.
def division_rule(g, a, b):
    return 1 / b, -a / b**2


# %% tags=["misconception"]
# The sign of the second share is wrong: a quotient falls while its
# denominator grows.
def division_rule(g, a, b):
    return g / b, g * a / b**2


# %% tags=["misconception"]
# The slope of 1/b is -1/b². Here the numerator is a, which is missing.
def division_rule(g, a, b):
    return g / b, -g / b**2


# %% [markdown] exercise="tape.count"
# ### Exercise 3: how much is saved?
#
# In a program that does `y = y + y` three times, how many rules does the
# recursive walk apply, the one that lets each share travel on alone? And
# the walk that takes each value once? Count a rule for each use of an
# input.

# %% tags=["stub"]
alone = ...
once = ...

# %% [markdown] tags=["hint"]
# Draw the graph: four boxes in a row, with two arrows between neighbours.

# %% [markdown] tags=["hint"]
# The first sum applies two rules. Both lead to the second sum, which is
# then walked twice.


# %% tags=["check"]
def check(alone, once):
    assert alone != 8, (
        "8 is the number of paths. On the way to the leaf more rules are "
        "applied: 2 + 4 + 8."
    )
    assert once != 3, (
        "Each sum uses its input twice, so it has two shares to compute."
    )
    assert once != 14, (
        "That would be every path. Taken once, each sum applies its two "
        "rules a single time."
    )
    assert alone == 14, "2 + 4 + 8 rules: the number doubles with each sum."
    assert once == 6, "Each of the three sums applies its two rules once."


# %% tags=["solution"]
# 2 + 4 + 8, which is (7.12) with k = 3
alone = 14
once = 6  # two for each of the three sums

# %% tags=["misconception"]
# 8 is the number of paths. On the way to the leaf more rules are applied: 2
# + 4 + 8.
alone, once = 8, 6

# %% tags=["misconception"]
# Each sum uses its input twice, so it has two shares to compute.
alone, once = 14, 3

# %% tags=["misconception"]
# That would be every path. Taken once, each sum applies its two rules a
# single time.
alone, once = 14, 14

# %% [markdown] exercise="tape.youngest"
# ### Exercise 4: what is wrong here?
#
# This walk keeps a queue, and takes first what came first. It is right on
# most graphs. With a shortcut, $y = u \cdot (u + u)$ for a computed $u$, it
# is wrong. Fix the line that chooses; you may need two for it.


# %% tags=["stub"]
def backward(y):
    y.grad, waiting = 1, [y]
    while waiting:
        taken = waiting.pop(0)
        for x, slope in taken.parents:
            x.grad += taken.grad * slope
            if x not in waiting:
                waiting.append(x)


# %% [markdown] tags=["hint"]
# $y$ has two parents, $u$ and the sum $u + u$. Which of them comes out of
# the queue first? Has everything computed from it reported back by then?

# %% [markdown] tags=["hint"]
# Every value knows its `age`. *Always take the youngest next*: the one with
# the largest number. `waiting.sort(key=lambda value: value.age)` puts it
# last.


# %% tags=["check"]
def check(backward):
    state = [1]

    def draw(n):
        """A number below n, by chance."""
        state[0] = state[0] * 75 % 65537
        return state[0] % n

    def slope(f, at=3):
        x = Value(at)
        y = f(x)
        backward(y)
        return x.grad

    def shortcut(x):
        u = x * x
        return u * (u + u)

    def other(x):
        u = x * x
        return (u + u) * u

    def every_path(y, x):
        found = 1 if y is x else 0
        for parent, slope in y.parents:
            found += slope * every_path(parent, x)
        return found

    assert slope(lambda x: x * x) == 6, "Not even x · x comes out right."
    found = slope(shortcut), slope(other)
    right = 8 * 3**3  # y = 2 x⁴
    assert 0 not in found, "Nothing arrives at x."
    assert found != (right, 324), (
        "Taking the last that arrived is right for u · (u + u), and wrong "
        "for (u + u) · u."
    )
    assert found != (324, 324), (
        "That takes the oldest, but a value must wait for all that is "
        "younger: take the youngest."
    )
    assert found == (right, right), (
        f"2x⁴ at 3 has the slope {right}. x got {found[0]}, and "
        f"{found[1]} with the factors exchanged."
    )
    for _ in range(30):
        values = [Value(draw(5) - 2)]
        for _ in range(6):
            a, b = values[draw(len(values))], values[-1]
            values.append(a + b if draw(2) else a * b)
        backward(values[-1])
        assert values[0].grad == every_path(values[-1], values[0]), (
            "u · (u + u) comes out right, but not every graph. What "
            "decides must be the age: not the value, nor who came last."
        )


# %% tags=["solution"]
def backward(y):
    y.grad, waiting = 1, [y]
    while waiting:
        waiting.sort(key=lambda value: value.age)
        # the youngest
        taken = waiting.pop()
        for x, slope in taken.parents:
            x.grad += taken.grad * slope
            if x not in waiting:
                waiting.append(x)


# %% tags=["misconception"]
# Taking the last that arrived is right for u · (u + u), and wrong for (u +
# u) · u.
def backward(y):
    y.grad, waiting = 1, [y]
    while waiting:
        taken = waiting.pop()
        for x, slope in taken.parents:
            x.grad += taken.grad * slope
            if x not in waiting:
                waiting.append(x)


# %% tags=["misconception"]
# u · (u + u) comes out right, but not every graph. What decides must be the
# age: not the value, nor who came last.
def backward(y):
    y.grad, waiting = 1, [y]
    while waiting:
        waiting.sort(key=lambda value: value.data)
        taken = waiting.pop()
        for x, slope in taken.parents:
            x.grad += taken.grad * slope
            if x not in waiting:
                waiting.append(x)


# %% tags=["misconception"]
# That takes the oldest, but a value must wait for all that is younger: take
# the youngest.
def backward(y):
    y.grad, waiting = 1, [y]
    while waiting:
        waiting.sort(key=lambda value: value.age)
        taken = waiting.pop(0)
        for x, slope in taken.parents:
            x.grad += taken.grad * slope
            if x not in waiting:
                waiting.append(x)


# %%
from tinygrad_mnist import tensor

x = tensor(2.0, requires_grad=True)

# %% [markdown] exercise="tape.accumulate"
# ### Exercise 5: what is in .grad?
#
# With `x = tensor(2.0, requires_grad=True)`, these lines are run one after
# the other. What is `x.grad` after each? Answer first, then run them.
#
# - `(x * x).backward()`
# - `(3 * x).backward()`
# - `x.grad = None`, and then `(x * x * x).backward()`

# %% tags=["stub"]
after_one = ...
after_two = ...
after_three = ...

# %% [markdown] tags=["hint"]
# The slope of the second line alone is 3. And `backward` does not replace
# what is there.


# %% tags=["check"]
def check(after_one, after_two, after_three):
    assert after_one == 4, "The slope of x² is 2x."
    assert after_two != 3, (
        "backward adds to what is there: 4 + 3. That is why a step begins "
        "with zero_grad."
    )
    assert after_two == 4 + 3, (
        "4 from the first line, and 3 from the second."
    )
    assert after_three != 19, (
        "With None nothing is left of the 7: the third line begins anew."
    )
    assert after_three != 8, "8 is the value of x³. Its slope is 3x²."
    assert after_three == 12, "The slope of x³ is 3x²."


# %% tags=["solution"]
after_one = 4  # 2x
after_two = 7  # 4 + 3
# 3x², and nothing to add it to
after_three = 12

# %% tags=["misconception"]
# backward adds to what is there: 4 + 3. That is why a step begins with
# zero_grad.
after_one, after_two, after_three = 4, 3, 12

# %% tags=["misconception"]
# With None nothing is left of the 7: the third line begins anew.
after_one, after_two, after_three = 4, 7, 19

# %% tags=["misconception"]
# 8 is the value of x³. Its slope is 3x².
after_one, after_two, after_three = 4, 7, 8

# %% [markdown] exercise="tape.cost"
# ### Exercise 6: what it costs
#
# A network has 20 inputs, 10 hidden units and 5 outputs. Count the
# multiplications for one example: $F$ forward by (7.13), and $R$ backward
# by (7.14).

# %% tags=["stub"]
F = ...
R = ...

# %% [markdown] tags=["hint"]
# $20 \cdot 10$ for the first layer. And the second?

# %% [markdown] tags=["hint"]
# Backward, the second layer has two products, and the first has one: nobody
# needs the gradient of the input.


# %% tags=["check"]
def check(F, R):
    assert R != 500, (
        "Two products per layer are one too many in the first: dA0 is not "
        "needed."
    )
    assert R != 250, (
        "Backward, a layer has two products: for its weights, and for its "
        "input."
    )
    assert F != 1000, (
        "The layers follow one another, so their products are added, not "
        "multiplied."
    )
    assert F == 20 * 10 + 10 * 5, (
        "One product per layer: rows times columns of its weights."
    )
    assert R == 2 * F - 200, (
        "Two products per layer, without that for the input of the network."
    )


# %% tags=["solution"]
F = 250  # 20 · 10 + 10 · 5
# twice that, without the 200 for dA0
R = 300

# %% tags=["misconception"]
# Two products per layer are one too many in the first: dA0 is not needed.
F, R = 250, 500

# %% tags=["misconception"]
# Backward, a layer has two products: for its weights, and for its input.
F, R = 250, 250

# %% tags=["misconception"]
# The layers follow one another, so their products are added, not
# multiplied.
F, R = 1000, 1800

# %% [markdown]
# ## Before you go on

# %% [markdown] exercise="tape.self-1"
# **1.** When may a value pass on its gradient?
#
# - **a** as soon as something has arrived
# - **b** when everything that was computed from it has passed on its own
# - **c** when all of its inputs have been visited

# %% tags=["stub"]
answer = ...  # "a", "b" or "c"


# %% tags=["check"]
def check(answer):
    assert answer != "a", (
        "A second share may still arrive, and then it is too late, or the "
        "first is passed on twice."
    )
    assert answer != "c", (
        "The inputs come after it on the way back. It waits for what was "
        "computed from it."
    )
    assert answer == "b", "Answer with one of the letters."


# %% tags=["solution"]
# Then its gradient is complete, and once is enough.
answer = "b"

# %% tags=["misconception"]
# A second share may still arrive, and then it is too late, or the first is
# passed on twice.
answer = "a"

# %% tags=["misconception"]
# The inputs come after it on the way back. It waits for what was computed
# from it.
answer = "c"

# %% [markdown] exercise="tape.self-2"
# **2.** `x * x` and a weight that two layers share come out right even with
# the wrong walks. Why?
#
# - **a** because both slopes are equal there
# - **b** because $x$ and the weight are leaves: they collect, and pass
#   nothing on
# - **c** by chance: with other numbers they come out wrong

# %% tags=["stub"]
answer = ...  # "a", "b" or "c"


# %% tags=["check"]
def check(answer):
    assert answer != "a", (
        "In w · (w · 3) the two slopes differ, and it still comes out "
        "right."
    )
    assert answer != "c", (
        "It holds for all numbers, which is why small tests miss the bug."
    )
    assert answer == "b", "Answer with one of the letters."


# %% tags=["solution"]
# The mistakes show only where a computed value is used twice. So test with
# one.
answer = "b"

# %% tags=["misconception"]
# In w · (w · 3) the two slopes differ, and it still comes out right.
answer = "a"

# %% tags=["misconception"]
# It holds for all numbers, which is why small tests miss the bug.
answer = "c"

# %% [markdown] exercise="tape.self-3"
# **3.** Why can "the youngest next" replace a search through the graph?
#
# - **a** because an op can only use what exists already, so each value is
#   younger than its inputs
# - **b** because young values are closer to the leaves
# - **c** because the heap sorts the graph

# %% tags=["stub"]
answer = ...  # "a", "b" or "c"


# %% tags=["check"]
def check(answer):
    assert answer != "b", (
        "It is the other way round: the youngest is the loss, and the "
        "leaves are the oldest."
    )
    assert answer != "c", (
        "The heap only finds the youngest quickly. That this order is "
        "right is due to time."
    )
    assert answer == "a", "Answer with one of the letters."


# %% tags=["solution"]
# So everything computed from a value is younger, and is taken before it.
answer = "a"

# %% tags=["misconception"]
# It is the other way round: the youngest is the loss, and the leaves are
# the oldest.
answer = "b"

# %% tags=["misconception"]
# The heap only finds the youngest quickly. That this order is right is due
# to time.
answer = "c"
