"""Handlers of `qga.protocol.clock`."""

from qga.protocol.clock import GetTimezone, Timezone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from qga.agent.app import Agent


@GetTimezone.handler
def get_timezone(agent: "Agent", command: GetTimezone) -> Timezone:
    return agent.system.timezone.now()
