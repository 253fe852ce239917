"""What goes wrong with data files."""


class DataError(ValueError):
    """A data file or array is not what it should be; the message names the file and the cause."""
