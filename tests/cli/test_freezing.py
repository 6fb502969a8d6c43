"""`qga freeze`: the guest is thawed whatever becomes of the command, and of qga itself."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from qga import protocol
from qga.client import lease
from qga.errors import CommandError
from qga.protocol.fsfreeze import (
    FROZEN_BY_OTHERS,
    FreezeLease,
    FreezeMount,
    FreezeOutcome,
    FreezeReport,
    FsfreezeState,
)
from qga.testing import FakeAgent
from tests.support.pretended import Pretended, pretending
from tests.vm.observe import wait_until

from .command import Run

FROZEN_AND_THAWED = [
    "qga-fsfreeze-freeze", "guest-fsfreeze-freeze", "guest-fsfreeze-status", "guest-fsfreeze-thaw",
]  # fmt: skip


@pytest.fixture
def pretended() -> Iterator[Pretended]:
    with pretending() as agent:
        yield agent


def freeze(target: str, *words: str, options: tuple[str, ...] = ()) -> list[str]:
    return [sys.executable, "-m", "qga.cli", "freeze", target, *options, "--", *words]


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["true"], 0),
        (["sh", "-c", "exit 7"], 7),
        (["sh", "-c", "kill -KILL $$"], 137),
        (["/nonexistent/command"], 127),
        (["/etc/passwd"], 126),
    ],
)
def test_the_exit_code_is_that_of_the_command(
    pretended: Pretended, words: list[str], code: int
) -> None:
    done = subprocess.run(
        freeze(pretended.target, *words), capture_output=True, text=True, check=False
    )
    assert done.returncode == code
    assert pretended.asked == FROZEN_AND_THAWED
    lines = done.stderr.splitlines()
    assert lines[0] == "qga: 2 file systems frozen"
    assert re.fullmatch(r"qga: 2 file systems thawed after [\d.]+ s: it held", lines[-1])


def test_standard_output_is_the_commands(pretended: Pretended) -> None:
    command = freeze(pretended.target, "echo", "-n", "hello", options=("-o", "json"))
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "hello"
    summary = json.loads(done.stderr)
    assert summary.keys() == {
        "frozen", "thawed", "seconds", "held", "report", "lease", "unguarded", "mounts", "hooks",
        "exit_code",
    }  # fmt: skip
    assert (summary["lease"], summary["mounts"]) == (False, [])
    assert summary["unguarded"].startswith("the agent has no leases: if this process and the one")
    assert (summary["frozen"], summary["thawed"], summary["exit_code"]) == (2, 2, 0)
    assert summary["held"] is True
    assert summary["report"].startswith("2 file systems stayed frozen for ")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_that_ends_qga_ends_the_command_and_thaws(
    pretended: Pretended, number: signal.Signals
) -> None:
    command = freeze(pretended.target, "sh", "-c", "echo started; exec sleep 60")
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(number)
        assert process.wait(20) == 128 + number
    assert pretended.asked == FROZEN_AND_THAWED


def test_an_interrupt_is_for_the_command_to_decide(pretended: Pretended) -> None:
    script = "trap 'echo no' INT; echo started; sleep 0.5; exit 3"
    command = freeze(pretended.target, "sh", "-c", script)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 3
    assert pretended.asked == FROZEN_AND_THAWED


def test_the_target_may_be_in_the_environment(
    pretended: Pretended, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QGA_TARGET", pretended.target)
    command = [sys.executable, "-m", "qga.cli", "freeze", "--", "echo", "-n", "x"]
    assert subprocess.run(command, capture_output=True, check=True).stdout == b"x"


def test_the_deadline_thaws_and_a_command_that_succeeds_does_not_hide_it(
    pretended: Pretended, tmp_path: Path
) -> None:
    thawed = tmp_path / "thawed"
    script = f"until test -e {thawed}; do sleep 0.05; done; exit $0"
    for code, ended in (("0", 125), ("3", 3)):
        thawed.unlink(missing_ok=True)
        words = freeze(
            pretended.target,
            "sh",
            "-c",
            script,
            code,
            options=("--deadline", "2", "--mount", "/"),
        )
        before = pretended.asked.count("guest-fsfreeze-thaw")
        with subprocess.Popen(words, stderr=subprocess.PIPE, text=True) as process:
            wait_until(
                lambda n=before: pretended.asked.count("guest-fsfreeze-thaw") > n,  # type: ignore[misc]
                "the thaw at the deadline",
            )
            thawed.touch()
            told = process.communicate()[1].splitlines()
        assert process.returncode == ended
        assert told[0] == "qga: 2 file systems frozen"
        assert re.fullmatch(
            r"qga: 2 file systems thawed after [\d.]+ s: it did not hold: the deadline of 2 s"
            r" passed: 2 file systems thawed after [\d.]+ s",
            told[-1],
        )
        assert told[1].startswith("qga: the agent has no leases: ")
    assert pretended.asked.count("guest-fsfreeze-freeze-list") == 2


def test_what_would_be_frozen(qga_command: Run, fake_agent: FakeAgent) -> None:
    with fake_agent.serve() as target:
        for words in ([target, "--dry-run"], [target, "--dry-run", "--", "reboot"]):
            lines = qga_command("freeze", *words).text.splitlines()
            assert lines[0].split() == ["mount", "point", "type", "device", "frozen", "why", "not"]
            assert lines[1].split() == ["/srv", "ext4", "/dev/vda2", "yes"]
            assert lines[-1] == "would freeze 2 file systems"
        shown = qga_command("freeze", "--dry-run", target, "--mount", "/", "-o", "json").json
        assert shown["allowed"] is True
        assert [(one["mountpoint"], one["frozen"]) for one in shown["filesystems"]] == [
            ("/srv", False), ("/", True),
        ]  # fmt: skip
        assert shown["filesystems"][0]["reason"] == "it is not asked for"
        patterns = ("--exclude-mount", "/s*", "--exclude-mount", "type:xfs")
        shown = qga_command("freeze", "--dry-run", target, *patterns, "-o", "json").json
        assert [one["reason"] for one in shown["filesystems"]] == ["", "excluded: /s*"]
        fake_agent.blocked |= {"guest-fsfreeze-freeze-list", "qga-fsfreeze-freeze"}
        done = qga_command("freeze", "--dry-run", target, "--mount", "/", lines=0)
        assert done.code == 1
        told = (
            "could not freeze 1 file system: Command guest-fsfreeze-freeze-list has been disabled"
        )
        assert told in done.text
        dry = ("freeze", "--dry-run", target, "--mount", "/", "-o", "json")
        shown = qga_command(*dry, lines=0).json
        assert (shown["allowed"], shown["hooks"]) == (False, None)
    assert not fake_agent.asked(protocol.FsfreezeFreeze)


def test_which_hooks_would_be_run(qga_command: Run, fake_agent: FakeAgent) -> None:
    add = fake_agent.freezing.add_hook
    database = add("data\x1bbase", required=True, timeout=2.5)
    cache = add("cache", order=-1)
    cache.problem = "it is not executable"
    with fake_agent.serve() as target:
        lines = qga_command("freeze", "--dry-run", target).text.splitlines()
        assert [line.split(maxsplit=6) for line in lines[4:7]] == [
            ["hook", "run", "required", "time", "limit", "order", "note"],
            ["cache", "no", "no", "120", "s", "-1", "it is not executable"],
            [r"data\x1bbase", "yes", "yes", "2.5", "s", "0"],
        ]
        assert lines[-1] == "would freeze 2 file systems, after 1 hook"
        shown = qga_command("freeze", "--dry-run", target, "-o", "json").json
        assert (shown["problem"], shown["allowed"]) == (None, True)
        assert shown["hooks"] == [
            {"name": "cache", "ok": False, "required": False, "timeout": 120.0, "order": -1,
             "reason": "it is not executable"},
            {"name": "data\x1bbase", "ok": True, "required": True, "timeout": 2.5, "order": 0,
             "reason": None},
        ]  # fmt: skip
        database.problem = "No such file or directory"
        done = qga_command("freeze", "--dry-run", target, lines=0)
        assert done.code == 1
        assert done.text.splitlines()[-1] == (
            r"could not freeze: the hook data\x1bbase is required, and cannot be run: No such file "
            "or directory"
        )
        fake_agent.unknown.add("qga-fsfreeze-freeze")
        assert qga_command("freeze", "--dry-run", target, "-o", "json").json["hooks"] is None
    assert database.told == cache.told == []


def test_where_nothing_is_frozen_the_command_is_not_run(
    qga_command: Run, fake_agent: FakeAgent
) -> None:
    with fake_agent.serve() as target:
        done = qga_command("freeze", target, "--mount", "/nowhere", "--", "echo", "ran")
        assert (done.code, done.out) == (125, b"")
        assert "cannot freeze /nowhere: nothing is mounted there" in done.err
        for words in (["--exclude-mount", "*"], ["--mount", "/nowhere"]):
            done = qga_command("freeze", target, *words, "--", "echo", "ran")
            assert (done.code, done.out) == (125, b"")
            assert "no file system was frozen, so the command was not run" in done.err
            fake_agent.unknown.add("qga-fsfreeze-freeze")
    assert fake_agent.state == "thawed"


def test_the_state_is_explained(qga_command: Run, fake_agent: FakeAgent) -> None:
    with fake_agent.serve() as target:
        assert qga_command("thaw", target).text == "nothing was frozen\n"
        fake_agent.state = FsfreezeState("frozen")
        assert qga_command("status", target).text.startswith("frozen: programs that write wait")
        assert qga_command("status", target, "-o", "json").json == {"status": "frozen"}
        fake_agent.unknown.add("qga-fsfreeze-report")
        assert qga_command("status", target, "-o", "json").json == {"status": "frozen"}
        fake_agent.state = FsfreezeState("error")
        assert "could not be thawed" in qga_command("status", target).text


def test_the_state_with_its_lease(qga_command: Run, fake_agent: FakeAgent) -> None:
    with fake_agent.serve() as target:
        client = fake_agent.connect()
        command = protocol.QgaFsfreezeFreeze(token="backup\x1b7", deadline_ms=60_000)
        client.execute(command)
        lines = qga_command("status", target).text.splitlines()
        assert lines[0].startswith("frozen: programs that write wait")
        assert lines[1] == r"token    backup\x1b7"
        assert re.fullmatch(r"since    20\S+T\S+\+00:00 by the guest's clock", lines[2])
        assert re.fullmatch(r"lease    ends in [\d.]+ s, unless it is renewed", lines[3])
        assert lines[4:] == [
            "frozen   /srv (ext4, /dev/vda2)", "frozen   / (ext4, /dev/vda1)",
        ]  # fmt: skip
        shown = qga_command("status", target, "-o", "json").json
        assert (shown["status"], shown["token"], shown["held"]) == ("frozen", "backup\x1b7", None)
        assert 0 < shown["lease"] <= 60
        assert [one["outcome"] for one in shown["mounts"]] == ["frozen", "frozen"]
        fake_agent.freezing.end_lease()
        lines = qga_command("status", target).text.splitlines()
        assert lines[0] == "thawed"
        assert "held     no: the lease ended, and nobody had thawed" in lines
        shown = qga_command("status", target, "-o", "json").json
        assert (shown["status"], shown["lease"], shown["held"]) == ("thawed", None, False)
        # One that held is not worth a word.
        client.execute(protocol.QgaFsfreezeFreeze())
        client.thaw()
        assert qga_command("status", target).text == "thawed\n"


def test_with_a_lease(qga_command: Run, fake_agent: FakeAgent) -> None:
    with fake_agent.serve() as target:
        done = qga_command("freeze", target, "--", "true")
        lines = done.err.splitlines()
        assert (done.code, lines[0]) == (0, "qga: 2 file systems frozen")
        assert re.fullmatch(r"qga: 2 file systems thawed after [\d.]+ s: it held", lines[1])
        done = qga_command("freeze", target, "-o", "json", "--", "true", lines=None)
        summary = json.loads(done.err)
        assert (summary["lease"], summary["unguarded"], summary["held"]) == (True, None, True)
        assert [one["outcome"] for one in summary["mounts"]] == ["thawed", "thawed"]


def test_hooks_that_failed_are_told(qga_command: Run, fake_agent: FakeAgent) -> None:
    fake_agent.freezing.add_hook("a", required=True)
    failing = fake_agent.freezing.add_hook("b\x1b[2J")
    failing.milliseconds = 1500
    failing.fail("freeze", output="no room\n")
    failing.fail("thaw", hang=True)
    failed = r"the hook b\x1b[2J failed after 1.5 s when told to freeze: exit status 1"
    late = "failed after 120.0 s when told to thaw: it has not finished after 120 s"
    with fake_agent.serve() as target:
        lines = qga_command("freeze", target, "--", "true").err.splitlines()
        assert lines[1] == f"qga: {failed}"
        assert lines[3:] == [rf"qga: the hook b\x1b[2J {late}"]
        done = qga_command("freeze", target, "-o", "json", "--", "true", lines=None)
        shown = json.loads(done.err)["hooks"]
        assert [each["ok"] for each in shown] == [True, False, False, True]
        assert shown[1] == {
            "name": "b\x1b[2J", "action": "freeze", "ok": False, "required": False,
            "milliseconds": 1500, "reason": "exit status 1", "output": "no room\n",
        }  # fmt: skip
        done = qga_command("freeze", "--group", target, "--", "true")
        assert done.err.splitlines()[1] == f"qga: {target}: {failed}"
        failing.required = True
        done = qga_command("freeze", target, "--", "echo", "ran")
        assert (done.code, done.out) == (125, b"")
        assert r"execute fsfreeze hook b\x1b[2J: exit status 1: no room" in done.err


def _skips(agent: FakeAgent) -> None:
    """Have somebody else have frozen /srv."""
    freeze = agent.freezing.answers()[protocol.QgaFsfreezeFreeze]

    def answer(command: protocol.QgaFsfreezeFreeze) -> FreezeReport:
        report: FreezeReport = freeze(command)
        if not command.dry_run:
            skipped = {"outcome": FreezeOutcome.SKIPPED, "reason": FROZEN_BY_OTHERS}
            report.mounts[0] = FreezeMount(**{**vars(report.mounts[0]), **skipped})
        return report

    agent.reply(protocol.QgaFsfreezeFreeze, answer)


def test_what_somebody_else_has_frozen_is_told(
    qga_command: Run, three: dict[str, FakeAgent]
) -> None:
    _skips(three["app"])
    lines = qga_command("freeze", "app", "--", "true").err.splitlines()
    assert lines[1] == "qga: /srv is not part of it: somebody else has frozen it"
    # What is frozen as one has to be all.
    done = qga_command("freeze", *WINDOW, "db", "app", "--", "echo", "ran")
    assert (done.code, done.out) == (125, b"")
    assert done.err.startswith("qga: app: somebody else has frozen /srv; none of the group")
    assert [agent.state for agent in three.values()] == ["thawed"] * 3


def test_a_guest_that_is_frozen_has_no_plan(qga_command: Run, fake_agent: FakeAgent) -> None:
    with fake_agent.serve() as target:
        fake_agent.state = FsfreezeState.FROZEN
        done = qga_command("freeze", "--dry-run", target)
        assert done.err.startswith("qga: its file systems are frozen already")
        fake_agent.state = FsfreezeState.THAWED
        fake_agent.blocked |= {"qga-fsfreeze-freeze", "guest-get-fsinfo"}
        done = qga_command("freeze", "--dry-run", target)
        assert done.err.startswith("qga: Command guest-get-fsinfo has been disabled")


def test_a_lease_that_ends_is_told_at_once(
    qga_command: Run, fake_agent: FakeAgent, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "_SHOULD", 0.999)  # so that it is soon noticed
    answers = fake_agent.freezing.answers()

    def renew(command: protocol.QgaFsfreezeRenew) -> FreezeLease:
        fake_agent.freezing.end_lease()
        (tmp_path / "over").touch()
        answer: FreezeLease = answers[protocol.QgaFsfreezeRenew](command)
        return answer

    fake_agent.reply(protocol.QgaFsfreezeRenew, renew)
    script = f"until test -e {tmp_path}/over; do sleep 0.05; done"
    with fake_agent.serve() as target:
        done = qga_command("freeze", target, "--", "sh", "-c", script, lines=3)
    assert done.code == 125
    _, told, last = done.err.splitlines()
    assert re.fullmatch(
        r"qga: the freeze is over: the freeze of token '.*' has ended: the lease ended, and nobody"
        r" had thawed",
        told,
    )
    assert last.endswith("it did not hold: the lease ended, and nobody had thawed")


def test_thaw_and_shutdown(pretended: Pretended) -> None:
    for words, shown in (
        (["thaw"], b"2 file systems thawed\n"),
        (["thaw", "-o", "json"], b'{\n  "thawed": 2\n}\n'),
        (["shutdown", "--mode", "halt"], b"halt: the agent did not refuse; "),
    ):
        command = [sys.executable, "-m", "qga.cli", *words, pretended.target]
        done = subprocess.run(command, capture_output=True, check=True)
        assert done.stdout.startswith(shown)


@pytest.fixture
def three(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, FakeAgent]]:
    """Three guests with names in a targets file."""
    agents = {name: FakeAgent() for name in ("app", "db", "web")}
    with ExitStack() as stack:
        lines = ["[targets]"]
        for name, agent in agents.items():
            lines.append(f'{name} = "{stack.enter_context(agent.serve())}"')
        path = tmp_path / "three.toml"
        path.write_text("\n".join(lines) + "\n")
        monkeypatch.setenv("QGA_TARGETS", str(path))
        monkeypatch.setenv("QGA_FIND", "files")
        yield agents


WINDOW = ("--window", "300")  # the machine may be slow


def order(lines: list[str], word: str) -> list[str]:
    return [line.split(": ")[1] for line in lines if f" {word}" in line and "file system" in line]


@pytest.mark.parametrize(
    ("words", "names"),
    [
        (["--group", "web,app"], ["web", "app"]),
        (["web", "db", "app"], ["web", "db", "app"]),
        (["--limit", "*b"], ["db", "web"]),
        (["--all", "--order", "w*,db"], ["web", "db", "app"]),
        (["--all", "--exclude", "db"], ["app", "web"]),
    ],
)
def test_several_guests_as_one(
    qga_command: Run, three: dict[str, FakeAgent], words: list[str], names: list[str]
) -> None:
    if names == ["web", "app"]:
        three["db"].kill()
    done = qga_command("freeze", *WINDOW, *words, "--", "echo", "ran")
    assert (done.code, done.out) == (0, b"ran\n")
    lines = done.err.splitlines()
    assert order(lines, "frozen") == names
    assert order(lines, "thawed") == names[::-1]
    assert lines[len(names)].startswith(f"qga: all {len(names)} frozen within ")
    assert lines[-1].startswith(f"qga: {len(names)} guests stayed frozen together for ")
    assert all(agent.state == "thawed" for agent in three.values())


def test_a_group_for_programs(qga_command: Run, three: dict[str, FakeAgent]) -> None:
    words = ("--group", "db,app", "-o", "json", "--", "sh", "-c", "exit 7")
    done = qga_command("freeze", *WINDOW, *words, lines=None)
    assert done.code == 7
    summary = json.loads(done.err)
    assert summary.keys() == {
        "guests", "took", "together", "held", "report", "exit_code",
    }  # fmt: skip
    assert (summary["held"], summary["exit_code"]) == (True, 7)
    assert [each["guest"] for each in summary["guests"]] == ["db", "app"]
    assert summary["guests"][0].keys() == {
        "guest", "frozen", "thawed", "seconds", "held", "report", "lease", "unguarded", "mounts",
        "hooks",
    }  # fmt: skip
    assert three["web"].asked(protocol.FsfreezeStatus) == []


def _fails(command: protocol.QgaFsfreezeFreeze) -> FreezeReport:
    if command.dry_run:
        return FreezeReport(state=FsfreezeState.THAWED, mounts=[_PLANNED])
    raise CommandError("failed to freeze /")


_PLANNED = FreezeMount(path="/", device="/dev/vda1", type="ext4", outcome=FreezeOutcome.PLANNED)


def test_a_group_that_cannot_be_frozen(qga_command: Run, three: dict[str, FakeAgent]) -> None:
    three["app"].reply(protocol.QgaFsfreezeFreeze, _fails)
    done = qga_command("freeze", *WINDOW, "web", "app", "db", "--", "echo", "ran")
    assert (done.code, done.out) == (125, b"")
    assert done.err == "qga: app: failed to freeze /; none of the group is left frozen\n"
    assert three["web"].state == "thawed"
    assert not three["db"].asked(protocol.FsfreezeFreeze)


def test_a_group_in_which_one_is_not_fit(qga_command: Run, three: dict[str, FakeAgent]) -> None:
    """Nothing is frozen, no hook run, and each guest told of by its name."""
    fine = three["app"].freezing.add_hook("fine")
    three["db"].freezing.add_hook("postgresql", required=True).problem = "it is not executable"
    three["web"].state = FsfreezeState.FROZEN
    done = qga_command("freeze", *WINDOW, "app", "db", "web", "--", "echo", "ran")
    assert (done.code, done.out) == (125, b"")
    assert done.err == (
        "qga: db: the hook postgresql is required, and cannot be run: it is not executable; web: "
        "its file systems are frozen already; none of the group is left frozen\n"
    )
    assert fine.told == []
    asked = [agent.asked(protocol.QgaFsfreezeFreeze) for agent in three.values()]
    assert all(each.dry_run for commands in asked for each in commands)
    assert not any(agent.asked(protocol.QgaFsfreezeThaw) for agent in three.values())


def test_a_group_that_did_not_hold(qga_command: Run, three: dict[str, FakeAgent]) -> None:
    three["app"].unknown.add("qga-fsfreeze-freeze")
    three["app"].reply(protocol.FsfreezeStatus, FsfreezeState.THAWED)
    done = qga_command("freeze", *WINDOW, "web", "app", "--", "true", lines=None)
    assert done.code == 125
    lines = done.err.splitlines()
    assert "qga: app: 2 file systems thawed after " in done.err
    assert "it did not hold: somebody else thawed the guest before the end" in done.err
    assert lines[-1] == "qga: not all stayed frozen until the end"


def test_what_a_group_would_freeze(qga_command: Run, three: dict[str, FakeAgent]) -> None:
    done = qga_command("freeze", "--dry-run", "--group", "web,app", "--", "true")
    assert done.code == 0
    assert "web: would freeze 2 file systems" in done.text
    assert "app: would freeze 2 file systems" in done.text
    words = ("--dry-run", "--all", "--order", "web,d*", "-o", "json")
    found = qga_command("freeze", *words, lines=None).json
    assert [each["guest"] for each in found] == ["web", "db", "app"]
    assert all(not agent.asked(protocol.FsfreezeFreeze) for agent in three.values())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_group_whose_qga_ends_is_thawed(
    three: dict[str, FakeAgent], number: signal.Signals
) -> None:
    """Also by SIGKILL: each guest by a process of its own, over its own channel."""
    words = ("freeze", *WINDOW, "app", "db", "web", "--", "sh", "-c", "echo started; exec sleep 60")
    command = [sys.executable, "-m", "qga.cli", *words]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True
    ) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            assert [agent.state for agent in three.values()] == ["frozen"] * 3
            process.send_signal(number)
            code = process.wait(60)
            wait_until(
                lambda: all(agent.state == "thawed" for agent in three.values()), "all are thawed"
            )
        finally:
            with suppress(ProcessLookupError):  # the command, which a SIGKILL of qga leaves
                os.killpg(process.pid, signal.SIGKILL)
    assert code == (-number if number == signal.SIGKILL else 128 + number)
