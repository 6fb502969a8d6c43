"""The agent's commands as the API has them: which can be carried, by what call, and the rest.

Whatever cannot be carried is refused before anything is sent.
"""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING

from qga.client.flows.steps import Limits
from qga.errors import AgentNotResponding, AgentTimeout, ConnectionLost, Unsupported
from qga.wire.handshake import SILENCE

from . import programs
from .answers import agent_error
from .api import Session
from .files import READ, WRITE, Files, latin

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

    from .api import Talk
    from .settings import Settings

# Verbs that are the command without `guest-`, take no parameter, and wrap what the agent returned.
VERBS = {
    "GET": (
        "get-fsinfo",
        "get-host-name",
        "get-memory-block-info",
        "get-memory-blocks",
        "get-osinfo",
        "get-time",
        "get-timezone",
        "get-users",
        "get-vcpus",
        "info",
        "network-get-interfaces",
    ),
    "POST": (
        "fsfreeze-freeze",
        "fsfreeze-status",
        "fsfreeze-thaw",
        "fstrim",
        "ping",
        "shutdown",
        "suspend-disk",
        "suspend-hybrid",
        "suspend-ram",
    ),
}
_METHODS = {f"guest-{verb}": (method, verb) for method, verbs in VERBS.items() for verb in verbs}

# The verbs that the guest-file commands need, one of them at least.
_FILE_VERBS = frozenset(("exec", "file-read", "file-write"))

# What else does what a command does that the API lacks.
_INSTEAD = {
    "guest-fsfreeze-freeze-list": "freeze all file systems with guest-fsfreeze-freeze",
    "guest-get-cpustats": "read /proc/stat",
    "guest-get-diskstats": "read /proc/diskstats",
    "guest-get-disks": "run lsblk --json",
    "guest-get-load": "read /proc/loadavg",
    "guest-network-get-route": "read /proc/net/route, or run ip -json route",
    "guest-set-time": "run date --set",
    "guest-set-memory-blocks": "write to /sys/devices/system/memory",
    "guest-set-vcpus": "write to /sys/devices/system/cpu",
    "guest-ssh-add-authorized-keys": "write ~/.ssh/authorized_keys of that user",
    "guest-ssh-get-authorized-keys": "read ~/.ssh/authorized_keys of that user",
    "guest-ssh-remove-authorized-keys": "write ~/.ssh/authorized_keys of that user",
}

# A way from the API to the agent and back takes longer than a socket's.
_SILENCE = 2 * SILENCE


