"""The command `tinygrad-mnist`: parse, call, print."""

from tinygrad_mnist.cli.app import app
from tinygrad_mnist.cli.exits import main

__all__ = ["app", "main"]
