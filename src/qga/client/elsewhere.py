"""What a flow has done by another client than its own, as between two guests. For both drivers."""

from __future__ import annotations

import asyncio
import threading
from contextvars import copy_context
from typing import TYPE_CHECKING

from .flows.steps import Begin, End
from .operation import Blocking

if TYPE_CHECKING:
    from typing import Any

    from .flows.steps import On


def block(step: On | End) -> Any:
    """Do *step* in this thread; what is begun gets one of its own."""
    if isinstance(step, End):
        return step.begun.result()
    client = step.client
    if not isinstance(client, Blocking):
        raise _mixed()
    if not isinstance(step, Begin):
        return client.perform(step.flow)
    thread = _Thread(client, step.flow)
    thread.start()
    return thread


async def wait(step: On | End) -> Any:
    """Do *step* in the running event loop; what is begun gets a task of its own."""
    if isinstance(step, End):
        return await step.begun
    if isinstance(step.client, Blocking):
        raise _mixed()
    performing = step.client.perform(step.flow)
    return asyncio.ensure_future(performing) if isinstance(step, Begin) else await performing


def _mixed() -> TypeError:
    return TypeError("both clients have to be blocking ones, or both asynchronous")


class _Thread(threading.Thread):
    """Has *flow* carried out, under the deadlines of its maker."""

    def __init__(self, client: Blocking, flow: Any) -> None:
        super().__init__(name="qga elsewhere", daemon=True)
        self._context = copy_context()
        self._client = client
        self._flow = flow
        self._value: Any = None
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            self._value = self._context.run(self._client.perform, self._flow)
        except BaseException as error:  # noqa: BLE001 - raised by `result`
            self._error = error

    def result(self) -> Any:
        self.join()
        if self._error is not None:
            raise self._error
        return self._value
