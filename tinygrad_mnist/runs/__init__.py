"""A training on disk: its folder, checkpoints and results, and trained networks read back."""

from tinygrad_mnist.runs.about import About
from tinygrad_mnist.runs.entries import RunFolderError
from tinygrad_mnist.runs.find import find_run, read_history
from tinygrad_mnist.runs.folder import free_folder, own_options, resume_command
from tinygrad_mnist.runs.job import Own, Run, new_run, run
from tinygrad_mnist.runs.reproduction import UnfinishedError, reproduce
from tinygrad_mnist.runs.resume import resumed_run
from tinygrad_mnist.runs.sets import Sets, own_sets, set_to_judge
from tinygrad_mnist.runs.trained import Trained, load_trained

__all__ = [
    "About",
    "Own",
    "Run",
    "RunFolderError",
    "Sets",
    "Trained",
    "UnfinishedError",
    "find_run",
    "free_folder",
    "load_trained",
    "new_run",
    "own_options",
    "own_sets",
    "read_history",
    "reproduce",
    "resume_command",
    "resumed_run",
    "run",
    "set_to_judge",
]
