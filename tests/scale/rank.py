"""A rank in the tests: the command, with a note of the weights after every step, and an accident.

Its arguments are the accident, ``none`` or ``WHAT:RANK:STEP``, and those of the command.
"""

import os
import signal
import sys
from pathlib import Path

from tinygrad_mnist import cli
from tinygrad_mnist.evaluation import figures
from tinygrad_mnist.runs import job
from tinygrad_mnist.runs.checkpoint import digest
from tinygrad_mnist.scale.mpi import SharedTraining

what, _, which = sys.argv.pop(1).partition(":")
rank, _, step = which.partition(":")
figures.draw = lambda *_: {"curves": b"PNG"}  # no part of this
job.SHARE = 1e9  # a checkpoint after every step
apply, end_epoch = SharedTraining.apply_gradients, SharedTraining.end_epoch
steps = 0


def failing():
    raise OSError("the disk of this rank is full")


ACCIDENTS = {
    "fails": failing,
    "killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "told": lambda: os.kill(os.getpid(), signal.SIGTERM),
}


def apply_and_note(training):
    """A step, its note, and the accident if it is due."""
    global steps
    apply(training)
    steps += 1
    sums = [digest(t.data) for t in training.model.state_dict().values()]
    with Path(f"rank-{training.ranks.rank}.txt").open("a") as notes:
        print(*sums, file=notes)
    if what in ACCIDENTS and (training.ranks.rank, steps) == (int(rank), int(step)):
        ACCIDENTS[what]()


def end_and_fail(training, started):
    """The end of an epoch, and the accident if it is due after so many steps."""
    end_epoch(training, started)
    if what == "fails-late" and (training.ranks.rank, steps) == (int(rank), int(step)):
        failing()


SharedTraining.end_epoch = end_and_fail
SharedTraining.apply_gradients = apply_and_note
cli.main()
