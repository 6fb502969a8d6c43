"""Passwords with which one logs in, and SSH keys, set by both agents in the same guest."""

import base64
from functools import partial

import pytest

from tests.vm.observe import connect, replace_program
from tests.vm.qemu import AGENT, Guest
from tests.vm.sides import Refusal, Sides, ask, ask_stock

# Logs in on a terminal, as a person does, and prints all that is to be seen there.
LOGIN = """
import os, pty, sys
user, password = sys.argv[1:]
pid, terminal = pty.fork()
if pid == 0:
    os.execv("/bin/login", ["login", user])
seen = b""
def until(*texts):
    global seen
    while not any(text in seen for text in texts):
        try:
            data = os.read(terminal, 1000)
        except OSError:
            break
        if not data:
            break
        seen += data
until(b"assword:")
os.write(terminal, password.encode() + b"\\n")
until(b"$ ", b"incorrect")
if b"incorrect" not in seen:
    os.write(terminal, b"exec id\\n")
    until(b"uid=", b"no such text")
print(seen.decode())
"""


def logs_in(guest: Guest, user: str, password: str) -> bool:
    done = guest.control.run(["/usr/bin/python3", "-c", LOGIN, user, password])
    assert done.code == 0, done.err
    if "uid=" in done.out:
        assert f"({user})" in done.out
        return True
    assert "incorrect" in done.out
    return False


def crypted(guest: Guest, password: str) -> str:
    code = "import crypt, sys; print(crypt.crypt(sys.argv[1], crypt.METHOD_SHA512), end='')"
    return guest.control.run(["/usr/bin/python3", "-W", "ignore", "-c", code, password]).out


def encoded(password: str | bytes) -> str:
    data = password.encode() if isinstance(password, str) else password
    return base64.b64encode(data).decode()


def test_passwords(guest: Guest) -> None:
    with connect(guest) as client:

        def change(password: str, *, hashed: bool) -> None:
            done = ask(
                client, "guest-set-user-password",
                username="alice", password=encoded(password), crypted=hashed,
            )  # fmt: skip
            assert done == {}

        change("wörd: 1 $HOME 'quoted'", hashed=False)
        assert logs_in(guest, "alice", "wörd: 1 $HOME 'quoted'")
        assert not logs_in(guest, "alice", "other")
        change(crypted(guest, "other"), hashed=True)
        assert logs_in(guest, "alice", "other")
        change("cut\0off", hashed=False)
        assert logs_in(guest, "alice", "cut")
        change("x" * 400, hashed=False)
        assert logs_in(guest, "alice", "x" * 400)


def test_passwords_that_cannot_be(guest: Guest) -> None:
    before = guest.read("/etc/shadow")
    with connect(guest) as client:
        sides = Sides(guest, client)
        for user, password, text in (
            ("alice", b"two\nlines", "forbidden characters in raw password"),
            ("alice\n", b"two\nlines", "forbidden characters in raw password"),
            ("al:ice", b"word", "forbidden characters in username"),
            ("alice\nroot:x", b"word", "forbidden characters in username"),
        ):
            answer = sides.agreed(
                "guest-set-user-password", username=user, password=encoded(password), crypted=False
            )
            assert answer == Refusal(text)
        answer = sides.agreed(
            "guest-set-user-password", username="alice", password="!!!!", crypted=False
        )
        assert answer == Refusal("Base64 data contains invalid characters")
        for missing in (
            {"username": "alice", "password": ""},
            {"username": "alice", "crypted": True},
        ):
            assert isinstance(sides.agreed("guest-set-user-password", **missing), Refusal)
        stock, ours = sides(
            "guest-set-user-password", username="bob", password=encoded("s3cret"), crypted=False
        )
        failed = "child process has failed to set user password"
        assert stock == Refusal(failed)
        assert ours.desc.startswith(f"{failed}: chpasswd: (user bob)")
        guest.sh("mv /usr/sbin/chpasswd /root")
        stock, ours = sides(
            "guest-set-user-password", username="alice", password=encoded("word"), crypted=False
        )
        assert isinstance(stock, Refusal)
        assert ours == Refusal(f"{failed}: failed to exec 'chpasswd': No such file or directory")
    assert guest.read("/etc/shadow") == before


