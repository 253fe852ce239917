# %% [markdown]
# # Write your own layer and optimizer
#
# **What does a layer need, so that it can be trained?** Less than you might think. You will write
# two layers that the package does not have, layer normalisation and a convolution, and an
# optimizer, *Lion*. Together they will read digits.
#
# *You will be able to*: write a module and have its gradients without deriving them, turn a
# convolution into a matrix product and differentiate it, and add an update rule that can be saved
# and continued. *You need*: [the linear layer](../derivations/linear.md),
# [optimizers](../derivations/optimizers.md), [your own op](04-own-op.md). *Time*: 60 minutes.
#
# ## A layer is attributes plus `forward`
#
# Layer normalisation ([Ba, Kiros and Hinton 2016](https://doi.org/10.48550/arXiv.1607.06450))
# shifts and scales each row to mean 0 and variance 1. Then every column is multiplied by a weight
# and given a bias, which training may choose. First the mathematics, as a function:

# %%
import numpy as np

from tinygrad_mnist import nn, no_grad, optim, tensor
from tinygrad_mnist.autodiff import gradcheck, gradgradcheck
from tinygrad_mnist.evaluation import plots


def layer_norm(x, weight, bias, eps=1e-5):
    distance = x - x.mean(axis=-1, keepdims=True)
    spread = np.sqrt(x.var(axis=-1, keepdims=True) + eps)
    return distance / spread * weight + bias


x = tensor([[1.0, 2.0, 3.0, 6.0], [50.0, 50.0, 10.0, 90.0]])
layer_norm(x, weight=1, bias=0)

# %% [markdown]
# By hand, the first row has the mean 3 and the distances -2, -1, 0 and 3. Their squares have the
# mean 14 / 4. So the row should be the distances divided by $\sqrt{3.5}$:

# %%
np.array([-2, -1, 0, 3]) / np.sqrt(3.5)

# %% [markdown]
# `eps` is there for rows whose elements are all equal. Now the layer. A `Parameter` that is an
# attribute is found by `parameters()`, and that is all the bookkeeping there is:


# %%
class LayerNorm(nn.Module):
    def __init__(self, features):
        self.weight = nn.Parameter(np.ones(features, np.float32))
        self.bias = nn.Parameter(np.zeros(features, np.float32))

    def forward(self, x):
        return layer_norm(x, self.weight, self.bias)


LayerNorm(4)

# %% [markdown]
# What about the derivative? There is nothing to write. The function is made of ops, the tape
# records them, and each has its rule. Here is what was recorded, from the inputs to the result. The
# rows take three paths: into their means, into their variances, and into the distances.

# %%
x.requires_grad = True
LayerNorm(4)(x).graph()

# %% [markdown]
# But is the gradient right, through a mean and a variance that depend on every element of the row?
# The checker compares it with central differences, and then does the same with the gradient of the
# gradient:

# %%
rng = np.random.default_rng(0)
inputs = [rng.normal(size=(3, 4)), rng.normal(size=4), rng.normal(size=4)]
gradcheck(layer_norm, inputs), gradgradcheck(layer_norm, inputs)

# %% [markdown]
# The usual mistake is another one. An array instead of a `Parameter` computes the same, and is
# never trained:


# %%
class Forgetful(LayerNorm):
    def __init__(self, features):
        self.weight = np.ones(features, np.float32)
        self.bias = np.zeros(features, np.float32)


try:
    optim.SGD(Forgetful(4).parameters(), lr=0.1)
except ValueError as error:
    print(error)

# %% [markdown]
# ## A convolution is a matrix product
#
# A convolution has a small filter, here of 3 × 3 weights. We lay it on the image at every place,
# and each time it gives one number: the weights times the pixels under it, added up. To get all
# these numbers at once, we write the pixels under it as a row. Let us do it with an image whose
# pixels are their own numbers:

# %%
pixels = np.arange(16).reshape(4, 4)
windows = np.lib.stride_tricks.sliding_window_view(pixels, (3, 3))
rows = windows.reshape(4, 9)

# %% [markdown]
# The window fits in at four places, so there are four rows. In the picture each place has a colour:

