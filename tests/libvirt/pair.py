"""Two domains, alike but for the agent, and the same done to both.

Used by the tests.
"""

import re
from collections.abc import Iterator

from tests.libvirt.daemon import Answer
from tests.libvirt.domain import Domain
from tests.vm.observe import wait_until


class Pair:
    """A domain with QEMU's own agent, ``stock``, and one with ours."""

    def __init__(self, stock: Domain, ours: Domain) -> None:
        self.stock = stock
        self.ours = ours

    def __iter__(self) -> Iterator[Domain]:
        return iter((self.stock, self.ours))

    def virsh(self, command: str, *arguments: str, differs: str = "") -> Answer:
        """Run virsh on both domains: both must end alike, print alike, and ask the agent alike.

        Args:
            command: virsh's.
            arguments: what follows the domain's name.
            differs: a pattern of what may differ in the output; ``#`` takes its place.

        Returns:
            What is the same for both, with ``DOMAIN`` for their names.
        """

        def plain(text: str, domain: Domain) -> str:
            text = re.sub(rf"\b{domain.name}\b", "DOMAIN", text)
            return re.sub(differs, "#", text) if differs else text

        stock, ours = (
            answer._replace(out=plain(answer.out, domain), err=plain(answer.err, domain))
            for domain in self
            for answer in [domain.virsh(command, *arguments)]
        )
        assert ours == stock, f"ours: {ours}\nstock: {stock}"
        return stock

    def succeeds(self, command: str, *arguments: str, differs: str = "") -> Answer:
        """The same, and it has to succeed."""
        answer = self.virsh(command, *arguments, differs=differs)
        assert (answer.code, answer.err) == (0, ""), f"{command}: {answer}"
        return answer

    def sh(self, command: str) -> str:
        """What a shell *command* that has to succeed prints in both guests, the same."""
        stock, ours = (domain.sh(command) for domain in self)
        assert ours == stock, f"ours: {ours}\nstock: {stock}"
        assert (stock.code, stock.err) == (0, ""), f"{command}: {stock}"
        return stock.out

    def restart(self) -> None:
        """Have both domains run and their agents answer, afresh."""
        # One after the other: several processors are emulated well only where there are as many.
        for domain in self:
            domain.power_on()
            domain.prepare()

    def close(self) -> None:
        for domain in self:
            domain.close()

    def wait_state(self, state: str) -> None:
        """Wait until libvirt calls both domains *state*; empty: until they are gone."""
        for domain in self:
            wait_until(lambda d=domain: d.state == state, f"{domain.name} {state}")  # type: ignore[misc]

    def wait_agents(self) -> None:
        """Wait until both agents are connected and answer."""
        for domain in self:
            domain.wait_agent()
