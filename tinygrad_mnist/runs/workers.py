"""Work in several processes: each task has one of its own, so that one that dies takes no other."""

from __future__ import annotations

import multiprocessing
import signal
import traceback
from contextlib import contextmanager, suppress
from itertools import islice
from multiprocessing import connection as pipes
from multiprocessing.reduction import ForkingPickler
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from multiprocessing.connection import Connection

LOOK_EVERY = 0.2
"""Seconds after which the parent asks again whether it should stop."""


class Lost(NamedTuple):
    """What is left of a process that ended without a result."""

    exitcode: int

    def __str__(self) -> str:
        """How it ended, in words."""
        if self.exitcode >= 0:
            return (
                f"its process ended with exit code {self.exitcode} and left no result. "
                "What it said is above."
            )
        with suppress(ValueError):
            name = signal.Signals(-self.exitcode).name
            return f"its process was ended by {name}. Is the memory enough for so many at once?"
        return f"its process was ended by signal {-self.exitcode}."


def in_processes(
    work: Callable[[Any, Callable[[Any], object]], Any],
    tasks: Iterable[Any],
    jobs: int,
    on_news: Callable[[int, Any], object] = lambda task, news: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> Iterator[tuple[int, Any]]:
    """Do the tasks, so many at once, each in a new process.

    The processes are started afresh, not forked. They end when this generator is closed, and soon
    after this process if it is killed.

    Parameters
    ----------
    work : callable
        A function of a module, called in the process with a task and a function that takes news
        and returns the answer to them.
    tasks : iterable
        What can be pickled. Each is asked for only when a process is free for it.
    jobs : int
        How many processes there are at most at once.
    on_news : callable
        Called here with the position of a task and its news; what it returns is the answer.
    should_stop : callable
        Asked again and again; once it says True, nothing more is done.

    Raises
    ------
    Exception
        What `work` raises, as soon as it does.
    RuntimeError
        If a script calls this without ``if __name__ == "__main__":``, for each process imports it.

    Yields
    ------
    int, object
        The position of a task and what `work` has returned, in the order in which they are done;
        or `Lost`, if the process ended without a result.
    """
    waiting, running = enumerate(tasks), dict[Any, tuple[int, Any]]()
    try:
        while not should_stop():
            for position, task in islice(waiting, jobs - len(running)):
                here, process = _started(work, task)
                running[here] = position, process
            if not running:
                return
            for pipe in pipes.wait(list(running), LOOK_EVERY):
                position, process = running[pipe]
                kind, value = _received(pipe)
                if kind == "news":
                    _answer(pipe, on_news(position, value))
                    continue
                del running[pipe]
                process.join()
                if kind == "failed":
                    raise value
                yield position, value if kind == "done" else Lost(process.exitcode)
    finally:
        _end(running)


def _end(running: Mapping[Any, tuple[int, Any]]) -> None:
    for _, process in running.values():
        process.terminate()
    for pipe, (_, process) in running.items():
        process.join()
        pipe.close()


def _started(work: Callable[..., Any], task: Any) -> tuple[Connection, Any]:
    """A new process, and the end of the pipe on which it is heard."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_work, args=(there, work, task), daemon=True)
    with _ctrl_c_held_back():
        process.start()
    there.close()
    return here, process


@contextmanager
def _ctrl_c_held_back() -> Iterator[None]:
    """A process that starts here hears no Ctrl-C, which is for its parent alone."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker

    resource_tracker.ensure_running()  # else it starts meanwhile, and lets Ctrl-C through
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _received(here: Any) -> tuple[str, Any]:
    """What has come: news, or the last that there is."""
    try:
        kind, value = here.recv()
    except (EOFError, OSError):
        kind, value = "lost", None
    if kind != "news":
        here.close()
    return kind, value


def _answer(here: Any, answer: object) -> None:
    with suppress(OSError):  # the process is gone, which is noticed when there is no more to hear
        here.send(answer)


def _work(there: Connection, work: Callable[..., Any], task: Any) -> None:
    """What runs in the process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def tell(news: Any) -> Any:
        there.send(("news", news))
        try:
            return there.recv()
        except (EOFError, ConnectionResetError) as error:
            raise BrokenPipeError from error

    with suppress(BrokenPipeError):  # the parent is gone, and nobody waits for this
        message: tuple[str, Any]
        try:
            message = "done", work(task, tell)
        except BrokenPipeError:
            raise
        except Exception as error:  # noqa: BLE001  the parent raises it
            error.add_note(f"In a process of its own:\n{traceback.format_exc()}")
            message = "failed", error
        there.send(message if _can_be_sent(message) else ("failed", _described(message[1])))


def _can_be_sent(message: Any) -> bool:
    try:
        ForkingPickler.loads(ForkingPickler.dumps(message))
    except Exception:  # noqa: BLE001  whatever the objects of others raise
        return False
    return True


def _described(value: Any) -> RuntimeError:
    notes = "\n".join(getattr(value, "__notes__", []))
    return RuntimeError(f"What came of it cannot be sent: {value!r:.200}\n{notes}".rstrip())
