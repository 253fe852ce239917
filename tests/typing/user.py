"""A program as a user types it: `mypy --strict` and `pyright` find nothing in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_mnist import Tensor, func, grad, nn, no_grad, optim, tensor
from tinygrad_mnist.autodiff import gradcheck, op
from tinygrad_mnist.nn import functional as F
from tinygrad_mnist.testing import (
    Survivor,
    arrays,
    assert_gradients,
    assert_module,
    assert_op,
    assert_optimizer,
    broadcastable,
    calls,
    survivors,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray


@op
def cube(x: NDArray[Any]) -> NDArray[Any]:
    return x**3


cube.vjp(lambda g, out, x: 3 * g * x**2)


class Block(nn.Module):
    def __init__(self, width: int, *, rng: np.random.Generator) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width, rng=rng)
        self.scale = nn.Parameter(np.ones(width, np.float32))

    def forward(self, x: Tensor) -> Tensor:
        return x + (self.linear(x) * self.scale).relu()


class Net(nn.Module):
    def __init__(self, rng: np.random.Generator) -> None:
        super().__init__()
        self.blocks = nn.Sequential(Block(4, rng=rng), nn.ReLU(), Block(4, rng=rng))
        self.head = nn.Linear(4, 2, rng=rng)

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return self.head(F.dropout(x, 0.1, training=self.training))


class Sign(optim.Optimizer):
    def __init__(self, params: Iterable[Tensor], lr: float = 0.1) -> None:
        super().__init__(params, {"lr": lr})

    def update(
        self, p: Tensor, g: NDArray[Any], group: dict[str, Any], state: dict[str, Any]
    ) -> None:
        state["step"] = state.get("step", 0) + 1
        p.data -= group["lr"] * np.sign(g)


def train(model: nn.Module, x: Tensor, y: NDArray[np.int64], optimizer: optim.Optimizer) -> float:
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
    for _ in range(3):
        loss = criterion(model.train()(x), y)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    with no_grad():
        for p in model.parameters():
            p -= 0.01 * p
    return criterion(model.eval()(x), y).item()


rng = np.random.default_rng(0)
net, x, y = Net(rng), tensor(rng.standard_normal((3, 4)), dtype=np.float32), np.array([0, 1, 0])
reached: float = train(net, x, y, optim.Adam(net.parameters(), lr=1e-2))
reached = min(reached, train(net, x, y, Sign(net.parameters())))
schedule = optim.lr_scheduler.StepLR(optim.SGD(net.parameters(), lr=0.1), step_size=2)
schedule.step()
text = f"{reached:.3f} {nn.MSELoss()(net(x), np.zeros((3, 2))):.3f} {net.blocks[0]}"
hidden: Tensor = net.blocks[:-1](x)

w = tensor([1.0, 2.0], requires_grad=True)
(slope,) = grad(cube(w).sum(), w, create_graph=True)
slope.sum().backward()
slopes: tuple[Tensor, ...] = grad(net(x).sum(), list(net.parameters()))
(unused,) = grad(w.sum(), x.requires_grad_(), allow_unused=True)
assert unused is None
step: float = sum(g.norm().item() for g in slopes)


@no_grad
def predicted(model: nn.Module, x: Tensor) -> NDArray[np.intp]:
    return model(x).argmax(axis=1).numpy()


@no_grad()
def hits(model: nn.Module, x: Tensor, y: NDArray[np.int64], *, shown: bool = False) -> int:
    right = predicted(model, x) == y
    return int(right.sum()) if shown else 0


@no_grad
def halved(t: Tensor) -> Iterator[Tensor]:
    while t.norm().item() > 1:
        t = t / 2
        yield t


count: int = hits(net, x, y, shown=True) + len([t.sum() for t in halved(w)])
with no_grad() as nothing:
    assert nothing is None
between = (w > 1) & ~(w >= 3)
z: Tensor = 2 * w - w[between].sum() / w[0] + w[:, None].T @ w - np.ones(2) * abs(-w)
assert w.grad is not None
z = z[np.array([True, False])] + w.grad.argmax()
w.grad = None
weights: dict[str, Tensor] = net.state_dict()
net.load_state_dict({name: value.numpy().copy() for name, value in weights.items()})
assert gradcheck(cube, [w])


def energy(parameters: dict[str, Tensor], x: Tensor, *, scale: float = 1.0) -> Tensor:
    return func.functional_call(net, parameters, x).sum() * scale


fixed = {name: p.detach() for name, p in net.named_parameters()}
steepest: dict[str, Tensor] = func.grad(energy)(fixed, x, scale=2.0)
(by_weight, by_image), reached_energy = func.grad_and_value(energy, (0, 1))(fixed, x)
second: Tensor = func.hessian(lambda t: (t**3).sum())(np.ones(2)) + func.jacrev(cube)(w)
output, pull = func.vjp(cube, w)
pulled: tuple[Tensor, ...] = pull(np.ones(2))
value, moved = func.jvp(func.grad(energy), (fixed, x), (fixed, np.zeros((3, 4))))
named: Tensor = func.functional_call(net, {"head.bias": [1.0, 2.0]}, (x,), strict=False)


def check_all() -> list[Survivor]:
    assert_gradients(lambda a, b: (a * b).sum(), [1.0], w, order=1)
    assert_op(cube, arrays(-1, 1, away_from=0, shape=(2,)), lambda a: a**3, order=2)
    assert_op(cube, calls(arrays(), scale=2.0))
    assert_op(cube, broadcastable(1))
    assert_module(nn.Linear(3, 2), np.ones((2, 3)), rows_are_independent=False)
    assert_optimizer(optim.Adam)
    assert_optimizer(lambda params: optim.SGD(params, lr=0.1))
    return survivors(cube, lambda: assert_op(cube, arrays()))
