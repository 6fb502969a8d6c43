"""The host name, and what the operating system says of itself."""

import os
from pathlib import Path

import pytest

from qga.agent.system.fake import FakeSystem
from qga.agent.system.linux.identity import LinuxIdentity, parse_os_release
from tests.agent.conftest import AgentFactory
from tests.agent.harness import call


def test_all_that_is_known(
    tmp_path: Path, make: AgentFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("QGA_OS_RELEASE", raising=False)
    (tmp_path / "os-release").write_text(
        "# made up\n"
        'PRETTY_NAME="Test System 1.2 (Edition)"\n'
        "NAME='Test System'\nID=test\nID_LIKE=other\nVERSION=\"1.2 (First)\"\n"
        "VERSION_ID=1.2\nVARIANT=\"Server\"\nVARIANT_ID=server\nHOME_URL='https://example.org'\n"
    )
    agent = make(FakeSystem(identity=LinuxIdentity(str(tmp_path))))
    kernel = os.uname()
    assert call(agent, "guest-get-osinfo") == {
        "kernel-release": kernel.release,
        "kernel-version": kernel.version,
        "machine": kernel.machine,
        "id": "test",
        "name": "Test System",
        "pretty-name": "Test System 1.2 (Edition)",
        "version": "1.2 (First)",
        "version-id": "1.2",
        "variant": "Server",
        "variant-id": "server",
    }


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("NAME=plain", "plain"),
        ("NAME=", ""),
        ('NAME=""', ""),
        ("NAME=''", ""),
        ("  NAME=plain\t\r", "plain"),
        ("NAME = plain", "plain"),
        ("NAME=cut off", "cut"),
        ("NAME=cut;off", "cut"),
        ('NAME="My OS; not cut"', "My OS; not cut"),
        ("NAME='My OS'", "My OS"),
        ("NAME='single \"and\" \\double'", 'single "and" \\double'),
        ('NAME="it\'s"', "it's"),
        (r'NAME="\"a\" \$b \\c \`d\` \'e\' \f"', "\"a\" $b \\c `d` 'e' \\f"),
        ("NAME=back\\ slash\\;", "back slash;"),
        ("NAME=\"a\"'b'c", "abc"),
        ("NAME='a'\"'\"'b'", "a'b"),
        ('NAME="abc', "abc"),
        ("NAME='abc", "abc"),
        ('NAME="', ""),
        ("NAME=a=b", "a=b"),
        ('NAME="Ubuntu" # text', "Ubuntu"),
        ("NAME=first\nNAME=last", "last"),
        ("no assignment\n[section]\n=\nNAME=kept\n\0", "kept"),
        ('NAME="grün"', "grün"),
    ],
)
def test_values_are_those_of_a_shell(line: str, value: str) -> None:
    assert parse_os_release(line.encode()) == {"name": value}


@pytest.mark.parametrize("line", ["# NAME=x", "NAME", "NAME x", "name=x", "xNAME=x", ""])
def test_lines_that_name_nothing(line: str) -> None:
    assert parse_os_release(line.encode()) == {}


def test_bytes_that_are_not_utf8(tmp_path: Path, make: AgentFactory) -> None:
    (tmp_path / "os-release").write_bytes(b'NAME="gr\xfcn"\nID=x\xed\xb0\x80y\n')
    agent = make(FakeSystem(identity=LinuxIdentity(str(tmp_path))))
    found = call(agent, "guest-get-osinfo")
    assert found["name"] == "gr\ufffdn"
    assert found["id"].startswith("x\ufffd")


def test_the_first_file_that_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("QGA_OS_RELEASE", raising=False)
    etc, lib, named = tmp_path / "etc", tmp_path / "lib", tmp_path / "named"
    etc.mkdir()
    lib.mkdir()
    found = LinuxIdentity(str(etc), str(lib))
    assert found.os_info().name is None
    (lib / "os-release").write_text("NAME=lib\n")
    assert found.os_info().name == "lib"
    (etc / "os-release").write_text("NAME=etc\n")
    assert found.os_info().name == "etc"
    # It may change while the agent runs.
    (etc / "os-release").write_text("NAME=new\n")
    assert found.os_info().name == "new"
    monkeypatch.setenv("QGA_OS_RELEASE", str(named))
    found = LinuxIdentity(str(etc), str(lib))
    assert found.os_info().name is None
    named.write_text("NAME=named\n")
    assert found.os_info().name == "named"


def test_the_host_name_is_asked_for_each_time(
    make: AgentFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = make(FakeSystem(identity=LinuxIdentity()))
    assert call(agent, "guest-get-host-name") == {"host-name": os.uname().nodename}
    for name, shown in (("other.example.org", "other.example.org"), ("a\udcffb", "a\ufffdb")):
        uname = os.uname_result(("Linux", name, "6", "#1", "x86_64"))
        monkeypatch.setattr("os.uname", lambda uname=uname: uname)
        assert call(agent, "guest-get-host-name") == {"host-name": shown}
