"""Starting a program, with the rules that qemu-ga's programs know. Used by `processes`.

Those of a shell, in short: PATH is searched, and what has no format of its own is a shell script.
"""

import errno
import os

from qga.errors import GuestOSError

from .programs import IGNORED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .pipes import FileActions

# Where programs are when there is no PATH.
_DEFAULT_PATH = b"/bin:/usr/bin:."

# Why a program cannot be started from one directory, so that the next on PATH is tried.
_NOT_HERE = frozenset(
    (errno.EACCES, errno.ENODEV, errno.ENOENT, errno.ENOTDIR, errno.ESTALE, errno.ETIMEDOUT)
)

# Why there is no process at all.
_NO_PROCESS = (errno.EAGAIN, errno.ENOMEM)

_SHELL = b"/bin/sh"


class Environment:
    """The environment of a program. What posix_spawn takes for a mapping, but names may repeat.

    Args:
        entries: NAME=VALUE each; what is none is left out, as no program could find it.
    """

    def __init__(self, entries: "list[bytes]") -> None:
        split = [entry.partition(b"=") for entry in entries]
        self._names = [name for name, equals, _ in split if name and equals]
        self._values = [value for name, equals, value in split if name and equals]

    def keys(self) -> "list[bytes]":
        return self._names

    def values(self) -> "list[bytes]":
        return self._values

    def __len__(self) -> int:
        return len(self._names)

    def __getitem__(self, name: bytes) -> bytes:
        # Who has this, counts as a mapping.
        return self._values[self._names.index(name)]

    def get(self, name: bytes, default: bytes) -> bytes:
        """The first value that has this name: the one that a program finds."""
        return self[name] if name in self._names else default


class Spawner:
    """Starts programs with the environment of the agent, or another."""

    def __init__(self) -> None:
        self._environment = dict(os.environb)
        self._path = self._environment.get(b"PATH", _DEFAULT_PATH)

    def spawn(
        self,
        path: str,
        arguments: "list[str]",
        environment: "list[str] | None",
        actions: "FileActions",
    ) -> int:
        """Start *path* with *arguments*; return its process number.

        Args:
            path: the program; without a slash it is looked for on PATH.
            arguments: those that come after its name.
            environment: NAME=VALUE each, all that it has of one; None for the agent's.
            actions: what is done to its descriptors 0, 1 and 2, of which it has no others.

        Raises:
            GuestOSError: it cannot be started.
        """
        try:
            argv = [_bytes(path), *map(_bytes, arguments)]
            if environment is None:
                return _spawn(argv, self._environment, self._path, actions)
            given = Environment([_bytes(entry) for entry in environment])
            return _spawn(argv, given, given.get(b"PATH", self._path), actions)
        except OSError as error:
            number = error.errno or 0
        except ValueError:  # a NUL in a word
            number = errno.EINVAL
        reason = os.strerror(number)
        if number in _NO_PROCESS:
            raise GuestOSError(f"Failed to fork ({reason})", number)
        raise GuestOSError(f"Failed to execute child process \u201c{path}\u201d ({reason})", number)


def _bytes(word: str) -> bytes:
    # What the host has sent, whatever the guest's locale is.
    return word.encode("utf-8", "surrogateescape")


def _spawn(argv: "list[bytes]", environment: "Any", search: bytes, actions: "FileActions") -> int:
    name = argv[0]
    if not name:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
    if b"/" in name:
        return _execute(name, argv, environment, actions)
    failure = errno.ENOENT
    for directory in search.split(b":"):
        # An empty one is the working directory.
        place = b"%s/%s" % (directory, name) if directory else name
        # Looking costs much less than a process.
        if os.access(place, os.F_OK):
            try:
                return _execute(place, argv, environment, actions)
            except OSError as error:
                if error.errno not in _NOT_HERE:
                    raise
                if error.errno == errno.EACCES:
                    failure = errno.EACCES
    raise OSError(failure, os.strerror(failure))


def _execute(place: bytes, argv: "list[bytes]", environment: "Any", actions: "FileActions") -> int:
    try:
        return os.posix_spawn(
            place,
            argv,
            environment,
            file_actions=actions,
            setsigmask=(),
            setsigdef=IGNORED,
        )
    except OSError as error:
        if error.errno != errno.ENOEXEC or place == _SHELL:
            raise
    return _execute(_SHELL, [_SHELL, place, *argv[1:]], environment, actions)
