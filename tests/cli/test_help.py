"""`qga help`: pages of the protocol's commands, lists of them, and the help of qga's own."""

import re
import sys

import pytest

from qga.cli.app import TOPICS
from qga.protocol import COMMANDS

from .command import Run


def test_a_page(qga_command: Run) -> None:
    done = qga_command("help", "guest-exec")
    assert done.code == 0
    assert done.text.startswith("# guest-exec\n\nStart a program in the guest.\n")
    for part in ("## Arguments", "### GuestExecCaptureOutput", "## How it differs from qemu-ga"):
        assert f"\n{part}\n" in done.text
    assert "\x1b" not in done.text


def test_a_page_as_json(qga_command: Run) -> None:
    shown = qga_command("help", "guest-ping", "-o", "json").json
    assert shown == {"name": "guest-ping", "page": qga_command("help", "guest-ping").text}


def test_a_page_on_a_terminal(qga_command: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    shown = qga_command("help", "guest-exec").text
    assert "# guest-exec" not in shown  # drawn, not printed as it is
    assert "guest-exec" in shown
    assert "capture-output" in shown
    assert "(#" not in shown


def test_lists(qga_command: Run) -> None:
    lines = qga_command("help", "guest").text.splitlines()
    assert lines[0].split() == ["command", "since", "what", "it", "does"]
    assert [line.split()[0] for line in lines[1:]] == [
        command.NAME for command in COMMANDS if command.NAME.startswith("guest")
    ]
    (report,) = (e for e in qga_command("help", "qga", "-o", "json").json if "report" in e["name"])
    assert report["since"] == "qga-agent"
    shown = qga_command("help", "guest-ssh-", "-o", "json").json
    assert {entry["name"] for entry in shown} == {
        f"guest-ssh-{verb}-authorized-keys" for verb in ("get", "add", "remove")
    }
    assert shown[0]["since"] == "5.2"
    assert shown[0]["summary"] == "List the public keys in a user's .ssh/authorized_keys"


@pytest.mark.parametrize("name", ["ls", "rm", "cp", "freeze", "shutdown"])
def test_the_options_of_a_command_come_before_those_of_all(qga_command: Run, name: str) -> None:
    options = re.findall(r"^  (?:-\w, )*(-[\w-]+)", qga_command(name, "--help").text, re.MULTILINE)
    shared = options.index("--limit")
    assert set(options[shared:]) <= {
        *("--limit", "--all", "--exclude", "--forks", "--fail-fast"),
        *("--output", "--no-color", "--debug", "--timeout", "--help"),
    }


def test_a_topic(qga_command: Run) -> None:
    lines = qga_command("help", "agent").text.splitlines()
    assert lines[0].split() == ["command", "what", "it", "does"]
    assert [line.split()[0] for line in lines[1:]] == list(TOPICS["Agent"])
    shown = qga_command("help", "This machine", "-o", "json").json
    assert [entry["name"] for entry in shown] == list(TOPICS["This machine"])
    assert all(entry["summary"] for entry in shown)


@pytest.mark.parametrize("name", [name for topic in TOPICS.values() for name in topic])
def test_qgas_own_commands(qga_command: Run, name: str) -> None:
    assert qga_command("help", name).text == qga_command(name, "--help").text


def test_qga_itself(qga_command: Run) -> None:
    assert qga_command("help").text == qga_command("--help").text


def test_what_is_no_command(qga_command: Run) -> None:
    done = qga_command("help", "gest-exec")
    assert done.code == 2
    assert "no command 'gest-exec'" in done.err
    assert "`qga help guest` lists" in done.err