@pytest.mark.parametrize("script", ["cat; exit 1", "cat >&2; kill -9 $$"])
def test_no_password_is_told(guest: Guest, script: str) -> None:
    guest.kill_agent()
    guest.start_agent([*AGENT, "-v", "-l", "/run/agent.log"])
    replace_program(guest, "/usr/sbin/chpasswd", script)
    secret = "Correct Horse"
    with connect(guest) as client:
        answer = ask(
            client, "guest-set-user-password",
            username="alice", password=encoded(secret), crypted=False,
        )  # fmt: skip
        assert isinstance(answer, Refusal)
        assert secret not in answer.desc
    written = guest.sh("cat /run/agent.log /run/agent.out").out
    assert "guest-set-user-password" in written
    for form in (secret, encoded(secret)):
        assert form not in written


SSH = "/home/alice/.ssh"
KEYS = f"{SSH}/authorized_keys"
ONE, TWO, THREE = (f"ssh-ed25519 AAAA{n} alice@host{n}" for n in (1, 2, 3))


def owners(guest: Guest) -> str:
    return guest.sh(f"stat -c '%n %u:%g %a' {SSH} {SSH}/*").out


def test_keys(guest: Guest) -> None:
    with connect(guest) as client:
        sides = Sides(guest, client)
        ours_does, stock_does = partial(ask, client), partial(ask_stock, guest)
        for writer, reader in ((ours_does, stock_does), (stock_does, ours_does)):

            def keys() -> list[str]:
                found = sides.agreed("guest-ssh-get-authorized-keys", username="alice")
                assert isinstance(found["keys"], list)
                return found["keys"]

            guest.sh(f"rm -rf {SSH}")
            missing = sides.agreed("guest-ssh-get-authorized-keys", username="alice")
            assert missing == Refusal(
                f"failed to read '{KEYS}': Failed to open file “{KEYS}”: No such file or directory"
            )
            # As libvirt sends them.
            arguments = {"username": "alice", "keys": [ONE, TWO, ""], "reset": False}
            assert writer("guest-ssh-add-authorized-keys", **arguments) == {}
            assert owners(guest) == f"{SSH} 1000:1000 700\n{KEYS} 1000:1000 600\n"
            assert guest.read(KEYS) == f"{ONE}\n{TWO}\n".encode()
            assert keys() == [TWO, ONE]
            arguments = {"username": "alice", "keys": [TWO, THREE]}
            assert reader("guest-ssh-add-authorized-keys", **arguments) == {}
            assert keys() == [THREE, TWO, ONE]
            guest.sh(f"printf '\\n# by hand\\n{TWO}\\n' >> {KEYS}; chmod 644 {KEYS}")
            arguments = {"username": "alice", "keys": [TWO]}
            assert writer("guest-ssh-remove-authorized-keys", **arguments) == {}
            assert keys() == [THREE, ONE]
            assert b"# by hand" in guest.read(KEYS)
            arguments = {"username": "alice", "keys": [TWO], "reset": True}
            assert reader("guest-ssh-add-authorized-keys", **arguments) == {}
            assert keys() == [TWO]
            arguments = {"username": "alice", "keys": [], "reset": True}
            assert writer("guest-ssh-add-authorized-keys", **arguments) == {}
            assert keys() == []
            assert guest.read(KEYS) == b""
            assert owners(guest) == f"{SSH} 1000:1000 700\n{KEYS} 1000:1000 600\n"
        for wrong in ("#x", "a\nb"):
            for user in ("alice", "bob"):
                answer = sides.agreed(
                    "guest-ssh-add-authorized-keys", username=user, keys=[ONE, wrong]
                )
                assert answer == Refusal(f"invalid OpenSSH public key: '{wrong}'")
        for command in ("add", "remove"):
            stock, ours = sides(f"guest-ssh-{command}-authorized-keys", username="bob", keys=[ONE])
            assert stock == Refusal("failed to lookup user 'bob': Success")
            assert ours == Refusal("failed to lookup user 'bob': no such user")


