"""Errors and warnings about data files."""


class DataError(ValueError):
    """A data file or array is not what it should be; the message names the file and the cause."""


class DataWarning(UserWarning):
    """Data that can be used but looks wrong; the message names the file and the likely cause."""


def cause(error: Exception) -> str:
    """The message of another library's error, safe to print whatever it quotes."""
    return printable(str(error) or type(error).__name__).rstrip(".")


def printable(text: str, most: int = 100) -> str:
    """The start of a text from a file, on one line and without control characters."""
    return "".join(c if c.isprintable() else "?" for c in text[:most])
