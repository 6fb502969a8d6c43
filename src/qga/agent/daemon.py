"""Running in the background, with a pid file that is locked while the agent lives."""

import fcntl
import os
import sys

_locked: "list[int]" = []  # the pid file stays open, and so locked, until the process ends


def detach(pidfile: str, *, write: bool = True) -> None:
    """Become a daemon; the parent process exits with 0, or with 1 when *pidfile* is taken.

    Args:
        pidfile: where to write the process number.
        write: whether to write it now.

    Raises:
        OSError: the process cannot be forked.
    """
    reader, writer = os.pipe()
    if os.fork():
        os.close(writer)
        # Wait for the child's word, so that whoever starts the agent sees whether it runs.
        complaint = os.read(reader, 4096)
        if complaint:
            os.write(2, complaint)
        os._exit(1 if complaint else 0)
    os.close(reader)
    os.setsid()
    os.chdir("/")
    os.umask(0o077)
    if write:
        try:
            _write_pidfile(pidfile)
        except OSError as error:
            os.write(writer, f"qga-agent: cannot lock {pidfile}: {error.strerror}\n".encode())
            sys.exit(1)
    null = os.open(os.devnull, os.O_RDWR)
    for fd in range(3):
        os.dup2(null, fd)
    os.close(null)
    os.close(writer)


def _write_pidfile(path: str) -> None:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.ftruncate(fd, 0)
        os.write(fd, f"{os.getpid()}\n".encode())
    except OSError:
        os.close(fd)
        raise
    _locked.append(fd)


def remove_pidfile(path: str) -> None:
    """Remove the pid file, if it is ours."""
    if _locked:
        try:
            os.unlink(path)
        except OSError:
            pass
