"""What the agent asks the platform, one Protocol a topic.

`linux` answers for real; `fake` answers in tests. Handlers never look at the platform themselves.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from abc import abstractmethod
    from typing import Protocol

    from qga.protocol.storage import DiskInfo, FilesystemInfo

    from .mounts import Mount

    class Freezer(Protocol):
        """Freezing of file systems."""

        @abstractmethod
        def mounts(self) -> list[Mount]:
            """The mounts that may be frozen, in the order of the mount table, one a device.

            Raises:
                OSError: the mount table cannot be read.
            """

        @abstractmethod
        def open(self, mount: Mount) -> int:
            """A descriptor by which *mount* is frozen and thawed.

            Raises:
                OSError: it cannot be opened; ESTALE: something else is mounted there.
            """

        @abstractmethod
        def freeze(self, fd: int) -> bool:
            """Freeze; False when this file system cannot be frozen, or is frozen already.

            Raises:
                OSError: it should have been possible.
            """

        @abstractmethod
        def thaw(self, fd: int) -> bool:
            """Undo one freeze; False when there is none to undo.

            Raises:
                OSError: there is, and it failed.
            """

    class Power(Protocol):
        """Turning the guest off."""

        @abstractmethod
        def shutdown_command(self, mode: str) -> list[str]:
            """The program and its arguments for *mode*: halt, powerdown or reboot."""

    class Storage(Protocol):
        """Disks, and the file systems on them."""

        @abstractmethod
        def disks(self) -> list[DiskInfo]:
            """The disks, each followed by its partitions.

            Raises:
                OSError, CommandError: they cannot be listed.
            """

        @abstractmethod
        def filesystems(self) -> list[FilesystemInfo]:
            """The mounted file systems that are on block devices, in the order of the mount table.

            Raises:
                OSError: the mount table cannot be read.
            """

        @abstractmethod
        def trim(self, fd: int, minimum: int) -> tuple[int, int]:
            """Discard what the file system behind *fd* does not use; this may take minutes.

            Returns: how many bytes, and the *minimum* of bytes that a range had to have.

            Raises:
                OSError: it failed; ENOTTY or EOPNOTSUPP: it does not support that.
            """

        @abstractmethod
        def counters(self) -> list[list[bytes]]:
            """What each disk and partition has done: the fields of the lines of /proc/diskstats.

            Raises:
                OSError: the kernel does not tell.
            """

    class System(Protocol):
        """The platform."""

        @property
        def freezer(self) -> Freezer: ...

        @property
        def power(self) -> Power: ...

        @property
        def storage(self) -> Storage: ...
