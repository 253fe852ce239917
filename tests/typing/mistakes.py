"""Mistakes in types: `mypy --strict` and `pyright` report the lines marked "wrong" only."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_mnist import Tensor, func, grad, nn, no_grad, optim, tensor
from tinygrad_mnist.testing import arrays, assert_module, assert_op, assert_optimizer, survivors


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.layer(x)  # wrong: the attribute is called layers

    def slope(self, x: Tensor) -> float:
        return self(x).sum()  # wrong: a Tensor where a float was promised

    def hidden(self, x: Tensor) -> Tensor:
        return self.layers[:-1]  # wrong: a slice is a Sequential until it is called

    def all(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer  # wrong: the layer, and not what it computes
        return x


class Momentum(optim.Optimizer):
    def update(self, p: Tensor, g: Any) -> None:  # wrong: without group and state
        p.data -= g


@no_grad
def answer(model: nn.Module, x: Tensor) -> Tensor:
    return model(x).argmax(axis=1)


@no_grad()
def accuracy(model: nn.Module, x: Tensor, y: Tensor) -> float:
    return (answer(model, x) - y).abs()  # wrong: a Tensor where a float was promised


net = Net()
x, y = tensor(np.ones((3, 4))), np.array([0, 1, 0])
nn.Linear("4", 2)  # wrong: a string for a number
nn.Linear(4, 2, baias=False)  # wrong: a keyword that does not exist
nn.Sequential(nn.Linear(4, 4), nn.ReLU)  # wrong: the class, and not a layer
nn.Sequential([nn.Linear(4, 4), nn.ReLU()])  # wrong: a list that is not unpacked
nn.ModuleList([nn.Linear(4, 4), np.ones(4)])  # wrong: an array is no layer
nn.CrossEntropyLoss(label_smoothing="0.1")  # wrong: a string for a number
optim.SGD(net.parameters(), lr="0.1")  # wrong: a string for a number
optim.Adam(net.parameters, lr=0.1)  # wrong: without its parentheses
optim.lr_scheduler.StepLR(optim.SGD(net.parameters()))  # wrong: how often is not said
tensor([1.0], require_grad=True)  # wrong: a keyword that does not exist

loss = nn.CrossEntropyLoss()(net(x), y)
loss.backwards()  # wrong: a method that does not exist
loss.backward()
x.grad.sum()  # wrong: there may be no gradient
x.grad = x.data  # wrong: an array for a tensor
x.shape = (4, 3)  # wrong: to be read only
net.load_state_dict("weights.npz")  # wrong: the name of a file
with no_grad:  # wrong: without its parentheses
    net(x)
best: float = loss  # wrong: a Tensor for a float
answer(net)  # wrong: without the images
share: str = accuracy(net, x, y)  # wrong: a float for a string
no_grad(net(x))  # wrong: a Tensor for a function
(slope,) = grad(loss, x, allow_unused=True)
slope.sum()  # wrong: there may be no gradient
grad(loss, x)[0].sums()  # wrong: a method that does not exist
grad(loss, x, allow_unused="no")  # wrong: a string for a truth value

func.grad(loss)(x)  # wrong: what was computed, and not the function
func.grad(net, argnums="0")  # wrong: a string for a number
func.jacrev(net, has_aux=True)  # wrong: a keyword that does not exist
func.jvp(net, x, x)  # wrong: tensors for tuples of tensors
func.vjp(net, x)[1]()  # wrong: without a cotangent
func.grad_and_value(net)(x).sum()  # wrong: a pair for a Tensor
func.functional_call(net, [x], x)  # wrong: a list for a dict of names
func.functional_call(net.forward, {}, x)  # wrong: a method for the module

assert_op(func.grad, np.ones(2))  # wrong: an array for a strategy
assert_op(net, arrays("low"))  # wrong: a string for a number
assert_module(net.forward, x)  # wrong: a method for the module
assert_optimizer(optim.SGD(net.parameters(), lr=0.1))  # wrong: an optimizer for what makes one
survivors(net, lambda: None)  # wrong: a module for an op
