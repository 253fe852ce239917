"""Data-parallel training: each rank of MPI takes a share of the batch, and one sum unites them."""

from __future__ import annotations

import os
import traceback
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tinygrad_mnist.autodiff import Tensor
from tinygrad_mnist.runs.job import own_code_told
from tinygrad_mnist.training.build import build_training
from tinygrad_mnist.training.loop import Training
from tinygrad_mnist.training.state import State, generators_of, put_back, take

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from typing import Self

    from numpy.typing import NDArray

    from tinygrad_mnist.data import Dataset
    from tinygrad_mnist.runs import Own, Run
    from tinygrad_mnist.training.history import Epoch
    from tinygrad_mnist.training.loop import Rows
    from tinygrad_mnist.training.recipe import Recipe

SIZE = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE")
"""Variables in which mpiexec tells a process how many there are."""


class MPIError(Exception):
    """MPI cannot be used; the message says why."""


class Task(NamedTuple):
    """All that the other ranks need to take part in a training."""

    recipe: Recipe
    data: Dataset
    state: State


class Ranks:
    """The processes that train one network together, as one of them sees them.

    Rank 0 is the one that has the run folder and talks to people. The others wait for a training,
    do their share of it, and end.

    Parameters
    ----------
    comm : mpi4py.MPI.Comm
        All these processes.

    Attributes
    ----------
    rank, size : int
        The number of this process, from 0, and how many there are.
    waiting : bool
        On rank 0: whether the others still wait for a training.
    """

    def __init__(self, comm: Any) -> None:
        self.comm = comm
        self.rank, self.size = int(comm.rank), int(comm.size)
        self.waiting = self.rank == 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Let the other ranks end, if no training has come of it."""
        if self.waiting:
            self.send(None)

    def share(self, run: Run) -> None:
        """On rank 0: make a run train on all ranks."""
        run.training = SharedTraining(run.training, run.recipe, self)

    def follow(
        self,
        open_own: Callable[[], AbstractContextManager[Own]],
        should_stop: Callable[[], bool] = lambda: False,
    ) -> str:
        """On the other ranks: wait for a training and take part in it.

        Parameters
        ----------
        open_own : callable
            Opens the network and the optimizer of your own, as they are opened on rank 0.
        should_stop : callable
            As for `Training.run`. If one rank is asked to stop, all of them do.

        Returns
        -------
        str
            Where the training stopped, or "".

        Raises
        ------
        Exception
            If a rank fails, all ranks raise its error.
        """
        task = self.comm.bcast(None)
        if task is None:
            return ""
        with ExitStack() as stack:
            with self.agreeing():
                own = stack.enter_context(open_own())
                made = build_training(task.recipe, task.data, *own)
                put_back(made, task.state)
            return SharedTraining(made, task.recipe, self).run(should_stop=should_stop)

    def send(self, task: Task | None) -> None:
        """On rank 0: end the waiting of the others, with a training or with none."""
        self.comm.bcast(task)
        self.waiting = False

    @contextmanager
    def agreeing(self) -> Iterator[None]:
        """Continue after the block if no rank fails in it; otherwise raise on all of them."""
        failed = None
        try:
            yield
        except Exception as error:  # noqa: BLE001  whatever it is, the others have to know
            failed = error
        self.agree(failed)

    def add_up(self, numbers: NDArray[Any]) -> None:
        """Replace the array by the sum of the arrays of all ranks."""
        from mpi4py import MPI

        self.comm.Allreduce(MPI.IN_PLACE, numbers)

    def agree(self, error: BaseException | None) -> None:
        """Raise on all ranks the error of the first rank that has one."""
        every = self.comm.allgather(error and portable(error, self.rank))
        for rank, found in enumerate(every):
            if found is not None:
                raise error if error and rank == self.rank else found


def communicator() -> Any:
    """All processes that ``mpiexec`` has started, as mpi4py knows them.

    Raises
    ------
    MPIError
        If MPI is not installed, or is another one than that of ``mpiexec``.
    """
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:  # without mpi4py; without a library of MPI
        raise MPIError("--mpi needs MPI: pip install 'tinygrad-mnist[mpi]'") from error
    comm = MPI.COMM_WORLD
    if comm.size == 1 and any(int(os.environ.get(name, "1")) > 1 for name in SIZE):
        raise MPIError(
            "mpiexec has started several processes, but mpi4py sees only one: they belong to "
            "different MPIs. Take the mpiexec in the folder of this Python, or build mpi4py for "
            "yours: pip install --no-binary mpi4py mpi4py"
        )
    return comm


class Sums:
    """What the ranks add up in one message: one flat array, and names for its parts.

    Parameters
    ----------
    parameters : sequence of Tensor
        The parameters whose gradients are added up.

    Attributes
    ----------
    flat : ndarray, (n,)
        All of it, in the widest dtype of the parameters.
    gradients : list of ndarray
        One part per parameter, of its shape.
    used : ndarray, (parameters,)
        How many ranks have a gradient of each parameter.
    counts : ndarray, (4,)
        The sum of the losses, the number of right answers, of ranks that have failed, and of ranks
        that were asked to stop.
    """

    def __init__(self, parameters: Sequence[Tensor]) -> None:
        self.parameters = parameters
        ends = np.cumsum([*(p.data.size for p in parameters), len(parameters)])
        self.flat = np.zeros(ends[-1] + 4, np.result_type(*(p.dtype for p in parameters)))
        *parts, self.used, self.counts = np.split(self.flat, ends)
        self.gradients = [part.reshape(p.shape) for part, p in zip(parts, parameters, strict=True)]

    def collect(self, weight: float) -> None:
        """Copy the gradients of this rank, times the weight of its examples in the batch."""
        for i, p in enumerate(self.parameters):
            if p.grad is not None:
                np.multiply(p.grad.data, weight, out=self.gradients[i])
                self.used[i] = 1

    def distribute(self) -> None:
        """Let the sums be the gradients of the parameters; one that no rank has stays None."""
        for p, gradient, used in zip(self.parameters, self.gradients, self.used, strict=True):
            p.grad = Tensor(gradient.astype(p.dtype)) if used else None


class SharedTraining(Training):
    """A training whose batches are shared out over the ranks.

    After every step all ranks have the same weights, bit by bit. They are those of a training in
    one process, except for rounding. What is drawn at random for an example, such as dropout, is
    drawn by its rank. A layer that looks at several examples at once, such as BatchNorm, sees those
    of its rank, and its buffers are those of rank 0.

    While they train, ranks hear of each other only where they add up their `Sums`: in every step,
    after every validation, and at the end. A rank that has failed takes part in the next of these
    meetings, whichever it is, and there all of them raise its error.

    Parameters
    ----------
    training : Training
        The training to share out; it must not be used any more.
    recipe : Recipe
        Its recipe, for the other ranks.
    ranks : Ranks
        The processes.
    """

    def __init__(self, training: Training, recipe: Recipe, ranks: Ranks) -> None:
        vars(self).update(vars(training))
        self.recipe, self.ranks, self.processes = recipe, ranks, ranks.size
        self.sums = Sums([p for p in self.model.parameters() if p.requires_grad])
        self.own_rngs = [
            rng
            for name, rng in generators_of(training).items()
            if name != "order" and not name.startswith("optimizer.")
        ]
        self.should_stop: Callable[[], bool] = lambda: False
        self.stopping = self.parted = False

    def run(
        self,
        *,
        on_batch: Callable[[int, int, int], object] = lambda epoch, batch, batches: None,
        on_epoch: Callable[[Epoch], object] = lambda epoch: None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> str:
        """Train together to the end, or until a rank is asked to stop; return where, or ""."""
        self.should_stop = should_stop
        if self.ranks.waiting:
            self.ranks.send(Task(self.recipe, self.data, take(self)))
            self.ranks.agree(None)
        try:
            with own_code_told(self, self.recipe):
                stopped = super().run(
                    on_batch=on_batch, on_epoch=on_epoch, should_stop=lambda: self.stopping
                )
            self.meet()
        except BaseException as error:
            if not self.parted:
                self.meet(error)
            raise
        return stopped

    def find_gradients(self, rows: Rows) -> None:
        """Compute the gradients of a batch's mean loss, on all ranks the same."""
        whole, share = self.under_way, self.share(rows)
        mine = self.under_way = replace(whole, loss_sum=0.0, correct=0)
        with self.added_up() as sums:
            if len(share):
                super().find_gradients(share)
            else:
                self.optimizer.zero_grad()
            sums.collect(len(share) / len(rows))
            sums.counts[:2] = mine.loss_sum, mine.correct
        sums.distribute()
        self.adopt_buffers()
        self.under_way = whole
        whole.lr = self.optimizer.param_groups[0]["lr"]
        whole.loss_sum += float(sums.counts[0])
        whole.correct += round(float(sums.counts[1]))

    def totals(self, rows: Rows) -> tuple[float, int]:
        """Sum of the losses, and number of right answers, on some images."""
        with self.added_up() as sums:
            sums.counts[:2] = super().totals(self.share(rows))
        return float(sums.counts[0]), round(float(sums.counts[1]))

    def share(self, rows: Rows) -> Rows:
        """The rows for this rank, which may be none; the first ranks have one more if need be."""
        return np.array_split(rows, self.ranks.size)[self.ranks.rank]

    @contextmanager
    def added_up(self) -> Iterator[Sums]:
        """Let this rank fill the sums in the block; after it they are those of all ranks."""
        self.sums.flat[:] = 0
        failed = None
        try:
            with own_code_told(self, self.recipe), drawing_apart(self.own_rngs, self.ranks.rank):
                yield self.sums
        except Exception as error:  # noqa: BLE001  whatever it is, the others have to know
            failed = error
        self.meet(failed)

    def meet(self, error: BaseException | None = None) -> None:
        """Add up the sums of all ranks; if a rank has an error, raise it on all of them."""
        self.sums.counts[2:] = error is not None, self.should_stop()
        self.ranks.add_up(self.sums.flat)
        failed, asked_to_stop = self.sums.counts[2:]
        if failed:
            self.parted = True
            self.ranks.agree(error)
        self.stopping = bool(asked_to_stop)

    def adopt_buffers(self) -> None:
        """Take over the buffers of the model, such as running means, from rank 0."""
        if buffers := list(self.model.buffers()):
            arrays = self.ranks.comm.bcast([buffer.data for buffer in buffers])
            for buffer, array in zip(buffers, arrays, strict=True):
                buffer.data = array


