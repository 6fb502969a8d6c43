"""What virsh changes in a guest through the agent: clock, processors, passwords, SSH keys."""

import os
import subprocess
import time
from pathlib import Path

import pytest

from tests.libvirt.pair import Pair
from tests.vm.debs import packages

LONG_AGO = 1_000_000_000
A_LITTLE = 600  # seconds that a slow machine may take
CLOCK = "date +%s"
HARDWARE_CLOCK = "cat /sys/class/rtc/rtc0/since_epoch"
KEYS = [
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIA one@host",
    "ssh-rsa AAAAB3NzaC1yc2EAAAADAQ two@host",
]


def near(pair: Pair, command: str, seconds: float) -> bool:
    """Whether a clock of both guests shows about that time."""
    return all(0 <= int(domain.sh(command).out) - int(seconds) < A_LITTLE for domain in pair)


def test_time(pair: Pair) -> None:
    setting = pair.succeeds("domtime", "--time", str(LONG_AGO))
    assert setting.asked == ("guest-set-time",)
    assert near(pair, CLOCK, LONG_AGO)
    assert near(pair, HARDWARE_CLOCK, LONG_AGO)
    getting = pair.succeeds("domtime", differs=r"\d{5}$")
    assert (getting.out, getting.asked) == ("Time: 10000#", ("guest-get-time",))
    assert (
        pair.succeeds("domtime", "--pretty", differs=r"\d\d:\d\d$").out == "Time: 2001-09-09 01:#"
    )


def test_time_from_the_hardware_clock(pair: Pair) -> None:
    pair.succeeds("domtime", "--time", str(LONG_AGO))
    pair.sh("date -s @900000000 > /dev/null")
    assert pair.succeeds("domtime", "--sync").asked == ("guest-set-time",)
    assert near(pair, CLOCK, LONG_AGO)


def test_time_of_the_host(pair: Pair) -> None:
    pair.succeeds("domtime", "--time", str(LONG_AGO))
    before = time.time()
    assert pair.succeeds("domtime", "--now").asked == ("guest-set-time",)
    assert near(pair, CLOCK, before)
    assert near(pair, HARDWARE_CLOCK, before)


def test_processors(pair: Pair) -> None:
    def online() -> str:
        return pair.sh("cat /sys/devices/system/cpu/online").strip()

    def lines() -> list[list[str]]:
        answer = pair.succeeds("guestvcpus")
        assert answer.asked == ("guest-get-vcpus",)
        return [line.split() for line in answer.out.splitlines()]

    asked = ("guest-get-vcpus", "guest-set-vcpus")
    both = [["vcpus", ":", "0-1"], ["online", ":", "0-1"], ["offlinable", ":", "1"]]
    assert lines() == both
    assert pair.succeeds("guestvcpus", "--disable", "--cpulist", "1").asked == asked
    assert online() == "0"
    assert lines() == [both[0], ["online", ":", "0"], both[2]]
    assert pair.succeeds("guestvcpus", "--enable", "--cpulist", "1").asked == asked
    assert online() == "0-1"
    assert pair.succeeds("setvcpus", "1", "--guest").asked == asked
    assert online() == "0"
    assert pair.succeeds("vcpucount", "--guest").out == "1"
    assert pair.succeeds("setvcpus", "2", "--guest").asked == asked
    assert online() == "0-1"
    refused = pair.virsh("guestvcpus", "--disable", "--cpulist", "0")
    assert "vCPU '0' is not offlinable" in refused.err


def crypt(password: str, salt: str) -> str:
    """The hash of a password, by the guest's own library, but at the speed of this machine."""
    found = packages()
    program = "import crypt, sys; print(crypt.crypt(*sys.argv[1:]))"
    command = [*found.command("usr/bin/python3.11"), "-W", "ignore", "-c", program, password, salt]
    environment = {"PYTHONHOME": str(found.root / "usr"), "PATH": os.defpath, "LC_ALL": "C.UTF-8"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.strip()


def test_password(pair: Pair) -> None:
    def is_now(password: str) -> bool:
        stock, ours = (domain.sh("grep ^alice: /etc/shadow").out.split(":")[1] for domain in pair)
        assert (ours[:3], len(ours)) == (stock[:3], len(stock))
        return all(crypt(password, stored) == stored for stored in (stock, ours))

    password = "a:b \N{SNOWMAN}'\"$x"
    assert not is_now(password)
    plain = pair.succeeds("set-user-password", "alice", password)
    assert plain.out == "Password set successfully for alice in DOMAIN"
    assert plain.asked == ("guest-set-user-password",)
    assert is_now(password)
    hashed = crypt("hidden", "$6$saltsalt$")
    pair.succeeds("set-user-password", "alice", hashed, "--encrypted")
    assert is_now("hidden")
    # Newer agents than this stock one add what the program said.
    said = "(?s)(?<=has failed to set user password).*"
    nobody = pair.virsh("set-user-password", "nobody-at-all", "x", differs=said)
    assert nobody.code == 1
    assert nobody.err.endswith("child process has failed to set user password#")


@pytest.fixture
def keys(pair: Pair) -> Path:
    """A file with both keys, which virsh can read."""
    daemon = pair.stock.daemon
    path = daemon.directory / "keys"
    path.write_text("".join(f"{key}\n" for key in KEYS))
    return daemon.give(path)


def test_ssh_keys(pair: Pair, keys: Path) -> None:
    def stored() -> list[str]:
        answer = pair.succeeds("get-user-sshkeys", "alice")
        assert answer.asked == ("guest-ssh-get-authorized-keys",)
        # virsh 9.0 prints them without anything in between.
        printed = answer.out.replace("\n", "")
        found = [key for key in KEYS if key in printed]
        assert len(printed) == sum(map(len, found))
        return found

    pair.sh("rm -rf /home/alice/.ssh")
    missing = pair.virsh("get-user-sshkeys", "alice", differs="Failed to open.*")
    assert missing.code == 1
    add = pair.succeeds("set-user-sshkeys", "alice", "--file", str(keys))
    assert add.asked == ("guest-ssh-add-authorized-keys",)
    assert stored() == KEYS
    assert pair.sh("stat -c '%a %U %G' /home/alice/.ssh /home/alice/.ssh/authorized_keys") == (
        "700 alice alice\n600 alice alice\n"
    )
    content = "".join(f"{key}\n" for key in KEYS)
    assert pair.sh("cat /home/alice/.ssh/authorized_keys") == content
    # Again: nothing twice.
    pair.succeeds("set-user-sshkeys", "alice", "--file", str(keys))
    assert stored() == KEYS
    keys.write_text(f"{KEYS[0]}\n")
    remove = pair.succeeds("set-user-sshkeys", "alice", "--remove", "--file", str(keys))
    assert remove.asked == ("guest-ssh-remove-authorized-keys",)
    assert stored() == KEYS[1:]
    pair.succeeds("set-user-sshkeys", "alice", "--reset", "--file", str(keys))
    assert stored() == KEYS[:1]
    pair.succeeds("set-user-sshkeys", "alice", "--reset")
    assert stored() == []
    keys.write_text("# no key\n")
    refused = pair.virsh("set-user-sshkeys", "alice", "--file", str(keys))
    assert "invalid OpenSSH public key: '# no key'" in refused.err
    assert pair.virsh("get-user-sshkeys", "nobody-at-all", differs="user '.*").code == 1
