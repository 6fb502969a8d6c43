"""The processors of a Linux guest: /sys/devices/system/cpu."""

import os

from qga.errors import CommandError, GuestOSError
from qga.protocol.cpu import LogicalProcessor

_ROOT = "/sys/devices/system/cpu"

# Most guests have fewer processors; of more, the files are opened each time.
_KEPT = 32


class LinuxProcessors:
    """See `qga.agent.system.asked.Processors`.

    Args:
        root: the kernel's folder of processors.
    """

    def __init__(self, root: str = _ROOT) -> None:
        self._root = root
        # Descriptors of the files `online`, by the processors' names.
        self._kept: dict[str, int] = {}

    def list(self) -> "list[LogicalProcessor]":
        """All processors, in the order of the kernel's folder."""
        try:
            names = os.listdir(self._root)
        except OSError as error:
            raise GuestOSError(
                f"failed to list entries: {self._root}: {error.strerror}", error.errno
            ) from None
        found = []
        for name in names:
            number = name[3:]
            if name.startswith("cpu") and number.isdecimal():
                online, can_offline = self._state(name, f"{self._root}/{name}/")
                if online is not None:
                    found.append(
                        LogicalProcessor(
                            logical_id=int(number), online=online, can_offline=can_offline
                        )
                    )
        return found

    def _state(self, name: str, folder: str) -> "tuple[bool | None, bool]":
        """Whether the processor is online (None: it was unplugged just now), and can be offline."""
        fd = self._kept.get(name)
        if fd is not None:
            try:
                return os.pread(fd, 1, 0) != b"0", True
            except OSError:
                # Unplugged; there may be another in its place.
                os.close(self._kept.pop(name))
        # Without exceptions: the first processor mostly has no such file, for it is never offline.
        if not os.access(f"{folder}/online", os.F_OK):
            return (True if os.access(folder, os.F_OK) else None), False
        fd = _open(folder, os.O_RDONLY)
        try:
            online = _is_online(fd, folder)
            if len(self._kept) < _KEPT:
                self._kept[name] = os.dup(fd)
            return online, True
        finally:
            os.close(fd)

    def __del__(self) -> None:
        for fd in self._kept.values():
            os.close(fd)

    def set_online(self, number: int, *, online: bool) -> None:
        """Take one online or offline; nothing happens if it is so already."""
        folder = f"{self._root}/cpu{number}/"
        try:
            os.stat(folder)  # with its final slash: is there such a folder?
        except OSError as error:
            raise GuestOSError(
                f"Could not open '{folder}': {error.strerror}", error.errno
            ) from None
        try:
            fd = _open(folder, os.O_RDWR)
        except FileNotFoundError:
            if online:
                return
            raise CommandError(f"logical processor #{number} can't be offlined") from None
        try:
            if _is_online(fd, folder) != online:
                os.pwrite(fd, b"1" if online else b"0", 0)
        except OSError as error:
            raise _failed("pwrite", f"{folder}/online", error) from None
        finally:
            os.close(fd)


def _open(folder: str, flags: int) -> int:
    # The doubled slash is upstream's; it shows in error texts alone.
    path = f"{folder}/online"
    try:
        return os.open(path, flags | os.O_CLOEXEC)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _failed("open", path, error) from None


def _is_online(fd: int, folder: str) -> bool:
    try:
        state = os.pread(fd, 1, 0)
    except OSError as error:
        raise _failed("pread", f"{folder}/online", error) from None
    if not state:
        raise CommandError(f'pread("{folder}/online"): unexpected EOF')
    return state != b"0"


def _failed(call: str, path: str, error: OSError) -> GuestOSError:
    return GuestOSError(f'{call}("{path}"): {error.strerror}', error.errno)
