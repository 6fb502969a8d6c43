"""`qga` with the names of a targets file, against a real agent."""

from pathlib import Path

import pytest

from tests.support.stock import RunningAgent

from .command import Run


@pytest.fixture
def named(agent: RunningAgent, qga_command: Run, tmp_path: Path) -> Run:
    """The agent is `vm`."""
    folder = tmp_path / "config" / "qga"
    folder.mkdir(parents=True)
    (folder / "targets.toml").write_text(
        f'[targets]\nother = "unix:/nonexistent"\n[targets.vm]\ntarget = "{agent.target}"\n'
        "timeout = 29"
    )
    return qga_command


def test_commands(named: Run, agent: RunningAgent, tmp_path: Path) -> None:
    assert named("ping", "-o", "json", "vm").json["target"] == "vm"
    assert named("call", "vm", "guest-ping").code == 0
    local, back = tmp_path / "a:b", tmp_path / "back"
    local.write_bytes(b"content")
    assert named("cp", str(local), f"vm:{agent.directory}/x:/y").code == 1
    assert named("cp", str(local), f"vm:{agent.directory}/x").code == 0
    assert named("cat", f"vm:{agent.directory}/x").out == b"content"
    assert named("cp", f"vm:{agent.directory}/x", str(back)).code == 0
    assert back.read_bytes() == b"content"


def test_the_variable(named: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("QGA_TARGET", "vm")
    assert named("ping").code == 0
    assert named("call", "guest-ping").code == 0
    # What stands behind -- is a command, whatever it is called.
    failed = named("freeze", "--", "vm")
    assert (failed.code, "guest-fsfreeze-freeze has been disabled" in failed.err) == (125, True)
    monkeypatch.setenv("QGA_TARGET", "nobody")
    assert "QGA_TARGET: no target is named 'nobody'" in named("ping").err


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["ping", "wm"], "no target is named 'wm': do you mean vm?"),
        (["call", "wm", "guest-ping"], "no target is named 'wm': do you mean vm?"),
        (["call", "guest-ping"], "no target: give one"),
        (["call", "guest-file-close", "handle=1"], "no target: give one"),
        (["cat", "wm:/x"], "no target is named 'wm': do you mean vm?"),
        (["cp", "vm:/x", "wm:/y"], "no target is named 'wm'"),
        (["freeze", "wm", "--", "true"], "no target is named 'wm'"),
        (["freeze", "vm", "x", "--", "true"], "no target is named 'x'"),
        (["freeze", "vm", "--group", "vm", "--", "true"], "either 'vm', or --group"),
        (["freeze", "vm", "vm", "--", "true"], "vm is in the group twice"),
        (["freeze", "vm", "--"], "which command?"),
        (["targets", "unix:/x"], "is no place that tells its guests: use"),
        (["targets", "libvirt:web"], "is one domain, not all of them"),
    ],
)
def test_wrong_usage(named: Run, words: list[str], why: str) -> None:
    done = named(*words)
    assert (done.code, done.out) == (2, b"")
    assert why in done.err


def test_what_there_is(named: Run, agent: RunningAgent) -> None:
    assert [line.split(maxsplit=2) for line in named("targets").text.splitlines()] == [
        ["name", "state", "target"],
        ["other", "not", "running  unix:/nonexistent"],
        ["vm", "ready", agent.target],
    ]
    assert named("targets", "-o", "json").json[0] == {
        "target": "unix:/nonexistent",
        "name": "other",
        "uuid": None,
        "agent": None,
        "source": "file",
        "state": "not running",
    }
    assert named("targets", "--no-probe", "-o", "json", "-l", "v*").json == [
        {
            "target": agent.target,
            "name": "vm",
            "uuid": None,
            "agent": None,
            "source": "file",
            "state": None,
        }
    ]
    assert named("targets", "-o", "wide", "-l", "!vm").text.splitlines() == [
        "name   state        target             found in  agent  uuid",
        "other  not running  unix:/nonexistent  file",
    ]
    done = named("targets", "libvirt+qemu:///session?socket=/nonexistent")
    assert done.code == 3
    assert "libvirt" in done.err


def test_no_names_at_all(qga_command: Run) -> None:
    done = qga_command("targets")
    assert (done.code, done.out) == (0, b"")
    assert qga_command("targets", "-o", "json").json == []


def test_the_timeout_of_a_name(named: Run, agent: RunningAgent) -> None:
    with agent.stopped():
        done = named("ping", "--timeout", "0.2", "vm")
    assert (done.code, "0.2 s" in done.err) == (3, True)
