"""`qga` tells what guests are through libvirt: of two domains at once."""

from tests.cli.command import Run, qga_command
from tests.libvirt.pair import Pair
from tests.libvirt.test_client import module, target

__all__ = ["module", "qga_command"]


def test_of_two_domains(pair: Pair, qga_command: Run, module: None) -> None:
    targets = [target(domain) for domain in pair]
    found = qga_command("info", *targets, "-o", "json").json
    assert [one["guest"] for one in found] == targets
    for one, program in zip(found, ("qemu-ga", "qga-agent"), strict=True):
        assert one["ok"]
        assert one["result"]["hostname"] == "testguest"
        assert one["result"]["agent"]["program"] == program
    assert qga_command("ip", targets[0]).text == "10.0.2.15\n"
    assert qga_command("fs", *targets).text.count(" /mnt/data ") == 2
    seen = qga_command("top", *targets, "-d", "0.5", "-o", "json").json
    assert {one["state"] for one in seen} == {"ready"}
    assert all(one["memory"]["total"] > 0 and one["written"] is not None for one in seen)
