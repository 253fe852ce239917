"""Update rules: how parameters follow their gradients, and how the learning rate changes on the way."""

from tinygrad_mnist.optim import lr_scheduler
from tinygrad_mnist.optim.adam import Adam
from tinygrad_mnist.optim.sgd import SGD

__all__ = ["SGD", "Adam", "lr_scheduler"]
