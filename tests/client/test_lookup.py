"""Plain names that no targets file has, and paths: domains and sockets of this machine."""

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import qga
from qga.client import Target, discovery, libvirthost, libvirtlocal, targetsfile, unixsockets
from qga.client.libvirterrors import _NO_DOMAIN
from qga.client.qemuprocesses import agent_socket
from qga.client.target import names_target, split_path
from qga.testing import FakeAgent
from qga.testing.server import short_directory

CHANNEL = (
    "<domain><devices><channel type='unix'>"
    "<target type='virtio' name='org.qemu.guest_agent.0' state='{}'/></channel></devices></domain>"
)


class Failure(Exception):
    """As `libvirt.libvirtError`."""

    def get_error_code(self) -> int:
        return _NO_DOMAIN

    def get_error_message(self) -> str:
        return "no domain"

    def get_str2(self) -> str:
        return "no domain"


class Domain:
    """As `libvirt.virDomain`."""

    def __init__(self, name: str, state: int = 1, channel: str = "connected") -> None:
        self._name, self._state, self.channel = name, state, channel

    def name(self) -> str:
        return self._name

    def UUIDString(self) -> str:  # noqa: N802
        return f"uuid of {self._name}"

    def isActive(self) -> int:  # noqa: N802
        return int(self._state != 5)

    def state(self) -> list[int]:
        return [self._state, 0]

    def XMLDesc(self, flags: int = 0) -> str:  # noqa: N802
        return CHANNEL.format(self.channel) if self.channel else "<domain><devices/></domain>"


class Connection:
    """As `libvirt.virConnect`."""

    def __init__(self, library: "Library", uri: str | None) -> None:
        self.made_up, self.uri = library, uri

    def isAlive(self) -> int:  # noqa: N802
        return 1

    def lookupByName(self, name: str) -> Domain:  # noqa: N802
        self.made_up.going_on.wait(30)
        for domain in self.listAllDomains():
            if domain.name() == name:
                return domain
        raise Failure

    def listAllDomains(self, flags: int = 0) -> list[Domain]:  # noqa: N802
        return self.made_up.domains.get(self.uri or "", [])


