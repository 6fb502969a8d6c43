"""A mounted file system, as `Freezer` and `Storage` tell it."""

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
