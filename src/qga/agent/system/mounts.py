"""Mounted file systems, as `Freezer` and `Storage` tell of them."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qga.protocol.storage import FilesystemInfo


class Mount:
    """One entry of the mount table: where, and which device."""

    __slots__ = ("device", "kind", "path", "source")

    def __init__(self, path: str, device: "tuple[int, int]", kind: str, source: str) -> None:
        self.path = path
        self.device = device  # major and minor number
        self.kind = kind
        self.source = source

    @property
    def shown(self) -> str:
        """The path as the host is told it; bytes that are not UTF-8 become U+FFFD."""
        return self.path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")

    def __repr__(self) -> str:
        return f"Mount({self.path!r}, {self.device}, {self.kind!r}, {self.source!r})"


class Survey:
    """What is mounted, as a freeze has to know it.

    Attributes:
        mounts: those that may be frozen, in the order of the mount table, one a device.
        below: for each of them, the positions of those that have to be frozen after it, since its
            last writes go there: the one with the file of a loop device.
        notes: by position, what else is to be known of one.
        others: the other mounts, each with why it is not to be frozen.
        table: the mount table that this was made of.
    """

    __slots__ = ("below", "mounts", "notes", "others", "table")

    def __init__(
        self,
        mounts: "list[Mount]",
        below: "list[set[int]] | None" = None,
        notes: "dict[int, str] | None" = None,
        others: "list[tuple[Mount, str]] | None" = None,
        *,
        table: bytes = b"",
    ) -> None:
        self.mounts = mounts
        self.below = below or [set() for _ in mounts]
        self.notes = notes or {}
        self.others = others or []
        self.table = table


class Filesystem:
    """A mounted file system that is on a block device.

    `info` is all but its sizes, which are bytes in use, that users have in all, and in all; None if
    they are not known. Who needs `info` as text, may keep that in `text`: it is None whenever
    `info` is another than before.
    """

    __slots__ = ("info", "sizes", "text")

    def __init__(self, info: "FilesystemInfo") -> None:
        self.info = info
        self.sizes: tuple[int, int, int] | None = None
        self.text: tuple[bytes, bytes, int] | None = None
