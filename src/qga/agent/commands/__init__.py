"""The handlers, one module for each module of `qga.protocol`, with the same name."""


def load() -> None:
    """Give the commands their handlers."""
    from . import files, fsfreeze, power, session  # noqa: F401 - importing is what does it
