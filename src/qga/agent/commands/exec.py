"""Handlers of `qga.protocol.exec`."""

from qga.agent.later import Stream
from qga.agent.pipes import encoded
from qga.protocol.codec import encode
from qga.protocol.exec import Exec, ExecCaptureMode, ExecGetStatus, ExecStarted, ExecStatus
from qga.wire import base64, text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from qga.agent.app import Agent
    from qga.agent.pipes import Output


# Whether to keep standard output, to keep standard error, and to put the latter into the former.
_CAPTURE = {
    None: (False, False, False),
    False: (False, False, False),
    True: (True, True, False),
    ExecCaptureMode.NONE: (False, False, False),
    ExecCaptureMode.STDOUT: (True, False, False),
    ExecCaptureMode.STDERR: (False, True, False),
    ExecCaptureMode.SEPARATED: (True, True, False),
    ExecCaptureMode.MERGED: (True, False, True),
}

_RUNNING = ExecStatus(exited=False)


@Exec.handler
def exec_(agent: "Agent", command: Exec) -> ExecStarted:
    pid = agent.processes.start(
        command.path,
        command.arg or [],
        command.env,
        command.input_data,
        _CAPTURE[command.capture_output],
    )
    # Not its arguments: there may be passwords among them.
    agent.log.info(f"guest-exec, path: {command.path!r}, pid: {pid}")
    return ExecStarted(pid=pid)


@ExecGetStatus.handler
def status(agent: "Agent", command: ExecGetStatus) -> "ExecStatus | Stream[ExecStatus]":
    process = agent.processes.fetch(command.pid)
    if process is None or process.code is None:
        return _RUNNING
    code = process.code
    out, out_truncated = _take(process.out)
    err, err_truncated = _take(process.err)
    # More than one piece is encoded while it is sent.
    large = len(out) + len(err) > base64.PIECE
    ended = ExecStatus(
        exited=True,
        exitcode=code if code >= 0 else None,
        signal=-code if code < 0 else None,
        out_data=None if large else bytes(out) or None,
        err_data=None if large else bytes(err) or None,
        out_truncated=out_truncated,
        err_truncated=err_truncated,
    )
    return Stream(_with_data(ended, out, err)) if large else ended


def _take(output: "Output | None") -> "tuple[memoryview, bool | None]":
    """What is kept, and whether that is not all; None if there is nothing."""
    if output is None:
        return memoryview(b""), None
    data = output.take()
    return data, output.truncated if data else None


def _with_data(ended: ExecStatus, out: memoryview, err: memoryview) -> "Iterator[bytes]":
    yield b"".join(text.encode(encode(ended)))[:-1]  # without the brace
    for name, data in (b"out-data", out), (b"err-data", err):
        if data:
            yield b', "%s": "' % name
            yield from encoded(data)
            yield b'"'
    yield b"}"