# %%
#| On the left, sixteen numbered pixels, with four square frames of 3 by 3 at
#| the four places. On the right, four rows of nine numbers, one row per place:
#| the pixels of its frame. Pixel 5 lies in all four frames, and is marked once
#| in each row.
plots.windows(pixels, rows, marked=5)

# %% [markdown]
# The filter, as a column of 9 weights, is multiplied with these rows. That gives four numbers, one
# for each place. Eight filters are a matrix with eight columns. So a convolution is a linear layer,
# once the rows are there, and **laying out the rows is all that needs a derivative of its own.**
# This layout is called *im2col*; PyTorch calls it `unfold`.
#
# ## The op, and its way back
#
# Forward, pixels are copied: pixel 5, the dark one, goes into all four rows. Backward, a gradient
# arrives at every copy. All of them belong to the same pixel, so we add them. That is an op, too,
# `fold`. And on the way back through `fold` we copy again. Each of the two is the other's
# derivative:


# %%
from tinygrad_mnist.autodiff import GradcheckError, op, ops


def places(length, size, stride):
    """The number of positions at which a window fits."""
    return len(range(0, length - size + 1, stride))


@op
def unfold(x, *, size, stride=1):
    """Every window as a row: (n, c, h, w) -> (n h' w', c size size)."""
    view = np.lib.stride_tricks.sliding_window_view(x, (size, size), (2, 3))
    view = view[:, :, ::stride, ::stride]  # (n, c, h', w', size, size)
    return view.transpose(0, 2, 3, 1, 4, 5).reshape(-1, x.shape[1] * size**2)


@op
def fold(rows, *, shape, size, stride=1):
    """Add every row back to the pixels that it was copied from."""
    n, c, *picture = shape
    h, w = (places(length, size, stride) for length in picture)
    view = rows.reshape(n, h, w, c, size, size).transpose(0, 3, 1, 2, 4, 5)
    out = np.zeros(shape, rows.dtype)
    for i, j in np.ndindex(size, size):
        down, along = (
            slice(i, i + stride * h, stride),
            slice(j, j + stride * w, stride),
        )
        out[:, :, down, along] += view[..., i, j]
    return out


def unfold_rule(g, out, x, **settings):
    return fold(g, shape=x.shape, **settings)


def fold_rule(g, out, rows, shape, **settings):
    return unfold(g, **settings)


unfold.vjp(unfold_rule)
fold.vjp(fold_rule)

image = rng.normal(size=(2, 3, 6, 5))
check_me = lambda x: unfold(x, size=3, stride=2)
gradcheck(check_me, [image]), gradgradcheck(check_me, [image])

# %% [markdown]
# Into how many rows does each pixel of a 4 × 4 image go? Start with a gradient of 1 everywhere, and
# the sums tell us:

# %%
x = tensor(np.zeros((1, 1, 4, 4)), requires_grad=True)
unfold(x, size=3).sum().backward()
x.grad.data[0, 0]

# %% [markdown]
# The corner pixels are in one window, those in the middle in four. It is easy to write `=` instead
# of `+=`, so that the last window wins. Let us see whether that is caught:


# %%
def last_wins(g, out, x, size):
    windows = g.reshape(1, 2, 2, 1, size, size)
    dx = np.zeros(x.shape)
    for i, j in np.ndindex(2, 2):
        dx[:, :, i : i + size, j : j + size] = windows[:, i, j]
    return dx


wrong = op(unfold.forward, name="wrong").vjp(last_wins)
try:
    gradcheck(lambda x: wrong(x, size=3), [rng.normal(size=(1, 1, 4, 4))])
except GradcheckError as error:
    print(error)

# %% [markdown]
# The package has such a pair already, `ops.sliding_windows` and `ops.overlap_add`; they leave the
# windows as windows. With them, the [how-to on layers](../howto/new-layer.md) writes a `Conv2d` in
# PyTorch's layout, with padding, and pooling. Do ours and theirs agree?

