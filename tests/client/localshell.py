"""This machine as the guest of flows that run scripts: by a shell and programs of a test's choice.

No agent is in between, so that a test of a script can go through all of dash, bash and busybox in
little time. `files` is a `Files` on each.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from qga.client.files import Files
from qga.client.flows.script import SHELL
from qga.client.flows.steps import Flow, Leave
from qga.client.operation import Blocking
from qga.errors import GuestOSError
from qga.protocol import Exec, ExecGetStatus
from qga.protocol.exec import ExecStarted, ExecStatus
from tests.client.driven import Driven
from tests.support.need import missing
from tests.vm.cache import Unavailable
from tests.vm.debs import packages


class LocalShell(Blocking):
    """Carries out flows that run scripts.

    Args:
        shell: the command line of the shell.
        path: where programs are looked for first.
    """

    def __init__(self, shell: list[str], path: str = os.defpath) -> None:
        self.shell = shell
        self._path = path
        self._ended: dict[int, ExecStatus] = {}
        self.busybox = path != os.defpath
        self.ran = 0
        self.inputs: list[int] = []

    def perform(self, flow: Flow[Any]) -> Any:
        driven = Driven(flow)
        try:
            step = driven.begin()
            while True:
                try:
                    answer = self._take(step)
                except GuestOSError as error:
                    step = driven.throw(error)
                else:
                    step = driven.send(answer)
        except StopIteration as stop:
            return stop.value

    def _take(self, step: Any) -> Any:
        if isinstance(step, Exec):
            return self._run(step)
        if isinstance(step, Leave):
            return self._run(step.command)
        assert isinstance(step, ExecGetStatus), step
        return self._ended.pop(step.pid)

    def _run(self, command: Any) -> ExecStarted:
        assert command.path == SHELL
        self.ran += 1
        self.inputs.append(len(command.input_data or b""))
        done = subprocess.run(
            [*self.shell, *command.arg],
            input=command.input_data or b"",
            capture_output=True,
            env={"PATH": self._path},
            cwd="/",
            check=False,
            timeout=120,
        )
        self._ended[self.ran] = ExecStatus(
            exited=True, exitcode=done.returncode, out_data=done.stdout, err_data=done.stderr
        )
        return ExecStarted(pid=self.ran)


def busybox(directory: Path) -> LocalShell:
    """Busybox as the shell, and as every program that it knows."""
    try:
        program = packages().root / "usr/bin/busybox"
    except Unavailable as error:
        missing(error.what, error.remedy)
    subprocess.run([program, "--install", "-s", directory], check=True)
    return LocalShell([str(directory / "sh")], str(directory))


@pytest.fixture(params=["dash", "bash", pytest.param("busybox", marks=pytest.mark.interop)])
def shell(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalShell]:
    """This machine's programs with either shell, and busybox with its own."""
    if request.param == "busybox":
        yield busybox(tmp_path_factory.mktemp("busybox"))
        return
    program = shutil.which(request.param)
    if program is None:
        missing(request.param, f"apt-get install {request.param}")
    yield LocalShell([program])


@pytest.fixture
def files(shell: LocalShell) -> Files:
    """The files of this machine, through scripts."""
    return Files(shell)
