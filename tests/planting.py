"""The rules of an op one by one, and others put in their place for a while."""

from contextlib import contextmanager
from functools import partial


def rules_of(op, count):
    """One rule per argument, also of an op whose one rule answers for all of them together."""
    if op.together is None:
        return list(op.rules_for(count))
    return [partial(_share, op.together, i) for i in range(count)]


def _share(together, i, *args, **params):
    return list(together(*args, **params))[i]


@contextmanager
def planted(op, change):
    """Put `change(position, rule)` in the place of every rule of an op."""
    kept = op.rules, op.each, op.together
    together, each = op.together, op.each
    if together is not None:
        op.together = lambda g, out, *xs, **params: [
            change(i, partial(_share, together, i))(g, out, *xs, **params) for i in range(len(xs))
        ]
    elif each is not None:
        op.each = lambda i, *args, **params: change(i, partial(each, i))(*args, **params)
    else:
        op.rules = tuple(change(i, rule) for i, rule in enumerate(op.rules))
    try:
        yield
    finally:
        op.rules, op.each, op.together = kept
