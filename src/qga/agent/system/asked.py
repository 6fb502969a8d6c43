"""What the agent asks the platform, one Protocol a topic.

Only type checkers read it. Handlers never look at the platform themselves.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from abc import abstractmethod
    from collections.abc import Iterable
    from typing import Protocol

    from qga.protocol.clock import Timezone as TimezoneNow
    from qga.protocol.cpu import LogicalProcessor
    from qga.protocol.memory import MemoryBlockResponse
    from qga.protocol.stats import LoadAverage
    from qga.protocol.storage import DiskInfo
    from qga.protocol.system import OsInfo

    from .mounts import Filesystem, Mount, Survey

    class Freezer(Protocol):
        """Freezing of file systems."""

        @abstractmethod
        def mounts(self) -> list[Mount]:
            """The mounts that may be frozen, in the order of the mount table, one a device.

            Raises:
                OSError: the mount table cannot be read.
            """

        @abstractmethod
        def survey(self) -> Survey:
            """The same with all that a freeze has to know.

            Raises:
                OSError: the mount table cannot be read.
            """

        @abstractmethod
        def is_current(self, survey: Survey) -> bool:
            """Whether nothing was mounted or unmounted since *survey*; False if it may have been.

            Raises:
                OSError: the mount table cannot be read.
            """

        @abstractmethod
        def are_all(self, fds: Iterable[int]) -> bool:
            """Whether *fds* are of all file systems that may be frozen; asks none of them.

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
        def freeze(self, fd: int) -> None:
            """Freeze; this may take minutes, or for ever.

            Raises:
                OSError: it failed; EOPNOTSUPP: this file system cannot be frozen; EBUSY: it is
                    frozen already, by somebody else or by way of another mount.
            """

        @abstractmethod
        def thaw(self, fd: int) -> bool:
            """Undo one freeze; False when there is none to undo.

            Raises:
                OSError: there is, and it failed.
            """

    class Power(Protocol):
        """Turning the guest off, and having it sleep."""

        @abstractmethod
        def shutdown_command(self, mode: str) -> list[str]:
            """The program and its arguments for *mode*: halt, powerdown or reboot."""

        @abstractmethod
        def suspend_commands(self, mode: str) -> list[tuple[list[str], tuple[int, ...], list[str]]]:
            """The programs that may suspend, in the order in which to try them.

            Each a program that tells whether the next will do, the exit codes by which it says so,
            and that next one.

            Args:
                mode: disk, ram or hybrid.
            """

        @abstractmethod
        def can_suspend(self, mode: str) -> bool:
            """Whether `suspend` could, without any program."""

        @abstractmethod
        def suspend(self, mode: str) -> None:
            """Suspend, and return when the guest is awake again.

            Raises:
                OSError: the kernel refused.
            """

    class Storage(Protocol):
        """Disks, and the file systems on them."""

        @abstractmethod
        def disks(self) -> list[DiskInfo]:
            """The disks, each followed by its partitions.

            Raises:
                OSError, CommandError: they cannot be listed.
            """

        @abstractmethod
        def filesystems(self) -> list[Filesystem]:
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

    class Network(Protocol):
        """Interfaces and routes."""

        @abstractmethod
        def interfaces_text(self, since: tuple[int, ...]) -> bytes:
            """All interfaces with their addresses, as JSON text, as the version *since* knew them.

            Raises:
                OSError: the kernel does not tell.
            """

        @abstractmethod
        def routes_text(self) -> bytes:
            """The routes of IPv4, then those of IPv6, as JSON text.

            Raises:
                OSError: the kernel does not tell.
            """

    class Counters(Protocol):
        """What the kernel counts."""

        @abstractmethod
        def cpus(self) -> list[list[int]]:
            """How each processor that is online has spent its time: its number, then milliseconds.

            Those are in the order of the kernel's columns, of which there may be fewer or more.

            Raises:
                OSError: the kernel does not tell.
            """

        @abstractmethod
        def disks(self) -> list[list[bytes]]:
            """What each disk and partition has done: the fields of the lines of /proc/diskstats.

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
            """Its name; the same object as the last time, if it is the same."""

        @abstractmethod
        def os_info(self) -> OsInfo:
            """Its kernel, and what is known of its operating system.

            The same object as the last time, if nothing has changed.
            """

    class Logins(Protocol):
        """Who is logged in."""

        @abstractmethod
        def current(self) -> list[tuple[str, float]]:
            """The user's name of each login, and when it was, in seconds since the epoch.

            The same object as the last time, if that is certain to be the same.

            Raises:
                OSError: the records of logins cannot be read.
            """

    class Timezone(Protocol):
        """The time zone."""

        @abstractmethod
        def now(self) -> TimezoneNow:
            """The one at this moment; the same object as the last time, if it is the same."""

    class Processors(Protocol):
        """The processors."""

        @abstractmethod
        def list(self) -> list[LogicalProcessor]:
            """All of them.

            Raises:
                CommandError: they cannot be listed.
            """

        @abstractmethod
        def set_online(self, number: int, *, online: bool) -> None:
            """Take one online or offline; nothing happens if it is so already.

            Raises:
                CommandError: there is no such processor, or it cannot be done.
            """

    class Memory(Protocol):
        """The memory, in blocks that can be taken offline."""

        @abstractmethod
        def blocks(self) -> list[tuple[int, bool, bool]]:
            """The number of each block, whether it is online, and whether it can be taken offline.

            None where the kernel does not tell.

            Raises:
                CommandError: they cannot be listed.
            """

        @abstractmethod
        def set_online(self, number: int, *, online: bool) -> MemoryBlockResponse:
            """Take one online or offline; what became of it."""

        @abstractmethod
        def block_size(self) -> int:
            """Bytes of a block.

            Raises:
                CommandError: the kernel does not tell.
            """

    class HardwareClock(Protocol):
        """A clock that goes on while the guest sleeps or is off; it holds whole seconds."""

        path: str
        tick_delay: float
        """How long after it was set its next second begins."""

        @abstractmethod
        def read(self) -> int:
            """Seconds since 1970-01-01 00:00 UTC.

            Raises:
                OSError: it cannot be read, or does not hold a time.
            """

        @abstractmethod
        def write(self, seconds: int) -> None:
            """Set it.

            Raises:
                OSError: it cannot be set.
            """

        @abstractmethod
        def close(self) -> None:
            """Leave it to others."""

    class Clock(Protocol):
        """The system's clock, in nanoseconds since 1970-01-01 00:00 UTC."""

        @abstractmethod
        def now(self) -> int: ...

        @abstractmethod
        def set(self, time: int) -> None:
            """Set it.

            Raises:
                OSError: it cannot be set.
            """

        @abstractmethod
        def hardware(self) -> HardwareClock:
            """The hardware clock, to be closed after use.

            Raises:
                FileNotFoundError: there is none.
                OSError: it cannot be opened.
            """

    class SshKeyFile(Protocol):
        """A user's authorized_keys."""

        path: str

        @abstractmethod
        def read(self) -> bytes | None:
            """What is in it; None if there is no such file.

            Raises:
                CommandError: it cannot be read, or is not the user's alone to write.
            """

        @abstractmethod
        def replace(self, content: bytes) -> None:
            """Have it hold *content*, from one moment to the next; it is made if it is not there.

            Raises:
                CommandError: it cannot be written, or is not the user's alone to write.
            """

    class Accounts(Protocol):
        """The users of the guest."""

        @abstractmethod
        def key_file(self, user: str) -> SshKeyFile | None:
            """The authorized_keys of the user of that name; None if there is no such user."""

        @abstractmethod
        def password_command(self, *, crypted: bool) -> list[str]:
            """The program that reads lines of `user:password`, and its arguments."""

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

        @property
        def processors(self) -> Processors: ...

        @property
        def memory(self) -> Memory: ...

        @property
        def clock(self) -> Clock: ...

        @property
        def accounts(self) -> Accounts: ...
