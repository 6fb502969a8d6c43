"""Examples in docstrings and pages, run as they stand there; what they print is compared.

They are run as `python -m asyncio` runs what is typed: `await` may stand outside of functions.
"""

import ast
import asyncio
import contextlib
import doctest
import inspect
import io
import sys
import tempfile
import traceback
import types
from collections.abc import Iterator
from typing import Any, Self

import qga
from qga import protocol
from qga.client import Deadline
from qga.protocol.system import HostName
from qga.testing import AgentProcess, FakeAgent, agent_process

_CHECKER = doctest.OutputChecker()
_OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
_INTO_COROUTINE = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT


class Stage:
    """Where examples are run: a namespace with `qga`, the protocol, and clients of agents.

    In it are a fake `agent`, `client` and `aclient`, which are connected to it, and every command.
    With a *real* agent there are `guest` and `aguest`, its clients, and `folder`, a directory where
    examples may write: these run programs on this machine, so none may touch anything else.
    """

    def __init__(self, real: AgentProcess | None = None) -> None:
        self.runner = asyncio.Runner()
        self.agent = FakeAgent()
        self.client = self.agent.connect()
        self.aclient = self.runner.run(self.agent.aconnect())
        self.names: dict[str, Any] = {
            name: getattr(protocol, name) for name in protocol.__all__
        } | {
            "__name__": "__main__",
            "qga": qga,
            "agent": self.agent,
            "client": self.client,
            "aclient": self.aclient,
            "HostName": HostName,
            "Deadline": Deadline,
            "agent_process": agent_process,
        }
        if real is not None:
            self.meet(real)

    def meet(self, real: AgentProcess) -> None:
        """Have clients of a real agent, unless there are."""
        if "guest" not in self.names:
            self.names |= {
                "guest": real.connect(),
                "aguest": self.runner.run(real.aconnect()),
                "folder": tempfile.mkdtemp(dir=real.directory),
            }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for client in (self.aclient, self.names.get("aguest")):
            if isinstance(client, qga.AsyncClient):
                self.runner.run(client.close())
        for client in (self.client, self.names.get("guest")):
            if isinstance(client, qga.Client):
                client.close()
        self.runner.close()

    def execute(self, source: str, mode: str = "exec", where: str = "<example>") -> str:
        """Execute *source*; return what it prints."""
        code = compile(source, where, mode, flags=_INTO_COROUTINE, dont_inherit=True)
        with contextlib.redirect_stdout(io.StringIO()) as printed, _displayed():
            result = types.FunctionType(code, self.names)()
            if code.co_flags & inspect.CO_COROUTINE:
                self.runner.run(result)
        return printed.getvalue()


@contextlib.contextmanager
def _displayed() -> Iterator[None]:
    hook, sys.displayhook = sys.displayhook, sys.__displayhook__
    try:
        yield
    finally:
        sys.displayhook = hook


def matches(wanted: str, printed: str) -> bool:
    """Whether *printed* is what is *wanted*, in which `...` stands for anything."""
    return _CHECKER.check_output(wanted, printed, _OPTIONS)


def run_docstring(stage: Stage, name: str, text: str) -> int:
    """Run the examples in *text*, and assert that they print what stands there; return how many."""
    examples = doctest.DocTestParser().get_examples(text, name)
    for example in examples:
        wanted, printed = example.want, ""
        try:
            printed = stage.execute(example.source, "single", f"<example of {name}>")
        except BaseException as error:
            if example.exc_msg is None:
                raise
            # What to do about it may follow, and a note.
            wanted = example.exc_msg.rstrip() + "..."
            printed = "".join(traceback.format_exception_only(error))
        else:
            assert example.exc_msg is None, f"{name}: no error: {example.source}"
        assert matches(wanted, printed), (
            f"{name}:\n{example.source}prints\n{printed}and not\n{wanted}"
        )
    return len(examples)
