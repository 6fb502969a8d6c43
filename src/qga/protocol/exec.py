"""Running programs in the guest: guest-exec and guest-exec-status."""

from .model import TYPE_CHECKING, Alternate, Command, Data, Enum, Struct, Value, member


class ExecCaptureMode(Enum):
    """Which output of a program is kept.

    Values:
        none: none of it
        stdout: what it writes to its standard output
        stderr: what it writes to its standard error
        separated: both, each for itself
        merged: both, in the order written, as standard output
    """

    NAME = "GuestExecCaptureOutputMode"
    SINCE = "8.1"

    NONE = Value("none")
    STDOUT = Value("stdout")
    STDERR = Value("stderr")
    SEPARATED = Value("separated")
    MERGED = Value("merged")


if TYPE_CHECKING:
    ExecCapture = bool | ExecCaptureMode
else:
    ExecCapture = Alternate(
        "GuestExecCaptureOutput",
        since="8.1",
        doc="Which output is kept: true for both streams, false for none, or the mode.",
        flag=bool,
        mode=ExecCaptureMode,
    )


class ExecStatus(Struct):
    """How a program fares, and what it has written.

    Members:
        exited: whether it has ended, and its output has come; what other programs that hold its
            output may add is waited for only for a while
        exitcode: its exit code, if it ended by itself
        signal: the number of the signal that ended it
        out-data: what it wrote to standard output, if that is kept and not empty
        err-data: what it wrote to standard error, if that is kept and not empty
        out-truncated: whether the rest of its output was dropped, beyond 16 MiB
        err-truncated: whether the rest of its error output was dropped, beyond 16 MiB
    """

    NAME = "GuestExecStatus"
    SINCE = "2.5"

    exited: bool
    exitcode: int | None = None
    signal: int | None = None
    out_data: bytes | None = None
    err_data: bytes | None = None
    out_truncated: bool | None = None
    err_truncated: bool | None = None


class ExecGetStatus(Command[ExecStatus]):
    """Ask how a program fares that guest-exec has started.

    The answer that tells of its end is given once; after that the agent has forgotten the program.

    Members:
        pid: process number from guest-exec

    Returns: `GuestExecStatus`
    """

    NAME = "guest-exec-status"
    SINCE = "2.5"

    pid: int


class ExecStarted(Struct):
    """A program that was started.

    Members:
        pid: its process number in the guest
    """

    NAME = "GuestExec"
    SINCE = "2.5"

    pid: int


class Exec(Command[ExecStarted]):
    """Start a program in the guest.

    Members:
        path: the program; one without a slash is looked for on PATH
        arg: its arguments
        env: its environment, as NAME=VALUE; the agent's own if this is absent
        input-data: what it reads from its standard input; nothing by default
        capture-output: which output is kept for guest-exec-status; none by default

    Returns: `GuestExec`
    """

    NAME = "guest-exec"
    SINCE = "2.5"

    path: str
    arg: list[str] | None = None
    env: list[str] | None = None
    input_data: Data | None = None
    capture_output: ExecCapture | None = member(default=None)
