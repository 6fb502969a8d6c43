"""Each command of `qga` through libvirt, with both agents. A new one has to be added here."""

import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from qga.cli.app import TOPICS
from qga.client.flows import timing
from qga.wire import handshake
from tests.cli.command import Done, Run, qga_command
from tests.libvirt.domain import Domain
from tests.libvirt.pair import Pair
from tests.libvirt.test_client import _nothing_left, module, target
from tests.vm.observe import wait_until

__all__ = ["_nothing_left", "module", "qga_command"]

pytestmark = pytest.mark.usefixtures("module")

FOLDER = "/mnt/data/commands"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKgZ8FebvspPxcKXCIWmXuTI1ZGxHVde53YjzVQfg0wh one@here"
PATIENCE = ("--timeout", "300")

# Which commands a test here calls, by its name, or another module's do.
CALLED = {
    "test_looks": {
        "ping", "status", "info", "version", "commands", "time", "wait", "call", "doctor", "os",
        "ip", "net", "fs", "disks", "users", "cpus", "memory", "load", "top",
    },
    "test_programs": {"exec", "shell"},
    "test_files": {
        "ls", "cat", "head", "tail", "cp", "edit", "stat", "find", "du", "df", "mkdir", "touch",
        "ln", "mv", "rm", "chmod", "chown",
    },
    "test_changes": {"freeze", "thaw", "trim", "time", "passwd", "ssh-keys"},
    "test_ends": {"suspend", "wait", "reboot", "halt", "shutdown"},
}  # fmt: skip
ELSEWHERE = {"snapshot": "test_snapshot", "targets": "test_finding"}
OF_NO_GUEST = {"schema", "help", "completion"}


