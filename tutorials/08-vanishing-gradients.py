# %% [markdown]
# # Vanishing gradients, layer by layer
#
# **Why does a deep network of sigmoids learn nothing?** Eight hidden layers should be able to do
# more than one. We will ask the tape for the gradient at every layer, see it fade away, predict by
# how much, and try four cures.
#
# *You will be able to*: measure the gradient inside a network, predict what a layer does to it, and
# say what each of the four cures changes in that prediction. *You need*:
# [activations](../derivations/activations.md), [initialisation](../derivations/initialisation.md).
# *Time*: 45 minutes.
#
# ## The patient
#
# Eight hidden layers of 64 sigmoid units, with Xavier's initial weights, as in the textbooks. A
# layer is a module of its own, so that we can put something else in its place later.

# %%
import numpy as np

from tinygrad_mnist import grad, nn, no_grad, optim, tensor
from tinygrad_mnist.autodiff import ops
from tinygrad_mnist.data import load_mnist, minibatches, split
from tinygrad_mnist.evaluation import plots

images, labels = load_mnist()
training, held_out = split(8000, 1 / 4, np.random.default_rng(0))
loss_fn = nn.CrossEntropyLoss()


class Layer(nn.Module):
    """A linear map and an activation function."""

    activation = staticmethod(ops.sigmoid)
    gain = 1.0  # the factor by which the weights exceed Xavier's

    def __init__(self, n, m, rng):
        self.linear = nn.Linear(n, m, rng=rng)
        nn.init.xavier_uniform_(self.linear.weight, self.gain, rng=rng)
        nn.init.zeros_(self.linear.bias)

    def forward(self, x):
        return self.activation(self.linear(x))


def deep(layer):
    """Eight hidden layers of the same kind, and a linear one at the end."""
    rng = np.random.default_rng(0)
    hidden = [layer(784 if k == 0 else 64, 64, rng) for k in range(8)]
    return nn.Sequential(*hidden, nn.Linear(64, 10, rng=rng))


def train(model, optimizer=None, epochs=4):
    """Train, and return the loss of each step."""
    optimizer = optimizer or optim.SGD(
        model.parameters(), lr=0.03, momentum=0.9
    )
    rng = np.random.default_rng(1)
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


model = deep(Layer)
last = np.mean(train(model)[-50:])
print(
    f"loss {last:.2f}, log(10) = {np.log(10):.2f}, "
    f"held out {accuracy(model):.1%}"
)

# %% [markdown]
# A network that gives every digit probability 1/10 has loss $\log 10$. Ours has learned nothing but
# that.
#
# ## Ask the tape
#
# Let us begin anew, with 500 images, and take no step. How large are the gradients of each layer's
# weights? We take the root of their mean square.


# %%
#| The size of the gradient in layers 1 to 9, on a logarithmic scale. It rises
#| steadily from layer to layer: the first layer receives more than ten thousand
#| times less than the last.
def size(array):
    """The root of the mean square."""
    return float(np.sqrt(np.mean(array**2)))


x, y = images[training[:500]], labels[training[:500]]
model = deep(Layer)
loss_fn(model(x), y).backward()
sizes = [size(p.grad.data) for p in model.parameters() if p.ndim == 2]

by_layer = {"xlabel": "layer", "log": True, "points": True}
plots.curves({"gradient": sizes}, ylabel="size of its gradient", **by_layer)

# %% [markdown]
# The scale is logarithmic, and the points lie on a line. On the way back to the input, every layer
# gets a fraction of what the layer after it got, and always about the same fraction. The first
# layers, which see the image, hardly move. (Layer 9 is the output. It has no sigmoid after it, so
# it does not lie on the line.)
#
# ## Which fraction?
#
# Weights get their gradient from that of their layer's output $A$. So let us follow the latter
# through the network. The tape gives it for any tensor, not only for parameters:


# %%
def follow(model):
    """The output of each module, and its gradient."""
    outputs, h = [], x
    for module in model:
        h = module(h)
        outputs.append(h)
    return outputs, grad(loss_fn(h, y), outputs)


def factors(model):
    """What is left of the gradient from one hidden layer to the one before."""
    _, gradients = follow(model)
    sizes = np.array([size(g.data) for g in gradients[:-1]])
    return sizes[:-1] / sizes[1:]


factors(deep(Layer)).round(2)

