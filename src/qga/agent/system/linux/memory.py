"""The blocks of memory of a Linux guest: /sys/devices/system/memory."""

import errno
import os

from qga.errors import CommandError, GuestOSError
from qga.protocol.memory import MemoryBlock, MemoryBlockOutcome, MemoryBlockResponse

_ROOT = "/sys/devices/system/memory/"

# More than any of the files has.
_ENOUGH = 64


class LinuxMemory:
    """See `qga.agent.system.Memory`.

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
        path = f"{name}/state"
        try:
            try:
                state = _read(path, folder)
            except FileNotFoundError:
                # An old kernel: its memory is all there, for good. Or it was unplugged just now.
                try:
                    os.stat(name, dir_fd=folder)
                except FileNotFoundError:
                    return None
                return MemoryBlock(phys_index=number, online=True, can_offline=False)
            path = f"{name}/removable"
            try:
                removable = not _read(path, folder).startswith(b"0")
            except FileNotFoundError:
                removable = False
        except OSError as error:
            raise GuestOSError(
                f'open("{self._root}{path}"): {error.strerror}', error.errno
            ) from None
        return MemoryBlock(
            phys_index=number, online=state.startswith(b"online"), can_offline=removable
        )

    def set_online(self, number: int, *, online: bool) -> MemoryBlockResponse:
        """Take one online or offline; what became of it."""
        try:
            outcome, code = self._change(f"{self._root}memory{number}", online=online)
        except OSError as error:
            outcome, code = MemoryBlockOutcome.OPERATION_FAILED, error.errno
        return MemoryBlockResponse(phys_index=number, response=outcome, error_code=code)

    def _change(self, folder: str, *, online: bool) -> "tuple[MemoryBlockOutcome, int | None]":
        try:
            os.stat(folder + "/")
        except FileNotFoundError:
            return MemoryBlockOutcome.NOT_FOUND, errno.ENOENT
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
        path = self._root
        try:
            os.stat(path)
            path = f"{path}/block_size_bytes"  # with upstream's doubled slash
            text = _read(path)
        except OSError as error:
            raise GuestOSError(f'open("{path}"): {error.strerror}', error.errno) from None
        try:
            return int(text, 16)
        except ValueError:
            raise CommandError(f'"{path}" does not hold a hexadecimal number: {text!r}') from None


def _read(path: str, folder: "int | None" = None) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=folder)
    try:
        return os.read(fd, _ENOUGH)
    finally:
        os.close(fd)
