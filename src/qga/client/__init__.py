"""The host side: clients for any guest agent that speaks qemu-ga's protocol.

- `sync` is the blocking `Client`;
- `flows` are operations of several commands, written once for every kind of client;
- `guestfile` makes a file of the guest a Python file;
- `target` understands what the user calls an agent, `transports` open the way to it.

The conversation itself, without I/O, is `qga.wire.handshake`.
"""

from .guestfile import GuestFile
from .sync import Client, Freeze, connect
from .target import Target
from .transports import Deadline, Transport

__all__ = ["Client", "Deadline", "Freeze", "GuestFile", "Target", "Transport", "connect"]
