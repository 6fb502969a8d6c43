"""`--debug`: what goes over the channel, and where `qga` itself fails."""

from collections.abc import Iterator

import click
import pytest

from qga.cli import app, quick
from qga.testing import FakeAgent
from tests.support.stock import RunningAgent

from .command import Run


def test_the_channel(qga_command: Run, agent: RunningAgent) -> None:
    done = qga_command("ping", "--debug", agent.target)
    assert done.code == 0
    assert done.text.startswith(f"{agent.target} answers in ")
    lines = done.err.splitlines()
    assert all(line.startswith("qga: ") for line in lines)
    signs = [line.split()[3] for line in lines]
    # An agent that is in step answers the byte before the synchronisation with an error.
    assert signs == ["=", ">", "<", "<", ">", "<", "="]
    assert "guest-ping {}" in lines[5]


def test_of_many_guests(qga_command: Run) -> None:
    with FakeAgent().serve() as first, FakeAgent().serve() as second:
        done = qga_command("status", "--debug", first, second)
        assert done.code == 0
        for target in (first, second):
            assert f" {target} > qga-fsfreeze-report\n" in done.err


def test_what_a_guest_says_cannot_steer_the_terminal(qga_command: Run) -> None:
    agent = FakeAgent()
    agent.reply("guest-get-host-name", {"host-name": "\x1b[31mred"})
    with agent.serve() as target:
        done = qga_command("call", target, "guest-get-host-name", "--debug")
    assert done.code == 0
    assert "\x1b" not in done.err
    assert "red" in done.err


def commands(group: click.Group, path: str = "") -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, f"{path}{name} ")
        else:
            yield f"{path}{name}", command


def test_every_command_has_it(qga_command: Run) -> None:
    assert qga_command("schema", "--debug").code == 0
    found = dict(commands(app.cli))
    assert {"ping", "cp", "targets"} <= found.keys()
    lacking = [
        name
        for name, command in found.items()
        if not any("--debug" in option.opts for option in command.params)
    ]
    assert lacking == ["completion"]  # a script for the shell: it has no options


def test_a_mistake_of_ours(qga_command: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def milliseconds(*_: object) -> float:
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr(quick, "milliseconds", milliseconds)
    with FakeAgent().serve() as target:
        done = qga_command("ping", "-o", "json", target)
    assert done.code == 70
    assert done.err == (
        "qga: this is a mistake in qga: ZeroDivisionError: by nothing; report it, with what it "
        "prints when --debug is given, too\n"
    )


def test_where_it_is(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    from qga.cli.app import run

    def milliseconds(*_: object) -> float:
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr(quick, "milliseconds", milliseconds)
    with FakeAgent().serve() as target:
        assert run(["ping", target, "--debug"]) == 70
    told = capfd.readouterr().err
    assert "Traceback (most recent call last)" in told
    assert told.endswith(
        "qga: this is a mistake in qga: ZeroDivisionError: by nothing; report it\n"
    )
