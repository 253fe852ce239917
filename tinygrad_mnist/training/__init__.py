"""The main job: a recipe, the loop that follows it, and the folder that keeps the result."""

from tinygrad_mnist.training.loop import DivergenceError, Epoch, Result, build_model, train
from tinygrad_mnist.training.recipe import Recipe, RecipeError, recipe_names
from tinygrad_mnist.training.results import reproduce
from tinygrad_mnist.training.runs import RunFolderError, Sets, free_folder, own_sets, run

__all__ = [
    "DivergenceError",
    "Epoch",
    "Recipe",
    "RecipeError",
    "Result",
    "RunFolderError",
    "Sets",
    "build_model",
    "free_folder",
    "own_sets",
    "recipe_names",
    "reproduce",
    "run",
    "train",
]
