"""A libvirt that only pretends: what the client asks of the module `libvirt`."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from xml.etree import ElementTree as ET

import pytest

import qga
from qga.client import libvirthost
from qga.client.flows import freezing
from qga.testing import FakeAgent

DISKS = """<domain><devices>
  <disk><source file='/img/{root}'/><target dev='vda'/></disk>
  <disk><source dev='/dev/vg/{data}'/><target dev='vdb'/></disk>
  <disk device='cdrom'><target dev='hda'/></disk>
</devices></domain>"""


class Failure(Exception):
    """As `libvirt.libvirtError`."""

    def __init__(self, code: int, detail: str) -> None:
        super().__init__(f"prefix: {detail}")
        self.code, self.detail = code, detail

    def get_error_code(self) -> int:
        return self.code

    def get_error_message(self) -> str:
        return str(self)

    def get_str2(self) -> str:
        return self.detail


class Domain:
    def isActive(self) -> int:  # noqa: N802
        return 1


class Connection:
    def __init__(self) -> None:
        self.alive = 1

    def isAlive(self) -> int:  # noqa: N802
        return self.alive

    def lookupByName(self, name: str) -> Domain:  # noqa: N802
        return Domain()


class Library:
    """Stands for the module; `answer` is what commands do."""

    error = Failure

    def __init__(self) -> None:
        self.opened: list[Connection] = []
        self.asked: list[tuple[str, int]] = []
        self.answer: Callable[[str], str] = lambda _: '{"return": {}}'

    def open(self, uri: str | None) -> Connection:
        self.opened.append(Connection())
        return self.opened[-1]

    def command(self, domain: Domain, text: str, seconds: int) -> str:
        name = json.loads(text)["execute"]
        self.asked.append((name, seconds))
        return self.answer(name)


class DiskDomain(Domain):
    """A domain whose snapshots `make` makes."""

    def __init__(self, make: Callable[[], None]) -> None:
        self.make = make
        self.asked: list[tuple[ET.Element, int]] = []
        self.files = {"root": "root.qcow2", "data": "data"}

    def name(self) -> str:
        return "web"

    def XMLDesc(self, flags: int = 0) -> str:  # noqa: N802
        return DISKS.format_map(self.files)

    def snapshotCreateXML(self, text: str, flags: int = 0) -> object:  # noqa: N802
        self.asked.append((ET.fromstring(text), flags))
        self.make()
        self.files["root"] = "root.new"
        return object()


class Host(Library):
    """A libvirt with that domain, and its agent."""

    def __init__(self) -> None:
        super().__init__()
        self.agent = FakeAgent()
        self.domain = DiskDomain(lambda: None)
        self._client = self.agent.connect()

    def open(self, uri: str | None) -> Connection:
        connection = super().open(uri)
        connection.lookupByName = lambda _: self.domain  # type: ignore[assignment, method-assign]
        return connection

    def command(self, domain: object, text: str, seconds: int) -> str:
        request = json.loads(text)
        try:
            reply = self._client.call(request["execute"], request.get("arguments"))
        except qga.CommandError as error:
            said = f"unable to execute QEMU agent command '{request['execute']}': {error.desc}"
            raise Failure(113, said) from error
        return json.dumps({"return": reply})


@contextmanager
def pretended_host() -> Iterator[Host]:
    """During the block, libvirt's domains are one, with a fake agent."""
    made = Host()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(libvirthost, "_library", made)
        patch.setattr(freezing, "THAW_PAUSE", 0.0)
        # No other process, which would have the real libvirt.
        for module in ("frozen", "aiofrozen"):
            patch.setattr(f"qga.client.{module}.watch", lambda *_: None)
        yield made
