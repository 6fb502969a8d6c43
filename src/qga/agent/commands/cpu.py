"""Handlers of `qga.protocol.cpu`."""

from qga.errors import CommandError
from qga.protocol.cpu import GetVcpus, LogicalProcessor, SetVcpus

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qga.agent.app import Agent


@GetVcpus.handler
def get(agent: "Agent", command: GetVcpus) -> list[LogicalProcessor]:
    return agent.system.processors.list()


@SetVcpus.handler
def set_(agent: "Agent", command: SetVcpus) -> int:
    done = 0
    for vcpu in command.vcpus:
        try:
            agent.system.processors.set_online(vcpu.logical_id, online=vcpu.online)
        except CommandError:
            # The caller is told how far it went, and learns the reason by asking for the rest.
            if not done:
                raise
            break
        done += 1
    return done
