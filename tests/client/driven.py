"""A flow in the hands of a test: its commands and pauses; what any driver answers is skipped."""

from typing import Any

from qga.client.flows.steps import Flow, GetLimits, Limits, Timeout


class Driven:
    """Steps through *flow*; `timeouts` are those it has asked for."""

    def __init__(self, flow: Flow[Any]) -> None:
        self._flow = flow
        self.timeouts: list[Timeout] = []

    def begin(self) -> Any:
        return self._reach(next(self._flow))

    def send(self, answer: Any) -> Any:
        return self._reach(self._flow.send(answer))

    def throw(self, error: BaseException) -> Any:
        return self._reach(self._flow.throw(error))

    def _reach(self, step: Any) -> Any:
        while isinstance(step, Timeout | GetLimits):
            if isinstance(step, Timeout):
                self.timeouts.append(step)
                step = self._flow.send(None)
            else:
                step = self._flow.send(Limits())
        return step
