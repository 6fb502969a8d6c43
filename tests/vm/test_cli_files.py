"""`qga ls` and its like in real guests: with busybox and either agent, and with coreutils."""

import os
import stat
from pathlib import Path

import pytest

from tests.cli.command import Run, qga_command
from tests.cli.test_tailing import tail
from tests.vm.conftest import GuestFactory
from tests.vm.machine import PLAIN, SYSTEMD
from tests.vm.qemu import AGENT, STOCK_AGENT, Guest

__all__ = ["qga_command"]

TOP = "/mnt/data/top"
ODD = os.fsdecode(b"odd\xff\nname")


# Debian's agent is not where it would be installed, so that packages can be.
IN_DEBIAN = ("/usr/lib/control-agent/control-agent", *STOCK_AGENT[1:])
GUESTS = {"ours": (AGENT, PLAIN), "stock": (STOCK_AGENT, PLAIN), "debian": (IN_DEBIAN, SYSTEMD)}


@pytest.mark.parametrize("kind", GUESTS)
def test_files(
    guest_factory: GuestFactory,
    qga_command: Run,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    kind: str,
) -> None:
    argv, machine = GUESTS[kind]
    guest = guest_factory(argv, machine)
    monkeypatch.setenv("QGA_TARGET", f"unix:{guest.agent_socket}")
    monkeypatch.setenv("TZ", "UTC0")
    if machine is SYSTEMD:  # where a program takes long to start
        as_coreutils_have_it(guest, qga_command)
    else:
        changes(guest, qga_command)
        as_busybox_has_it(guest, qga_command)
        space(guest, qga_command)
        edited(guest, qga_command, monkeypatch, tmp_path)
        followed(guest)
    assert qga_command("rm", "-r", f":{TOP}").code == 0
    assert guest.sh(f"ls -d {TOP}").code


def changes(guest: Guest, qga_command: Run) -> None:
    def qga(*words: str) -> None:
        done = qga_command(*words)
        assert (words, done.code, done.out) == (words, 0, b"")

    qga("mkdir", "-p", "-m", "750", f":{TOP}/sub/deep", f":{TOP}/{ODD}")
    qga("touch", f":{TOP}/a", f":{TOP}/b", f":{TOP}/{ODD}/c", f":{TOP}/sub/deep/x")
    guest.sh(f"head -c 5000 /dev/zero >{TOP}/a; printf 'one\\ntwo\\n' >{TOP}/b; chmod 700 {TOP}")
    qga("chmod", "-R", "u=rwX,g=rX,o=", f":{TOP}")
    qga("chmod", "+x", f":{TOP}/b")
    qga("chown", "-R", "1234:4321", f":{TOP}")
    qga("chown", "root:root", f":{TOP}/b")
    qga("ln", "-s", "sub", f":{TOP}/link")
    qga("mv", f":{TOP}/{ODD}/c", f":{TOP}/link/")
    assert guest.sh(f"cd {TOP}; find . | grep -c .; stat -c '%a %u:%g' a b sub").out.split() == [
        "10", "640", "1234:4321", "751", "0:0", "750", "1234:4321",
    ]  # fmt: skip
    done = qga_command("mkdir", f":{TOP}")
    assert (done.code, done.err) == (1, f"qga: cannot make the directory {TOP}: File exists\n")
    for path in ("/proc/1/comm", "/sys/power"):
        assert qga_command("rm", "-rf", f":{path}").code == 1