# %%
theirs = ops.sliding_windows(image, window=(3, 3)).transpose(0, 2, 3, 1, 4, 5)
np.array_equal(unfold(image, size=3), theirs.reshape(-1, 27))

# %% [markdown]
# ## The layer
#
# Rows, a linear layer, and the result put back into the form of pictures, one for each filter. The
# weights are a matrix, so the rule for [initial weights](../derivations/initialisation.md) finds
# the fan-in by itself.


# %%
def conv2d(x, weight, bias, size, stride=1):
    """(n, in, h, w) -> (n, out, h', w'); weight is (in size size, out)."""
    n, _, *picture = x.shape
    h, w = (places(length, size, stride) for length in picture)
    out = ops.linear(unfold(x, size=size, stride=stride), weight, bias)
    return out.reshape(n, h, w, -1).transpose(0, 3, 1, 2)


class Conv2d(nn.Module):
    def __init__(self, inputs, filters, size, stride=1, *, rng):
        self.size, self.stride = size, stride
        weight = np.empty((inputs * size**2, filters), np.float32)
        self.weight = nn.Parameter(weight)
        self.bias = nn.Parameter(np.zeros(filters, np.float32))
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu", rng=rng)

    def forward(self, x):
        return conv2d(x, self.weight, self.bias, self.size, self.stride)


strided = lambda x, weight, bias: conv2d(x, weight, bias, size=3, stride=2)
inputs = [image, rng.normal(size=(27, 4)), rng.normal(size=4)]
gradcheck(strided, inputs), gradgradcheck(strided, inputs)

# %% [markdown]
# ## Train it
#
# Now let us put everything together: two convolutions, our `LayerNorm`, and a linear layer. The
# filters of the first convolution are 6 × 6 pixels large and move by 2 pixels, so a digit of 28 ×
# 28 becomes 8 pictures of 12 × 12. They begin very small, because we want to look at them later:
# what they learn should not be hidden under what they were.

# %%
from tinygrad_mnist.data import load_mnist, minibatches, split

images, labels = load_mnist()
images = images.reshape(-1, 1, 28, 28)
training, held_out = split(6000, 1 / 3, np.random.default_rng(0))


def network(seed=0):
    rng = np.random.default_rng(seed)
    model = nn.Sequential(
        Conv2d(1, 8, size=6, stride=2, rng=rng),
        nn.ReLU(),
        Conv2d(8, 16, size=4, stride=2, rng=rng),
        nn.ReLU(),
        nn.Flatten(),
        LayerNorm(16 * 5 * 5),
        nn.Linear(16 * 5 * 5, 10, rng=rng),
    )
    model[0].weight.data *= 0.2
    return model


network()

# %% [markdown]
# The loop is the usual one. It takes any model and any optimizer:

# %%
loss_fn = nn.CrossEntropyLoss()


def train(model, optimizer, epochs=4, seed=1):
    """Train, and return the loss of each step."""
    rng = np.random.default_rng(seed)
    losses = []
    for _ in range(epochs):
        for batch in minibatches(len(training), 50, rng):
            pick = training[batch]
            loss = loss_fn(model(images[pick]), labels[pick])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    return losses


def accuracy(model):
    """The share of the held-out images that are read correctly."""
    with no_grad():
        answers = model(images[held_out]).argmax(axis=1)
    return float((answers.numpy() == labels[held_out]).mean())


model = network()
untrained = model[0].weight.data.copy()
sgd = optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
losses = {"SGD": train(model, sgd)}
print(f"{accuracy(model):.1%} of {len(held_out)} held-out images are read")

# %% [markdown]
# Is that because of the convolution? For comparison, here is a fully connected network with more
# parameters, trained in the same way:

# %%
rng = np.random.default_rng(0)
dense = nn.Sequential(nn.Flatten(), nn.MLP((784, 16, 10), "relu", rng=rng))
train(dense, optim.SGD(dense.parameters(), lr=0.05, momentum=0.9))
for name, net in (("convolutions", model), ("fully connected", dense)):
    count = sum(p.size for p in net.parameters())
    print(f"{name:15}  {count:6,} parameters  {accuracy(net):.1%}")