def test_keys_without_a_file(guest: Guest) -> None:
    with connect(guest) as client:
        sides = Sides(guest, client)
        arguments = {"username": "alice", "keys": [ONE]}
        assert sides.agreed("guest-ssh-remove-authorized-keys", **arguments) == {}
        assert guest.sh(f"test -e {SSH}").code == 1
        guest.sh("rmdir /home/alice")
        assert sides.agreed("guest-ssh-add-authorized-keys", **arguments) == Refusal(
            f"failed to create directory '{SSH}': No such file or directory"
        )
        sides.agreed("guest-ssh-get-authorized-keys", username="alice")
        # A home that is elsewhere.
        guest.sh("mkdir -p /mnt/data/alice; ln -s /mnt/data/alice /home/alice")
        assert ask(client, "guest-ssh-add-authorized-keys", **arguments) == {}
        assert guest.read("/mnt/data/alice/.ssh/authorized_keys") == f"{ONE}\n".encode()


# What a user may do to have the agent, who is root, write or read elsewhere.
TRAPS = {
    "the folder is a link": f"mkdir /root/.ssh; ln -s /root/.ssh {SSH}",
    "the file is a link": f"mkdir {SSH}; chown alice {SSH}; ln -s /root/secret {KEYS}",
    "the file is a dangling link": f"mkdir {SSH}; chown alice {SSH}; ln -s /root/new {KEYS}",
    "the file has another name": f"mkdir {SSH}; chown alice {SSH}; ln /root/secret {KEYS}",
    "the folder is another's": f"mkdir {SSH}; chown 77 {SSH}",
    "the file is a pipe": f"mkdir {SSH}; chown alice {SSH}; mkfifo {KEYS}",
    "the folder is a file": f"touch {SSH}",
}


def test_traps(guest: Guest) -> None:
    guest.sh("umask 77; echo secret > /root/secret")
    before = guest.sh("ls -laR /root; cat /root/secret").out
    with connect(guest) as client:
        for name, trap in TRAPS.items():
            guest.sh(f"rm -rf {SSH} /root/.ssh; {trap}")
            for command, arguments in (
                ("get", {}),
                ("add", {"keys": [ONE]}),
                ("add", {"keys": [ONE], "reset": True}),
                ("remove", {"keys": [ONE, "secret"]}),
            ):
                answer = ask(
                    client, f"guest-ssh-{command}-authorized-keys", username="alice", **arguments
                )
                assert isinstance(answer, Refusal), (name, command)
                assert "it is left alone" in answer.desc, (name, command)
                assert "secret" not in answer.desc
            guest.sh(f"rm -rf {SSH}; rmdir /root/.ssh")
    assert guest.sh("ls -laR /root; cat /root/secret").out == before


SSHD = """
echo sshd:x:74:74::/run/sshd:/bin/false >> /etc/passwd
mkdir -p /run/sshd
ssh-keygen -q -t ed25519 -N '' -f /run/host_key
ssh-keygen -q -t ed25519 -N '' -C alice@here -f /run/key
/usr/sbin/sshd -f /dev/null -h /run/host_key -o ListenAddress=127.0.0.1 -o StrictModes=yes \\
    -o UsePAM=no -o PasswordAuthentication=no -o KbdInteractiveAuthentication=no
"""
# With the cheapest key exchange, for the emulated processor's sake.
LOG_IN = (
    "ssh -F none -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null "
    "-o KexAlgorithms=curve25519-sha256 -i /run/key alice@127.0.0.1 id -un"
)


def test_keys_open_the_door(guest: Guest) -> None:
    """Also that sshd, which is strict about who may write to the file, likes what it finds."""
    started = guest.sh(SSHD, timeout=300)
    assert started.code == 0, started.err

    def lets_in() -> bool:
        done = guest.sh(LOG_IN, timeout=300)
        assert (done.code, done.out) == (0, "alice\n") or "Permission denied" in done.err, done
        return done.code == 0

    with connect(guest) as client:
        arguments = {"username": "alice", "keys": [guest.read("/run/key.pub").decode().strip()]}
        assert not lets_in()
        assert ask(client, "guest-ssh-add-authorized-keys", **arguments) == {}
        assert lets_in()
        assert ask(client, "guest-ssh-remove-authorized-keys", **arguments) == {}
        assert not lets_in()
