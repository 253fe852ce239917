"""What goes wrong with data files."""


class DataError(ValueError):
    """A data file or array is not what it should be; the message names the file and the cause."""


class DataWarning(UserWarning):
    """Data that can be used but looks wrong; the message names the file and the likely cause."""


def cause(error: Exception) -> str:
    """What an error of another library says, in words that can be printed whatever they quote."""
    return printable(str(error) or type(error).__name__).rstrip(".")


def printable(text: str, most: int = 100) -> str:
    """The start of a text out of a file, on one line and without what a terminal would obey."""
    return "".join(c if c.isprintable() else "?" for c in text[:most])