# %% [markdown]
# A filter that has learned to find a stroke finds it everywhere, since it has the same weights at
# every place. A fully connected unit has to learn it anew for each place.
#
# What are the filters? Each column of the weight matrix is a little image. And what do they see?
# The third row shows what the trained filters make of the digit on the left, after ReLU:

# %%
#| Two rows of eight kernels. Above, at the start: noise. Below, trained: light
#| and dark sides that meet at an edge.
kernels = [*untrained.T, *model[0].weight.data.T]
titles = ["start"] * 8 + ["trained"] * 8
plots.images(kernels, titles, columns=8, signed=True)

# %%
#| At the head. A handwritten 3, and what eight trained kernels see of it: in
#| each picture other strokes of the 3, and in some of them nearly nothing.
three = images[held_out[labels[held_out] == 3][:1]]
with no_grad():
    seen = np.maximum(model[0](three).numpy()[0], 0)
plots.images([three[0, 0], *seen], columns=9)

# %% [markdown]
# Blue weights are positive, red ones negative. At the start they are noise. In most, training
# made patches of one sign, side by side: such a filter answers to a stroke, or to its edge, in one
# direction. Where a picture is empty, the filter has nothing to say about this digit.
#
# ## An optimizer is one method
#
# An optimizer is given a parameter, its gradient, the settings, and a dict in which to keep what it
# wants to remember. *Lion* ([Chen and others 2023](https://doi.org/10.48550/arXiv.2302.06675))
# blends a running mean $m$ of the gradients with the newest gradient $g$, and takes only the sign
# of that. So each weight moves by exactly the learning rate, up or down:
#
# $$p \leftarrow p - \eta \, \mathrm{sign}\big(\beta_1 m + (1 - \beta_1) g\big)$$
#
# $$m \leftarrow \beta_2 m + (1 - \beta_2) g$$


# %%
class Lion(optim.Optimizer):
    remembers = ("exp_avg",)  # the entries of state that have to be saved

    def __init__(self, params, lr=1e-3, betas=(0.9, 0.99)):
        super().__init__(params, {"lr": lr, "betas": betas})

    def update(self, p, g, group, state):
        m = state.setdefault("exp_avg", np.zeros_like(p.data))
        beta1, beta2 = group["betas"]
        p.data -= group["lr"] * np.sign(beta1 * m + (1 - beta1) * g)
        m *= beta2
        m += (1 - beta2) * g


p = tensor([1.0, 1.0, 1.0], requires_grad=True)
lion = Lion([p], lr=0.25)
(p * np.array([1e-6, -3.0, 500.0])).sum().backward()
lion.step()
p

# %% [markdown]
# Gradients of three very different sizes, and three steps of the same length. Note that
# `p.data -= ...` writes the whole array: the tape notices that, and refuses to go back through
# values that are gone.
#
# And if `g` is 0? Before the first step $m$ is 0 as well, so the sign is 0 and the weight waits.
# Later it does not wait: the sign is that of $m$, and the weight goes on in the old direction.
#
# Lion takes the place of SGD in the same loop. Adam comes along for comparison:

# %%
#| The loss over the steps, on a logarithmic scale, for SGD, Adam and Lion. All
#| three curves fall steeply at first, and flatter later.
read = {"SGD": accuracy(model)}
for name, make, lr in (("Adam", optim.Adam, 0.003), ("Lion", Lion, 0.001)):
    model = network()
    optimizer = make(model.parameters(), lr=lr)
    losses[name] = train(model, optimizer)
    read[name] = accuracy(model)
print(", ".join(f"{name}: {part:.1%}" for name, part in read.items()))

plots.curves(losses, mean=15, log=True)

# %% [markdown]
# All three arrive. How they rank depends on the learning rates, and one run each proves nothing. We
# gave Lion a smaller learning rate than Adam on purpose: each of its steps has the full length,
# while Adam's are shorter for weights whose gradients disagree.
#
# ## It can be saved
#
# Groups of parameters, `state_dict`, and schedules for the learning rate are inherited. Let us take
# ten more steps, and the same ten again from a copy. Do the weights agree in every bit?

