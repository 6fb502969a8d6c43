"""Opening files whose names are no UTF-8: guest-file-open takes a path as JSON. For `transfers`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qga.protocol import FileOpen

from .asking import ask, shown, told
from .placing import later
from .transfer import closing

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from .steps import Flow

    T = TypeVar("T")

_ALIAS = """directory=$(mktemp -d "${TMPDIR:-/tmp}/.qga-XXXXXX") || return
ln -s "$1" "$directory/file" || { rmdir "$directory"; return 1; }
printf %s "$directory"
"""
_REMOVE = 'rm -f "$1/file"; rmdir "$1"'


def with_open(path: bytes, mode: str, transfer: Callable[[int], Flow[T]]) -> Flow[T]:
    """Open *path* in the guest, do *transfer* with the handle, and close it whatever happens."""
    return (yield from closing(told(path), (yield from open_file(path, mode)), transfer))


def open_file(path: bytes, mode: str) -> Flow[int]:
    """Open *path* in the guest; through a symlink of its own if the path is no UTF-8."""
    try:
        name = path.decode()
    except UnicodeDecodeError:
        pass
    else:
        handle: int = yield FileOpen(path=name, mode=mode)
        return handle
    directory = yield from ask(f"open {shown(path)}", _ALIAS, path)
    try:
        opened: int = yield FileOpen(path=f"{directory.decode()}/file", mode=mode)
    except GeneratorExit:
        raise  # nobody left to ask
    except BaseException:
        yield later(_REMOVE, directory)
        raise
    yield later(_REMOVE, directory)
    return opened
