"""The handlers as a whole: each command of this platform has one, where it is looked for."""

from typing import Any

import pytest

from qga.agent import commands
from qga.protocol import COMMANDS
from qga.protocol.model import Command

HERE = [command for command in COMMANDS if not command.PLATFORM]
ELSEWHERE = [command for command in COMMANDS if command.PLATFORM]


@pytest.mark.parametrize("command", HERE, ids=lambda command: command.NAME)
def test_every_command_of_linux_has_a_handler(command: type[Command[Any]]) -> None:
    handler = commands.load_for(command)
    # In the module with the same name as that of the declaration.
    stem = command.__module__.rpartition(".")[2]
    assert handler.__module__ == f"qga.agent.commands.{stem}"


@pytest.mark.parametrize("command", ELSEWHERE, ids=lambda command: command.NAME)
def test_no_command_of_another_platform_has_one(command: type[Command[Any]]) -> None:
    assert command.HANDLER is None
    with pytest.raises(LookupError, match=f"{command.NAME} has no handler"):
        commands.load_for(command)
