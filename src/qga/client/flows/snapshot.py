"""Commands and small files of the guest, all asked at once. For `vitals` and `overview`.

However many, it takes two round trips at the most: the second is for what the files hold.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from qga.errors import QgaError
from qga.protocol import FileClose, FileOpen, FileRead

from .steps import Leave, Together

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from qga.protocol.model import Command

    from .steps import Flow

# What of a file is read: those of /proc are short, except of guests with very many disks.
_MOST = 256 << 10


def snapshot(
    commands: Sequence[Command[Any]], paths: Sequence[str] = ()
) -> Flow[tuple[list[Any], dict[str, str]]]:
    """The results of *commands*, with the errors of those that were refused in their places.

    And what the files *paths* hold, as far as they can be read.
    """
    opening = [FileOpen(path=path, mode="r") for path in paths]
    answers = yield Together([*commands, *opening], optional=True)
    results, handles = answers[: len(commands)], answers[len(commands) :]
    opened = [
        (path, handle)
        for path, handle in zip(paths, handles, strict=True)
        if not isinstance(handle, Exception)
    ]
    if not opened:
        return results, {}
    reading = [FileRead(handle=handle, count=_MOST) for _, handle in opened]
    closing = [FileClose(handle=handle) for _, handle in opened]
    try:
        chunks = (yield Together([*reading, *closing], optional=True))[: len(opened)]
    except GeneratorExit:
        raise  # nobody left to ask
    except BaseException:
        for command in closing:
            yield Leave(command)
        raise
    held = {
        path: bytes(chunk.data).decode(errors="replace")
        for (path, _), chunk in zip(opened, chunks, strict=True)
        if not isinstance(chunk, QgaError)
    }
    return results, held
