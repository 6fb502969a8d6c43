"""Opening and closing files of the guest, whatever their names. For all flows that use handles.

guest-file-open takes a path as JSON: what is no UTF-8 is opened through a symlink of its own.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from qga.errors import BadArgument, CommandError, GuestOSError, QgaError
from qga.protocol import FileClose, FileOpen

from .asking import ask, full, told
from .script import later, restarted
from .steps import Leave

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from .script import GuestPath
    from .steps import Flow

    T = TypeVar("T")

# $1 is the path, $2 whether to make the file if need be: agents make none where a symlink is.
_ALIAS = """[ -z "$2" ] || [ -e "$1" ] || : >>"$1" || return
directory=$(mktemp -d "${TMPDIR:-/tmp}/.qga-XXXXXX") || return
ln -s "$1" "$directory/file" || { rmdir "$directory"; return 1; }
printf %s "$directory"
"""
_REMOVE = 'rm -f "$1/file"; rmdir "$1"'


def with_file(
    path: GuestPath,
    mode: str,
    transfer: Callable[[int], Flow[T]],
    *,
    place: GuestPath | None = None,
) -> Flow[T]:
    """Open *path*, do *transfer* with the handle, and close it whatever happens.

    The close tells of late errors. Errors of the guest have the file's name, which agents leave out
    when it is open; or that of its *place*, if it is to get there only when it is complete.
    """
    handle = yield from open_file(path, mode)
    name = told(os.fsencode(path if place is None else place))
    with Opened(path, handle):
        return (yield from _with_handle(name, handle, transfer))


def _with_handle(name: str, handle: int, transfer: Callable[[int], Flow[T]]) -> Flow[T]:
    try:
        result = yield from transfer(handle)
    except GeneratorExit:
        raise  # nobody left to ask
    except CommandError as error:
        try:
            yield from close_file(handle)
        except QgaError:
            pass  # the first error is the one to tell
        if isinstance(error, GuestOSError) and name not in error.desc:
            raise _named(name, error) from error
        raise
    except BaseException:
        # The agent may not answer now, or the caller not wait.
        yield Leave(FileClose(handle=handle))
        raise
    try:
        yield from close_file(handle)
    except GuestOSError as error:
        raise _named(name, error) from error
    return result


class Opened:
    """What is done in the block is done with an open file; its errors are told as such.

    Args:
        path: of the file.
        handle: the agent's.

    Raises:
        ConnectionLost: the agent has been restarted since it was opened.
    """

    def __init__(self, path: GuestPath, handle: int) -> None:
        self._path = path
        self._handle = handle

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        unknown = f"handle '{self._handle}' "
        if isinstance(error, BadArgument) and error.desc.startswith(unknown):
            name = told(os.fsencode(self._path))
            raise restarted(f"{name} is not open any more", error) from error


def _named(name: str, error: GuestOSError) -> GuestOSError:
    return GuestOSError(f"{name}: {error.desc}", error.errno, error.legacy)


def open_file(path: GuestPath, mode: str) -> Flow[int]:
    """Open *path*; return the handle."""
    name = os.fsdecode(path)
    try:
        name.encode()
    except UnicodeEncodeError:
        pass
    else:
        handle: int = yield FileOpen(path=name, mode=mode)
        return handle
    where = full(path)
    directory = yield from ask(f"open {told(where)}", _ALIAS, where, "" if "r" in mode else "new")
    try:
        opened: int = yield FileOpen(path=f"{os.fsdecode(directory)}/file", mode=mode)
    except GeneratorExit:
        raise  # nobody left to ask
    except BaseException:
        yield later(_REMOVE, directory)
        raise
    yield later(_REMOVE, directory)
    return opened


def close_file(handle: int) -> Flow[None]:
    """Close an open file, later if it cannot be now."""
    try:
        yield FileClose(handle=handle)
    except (CommandError, GeneratorExit):
        raise
    except BaseException:
        yield Leave(FileClose(handle=handle))
        raise
