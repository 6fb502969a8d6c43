"""What the agent asks the platform, one Protocol a topic.

`linux` answers for real; `fake` answers in tests. Handlers never look at the platform themselves.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from abc import abstractmethod
    from typing import Protocol

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

    class System(Protocol):
        """The platform."""

        @property
        def freezer(self) -> Freezer: ...

        @property
        def power(self) -> Power: ...
