"""The API over HTTPS, with httpx: what drives the talks of `agent`, for both clients."""

from __future__ import annotations

import asyncio
import json
import os
import ssl
import time
from typing import TYPE_CHECKING

import httpx

from qga.errors import (
    AgentNotResponding,
    AgentTimeout,
    ConnectionLost,
    NoChannel,
    ProtocolError,
    QgaError,
)

from . import secure
from .answers import Answer
from .api import Pause

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, TypeVar

    from qga.client.deadline import Deadline
    from qga.client.flows.steps import Limits

    from .agent import Agent
    from .api import Call, Talk

    R = TypeVar("R")

# 16 MiB of a file, each byte as the six characters of \u0000, and something over.
ANSWER_LIMIT = 128 << 20

# The server closes connections that idle for 5 seconds; one that is older is not used again.
_IDLE = 3.0

_LONG = 1e6


def opened(agent: Agent, context: ssl.SSLContext, deadline: Deadline) -> ProxmoxTransport:
    """Open the API. Errors are those of `Way.open`."""
    transport = ProxmoxTransport(agent, context)
    try:
        transport.limits = transport.hold(agent.open(), deadline)
    except BaseException:
        transport.close()
        raise
    return transport


async def aopened(
    agent: Agent, context: ssl.SSLContext, deadline: Deadline
) -> AsyncProxmoxTransport:
    """The same in the running event loop."""
    transport = AsyncProxmoxTransport(agent, context)
    try:
        transport.limits = await transport.hold(agent.open(), deadline)
    except BaseException:
        await transport.aclose()
        raise
    return transport


class ProxmoxTransport:
    """A `RequestTransport` over the API.

    Args:
        agent: what to ask, and how.
        context: whom to trust.
    """

    def __init__(self, agent: Agent, context: ssl.SSLContext) -> None:
        self.limits: Limits = agent.limits
        self._agent = agent
        self._http = httpx.Client(**_options(agent, context))

    def request(
        self, name: str, arguments: Mapping[str, Any], deadline: Deadline, *, silent: bool = False
    ) -> Any:
        return self.hold(self._agent.request(name, arguments, silent=silent), deadline)

    def hold(self, talk: Talk[R], deadline: Deadline) -> R:
        """Carry out *talk*."""
        try:
            step = next(talk)
            while True:
                try:
                    answer = self._take(step, deadline)
                except BaseException as error:  # noqa: BLE001 - the talk has to know
                    step = talk.throw(error)
                else:
                    step = talk.send(answer)
        except StopIteration as stop:
            result: R = stop.value
            return result

    def close(self) -> None:
        self._http.close()

    def _take(self, step: Call | Pause, deadline: Deadline) -> Answer | None:
        if isinstance(step, Pause):
            time.sleep(min(step.seconds, _left(deadline)))
            return None
        if step.within is not None:
            deadline = deadline.sooner(step.within)
        request = _request(self._http, step, deadline)
        body = bytearray()
        try:
            response = self._http.send(request, stream=True)
            try:
                for piece in response.iter_bytes():
                    _gather(body, piece, deadline)
            finally:
                response.close()
        except httpx.HTTPError as error:
            raise _failure(error, request, deadline) from error
        return Answer(response.status_code, response.reason_phrase, bytes(body))


