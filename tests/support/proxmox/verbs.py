"""The verbs below agent/: the schema of each, the rights that it needs, and what it does."""

from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .monitor import Died, command

AUDIT, UNRESTRICTED = "VM.GuestAgent.Audit", "VM.GuestAgent.Unrestricted"
READ, WRITE = "VM.GuestAgent.FileRead", "VM.GuestAgent.FileWrite"
SYSTEM, POWER = "VM.GuestAgent.FileSystemMgmt", "VM.PowerMgmt"

MAX_READ = 16 << 20


@dataclass
class Parameter:
    """What the schema says of a parameter."""

    kind: str
    optional: bool = False
    minimum: int | None = None
    maximum: int | None = None  # of a string: its length


@dataclass
class Verb:
    """A verb: how it is called, by whom, with what, and the code."""

    method: str
    rights: tuple[str, ...]
    code: Callable[["Machine", dict[str, Any]], Any]
    parameters: dict[str, Parameter] = field(default_factory=dict)


@dataclass
class Machine:
    """The virtual machine.

    Attributes:
        socket: of its agent.
        vmid: its number.
        exists: whether it is on this node.
        configured: whether it has a channel for an agent.
        running: whether it runs.
    """

    socket: Path
    vmid: int = 100
    exists: bool = True
    configured: bool = True
    running: bool = True

    def check(self) -> None:
        """Die where no agent can be asked."""
        if not self.exists:
            path = f"nodes/node1/qemu-server/{self.vmid}.conf"
            raise Died(f"Configuration file '{path}' does not exist\n")
        if not self.configured:
            raise Died("No QEMU guest agent configured\n")
        if not self.running:
            raise Died(f"VM {self.vmid} is not running\n")
        try:
            command(self.socket, "guest-ping", seconds=3)
        except Died:
            raise Died("QEMU guest agent is not running\n") from None

    def ask(self, name: str, arguments: dict[str, Any], error: str) -> Any:
        """Have a command executed; die of its error."""
        self.check()
        result = command(self.socket, name, arguments)
        _checked(result, error)
        return result


def _checked(result: Any, error: str) -> None:
    if result is None:
        raise Died(f"Agent error: {error}\n")
    if isinstance(result, dict) and "error" in result:
        raise Died(f"Agent error: {result['error']['desc']}\n")


def table(*, offsets: bool) -> dict[str, Verb]:
    """All verbs; with *offsets* as since 2026, without as before."""
    simple = {
        "GET": {
            AUDIT: "get-fsinfo get-host-name get-memory-block-info get-memory-blocks get-osinfo"
            " get-time get-timezone get-users get-vcpus info network-get-interfaces"
        },
        "POST": {
            AUDIT: "ping",
            SYSTEM: "fsfreeze-freeze fsfreeze-thaw fstrim",
            POWER: "shutdown suspend-disk suspend-hybrid suspend-ram",
        },
    }
    verbs = {
        name: Verb(method, (right, UNRESTRICTED), _simple(name))
        for method, rights in simple.items()
        for right, names in rights.items()
        for name in names.split()
    }
    status = _simple("fsfreeze-status")
    verbs["fsfreeze-status"] = Verb("POST", (AUDIT, SYSTEM, UNRESTRICTED), status)
    verbs["set-user-password"] = Verb(
        "POST",
        (UNRESTRICTED,),
        _set_user_password,
        {
            "username": Parameter("string"),
            "password": Parameter("string", minimum=5, maximum=1024),
            "crypted": Parameter("boolean", optional=True),
        },
    )
    verbs["exec"] = Verb(
        "POST",
        (UNRESTRICTED,),
        _exec,
        {
            "command": Parameter("array"),
            "input-data": Parameter("string", optional=True, maximum=64 * 1024),
        },
    )
    pid = {"pid": Parameter("integer")}
    verbs["exec-status"] = Verb("GET", (UNRESTRICTED,), _exec_status, pid)
    reading = {"file": Parameter("string")}
    if offsets:
        reading["count"] = Parameter("integer", optional=True, minimum=1, maximum=MAX_READ)
        reading["offset"] = Parameter("integer", optional=True, minimum=0)
        reading["decode"] = Parameter("boolean", optional=True)
    verbs["file-read"] = Verb("GET", (READ, UNRESTRICTED), _file_read, reading)
    verbs["file-write"] = Verb(
        "POST",
        (WRITE, UNRESTRICTED),
        _file_write,
        {
            "file": Parameter("string"),
            "content": Parameter("string", maximum=60 * 1024),
            "encode": Parameter("boolean", optional=True),
        },
    )
    return verbs


