"""What virsh does to a guest's file systems through the agent: freeze, thaw, trim, snapshot."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.libvirt.pair import Pair

STATUS = '{"execute": "guest-fsfreeze-status"}'


@contextmanager
def thawed_in_the_end(pair: Pair) -> Iterator[None]:
    """Whatever happens in the block, no file system stays frozen."""
    try:
        yield
    finally:
        for domain in pair:
            domain.virsh("domfsthaw")


def test_freeze_and_thaw(pair: Pair) -> None:
    with thawed_in_the_end(pair):
        pair.sh("rm -f /root/w /mnt/data/w")
        freeze = pair.succeeds("domfsfreeze")
        assert (freeze.out, freeze.asked) == ("Froze 2 filesystem(s)", ("guest-fsfreeze-freeze",))
        assert pair.succeeds("qemu-agent-command", STATUS).out == '{"return":"frozen"}'
        for path in ("/root/w", "/mnt/data/w"):
            pair.sh(f"(echo x > {path}) > /dev/null 2>&1 & sleep 0.3; ! test -e {path}")
        # Everything that might write is refused meanwhile, another freeze too.
        for command in ("domfstrim", "domfsfreeze", "domtime"):
            # Newer agents than this stock one give another reason.
            refused = pair.virsh(command, differs="(?<=has been disabled: ).*")
            assert refused.code == 1
            assert "has been disabled: #" in refused.err
        thaw = pair.succeeds("domfsthaw")
        assert (thaw.out, thaw.asked) == ("Thawed 2 filesystem(s)", ("guest-fsfreeze-thaw",))
    assert pair.sh("sleep 0.3; cat /root/w /mnt/data/w") == "x\nx\n"
    assert pair.succeeds("qemu-agent-command", STATUS).out == '{"return":"thawed"}'
    assert pair.succeeds("domfsthaw").out == "Thawed 0 filesystem(s)"


def test_freeze_of_one_mount_point(pair: Pair) -> None:
    with thawed_in_the_end(pair):
        freeze = pair.succeeds("domfsfreeze", "--mountpoint", "/mnt/data")
        assert freeze.out == "Froze 1 filesystem(s)"
        assert freeze.asked == ("guest-fsfreeze-freeze-list",)
        pair.sh("rm -f /root/w && echo x > /root/w")
        assert pair.succeeds("domfsthaw").out == "Thawed 1 filesystem(s)"
        nothing = pair.succeeds("domfsfreeze", "--mountpoint", "/nowhere")
        assert nothing.out == "Froze 0 filesystem(s)"


def test_trim(pair: Pair) -> None:
    def used() -> list[int]:
        return [domain.image("data").stat().st_blocks * 512 for domain in pair]

    size = 8 << 20
    pair.sh(f"head -c {size} /dev/zero > /mnt/data/big && sync")
    before = used()
    pair.sh("rm /mnt/data/big && sync")
    answer = pair.succeeds("domfstrim")
    assert answer.asked == ("guest-fstrim",)
    # The host has its space back: the disks are attached with discard='unmap'.
    assert all(b - a > size // 2 for b, a in zip(before, used(), strict=True))
    pair.succeeds("domfstrim", "--minimum", "4096")


def test_snapshot(pair: Pair) -> None:
    # Written and not synced; the freeze brings it to the disk.
    pair.sh("echo first-$((1000 + 1)) > /mnt/data/before")
    options = ("--disk-only", "--quiesce", "--no-metadata", "--diskspec", "vda,snapshot=no")
    for domain in pair:
        overlay = domain.image("data").with_suffix(".qcow2")
        answer = domain.virsh(
            "snapshot-create-as", "one", *options, "--diskspec", f"vdb,file={overlay}"
        )
        assert (answer.code, answer.err) == (0, "")
        assert answer.asked == ("guest-fsfreeze-freeze", "guest-fsfreeze-thaw")
    pair.sh("echo second-$((1000 + 1)) > /mnt/data/after && sync")
    for domain in pair:
        snapshot = domain.image("data").read_bytes()
        assert b"first-1001\n" in snapshot
        assert b"second-1001\n" not in snapshot
    # One that fails leaves nothing frozen.
    failed = pair.virsh(
        "snapshot-create-as",
        "two",
        "--disk-only",
        "--quiesce",
        "--no-metadata",
        *("--diskspec", "vdb,snapshot=no", "--diskspec", "vda,file=/no/such/directory/file"),
    )
    assert failed.code == 1
    assert failed.asked == ("guest-fsfreeze-freeze", "guest-fsfreeze-thaw")
    assert pair.succeeds("qemu-agent-command", STATUS).out == '{"return":"thawed"}'