# %% [markdown]
# A little less than 1/4, in every layer. Where does that come from? The way back through one layer
# is
#
# $$dA_{k-1} = \big(dA_k \odot \sigma'(Z_k)\big) \, W_k^\top$$
#
# Two things happen. First, every element is multiplied by a slope of the sigmoid, which is at most
# 1/4. Second, sums of $m$ elements are taken, with random weights. The page on initialisation says
# that this multiplies the mean square by $m \,\mathrm{Var}(w)$. So it multiplies the size by
# $\sqrt{m \,\mathrm{Var}(w)}$, and Xavier made that 1. Our prediction is
#
# $$\text{factor} \approx
# \sqrt{\mathrm{mean}\big(\sigma'(Z)^2\big)} \cdot \sqrt{m \,\mathrm{Var}(w)}$$
#
# Here the weights have mean 0, so their variance is their mean square. Compare:

# %%
outputs, _ = follow(model)
predicted = []
for before, layer in zip(outputs, list(model)[1:8], strict=False):
    slope = ops.sigmoid_slope(layer.linear(before).data)
    W = layer.linear.weight.data
    predicted.append(size(slope) * np.sqrt(W.shape[1]) * size(W))
print("predicted", np.round(predicted, 2))
print("measured ", factors(model).round(2))

# %% [markdown]
# That is the whole story. The gradient goes through a product of such factors, and a power of 1/4
# is soon very small. This is what is left of it after the seven layers from the last to the first:

# %%
print(f"measured {np.prod(factors(model)):.1e}, (1/4)^7 = {0.25**7:.1e}")

# %% [markdown]
# ## The same from the front
#
# Would it help to multiply the small gradients by something? Not much, since they are only half of
# the trouble. On the way forward, the difference between two images is multiplied by the same
# slopes and the same weights, so it fades, too. How much do the outputs of a unit differ from image
# to image?

# %%
#| The spread of the activations over the images in layers 1 to 8, on a
#| logarithmic scale. It falls with depth, along a dashed line that loses a
#| factor of 4 per layer.
spread = [out.data.std(axis=0).mean() for out in outputs[:-1]]

quarters = spread[0] * 0.25 ** np.arange(8)
named = {"sigmoid": spread, "1/4 a layer": quarters}
plots.curves(named, ylabel="spread over images", **by_layer)

# %% [markdown]
# Whatever the image, the last layer is shown the same numbers, up to a tiny difference. All it can
# learn from them is how often each digit occurs.
#
# ## Cure 1: a steeper function
#
# The slope of tanh is 1 at 0, and near 0 Xavier's weights keep the size of what they are given.
# Prediction: a factor a little below 1. The initial weights are the same, and so is the training.


# %%
class Tanh(Layer):
    activation = staticmethod(ops.tanh)


losses, read, profile = {}, {}, {}


def treat(name, layer):
    """Record the gradients before the first step, then train."""
    model = deep(layer)
    _, gradients = follow(model)
    profile[name] = [size(g.data) for g in gradients[:-1]]
    factor = (profile[name][0] / profile[name][-1]) ** (1 / 7)
    losses[name] = train(model)
    read[name] = accuracy(model)
    last = np.mean(losses[name][-50:])
    print(f"factor {factor:.2f}, loss {last:.2f}, held out {read[name]:.1%}")


treat("tanh", Tanh)

# %% [markdown]
# (The factor is a mean, the seventh root of all seven together.) Here are the sigmoids once more,
# to have their numbers beside the others:

# %%
treat("sigmoid", Layer)

# %% [markdown]
# ## Cure 2: ReLU, and He's weights
#
# ReLU has the slope 1 for one half of all inputs, and 0 for the other. The root of the mean square
# is $\sqrt{1/2}$. He's rule makes the weights larger by $\sqrt 2$. Prediction: 1.


# %%
class ReLU(Layer):
    activation = staticmethod(ops.relu)
    gain = np.sqrt(2)


treat("ReLU", ReLU)

# %% [markdown]
# ## Cure 3: normalise
#
# Keep the sigmoid, and stretch what goes into it. *Batch normalisation* ([Ioffe and Szegedy
# 2015](https://doi.org/10.48550/arXiv.1502.03167)) brings every unit to mean 0 and variance 1 over
# the images of a batch, so the differences between images cannot fade. For such inputs a sigmoid's
# slope is about 1/5, and its outputs have a spread of about 1/5. Xavier's weights keep that spread,
# and the next layer divides by it, which multiplies the gradient by 5. Prediction: 1.


