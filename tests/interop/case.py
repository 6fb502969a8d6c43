"""One entry of the script that both agents are sent. Used by the modules that hold the entries."""

import json
from dataclasses import dataclass
from typing import Any

# In the bytes of a case: the agent's own folder of files, its own user (in a virtual machine only),
# and the handle, or the number of the process, that the case with this name in `opens` got.
FOLDER = "@folder@"
USER = "@user@"


def handle(name: str) -> str:
    return f"@handle-{name}@"


@dataclass(frozen=True)
class Case:
    key: str
    """What is tried, in words; no two cases share it."""
    pieces: tuple[bytes | None, ...]
    """What is sent, with a pause between pieces; None: the client goes and another one comes."""
    opens: str = ""
    """The name by which later cases mean the handle, or the process, in the reply."""
    unfinished: bool = False
    """The agent is left inside of a message, out of which 0xFF brings it."""
    varying: tuple[str, ...] = ()
    """Members of the reply, at any depth, of which only the type of the value is compared."""
    until: bytes = b""
    """The case is sent again until the reply holds this, or is an error."""


@dataclass(frozen=True)
class Difference:
    """Cases that our agent answers otherwise than qemu-ga, for one reason."""

    title: str
    reason: str
    cases: tuple[str, ...]
    """The keys of the cases in the script that show it."""


def raw(key: str, *pieces: bytes | None, unfinished: bool = False) -> Case:
    return Case(key, pieces, unfinished=unfinished)


def request(key: str, message: Any) -> Case:
    return raw(key, json.dumps(message).encode() + b"\n")


def call(
    key: str,
    command: str,
    *,
    opens: str = "",
    varying: tuple[str, ...] = (),
    until: bytes = b"",
    **arguments: Any,
) -> Case:
    """A request for *command*; an underscore in an argument's name stands for a hyphen."""
    message: dict[str, Any] = {"execute": command}
    if arguments:
        message["arguments"] = {name.replace("_", "-"): value for name, value in arguments.items()}
    return Case(
        key, (json.dumps(message).encode() + b"\n",), opens=opens, varying=varying, until=until
    )
