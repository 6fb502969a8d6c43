"""What libvirt's errors mean: each becomes one of `qga.errors`. For `libvirt`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, cast

from qga.errors import (
    AgentBusy,
    AgentNotResponding,
    AgentTimeout,
    ConnectionLost,
    NoChannel,
    ProtocolError,
    QgaError,
)
from qga.wire.refusal import refusal

if TYPE_CHECKING:
    from typing import Protocol

    class Failure(Protocol):
        """What is used of a `libvirt.libvirtError`."""

        def get_error_code(self) -> int | None: ...
        def get_error_message(self) -> str | None: ...
        def get_str2(self) -> str | None: ...


# Numbers of libvirt's errors; the module that was built with an older libvirt lacks names for some.
_NO_SUPPORT, _RPC, _NO_DOMAIN, _INVALID_OPERATION = 3, 39, 42, 55
_OPERATION_TIMEOUT, _ARGUMENT_UNSUPPORTED = 68, 74
_AGENT_UNRESPONSIVE, _AGENT_UNSYNCED = 86, 97
_AGENT_TIMEOUT, _AGENT_FAILED = 112, 113
_NO_RIGHTS = (29, 45, 88)  # operation denied, authentication failed, access denied

_CHANNEL = "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>"


class NoDomain(NoChannel):
    """The domain does not exist, or not any more."""

    off = True


class NotActive(NoChannel):
    """The domain does not run."""

    off = True


class Asleep(NoChannel):
    """The domain is paused, sleeps, or has just ended."""

    asleep = True


class LibvirtLost(ConnectionLost):
    """Not the agent is gone, but the way to libvirt."""


def with_connection(error: QgaError, alive: int) -> QgaError:
    """The exception for *error*, after which the connection to libvirt is *alive* or not."""
    return error if alive else LibvirtLost(f"the connection to libvirt broke: {error}")


def missing(error: Exception) -> bool:
    """Whether libvirt says that it has no such domain."""
    return cast("Failure", error).get_error_code() == _NO_DOMAIN


def explained(error: Exception, name: str, *, sent: bool) -> QgaError:
    """The exception for an error of libvirt.

    Args:
        error: libvirt's.
        name: the command's.
        sent: whether the time has passed that libvirt had for the command.
    """
    failure = cast("Failure", error)
    code, message = failure.get_error_code(), failure.get_error_message() or str(error)
    detail = failure.get_str2() or message
    refused = _refusal(code, detail, name)
    if refused is not None:
        return refusal(refused)
    if code in (_AGENT_UNRESPONSIVE, _AGENT_TIMEOUT, _AGENT_UNSYNCED, _OPERATION_TIMEOUT):
        return _unresponsive(code, detail, name, sent=sent)
    if code == _NO_DOMAIN:
        return NoDomain(f"the domain is gone: {detail}")
    if code == _INVALID_OPERATION:
        return Asleep(f"{detail}: is it paused, asleep or shut off? `virsh domstate` tells")
    if code == _ARGUMENT_UNSUPPORTED:
        return NoChannel(f"{detail}: the domain's devices have to include {_CHANNEL}")
    if code == _NO_SUPPORT:
        return NoChannel(f"this libvirt has no guest agents: {detail}")
    if code in _NO_RIGHTS:
        return NoChannel(f"libvirt does not allow it: {detail}")
    if code == _RPC and "message payload" in detail:
        return ProtocolError(f"{name}: the reply has more than the 4 MiB that libvirt passes on")
    if "agent response" in detail:
        return ProtocolError(
            f"{name}: the reply is longer than libvirt can read, which will not speak to this "
            f"agent any more until it is restarted: {detail}"
        )
    if "parse json" in detail:
        return ProtocolError(f"{name}: libvirt does not understand the reply: {detail}")
    return ConnectionLost(f"{name}: {message}")


def _unresponsive(code: int | None, detail: str, name: str, *, sent: bool) -> QgaError:
    if "disappeared" in detail:
        return ConnectionLost(f"{name}: the agent, or its guest, went away")
    if "not connected" in detail:
        return AgentNotResponding("no agent has opened the domain's channel, or it was stopped")
    if "due to an error" in detail:
        return AgentNotResponding(
            "libvirt has given this agent up after an error, until it is restarted in the guest"
        )
    if code == _OPERATION_TIMEOUT:
        return AgentBusy(f"another client of libvirt keeps the agent busy: {detail}")
    if code == _AGENT_UNSYNCED or (code == _AGENT_UNRESPONSIVE and not sent):
        return AgentNotResponding(f"the agent does not answer libvirt: {detail}")
    return AgentTimeout(f"{name}: no answer from the agent in time: {detail}")


def _refusal(code: int | None, detail: str, name: str) -> dict[str, str] | None:
    """The agent's error reply, of which libvirt passes on the text within its own; None if none."""
    start, found, rest = detail.partition(f"'{name}'")
    if code != _AGENT_FAILED and not (code == 1 and found and start):
        return None
    desc = rest.partition(": ")[2] or detail
    # The class is not passed on. Agents have two, and one of them for these texts alone.
    unknown = re.match(
        f"(The )?command {re.escape(name)} has (not been found|been disabled)", desc, re.IGNORECASE
    )
    return {"class": "CommandNotFound" if unknown else "GenericError", "desc": desc}
