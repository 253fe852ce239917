"""The equations of the page "Optimizers"."""

import numpy as np
from equations import Derivation, equal
from typeset import absolute, sqrt, total

from tinygrad_mnist import optim, tensor

page = Derivation(10, steps="t", T=4)
page.given("p0", positive=True)
page.given("eta", positive=True)
page.given("g", "T", step="t")


def below_one(rng, shape):
    """A part that stays, or a weight in an average."""
    return rng.choice(["1/4", "1/2", "9/10"])


def path(optimizer, start, gradients, **settings):
    """A parameter after each step of one of the package's optimizers, and what that remembers."""
    p = tensor(np.float64(start), requires_grad=True)
    made = optimizer([p], **settings)
    for g in gradients:
        p.grad = tensor(np.float64(g(p.item()) if callable(g) else g))
        made.step()
        yield p.item(), {name: float(value) for name, value in made.state[0].items()}


def descent(p0, g, eta):
    """The parameter after each step of SGD."""
    return [p for p, _ in path(optim.SGD, p0, g, lr=eta)]


@page.define("T", code=descent, step="t", start="p0")
def p(p, eta, g, t):
    return p[t - 1] - eta * g[t]


page.given("h", positive=True)


def on_a_parabola(p0, eta, h, T):
    """The parameter after each step, where the gradient is h times the parameter."""
    return [q for q, _ in path(optim.SGD, p0, [lambda q: h * q] * T, lr=eta)]


@page.define("T", code=on_a_parabola, step="t", start="p0")
def q(q, eta, h, t):
    return q[t - 1] - eta * h * q[t - 1]


@page.closed("q")
def power(q, eta, h, t):
    return (1 - eta * h) ** t * q[0]


page.given("mu", sample=below_one, positive=True)


def velocities(p0, g, eta, mu):
    """What SGD with momentum remembers after each step."""
    return [state["momentum_buffer"] for _, state in path(optim.SGD, p0, g, lr=eta, momentum=mu)]


@page.define("T", code=velocities, step="t", start=0)
def v(v, g, mu, t):
    return mu * v[t - 1] + g[t]


@page.closed("v")
def unrolled(g, mu, t):
    return total(lambda s: mu ** (t - s) * g[s], t, first=1)


@page.claim
def geometric(mu, t):
    powers = total(lambda s: mu ** (t - s), t, first=1)
    return equal(powers, (1 - mu**t) / (1 - mu))


def looks_ahead(p0, g, eta, mu):
    """The direction of each step of Nesterov's momentum."""
    after = [p for p, _ in path(optim.SGD, p0, g, lr=eta, momentum=mu, nesterov=True)]
    return -np.diff([p0, *after]) / eta


@page.define("T", code=looks_ahead, step="t")
def d(g, v, mu, t):
    return g[t] + mu * v[t]


page.given("beta1", sample=below_one, positive=True)
page.given("beta2", sample=below_one, positive=True)


def remembered(name):
    """What Adam remembers under a name after each step."""

    def code(p0, g, eta, beta1, beta2):
        return [state[name] for _, state in path(optim.Adam, p0, g, lr=eta, betas=(beta1, beta2))]

    return code


@page.define("T", code=remembered("exp_avg"), step="t", start=0)
def m(m, g, beta1, t):
    return beta1 * m[t - 1] + (1 - beta1) * g[t]


@page.define("T", code=remembered("exp_avg_sq"), step="t", start=0)
def s(s, g, beta2, t):
    return beta2 * s[t - 1] + (1 - beta2) * g[t] ** 2


@page.closed("m")
def average(g, beta1, t):
    def weighted(k):
        return (1 - beta1) * beta1 ** (t - k) * g[k]

    return total(weighted, t, first=1)


@page.claim
def weights(beta1, t):
    weights = total(lambda k: (1 - beta1) * beta1 ** (t - k), t, first=1)
    return equal(weights, 1 - beta1**t)


def corrected(name, beta):
    """A remembered average, divided by the sum of its weights."""

    def code(p0, g, eta, beta1, beta2):
        states = [state for _, state in path(optim.Adam, p0, g, lr=eta, betas=(beta1, beta2))]
        return [state[name] / (1 - (beta1, beta2)[beta] ** state["step"]) for state in states]

    return code


@page.define("T", code=corrected("exp_avg", 0), step="t")
def m_hat(m, beta1, t):
    return m[t] / (1 - beta1**t)


@page.define("T", code=corrected("exp_avg_sq", 1), step="t")
def s_hat(s, beta2, t):
    return s[t] / (1 - beta2**t)


page.given("epsilon", sample=lambda rng, shape: "1/100000000", positive=True)


def adam(p0, g, eta, beta1, beta2, epsilon):
    """The parameter after each step of Adam."""
    return [p for p, _ in path(optim.Adam, p0, g, lr=eta, betas=(beta1, beta2), eps=epsilon)]


@page.define("T", code=adam, symbol="p", step="t", start="p0")
def a(a, eta, m_hat, s_hat, epsilon, t):
    return a[t - 1] - eta * m_hat[t] / (sqrt(s_hat[t]) + epsilon)


@page.claim
def first_step(m_hat, s_hat, g):
    return equal(m_hat[1] / sqrt(s_hat[1]), g[1] / absolute(g[1]))


def worked():
    """Three gradients, the last of them the other way."""
    settings = {"eta": "0.1", "mu": "0.9", "beta1": "0.9", "beta2": "0.99", "epsilon": "1e-8"}
    return page.example("g", "v", "m", "s", "a", digits=3, g=[1, 1, -1], p0=0, **settings)
