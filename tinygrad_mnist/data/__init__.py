"""Images and labels: MNIST as it ships with the package, files of your own, and batches."""

from tinygrad_mnist.data.augment import distort
from tinygrad_mnist.data.batches import class_numbers, minibatches, normalize, one_hot, split
from tinygrad_mnist.data.dataset import Dataset
from tinygrad_mnist.data.errors import DataError, DataWarning
from tinygrad_mnist.data.files import load, load_dataset, refuse_overlap
from tinygrad_mnist.data.idx import read_idx, read_idx_pair
from tinygrad_mnist.data.images import like_mnist, read_images
from tinygrad_mnist.data.mnist import load_mnist, load_mnist_test
from tinygrad_mnist.data.names import read_names
from tinygrad_mnist.data.page import Digit, Page, read_digits, read_page
from tinygrad_mnist.data.paper import flatten

__all__ = [
    "DataError",
    "DataWarning",
    "Dataset",
    "Digit",
    "Page",
    "class_numbers",
    "distort",
    "flatten",
    "like_mnist",
    "load",
    "load_dataset",
    "load_mnist",
    "load_mnist_test",
    "minibatches",
    "normalize",
    "one_hot",
    "read_digits",
    "read_idx",
    "read_idx_pair",
    "read_images",
    "read_names",
    "read_page",
    "refuse_overlap",
    "split",
]