def test_no_command_is_left_out() -> None:
    named = {name for topic in TOPICS.values() for name in topic}
    assert set().union(*CALLED.values(), ELSEWHERE, OF_NO_GUEST) == named


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Silence is believed sooner."""
    monkeypatch.setattr(timing, "LOOK", 1.0)
    monkeypatch.setattr(handshake, "SILENCE", 0.5)


def said(domain: Domain, command: str) -> str:
    """What a shell command prints in the guest, past libvirt and the agent."""
    code, out, err = domain.sh(command)
    assert code == 0, err
    return out


class Calls:
    """The ways to call `qga`, in this process and as one; and what was called."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.names: set[str] = set()

    def __call__(self, *words: str, lines: int | None = 1) -> Done:
        self.names.add(words[0])
        return self._run(*words, lines=lines)

    def process(self, *words: str, stdin: bytes = b"", **env: str) -> tuple[int, bytes, bytes]:
        """How it ends, and both streams."""
        self.names.add(words[0])
        done = subprocess.run(
            [sys.executable, "-m", "qga.cli", *words],
            input=stdin, capture_output=True, timeout=200, check=False, env=os.environ | env,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr


@pytest.fixture
def calls(request: pytest.FixtureRequest, qga_command: Run) -> Iterator[Calls]:
    """Sees to it that a test calls what `CALLED` says, for both domains or one."""
    made = Calls(qga_command)
    yield made
    assert made.names == CALLED[request.node.name]


def test_looks(pair: Pair, calls: Calls) -> None:
    for domain in pair:
        guest = target(domain)

        def found(*words: str, guest: str = guest) -> object:
            return json.loads(calls(words[0], guest, *words[1:], "-o", "json").text)

        for name in sorted(CALLED["test_looks"] - {"wait", "call", "top", "users"}):
            done = calls(name, guest, "-o", "json")
            assert done.code == 0, (name, done.err)
            assert done.json, name
            assert calls(name, guest).text.strip(), name
        assert found("users") == []
        assert found("call", "guest-get-host-name") == {"host-name": "testguest"}
        assert calls("wait", guest, "--for", "ready", "--for", "ip=4").code == 0
        assert calls("top", guest, "-n", "1", "-d", "0.1").text.count("ready") == 1
        steps = {
            one["step"]: one["grade"]
            for one in calls("doctor", guest, "-o", "json").json["findings"]
        }
        assert "problem" not in steps.values()


def test_programs(pair: Pair, calls: Calls) -> None:
    for domain in pair:
        guest = target(domain)
        done = calls("exec", guest, "--", "sh", "-c", "echo one; exit 3", lines=None)
        assert (done.code, done.text) == (3, "one\n")
        assert calls("exec", guest, "--", "/no/such", lines=None).code == 127
        assert calls.process("exec", guest, "--", "cat", stdin=b"\x00\xff" * 9000) == (
            0,
            b"\x00\xff" * 9000,
            b"",
        )
        code, out, err = calls.process("shell", guest, "stty size; exit 4")
        assert (code, b"24 80" in out) == (4, True), err


def test_files(pair: Pair, calls: Calls, tmp_path: Path) -> None:
    here = tmp_path / "here"
    here.write_bytes(bytes(range(256)) * 3000)
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\necho edited >>"$1"\n')
    editor.chmod(0o755)
    stock, ours = (f"{target(domain)}:{FOLDER}" for domain in pair)
    for domain, place in zip(pair, (stock, ours), strict=True):

        def does(*words: str) -> Done:
            done = calls(*words)
            assert done.code == 0, (words, done.err)
            return done

        domain.sh(f"rm -rf {FOLDER}")
        does("mkdir", "-p", f"{place}/deep/er")
        does("cp", str(here), f"{place}/data")
        assert said(domain, f"wc -c <{FOLDER}/data").strip() == "768000"
        does("cp", f"{place}/data", str(tmp_path / "back"))
        assert (tmp_path / "back").read_bytes() == here.read_bytes()
        does("cp", "-r", f"{place}/deep", str(tmp_path / f"tree-{domain.name}"))
        assert (tmp_path / f"tree-{domain.name}/er").is_dir()
        does("touch", f"{place}/text")
        code, _, err = calls.process(
            "edit", f"{place}/text", EDITOR=str(editor), VISUAL=str(editor)
        )
        assert code == 0, err
        for verb in ("cat", "head", "tail"):
            assert does(verb, f"{place}/text").text == "edited\n"
        does("chmod", "640", f"{place}/text")
        does("chown", "7:8", f"{place}/text")
        does("ln", "-s", "text", f"{place}/link")
        does("mv", f"{place}/text", f"{place}/moved")
        (record,) = does("stat", f"{place}/moved", "-o", "json").json
        assert (record["mode"], record["uid"], record["gid"], record["size"]) == ("0640", 7, 8, 7)
        assert set(does("ls", place).text.split()) == {"data", "deep", "link", "moved"}
        assert does("find", place, "-name", "er").text == f"{FOLDER}/deep/er\n"
        (total,) = does("du", "-s", place, "-o", "json").json
        assert total["size"] >= 768000
        assert any(one["mountpoint"] == "/mnt/data" for one in does("df", place, "-o", "json").json)
        does("rm", "-r", f"{place}/deep")
        assert said(domain, f"ls {FOLDER}").split() == ["data", "link", "moved"]
    # From the one guest to the other.
    assert calls("cp", f"{stock}/moved", f"{ours}/came").code == 0
    assert said(pair.ours, f"cat {FOLDER}/came") == "edited\n"


def test_changes(pair: Pair, calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    for domain in pair:
        guest = target(domain)
        done = calls("freeze", guest, "--", "true")
        assert (done.code, "2 file systems frozen" in done.err, "it held" in done.err) == (
            0,
            True,
            True,
        )
        assert calls("thaw", guest).text == "nothing was frozen\n"
        mounts = {one["mountpoint"] for one in calls("trim", guest, "-o", "json").json}
        assert mounts == {"/", "/mnt/data"}

        said(domain, "date -s 2024-02-29")
        found = calls("time", guest, "-o", "json").json
        assert found["offset"] < -86400
        after = calls("time", "--sync", guest, "-o", "json").json["after"]
        assert abs(after["offset"]) < 60

        before = said(domain, "grep ^root: /etc/shadow")
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"Correct Horse\n")))
        assert calls("passwd", "--stdin", guest, "root").code == 0
        assert said(domain, "grep ^root: /etc/shadow") != before

        assert calls("ssh-keys", "add", guest, "root", KEY).code == 0
        (key,) = calls("ssh-keys", "list", guest, "root", "-o", "json").json["keys"]
        assert key["key"] == KEY
        assert calls("ssh-keys", "remove", guest, "root", key["fingerprint"]).code == 0
        assert calls("ssh-keys", "list", guest, "root").text == "no keys\n"


def test_ends(pair: Pair, calls: Calls) -> None:
    for domain in pair:
        guest = target(domain)
        found = calls("suspend", guest, "--wait", "-o", "json", *PATIENCE).json
        assert found["mode"] == "ram"
        wait_until(lambda d=domain: d.state == "pmsuspended", "it sleeps")  # type: ignore[misc]
        assert domain.virsh("dompmwakeup").code == 0
        assert calls("wait", guest, "--for", "ready", *PATIENCE).code == 0

        before = said(domain, "cat /proc/sys/kernel/random/boot_id").strip()
        boots = threading.Thread(target=boot_again(domain))
        boots.start()
        found = calls("reboot", guest, "--wait", "-o", "json", *PATIENCE).json
        boots.join()
        after = said(domain, "cat /proc/sys/kernel/random/boot_id").strip()
        assert found["boot_id"] == after != before

    # The one's machine stays, and the other's is off.
    found = calls("halt", target(pair.stock), "--wait", "-o", "json", *PATIENCE).json
    assert found["down"] == "silent"
    assert pair.stock.state == "running"
    found = calls("shutdown", target(pair.ours), "--wait", "-o", "json", *PATIENCE).json
    assert found["down"] == "off"
    pair.stock.close()


def boot_again(domain: Domain) -> Callable[[], None]:
    """Waits for the domain's next boot, and starts the agent in it."""

    def wait() -> None:
        wait_until(lambda: not domain.connected, "the old system is gone")
        domain.prepare()

    return wait
