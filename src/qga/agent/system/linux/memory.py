"""The blocks of memory of a Linux guest: /sys/devices/system/memory."""

import errno
import os

from qga.errors import CommandError, GuestOSError
from qga.protocol.memory import MemoryBlockOutcome, MemoryBlockResponse

_ROOT = "/sys/devices/system/memory/"
_SIZE = "block_size_bytes"

# More than any of the files has.
_ENOUGH = 64

# Since Linux 5.6 a block's file `removable` tells whether this kernel can take memory offline at
# all, so that it is the same in each. Before, it was the kernel's guess about the block.
_ALL_ALIKE = (5, 6)


class LinuxMemory:
    """See `qga.agent.system.asked.Memory`.

    Args:
        root: the kernel's folder of blocks, with a final slash.
        release: the kernel's version.
    """

    def __init__(self, root: str = _ROOT, release: str = "") -> None:
        self._root = root
        self._alike = _version(release or os.uname().release) >= _ALL_ALIKE
        self._size = 0

    def blocks(self) -> "list[tuple[int, bool, bool]]":
        """All blocks, in the order of the kernel's folder: number, online, can be taken offline."""
        try:
            folder = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            return []  # a kernel that cannot take memory offline
        except OSError as error:
            raise GuestOSError(
                f'Can\'t open directory"{self._root}": {error.strerror}', error.errno
            ) from None
        try:
            found = []
            removable: bool | None = None
            for name in os.listdir(folder):
                number = name[6:]
                if not (name.startswith("memory") and number.isdecimal()):
                    continue
                try:
                    online = _read(f"{name}/state", folder).startswith(b"online")
                except FileNotFoundError:
                    # An old kernel: its memory is all there, for good. Or it was just unplugged.
                    if os.access(name, os.F_OK, dir_fd=folder):
                        found.append((int(number), True, False))
                    continue
                if removable is None or not self._alike:
                    removable = _is_removable(name, folder)
                found.append((int(number), online, removable or False))
        finally:
            os.close(folder)
        if not found:
            raise CommandError("guest reported zero memory blocks!")
        return found

    def set_online(self, number: int, *, online: bool) -> MemoryBlockResponse:
        """Take one online or offline; what became of it."""
        code: int | None
        try:
            outcome, code = self._change(f"{self._root}memory{number}", online=online)
        except (OSError, GuestOSError) as error:
            outcome, code = MemoryBlockOutcome.OPERATION_FAILED, error.errno
        return MemoryBlockResponse(phys_index=number, response=outcome, error_code=code)

    def _change(self, folder: str, *, online: bool) -> "tuple[MemoryBlockOutcome, int | None]":
        try:
            os.stat(folder + "/")
        except FileNotFoundError:
            if os.path.isdir(self._root):
                return MemoryBlockOutcome.NOT_FOUND, errno.ENOENT
            return MemoryBlockOutcome.OPERATION_NOT_SUPPORTED, errno.ENOENT
        try:
            state = _read(f"{folder}/state")
        except FileNotFoundError:
            if online:
                return MemoryBlockOutcome.SUCCESS, None
            return MemoryBlockOutcome.OPERATION_NOT_SUPPORTED, errno.ENOENT
        if state.startswith(b"online") != online:
            fd = os.open(f"{folder}/state", os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.write(fd, b"online" if online else b"offline")
            finally:
                os.close(fd)
        return MemoryBlockOutcome.SUCCESS, None

    def block_size(self) -> int:
        """Bytes of a block. Which does not change while the kernel runs."""
        if self._size:
            return self._size
        path = f"{self._root}{_SIZE}"
        try:
            os.stat(self._root)
            text = _read(path)
        except FileNotFoundError as error:
            what = f'("{self._root}")' if error.filename == self._root else f' sysfs file "{_SIZE}"'
            raise GuestOSError(f"open{what}: {error.strerror}", error.errno) from None
        try:
            size = int(text, 16)
        except ValueError:
            size = 0
        if not 0 < size < 1 << 64:
            raise CommandError(f"{path} does not hold a size, but {text!r}")
        self._size = size
        return size


def _version(release: str) -> "tuple[int, ...]":
    """The first two numbers of a kernel's *release*, such as 6.1.0-18-amd64."""
    major, _, rest = release.partition(".")
    minor = rest[: len(rest) - len(rest.lstrip("0123456789"))]
    return (int(major), int(minor)) if major.isdecimal() and minor else ()


def _is_removable(name: str, folder: int) -> "bool | None":
    """What the block says; None if it does not, or has just been unplugged."""
    try:
        return not _read(f"{name}/removable", folder).startswith(b"0")
    except FileNotFoundError:
        return None


def _read(path: str, folder: "int | None" = None) -> bytes:
    """What is in a file of the kernel's; FileNotFoundError if it is not there."""
    call = "open"
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder)
        call = "pread"
        try:
            return os.read(fd, _ENOUGH)
        finally:
            os.close(fd)
    except FileNotFoundError:
        raise
    except OSError as error:
        name = path.rpartition("/")[2]
        raise GuestOSError(f'{call} sysfs file "{name}": {error.strerror}', error.errno) from None