# %%
copy = network()
copy.load_state_dict(model.state_dict())
resumed = Lion(copy.parameters())
resumed.load_state_dict(optimizer.state_dict())

for net, rule in ((model, optimizer), (copy, resumed)):
    for pick in training[:500].reshape(10, 50):
        rule.zero_grad()
        loss_fn(net(images[pick]), labels[pick]).backward()
        rule.step()
same = zip(model.parameters(), copy.parameters(), strict=True)
all(np.array_equal(p.data, q.data) for p, q in same)

# %% [markdown]
# ## Exercises

# %% [markdown] exercise="own-layer.layer-norm-gradient"
# ### Exercise 1: layer normalisation on paper
#
# The tape found the gradient of `layer_norm`. On paper it is the following, where $s$ is the spread
# of a row, $y$ the row after it was shifted and scaled, and $h$ the gradient that arrives at $y$:
#
# $$dx = \frac{1}{s} \Big( h - \mathrm{mean}(h) - y \cdot \mathrm{mean}(h \odot y) \Big)$$
#
# The means are taken over the row. Write $dx$ as a function of $g$, the gradient that arrives at
# the output, and of the inputs.


# %% tags=["stub"]
def input_gradient(g, x, weight, eps):
    return None  # your turn


# %% [markdown] tags=["hint"]
# First what the formula names: `s` and `y`, as in `layer_norm`. Then `h`: the output is `y` times
# `weight` plus a bias, so what arrives at `y`?

# %% [markdown] tags=["hint"]
# Every mean is one number per row, which meets a whole row: `mean(axis=-1, keepdims=True)`.


# %% tags=["check"]
def check(input_gradient):
    def tape(g, x, weight=1.0, eps=0.5):
        x = tensor(x, requires_grad=True)
        layer_norm(x, weight, 0.0, eps).backward(g)
        return x.grad.data

    draw = np.random.default_rng(5)
    x, g, weight = (
        draw.normal(3, 2, (4, 7)),
        draw.normal(size=(4, 7)),
        draw.uniform(1, 2, 7),
    )
    found, right, h = (
        input_gradient(g, x, weight, 0.5),
        tape(g, x, weight),
        g * weight,
    )
    assert found is not None, (
        "Nothing was returned: return an array of the shape of x."
    )
    assert np.shape(found) == (4, 7), (
        "dx has the shape of x: keep the axis of a mean (keepdims)."
    )
    y, s = (
        layer_norm(x, 1.0, 0.0, 0.5),
        np.sqrt(x.var(axis=1, keepdims=True) + 0.5),
    )
    along = y * (h * y).mean(axis=1, keepdims=True) / s
    for wrong, sentence in (
        (
            tape(g, x),
            "h is what arrives at y: g times the weight, not g itself.",
        ),
        (
            right + along,
            "The last term is missing: the spread depends on x, too.",
        ),
        (
            right + h.mean(axis=1, keepdims=True) / s,
            "mean(h) is missing: the mean depends on x, too.",
        ),
        (
            tape(h.T, x.T).T,
            "The means run over the columns: each row is normalised, so axis=-1.",
        ),
        (
            tape(g, x, weight, 0.0),
            "eps is missing in the spread: s is sqrt(var + eps).",
        ),
    ):
        assert not np.allclose(found, wrong), sentence
    assert np.allclose(found, right), (
        "That is not the gradient that the tape finds."
    )


# %% tags=["solution"]
def input_gradient(g, x, weight, eps):
    def mean(values):
        return values.mean(axis=-1, keepdims=True)

    s = np.sqrt(x.var(axis=-1, keepdims=True) + eps)
    y = (x - mean(x)) / s
    h = g * weight
    return (h - mean(h) - y * mean(h * y)) / s


# %% tags=["misconception"]
# h is what arrives at y: g times the weight, not g itself.
def input_gradient(g, x, weight, eps):
    def mean(values):
        return values.mean(axis=-1, keepdims=True)

    s = np.sqrt(x.var(axis=-1, keepdims=True) + eps)
    y = (x - mean(x)) / s
    return (g - mean(g) - y * mean(g * y)) / s


