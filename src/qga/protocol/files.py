"""Files of the guest: guest-file-open, -close, -read, -write, -seek and -flush."""

from .model import TYPE_CHECKING, Alternate, Command, Data, Enum, Struct, Value, member


class FileOpen(Command[int]):
    """Open a file in the guest and get a handle for it.

    Members:
        path: full path to the file in the guest
        mode: open mode, as for fopen(), "r" by default

    Returns: the handle, for the other guest-file commands
    """

    NAME = "guest-file-open"
    SINCE = "0.15"

    path: str
    mode: str | None = None


class FileClose(Command[None]):
    """Close an open file in the guest.

    Members:
        handle: handle from guest-file-open
    """

    NAME = "guest-file-close"
    SINCE = "0.15"

    handle: int


class FileChunk(Struct):
    """What was read.

    Members:
        count: number of bytes read, before base64
        buf-b64: the bytes
        eof: whether the end of the file was met while reading them
    """

    NAME = "GuestFileRead"
    SINCE = "0.15"

    count: int
    data: bytes = member(name="buf-b64")
    eof: bool


class FileRead(Command[FileChunk]):
    """Read from an open file in the guest.

    Members:
        handle: handle from guest-file-open
        count: maximum number of bytes to read, 4096 by default, 48 MiB at most

    Returns: `GuestFileRead`
    """

    NAME = "guest-file-read"
    SINCE = "0.15"

    handle: int
    count: int | None = None


class FileWritten(Struct):
    """What was written.

    Members:
        count: number of bytes written, after decoding base64
        eof: whether the end of the file was met
    """

    NAME = "GuestFileWrite"
    SINCE = "0.15"

    count: int
    eof: bool


class FileWrite(Command[FileWritten]):
    """Write to an open file in the guest.

    Members:
        handle: handle from guest-file-open
        buf-b64: the data
        count: how many bytes of the data to write, after decoding; all by default

    Returns: `GuestFileWrite`
    """

    NAME = "guest-file-write"
    SINCE = "0.15"

    handle: int
    data: Data = member(name="buf-b64")
    count: int | None = None


class FilePosition(Struct):
    """Where the next read or write takes place.

    Members:
        position: offset from the start of the file, in bytes
        eof: whether the end of the file was met
    """

    NAME = "GuestFileSeek"
    SINCE = "0.15"

    position: int
    eof: bool


class Seek(Enum):
    """What an offset is relative to.

    Values:
        set: the start of the file
        cur: the current position
        end: the end of the file
    """

    NAME = "QGASeek"
    SINCE = "2.6"

    SET = Value("set")
    CUR = Value("cur")
    END = Value("end")


if TYPE_CHECKING:
    Whence = int | Seek
else:
    Whence = Alternate(
        "GuestFileWhence",
        since="2.6",
        doc="What an offset is relative to, as the number (0, 1, 2) or the name.",
        value=int,
        name=Seek,
    )


class FileSeek(Command[FilePosition]):
    """Move the position in an open file in the guest, as fseek() does, and tell it.

    With offset 0 relative to the current position it is ftell().

    Members:
        handle: handle from guest-file-open
        offset: offset in bytes
        whence: what the offset is relative to: 0 or "set", 1 or "cur", 2 or "end"

    Returns: `GuestFileSeek`
    """

    NAME = "guest-file-seek"
    SINCE = "0.15"

    handle: int
    offset: int
    whence: Whence


class FileFlush(Command[None]):
    """Write buffered changes of a file in the guest to the guest's kernel.

    Members:
        handle: handle from guest-file-open
    """

    NAME = "guest-file-flush"
    SINCE = "0.15"

    handle: int