def _simple(name: str) -> Callable[[Machine, dict[str, Any]], Any]:
    def code(machine: Machine, _: dict[str, Any]) -> Any:
        machine.check()
        return {"result": command(machine.socket, f"guest-{name}")}

    return code


def _set_user_password(machine: Machine, parameters: dict[str, Any]) -> Any:
    arguments = {
        "username": parameters["username"],
        "password": _base64(parameters["password"]),
        "crypted": _true(parameters.get("crypted", 0)),
    }
    return {"result": machine.ask("guest-set-user-password", arguments, "cannot set user password")}


def _exec(machine: Machine, parameters: dict[str, Any]) -> Any:
    path, *rest = parameters["command"]
    arguments = {"capture-output": True, "path": path, "arg": rest}
    if "input-data" in parameters:
        arguments["input-data"] = _base64(parameters["input-data"])
    return machine.ask("guest-exec", arguments, "can't execute command")


def _exec_status(machine: Machine, parameters: dict[str, Any]) -> Any:
    pid = int(parameters["pid"])
    status = machine.ask("guest-exec-status", {"pid": pid}, "can't get exec status")
    for member, value in status.items():
        if isinstance(value, bool):
            status[member] = int(value)
        elif member in ("out-data", "err-data"):
            status[member] = _decoded(value)
    return status


def _file_read(machine: Machine, parameters: dict[str, Any]) -> Any:
    handle = machine.ask("guest-file-open", {"path": parameters["file"]}, "can't open file")
    offset, limit = int(parameters.get("offset", 0)), int(parameters.get("count", MAX_READ))
    if offset:
        arguments = {"handle": handle, "offset": offset, "whence": "set"}
        _checked(command(machine.socket, "guest-file-seek", arguments), "can't seek")
    content, done, eof = "", 0, False
    while done < limit and not eof:
        arguments = {"handle": handle, "count": min(1 << 20, limit - done)}
        piece = command(machine.socket, "guest-file-read", arguments)
        _checked(piece, "can't read from file")
        text = piece["buf-b64"]
        content += _decoded(text) if _true(parameters.get("decode", 1)) else text
        done, eof = done + piece["count"], piece["eof"]
    _checked(command(machine.socket, "guest-file-close", {"handle": handle}), "can't close file")
    result: dict[str, Any] = {"content": content, "bytes-read": done}
    return result if eof else {**result, "truncated": 1}


def _file_write(machine: Machine, parameters: dict[str, Any]) -> None:
    content = parameters["content"]
    if _true(parameters.get("encode", 1)):
        content = _base64(content)
    opening = {"path": parameters["file"], "mode": "wb"}
    handle = machine.ask("guest-file-open", opening, "can't open file")
    machine.ask("guest-file-write", {"handle": handle, "buf-b64": content}, "can't write to file")
    machine.ask("guest-file-close", {"handle": handle}, "can't close file")


def _true(value: Any) -> bool:
    return str(value) == "1" or value is True


def _decoded(text: str) -> str:
    """Base64 to text as Perl does it: a character for each byte."""
    return b64decode(text).decode("latin-1")


def _base64(text: str) -> str:
    """Text to base64 as Perl does it: a byte for each character."""
    try:
        return b64encode(text.encode("latin-1")).decode()
    except UnicodeEncodeError:
        raise Died("Wide character in subroutine entry at Agent.pm line 1.\n") from None