class AsyncProxmoxTransport:
    """The `AsyncRequestTransport` over the API. Arguments as for `ProxmoxTransport`."""

    def __init__(self, agent: Agent, context: ssl.SSLContext) -> None:
        self.limits: Limits = agent.limits
        self._agent = agent
        self._http = httpx.AsyncClient(**_options(agent, context))
        self._loop = asyncio.get_running_loop()
        self._closing: asyncio.Task[None] | None = None

    async def request(
        self, name: str, arguments: Mapping[str, Any], deadline: Deadline, *, silent: bool = False
    ) -> Any:
        return await self.hold(self._agent.request(name, arguments, silent=silent), deadline)

    async def hold(self, talk: Talk[R], deadline: Deadline) -> R:
        """Carry out *talk*."""
        try:
            step = next(talk)
            while True:
                try:
                    answer = await self._take(step, deadline)
                except BaseException as error:  # noqa: BLE001 - the talk has to know
                    step = talk.throw(error)
                else:
                    step = talk.send(answer)
        except StopIteration as stop:
            result: R = stop.value
            return result

    async def aclose(self) -> None:
        """Close it, and wait for that."""
        await self._http.aclose()

    def close(self) -> None:
        # Closing TLS takes a turn of the event loop; where that has ended, there is nothing to say.
        if self._closing is None and not self._loop.is_closed():
            self._closing = self._loop.create_task(self.aclose())

    async def _take(self, step: Call | Pause, deadline: Deadline) -> Answer | None:
        if isinstance(step, Pause):
            await asyncio.sleep(min(step.seconds, _left(deadline)))
            return None
        if step.within is not None:
            deadline = deadline.sooner(step.within)
        request = _request(self._http, step, deadline)
        body = bytearray()
        try:
            response = await self._http.send(request, stream=True)
            try:
                async for piece in response.aiter_bytes():
                    _gather(body, piece, deadline)
            finally:
                await response.aclose()
        except httpx.HTTPError as error:
            raise _failure(error, request, deadline) from error
        return Answer(response.status_code, response.reason_phrase, bytes(body))


def _options(agent: Agent, context: ssl.SSLContext) -> dict[str, Any]:
    settings = agent.settings
    return {
        "base_url": f"https://{settings.server}{settings.prefix}/api2/json",
        "verify": context,
        "headers": {"Accept": "application/json", "User-Agent": "qga"},
        "limits": httpx.Limits(max_connections=4, keepalive_expiry=_IDLE),
    }


def _request(
    http: httpx.Client | httpx.AsyncClient, step: Call, deadline: Deadline
) -> httpx.Request:
    left = _left(deadline)
    options: dict[str, Any] = {"timeout": None if left > _LONG else left}
    headers = dict(step.headers)
    if step.method == "GET":
        options["params"] = dict(step.parameters)
    elif step.parameters:
        # As JSON, in ASCII: a form would lose empty values.
        options["content"] = json.dumps(dict(step.parameters)).encode()
        headers["Content-Type"] = "application/json"
    return http.build_request(step.method, step.path, headers=headers, **options)


def _left(deadline: Deadline) -> float:
    left = deadline.remaining()
    if not left:
        raise deadline.expired()
    return left


def _gather(body: bytearray, piece: bytes, deadline: Deadline) -> None:
    body += piece
    if len(body) > ANSWER_LIMIT:
        raise ProtocolError(f"the Proxmox server's answer is longer than {ANSWER_LIMIT} bytes")
    _left(deadline)


def _failure(error: httpx.HTTPError, request: httpx.Request, deadline: Deadline) -> QgaError:
    """The exception for what httpx raised."""
    server = request.url.netloc.decode()
    if isinstance(error, (httpx.ConnectTimeout, httpx.PoolTimeout)):
        return AgentNotResponding(f"the Proxmox server {server} is silent: {deadline.expired()}")
    if isinstance(error, httpx.TimeoutException):
        return AgentTimeout(f"the Proxmox server {server}: {deadline.expired()}")
    if isinstance(error, (httpx.ConnectError, httpx.ProxyError, httpx.UnsupportedProtocol)):
        return NoChannel(f"the Proxmox server {server} cannot be used: {_reason(error)}")
    if isinstance(error, httpx.DecodingError):
        return ProtocolError(f"the Proxmox server {server}: the answer cannot be decoded: {error}")
    return ConnectionLost(f"the Proxmox server {server} broke off: {error or type(error).__name__}")


def _reason(error: BaseException) -> str:
    """What the system or TLS said, below what libraries made of it."""
    told = str(error)
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ExceptionGroup):  # of all addresses of a host
            cause = cause.exceptions[0]
        if isinstance(cause, ssl.SSLError):
            return secure.explained(cause)
        if isinstance(cause, OSError) and cause.errno:
            # asyncio has texts of its own; numbers of name look-ups are below zero.
            told = os.strerror(cause.errno) if cause.errno > 0 else str(cause.strerror)
        cause = cause.__cause__ or cause.__context__
    return told