# %%
class Normalised(Layer):
    axis = 0  # over the images

    def __init__(self, n, m, rng):
        super().__init__(n, m, rng)
        self.scale = nn.Parameter(np.ones(m, np.float32))
        self.shift = nn.Parameter(np.zeros(m, np.float32))

    def forward(self, x):
        z = self.linear(x)
        z = z - z.mean(axis=self.axis, keepdims=True)
        z = z / np.sqrt(z.var(axis=self.axis, keepdims=True) + 1e-5)
        return self.activation(z * self.scale + self.shift)


treat("batch norm", Normalised)

# %% [markdown]
# (In use there may be a single image and no batch; the [how-to on layers](../howto/new-layer.md)
# keeps running averages for that. Here all held-out images are one batch.)
#
# *Layer normalisation* takes mean and variance over the units of one image. Is that as good?
# Predict, then look:


# %%
class OverUnits(Normalised):
    axis = 1


factors(deep(OverUnits)).round(2)

# %% [markdown]
# It helps, but not enough. The outputs of sigmoids are about 1/2 for every image. Xavier's weights
# turn that into a pattern with a spread of about 1/2 over the units, the same for all images. This
# pattern is what gets stretched, and the differences between images are small beside it. Divide the
# slope, 1/5, by 1/2, and the prediction is 0.4.
#
# ## Cure 4: a road around
#
# A *residual connection* ([He and others 2016](https://doi.org/10.1109/CVPR.2016.90)) adds what
# comes in to what comes out (we also subtract the 1/2 that a sigmoid adds). Now the gradient has
# two paths back: around the layer, where it is multiplied by 1, and through it, by 1/4. The two are
# nearly at right angles, since the weights are random. Prediction, by Pythagoras:
# $\sqrt{1 + 1/16}$, which is 1.03.


# %%
class Residual(Layer):
    def forward(self, x):
        out = super().forward(x) - 0.5
        return x + out if x.shape == out.shape else out


treat("residual", Residual)

# %% [markdown]
# ## All together
#
# Here are the gradients before the first step, and the loss during training. One more patient takes
# part: the sigmoids without any cure, but trained by Adam. Adam divides by the size of the
# gradients, so it does not care how small they are.

# %%
#| The gradient of each layer's output in layers 1 to 8, on a logarithmic scale,
#| for sigmoid, tanh, ReLU, batch norm and residual layers. The line of sigmoid
#| falls by orders of magnitude towards layer 1. The others stay nearly level.
model = deep(Layer)
adam = optim.Adam(model.parameters(), lr=0.002)
losses["sigmoid, Adam"] = train(model, adam)
read["sigmoid, Adam"] = accuracy(model)

plots.curves(profile, ylabel="gradient of its output", **by_layer)

# %%
#| At the head. The loss over the steps for six networks. With sigmoid it does
#| not leave its start at 2.3. With sigmoid and Adam it falls late and stays high. With tanh,
#| ReLU, batch norm and residual layers it falls quickly, to similar values.
plots.curves(losses, mean=30, ylim=(0, 2.5))
for name, part in read.items():
    print(f"{name:14} {part:6.1%}")

# %% [markdown]
# Any of the four cures is enough, and all of them do the same thing: they bring the factor close to
# 1. With Adam the sigmoids do move, but hardly know where to, because what reaches the later layers
# is nearly the same for all images. Large networks of today take several cures at once.
#
# ## Exercises

# %% [markdown] exercise="vanishing-gradients.factor"
# ### Exercise 1: the factor of a tanh layer
#
# Write the prediction for tanh. `z` are a layer's pre-activations, one example per row, and `W` its
# weights, $n$ inputs by $m$ units. The slope of tanh is $1 - \tanh^2 z$.


# %% tags=["stub"]
def factor(z, W):
    return None  # your turn


# %% [markdown] tags=["hint"]
# The prediction above is a product of two roots. Only the first one knows which activation function
# it is.

# %% [markdown] tags=["hint"]
# `size` takes the root of a mean square. Apply it to the slopes, and to the weights: what is still
# missing is $\sqrt m$.