def as_coreutils_have_it(guest: Guest, qga_command: Run) -> None:
    guest.sh(f"mkdir -p -m 750 {TOP}/sub; head -c 5000 /dev/zero >{TOP}/a; ln -s sub {TOP}/link")
    guest.sh(f"cd {TOP}; touch sub/x \"$(printf 'odd\\377\\nname')\"; chown 1234:daemon a sub/*")
    for words in (
        "ls -la",
        "ls -lRh",
        "find -type f -size +4k",
        "du -a",
        "stat -c '%n %F %a %U %s'",
    ):
        program, *options = words.split(" ", 2 if words.startswith("stat") else -1)
        given = [option.strip("'") for option in options]
        place = [TOP, *given] if program == "find" else [*given, TOP]
        done = qga_command(program, *(f":{word}" if word == TOP else word for word in place))
        quoted = " ".join(f"'{word}'" for word in place)
        code, out, _ = guest.control.run(["/bin/sh", "-c", f"LC_ALL=C TZ=UTC0 {program} {quoted}"])
        said = out.encode(errors="surrogateescape")
        assert code == 0
        if program == "find":
            assert sorted(done.out.split(b"\n")) == sorted(said.split(b"\n"))
        else:
            assert (words, done.out) == (words, said)


def as_busybox_has_it(guest: Guest, qga_command: Run) -> None:
    shown = qga_command("ls", "-lA", f":{TOP}").out.split(b"\n")
    assert shown[0].startswith(b"total ")
    assert shown[1].startswith(b"-rw-r----- 1 1234 4321 5000 ")
    assert shown[2].startswith(b"-rwxr-x--x 1 root root    8 ")
    assert shown[-3].endswith(b"name")
    for options, command in ((["-a"], "ls -a"), (["-R"], "ls -R"), (["-1d"], "ls -d")):
        said = guest.sh(f"{command} {TOP}").out.encode(errors="surrogateescape")
        # What cannot be printed is a question mark to some of busybox's.
        done = qga_command("ls", *options, f":{TOP}")
        assert done.out.replace(b"\xff\n", b"??") == said.replace(b"\xff\n", b"??")
    found = qga_command("find", f":{TOP}", "-type", "f", "-size", "+4k", "-mtime", "-1")
    assert found.text == f"{TOP}/a\n"
    assert len(qga_command("find", f":{TOP}", "-print0").out.split(b"\0")) == 10
    assert qga_command("du", "-s", f":{TOP}").text == guest.sh(f"du -sk {TOP}").out
    assert qga_command("stat", "-c", "%A %s", f":{TOP}/*").text.count("\n") == 5
    assert qga_command("head", "-1", f":{TOP}/b").text == "one\n"


def space(guest: Guest, qga_command: Run) -> None:
    guest.sh(f"mkdir '{TOP}/a mount' && mount -t tmpfs -o size=1m none '{TOP}/a mount'")
    found = {one["mountpoint"]: one for one in qga_command("df", "-o", "json").json}
    assert {"/", "/mnt/data", f"{TOP}/a mount"} <= found.keys()
    assert found[f"{TOP}/a mount"]["size"] == 1 << 20
    assert found["/"]["type"] == "ext4"
    (one,) = qga_command("df", f":{TOP}/a mount", "-o", "json").json
    assert one["mountpoint"] == f"{TOP}/a mount"
    shown = qga_command("df", "-h", f":{TOP}/a").text.splitlines()[1].split()
    assert (shown[0].startswith("/dev/"), shown[-1]) == (True, "/mnt/data")
    guest.sh(f"umount '{TOP}/a mount' && rmdir '{TOP}/a mount'")


def edited(guest: Guest, qga_command: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\necho three >>"$1"\n')
    editor.chmod(0o755)
    monkeypatch.setenv("VISUAL", str(editor))
    qga_command("chown", "1234:4321", f":{TOP}/b")
    assert qga_command("edit", f":{TOP}/b").code == 0
    said = guest.sh(f"stat -c '%a %u:%g' {TOP}/b; cat {TOP}/b").out
    assert said == "751 1234:4321\none\ntwo\nthree\n"
    assert stat.S_IMODE(editor.stat().st_mode) == 0o755


def followed(guest: Guest) -> None:
    with tail("-n", "1", "-F", f":{TOP}/b") as running:
        running.wait(b"three\n")
        guest.sh(f"echo four >>{TOP}/b")
        running.wait(b"four\n")
        guest.sh(f"mv {TOP}/b {TOP}/b.1; echo five >{TOP}/b")
        running.wait(b"five\n", b"from its beginning")
        assert running.interrupt() == 130
        assert running.out == b"three\nfour\nfive\n"
