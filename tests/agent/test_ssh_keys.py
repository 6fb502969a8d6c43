"""The commands for SSH keys, in a home that the test has made."""

import os
import stat
from pathlib import Path
from typing import Any

import pytest

from qga.agent.app import Agent
from qga.agent.system.fake import FakeSystem
from qga.agent.system.linux import LinuxSystem
from qga.agent.system.linux.sshkeys import LinuxSshKeyFile
from tests.agent.conftest import AgentFactory
from tests.agent.harness import answer, call, own_descriptors, refusal, request
from tests.agent.pending import desc
from tests.support.need import need_root

# As root, the files are another user's, so that their owner shows.
UID, GID = (65534, 65533) if os.geteuid() == 0 else (os.geteuid(), os.getegid())


class FakeAccounts:
    """One user, alice, with that home."""

    def __init__(self, home: Path) -> None:
        self.home = home

    def key_file(self, user: str) -> LinuxSshKeyFile | None:
        return LinuxSshKeyFile(str(self.home), UID, GID) if user == "alice" else None


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "alice"
    folder.mkdir()
    os.chown(folder, UID, GID)
    return folder


@pytest.fixture
def accounts(home: Path) -> FakeAccounts:
    return FakeAccounts(home)


@pytest.fixture
def agent(make: AgentFactory, accounts: FakeAccounts) -> Agent:
    return make(FakeSystem(accounts=accounts))


ONE, TWO, THREE = (f"ssh-ed25519 AAAA{n} alice@host{n}" for n in (1, 2, 3))


@pytest.fixture
def file(home: Path) -> Path:
    """Where the keys are."""
    return home / ".ssh/authorized_keys"


def write(file: Path, content: str) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(content)
    for path in (file.parent, file):
        os.chown(path, UID, GID)


def get(agent: Agent) -> list[str]:
    found = call(agent, "guest-ssh-get-authorized-keys", username="alice")["keys"]
    assert isinstance(found, list)
    return found


def add(agent: Agent, *keys: str, **more: Any) -> None:
    arguments = {"username": "alice", "keys": list(keys), **more}
    assert call(agent, "guest-ssh-add-authorized-keys", **arguments) == {}


def remove(agent: Agent, *keys: str) -> None:
    arguments = {"username": "alice", "keys": list(keys)}
    assert call(agent, "guest-ssh-remove-authorized-keys", **arguments) == {}


def test_keys_are_listed(agent: Agent, file: Path) -> None:
    write(file, f"# comment\n{ONE}\n\n  {TWO} \r\n   # more\n{THREE}")
    # In upstream's order.
    assert get(agent) == [THREE, TWO, ONE]
    write(file, "")
    assert get(agent) == []
    file.write_bytes(b"\xff\n")
    assert get(agent) == ["�"]


def test_a_file_is_made(agent: Agent, file: Path) -> None:
    old = os.umask(0o077)
    try:
        add(agent, ONE)
        file.chmod(0o666)
        os.umask(0)
        add(agent, TWO, "", "  ")
    finally:
        os.umask(old)
    assert file.read_text() == f"{ONE}\n{TWO}\n"
    for path, mode in ((file.parent, 0o700), (file, 0o600)):
        info = path.stat()
        assert (info.st_uid, info.st_gid, stat.S_IMODE(info.st_mode)) == (UID, GID, mode)
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_keys_are_added_once(agent: Agent, file: Path) -> None:
    write(file, f"# mine\n\n{ONE} ")
    add(agent, ONE, TWO, TWO)
    assert file.read_text() == f"# mine\n\n{ONE} \n{TWO}\n"
    add(agent)
    assert file.read_text() == f"# mine\n\n{ONE} \n{TWO}\n"
    add(agent, THREE, reset=True)
    assert file.read_text() == f"{THREE}\n"
    add(agent, reset=True)
    assert file.read_text() == ""


def test_keys_are_removed(agent: Agent, file: Path) -> None:
    remove(agent, ONE)
    assert not file.parent.exists()
    write(file, f"# mine\n{ONE}\n\n{TWO}\r\n{ONE}\n{THREE}")
    remove(agent, ONE, TWO, "absent", "")
    assert file.read_text() == f"# mine\n\n{THREE}\n"


@pytest.mark.parametrize("key", ["# comment", "two\nlines", "  # comment", "NUL\0"])
@pytest.mark.parametrize("user", ["alice", "bob"])
def test_keys_that_are_none(agent: Agent, file: Path, key: str, user: str) -> None:
    text = refusal(agent, "guest-ssh-add-authorized-keys", username=user, keys=[ONE, key])
    assert text == f"invalid OpenSSH public key: '{key}'"
    assert not file.parent.exists()