# %% tags=["check"]
def check(factor):
    draw = np.random.default_rng(2)
    for n, m, spread in ((300, 500, 0.05), (600, 200, 0.1)):
        W = draw.normal(scale=spread, size=(n, m))
        a = tensor(draw.normal(size=(400, n)), requires_grad=True)
        z = a @ W
        g = draw.normal(size=(400, m))
        np.tanh(z).backward(g)
        measured = size(a.grad.data) / size(g)
        found, right = factor(z.data, W), measured
        assert found is not None, "Nothing was returned: return a number."
        t, s, w = np.tanh(z.data), ops.sigmoid_slope(z.data), size(W)
        for wrong, sentence in (
            (
                n**0.5 * w * size(1 - t**2),
                "The way back adds up over the m units, not the n inputs.",
            ),
            (
                m**0.5 * w * np.mean(1 - t**2),
                "Take the root of the mean square, not the mean slope.",
            ),
            (
                m**0.5 * w * size(s),
                "That is the slope of the sigmoid: tanh has 1 - tanh².",
            ),
            (
                m**0.5 * w * size(1 - t),
                "The square is missing: the slope is 1 - tanh².",
            ),
            (
                w * size(1 - t**2),
                "m is missing: each input receives a sum of m terms.",
            ),
            (
                m * (w * size(1 - t**2)) ** 2,
                "That is the square of the factor: take the root.",
            ),
        ):
            assert not np.isclose(found, wrong, rtol=1e-6), sentence
        assert abs(found / right - 1) < 0.05, (
            f"{n} inputs, {m} units: the factor is {right:.3g}, not {found:.3g}."
        )


# %% tags=["solution"]
def factor(z, W):
    slope = 1 - np.tanh(z) ** 2
    return np.sqrt(W.shape[1] * np.mean(slope**2) * np.mean(W**2))


# %% tags=["misconception"]
# The way back adds up over the m units, not the n inputs.
def factor(z, W):
    slope = 1 - np.tanh(z) ** 2
    return np.sqrt(W.shape[0] * np.mean(slope**2) * np.mean(W**2))


# %% tags=["misconception"]
# Take the root of the mean square, not the mean slope.
def factor(z, W):
    slope = 1 - np.tanh(z) ** 2
    return slope.mean() * np.sqrt(W.shape[1] * np.mean(W**2))


# %% tags=["misconception"]
# That is the slope of the sigmoid: tanh has 1 - tanh².
def factor(z, W):
    slope = ops.sigmoid_slope(z)
    return np.sqrt(W.shape[1] * np.mean(slope**2) * np.mean(W**2))


# %% tags=["misconception"]
# The square is missing: the slope is 1 - tanh².
def factor(z, W):
    slope = 1 - np.tanh(z)
    return np.sqrt(W.shape[1] * np.mean(slope**2) * np.mean(W**2))


# %% tags=["misconception"]
# m is missing: each input receives a sum of m terms.
def factor(z, W):
    slope = 1 - np.tanh(z) ** 2
    return np.sqrt(np.mean(slope**2) * np.mean(W**2))


# %% tags=["misconception"]
# That is the square of the factor: take the root.
def factor(z, W):
    slope = 1 - np.tanh(z) ** 2
    return W.shape[1] * np.mean(slope**2) * np.mean(W**2)


# %% [markdown] exercise="vanishing-gradients.depth"
# ### Exercise 2: how deep can it be?
#
# A network may be as deep as you like, as long as the factors of its layers are 1. If they are
# `factor`, below 1, how many layers does it take until less than `smallest` is left of the
# gradient?


# %% tags=["stub"]
def depth(factor, smallest):
    return None  # your turn


# %% [markdown] tags=["hint"]
# After $k$ layers, $\text{factor}^k$ is left. Take the logarithm of both sides; or count in a loop.

# %% [markdown] tags=["hint"]
# $\log(\text{smallest}) / \log(\text{factor})$ is where exactly `smallest` is left. Which is the
# next whole number beyond it?


# %% tags=["check"]
def check(depth):
    cases = ((0.25, 1.2e-7), (0.9, 1.2e-7), (0.41, 0.001), (0.5, 0.25))
    found = [depth(*case) for case in cases]
    assert found != [None] * 4, (
        "Nothing was returned. print only shows a number: use return."
    )
    exact = np.array(
        [np.log(smallest) / np.log(factor) for factor, smallest in cases]
    )
    for wrong, sentence in (
        (
            exact,
            "Layers are whole: which is the first whole number beyond your result?",
        ),
        (
            exact.astype(int),
            "One layer short: at that depth, at least `smallest` is still left.",
        ),
        (
            np.ceil(exact),
            "Two layers of 1/2 leave exactly 1/4, which is not less than 1/4 yet.",
        ),
        (
            (1 / exact).astype(int) + 1,
            "Upside down: divide log(smallest) by log(factor).",
        ),
    ):
        assert not np.allclose(found, wrong), sentence
    for (factor, smallest), said in zip(cases, found, strict=True):
        layers, left = 0, 1.0
        while left >= smallest:
            layers, left = layers + 1, left * factor
        assert said == layers, (
            f"With the factor {factor} it takes {layers} layers, not {said}."
        )


