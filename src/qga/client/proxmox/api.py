"""The conversation with the API, without I/O: who we are, and one call after the other.

Methods are generators that yield `Call` and `Pause` steps to a driver in `transport`, are sent an
`Answer` for each `Call`, and have the driver's errors thrown into them.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar
from urllib.parse import quote

from qga.errors import NoChannel

from . import answers

if TYPE_CHECKING:
    from .answers import Answer
    from .settings import Settings

T = TypeVar("T")
Talk: TypeAlias = Generator["Call | Pause", Any, T]

# A ticket is good for two hours; after so many seconds a new one is asked for with the old.
RENEW = 3600.0

_TICKET = "/access/ticket"


@dataclass(frozen=True, slots=True)
class Call:
    """A step: ask the server.

    Attributes:
        method: GET or POST.
        path: below /api2/json.
        parameters: in the query or, as JSON, in the body.
        headers: who asks.
        within: how long it may take, in seconds, if that is less than the command may.
    """

    method: str
    path: str
    parameters: Mapping[str, Any] = field(default_factory=dict, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    within: float | None = None


@dataclass(frozen=True, slots=True)
class Pause:
    """A step: wait for so many *seconds*."""

    seconds: float


class Session:
    """What is known of the server and of our being let in; shared by all that use one way.

    Args:
        settings: server, machine and credentials.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._ticket: tuple[str, str] | None = None
        self._renew = 0.0

    def agent(
        self,
        method: str,
        verb: str,
        parameters: Mapping[str, Any] | None = None,
        *,
        within: float | None = None,
    ) -> Talk[Any]:
        """Call a verb of the machine's agent; return the `data` of the answer.

        Args:
            method: GET or POST.
            verb: what follows `agent/` in the path.
            parameters: of the verb.
            within: how long it may take, in seconds.

        Raises:
            QgaError: by what the answer says; `answers` has the table.
        """
        path = f"/nodes/{self.settings.node}/qemu/{self.settings.vmid}/agent"
        what = f"agent/{verb}" if verb else "the list of agent commands"
        if verb:
            path += f"/{verb}"
        answer = yield from self._ask(method, path, parameters or {}, within)
        return answers.value(answer, what, self.settings)

    def machines(self) -> Talk[list[dict[str, Any]]]:
        """The virtual machines of the cluster that we may see."""
        answer = yield from self._ask("GET", "/cluster/resources", {"type": "vm"}, None)
        found = answers.value(answer, "the list of machines", self.settings)
        return [entry for entry in found or () if entry.get("type") == "qemu"]

    def _ask(
        self, method: str, path: str, parameters: Mapping[str, Any], within: float | None
    ) -> Talk[Answer]:
        if self.settings.token:
            headers = {"Authorization": f"PVEAPIToken={self.settings.token}"}
            answer: Answer = yield Call(method, path, parameters, headers, within)
            return answer
        if self._ticket is None:
            yield from self._log_in(self.settings.password or "", self.settings.otp)
        elif time.monotonic() > self._renew:
            yield from self._again()
        answer = yield Call(method, path, parameters, self._headers(method), within)
        if answer.status == 401:
            # Nothing was done: the ticket is too old, or the server's key is new.
            yield from self._log_in(self.settings.password or "", self.settings.otp)
            answer = yield Call(method, path, parameters, self._headers(method), within)
        return answer

    def _again(self) -> Talk[None]:
        ticket, self._ticket = self._ticket, None
        try:
            # This needs no second one-time password.
            yield from self._log_in(ticket[0] if ticket else "", None)
        except NoChannel:
            yield from self._log_in(self.settings.password or "", self.settings.otp)

    def _log_in(self, password: str, otp: str | None) -> Talk[None]:
        self._ticket = None
        parameters = {"username": self.settings.user, "password": password}
        if otp:
            parameters["otp"] = otp
        answer: Answer = yield Call("POST", _TICKET, parameters)
        data = answers.value(answer, "the log-in", self.settings)
        given = data if isinstance(data, dict) else {}
        if given.get("NeedTFA"):
            raise NoChannel(
                f"{self.settings.who} needs a second factor: give a one-time password as otp=, or"
                " better use an API token"
            )
        ticket, csrf = given.get("ticket"), given.get("CSRFPreventionToken")
        if not isinstance(ticket, str) or not isinstance(csrf, str):
            raise NoChannel(f"the Proxmox API gave {self.settings.who} no ticket")
        self._ticket = ticket, csrf
        self._renew = time.monotonic() + RENEW

    def _headers(self, method: str) -> dict[str, str]:
        assert self._ticket is not None  # noqa: S101 - the callers have logged in
        ticket, csrf = self._ticket
        headers = {"Cookie": f"PVEAuthCookie={quote(ticket, safe='')}"}
        if method != "GET":
            headers["CSRFPreventionToken"] = csrf
        return headers
