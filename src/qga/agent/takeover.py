"""An agent that starts in a guest which another one has frozen. Part of `freeze`."""

import os

from . import guardian, record
from .hold import Hold, Marker
from .plan import Plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .freeze import Freeze
    from .system.mounts import Mount

_SECOND = 1_000_000_000


def resume(freeze: "Freeze") -> bool:
    """See `Freeze.resume`."""
    settings = freeze.settings()
    try:
        marker = Marker(settings.marker)
        if marker.of_another_boot:
            # As in a guest that was restored from the copy of its frozen disk.
            freeze.log.error("not frozen any more: the guest has been started anew since")
            _remove(settings.marker)
            return False
        identity, deadline, paths = marker.identity, marker.deadline, marker.paths
        message = "started in a frozen guest"
    except FileNotFoundError:
        return False
    except OSError as error:
        # It may be there. A thaw will tell.
        identity, deadline, paths = b"", 0, []
        message = f"taken for frozen: cannot read {settings.marker}: {error.strerror}"
    connection = guardian.find(identity)
    told = None if connection is None else guardian.hear_first(connection)
    if told is None and not os.path.lexists(settings.marker):
        return False  # the guardian has thawed just now
    if told is not None and told[1].phase == record.DONE:
        return False
    # Even stderr may be a file on a frozen file system.
    freeze.log.hold()
    freeze.log.error(message)
    found = {mount.path: mount for mount in _table(freeze)}
    wanted = list(dict.fromkeys(paths)) or list(reversed(found))  # any may be what is frozen
    held = [(path, _opened(freeze, found.get(path))) for path in wanted]
    stuck: list[str] = []
    if told is None:
        # Its guardian has been killed, too, or it was another agent's freeze.
        longest = record.now() + int(settings.timeout * _SECOND)
        stuck = sorted(path for path, fd in held if fd < 0 and paths)
        held = [(path, fd) for path, fd in held if fd >= 0]
        mounts = [found[path] for path, _ in held]
        about = record.Record.of(
            identity.decode("ascii", "replace"), Plan(mounts, [""] * len(mounts), []), {}
        )
        status = record.IS_FROZEN if paths else record.MAYBE
        state = record.State(min(deadline or longest, longest), [status] * len(held))
        state.phase = record.FROZEN
        rest = b""
    else:
        about, state, rest = told
    hold = Hold(
        freeze.freezer, freeze.loop, freeze.log, settings,
        identity=identity,
        about=about,
        state=state,
        held=held,
        stuck=stuck,
        orphaned=freeze.when_orphaned,
        on_state=freeze._on_state,  # noqa: SLF001 - parts of one thing
    )  # fmt: skip
    if told is None or connection is None:
        hold.start()
    else:
        hold.adopt(connection, None, rest)
    freeze.take(hold)
    return True


def held_by_another(path: str) -> bool:
    """Whether the marker *path* is that of a freeze which another agent's guardian holds."""
    try:
        marker = Marker(path)
    except OSError:
        return False
    connection = guardian.find(marker.identity) if marker.identity else None
    if connection is None:
        return False
    connection.close()
    return True


def _remove(marker: str) -> None:
    try:
        os.unlink(marker)
    except OSError:
        pass  # the next freeze replaces it


def _table(freeze: "Freeze") -> "list[Mount]":
    try:
        return freeze.freezer.mounts()
    except OSError as error:
        freeze.log.error(f"failed to read the mount table: {error.strerror}")  # noqa: TRY400
        return []


def _opened(freeze: "Freeze", mount: "Mount | None") -> int:
    """Its descriptor; -1 if it is out of reach."""
    if mount is None:
        return -1
    try:
        return freeze.freezer.open(mount)
    except OSError:
        return -1
