"""Lets `x *= y` change an array in place, as in NumPy: MicroPython does that for += and -= only."""

from arrays import Array

WORDS = {"*=": "mul", "/=": "truediv", "**=": "pow"}


def changed_in_place(x, word, y):
    """What `x *= y` leaves in x, for the word mul: an array stays itself, with new numbers."""
    if isinstance(x, Array):
        return getattr(x, f"__i{word}__")(y)
    return x * y if word == "mul" else x / y if word == "truediv" else x**y


def in_place(source):
    """The same code, on the same lines, with a call of `changed_in_place` for each `x *= y`."""
    written, target, ending, depth = "", "", "", 0
    for piece in pieces(source):
        depth += (piece in ("(", "[", "{")) - (piece in (")", "]", "}"))
        ends = piece in ("\n", ";") or piece[0] == "#" or (piece == ":" and not ending)
        if ends and not depth:
            written += ending + piece
            target, ending = "", ""
        elif piece in WORDS and not depth and not ending:
            written += f'= changed_in_place({target.strip()}, "{WORDS[piece]}", '
            ending = ")"
        else:
            written += piece
            target += piece
    return written + ending


def pieces(source):
    """The texts in quotes, comments and assignments of a source, and all else sign by sign."""
    at = 0
    while at < len(source):
        length = length_of(source, at)
        yield source[at : at + length]
        at += length


def length_of(source, at):
    """The length of what begins at a place."""
    for sign in ("//=", "**=", "*=", "/=", "\\\n"):
        if source.startswith(sign, at):
            return len(sign)
    c = source[at]
    if c == "#":
        return len(source[at:].split("\n")[0])
    if c not in "'\"":
        return 1
    quote = c * 3 if source.startswith(c * 3, at) else c
    end = at + len(quote)
    while end < len(source) and not source.startswith(quote, end):
        end += 2 if source[end] == "\\" else 1
    return min(end + len(quote), len(source)) - at
