"""What the API's answers mean: the value in it, or the error of qga's tree that it stands for."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from qga.errors import (
    AgentNotResponding,
    AgentTimeout,
    BadArgument,
    CommandDisabled,
    CommandError,
    ConnectionLost,
    NoChannel,
    ProtocolError,
    QgaError,
    Unsupported,
)
from qga.wire.refusal import refusal

if TYPE_CHECKING:
    from typing import Any

    from .settings import Settings

# How the API begins what the agent told it.
_AGENT = "Agent error: "

# What a server says of a parameter that its version does not have yet.
_NOT_THERE = "not defined in schema"

# Not of HTTP: what the API's server answers when it could not reach the node it passes calls on to.
_NO_CONNECTION, _NO_HANDSHAKE, _NO_BODY, _NO_OTHER = 595, 596, 597, 599


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer of the server.

    Attributes:
        status: its number.
        reason: the text beside it; the API has its error messages there.
        body: what follows.
    """

    status: int
    reason: str
    body: bytes


class TooLarge(Unsupported):
    """The server takes no request of this length. Nothing was done."""


class UnknownParameters(BadArgument):
    """This version of the API does not have a parameter that was sent. Nothing was done."""


def value(answer: Answer, what: str, settings: Settings) -> Any:
    """The `data` of an answer.

    Args:
        answer: it.
        what: the call that it answers, for messages.
        settings: of the machine, for messages.

    Raises:
        QgaError: what the answer says; see `failure`.
    """
    body = _json(answer.body)
    if answer.status != 200:
        raise failure(answer, body, what, settings)
    if body is None or "data" not in body:
        raise ProtocolError(
            f"{what}: the answer is not JSON of Proxmox VE's API: is that its server?"
        )
    return body["data"]


def failure(answer: Answer, body: dict[str, Any] | None, what: str, settings: Settings) -> QgaError:
    """The exception that an answer stands for."""
    # The text is in the body since 2025, in the status line always.
    message = str((body or {}).get("message") or answer.reason).strip()
    errors = (body or {}).get("errors")
    status = answer.status
    if status == 400:
        return _parameters(what, message, errors if isinstance(errors, dict) else {})
    if status == 401:
        return NoChannel(f"the Proxmox API does not let {settings.who} in: {message}")
    if status == 403:
        return CommandDisabled(
            f"the Proxmox API refuses {what} to {settings.who}: {message}; an administrator can"
            f" give that right on /vms/{settings.vmid}"
        )
    if status == 500:
        return _internal(what, message, settings)
    return _gateway(status, what, message, settings)


def _parameters(what: str, message: str, errors: dict[str, Any]) -> QgaError:
    details = "; ".join(f"{name}: {text}" for name, text in errors.items())
    kind = UnknownParameters if any(_NOT_THERE in str(e) for e in errors.values()) else BadArgument
    return kind(f"the Proxmox API refuses {what}: {details.strip() or message}")


def _internal(what: str, message: str, settings: Settings) -> QgaError:
    """The error of a call that the API has begun."""
    if message.startswith(_AGENT):
        return agent_error({"desc": message.removeprefix(_AGENT)})
    machine = f"VM {settings.vmid} on {settings.node}"
    if "agent is not running" in message:
        return AgentNotResponding(
            f"the agent of {machine} does not answer Proxmox: is qemu-guest-agent running in the"
            " guest, or busy with something long?"
        )
    if "No QEMU guest agent configured" in message:
        return NoChannel(
            f"{machine} has no channel for an agent: `qm set {settings.vmid} --agent 1`, then stop"
            " and start it"
        )
    if re.search(r"VM \d+ (?:is )?not running", message):
        stopped = NoChannel(f"{machine} is not running: start it")
        stopped.off = True
        return stopped
    if message.startswith("Configuration file ") and "does not exist" in message:
        return NoChannel(
            f"there is no {machine}: it may have been moved to another node ({message})"
        )
    if "hostname lookup" in message or "unable to get remote IP" in message:
        return NoChannel(f"there is no node {settings.node} in the cluster: {message}")
    if "qga socket" in message or "monitor socket" in message:
        return AgentNotResponding(f"the channel of {machine} is taken: {message}")
    if "got timeout" in message or "timeout" in message.rpartition(" - ")[2]:
        return AgentTimeout(f"{what}: Proxmox waited in vain for the agent of {machine}: {message}")
    if "closed connection" in message:
        return ConnectionLost(f"{what}: the channel of {machine} broke: {message}")
    return CommandError(f"the Proxmox API failed in {what}: {message}")


def _gateway(status: int, what: str, message: str, settings: Settings) -> QgaError:
    """The error of a call that did not get as far as the API's code, or whose answer was lost."""
    told = f"{what}: {status} {message}"
    if status in (501, 413) and "too large" in message:
        return TooLarge(
            f"{told}: more than this server takes in one request (64 KiB before Proxmox VE 8.4)"
        )
    if status in (404, 405, 501):
        return Unsupported(f"this server does not have {told}")
    if status == _NO_CONNECTION or "certificate" in message:
        return NoChannel(f"the server cannot reach node {settings.node}: {message}")
    if status == 504 or (status >= _NO_HANDSHAKE and "timed out" in message):
        return AgentTimeout(f"{told}: node {settings.node} did not answer in time")
    if status in (502, _NO_HANDSHAKE, _NO_BODY, _NO_OTHER):
        return ConnectionLost(f"{told}: the server lost node {settings.node}")
    if status == 503:
        return NoChannel(f"the server has no time or no node for us: {told}")
    return ProtocolError(f"{told}: no answer of Proxmox VE's API")


def agent_error(error: dict[str, Any]) -> CommandError:
    """The exception for an error of the agent; its class may have been lost on the way."""
    desc = str(error.get("desc", ""))
    if "class" not in error and (
        "has been disabled" in desc or re.search(r"[Cc]ommand \S+ has not been found", desc)
    ):
        error = {**error, "class": "CommandNotFound"}
    return refusal(error)


def _json(body: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(body)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
