"""`qga passwd` and `qga ssh-keys`: passwords that nobody sees, and keys that are not mistaken."""

import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from qga.protocol import SetUserPassword, SshAddAuthorizedKeys, SshRemoveAuthorizedKeys
from qga.testing import FakeAgent

from .command import Run
from .typist import at_terminal

FILE = "/home/debian/.ssh/authorized_keys"
# Made for this by ssh-keygen, which also says what the fingerprints are.
ONE = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKgZ8FebvspPxcKXCIWmXuTI1ZGxHVde53YjzVQfg0wh one@here"
ONE_PRINT = "SHA256:RMMHEJKiy7GnB/Izp+4F4jclMQCxpo7O6vitSGwgDUU"
TWO = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINkXpC6hWCkDK3gfACkp1GItp9BvaSZvkU+aEcpqPg54 two"
THREE = "sk-ssh-ed25519@openssh.com AAAAGnNr+/c= three of them"
FORCED = f'command="echo hi",no-pty {TWO}'


@pytest.fixture
def target(fake_agent: FakeAgent) -> Iterator[str]:
    with fake_agent.serve() as target:
        yield target


def given(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))


# Passwords.


def test_a_password_is_asked_for_twice_and_not_shown(fake_agent: FakeAgent, target: str) -> None:
    code, shown = at_terminal(
        "passwd", target, "root",
        answers=[
            ("New password of root in unix:", "s3cret ü\n"),
            ("Once more", "s3cret u\n"),
            ("New password", "s3cret ü\n"),
            ("Once more", "s3cret ü\n"),
        ],
    )  # fmt: skip
    assert code == 0
    assert "s3cret" not in shown
    assert "the password of root is set" in shown
    assert [each.username for each in fake_agent.asked(SetUserPassword)] == ["root"]
    assert fake_agent.guest.passwords == {"root": "s3cret ü".encode()}
    # An interrupt just before Python waits for input is noticed behind that only.
    code, shown = at_terminal("passwd", target, "root", answers=[("New password", "\x03\n")])
    assert code == 130
    assert len(fake_agent.asked(SetUserPassword)) == 1


