"""Running in the background, with a pid file that is locked while the agent lives."""

import fcntl
import os

_locked: "list[int]" = []  # the pid file stays open, and so locked, until the process ends
_parents: "list[int]" = []  # the pipe on which the parent process waits


def detach() -> None:
    """Go on in a child process.

    The parent waits, so that whoever starts the agent sees whether it runs: it exits with 0 when
    the child calls `ready`, and with 1 when the child ends before.

    Raises:
        OSError: the process cannot be forked.
    """
    reader, writer = os.pipe()
    activated = os.environ.get("LISTEN_PID") == str(os.getpid())
    if os.fork():
        os.close(writer)
        os._exit(0 if os.read(reader, 1) else 1)
    os.close(reader)
    if activated:  # what systemd has handed over is for the one who goes on
        os.environ["LISTEN_PID"] = str(os.getpid())
    os.setsid()
    os.umask(0o077)
    _parents.append(writer)


def ready() -> None:
    """Let the parent process end, and let go of its terminal and working directory."""
    os.chdir("/")
    null = os.open(os.devnull, os.O_RDWR)
    for fd in range(3):
        os.dup2(null, fd)
    os.close(null)
    writer = _parents.pop()
    os.write(writer, b"x")
    os.close(writer)


def lock_pidfile(path: str) -> None:
    """Write the process number to *path*, and lock it.

    Raises:
        OSError: it cannot be written, or another agent has locked it.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(fd, 0)
        os.write(fd, f"{os.getpid()}\n".encode())
    except OSError as error:
        os.close(fd)
        raise OSError(error.errno, f"cannot lock pid file: {error.strerror}", path) from None
    _locked.append(fd)


def remove_pidfile(path: str) -> None:
    """Remove the pid file, if it is ours."""
    if _locked:
        try:
            os.unlink(path)
        except OSError:
            pass
