"""A mounted file system, as `Freezer` tells it."""


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