# %% tags=["misconception"]
# The last term is missing: the spread depends on x, too.
def input_gradient(g, x, weight, eps):
    s = np.sqrt(x.var(axis=-1, keepdims=True) + eps)
    h = g * weight
    return (h - h.mean(axis=-1, keepdims=True)) / s


# %% tags=["misconception"]
# mean(h) is missing: the mean depends on x, too.
def input_gradient(g, x, weight, eps):
    s = np.sqrt(x.var(axis=-1, keepdims=True) + eps)
    y = (x - x.mean(axis=-1, keepdims=True)) / s
    h = g * weight
    return (h - y * (h * y).mean(axis=-1, keepdims=True)) / s


# %% tags=["misconception"]
# The means run over the columns: each row is normalised, so axis=-1.
def input_gradient(g, x, weight, eps):
    s = np.sqrt(x.var(axis=0) + eps)
    y = (x - x.mean(axis=0)) / s
    h = g * weight
    return (h - h.mean(axis=0) - y * (h * y).mean(axis=0)) / s


# %% tags=["misconception"]
# eps is missing in the spread: s is sqrt(var + eps).
def input_gradient(g, x, weight, eps):
    def mean(values):
        return values.mean(axis=-1, keepdims=True)

    s = x.std(axis=-1, keepdims=True)
    y = (x - mean(x)) / s
    h = g * weight
    return (h - mean(h) - y * mean(h * y)) / s


# %% [markdown] exercise="own-layer.number-of-places"
# ### Exercise 2: how many places?
#
# `places` above counts. Write it as a formula: a window of `size` pixels on a line of `length`
# pixels, moved by `stride`.


# %% tags=["stub"]
def number_of_places(length, size, stride):
    return None  # your turn


# %% [markdown] tags=["hint"]
# The window begins at pixel 0. How far can it move until its end meets the end of the line?

# %% [markdown] tags=["hint"]
# It can move by `length - size` pixels. How many whole strides is that, and what about the place
# where it began?