class Library:
    """Stands for libvirt's module."""

    error = Failure

    def __init__(self) -> None:
        self.domains: dict[str, list[Domain]] = {}
        self.opened: list[str | None] = []
        self.going_on = threading.Event()
        self.going_on.set()

    def open(self, uri: str | None) -> Connection:
        self.opened.append(uri)
        return Connection(self, uri)

    def command(self, domain: Domain, text: str, seconds: int) -> str:
        return '{"return": {}}'


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A machine with nothing on it: a directory in which we are, and what is below it."""
    with short_directory() as folder:
        for name in ("root/run", "run", "proc", "here"):
            (folder / name).mkdir(parents=True)
        monkeypatch.setattr(discovery, "ROOT", folder / "root")
        monkeypatch.setattr(libvirtlocal, "RUN", folder / "root/run")
        monkeypatch.setattr(unixsockets, "PROC", folder / "proc")
        monkeypatch.setattr(targetsfile, "SYSTEM", folder / "etc.toml")
        monkeypatch.setenv("XDG_RUNTIME_DIR", str(folder / "run"))
        monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "config"))
        for name in ("QGA_TARGET", "QGA_TARGETS", "QGA_FIND", "LIBVIRT_DEFAULT_URI"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.chdir(folder / "here")
        yield folder


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Iterator[Library]:
    made = Library()
    monkeypatch.setattr(libvirthost, "_library", made)
    monkeypatch.setattr(libvirtlocal, "obstacle", lambda: "")
    yield made
    made.going_on.set()
    assert libvirthost._shared == {}


Listen = Callable[[Path], socket.socket]


@pytest.fixture
def listen() -> Iterator[Listen]:
    """Makes sockets that somebody listens on."""
    made: list[socket.socket] = []

    def listen(path: Path) -> socket.socket:
        path.parent.mkdir(parents=True, exist_ok=True)
        found = socket.socket(socket.AF_UNIX)
        found.bind(str(path))
        found.listen()
        made.append(found)
        return found

    yield listen
    for found in made:
        found.close()


def test_a_path(place: Path) -> None:
    with FakeAgent().serve(place / "here/vm.sock") as served:
        path = served.removeprefix("unix:")
        for text in (path, "./vm.sock", "../here/vm.sock", "vm.sock"):
            with qga.connect(text) as client:
                client.ping()
        assert Target("./vm.sock").full == "unix:./vm.sock"
        assert names_target("../here/vm.sock")
        assert names_target("vm.sock")
        assert names_target(path)
        with qga.connect(Target("vm.sock")) as client:
            assert client.target == "vm.sock"
        # As a guest file, ./name:/x is a local file.
        for text in ("./vm.sock:/etc/hostname", f"{path}:/etc/hostname"):
            with pytest.raises(qga.InvalidTarget, match=f"as in unix:{text} "):
                split_path(text)
        assert str(split_path("vm.sock:/etc/hostname")[0]) == "vm.sock"
    os.chdir(place)
    with FakeAgent().serve(place / "here/vm.sock"), qga.connect("here/vm.sock") as client:
        client.ping()


def test_what_is_at_no_path(place: Path) -> None:
    with pytest.raises(qga.NoChannel, match=r"cannot open \./no\.sock: No such file"):
        qga.connect("./no.sock")
    with pytest.raises(qga.InvalidTarget, match="there is no socket of that path"):
        Target("here/no.sock")
    (place / "here/file").touch()
    with pytest.raises(qga.NoChannel, match="it is no socket"):
        qga.connect("./file")
    assert not names_target("here/file")
    assert not names_target("file")


def test_a_domain_is_found_by_its_name(place: Path, library: Library, listen: Listen) -> None:
    with pytest.raises(qga.InvalidTarget, match="no libvirt listens here; no socket has this name"):
        Target("web")
    listen(place / "root/run/libvirt/virtqemud-sock")
    listen(place / "run/libvirt/libvirt-sock")
    library.domains = {"qemu:///system": [Domain("web")], "qemu:///session": [Domain("mine")]}
    target = Target("mine")
    assert target.full == "mine"  # nobody has been asked yet
    assert library.opened == []
    with qga.connect(target) as client:
        client.ping()
    assert target.full == "libvirt+qemu:///session?domain=mine"
    assert library.opened[:2] == ["qemu:///system", "qemu:///session"]

    async def main() -> None:
        async with await qga.aconnect("web") as client:
            await client.ping()

    asyncio.run(main())
    assert names_target("web")
    assert not names_target("wob")
    why = "qemu:///system has no such domain; qemu:///session has no such domain; no socket"
    with pytest.raises(qga.InvalidTarget, match=why):
        qga.connect("wob")
    with pytest.raises(qga.InvalidTarget, match=why):
        asyncio.run(qga.aconnect("wob"))


def test_the_order(place: Path, library: Library, listen: Listen) -> None:
    listen(place / "root/run/libvirt/libvirt-sock")
    listen(place / "here/web")
    names = place / "config/qga/targets.toml"
    names.parent.mkdir(parents=True)
    names.write_text('targets.web = "vsock:3:1"')
    library.domains = {"qemu:///system": [Domain("web")]}

    def meant() -> str:
        target = Target("web")
        target.find()
        return target.full

    assert meant() == "vsock:3:1"
    names.write_text("")
    assert meant() == "libvirt+qemu:///system?domain=web"
    library.domains.clear()
    assert meant() == "unix:web"


def test_the_connection_that_virsh_would_take(
    place: Path, library: Library, monkeypatch: pytest.MonkeyPatch, listen: Listen
) -> None:
    monkeypatch.setenv("LIBVIRT_DEFAULT_URI", "qemu+ssh://host/system")
    assert libvirtlocal.connections() == ["qemu+ssh://host/system"]
    uri = f"qemu:///session?socket={place}/own"
    monkeypatch.setenv("LIBVIRT_DEFAULT_URI", uri)
    assert libvirtlocal.connections() == []
    listen(place / "own").close()  # left behind by a daemon: libvirt would start another one
    assert libvirtlocal.connections() == []
    (place / "own").unlink()
    listen(place / "own")
    library.domains = {uri: [Domain("a&b")]}
    target = Target("a&b")
    target.find()
    assert target.full == f"libvirt+{uri}&domain=a%26b"


def no_domains(*_: object) -> list[Domain]:
    class Refused(Failure):
        def get_error_code(self) -> int:
            return 1

        def get_error_message(self) -> str:
            return "no rights"

    raise Refused


def test_a_libvirt_that_hangs(
    place: Path, library: Library, listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libvirtlocal, "PATIENCE", 0.2)
    listen(place / "root/run/libvirt/libvirt-sock")
    library.domains = {"qemu:///system": [Domain("web")]}
    library.going_on.clear()
    with pytest.raises(qga.InvalidTarget, match="qemu:///system does not answer"):
        qga.connect("web")
    library.going_on.set()
    troubles: list[str] = []
    monkeypatch.setattr(Connection, "listAllDomains", no_domains)
    assert discovery.found(5, troubles) == []
    assert troubles == ["the look at the domains: no rights"]


def test_without_libvirts_module(
    place: Path, listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    listen(place / "root/run/libvirt/libvirt-sock")
    monkeypatch.setattr(libvirtlocal, "find_spec", lambda _: None)
    why = "qemu:///system cannot be asked: libvirt's Python module is missing"
    with pytest.raises(qga.InvalidTarget, match=why):
        Target("web")
    assert qga.targets() == []
    troubles: list[str] = []
    assert discovery.found(5, troubles) == []
    assert troubles == [why]


def test_what_can_be_found(place: Path, library: Library, listen: Listen) -> None:
    listen(place / "root/run/libvirt/libvirt-sock")
    library.domains = {
        "qemu:///system": [
            Domain("web"), Domain("db", 5), Domain("bare", channel=""), Domain("asleep", 7),
            Domain("booting", channel="disconnected"),
        ]
    }  # fmt: skip
    names = place / "config/qga/targets.toml"
    names.parent.mkdir(parents=True)
    names.write_text('targets.web = "vsock:3:1"')
    for path in (
        "root/run/qemu-server/100.qga",
        "root/run/qga/small.sock",
        "root/run/ganeti/kvm-hypervisor/ctrl/g1.qga",
        "run/qga/own.sock",
        "root/run/libvirt/qemu/channel/1-web/org.qemu.guest_agent.0",
        "run/libvirt/qemu/run/channel/2-mine/org.qemu.guest_agent.0",
        "root/run/qga/other",
    ):
        listen(place / path)
    (place / "root/run/qga/file.sock").touch()
    found = {known.name: (known.source, known.target, known.state) for known in qga.targets()}
    system = "libvirt+qemu:///system?domain="
    assert found == {
        "100": ("socket", f"unix:{place}/root/run/qemu-server/100.qga", None),
        "small": ("socket", f"unix:{place}/root/run/qga/small.sock", None),
        "g1": ("socket", f"unix:{place}/root/run/ganeti/kvm-hypervisor/ctrl/g1.qga", None),
        "own": ("socket", f"unix:{place}/run/qga/own.sock", None),
        "mine": (
            "socket", f"unix:{place}/run/libvirt/qemu/run/channel/2-mine/org.qemu.guest_agent.0",
            None,
        ),
        "web": ("file", "vsock:3:1", None),
        f"{system}web": ("libvirt", f"{system}web", None),
        "db": ("libvirt", f"{system}db", "not running"),
        "asleep": ("libvirt", f"{system}asleep", "paused"),
        "booting": ("libvirt", f"{system}booting", "not answering"),
    }  # fmt: skip
    assert Target("small").full == "small"  # libvirt comes first
    with qga.connect("small", timeout=1) as client, pytest.raises(qga.AgentNotResponding):
        client.ping()
    listen(place / "run/qga/small.sock")
    with pytest.raises(qga.InvalidTarget, match=r"'small' is the name of unix:.* and unix:"):
        qga.connect("small")


def test_a_socket_that_has_a_name_is_listed_once(
    place: Path, listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As twice the same guest it would be shut down twice by --all, and seem busy with itself."""
    path = place / "root/run/qga/small.sock"
    listen(path)
    (place / "link.sock").symlink_to(path)
    names = place / "names.toml"
    names.write_text(f'[targets]\nmine = "unix:{place}/link.sock"\n')
    monkeypatch.setenv("QGA_TARGETS", str(names))
    assert [(known.name, known.source) for known in qga.targets()] == [("mine", "file")]
    target = Target("small")
    target.find()
    assert target.full == f"unix:{path}"


