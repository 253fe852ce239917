"""Training in parallel ranks: rank 0 is the command as always, the others follow it in silence."""

from __future__ import annotations

import os
import sys
from functools import partial
from typing import TYPE_CHECKING

from tinygrad_mnist.cli.app import UserFileError, warn
from tinygrad_mnist.cli.own import opened_own
from tinygrad_mnist.cli.stop import StopOnSignal

if TYPE_CHECKING:
    from tinygrad_mnist.scale.mpi import Ranks

RANK = ("PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK", "SLURM_PROCID")
"""Variables in which launchers of MPI tell a process its number."""


def speaks() -> bool:
    """Whether this process is the one that tells errors: of all ranks of MPI, only rank 0 does.

    This is known before MPI is loaded, for the command itself may be wrong.
    """
    first = all(os.environ.get(name, "0") == "0" for name in RANK)
    return first or "--mpi" not in sys.argv


def all_ranks() -> Ranks:
    """The processes of this training."""
    from tinygrad_mnist.scale import mpi

    try:
        ranks = mpi.Ranks(mpi.communicator())
    except mpi.MPIError as error:
        raise UserFileError(str(error)) from error
    if ranks.size == 1:
        warn(["this process is alone. To share the work: mpiexec -n 2 tinygrad-mnist train ..."])
    return ranks


def follow(ranks: Ranks, model: str | None = None, optimizer: str | None = None) -> int:
    """Take part in the training of rank 0, and return the exit code."""
    with StopOnSignal() as stop:
        interrupted = ranks.follow(partial(opened_own, model, optimizer), stop.asked)
    return 128 + stop.requested if interrupted else 0
