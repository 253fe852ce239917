"""Accidents for the tests of this folder: full disks, power cuts, damaged files."""

import errno
import os
from contextlib import contextmanager
from pathlib import Path

import pytest


class PowerCut(BaseException):
    """Nothing runs after this, not even what would clear away."""


class Faulty:
    """A file whose writing, flushing and closing may fail; or of all its pieces only the first."""

    def __init__(self, file, fails, every_piece):
        self.file, self.fails, self.every_piece = file, fails, every_piece
        self.begun = False

    def __getattr__(self, name):
        return getattr(self.file, name)

    def write(self, content):
        if self.every_piece or not self.begun:
            self.begun = True
            self.fails()
        return self.file.write(content)

    def flush(self):
        self.fails()
        self.file.flush()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.fails()


@contextmanager
def failing(call, for_good=False, every_piece=True):
    """Let a call of the operating system, counted from 0, fail with "disk full".

    If it is for good, that one and all later ones fail, and nothing runs after that.
    """
    calls = []

    def fails():
        calls.append(len(calls))
        if for_good and len(calls) > call:
            raise PowerCut
        if len(calls) == call + 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def guarded(function):
        def called(*args, **how):
            fails()
            return function(*args, **how)

        return called

    opened = Path.open

    def faulty(path, mode="r", **how):
        if not set(mode) & set("wx"):
            return opened(path, mode, **how)
        fails()
        return Faulty(opened(path, mode), fails, every_piece)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "open", faulty)
        for function in ("replace", "unlink", "chmod", "mkdir", "rmdir"):
            patch.setattr(Path, function, guarded(getattr(Path, function)))
        for function in ("fsync", "open", "truncate", "write"):
            patch.setattr(os, function, guarded(getattr(os, function)))
        yield calls


@contextmanager
def unprivileged():
    """As somebody who is not allowed everything."""
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
