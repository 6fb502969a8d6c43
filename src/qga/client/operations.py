"""What a client can do beyond single commands: each operation once, from its flow.

`Client` and `AsyncClient` inherit this; with the latter every operation is to be awaited.
"""

from __future__ import annotations

from .flows import freezing, session, transfer
from .operation import operation
from .process import ProgramOperations
from .shell import ShellOperations


class Operations(ProgramOperations, ShellOperations):
    """The operations of every client."""

    ping = operation(session.ping)
    info = operation(session.info)
    shutdown = operation(session.shutdown)

    read_file = operation(transfer.read_file)
    write_file = operation(transfer.write_file)
    download = operation(transfer.download)
    upload = operation(transfer.upload)

    fsfreeze_status = operation(freezing.status)
    thaw = operation(freezing.thaw)
