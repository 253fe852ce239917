"""Update rules: how parameters follow their gradients, and how the learning rate changes."""

from tinygrad_mnist.optim import lr_scheduler
from tinygrad_mnist.optim.adam import Adam, AdamW
from tinygrad_mnist.optim.optimizer import Optimizer
from tinygrad_mnist.optim.sgd import SGD

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "lr_scheduler"]
