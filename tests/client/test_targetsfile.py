"""Names for targets, from files."""

import asyncio
from pathlib import Path

import pytest

import qga
from qga.client import Target, targetsfile
from qga.client.target import from_environment, names_target, split_path
from tests.support.stock import RunningAgent


@pytest.fixture(autouse=True)
def own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The user's own file, which a test may write; the system's is `etc/targets.toml` beside it."""
    for name in ("QGA_TARGET", "QGA_TARGETS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setattr(targetsfile, "SYSTEM", tmp_path / "etc" / "targets.toml")
    for folder in ("config/qga", "etc"):
        (tmp_path / folder).mkdir(parents=True)
    return tmp_path / "config" / "qga" / "targets.toml"


GOOD = """
[targets]
db = "unix:/run/db.sock"

[targets.web]
target = "vsock:3:1"
timeout = 7.5

[targets."my vm"]
target = "tcp:localhost:1"
timeout = inf
"""


def test_names(own: Path) -> None:
    own.write_text(GOOD)
    db, web, other = Target("db"), Target("web"), Target("my vm")
    assert (str(db), db.full, db.timeout) == ("db", "unix:/run/db.sock", None)
    assert (web.full, web.timeout) == ("vsock:3:1", 7.5)
    assert (other.full, other.timeout) == ("tcp:localhost:1", float("inf"))
    assert names_target("db")
    assert not names_target("dbb")
    target, path = split_path("db:/a:/b")
    assert (str(target), path) == ("db", "/a:/b")
    with pytest.raises(qga.NoChannel, match=r"cannot open db \(unix:/run/db\.sock\): No such file"):
        qga.connect("db")
    assert [(known.name, known.target) for known in qga.targets()] == [
        ("db", "unix:/run/db.sock"),
        ("my vm", "tcp:localhost:1"),
        ("web", "vsock:3:1"),
    ]


def test_the_variables_may_hold_a_name_and_another_file(
    own: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own.write_text(GOOD)
    monkeypatch.setenv("QGA_TARGET", "web")
    assert from_environment().full == "vsock:3:1"
    other = tmp_path / "other.toml"
    monkeypatch.setenv("QGA_TARGETS", str(other))
    with pytest.raises(qga.InvalidTarget, match="QGA_TARGET: QGA_TARGETS: there is no file"):
        from_environment()
    other.write_text('targets.web = "vsock:4:1"')
    assert from_environment().full == "vsock:4:1"
    with pytest.raises(qga.InvalidTarget, match="no target is named 'db': there is web"):
        Target("db")


def test_the_users_file_comes_before_the_systems(own: Path) -> None:
    own.write_text('targets.db = "vsock:3:1"')
    targetsfile.SYSTEM.write_text('targets.db = "vsock:4:1"\ntargets.etc = "vsock:5:1"')
    assert (Target("db").full, Target("etc").full) == ("vsock:3:1", "vsock:5:1")
    assert [known.target for known in qga.targets()] == ["vsock:3:1", "vsock:5:1"]


def test_a_home_without_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for base in ("", "relative"):
        monkeypatch.setenv("XDG_CONFIG_HOME", base)
        monkeypatch.setenv("HOME", str(tmp_path))
        assert targetsfile.files()[0] == tmp_path / ".config" / "qga" / "targets.toml"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "'db' is not the name of a target, nor unix:.*: there are no names in "),
        ('targets.dba = "vsock:3:1"', "no target is named 'db': do you mean dba?"),
        ("[targets\n", r"targets\.toml: .*line 1"),
        ('targets.x = "vsock:3:1"\ntargets.db = !', "line 2"),
        (b"\xff", r"targets\.toml: 'utf-8'"),
        ('db = "vsock:3:1"', "'db' is not known here: names are keys of the table"),
        ("targets = 1", "has to be a table"),
        ("targets.db = 1", r"targets\.toml: targets\.db has to be a target in quotes"),
        ("[targets.db]", r"targets\.db lacks a target"),
        ("targets.db.target = 1", r"targets\.db has a target that is no text"),
        ('targets.db = "web"', r"targets\.db: 'web' is not a target"),
        ('targets.db = "vsock:3"', r"targets\.toml: targets\.db: 'vsock:3' is not vsock:CID:PORT"),
        ('targets.db = {target = "vsock:3:1", timeout = "1"}', r"db\.timeout has to be seconds"),
        ('targets.db = {target = "vsock:3:1", timeout = true}', r"db\.timeout has to be seconds"),
        ('targets.db = {target = "vsock:3:1", timeout = 0}', r"db\.timeout has to be seconds"),
        ('targets.db = {target = "vsock:3:1", timeot = 1}', "timeot is not known .* mean timeout?"),
    ],
)
def test_what_is_wrong(own: Path, content: str | bytes, why: str) -> None:
    own.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(qga.InvalidTarget, match=why):
        Target("db")


def test_a_file_that_cannot_be_read(own: Path) -> None:
    own.mkdir()
    with pytest.raises(qga.InvalidTarget, match=r"cannot read .*targets\.toml: Is a directory"):
        Target("db")


def test_secrets_are_not_for_everybody(own: Path) -> None:
    own.write_text('[targets.db]\ntarget = "vsock:3:1"\ntoken-secret = "x"')
    own.chmod(0o644)
    with pytest.raises(qga.InvalidTarget, match=r"\(targets\.db\.token-secret\).*chmod o= "):
        Target("db")
    own.chmod(0o640)
    with pytest.raises(qga.InvalidTarget, match="token-secret is not known for vsock:CID:PORT"):
        Target("db")


def test_a_name_to_a_real_agent(own: Path, agent: RunningAgent) -> None:
    own.write_text(f'[targets.vm]\ntarget = "{agent.target}"\ntimeout = 1')
    with qga.connect("vm", timeout=20) as client:
        client.ping()
        assert client.timeout == 20

    async def main() -> None:
        async with await qga.aconnect(Target("vm")) as client:
            assert client.timeout == 1
            await client.ping(timeout=20)

    asyncio.run(main())
    # At last: QEMU's own may end when it has nobody to reply to.
    with qga.connect("vm") as client:
        client.ping(timeout=20)
        assert client.timeout == 1
        with agent.stopped(), pytest.raises(qga.AgentTimeout, match=r"within 1 s"):
            client.ping()