class Agent:
    """The agent of one machine, as the API shows it. Without I/O: its methods are talks.

    Args:
        settings: server, machine and credentials.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.session = Session(settings)
        self._files = Files(self.session)
        self._special: dict[str, Callable[[Mapping[str, Any]], Talk[Any]]] = {
            "guest-exec": self._exec,
            "guest-exec-status": self._exec_status,
            "guest-file-close": self._files.close,
            "guest-file-flush": self._files.flush,
            "guest-file-open": self._files.open,
            "guest-file-read": self._files.read,
            "guest-file-seek": self._files.seek,
            "guest-file-write": self._files.write,
            "guest-set-user-password": self._set_user_password,
            "guest-sync": self._sync,
            "guest-sync-delimited": self._sync,
        }
        self.limits = Limits(
            read=READ,
            write=WRITE,
            input=programs.INPUT,
            commands=frozenset(_METHODS) | frozenset(self._special),
        )

    def open(self) -> Talk[Limits]:
        """See that the server lets us in, and what it has; return what can be carried."""
        found = yield from self.session.agent("GET", "")
        verbs = {entry.get("name") for entry in found if isinstance(entry, dict)}
        lacking = {name for name, (_, verb) in _METHODS.items() if verb not in verbs}
        for verb in ("exec", "exec-status", "set-user-password"):
            if verb not in verbs:
                lacking.add(f"guest-{verb}")
        if not verbs & _FILE_VERBS:
            lacking |= {name for name in self._special if name.startswith("guest-file-")}
        commands = (frozenset(_METHODS) | frozenset(self._special)) - lacking
        self.limits = Limits(read=READ, write=WRITE, input=programs.INPUT, commands=commands)
        return self.limits

    def request(self, name: str, arguments: Mapping[str, Any], *, silent: bool) -> Talk[Any]:
        """Have the agent execute a command; return what it returned, as JSON has it.

        Args:
            name: the command's name.
            arguments: as JSON has them, or bytes where base64 is meant.
            silent: whether the agent is silent when it succeeds.

        Raises:
            Unsupported: the API does not have that.
            QgaError: what came of it.
        """
        given = {key: value for key, value in arguments.items() if value is not None}
        if name not in (self.limits.commands or ()):
            raise _unsupported(name, self.settings)
        special = self._special.get(name)
        if special is not None:
            yield from self._files.tidy()
            return (yield from special(given))
        method, verb = _METHODS[name]
        _check(name, given)
        yield from self._files.tidy()
        try:
            data = yield from self.session.agent(method, verb, within=_SILENCE if silent else None)
        except (AgentTimeout, ConnectionLost) as error:
            if not silent or isinstance(error, AgentNotResponding):
                raise
            return None
        return _result(data)

    def _exec(self, arguments: Mapping[str, Any]) -> Talk[dict[str, Any]]:
        data = yield from self.session.agent("POST", "exec", programs.started(arguments))
        return {"pid": int(data["pid"])}

    def _exec_status(self, arguments: Mapping[str, Any]) -> Talk[dict[str, Any]]:
        data = yield from self.session.agent("GET", "exec-status", {"pid": arguments.get("pid")})
        status: dict[str, Any] = {"exited": bool(int(data.get("exited") or 0))}
        for member in ("exitcode", "signal"):
            if data.get(member) is not None:
                status[member] = int(data[member])
        for member in ("out-data", "err-data"):
            if data.get(member):
                status[member] = b64encode(latin(data[member])).decode()
        for member in ("out-truncated", "err-truncated"):
            if data.get(member) is not None:
                status[member] = bool(int(data[member]))
        return status

    def _set_user_password(self, arguments: Mapping[str, Any]) -> Talk[Any]:
        password = programs.content(arguments.get("password", b""))
        user = str(arguments.get("username", ""))
        if not password.isascii() or not user.isascii():
            raise Unsupported(
                "the Proxmox API carries user names and passwords of ASCII only; a password can be"
                " given as its hash, with crypted=True"
            )
        parameters = {
            "username": user,
            "password": password.decode(),
            "crypted": int(bool(arguments.get("crypted"))),
        }
        return _result((yield from self.session.agent("POST", "set-user-password", parameters)))

    def _sync(self, arguments: Mapping[str, Any]) -> Talk[Any]:
        """The API gets in step with the agent for each of its calls."""
        yield from ()
        return arguments.get("id")


def _result(data: Any) -> Any:
    """What the agent returned, out of the API's wrapping."""
    result = data.get("result") if isinstance(data, dict) else None
    if isinstance(result, dict) and isinstance(result.get("error"), dict):
        raise agent_error(result["error"])
    return result


def _check(name: str, arguments: Mapping[str, Any]) -> None:
    """Refuse what a verb without parameters cannot say."""
    if name == "guest-shutdown" and arguments.get("mode") == "powerdown":
        return
    if not arguments:
        return
    instead = {
        "guest-shutdown": "the API only powers down; run shutdown -r or -H in the guest",
        "guest-fstrim": "run fstrim in the guest",
    }.get(name, "leave it out")
    raise Unsupported(
        f"the Proxmox API has {name} without parameters, so not {', '.join(arguments)}: {instead}"
    )


def _unsupported(name: str, settings: Settings) -> Unsupported:
    instead = _INSTEAD.get(name)
    other = (
        f"on the node itself root has all commands at unix:/var/run/qemu-server/{settings.vmid}.qga"
    )
    hint = f"{instead} in the guest instead; or {other}" if instead else other
    return Unsupported(f"the Proxmox API does not carry {name}: {hint}")
