"""What would be frozen, and what not and why, by the guest's lists."""

from qga.protocol import QgaFsfreezeFreeze
from qga.protocol.storage import FilesystemInfo
from qga.testing import FakeAgent

TABLE = rb"""22 1 254:1 / / rw - ext4 /dev/vda1 rw
23 22 254:2 / /srv rw - ext4 /dev/vda2 rw
24 23 254:2 / /var/with\040blank rw shared:1 master:2 - ext4 /dev/vda2 rw
25 22 254:3 / /boot/efi rw - vfat /dev/vda3 rw
26 22 0:25 / /proc rw - proc proc rw
27 22 0:26 / /run rw - tmpfs tmpfs rw
28 22 0:27 / /mnt/nfs rw - nfs4 nas:/export rw
29 22 0:28 / /mnt/ssh rw - fuse.sshfs me@there: rw
30 22 0:29 / /sub rw - btrfs /dev/vdb rw
31 22 0:30 / /other rw - btrfs /dev/vdb rw
broken
"""


def mounted(name: str, mountpoint: str, kind: str) -> FilesystemInfo:
    return FilesystemInfo(name=name, mountpoint=mountpoint, type=kind, disk=[])


def test_all_that_there_is(fake_agent: FakeAgent) -> None:
    fake_agent.unknown.add("qga-fsfreeze-freeze")
    fake_agent.files.mkdir("/proc/self")
    fake_agent.files["/proc/self/mountinfo"] = TABLE
    fake_agent.guest.filesystems = [
        mounted("vdb", "/other", "btrfs"),
        mounted("vdb", "/sub", "btrfs"),
        mounted("vda3", "/boot/efi", "vfat"),
        mounted("vda2", "/var/with blank", "ext4"),
        mounted("vda2", "/srv", "ext4"),
        mounted("vda1", "/", "ext4"),
    ]
    client = fake_agent.connect()
    assert {each.mountpoint: each.reason for each in client.freezable()} == {
        "/": "",
        "/srv": "",
        "/var/with blank": "it is the same as /srv",
        "/boot/efi": "the kernel has no way to freeze vfat",
        "/sub": "",
        "/other": "it is the same as /sub",
        "/run": "it is in memory",
        "/mnt/nfs": "it is another machine's",
        "/mnt/ssh": "it is a program's",
    }
    found = client.freezable(["/srv", "/run", "/nowhere"])
    assert [each.mountpoint for each in found if each.taken] == ["/srv"]
    reasons = {each.mountpoint: each.reason for each in found}
    assert reasons["/"] == "it is not asked for"
    assert reasons["/run"] == "it is in memory"
    assert reasons["/nowhere"] == "no file system that could be frozen is mounted there"
    found = client.freezable("/*", exclude=["device:vda[12]", "device:/dev/vda2", "type:btr??"])
    assert [each.mountpoint for each in found if each.taken] == ["/"]
    reasons = {each.mountpoint: each.reason for each in found}
    assert (reasons["/srv"], reasons["/sub"]) == (
        "excluded: device:/dev/vda2", "excluded: type:btr??",
    )  # fmt: skip


def test_an_agent_with_leases_is_asked_for_its_plan(fake_agent: FakeAgent) -> None:
    client = fake_agent.connect()
    found = client.freezable(["/s*", "/nowhere"], exclude="type:xfs")
    assert [(each.mountpoint, each.taken, each.device) for each in found] == [
        ("/srv", True, "/dev/vda2"), ("/", False, "/dev/vda1"), ("/nowhere", False, ""),
    ]  # fmt: skip
    (asked,) = fake_agent.asked(QgaFsfreezeFreeze)
    assert (asked.dry_run, asked.exclude) == (True, ["type:xfs"])
    assert fake_agent.state == "thawed"


def test_where_the_mount_table_may_not_be_read(fake_agent: FakeAgent) -> None:
    fake_agent.blocked |= {"guest-file-open", "guest-exec", "qga-fsfreeze-freeze"}
    found = fake_agent.connect().freezable()
    assert [(each.mountpoint, each.taken) for each in found] == [("/srv", True), ("/", True)]


def problem(agent: FakeAgent, *mountpoints: str) -> str:
    found = agent.connect().freeze_plan(mountpoints or None).problem
    return found.text if found else ""


def test_what_is_in_the_way(fake_agent: FakeAgent) -> None:
    assert problem(fake_agent) == problem(fake_agent, "/srv", "/s*") == ""
    assert problem(fake_agent, "/n*") == "there is no file system that could be frozen"
    nowhere = "cannot freeze /nowhere: no file system that could be frozen is mounted there"
    assert problem(fake_agent, "/", "/nowhere") == nowhere
    hook = fake_agent.freezing.add_hook("database")
    hook.problem = "it is not executable"
    assert problem(fake_agent) == ""
    hook.required = True
    assert problem(fake_agent).startswith("the hook database is required, and cannot be run: it is")
    fake_agent.blocked.add("guest-fsfreeze-freeze")
    assert problem(fake_agent).startswith("the hook database")  # leases are allowed
    fake_agent.unknown.add("qga-fsfreeze-freeze")
    assert "guest-fsfreeze-freeze has been disabled" in problem(fake_agent)


def test_what_is_in_the_way_where_there_are_no_plans(fake_agent: FakeAgent) -> None:
    fake_agent.unknown |= {"qga-fsfreeze-freeze", "qga-fsfreeze-thaw"}
    plan = fake_agent.connect().freeze_plan()
    assert (len(plan.filesystems), plan.hooks, plan.problem) == (2, None, None)
    # There, a name of nothing is overlooked.
    assert problem(fake_agent, "/", "/nowhere") == ""
    assert problem(fake_agent, "/nowhere") == "there is no file system that could be frozen"
    fake_agent.blocked.add("guest-fsfreeze-freeze")
    assert problem(fake_agent, "/") == ""
    assert "guest-fsfreeze-freeze has been disabled" in problem(fake_agent)
    fake_agent.blocked = {"guest-fsfreeze-thaw"}
    assert "guest-fsfreeze-thaw has been disabled" in problem(fake_agent)
