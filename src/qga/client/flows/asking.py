"""A script of the guest about files: its paths, and its errors as exceptions. For `looking` etc."""

from __future__ import annotations

import errno
import os
import re
from typing import TYPE_CHECKING

from qga.errors import CommandDisabled, CommandNotFound, GuestOSError, Unsupported

from .script import script

if TYPE_CHECKING:
    from typing import NoReturn

    from .script import GuestPath, Output
    from .steps import Flow

# What programs say in the C locale, by glibc and where musl differs.
_REASONS = {
    "No such file or directory": errno.ENOENT,
    "Permission denied": errno.EACCES,
    "Operation not permitted": errno.EPERM,
    "File exists": errno.EEXIST,
    "Not a directory": errno.ENOTDIR,
    "Is a directory": errno.EISDIR,
    "Directory not empty": errno.ENOTEMPTY,
    "Invalid argument": errno.EINVAL,
    "Invalid cross-device link": errno.EXDEV,
    "Cross-device link": errno.EXDEV,
    "Read-only file system": errno.EROFS,
    "No space left on device": errno.ENOSPC,
    "Disk quota exceeded": errno.EDQUOT,
    "Quota exceeded": errno.EDQUOT,
    "Too many levels of symbolic links": errno.ELOOP,
    "Symbolic link loop": errno.ELOOP,
    "File name too long": errno.ENAMETOOLONG,
    "Filename too long": errno.ENAMETOOLONG,
    "Device or resource busy": errno.EBUSY,
    "Resource busy": errno.EBUSY,
    "Text file busy": errno.ETXTBSY,
    "Too many links": errno.EMLINK,
    "File too large": errno.EFBIG,
    "Input/output error": errno.EIO,
    "I/O error": errno.EIO,
    "Stale file handle": errno.ESTALE,
    "Operation not supported": errno.EOPNOTSUPP,
    "Not supported": errno.EOPNOTSUPP,
    "Function not implemented": errno.ENOSYS,
    "No such device or address": errno.ENXIO,
    "No such device": errno.ENODEV,
    "Transport endpoint is not connected": errno.ENOTCONN,
    "Socket not connected": errno.ENOTCONN,
}

# What shells put before what they complain of themselves: dash, busybox's and bash.
_SHELL = re.compile(r"(?:(?:/bin/)?sh: (?:line )?(?:\d+: )?|main: line \d+: )")

# What they call what has a text of the kernel's.
_SHELL_REASONS = {
    "Directory nonexistent": "No such file or directory",
    "nonexistent directory": "No such file or directory",
    "No such file": "No such file or directory",
    "no such file": "No such file or directory",
    "cannot overwrite existing file": "File exists",
}

# What programs find out before they ask the kernel, and say in words of their own.
_WORDED = {
    "cannot overwrite directory": errno.EISDIR,
    "cannot overwrite non-directory": errno.ENOTDIR,
}


def full(path: GuestPath) -> bytes:
    """The bytes of *path*, without doubled slashes.

    Raises:
        ValueError: it is relative, which means nothing for an agent, or holds a NUL.
    """
    data = os.fsencode(path)
    if not data.startswith(b"/"):
        raise ValueError(
            f"the path {shown(data)!r} is not absolute: the agent's directory is nobody's own"
        )
    if b"\0" in data:
        raise ValueError(f"a path cannot hold a NUL: {path!r}")
    while b"//" in data:
        data = data.replace(b"//", b"/")
    return data


def shown(path: bytes) -> str:
    """*path* as a str that can be passed back."""
    return os.fsdecode(path)


def told(text: bytes) -> str:
    """*text* for a message: all of it can be printed."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in shown(text))


def reason(text: str) -> int | None:
    """The errno that the line *text* of a program tells."""
    number = _REASONS.get(text.rstrip().rpartition(": ")[2])
    if number is None:
        found = (number for said, number in _WORDED.items() if f": {said} " in text)
        number = next(found, None)
    return number


def complaints(done: Output) -> list[str]:
    """What programs have said, each with its name in front; a name in it may hold newlines.

    What the script's own shell has said comes without that, in the words of others.
    """
    text = done.err.strip(b"\n")
    parts = re.split(rb"\n(?=[\w.-]*: |/bin/\w+: )", text) if text else []
    return [_of_shell(told(one)) for one in parts]


def _of_shell(text: str) -> str:
    prefix = _SHELL.match(text)
    if not prefix:
        return text
    what, colon, why = text[prefix.end() :].rpartition(": ")
    return f"{what}{colon}{_SHELL_REASONS.get(why, why)}"


def needs(*programs: str) -> str:
    """The beginning of a script that fails where the guest lacks one of *programs*."""
    return (
        f"for p in {' '.join(programs)}; do\n"
        '    command -v "$p" >/dev/null || { echo "$p: not found" >&2; return 127; }\n'
        "done"
    )


def ask(what: str, text: str, *arguments: GuestPath) -> Flow[bytes]:
    """Run a script; return its output.

    Args:
        what: what could not be done if it fails, as in "list /tmp".
        text: the script.
        arguments: its arguments.

    Raises:
        GuestOSError: it failed.
        CommandDisabled, CommandNotFound: the agent runs no programs.
        Unsupported: the guest lacks a program.
    """
    return judged(what, (yield from run(text, *arguments)))


def run(text: str, *arguments: GuestPath) -> Flow[Output]:
    """Run a script. If the agent does not run any, the error says that it has to."""
    try:
        return (yield from script(text, *arguments))
    except (CommandDisabled, CommandNotFound) as error:
        raise type(error)(
            f"{error.desc} (operations on files, other than reading and writing, run a script in "
            "the guest: its agent must allow guest-exec and guest-exec-status)"
        ) from error


def judged(what: str, done: Output) -> bytes:
    """The output of a script that succeeded; otherwise its error is raised."""
    if done.code:
        fail(what, done)
    return done.out


def fail(what: str, done: Output) -> NoReturn:
    """Raise the error of a script that could not do *what*."""
    lines = complaints(done)
    if done.code in (126, 127):
        needed = lines[-1] if lines else "a program could not be run"
        raise Unsupported(f"cannot {what}: the guest lacks what this operation needs: {needed}")
    if not lines:
        raise GuestOSError(f"cannot {what}: exit code {done.code}")
    number = reason(lines[0])
    said = lines[0]
    if number is not None and len(lines) == 1 and said.endswith(tuple(_REASONS)):
        said = said.rpartition(": ")[2]
    if len(lines) > 1:
        said += f" (and {len(lines) - 1} more errors)"
    raise GuestOSError(f"cannot {what}: {said}", number)
