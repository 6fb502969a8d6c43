"""A libvirt that has lost patience with a freeze, since a hook of the guest hangs.

Where `virsh guest-agent-timeout` is set it gives the freeze up, and what it sends next is its own
`guest-sync`, whatever it is asked for. The real qemu-ga answers nothing of all that for as long as
the hook hangs, and freezes when it ends.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.cli.command import Run, qga_command
from tests.libvirt.domain import Domain
from tests.libvirt.pair import Pair
from tests.libvirt.test_client import _nothing_left, module, target
from tests.vm.observe import wait_until

__all__ = ["_nothing_left", "module", "qga_command"]

HOOK, TOLD = "/run/impatience.hook", "/run/impatience.told"
HANGING = f"""cat > {HOOK} << 'END'
#!/bin/sh
echo $1 >> {TOLD}
[ $1 = thaw ] || exec sleep 1000
END
chmod +x {HOOK}; rm -f {TOLD}
"""


@contextmanager
def hanging(domain: Domain) -> Iterator[None]:
    """During the block a hook of the domain hangs in freezes, and libvirt does not wait for it."""
    domain.sh(HANGING)
    domain.kill_agent()
    domain.start_agent(f"-F{HOOK}")
    assert domain.virsh("guest-agent-timeout", "--timeout", "4").code == 0
    try:
        yield
    finally:
        domain.kill_agent()
        assert domain.virsh("guest-agent-timeout", "--timeout=-2").code == 0  # none
        domain.start_agent()


def told(domain: Domain) -> list[str]:
    return domain.sh(f"cat {TOLD}").out.split()


def gives_up(domain: Domain) -> None:
    """Have libvirt freeze, and lose its patience."""
    refused = domain.virsh("domfsfreeze")
    assert refused.code == 1
    assert "Guest agent not available for now" in refused.err
    assert told(domain)[-1] == "freeze"


@pytest.mark.usefixtures("module")
def test_a_hook_that_hangs(pair: Pair, qga_command: Run) -> None:
    """The guest is thawed, the hook told so, and every command works, whichever is the next."""
    domain = pair.ours
    with hanging(domain):
        gives_up(domain)
        wait_until(lambda: domain.virsh("domfsthaw").code == 0, "the thaw")
        assert told(domain)[:2] == ["freeze", "thaw"]
        assert domain.virsh("guestinfo", "--hostname").code == 0
        assert domain.sh("echo x > /root/writable && sync && pidof sleep").code == 1

        gives_up(domain)
        wait_until(lambda: domain.virsh("guestinfo", "--hostname").code == 0, "another command")
        assert told(domain)[-1] == "thaw"
        shown = qga_command("status", target(domain), "--timeout", "120", "-o", "json").json
        assert (shown["status"], shown["held"]) == ("thawed", False)
        assert "given up" in shown["reason"] or "to be thawed" in shown["reason"]
        assert domain.sh("echo x > /mnt/data/writable && sync && pidof sleep").code == 1
