"""The main job: a recipe, the training that it describes, and the loop. No disk is used."""

from tinygrad_mnist.training.build import build_model, build_training, train
from tinygrad_mnist.training.divergence import DivergenceError
from tinygrad_mnist.training.history import Epoch, Result
from tinygrad_mnist.training.loop import Training
from tinygrad_mnist.training.notebook import fit
from tinygrad_mnist.training.recipe import Recipe, RecipeError, recipe_names

__all__ = [
    "DivergenceError",
    "Epoch",
    "Recipe",
    "RecipeError",
    "Result",
    "Training",
    "build_model",
    "build_training",
    "fit",
    "recipe_names",
    "train",
]
