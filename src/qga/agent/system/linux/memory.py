"""The blocks of memory of a Linux guest: /sys/devices/system/memory."""

import errno
import os

from qga.errors import CommandError, GuestOSError
from qga.protocol.memory import MemoryBlock, MemoryBlockOutcome, MemoryBlockResponse

_ROOT = "/sys/devices/system/memory/"
_SIZE = "block_size_bytes"

# More than any of the files has.
_ENOUGH = 64


class LinuxMemory:
    """See `qga.agent.system.asked.Memory`.

    Args:
        root: the kernel's folder of blocks, with a final slash.
    """

    def __init__(self, root: str = _ROOT) -> None:
        self._root = root

    def blocks(self) -> "list[MemoryBlock]":
        """All blocks, in the order of the kernel's folder."""
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
            for name in os.listdir(folder):
                number = name[6:]
                if name.startswith("memory") and number.isdecimal():
                    block = self._block(folder, name, int(number))
                    if block is not None:
                        found.append(block)
        finally:
            os.close(folder)
        if not found:
            raise CommandError("guest reported zero memory blocks!")
        return found

    def _block(self, folder: int, name: str, number: int) -> "MemoryBlock | None":
        try:
            state = _read(f"{name}/state", folder)
        except FileNotFoundError:
            # An old kernel: its memory is all there, for good. Or it was unplugged just now.
            try:
                os.stat(name, dir_fd=folder)
            except FileNotFoundError:
                return None
            return MemoryBlock(phys_index=number, online=True, can_offline=False)
        try:
            removable = not _read(f"{name}/removable", folder).startswith(b"0")
        except FileNotFoundError:
            removable = False
        return MemoryBlock(
            phys_index=number, online=state.startswith(b"online"), can_offline=removable
        )

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
        """Bytes of a block."""
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
        return size


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