# %% tags=["check"]
def check(number_of_places):
    cases = ((28, 6, 2), (12, 4, 2), (9, 9, 5), (28, 5, 3))
    found = [number_of_places(*case) for case in cases]
    assert found != [None] * 4, "Nothing was returned: return a number."
    n, k, s = np.array(cases).T
    for wrong, sentence in (
        (
            (n - k) // s,
            "One is missing: the place where the window begins counts.",
        ),
        (
            (n - k) / s + 1,
            "A stride that does not fit does not count: // drops it.",
        ),
        (
            (n - k + 1) // s,
            "The 1 is not a pixel but a place: add it at the end.",
        ),
        (n // s, "The window has a width: it can move by length - size only."),
    ):
        assert not np.allclose(found, wrong), sentence
    for (length, size, stride), said in zip(cases, found, strict=True):
        right = places(length, size, stride)
        assert said == right, (
            f"length {length}, size {size}, stride {stride}: {right} places, not {said}."
        )


# %% tags=["solution"]
def number_of_places(length, size, stride):
    return (length - size) // stride + 1


# %% tags=["misconception"]
# One is missing: the place where the window begins counts.
def number_of_places(length, size, stride):
    return (length - size) // stride


# %% tags=["misconception"]
# A stride that does not fit does not count: // drops it.
def number_of_places(length, size, stride):
    return (length - size) / stride + 1


# %% tags=["misconception"]
# The 1 is not a pixel but a place: add it at the end.
def number_of_places(length, size, stride):
    return (length - size + 1) // stride


# %% tags=["misconception"]
# The window has a width: it can move by length - size only.
def number_of_places(length, size, stride):
    return length // stride


# %% [markdown] exercise="own-layer.adagrad"
# ### Exercise 3: AdaGrad
#
# AdaGrad (Duchi and others, [*JMLR* 12, 2011](https://jmlr.org/papers/v12/duchi11a.html)) gives
# each weight its own learning rate. It keeps the sum $v$ of all squared gradients, the present one
# included, and steps by $\eta\, g / (\sqrt v + \epsilon)$. Write its `update`. Keep $v$ in
# `state["sum"]`; the settings are `lr` and `eps`.


# %% tags=["stub"]
def adagrad(p, g, group, state):
    return None  # your turn


# %% [markdown] tags=["hint"]
# `update` of `Lion` has the same parts: get what is remembered with `state.setdefault`, move
# `p.data`, and write the new memory. Here the memory comes first.

# %% [markdown] tags=["hint"]
# `v += g * g` changes the array that is kept in `state`. The step divides by `np.sqrt(v)` plus
# `group["eps"]`.


# %% tags=["check"]
def check(adagrad):
    class AdaGrad(optim.Optimizer):
        remembers = ("sum",)

        def update(self, p, g, group, state):
            adagrad(p, g, group, state)

    draw = np.random.default_rng(6)
    start, gradients = draw.normal(size=(2, 3)), draw.normal(size=(3, 2, 3))
    p = tensor(start, requires_grad=True)
    optimizer = AdaGrad([p], {"lr": 0.3, "eps": 0.2})
    for g in gradients:
        optimizer.zero_grad()
        (p * g).sum().backward()
        optimizer.step()
    assert "sum" in optimizer.state[0], 'Nothing is kept in state["sum"].'
    total, kept = np.cumsum(gradients**2, axis=0), optimizer.state[0]["sum"]
    assert not np.allclose(kept, gradients[-1] ** 2), (
        "Only the last square is kept: add it to those before."
    )
    assert np.allclose(kept, total[-1]), (
        'state["sum"] is not the sum of all squared gradients.'
    )
    moved, roots = p.data - start, np.sqrt(total)
    before = np.sqrt(total - gradients**2)  # without the present gradient
    for wrong, sentence in (
        (
            gradients / (roots + 0.2),
            "The step goes uphill: subtract it from p.data.",
        ),
        (
            -gradients / (total + 0.2),
            "The root is missing: divide by sqrt(v) + eps.",
        ),
        (
            -gradients / np.sqrt(total + 0.2),
            "eps does not belong under the root: sqrt(v) + eps.",
        ),
        (
            -gradients / (before + 0.2),
            "The step uses the old sum: add g² before you move p.",
        ),
    ):
        assert not np.allclose(moved, 0.3 * wrong.sum(axis=0)), sentence
    right = -(0.3 * gradients / (roots + 0.2)).sum(axis=0)
    assert np.allclose(moved, right), "The sum is right, but the steps are not."


# %% tags=["solution"]
def adagrad(p, g, group, state):
    v = state.setdefault("sum", np.zeros_like(p.data))
    v += g * g
    p.data -= group["lr"] * g / (np.sqrt(v) + group["eps"])


# %% tags=["misconception"]
# Only the last square is kept: add it to those before.
def adagrad(p, g, group, state):
    state["sum"] = g * g
    p.data -= group["lr"] * g / (np.sqrt(state["sum"]) + group["eps"])


# %% tags=["misconception"]
# The root is missing: divide by sqrt(v) + eps.
def adagrad(p, g, group, state):
    v = state.setdefault("sum", np.zeros_like(p.data))
    v += g * g
    p.data -= group["lr"] * g / (v + group["eps"])


# %% tags=["misconception"]
# eps does not belong under the root: sqrt(v) + eps.
def adagrad(p, g, group, state):
    v = state.setdefault("sum", np.zeros_like(p.data))
    v += g * g
    p.data -= group["lr"] * g / np.sqrt(v + group["eps"])


# %% tags=["misconception"]
# The step uses the old sum: add g² before you move p.
def adagrad(p, g, group, state):
    v = state.setdefault("sum", np.zeros_like(p.data))
    p.data -= group["lr"] * g / (np.sqrt(v) + group["eps"])
    v += g * g


# %% tags=["misconception"]
# The step goes uphill: subtract it from p.data.
def adagrad(p, g, group, state):
    v = state.setdefault("sum", np.zeros_like(p.data))
    v += g * g
    p.data += group["lr"] * g / (np.sqrt(v) + group["eps"])