def test_a_password_from_a_pipe(
    fake_agent: FakeAgent, target: str, qga_command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [sys.executable, "-m", "qga.cli", "passwd", "--stdin", target, "root"]
    done = subprocess.run(command, input=b"from a pipe \r\n", capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"the password of root is set\n", b"")
    assert fake_agent.guest.passwords == {"root": b"from a pipe "}
    given(monkeypatch, "$6$salt$hash")
    monkeypatch.setenv("QGA_TARGET", target)
    found = qga_command("passwd", "debian", "--stdin", "--crypted", "-o", "json").json
    assert found == {"user": "debian", "changed": True}
    (_, asked) = fake_agent.asked(SetUserPassword)
    assert (bytes(asked.password), asked.crypted) == (b"$6$salt$hash", True)
    given(monkeypatch, "x")
    done_so = qga_command("passwd", "nobody", "--stdin")
    assert (done_so.code, done_so.err) == (
        1,
        "qga: child process has failed to set user password\n",
    )


@pytest.mark.parametrize(
    ("words", "text", "why"),
    [
        ([], "x", "standard input is no terminal: --stdin reads"),
        (["--stdin"], "", "the password is empty"),
        (["--stdin"], "\n", "the password is empty"),
        (["--stdin"], "a\nb\n", "more than one line"),
        (["--stdin"], "a\0", "or a NUL"),
        (["--stdin", "--crypted"], "plain", "nothing that crypt() makes"),
    ],
)
def test_no_password(
    fake_agent: FakeAgent,
    target: str,
    qga_command: Run,
    monkeypatch: pytest.MonkeyPatch,
    *,
    words: list[str],
    text: str,
    why: str,
) -> None:
    given(monkeypatch, text)
    done = qga_command("passwd", target, "root", *words)
    assert done.code == 2
    assert why in done.err
    assert not fake_agent.requests


def test_many_are_asked_about(
    fake_agent: FakeAgent, two: FakeAgent, qga_command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    given(monkeypatch, "word")
    done = qga_command("passwd", "-l", "web*", "root", "--stdin")
    assert (done.code, "needs --yes" in done.err) == (2, True)
    given(monkeypatch, "word")
    done = qga_command("passwd", "-l", "web*", "root", "--stdin", "--yes")
    assert done.code == 0
    assert fake_agent.guest.passwords == two.guest.passwords == {"root": b"word"}
    answers = [
        ("Set the password of root in 2 guests (web1, web2)? [y/N]", "y\n"),
        ("New password of root in 2 guests", "other\n"),
        ("Once more", "other\n"),
    ]
    code, _ = at_terminal("passwd", "--all", "root", answers=answers)
    assert code == 0
    assert fake_agent.guest.passwords == two.guest.passwords == {"root": b"other"}


def test_what_would_be_set(fake_agent: FakeAgent, target: str, qga_command: Run) -> None:
    assert qga_command("passwd", target, "root", "--dry-run").text == (
        "would set the password of root\n"
    )
    fake_agent.blocked.add("guest-set-user-password")
    done = qga_command("passwd", target, "root", "--dry-run", "-o", "json", lines=0)
    assert (done.code, done.json) == (1, {"user": "root", "dry_run": True, "allowed": False})


# Keys.


def test_keys_come_and_go(
    fake_agent: FakeAgent,
    target: str,
    qga_command: Run,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def run(verb: str, *words: str) -> str:
        done = qga_command("ssh-keys", verb, target, "debian", *words)
        assert done.code == 0, done.err
        return done.text

    assert run("list") == "no keys\n"
    assert run("remove", ONE) == "nothing to change\n"
    file = tmp_path / "keys.pub"
    file.write_text(f"# mine\n\n{TWO}\n{ONE}\n{TWO} again\n")
    assert run("add", f"@{file}", "--dry-run").startswith("would add ssh-ed25519 SHA256:")
    assert FILE not in fake_agent.files
    assert run("add", ONE) == f"added ssh-ed25519 {ONE_PRINT} one@here\n"
    given(monkeypatch, f"{THREE}\n")
    assert len(run("add", f"@{file}", "-").splitlines()) == 2
    assert fake_agent.files[FILE].decode() == f"{ONE}\n{TWO}\n{THREE}\n"
    assert run("add", f"@{file}") == "nothing to change\n"
    lines = run("list").splitlines()
    assert lines[0].split() == ["type", "fingerprint", "comment"]
    assert lines[1].split() == ["ssh-ed25519", ONE_PRINT, "one@here"]
    assert lines[3].endswith("three of them")
    assert run("list", "-o", "wide").splitlines()[2].endswith(TWO)
    found = qga_command("ssh-keys", "list", target, "debian", "-o", "json").json
    assert found["user"] == "debian"
    assert found["keys"][0] == {
        "key": ONE, "type": "ssh-ed25519", "fingerprint": ONE_PRINT, "comment": "one@here",
    }  # fmt: skip

    # Whatever its comment is, and by its fingerprint.
    assert run("remove", TWO.replace("two", "other"), "--dry-run").startswith("would remove")
    assert run("remove", TWO.replace("two", "other")).endswith("two\n")
    assert fake_agent.asked(SshRemoveAuthorizedKeys)[-1].keys == [TWO]
    assert run("remove", ONE_PRINT, THREE).count("removed") == 2
    assert fake_agent.files[FILE] == b""

    # Options in front belong to the line.
    fake_agent.files[FILE] = f"{FORCED}\nwhatever this is\n".encode()
    assert [line.split()[0] for line in run("list").splitlines()[1:]] == ["ssh-ed25519", "?"]
    given(monkeypatch, ONE)
    said = run("add", "--reset", "-").splitlines()
    assert [line.split()[0] for line in said] == ["added", "removed", "removed"]
    assert fake_agent.files[FILE].decode() == f"{ONE}\n"
    assert fake_agent.asked(SshAddAuthorizedKeys)[-1].reset is True


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["list", "TARGET"], "'TARGET' is not the name of a target"),
        (["list", "unix:/s", "debian", "x"], "'x' is too much"),
        (["add", "unix:/s", "debian"], "which keys?"),
        (["add", "unix:/s", "debian", "AAAA"], "'AAAA' is no public SSH key"),
        (["add", "unix:/s", "debian", "FILE"], "do you mean @FILE?"),
        (["add", "unix:/s", "debian", "@EMPTY"], "EMPTY holds no key"),
        (["add", "unix:/s", "debian", "@PRIVATE"], "holds a private key, which stays here"),
        (["remove", "unix:/s", "debian", "@FILE"], "FILE: 'text' is no public SSH key"),
        (["remove", "unix:/s", "debian", "SHA256:x"], "is no public SSH key"),
    ],
)
def test_what_is_no_key(
    qga_command: Run, words: list[str], why: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("FILE").write_text("text\n")
    Path("EMPTY").write_text("# nothing\n")
    Path("PRIVATE").write_text("-----BEGIN OPENSSH PRIVATE KEY-----\n")
    if words[1] == "TARGET":
        monkeypatch.setenv("QGA_TARGET", "TARGET")
    done = qga_command("ssh-keys", *words)
    assert done.code == 2
    assert why in done.err


def test_a_file_that_is_not_there(qga_command: Run, tmp_path: Path) -> None:
    done = qga_command("ssh-keys", "add", "unix:/s", "root", f"@{tmp_path}/none")
    assert (done.code, done.err) == (4, f"qga: {tmp_path}/none: No such file or directory\n")


def test_a_user_that_is_not_there(target: str, qga_command: Run) -> None:
    done = qga_command("ssh-keys", "list", target, "bob")
    assert (done.code, done.err) == (1, "qga: failed to lookup user 'bob'\n")


def test_keys_of_many(fake_agent: FakeAgent, two: FakeAgent, qga_command: Run) -> None:
    assert qga_command("ssh-keys", "add", "--all", "debian", ONE).code == 0
    assert fake_agent.files[FILE] == two.files[FILE] == f"{ONE}\n".encode()
    for words in (["remove", "--all", "debian", ONE], ["add", "--all", "debian", "--reset", TWO]):
        done = qga_command("ssh-keys", *words)
        assert (done.code, "(web1, web2)? --yes says" in done.err) == (2, True)
    assert qga_command("ssh-keys", "add", "--all", "debian", "--reset", TWO, "--yes").code == 0
    assert fake_agent.files[FILE] == two.files[FILE] == f"{TWO}\n".encode()
