"""What outlives the agent's process, in its state directory, in upstream's files and format.

`qga.state` holds the next file handle, so that a handle is never given out twice;
`qga.state.isfrozen` exists while file systems are frozen, and says which (see `freeze`).
Ours are `qga.state.hooked`, which exists while the fsfreeze hook has to be told of a thaw, and
`qga.state.freeze`, the report of the last freeze.
"""

import os

from .keyfile import KeyFileError, read_group

# Handles are reserved in the file ahead of their use, to write it seldom. An agent that was killed
# leaves a gap.
_AHEAD = 64

_FIRST_HANDLE = 1000
_DIGITS = 18
_KEY = "fd_counter"


class StateError(Exception):
    """The state directory or a file in it cannot be used."""


class State:
    """The state in *directory*, which has to exist.

    Raises:
        StateError: the directory or the state file cannot be used.
    """

    def __init__(self, directory: str) -> None:
        if not os.path.isdir(directory):
            raise StateError(f"state directory {directory} does not exist: create it, or use -t")
        self._path = os.path.join(directory, "qga.state")
        self.marker = self._path + ".isfrozen"
        self.hook_marker = self._path + ".hooked"
        self.freeze_report = self._path + ".freeze"
        self._next = self._reserved = self._load()

    def _load(self) -> int:
        try:
            with open(self._path, "rb") as file:
                _, value = read_group(file.read(), "global").get(_KEY, (0, b""))
        except FileNotFoundError:
            return _FIRST_HANDLE
        except (OSError, KeyFileError) as error:
            raise StateError(
                f"cannot read {self._path}: {error}; remove it if it is odd"
            ) from error
        # Upstream's counter is 32 bits wide and wraps to negative numbers. No client could send one
        # back that has more than 64.
        value = value.strip()
        usable = value.isdigit() and len(value) <= _DIGITS
        return max(int(value), _FIRST_HANDLE) if usable else _FIRST_HANDLE

    def next_handle(self) -> int:
        """A number that no agent of this guest has used as a handle.

        Raises:
            OSError: the state file cannot be written.
        """
        if self._next >= self._reserved:
            self._store(self._next + _AHEAD)
            self._reserved = self._next + _AHEAD
        handle = self._next
        self._next += 1
        return handle

    def commit(self) -> None:
        """Write the counter as it is; for the end of the agent, and its start.

        Raises:
            OSError: the state file cannot be written.
        """
        self._store(self._next)
        self._reserved = self._next

    def _store(self, counter: int) -> None:
        temporary = f"{self._path}.{os.getpid()}"
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, f"[global]\n{_KEY}={counter}\n".encode())
        finally:
            os.close(fd)
        os.replace(temporary, self._path)
