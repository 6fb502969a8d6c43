"""What the agent asks the platform, one Protocol a topic.

`linux` answers for real; `fake` answers in tests. Handlers never look at the platform themselves.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from abc import abstractmethod
    from typing import Protocol

    from qga.protocol.clock import Timezone as TimezoneNow
    from qga.protocol.network import NetworkInterface, NetworkRoute
    from qga.protocol.stats import CpuStats, LoadAverage
    from qga.protocol.storage import DiskInfo, FilesystemInfo
    from qga.protocol.system import OsInfo

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

    class Network(Protocol):
        """Interfaces and routes."""

        @abstractmethod
        def interfaces(self) -> list[NetworkInterface]:
            """All interfaces with their addresses.

            Raises:
                OSError: the kernel does not tell.
            """

        @abstractmethod
        def routes(self) -> list[NetworkRoute]:
            """The routes of IPv4, then those of IPv6.

            Raises:
                OSError: the kernel does not tell.
            """

    class Counters(Protocol):
        """What the kernel counts."""

        @abstractmethod
        def cpus(self) -> list[CpuStats]:
            """How each processor that is online has spent its time.

            Raises:
                OSError: the kernel does not tell.
            """

        @abstractmethod
        def load(self) -> LoadAverage:
            """How many processes were running or about to run, on average.

            Raises:
                OSError: the kernel does not tell.
            """

    class Identity(Protocol):
        """What the guest is."""

        @abstractmethod
        def host_name(self) -> str:
            """Its name, which may change at any time."""

        @abstractmethod
        def os_info(self) -> OsInfo:
            """Its kernel, and what is known of its operating system."""

    class Logins(Protocol):
        """Who is logged in."""

        @abstractmethod
        def current(self) -> list[tuple[str, float]]:
            """The user's name of each login, and when it was, in seconds since the epoch.

            Raises:
                OSError: the records of logins cannot be read.
            """

    class Timezone(Protocol):
        """The time zone."""

        @abstractmethod
        def now(self) -> TimezoneNow:
            """The one at this moment, which may be another the next time."""

    class System(Protocol):
        """The platform."""

        @property
        def freezer(self) -> Freezer: ...

        @property
        def power(self) -> Power: ...

        @property
        def storage(self) -> Storage: ...

        @property
        def network(self) -> Network: ...

        @property
        def counters(self) -> Counters: ...

        @property
        def identity(self) -> Identity: ...

        @property
        def logins(self) -> Logins: ...

        @property
        def timezone(self) -> Timezone: ...