# %% tags=["solution"]
def depth(factor, smallest):
    return int(np.log(smallest) / np.log(factor)) + 1


# %% tags=["misconception"]
# Nothing was returned. print only shows a number: use return.
def depth(factor, smallest):
    print(int(np.log(smallest) / np.log(factor)) + 1)


# %% tags=["misconception"]
# Layers are whole: which is the first whole number beyond your result?
def depth(factor, smallest):
    return np.log(smallest) / np.log(factor)


# %% tags=["misconception"]
# One layer short: at that depth, at least `smallest` is still left.
def depth(factor, smallest):
    return int(np.log(smallest) / np.log(factor))


# %% tags=["misconception"]
# Two layers of 1/2 leave exactly 1/4, which is not less than 1/4 yet.
def depth(factor, smallest):
    return int(np.ceil(np.log(smallest) / np.log(factor)))


# %% tags=["misconception"]
# Upside down: divide log(smallest) by log(factor).
def depth(factor, smallest):
    return int(np.log(factor) / np.log(smallest)) + 1


# %% [markdown] exercise="vanishing-gradients.growth"
# ### Exercise 3: a hundred residual layers
#
# A factor a little above 1 is no harm in eight layers. With layers $x + a f(x)$, where $f$ alone
# has the factor $q$, by how much has the gradient grown after `layers` of them? (Then try
# $a = 1 / \sqrt{\text{layers}}$, and let the layers be many.)


# %% tags=["stub"]
def growth(a, q, layers):
    return None  # your turn


# %% [markdown] tags=["hint"]
# One layer first: around it the gradient is multiplied by 1, through it by $a q$. The two parts are
# at right angles, nearly. How long is their sum?

# %% [markdown] tags=["hint"]
# By Pythagoras, one layer makes the gradient longer by $\sqrt{1 + (a q)^2}$. The next layer does
# the same to the result.


# %% tags=["check"]
def check(growth):
    cases = ((1.0, 0.25, 8), (0.5, 1.2, 5), (0.1, 1.0, 100))
    found = [growth(*case) for case in cases]
    assert found != [None] * 3, "Nothing was returned: return a number."
    a, q, k = np.array(cases).T
    for wrong, sentence in (
        (
            (1 + a * q) ** k,
            "At right angles, lengths add by Pythagoras, not directly.",
        ),
        (
            (1 + (a * q) ** 2) ** k,
            "That is the square of the growth: take the root.",
        ),
        ((1 + a * q**2) ** (k / 2), "a belongs into the square, too: (a q)²."),
        (
            (1 + (a * q) ** 2) ** 0.5,
            "That is one layer: the next ones multiply on.",
        ),
        (
            k * (1 + (a * q) ** 2) ** 0.5,
            "Layers multiply the gradient: they do not add to it.",
        ),
        (
            (a * q) ** k,
            "The way around is missing: it passes the gradient unchanged.",
        ),
    ):
        assert not np.allclose(found, wrong), sentence
    draw, n = np.random.default_rng(3), 400
    for (a, q, layers), said in zip(cases, found, strict=True):
        g = start = draw.normal(size=n)
        for _ in range(layers):
            g = g + a * (g @ draw.normal(scale=q / np.sqrt(n), size=(n, n)))
        right = size(g) / size(start)
        assert abs(said / right - 1) < 0.15, (
            f"a = {a}, q = {q}, {layers} layers: it grew by {right:.2f}, not {said:.2f}."
        )


# %% tags=["solution"]
def growth(a, q, layers):
    return (1 + (a * q) ** 2) ** (layers / 2)


# %% tags=["misconception"]
# At right angles, lengths add by Pythagoras, not directly.
def growth(a, q, layers):
    return (1 + a * q) ** layers


# %% tags=["misconception"]
# That is the square of the growth: take the root.
def growth(a, q, layers):
    return (1 + (a * q) ** 2) ** layers


# %% tags=["misconception"]
# a belongs into the square, too: (a q)².
def growth(a, q, layers):
    return (1 + a * q**2) ** (layers / 2)


# %% tags=["misconception"]
# That is one layer: the next ones multiply on.
def growth(a, q, layers):
    return np.sqrt(1 + (a * q) ** 2)


# %% tags=["misconception"]
# Layers multiply the gradient: they do not add to it.
def growth(a, q, layers):
    return layers * np.sqrt(1 + (a * q) ** 2)


# %% tags=["misconception"]
# The way around is missing: it passes the gradient unchanged.
def growth(a, q, layers):
    return (a * q) ** layers