def test_what_may_be_looked_at(
    place: Path, listen: Listen, monkeypatch: pytest.MonkeyPatch
) -> None:
    listen(place / "root/run/qga/small.sock")
    for told, names in (("sockets", ["small"]), ("files,libvirt", []), (" files ", [])):
        monkeypatch.setenv("QGA_FIND", told)
        assert [known.name for known in qga.targets()] == names
    with pytest.raises(qga.InvalidTarget, match="is not the name of a target"):
        Target("small")
    monkeypatch.setenv("QGA_FIND", "files,socket")
    with pytest.raises(qga.InvalidTarget, match="QGA_FIND: socket is none of files, libvirt, sock"):
        qga.targets()


PORT = ["-device", "virtserialport,chardev=qga0,name=org.qemu.guest_agent.0"]


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (
            ["-name", "guest=web,debug-threads=on", "-chardev", "socket,id=qga0,path=/a"],
            ("web", "/a"),
        ),
        (["-name", "web", "-chardev", "socket,path=/a,,b,server=on,id=qga0"], ("web", "/a,b")),
        (["-chardev", "socket,path=a,id=qga0"], ("", "a")),
        (["-chardev", '{"backend": "socket", "id": "qga0", "path": "/a"}'], ("", "/a")),
        (["-chardev", "{", "-chardev", "socket,fd=3,id=qga0"], None),
        (["-chardev", "socket,path=/a,id=other"], None),
        (["-chardev", "pty,path=/a,id=qga0"], None),
    ],
)
def test_the_command_line_of_qemu(words: list[str], found: tuple[str, str] | None) -> None:
    assert agent_socket(["qemu", *words, *PORT]) == found
    assert agent_socket(["qemu", *words]) is None


def test_running_qemus(place: Path, listen: Listen) -> None:
    listen(place / "here/vm.sock")
    for number, comm, option in (
        (1, "qemu-system-x86", "-name\0web"),
        (2, "kvm", "-S"),
        (3, "x", ""),
    ):
        folder = place / f"proc/{number}"
        folder.mkdir()
        (folder / "comm").write_text(f"{comm}\n")
        words = ["qemu", option, "-chardev", "socket,id=qga0,path=vm.sock", *PORT]
        (folder / "cmdline").write_bytes("\0".join(words).encode() + b"\0")
        (folder / "cwd").symlink_to(place / "here")
    (place / "proc/4").mkdir()  # just ended
    (known,) = qga.targets()
    assert known.name in {"web", "qemu-2"}
    assert known.target == f"unix:{place}/here/vm.sock"