def test_nobody_there(agent: Agent, home: Path, file: Path) -> None:
    commands = {"get": {}, "add": {"keys": [ONE]}, "remove": {"keys": [ONE]}}
    for command, arguments in commands.items():
        name = f"guest-ssh-{command}-authorized-keys"
        text = refusal(agent, name, username="bob", **arguments)
        assert text == "failed to lookup user 'bob': no such user"
    missing = f"failed to read '{file}': Failed to open file “{file}”: No such file or directory"
    assert refusal(agent, "guest-ssh-get-authorized-keys", username="alice") == missing
    home.rmdir()
    assert refusal(agent, "guest-ssh-get-authorized-keys", username="alice") == missing
    text = refusal(agent, "guest-ssh-add-authorized-keys", username="alice", keys=[ONE])
    assert text == f"failed to create directory '{file.parent}': No such file or directory"
    remove(agent, ONE)


def test_users_of_this_machine() -> None:
    accounts = LinuxSystem().accounts
    found = accounts.key_file("root")
    assert found is not None
    assert found.path == "/root/.ssh/authorized_keys"
    for name in ("", "no such user", "root\0", "é" * 100):
        assert accounts.key_file(name) is None


def test_a_home_behind_a_link(agent: Agent, accounts: FakeAccounts, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(accounts.home)
    accounts.home = tmp_path / "link"
    add(agent, ONE)
    assert get(agent) == [ONE]


def test_a_write_that_fails_leaves_the_file(
    agent: Agent, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(file, f"{ONE}\n")

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    before = own_descriptors()
    for name in ("fsync", "rename", "fchown"):
        with monkeypatch.context() as changed:
            changed.setattr(f"os.{name}", fail)
            text = refusal(agent, "guest-ssh-add-authorized-keys", username="alice", keys=[TWO])
        assert text == f"failed to write to '{file}': No space left on device"
        assert file.read_text() == f"{ONE}\n"
        assert [path.name for path in file.parent.iterdir()] == [file.name]
    assert own_descriptors() == before


def tried(agent: Agent) -> set[str]:
    """The texts with which all that can be done with the keys is refused."""
    texts = set()
    for command, arguments in (
        ("get", {}),
        ("add", {"keys": [ONE]}),
        ("add", {"keys": [ONE], "reset": True}),
        ("remove", {"keys": [ONE]}),
    ):
        message = request(
            f"guest-ssh-{command}-authorized-keys", {"username": "alice", **arguments}
        )
        texts.add(desc(answer(agent, message)).partition(";")[0])
    return texts


def test_links_are_not_followed(agent: Agent, file: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / file.name).write_text("secret\n")
    file.parent.symlink_to(elsewhere)
    before = own_descriptors()
    assert tried(agent) == {f"'{file.parent}' is a symbolic link, or no folder"}
    file.parent.unlink()
    file.parent.touch()
    assert tried(agent) == {f"'{file.parent}' is a symbolic link, or no folder"}
    file.parent.unlink()
    file.parent.mkdir()
    os.chown(file.parent, UID, GID)
    for target in (elsewhere / file.name, elsewhere / "absent"):
        file.symlink_to(target)
        assert tried(agent) == {f"'{file}' is a symbolic link"}
        file.unlink()
    assert (elsewhere / file.name).read_text() == "secret\n"
    assert [path.name for path in elsewhere.iterdir()] == [file.name]
    os.mkfifo(file)
    assert tried(agent) == {f"'{file}' is not a file"}
    assert own_descriptors() == before


def test_a_file_that_is_too_large(agent: Agent, file: Path) -> None:
    write(file, "")
    os.truncate(file, 1 << 40)
    assert tried(agent) == {f"'{file}' is too large: {1 << 40} bytes"}


def test_files_of_others(agent: Agent, file: Path, tmp_path: Path) -> None:
    need_root("files of several users")
    secret = tmp_path / "secret"
    secret.write_text("secret\n")
    secret.chmod(0o600)
    write(file, "")
    file.unlink()
    # Of root's files those that the user may read.
    file.hardlink_to(secret)
    assert tried(agent) == {f"'{file}' belongs to another user (0)"}
    secret.chmod(0o644)
    assert get(agent) == ["secret"]
    os.chown(file, 77, 77)
    assert tried(agent) == {f"'{file}' belongs to another user (77)"}
    os.chown(file.parent, 77, 77)
    assert tried(agent) == {f"'{file.parent}' belongs to another user (77)"}
    # A folder of root's will do; what is in it becomes the user's.
    os.chown(file.parent, 0, 0)
    os.chown(file, 0, 0)
    add(agent, ONE)
    assert file.stat().st_uid == UID
    assert file.parent.stat().st_uid == 0


def test_a_folder_that_was_exchanged(
    agent: Agent, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need_root("a folder of somebody else")
    (tmp_path / "alice/precious").mkdir()
    (tmp_path / "alice/precious/file").touch()
    mkdir = os.mkdir

    def make_and_exchange(*arguments: Any, **more: Any) -> None:
        mkdir(*arguments, **more)
        file.parent.rmdir()
        (tmp_path / "alice/precious").rename(file.parent)

    monkeypatch.setattr("os.mkdir", make_and_exchange)
    key_file = LinuxSshKeyFile(str(tmp_path / "alice"), UID, GID)
    with pytest.raises(Exception, match="was exchanged while it was made"):
        key_file.replace(b"key\n")
    assert file.parent.stat().st_uid == 0
