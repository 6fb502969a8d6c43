"""The processors of a Linux guest: /sys/devices/system/cpu."""

import os

from qga.errors import CommandError, GuestOSError
from qga.protocol.cpu import LogicalProcessor

_ROOT = "/sys/devices/system/cpu"


class LinuxProcessors:
    """See `qga.agent.system.asked.Processors`.

    Args:
        root: the kernel's folder of processors.
    """

    def __init__(self, root: str = _ROOT) -> None:
        self._root = root

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
            if not (name.startswith("cpu") and number.isdecimal()):
                continue
            folder = f"{self._root}/{name}/"
            try:
                fd = _open(folder, os.O_RDONLY)
            except FileNotFoundError:
                if os.path.isdir(folder):  # else it was unplugged just now
                    # The first one, mostly: it is never offline.
                    found.append(
                        LogicalProcessor(logical_id=int(number), online=True, can_offline=False)
                    )
                continue
            try:
                online = _is_online(fd, folder)
            finally:
                os.close(fd)
            found.append(LogicalProcessor(logical_id=int(number), online=online, can_offline=True))
        return found

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