@contextmanager
def drawing_apart(rngs: Sequence[np.random.Generator], rank: int) -> Iterator[None]:
    """Let generators that are alike on all ranks draw other numbers on each inside the block.

    Each generator draws one number, the same on all ranks; that number and the rank seed what is
    drawn in the block. Afterwards the generators are alike again, so one state of them is enough to
    continue on any number of ranks.
    """
    alike = []
    for rng in rngs:
        seed = np.random.SeedSequence(int(rng.integers(2**63)), spawn_key=(rank,))
        alike.append(rng.bit_generator.state)
        rng.bit_generator.state = type(rng.bit_generator)(seed).state
    try:
        yield
    finally:
        for rng, state in zip(rngs, alike, strict=True):
            rng.bit_generator.state = state


def portable(error: BaseException, rank: int) -> BaseException:
    """An error in a form that other ranks can receive and raise.

    One of this package is meant for people and says all in its text. Of any other, which is a
    mistake in the program, the traceback counts.
    """
    if isinstance(error, SystemExit | KeyboardInterrupt):
        return type(error)(*error.args)
    if type(error).__module__.startswith("tinygrad_mnist."):
        return type(error)(f"On rank {rank}: {error}")
    return RuntimeError(f"On rank {rank}:\n{''.join(traceback.format_exception(error))}")
