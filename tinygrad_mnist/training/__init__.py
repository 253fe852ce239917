"""The main job: a recipe, the loop that follows it, and the folder that keeps the result."""

from tinygrad_mnist.training.folder import RunFolderError, free_folder, resume_command
from tinygrad_mnist.training.loop import (
    DivergenceError,
    Epoch,
    Result,
    Training,
    build_model,
    train,
)
from tinygrad_mnist.training.recipe import Recipe, RecipeError, recipe_names
from tinygrad_mnist.training.results import reproduce
from tinygrad_mnist.training.resume import resumed
from tinygrad_mnist.training.runs import Run, Sets, own_sets, run, started
from tinygrad_mnist.training.trained import Trained, find_run, load_trained, read_history

__all__ = [
    "DivergenceError",
    "Epoch",
    "Recipe",
    "RecipeError",
    "Result",
    "Run",
    "RunFolderError",
    "Sets",
    "Trained",
    "Training",
    "build_model",
    "find_run",
    "free_folder",
    "load_trained",
    "own_sets",
    "read_history",
    "recipe_names",
    "reproduce",
    "resume_command",
    "resumed",
    "run",
    "started",
    "train",
]
